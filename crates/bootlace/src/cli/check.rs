//! `bootlace check`.

use std::io;

use anyhow::{Result, bail};
use bootlace_core::config;
use bootlace_core::finding::Severity;
use clap::Args;

use super::ConfigFile;
use super::render::{self, Colour};
use crate::sources;

/// Reads the config and its templates, and says all that is wrong.
#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
}

impl Check {
    pub(super) fn run(&self) -> Result<()> {
        let path = &self.file.config;
        let (source, files) = sources::read(path)?;
        let findings = match config::load(&source, &files) {
            Ok(loaded) => loaded.warnings,
            Err(findings) => findings,
        };
        if !findings.is_empty() {
            let texts = sources::texts(&source, &files);
            eprintln!("{}", render::findings(&findings, &texts, Colour::of(&io::stderr())));
        }
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        if errors > 0 {
            bail!("{} has {errors} {}", path.display(), if errors == 1 { "error" } else { "errors" });
        }
        println!("{} is fine", path.display());
        Ok(())
    }
}
