//! The shares of a subnet's addresses: its `ranges`, and those that only some machines get.
//!
//! A machine tells other things of itself at every stage of its boot, and must keep one address through all of
//! them (invariant 3). So its share is looked up only when it needs a *new* address, with what it tells then.
//! What it holds stays its own whatever it tells later; and when its lease has ended, the address is still
//! remembered as its own, unless the config itself says that no machine of its standing gets it. The standing
//! hangs on the entry in the config and so on the MAC, which every stage sends.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use crate::boot::rules::{Verdict, list};
use crate::config::{RangesFor, Standing, Subnet};
use crate::model::Facts;

/// One share of a subnet's addresses.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) ranges: Vec<RangeInclusive<Ipv4Addr>>,
    /// Number of addresses.
    pub(super) size: u64,
    for_known: bool,
    for_unknown: bool,
}

impl Share {
    /// Of a subnet: first its `ranges`, then those of `ranges_for` in order.
    pub(super) fn all(subnet: &Subnet) -> Vec<Self> {
        let general = Self::new(&subnet.ranges, |standing| {
            !subnet.ranges_for.iter().any(|entry| takes_all(entry, standing))
        });
        let special = subnet.ranges_for.iter().enumerate().map(|(at, entry)| {
            Self::new(&entry.ranges, |standing| {
                let before = &subnet.ranges_for[..at];
                admits(entry, standing) && !before.iter().any(|entry| takes_all(entry, standing))
            })
        });
        std::iter::once(general).chain(special).collect()
    }

    fn new(ranges: &[RangeInclusive<Ipv4Addr>], is_for: impl Fn(Standing) -> bool) -> Self {
        let width = |range: &RangeInclusive<Ipv4Addr>| {
            u64::from(u32::from(*range.end())) + 1 - u64::from(u32::from(*range.start()))
        };
        Self {
            ranges: ranges.to_vec(),
            size: ranges.iter().map(width).sum(),
            for_known: is_for(Standing::Known),
            for_unknown: is_for(Standing::Unknown),
        }
    }

    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }

    /// Whether some machine of this standing can get an address of it.
    pub(super) fn is_for(&self, standing: Standing) -> bool {
        match standing {
            Standing::Known => self.for_known,
            Standing::Unknown => self.for_unknown,
        }
    }
}

fn admits(entry: &RangesFor, standing: Standing) -> bool {
    entry.standing.is_none_or(|own| own == standing)
}

fn takes_all(entry: &RangesFor, standing: Standing) -> bool {
    admits(entry, standing) && entry.matches.uses().next().is_none()
}

/// The share that a machine gets a new address of, by its place in [`Share::all`], and why.
pub(super) fn choose(subnet: &Subnet, standing: Standing, facts: &Facts) -> (usize, String) {
    let mut others = Vec::new();
    for (at, entry) in subnet.ranges_for.iter().enumerate() {
        let number = at + 1;
        if !admits(entry, standing) {
            others.push(format!("not {number}: the machine is {}", name(standing)));
            continue;
        }
        let tested = entry.matches.test(facts);
        let why = match tested.verdict {
            Verdict::Yes if takes_all(entry, standing) => format!("the machine is {}", name(standing)),
            Verdict::Yes => tested.why,
            Verdict::No => {
                others.push(format!("not {number}: {}", tested.why));
                continue;
            }
            // A decision about an address cannot wait for an answer.
            Verdict::Unknown(vars) => {
                others.push(format!("not {number}: {} is not known", list(&vars)));
                continue;
            }
        };
        return (number, format!("ranges_for {number}: {why}"));
    }
    (0, format!("ranges: {}", others.join("; ")))
}

fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Known => "in the config",
        Standing::Unknown => "not in the config",
    }
}
