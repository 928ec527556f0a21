//! `[iscsi]` and `[[iscsi.target]]`: disks that are no machine's boot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::file::Table;
use super::keys::{ISCSI, ISCSI_TARGET};
use super::report::Report;
use super::san::Chap;
use super::{san, scalar, services};
use crate::finding::Finding;

/// The port of RFC 7143.
const PORT: u16 = 3260;
/// Longest iSCSI name (RFC 7143, section 4.2.7.2).
const NAME_BYTES_MAX: usize = 223;
/// `[[iscsi.target]]`, each with a file that stays open.
pub const TARGETS_MAX: usize = 256;

/// `[iscsi]`.
#[derive(Clone, Debug, PartialEq)]
pub struct IscsiConfig {
    /// TCP port.
    pub port: u16,
    /// The disks; without any, nothing listens.
    pub targets: Vec<IscsiTarget>,
}

/// Whether initiators may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetMode {
    /// They may not.
    ReadOnly,
    /// They may, into the file itself.
    ReadWrite,
}

/// Who may use a target: an initiator's name, or how names begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitiatorPattern {
    /// This one.
    Name(String),
    /// All that begin so: written with `*` at the end.
    Prefix(String),
}

impl InitiatorPattern {
    /// Whether it means an initiator. Names have one form and are compared as they are (RFC 3722).
    pub fn matches(&self, initiator: &str) -> bool {
        match self {
            Self::Name(name) => name == initiator,
            Self::Prefix(prefix) => initiator.starts_with(prefix.as_str()),
        }
    }
}

/// `[[iscsi.target]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct IscsiTarget {
    /// Its name.
    pub name: String,
    /// The raw image.
    pub file: PathBuf,
    /// Whether it can be written.
    pub mode: TargetMode,
    /// Who may use it; `None` is everybody.
    pub initiators: Option<Vec<InitiatorPattern>>,
    /// Whether several initiators may use it at a time.
    pub shared: bool,
    /// What they have to prove.
    pub chap: Option<Chap>,
}

/// Reads `[iscsi]`.
pub(super) fn read(top: &Table<'_>, report: &mut Report<'_>) -> IscsiConfig {
    let Some(table) = top.section("iscsi", &ISCSI, report) else {
        return IscsiConfig { port: PORT, targets: Vec::new() };
    };
    let port = table.port("port", PORT, report);
    let mut targets = Vec::new();
    let mut names = BTreeMap::new();
    for table in table.sections("target", &ISCSI_TARGET, report) {
        let Some(target) = target(&table, &mut names, report) else { continue };
        if targets.len() == TARGETS_MAX {
            let message = format!("more than {TARGETS_MAX} targets");
            report.add(Finding::error("config-value", message).fix("remove some"), &table.span);
            break;
        }
        targets.push(target);
    }
    IscsiConfig { port, targets }
}

fn target(
    table: &Table<'_>,
    names: &mut BTreeMap<String, usize>,
    report: &mut Report<'_>,
) -> Option<IscsiTarget> {
    for key in ["name", "file"] {
        if table.get(key).is_none() {
            let message = format!("a target has no `{key}`");
            report.add(
                Finding::error("config-missing", message).fix(format!("add {key} = \"...\"")),
                &table.span,
            );
        }
    }
    let name = table.parsed("name", iscsi_name, report);
    if let Some(name) = &name
        && let Some(first) = names.insert(name.value.clone(), name.span.start)
    {
        let message = format!("the target {} is already on line {}", name.value, report.line(first));
        report.add(Finding::error("config-duplicate", message).fix("give it another name"), &name.span);
    }
    let file = services::path(table, "file", report);
    let mode = mode(table, report);
    let initiators = table.get("initiators").is_some().then(|| {
        let patterns = table.all_parsed("initiators", pattern, report);
        patterns.into_iter().map(|pattern| pattern.value).collect()
    });
    let shared = table.flag("shared", report).unwrap_or(mode == TargetMode::ReadOnly);
    let chap = san::chap(table, report);
    no_unusable_secret(table, chap.as_ref(), report);
    Some(IscsiTarget { name: name?.value, file: file?, mode, initiators, shared, chap })
}

fn mode(table: &Table<'_>, report: &mut Report<'_>) -> TargetMode {
    let Some(text) = table.text("mode", report) else { return TargetMode::ReadOnly };
    match text.value {
        "read-only" => TargetMode::ReadOnly,
        "read-write" => TargetMode::ReadWrite,
        other => {
            report.add(super::one_of("mode", other, &["read-only", "read-write"]), &text.span);
            TargetMode::ReadOnly
        }
    }
}

fn iscsi_name(text: &str) -> Result<String, scalar::Wrong> {
    let typed = san::NAME_TYPES.iter().any(|start| text.starts_with(start));
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b',' | b'"'));
    if !typed || !plain || text.len() > NAME_BYTES_MAX || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(("is no iSCSI name", "write it in lower case, as iqn.2007-08.com.example:disk"));
    }
    Ok(text.to_owned())
}

fn pattern(text: &str) -> Result<InitiatorPattern, scalar::Wrong> {
    let wrong =
        ("is no name of an initiator", "write it as iqn.2007-08.com.example:host, or with a * at the end");
    let (name, prefix) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
    if !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*') || name.len() > NAME_BYTES_MAX {
        return Err(wrong);
    }
    match (prefix, name.is_empty()) {
        (true, _) => Ok(InitiatorPattern::Prefix(name.to_owned())),
        (false, false) => Ok(InitiatorPattern::Name(name.to_owned())),
        (false, true) => Err(wrong),
    }
}

/// As a target we take no secret that could be found by trying, and none that answers in both directions.
pub(super) fn no_unusable_secret(table: &Table<'_>, chap: Option<&Chap>, report: &mut Report<'_>) {
    use bootlace_wire::iscsi::limits::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};
    let Some(chap) = chap else { return };
    let reverse = chap.reverse.as_ref().map(|(_, secret)| secret);
    let secrets = [("password_file", Some(&chap.password)), ("reverse_password_file", reverse)];
    for (key, secret) in secrets {
        let (Some(secret), Some(value)) = (secret, table.get(key)) else { continue };
        let bytes = secret.expose().len();
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes) {
            let message = format!("the secret has {bytes} bytes");
            let fix = format!("use {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}");
            report.add(Finding::error("config-value", message).fix(fix), &value.span);
        }
    }
    if reverse == Some(&chap.password)
        && let Some(value) = table.get("reverse_password_file")
    {
        let message = "both directions use the same secret, so that each could pass for the other";
        report.add(Finding::error("config-conflict", message).fix("choose another one"), &value.span);
    }
}
