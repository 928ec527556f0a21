//! Precedence, machines, and what is asked.

use std::collections::BTreeSet;

use bootlace_core::boot::choose::{self, Choice, Outcome};
use bootlace_core::boot::loader::Loader;
use bootlace_core::config::Config;
use bootlace_core::event::DecidedBy;
use bootlace_core::model::{Facts, Text, Timestamp, Var};
use bootlace_core::oneshot::{Offered, OneShot, OneShots, Owner, Stage, Taker};
use bootlace_core::session::SessionId;

use super::sample::{add_boot, config, done, facts, linux, machine, name, rule};

const WEB1: &str = "00:12:34:56:78:90";
const UUID: &str = "4c4c4544-0039-4e10-804e-b9c04f4d344a";
const UUID_SWAPPED: &str = "44454c4c-3900-104e-804e-b9c04f4d344a";

/// Without one-shots.
fn choose<'c>(config: &'c Config, facts: &Facts, pick: Option<&str>) -> Choice<'c> {
    choose::choose(config, Offered::default(), facts, pick)
}

#[track_caller]
fn decided(choice: &Choice<'_>) -> (String, DecidedBy) {
    match &choice.outcome {
        Outcome::Decided { boot, by } => (boot.to_string(), by.clone()),
        Outcome::Ask { vars } => panic!("asks for {vars:?}: {:#?}", choice.trail),
    }
}

#[track_caller]
fn asked(choice: &Choice<'_>) -> BTreeSet<Var> {
    match &choice.outcome {
        Outcome::Ask { vars } => vars.clone(),
        Outcome::Decided { boot, by } => panic!("decided {boot} by {by:?}: {:#?}", choice.trail),
    }
}

fn mac(text: &str) -> Facts {
    facts(&[(Var::Mac, text)])
}

#[test]
fn machine_then_rules_then_default() {
    let mut config = config();
    config.machines.extend([machine("web1", &[WEB1], Some("pxelinux"))]);
    config.machines.extend([machine("plain", &["00:12:34:56:78:91"], None)]);
    let number = rule(&mut config, &[("mac", &["00:12:34:*"])], Some("rescue"));
    let by = |text| decided(&choose(&config, &mac(text), None));
    assert_eq!(by(WEB1), ("pxelinux".into(), DecidedBy::Machine("web1".into())));
    assert_eq!(by("00:12:34:56:78:91"), ("rescue".into(), DecidedBy::Rule(number)));
    assert_eq!(by("52:54:00:00:00:01"), ("local".into(), DecidedBy::Default));
}

#[test]
fn the_first_rule_with_a_boot_ends_the_walk() {
    let mut config = config();
    rule(&mut config, &[("mac", &["52:*"])], None);
    rule(&mut config, &[("mac", &["52:54:*"])], Some("rescue"));
    rule(&mut config, &[("mac", &["52:54:00:*"])], Some("san"));
    for (at, (loader, key)) in [("first", "a"), ("second", "b"), ("third", "c")].into_iter().enumerate() {
        let overrides = &mut config.rules[at].overrides;
        overrides.loader = Some(Loader::File(loader.into()));
        overrides.vars =
            [(key.to_owned(), loader.to_owned()), ("shared".to_owned(), loader.to_owned())].into();
    }
    let choice = choose(&config, &mac("52:54:00:00:00:01"), None);
    assert_eq!(decided(&choice).0, "rescue");
    assert_eq!(choice.settings.loader, Some(Loader::File("first".into())), "the earlier wins");
    let vars: Vec<_> = choice.settings.vars.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(vars, [("a", "first"), ("b", "second"), ("shared", "first")]);
    let what: Vec<_> = choice.trail.0.iter().map(|line| line.what.as_ref()).collect();
    assert_eq!(what, ["rule 1", "rule 2"]);
    assert!(choice.trail.0[0].result.contains("sets no boot"), "{:?}", choice.trail);
}

#[test]
fn machines_are_known_by_mac_uuid_and_serial_in_this_order() {
    let mut config = config();
    let mut by_uuid = machine("by-uuid", &[], Some("rescue"));
    by_uuid.uuid = Some(UUID.parse().unwrap());
    let mut by_serial = machine("by-serial", &[], Some("san"));
    by_serial.serial = Some("Abc 1".into());
    config.machines = vec![by_serial, by_uuid, machine("by-mac", &[WEB1], Some("custom"))].into();
    let everything = [(Var::Mac, WEB1), (Var::Uuid, UUID), (Var::Serial, "abc 1")];
    let found = |known: &[(Var, &str)]| {
        choose(&config, &done(facts(known)), None).machine.map(|machine| machine.name.clone())
    };
    assert_eq!(found(&everything).as_deref(), Some("by-mac"));
    assert_eq!(found(&everything[1..]).as_deref(), Some("by-uuid"));
    assert_eq!(found(&everything[2..]).as_deref(), Some("by-serial"));
    assert_eq!(found(&[(Var::Uuid, UUID_SWAPPED)]).as_deref(), Some("by-uuid"));
    assert_eq!(found(&[(Var::Uuid, "00000000-0000-0000-0000-000000000000")]), None);
    let choice = choose(&config, &done(facts(&[(Var::Uuid, UUID_SWAPPED)])), None);
    assert!(choice.trail.0[0].result.contains("other byte order"), "{:?}", choice.trail);
}

#[test]
fn a_machine_that_may_still_turn_out_is_asked_for() {
    let mut config = config();
    let mut known = machine("known", &[WEB1], Some("rescue"));
    known.serial = Some("S0".into());
    config.machines.extend([known]);
    // It lists MACs, and this is none of them: nothing to ask.
    assert_eq!(decided(&choose(&config, &mac("52:54:00:00:00:01"), None)).0, "local");
    let mut secret = machine("secret", &[], Some("san"));
    secret.serial = Some("S1".into());
    config.machines.extend([secret]);
    // The SAN's initiator reads the machine's name, which is by MAC where there is no entry: known already.
    let choice = choose(&config, &mac("52:54:00:00:00:01"), None);
    assert_eq!(asked(&choice), [Var::Serial].into());
    assert!(choice.trail.0[0].result.contains("may be secret"), "{:?}", choice.trail);
    let reported = done(facts(&[(Var::Mac, "52:54:00:00:00:01"), (Var::Serial, "s1")]));
    assert_eq!(decided(&choose(&config, &reported, None)).1, DecidedBy::Machine("secret".into()));
    assert_eq!(decided(&choose(&config, &done(mac("52:54:00:00:00:01")), None)).1, DecidedBy::Default);
    assert_eq!(decided(&choose(&config, &mac(WEB1), None)).0, "rescue");
}

#[test]
fn what_is_asked_is_what_can_still_change_the_outcome() {
    let mut config = config();
    add_boot(&mut config, "asset-args", linux("asset={{ client.asset }}"));
    rule(&mut config, &[("manufacturer", &["Dell*"])], Some("asset-args"));
    rule(&mut config, &[("mac", &["00:*"]), ("product", &["*"])], Some("san"));
    rule(&mut config, &[("mac", &["52:*"])], Some("custom"));
    rule(&mut config, &[("hostname", &["x"])], Some("san"));
    // Rule 2 is excluded by its MAC, rule 4 is behind the one that matches; custom reads the serial.
    let known = facts(&[(Var::Mac, "52:54:00:00:00:01")]);
    assert_eq!(asked(&choose(&config, &known, None)), [Var::Manufacturer, Var::Asset, Var::Serial].into());
    let known = facts(&[(Var::Mac, "52:54:00:00:00:01"), (Var::Manufacturer, "QEMU")]);
    assert_eq!(decided(&choose(&config, &known, None)), ("custom".into(), DecidedBy::Rule(3)));
}

#[test]
fn an_open_rule_that_changes_nothing_is_not_asked_about() {
    let mut config = config();
    rule(&mut config, &[("manufacturer", &["Dell*"])], Some("local"));
    assert_eq!(decided(&choose(&config, &mac(WEB1), None)), ("local".into(), DecidedBy::Default));
    // In front of one that does change something it matters again.
    rule(&mut config, &[("product", &["X*"])], Some("rescue"));
    assert_eq!(asked(&choose(&config, &mac(WEB1), None)), [Var::Manufacturer, Var::Product].into());
    // And so does one with settings.
    config.rules.pop();
    config.rules[0].overrides.ignore = true;
    assert_eq!(asked(&choose(&config, &mac(WEB1), None)), [Var::Manufacturer].into());
}

#[test]
fn a_pick_counts_only_when_a_menu_leads_there() {
    let mut config = config();
    config.machines.extend([machine("web1", &[WEB1], Some("menu"))]);
    let pick = |text| decided(&choose(&config, &done(mac(WEB1)), Some(text)));
    assert_eq!(pick("rescue"), ("rescue".into(), DecidedBy::Menu(name("menu"))));
    assert_eq!(pick("san"), ("san".into(), DecidedBy::Menu(name("more"))), "an entry of a menu below");
    // `more` leads back to `menu`: that ends, too.
    for unknown in ["custom", "nothing", "", "web1\n"] {
        assert_eq!(pick(unknown), ("menu".into(), DecidedBy::Machine("web1".into())), "{unknown}");
    }
    let other = choose(&config, &done(mac("52:54:00:00:00:01")), Some("rescue"));
    assert_eq!(decided(&other), ("local".into(), DecidedBy::Default), "no menu, no pick");
    assert!(other.trail.0.last().unwrap().result.contains("no menu"), "{:?}", other.trail);
}

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn armed(owner: &str, boot: &str) -> OneShots {
    let shot = OneShot { boot: name(boot), confirm: None, armed: NOW, expires: None, stage: Stage::Armed };
    OneShots([(Owner::named(owner), shot)].into())
}

fn next<'a>(shots: &'a OneShots) -> Offered<'a> {
    Offered { all: Some(shots), asker: None, now: NOW }
}

fn told(choice: &Choice<'_>) -> Option<String> {
    let line = choice.trail.0.iter().find(|line| line.what == "one-shot")?;
    Some(line.result.to_string())
}

#[test]
fn a_one_shot_comes_before_machine_rules_and_default() {
    let mut config = config();
    config.machines.extend([machine("web1", &[WEB1], Some("pxelinux"))]);
    rule(&mut config, &[("mac", &["52:*"])], Some("san"));
    config.rules[0].overrides.vars = [("role".to_owned(), "x".to_owned())].into();
    let by = |shots: &OneShots, mac_text: &str| {
        decided(&choose::choose(&config, next(shots), &mac(mac_text), None))
    };
    let rescue = |owner: &str| ("rescue".to_owned(), DecidedBy::OneShot(owner.to_owned()));
    let of_machine = armed("web1", "rescue");
    assert_eq!(by(&of_machine, WEB1), rescue("web1"));
    assert_eq!(by(&of_machine, "52:54:00:00:00:01").0, "san", "it is another's");
    // A machine of the config goes by its name, but may have been armed before it had one; others have nothing else.
    assert_eq!(by(&armed(WEB1, "rescue"), WEB1), rescue(WEB1));
    let both = OneShots(armed(WEB1, "menu").0.into_iter().chain(armed("web1", "rescue").0).collect());
    assert_eq!(by(&both, WEB1), rescue("web1"));
    let of_stranger = armed("52:54:00:00:00:01", "rescue");
    let choice = choose::choose(&config, next(&of_stranger), &mac("52:54:00:00:00:01"), None);
    assert_eq!(decided(&choice), rescue("52:54:00:00:00:01"));
    assert_eq!(choice.settings.vars["role"], "x", "the settings are those of its usual boot");
    assert_eq!(choice.settings.boot, Some(name("rescue")));
    assert_eq!(told(&choice).unwrap(), "boot rescue, for once");
    let menu = armed("web1", "menu");
    let picked = choose::choose(&config, next(&menu), &mac(WEB1), Some("rescue"));
    assert_eq!(decided(&picked), ("rescue".to_owned(), DecidedBy::Menu(name("menu"))));
}

#[test]
fn a_one_shot_that_is_not_for_whoever_asks_is_told() {
    let mut config = config();
    config.machines.extend([machine("web1", &[WEB1], Some("local"))]);
    let mut shots = armed("web1", "rescue");
    let owner = Owner::named("web1");
    let told_of = |shots: &OneShots, asker| {
        let choice = choose::choose(&config, Offered { asker, ..next(shots) }, &mac(WEB1), None);
        (decided(&choice).0, told(&choice))
    };
    let usual = |why: &str| ("local".to_owned(), Some(why.to_owned()));
    let taker = |session| Taker { session: SessionId(session), started: NOW };
    shots.0.get_mut(&owner).unwrap().stage = Stage::Taken(taker(7));
    assert_eq!(told_of(&shots, None), usual("not taken: boot 7 has had rescue"));
    assert_eq!(told_of(&shots, Some(taker(8))), usual("not taken: boot 7 has had rescue"));
    assert_eq!(told_of(&shots, Some(taker(7))).0, "rescue");
    shots.0.get_mut(&owner).unwrap().stage = Stage::Done(taker(7));
    assert_eq!(told_of(&shots, Some(taker(8))), ("local".to_owned(), None), "that is over");
    *shots.0.get_mut(&owner).unwrap() =
        OneShot { stage: Stage::Armed, expires: Some(NOW), ..shots.0[&owner].clone() };
    assert_eq!(told_of(&shots, None), usual("not taken: boot rescue has expired"));
    let gone = armed("web1", "gone");
    assert_eq!(told_of(&gone, None), usual("not taken: there is no boot gone any more"));
    assert_eq!(told_of(&armed("web1", "rescue"), None).0, "rescue");
    let unknown = choose::choose(&config, Offered { all: None, ..next(&shots) }, &mac(WEB1), None);
    assert_eq!((decided(&unknown).0, told(&unknown)), ("local".to_owned(), None));
}

#[test]
fn a_one_shot_can_ask_for_the_serial() {
    let mut config = config();
    config.machines.extend([machine("web1", &[WEB1], Some("local"))]);
    let mut shots = armed("web1", "rescue");
    shots.0.get_mut(&Owner::named("web1")).unwrap().confirm = Some(Text::from("X1"));
    let choice = |facts: &Facts| choose::choose(&config, next(&shots), facts, None);
    assert_eq!(asked(&choice(&mac(WEB1))), BTreeSet::from([Var::Serial]));
    let reported = |serial: &str| facts(&[(Var::Mac, WEB1), (Var::Serial, serial)]);
    assert_eq!(decided(&choice(&reported("X1"))), ("rescue".to_owned(), DecidedBy::OneShot("web1".into())));
    let other = choice(&reported("X2"));
    assert_eq!(decided(&other).0, "local");
    assert_eq!(told(&other).unwrap(), "not taken: boot rescue is for serial X1, and this one is X2");
    let silent = choice(&done(mac(WEB1)));
    assert_eq!(decided(&silent).0, "local");
    assert_eq!(told(&silent).unwrap(), "not taken: boot rescue is for serial X1, and this one is not known");
    let taker = Taker { session: SessionId(7), started: NOW };
    shots.0.get_mut(&Owner::named("web1")).unwrap().stage = Stage::Taken(taker);
    let its_own = Offered { asker: Some(taker), ..next(&shots) };
    let again = choose::choose(&config, its_own, &mac(WEB1), None);
    assert_eq!(decided(&again).0, "rescue", "who has it has shown its serial");
}

#[test]
fn a_serial_that_anybody_can_say_is_not_enough_for_a_one_shot() {
    let mut config = config();
    let mut web1 = machine("web1", &[WEB1], Some("local"));
    web1.serial = Some("X1".to_owned());
    config.machines.extend([web1]);
    let shots = armed("web1", "rescue");
    let by = |mac: &str| {
        let known = facts(&[(Var::Mac, mac), (Var::Serial, "X1")]);
        decided(&choose::choose(&config, next(&shots), &known, None)).0
    };
    assert_eq!((by(WEB1).as_str(), by("52:54:00:00:00:09").as_str()), ("rescue", "local"));
}

/// web1 by its card, web2 by its board.
fn two_machines() -> Config {
    let mut config = config();
    let mut web2 = machine("web2", &["52:54:00:00:00:02"], Some("rescue"));
    web2.uuid = Some(UUID.parse().unwrap());
    web2.serial = Some("X2".to_owned());
    config.machines.extend([machine("web1", &[WEB1], Some("local")), web2]);
    config
}

#[test]
fn what_tells_of_two_machines_is_a_conflict() {
    let config = two_machines();
    let known = facts(&[(Var::Mac, WEB1), (Var::Uuid, UUID), (Var::Serial, "X2")]);
    let choice = choose(&config, &known, None);
    assert_eq!(decided(&choice).0, "local", "the card counts first");
    let line = choice.trail.0.iter().find(|line| line.what == "identity").unwrap();
    let expected = format!("conflict: mac {WEB1} of web1 (4), uuid {UUID} and serial X2 of web2 (5)");
    assert_eq!(line.result, expected);
    assert_eq!(choose::conflict(&config.machines, &known), Some(expected));
    let agreed = facts(&[(Var::Mac, "52:54:00:00:00:02"), (Var::Uuid, UUID_SWAPPED), (Var::Serial, "x2")]);
    assert_eq!(choose::conflict(&config.machines, &agreed), None);
}

#[test]
fn a_shared_card_and_a_serial_of_nobody_tell_nothing() {
    let mut config = two_machines();
    let dock: bootlace_wire::Mac = "52:54:00:00:00:0d".parse().unwrap();
    config.machines = config.machines.clone().sharing([dock].into());
    let boot = |pairs: &[(Var, &str)]| decided(&choose(&config, &done(facts(pairs)), None)).0;
    let on_dock = (Var::Mac, "52:54:00:00:00:0d");
    assert_eq!(boot(&[on_dock, (Var::Uuid, UUID)]), "rescue", "its board counts");
    assert_eq!(boot(&[on_dock]), "local");
    assert_eq!(boot(&[(Var::Mac, "52:54:00:00:00:0e"), (Var::Uuid, UUID)]), "rescue");
    // Before it has reported, it may be any machine with a board of its own.
    assert_eq!(asked(&choose(&config, &facts(&[on_dock]), None)), BTreeSet::from([Var::Uuid, Var::Serial]));
    let mut config = two_machines();
    let mut nobody = machine("nobody", &[], Some("san"));
    nobody.serial = Some("Default string".to_owned());
    config.machines.extend([nobody]);
    let known = done(facts(&[(Var::Mac, "52:54:00:00:00:0e"), (Var::Serial, "Default string")]));
    assert_eq!(decided(&choose(&config, &known, None)).0, "local");
}
