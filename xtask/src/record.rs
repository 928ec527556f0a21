//! What `test --full` remembers, so that a long run can be taken up again.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::project::Project;

/// Whether a full run builds on the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    Resume,
    Forget,
}

/// The scenarios that passed, in `target/lab/full.toml`.
#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    commit: String,
    file: RecordFile,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct RecordFile {
    passed: BTreeMap<String, Passed>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Passed {
    /// The commit that it passed on.
    commit: String,
    seconds: f64,
}

impl Record {
    pub(crate) fn open(project: &Project, memory: Memory) -> Result<Self> {
        let path = project.lab_dir().join("full.toml");
        let file = match fs::read_to_string(&path) {
            Ok(text) if memory == Memory::Resume => {
                toml::from_str(&text).with_context(|| format!("{}", path.display()))?
            }
            _ => RecordFile::default(),
        };
        Ok(Self { path, commit: commit(project)?, file })
    }

    /// The commit that `name` passed on.
    pub(crate) fn passed_on(&self, name: &str) -> Option<&str> {
        self.file.passed.get(name).map(|passed| passed.commit.as_str())
    }

    /// Remembers that `name` passed, at once, since the run may be cut short.
    pub(crate) fn pass(&mut self, name: &str, seconds: f64) -> Result<()> {
        let passed = Passed { commit: self.commit.clone(), seconds };
        self.file.passed.insert(name.to_owned(), passed);
        fs::write(&self.path, toml::to_string(&self.file)?)
            .with_context(|| format!("write {}", self.path.display()))
    }
}

fn commit(project: &Project) -> Result<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .current_dir(project.root())
        .output()
        .context("run git")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
