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
        Self::load(project.lab_dir().join("full.toml"), commit(project)?, memory)
    }

    fn load(path: PathBuf, commit: String, memory: Memory) -> Result<Self> {
        let file = match fs::read_to_string(&path) {
            Ok(text) if memory == Memory::Resume => {
                toml::from_str(&text).with_context(|| format!("{}", path.display()))?
            }
            _ => RecordFile::default(),
        };
        Ok(Self { path, commit, file })
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

/// The commit that is checked out; it ends with `-dirty` when files have changed since.
pub(crate) fn commit(project: &Project) -> Result<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .current_dir(project.root())
        .output()
        .context("run git")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_where_the_last_one_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let open = |commit: &str, memory| {
            Record::load(dir.path().join("full.toml"), commit.to_owned(), memory).unwrap()
        };
        open("aaa", Memory::Resume).pass("one", 1.5).unwrap();
        open("bbb", Memory::Resume).pass("two", 2.0).unwrap();
        let resumed = open("ccc", Memory::Resume);
        assert_eq!(resumed.passed_on("one"), Some("aaa"));
        assert_eq!(resumed.passed_on("two"), Some("bbb"));
        assert_eq!(resumed.passed_on("three"), None);
        assert_eq!(open("ccc", Memory::Forget).passed_on("one"), None);
    }
}
