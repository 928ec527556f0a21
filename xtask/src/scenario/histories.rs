//! A million histories of leases, for the long proof. What a history is says `crates/store/tests/it/histories`.

use std::env;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::{Context, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "lease-histories",
    shows: "a million histories of machines, clocks, disks and power losses keep every promise",
    run: histories,
}];

const SEEDS: Range<u64> = 0..1_000_000;
/// What a run that was cut short does again at most.
const CHUNK: u64 = 20_000;
/// Other seeds, as the test itself takes them: `FIRST..END`.
const OTHER_SEEDS: &str = "BOOTLACE_HISTORIES";

fn histories(context: &Context) -> Result<()> {
    let seeds = match env::var(OTHER_SEEDS) {
        Ok(range) => {
            let (first, end) = range.split_once("..").context("FIRST..END")?;
            first.parse()?..end.parse()?
        }
        Err(_) => SEEDS,
    };
    let mut done = Done::open(context, &seeds)?;
    while done.next < seeds.end {
        let end = seeds.end.min(done.next + CHUNK);
        live(context, done.next..end)?;
        context.note(&format!("seeds {}..{end} of {seeds:?}", seeds.start));
        done.note(end)?;
    }
    done.forget()
}

fn live(context: &Context, seeds: Range<u64>) -> Result<()> {
    let test = "histories::every_promise_outlives_a_power_loss";
    let cargo = ["test", "--profile", "proof", "--package", "bootlace-store", "--test", "it", "--locked"];
    let status = context
        .cargo(&cargo)
        .args(["--offline", "--", "--exact", test, "--nocapture"])
        .env(OTHER_SEEDS, format!("{}..{}", seeds.start, seeds.end))
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "a promise was broken, see above");
    Ok(())
}

/// How far the seeds were lived through on this commit, in a file beside the scenario's folder.
struct Done {
    path: PathBuf,
    commit: String,
    next: u64,
}

impl Done {
    fn open(context: &Context, seeds: &Range<u64>) -> Result<Self> {
        let (path, commit) = (context.dir().with_extension("done"), context.commit()?);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let same = |(former, _): &(&str, &str)| *former == commit && !commit.ends_with("-dirty");
        let next = text.split_once(' ').filter(same).and_then(|(_, next)| next.parse().ok());
        let next = next.filter(|next| seeds.contains(next)).unwrap_or(seeds.start);
        Ok(Self { path, commit, next })
    }

    fn note(&mut self, next: u64) -> Result<()> {
        self.next = next;
        fs::write(&self.path, format!("{} {next}", self.commit)).context("note the progress")
    }

    fn forget(self) -> Result<()> {
        fs::remove_file(&self.path).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error).context("forget the progress"),
        })
    }
}
