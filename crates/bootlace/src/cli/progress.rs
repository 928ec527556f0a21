//! Copies that take long, and how far they are.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bootlace_disk::Disk;

use super::table;

/// Writes a disk to a new file.
pub(super) fn copy(disk: &Disk, to: &Path) -> Result<()> {
    ensure!(!to.try_exists().unwrap_or(false), "{} exists already", to.display());
    let size = disk.size();
    let mut progress = Progress { size, shown: None };
    let copied = disk.export(to, &mut |done| progress.show(done));
    progress.clear();
    copied.with_context(|| format!("{} cannot be written", to.display()))
}

/// How much of a long copy is done, where somebody looks.
struct Progress {
    size: u64,
    /// Percents.
    shown: Option<u64>,
}

impl Progress {
    fn show(&mut self, done: u64) {
        let percents = done * 100 / self.size.max(1);
        if self.shown == Some(percents) || !io::stderr().is_terminal() {
            return;
        }
        self.shown = Some(percents);
        let size = table::bytes(self.size);
        // Who cannot be shown it misses nothing.
        let _ = write!(io::stderr(), "\r{percents:3} % of {size}").and_then(|()| io::stderr().flush());
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
