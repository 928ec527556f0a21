//! Runs scenarios, each in a sandbox of its own, two at a time.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bootlace_lab::output::Output;
use bootlace_lab::sandbox;

use crate::plan::{Load, Planned};
use crate::project::Project;

/// A machine in software emulation keeps one core busy; the gate is made for two.
const SIDE_BY_SIDE: usize = 2;
/// A scenario that takes this many times what `gate.toml` says hangs.
const HANG_FACTOR: u32 = 10;
/// A short scenario on a busy computer gets at least this, which is more than any single wait inside of it may
/// take: that one's message says more.
const HANG_SECONDS_MIN: u32 = 900;

/// Which directories in `target/lab` survive the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logs {
    OfFailures,
    Keep,
}

/// How one scenario went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) seconds: f64,
    pub(crate) result: Result<()>,
}

/// Runs all of `plan` and calls `report` after each. Those that want to be alone come last.
pub(crate) fn run(
    project: &Project,
    plan: Vec<Planned>,
    logs: Logs,
    report: impl FnMut(&Outcome) + Send,
) -> Vec<Outcome> {
    let (alone, mut shared): (Vec<_>, Vec<_>) =
        plan.into_iter().partition(|planned| planned.load == Load::Alone);
    // The long ones first, so that none of them runs on by itself at the end.
    shared.sort_by_key(|planned| std::cmp::Reverse(planned.seconds));
    let done = Mutex::new((Vec::new(), report));
    for (plan, workers) in [(shared, SIDE_BY_SIDE), (alone, 1)] {
        let queue = Mutex::new(VecDeque::from(plan));
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(planned) = next(&queue) {
                        let outcome = run_one(project, &planned, logs);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        (done.1)(&outcome);
                        done.0.push(outcome);
                    }
                });
            }
        });
    }
    done.into_inner().unwrap_or_else(PoisonError::into_inner).0
}

fn next(queue: &Mutex<VecDeque<Planned>>) -> Option<Planned> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn run_one(project: &Project, planned: &Planned, logs: Logs) -> Outcome {
    let name = planned.scenario.name;
    let dir = project.lab_dir().join(name);
    let started = Instant::now();
    let result = in_sandbox(project, planned, &dir);
    let seconds = started.elapsed().as_secs_f64();
    let result = match result {
        Ok(()) if logs == Logs::OfFailures => fs::remove_dir_all(&dir).context("remove the logs"),
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(format!("logs are in {}", shown(project, &dir).display()))),
    };
    Outcome { name, seconds, result }
}

fn in_sandbox(project: &Project, planned: &Planned, dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("empty {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let name = planned.scenario.name;
    let arguments = ["lab".as_ref(), "inside".as_ref(), name.as_ref(), dir.as_os_str()];
    let mut child = sandbox::command(project.exe(), arguments)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start a sandbox")?;
    let output = Output::new(name);
    let log = dir.join("scenario.log");
    output.follow(child.stdout.take().context("stdout is a pipe")?, &log)?;
    output.follow(child.stderr.take().context("stderr is a pipe")?, &log)?;
    let limit = planned.seconds.saturating_mul(HANG_FACTOR).max(HANG_SECONDS_MIN);
    let ended = output.wait_closed(Duration::from_secs(u64::from(limit)));
    if ended.is_err() {
        child.kill().context("end a sandbox")?;
    }
    let status = child.wait().context("wait for a sandbox")?;
    ended?;
    ensure!(status.success(), "{}", output.text().trim_end());
    Ok(())
}

fn shown(project: &Project, dir: &Path) -> PathBuf {
    dir.strip_prefix(project.root()).unwrap_or(dir).to_owned()
}
