//! The index and a walk over all machines agree.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::Open;
use super::{Recognised, known, recognise};
use crate::boot::rules::can_be_asked;
use crate::config::{BootName, Machine, Machines, Overrides};
use crate::finding::Trail;
use crate::model::{Facts, Reporting, Uuid, Var};

const UUIDS: [&str; 3] = [
    "4c4c4544-0039-4e10-804e-b9c04f4d344a",
    "44454c4c-3900-104e-804e-b9c04f4d344a",
    "11111111-2222-3333-4444-555555555555",
];

fn mac(number: u8) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

fn boot(number: u8) -> BootName {
    BootName::new(&format!("boot{number}")).unwrap()
}

/// Few values, so that machines and facts meet often. Several machines may have the same: the first counts.
fn machines() -> impl Strategy<Value = Machines> {
    let machine = (
        proptest::collection::vec(0..6_u8, 0..3),
        proptest::option::of(0..UUIDS.len()),
        proptest::option::of("[xX][12]"),
        proptest::option::of(0..3_u8),
        proptest::bool::weighted(0.2),
    );
    proptest::collection::vec(machine, 0..12).prop_map(|all| {
        let named = all.into_iter().enumerate().map(|(at, (macs, uuid, serial, its_boot, ignore))| Machine {
            name: format!("m{at}"),
            macs: macs.into_iter().map(|number| mac(number).parse().unwrap()).collect(),
            uuid: uuid.map(|at| UUIDS[at].parse::<Uuid>().unwrap()),
            client_id: None,
            serial,
            address: None,
            overrides: Overrides { boot: its_boot.map(boot), ignore, ..Overrides::default() },
        });
        named.collect()
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    let values = (
        proptest::option::of(0..9_u8),
        proptest::option::of(0..UUIDS.len()),
        proptest::option::of("[xX][123]"),
        any::<bool>(),
    );
    values.prop_map(|(its_mac, uuid, serial, asked)| {
        let mut facts = Facts::new();
        facts.set(Var::Mac, its_mac.map(mac).unwrap_or_default().as_str());
        facts.set(Var::Uuid, uuid.map_or("", |at| UUIDS[at]));
        facts.set(Var::Serial, serial.unwrap_or_default().as_str());
        if asked {
            facts.reporting = Reporting::Done;
        }
        facts
    })
}

/// The plain way: one machine after another.
fn walk<'c>(machines: &'c [Machine], facts: &Facts) -> Result<&'c Machine, Vec<Open<'c>>> {
    let by_mac = || machines.iter().find(|m| facts.mac().is_some_and(|mac| m.macs.contains(&mac)));
    let is_uuid = |m: &Machine| m.uuid.zip(facts.uuid()).is_some_and(|(a, b)| a.same_machine(b));
    let by_uuid = || machines.iter().find(|m| is_uuid(m));
    let serial = facts.get(Var::Serial).map(str::to_lowercase);
    let is_serial = |m: &Machine| m.serial.as_ref().is_some_and(|own| Some(own.to_lowercase()) == serial);
    let by_serial = || machines.iter().find(|m| is_serial(m));
    if let Some(machine) = by_mac().or_else(by_uuid).or_else(by_serial) {
        return Ok(machine);
    }
    let open = |var| facts.get(var).is_none() && can_be_asked(var, facts);
    let vars_of = |machine: &Machine| {
        let has = [
            (Var::Mac, !machine.macs.is_empty()),
            (Var::Uuid, machine.uuid.is_some()),
            (Var::Serial, machine.serial.is_some()),
        ];
        let other = facts.mac().is_some() && !machine.macs.is_empty();
        let vars = has.into_iter().filter(|&(var, has)| has && !other && open(var)).map(|(var, _)| var);
        vars.collect::<BTreeSet<Var>>()
    };
    let all = machines.iter().map(|machine| Open { vars: vars_of(machine), overrides: &machine.overrides });
    Err(all.filter(|open| !open.vars.is_empty()).collect())
}

/// What a choice takes from the open entries when the walk ends at `end`: what to ask, and which boots may come.
fn weight<'c>(mut open: Vec<Open<'c>>, end: &BootName) -> (BTreeSet<Var>, BTreeSet<Option<&'c BootName>>) {
    while open.last().is_some_and(|open| open.is_moot(end)) {
        open.pop();
    }
    let vars = open.iter().flat_map(|open| open.vars.iter().copied()).collect();
    (vars, open.iter().map(|open| open.overrides.boot.as_ref()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn index_and_walk_agree(machines in machines(), facts in facts(), end in 0..4_u8) {
        let mut trail = Trail::default();
        match (recognise(&machines, &facts, &mut trail), walk(&machines, &facts)) {
            (Recognised::Is(machine), Ok(expected)) => {
                prop_assert_eq!(&machine.name, &expected.name);
                prop_assert_eq!(&trail.0[0].what, &format!("machine {}", expected.name));
            }
            (Recognised::MayBe(candidates), Err(expected)) => {
                let first = machines.iter().find(|m| expected.first().is_some_and(|e| std::ptr::eq(e.overrides, &m.overrides)));
                let may_be = match (first, expected.len()) {
                    (None, _) => String::new(),
                    (Some(machine), 1) => format!("; may be {}", machine.name),
                    (Some(machine), count) => format!("; may be {} or one of {} more", machine.name, count - 1),
                };
                let said = trail.0.first().map(|step| step.result.clone()).unwrap_or_default();
                let expected_text = format!("none of {} in the config by {}{may_be}", machines.len(), known(&facts));
                prop_assert_eq!(said, if machines.is_empty() { String::new() } else { expected_text });
                let open: Vec<Open<'_>> = candidates
                    .into_iter()
                    .map(|(machine, vars)| Open { vars, overrides: &machine.overrides })
                    .collect();
                prop_assert_eq!(weight(open, &boot(end)), weight(expected, &boot(end)));
            }
            (_, expected) => prop_assert!(false, "one knows it, the other does not: {}", expected.is_ok()),
        }
    }
}
