//! What a scenario is given.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use bootlace_lab::{Guest, debian};

use crate::project::Project;
use crate::{gate, record};

/// A boot takes 20 to 40 seconds on an idle machine; this is for a busy one. It only ends what hangs.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(400);
/// The same for what takes no more than a second or two.
pub(crate) const STEP_LIMIT: Duration = Duration::from_secs(60);

/// The surroundings of one running scenario.
#[derive(Debug)]
pub(crate) struct Context {
    project: Project,
    dir: PathBuf,
    started: Instant,
}

impl Context {
    pub(crate) fn new(project: &Project, dir: PathBuf) -> Self {
        Self { project: project.clone(), dir, started: Instant::now() }
    }

    /// An empty directory of its own, which is kept when the scenario fails.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The same for a part of it, with a directory below.
    pub(crate) fn part(&self, name: &str) -> Result<Self> {
        let dir = self.dir.join(name.replace('/', "-"));
        std::fs::create_dir(&dir)?;
        Ok(Self { project: self.project.clone(), dir, started: self.started })
    }

    /// The source code, for what is built again.
    pub(crate) fn project(&self) -> &Project {
        &self.project
    }

    /// The server.
    pub(crate) fn bootlace(&self) -> PathBuf {
        self.project.bootlace()
    }

    /// The server as users get it, which is not always built.
    pub(crate) fn bootlace_release(&self) -> Option<PathBuf> {
        self.project.bootlace_release().filter(|path| path.exists())
    }

    /// Cargo in the workspace, for tests that want a long run.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        gate::cargo_command(&self.project, arguments)
    }

    /// What is tested.
    pub(crate) fn commit(&self) -> Result<String> {
        record::commit(&self.project)
    }

    /// What to boot.
    pub(crate) fn guest(&self) -> Result<Guest> {
        Guest::fetch(&self.project.cache_dir())
    }

    /// The contents of a Debian package.
    pub(crate) fn debian(&self, package: &str) -> Result<PathBuf> {
        debian::unpack(&self.project.cache_dir(), package)
    }

    /// Notes in the log how far the scenario has come.
    pub(crate) fn note(&self, what: &str) {
        println!("{:6.1} s  {what}", self.started.elapsed().as_secs_f64());
    }
}
