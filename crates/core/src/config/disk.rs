//! `kind = "disk"`: a disk of the server's own for each machine.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::boots::{required, san_kernel};
use super::file::Table;
use super::report::{At, Report};
use super::san::{Chap, SanKernel};
use super::types::BootName;
use super::{iscsi, one_of, san, scalar};
use crate::finding::Finding;

/// What a disk in memory may hold unless `space` says otherwise: a desktop's day, and two hundred of them fit into a server.
pub const RAM_SPACE_DEFAULT: u64 = 1 << 30;

/// What `space` can be. Less than a mebibyte holds no file system's first writes.
const SPACE: RangeInclusive<u64> = 1 << 20..=1 << 50;

/// `kind = "disk"`.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskBoot {
    /// The name of an image.
    pub image: String,
    /// What becomes of what a machine writes.
    pub mode: DiskMode,
    /// What a machine has to prove.
    pub chap: DiskChap,
    /// How many bytes a machine may write over the image; `None` is what the file system has.
    pub space: Option<u64>,
    /// What is started with the disk attached; without one, what is on the disk.
    pub kernel: Option<SanKernel>,
}

/// What becomes of what a machine writes when it boots again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMode {
    /// It stays.
    Persistent,
    /// It goes.
    Reset,
    /// It goes once its first boot was so long ago.
    ResetAfter(Duration),
    /// It goes, and when the server ends: it is in its memory only.
    Ram,
}

/// How a machine logs in to its disk.
#[derive(Clone, Debug, PartialEq)]
pub enum DiskChap {
    /// With a secret of its boot.
    PerBoot,
    /// With what the config says.
    Static(Chap),
    /// Its initiator's name is enough, and the name of the disk, which nobody can guess.
    Off,
}

/// Reads one; `None` when it lacks what it needs, which has been reported.
pub(super) fn disk(name: &At<BootName>, table: &Table<'_>, report: &mut Report<'_>) -> Option<DiskBoot> {
    let image = required(name, table, "image", report);
    let image = image.and_then(|text| scalar::parsed(&text, image_name, report));
    let mode = table.parsed("mode", mode, report).map_or(DiskMode::Persistent, |mode| mode.value);
    let chap = chap(table, report);
    let space = table.parsed("space", scalar::bytes, report);
    if let Some(space) = space.as_ref().filter(|space| !SPACE.contains(&space.value)) {
        let fix = "write 1 MiB to 1024 TiB, or leave it out";
        report.add(Finding::error("config-value", "no usable space").fix(fix), &space.span);
    }
    let default = (mode == DiskMode::Ram).then_some(RAM_SPACE_DEFAULT);
    let space = space.map(|space| space.value).or(default);
    let kernel = san_kernel(name, table, report);
    Some(DiskBoot { image: image?.value, mode, chap: chap?, space, kernel: kernel? })
}

/// Whether an image may be called so: a file of the folder of images, whose ending may be left out.
pub fn is_image_name(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+'));
    plain && !text.is_empty() && !text.starts_with(['.', '-']) && text.len() <= super::NAME_BYTES_MAX
}

fn image_name(text: &str) -> Result<String, scalar::Wrong> {
    if !is_image_name(text) {
        return Err((
            "cannot name an image",
            "write the name of a file of `images`, without folders; the ending can be left out",
        ));
    }
    Ok(text.to_owned())
}

fn mode(text: &str) -> Result<DiskMode, scalar::Wrong> {
    match text {
        "persistent" => Ok(DiskMode::Persistent),
        "reset" => Ok(DiskMode::Reset),
        "ram" => Ok(DiskMode::Ram),
        _ => {
            let wrong = ("is no mode of a disk", "write persistent, reset, reset-after:7d or ram");
            let age = text.strip_prefix("reset-after:").ok_or(wrong)?;
            match scalar::duration(age)? {
                Duration::ZERO => Err(wrong),
                age => Ok(DiskMode::ResetAfter(age)),
            }
        }
    }
}

/// A login in the config means `static`, as nothing else has one.
fn chap(table: &Table<'_>, report: &mut Report<'_>) -> Option<DiskChap> {
    let login = san::chap(table, report);
    iscsi::no_unusable_secret(table, login.as_ref(), report);
    let Some(text) = table.text("chap", report) else {
        return Some(login.map_or(DiskChap::PerBoot, DiskChap::Static));
    };
    let other = match text.value {
        "per-boot" => DiskChap::PerBoot,
        "off" => DiskChap::Off,
        "static" => {
            if login.is_none() && table.get("username").is_none() && table.get("password_file").is_none() {
                let message = "chap = \"static\" without a login";
                let fix = "add username and password_file";
                report.add(Finding::error("config-missing", message).fix(fix), &text.span);
            }
            return login.map(DiskChap::Static);
        }
        other => {
            report.add(one_of("chap", other, &["per-boot", "static", "off"]), &text.span);
            return None;
        }
    };
    if login.is_some() {
        let message = format!("chap = \"{}\" uses no login of the config", text.value);
        let fix = "remove username and password_file, or write chap = \"static\"";
        report.add(Finding::error("config-conflict", message).fix(fix), &text.span);
    }
    Some(other)
}
