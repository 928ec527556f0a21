//! Files to fetch, and whether they came whole.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bootlace_lab::Host;

/// Distance of the marks in a sparse file.
const MARK_EVERY: u64 = 4_096;

/// A file of `len` bytes whose every 4 KiB differ.
pub(super) fn write(path: &Path, len: u64) -> Result<()> {
    let file = File::create(path)?;
    file.set_len(len)?;
    for at in (0..len.saturating_sub(8)).step_by(usize::try_from(MARK_EVERY)?) {
        file.write_all_at(&at.to_be_bytes(), at)?;
    }
    Ok(())
}

/// Runs `command` on `host`, which must succeed, and compares what it fetched.
pub(super) fn fetch(host: &Host, command: &mut Command, got: &Path, sent: &Path) -> Result<()> {
    drop(fs::remove_file(got));
    let output = host.namespace().output(command)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}");
    same(got, sent).with_context(|| format!("{command:?}: {said}"))
}

/// That two files are equal.
pub(super) fn same(got: &Path, sent: &Path) -> Result<()> {
    let (got_bytes, sent_bytes) = (fs::read(got)?, fs::read(sent)?);
    ensure!(got_bytes.len() == sent_bytes.len(), "{} bytes of {}", got_bytes.len(), sent_bytes.len());
    ensure!(got_bytes == sent_bytes, "{} is not what was sent", got.display());
    Ok(())
}

/// Runs `command` on `host` and returns all that it printed, and whether it succeeded.
pub(super) fn run(host: &Host, command: &mut Command) -> Result<(bool, String)> {
    let output = host.namespace().output(command)?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said += &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), said))
}

/// `program` with arguments and one path.
pub(super) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Where a client puts what it fetches.
pub(super) fn target(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("got-{name}"))
}
