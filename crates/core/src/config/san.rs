//! `kind = "san"`: an iSCSI target of somebody else.

use super::boots::{required, san_kernel};
use super::file::Table;
use super::report::{At, Report};
use super::types::{BootName, Location, Secret};
use super::{scalar, secrets, templates};
use crate::boot::plan::check_iscsi_uri;
use crate::boot::template::{Language, Template};
use crate::finding::Finding;

/// Lengths of a CHAP secret that every target and initiator takes (Windows and LIO refuse others).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 12..=16;

/// How iSCSI names begin (RFC 7143 section 4.2.7).
pub(super) const NAME_TYPES: [&str; 3] = ["iqn.", "eui.", "naa."];

/// `kind = "san"`.
#[derive(Clone, Debug, PartialEq)]
pub struct San {
    /// RFC 4173 URI.
    pub target: Template,
    /// The machine's initiator name.
    pub initiator: Option<Template>,
    /// Login.
    pub chap: Option<Chap>,
    /// What is started with the disk attached; without one, what is on the disk.
    pub kernel: Option<SanKernel>,
}

/// A kernel of the server's whose root is on a SAN disk.
#[derive(Clone, Debug, PartialEq)]
pub struct SanKernel {
    /// The kernel.
    pub kernel: Location,
    /// Its initial file systems, in order.
    pub initrd: Vec<Location>,
    /// Its arguments.
    pub cmdline: Template,
}

impl SanKernel {
    /// What is fetched, in order.
    pub fn files(&self) -> impl Iterator<Item = &Location> {
        std::iter::once(&self.kernel).chain(&self.initrd)
    }
}

/// CHAP credentials of a SAN boot.
#[derive(Clone, Debug, PartialEq)]
pub struct Chap {
    /// The machine's user name at the target.
    pub username: String,
    /// Its secret.
    pub password: Secret,
    /// The target's name and secret towards the machine.
    pub reverse: Option<(String, Secret)>,
}

/// Reads what a `san` boot says.
pub(super) fn san(name: &At<BootName>, table: &Table<'_>, report: &mut Report<'_>) -> Option<San> {
    let target = required(name, table, "target", report);
    if let Some(text) = target.as_ref().filter(|text| !is_template(text.value))
        && let Err(problem) = check_iscsi_uri(text.value)
    {
        let message = format!("the target {problem}");
        let fix =
            "write it as iscsi:SERVER::::TARGET, with protocol 6, port and LUN between the colons (RFC 4173)";
        report.add(Finding::error("config-value", message).fix(fix), &text.span);
    }
    let target = target.and_then(|text| templates::inline("target", &text, Language::Iscsi, report));
    let initiator = table.text("initiator", report);
    if let Some(text) = initiator.as_ref().filter(|text| !text.value.starts_with("{{"))
        && !NAME_TYPES.iter().any(|start| text.value.starts_with(start))
    {
        let message = "targets know initiators by names that begin with iqn., eui. or naa.";
        let fix = "write it as iqn.2007-08.com.example:{{ machine.name }}";
        report.add(Finding::warning("config-initiator", message).fix(fix), &text.span);
    }
    let initiator = match initiator {
        Some(text) => Some(templates::inline("initiator", &text, Language::Iscsi, report)?),
        None => None,
    };
    let chap = chap(table, report);
    what_targets_refuse(table, chap.as_ref(), report);
    let kernel = san_kernel(name, table, report)?;
    Some(San { target: target?, initiator, chap, kernel })
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// The logins of both sides, with what a machine can use of them.
pub(super) fn chap(table: &Table<'_>, report: &mut Report<'_>) -> Option<Chap> {
    let forward = login(table, "username", "password_file", report);
    let reverse = login(table, "reverse_username", "reverse_password_file", report);
    let has_reverse = ["reverse_username", "reverse_password_file"].iter().find_map(|key| table.get(key));
    if let Some(value) = has_reverse
        && table.get("username").is_none()
    {
        let message = "the target's login is only used together with the machine's";
        let fix = "add username and password_file";
        report.add(Finding::error("config-missing", message).fix(fix), &value.span);
    }
    let (username, password) = forward?;
    Some(Chap { username, password, reverse })
}

/// Secrets that the target of somebody else may not take.
fn what_targets_refuse(table: &Table<'_>, chap: Option<&Chap>, report: &mut Report<'_>) {
    let Some(Chap { password, reverse, .. }) = chap else { return };
    let reverse = reverse.as_ref().map(|(_, secret)| secret);
    for (key, secret) in [("password_file", Some(password)), ("reverse_password_file", reverse)] {
        let (Some(secret), Some(value)) = (secret, table.get(key)) else { continue };
        let length = secret.expose().len();
        if !SECRET_BYTES.contains(&length) {
            let message = format!("the secret has {length} bytes; Windows and LIO take 12 to 16");
            report.add(Finding::warning("config-secret-length", message), &value.span);
        }
    }
    if reverse == Some(password)
        && let Some(value) = table.get("reverse_password_file")
    {
        // With one secret each side could answer a challenge with what the other answers to it.
        let message = "both directions use the same secret, which many targets refuse";
        report.add(Finding::warning("config-conflict", message).fix("choose another one"), &value.span);
    }
}

/// A user name and the secret beside it: both or neither.
fn login(
    table: &Table<'_>,
    name_key: &str,
    file_key: &str,
    report: &mut Report<'_>,
) -> Option<(String, Secret)> {
    let name = table.parsed(name_key, user_name, report).map(|name| name.value);
    let secret = secrets::read(table, file_key, report).map(|secret| secret.value);
    for (here, other) in [(name_key, file_key), (file_key, name_key)] {
        if let (Some(value), None) = (table.get(here), table.get(other)) {
            let message = format!("`{here}` without `{other}`");
            report.add(Finding::error("config-missing", message).fix(format!("add {other}")), &value.span);
        }
    }
    name.zip(secret)
}

fn user_name(text: &str) -> Result<String, scalar::Wrong> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err(("is no user name", "write the name that the target knows"));
    }
    Ok(text.to_owned())
}
