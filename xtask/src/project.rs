//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace and the program that works on it.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    root: PathBuf,
    /// This program. Asked once, at the start: a build may replace the file while we run, after which the
    /// kernel's answer names a deleted file.
    exe: PathBuf,
}

impl Project {
    pub(crate) fn find() -> Result<Self> {
        // Set at run time by `cargo run`, so that a build directory shared by several checkouts does no harm.
        let manifest_dir =
            std::env::var_os("CARGO_MANIFEST_DIR").context("start this by `cargo xtask`, not by itself")?;
        let root = Path::new(&manifest_dir).parent().context("xtask lies in the workspace")?;
        Ok(Self { root: root.to_owned(), exe: std::env::current_exe()? })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn exe(&self) -> &Path {
        &self.exe
    }

    /// The server that `cargo build` puts beside this program.
    pub(crate) fn bootlace(&self) -> PathBuf {
        self.exe.with_file_name("bootlace")
    }

    /// The same, built as users get it.
    pub(crate) fn bootlace_release(&self) -> Option<PathBuf> {
        Some(self.exe.parent()?.parent()?.join("release/bootlace"))
    }

    /// Everything that labs leave behind.
    pub(crate) fn lab_dir(&self) -> PathBuf {
        self.root.join("target/lab")
    }

    /// Downloads, which survive.
    pub(crate) fn cache_dir(&self) -> PathBuf {
        self.lab_dir().join("cache")
    }
}
