//! The rules of a contest: turns, medians and ratios.

use std::time::Duration;

use anyhow::{Context, Result};

/// One piece of work and the servers that do it, Bootlace first.
pub(super) struct Contest<'a> {
    /// The work in a few words.
    pub(super) work: String,
    /// What is counted, in the singular: "MiB", "exchange".
    pub(super) unit: &'static str,
    /// What Bootlace has to reach.
    pub(super) floor: Floor,
    /// Where it should end, in words.
    pub(super) end: &'static str,
    /// Bootlace, then its peers.
    pub(super) subjects: Vec<Subject<'a>>,
}

/// What Bootlace has to reach against the fastest peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    /// At least so many times its rate.
    pub(super) rate: f64,
    /// At most this part of its CPU time per operation.
    pub(super) cpu: Option<f64>,
}

/// A running server and how to put it to work.
pub(super) struct Subject<'a> {
    pub(super) name: &'static str,
    /// Does the work once.
    pub(super) measure: Box<dyn FnMut() -> Result<Sample> + 'a>,
}

/// One turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) operations: f64,
    pub(super) elapsed: Duration,
    /// CPU time of the server alone.
    pub(super) cpu: Duration,
    pub(super) bound: Bound,
}

/// What kept a turn from going faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// The server, as far as one can tell.
    Server,
    /// The load generator, which sent less than it was asked to.
    Load,
}

impl Sample {
    pub(super) fn rate(&self) -> f64 {
        self.operations / self.elapsed.as_secs_f64()
    }

    pub(super) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.operations
    }
}

/// How a contest ended.
#[derive(Debug)]
pub(super) struct Standings {
    pub(super) work: String,
    pub(super) unit: &'static str,
    pub(super) floor: Floor,
    pub(super) end: &'static str,
    /// Bootlace, then its peers from the fastest down.
    pub(super) places: Vec<Place>,
    /// What kept Bootlace from going faster, most of the time.
    pub(super) bound: Bound,
}

/// Medians of one server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) name: &'static str,
    /// Operations per second.
    pub(super) rate: f64,
    pub(super) cpu_micros: f64,
    /// Bootlace's rate over this one's, and Bootlace's CPU time per operation over this one's: medians of the
    /// ratios within each round.
    pub(super) rate_ratio: f64,
    pub(super) cpu_ratio: f64,
}

impl Contest<'_> {
    /// One round to warm up, then `rounds` in which all servers take turns, each round from another one on: what
    /// else the computer does hits all of them.
    pub(super) fn run(mut self, rounds: u32) -> Result<Standings> {
        let count = self.subjects.len();
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); count];
        for round in 0..=rounds as usize {
            for turn in 0..count {
                let index = (round + turn) % count;
                let subject = &mut self.subjects[index];
                let sample =
                    (subject.measure)().with_context(|| format!("{}, {}", self.work, subject.name))?;
                let (rate, cpu, unit) = (sample.rate(), sample.cpu_micros(), self.unit);
                let mark = if round == 0 { "warm-up" } else { "" };
                println!(
                    "{:<42} {:<10} {rate:>10.0} {unit}/s {cpu:>8.1} us CPU each  {mark}",
                    self.work, subject.name
                );
                if round > 0 {
                    samples[index].push(sample);
                }
            }
        }
        let names = self.subjects.iter().map(|subject| subject.name);
        let samples: Vec<_> = names.zip(samples).collect();
        let bound = samples.first().map_or(Bound::Server, |(_, ours)| bound(ours));
        let places = rank(&samples);
        Ok(Standings { work: self.work, unit: self.unit, floor: self.floor, end: self.end, places, bound })
    }
}

impl Standings {
    /// What is missing to the floor, if anything is. A rate that is the load generator's is no shortfall.
    pub(super) fn shortfall(&self) -> Option<String> {
        let best = self.places.get(1)?;
        let (floor, work) = (&self.floor, &self.work);
        if best.rate_ratio < floor.rate && self.bound == Bound::Server {
            return Some(format!(
                "{work}: {:.2} x the rate of {}, not {}",
                best.rate_ratio, best.name, floor.rate
            ));
        }
        let cpu = floor.cpu.filter(|cpu| best.cpu_ratio > *cpu)?;
        Some(format!("{work}: {:.2} of the CPU time of {}, not {cpu:.2}", best.cpu_ratio, best.name))
    }
}

fn bound(samples: &[Sample]) -> Bound {
    let by_load = samples.iter().filter(|sample| sample.bound == Bound::Load).count();
    if by_load * 2 > samples.len() { Bound::Load } else { Bound::Server }
}

fn rank(subjects: &[(&'static str, Vec<Sample>)]) -> Vec<Place> {
    let Some((_, ours)) = subjects.first() else { return Vec::new() };
    let mut places: Vec<Place> = subjects
        .iter()
        .map(|(name, samples)| {
            let ratios = |value: fn(&Sample) -> f64| {
                median(ours.iter().zip(samples).map(|(ours, theirs)| value(ours) / value(theirs)).collect())
            };
            Place {
                name,
                rate: median(samples.iter().map(Sample::rate).collect()),
                cpu_micros: median(samples.iter().map(Sample::cpu_micros).collect()),
                rate_ratio: ratios(Sample::rate),
                cpu_ratio: ratios(Sample::cpu_micros),
            }
        })
        .collect();
    places[1..].sort_by(|a, b| b.rate.total_cmp(&a.rate));
    places
}

/// The middle value; of an even number of them the mean of the middle two.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    match (values.get(upper), values.len().is_multiple_of(2)) {
        (Some(value), false) => *value,
        (Some(value), true) => (values[upper - 1] + value) / 2.0,
        (None, _) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(operations: f64, seconds: u64, cpu_millis: u64) -> Sample {
        let (elapsed, cpu) = (Duration::from_secs(seconds), Duration::from_millis(cpu_millis));
        Sample { operations, elapsed, cpu, bound: Bound::Server }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn the_load_is_the_limit_when_it_mostly_was() {
        let by = |bound| Sample { bound, ..sample(1.0, 1, 1) };
        let (load, server) = (by(Bound::Load), by(Bound::Server));
        assert_eq!(bound(&[load, server, load]), Bound::Load);
        assert_eq!(bound(&[load, server]), Bound::Server);
        assert_eq!(bound(&[]), Bound::Server);
    }

    #[test]
    fn the_fastest_peer_is_the_one_to_beat() {
        // The second round found the computer busy: the rates fell, their ratio did not.
        let samples = |scale: f64| vec![sample(100.0 * scale, 1, 10), sample(50.0 * scale, 1, 10)];
        let places = rank(&[("ours", samples(4.0)), ("slow", samples(1.0)), ("fast", samples(2.0))]);
        let names: Vec<_> = places.iter().map(|place| place.name).collect();
        assert_eq!(names, ["ours", "fast", "slow"]);
        assert_eq!((places[1].rate_ratio, places[2].rate_ratio), (2.0, 4.0));
        assert_eq!((places[1].cpu_ratio, places[0].rate), (0.5, 300.0));
    }

    #[test]
    fn a_floor_holds_for_rate_and_cpu() {
        let places = rank(&[("ours", vec![sample(300.0, 1, 100)]), ("peer", vec![sample(150.0, 1, 100)])]);
        let judge = |rate, cpu, bound| {
            let floor = Floor { rate, cpu };
            Standings { work: "work".to_owned(), unit: "op", floor, end: "", places: places.clone(), bound }
                .shortfall()
        };
        let shortfall = |rate, cpu| judge(rate, cpu, Bound::Server);
        assert_eq!(shortfall(2.0, None), None);
        assert_eq!(shortfall(2.5, None).unwrap(), "work: 2.00 x the rate of peer, not 2.5");
        assert_eq!(shortfall(1.0, Some(0.5)), None);
        assert_eq!(shortfall(1.0, Some(0.25)).unwrap(), "work: 0.50 of the CPU time of peer, not 0.25");
        assert_eq!(judge(2.5, None, Bound::Load), None, "nobody knows how fast it would have been");
        assert!(judge(2.5, Some(0.25), Bound::Load).is_some(), "its CPU time is known");
    }
}
