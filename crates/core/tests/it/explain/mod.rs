//! Whole boots, foretold: `fixtures/explain/README.md` has the language.

mod walker;

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use bootlace_core::boot::loader::LoaderInventory;
use bootlace_core::config::{self, BootName, Config};
use bootlace_core::dhcp::{LeaseTable, Received, Service};
use bootlace_core::event::{DhcpAnswer, Event, EventKind};
use bootlace_core::explain::{Exchange, Explanation, Found, Rom, Subject, World, explain};
use bootlace_core::model::{Facts, Firmware, Text, Timestamp};
use bootlace_core::oneshot::{OneShot, OneShots, Owner, Stage};
use bootlace_core::session::{SessionId, Sessions, Step};
use bootlace_wire::dhcp::Feature;

use crate::packets::{fixtures, inventory};

/// A case: its config, what is served, and the machine.
struct Case {
    config: Config,
    files: Vec<(String, String)>,
    subject: Subject,
    loaders: LoaderInventory,
    one_shots: OneShots,
}

impl Case {
    fn read(text: &str) -> Self {
        let (toml, rest) = text.split_once("\n---\n").expect("a config, then a line ---");
        let source =
            config::Source { name: "bootlace.toml".into(), folder: PathBuf::new(), text: toml.into() };
        let config = match config::load(&source, &config::Files::new()) {
            Ok(loaded) => loaded.config,
            Err(findings) => panic!("{}", findings.iter().map(|f| format!("{f}\n")).collect::<String>()),
        };
        let subject = Subject {
            mac: "00:12:34:56:78:90".parse().unwrap(),
            firmware: Firmware::Bios,
            rom: Rom::Pxe,
            facts: Facts::new(),
            pick: None,
        };
        let loaders = LoaderInventory::default();
        let one_shots = OneShots::default();
        let mut case = Self { config, files: Vec::new(), subject, loaders, one_shots };
        rest.lines().for_each(|line| case.line(line));
        case
    }

    fn line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "firmware" => self.subject.firmware = rest.parse().unwrap(),
            "ipxe" if rest.is_empty() => self.subject.rom = Rom::Ipxe(None),
            "ipxe" => self.subject.rom = Rom::Ipxe(Some(rest.split_whitespace().map(feature).collect())),
            "set" => {
                let (key, value) = rest.split_once('=').unwrap();
                self.subject.facts.set(key.parse().unwrap(), value);
            }
            "one-shot" => {
                let mut words = rest.split_whitespace();
                let (owner, boot) = (words.next().unwrap(), words.next().unwrap());
                let shot = OneShot {
                    boot: BootName::new(boot).unwrap(),
                    confirm: words.next().map(Text::from),
                    armed: Timestamp::from_secs(1_700_000_000),
                    expires: None,
                    stage: Stage::Armed,
                };
                self.one_shots.0.insert(Owner::named(owner), shot);
            }
            "loaders" => self.loaders = inventory(rest),
            "pick" => self.subject.pick = Some(rest.to_owned()),
            "file" => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                self.files.push((name.to_owned(), text.replace("\\n", "\n")));
            }
            "" | "#" | "=" => {}
            _ => panic!("what is {line:?}?"),
        }
    }

    fn explain(&self) -> Explanation {
        let world = World {
            config: &self.config,
            loaders: &self.loaders,
            table: LeaseTable::new(&self.config, Vec::new()),
            learned: Vec::new(),
            one_shots: self.one_shots.clone(),
            received: Received {
                interface: "eth0".into(),
                // The first is of another network, as where a host has several.
                local: vec![(Ipv4Addr::new(192, 0, 2, 2), 24), (Ipv4Addr::new(10, 188, 0, 10), 24)],
                mtu: 1500,
                source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
                destination: Ipv4Addr::BROADCAST,
                service: Service::Dhcp,
            },
            now: Timestamp::from_secs(1_800_000_000),
            look_up: &|name| {
                let (_, text) = self.files.iter().find(|(file, _)| file == name)?;
                Some(Found { len: text.len() as u64, text: text.clone() })
            },
        };
        explain(world, &self.subject)
    }
}

fn feature(name: &str) -> Feature {
    Feature::ALL.into_iter().find(|feature| feature.name() == name).unwrap()
}

/// The case again, with what is foretold now.
fn replay(text: &str) -> String {
    let explanation = Case::read(text).explain();
    let given: Vec<&str> = text.lines().filter(|line| !line.starts_with('=')).collect();
    let mut out = given.join("\n").trim_end().to_owned() + "\n";
    for step in explanation.steps() {
        writeln!(out, "= {}", step_line(&step)).unwrap();
    }
    writeln!(out, "= end: {}", explanation.end).unwrap();
    let mut told: Vec<String> = Vec::new();
    for line in explanation.events.iter().flat_map(trail) {
        if !told.contains(&line) {
            writeln!(out, "=   because {line}").unwrap();
            told.push(line);
        }
    }
    let is_script =
        |exchange: &&Exchange| exchange.text.starts_with("#!ipxe") || exchange.title.contains("grub.cfg");
    for exchange in explanation.exchanges.iter().filter(is_script) {
        writeln!(out, "= {}", exchange.title).unwrap();
        exchange.text.lines().for_each(|line| writeln!(out, "=   {line}").unwrap());
    }
    out
}

fn step_line(step: &Step) -> String {
    match step {
        Step::Lease { client, address, boot_file } => {
            format!(
                "lease {} {address} {}",
                client.name(),
                boot_file.as_deref().unwrap_or("without a boot file")
            )
        }
        Step::Told { client, boot_file } => {
            format!("told {} {}", client.name(), boot_file.as_deref().unwrap_or("to ask again"))
        }
        Step::NoOffer { client } => format!("no offer for {}", client.name()),
        Step::Script { name, boot: None } => format!("script {name}"),
        Step::Script { name, boot: Some((boot, by)) } => format!("script {name}: {boot} by {by}"),
        Step::File { protocol, name } => format!("{} {name}", protocol.name()),
        Step::Disk { target } => format!("disk {target}"),
        Step::Absent { protocol, name } => format!("{} {name} is absent", protocol.name()),
    }
}

fn trail(event: &Event) -> Vec<String> {
    let trail = match &event.kind {
        EventKind::Dhcp(dhcp) => &dhcp.trail,
        EventKind::Script(script) => &script.trail,
        EventKind::File(_)
        | EventKind::Disk(_)
        | EventKind::Contradiction { .. }
        | EventKind::Conflict { .. } => {
            return Vec::new();
        }
    };
    trail.0.iter().map(|line| format!("{}: {}", line.what, line.result)).collect()
}

fn cases() -> Vec<(PathBuf, String)> {
    let folder = fs::read_dir(fixtures().join("explain")).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 15, "found only {}", paths.len());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn boots_go_as_foretold() {
    for (path, written) in cases() {
        let now = replay(&written);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &now).unwrap();
        } else {
            assert_eq!(now, written, "{}: UPDATE_GOLDEN=1 accepts", path.display());
        }
    }
}

/// What is foretold is what a session would show: one session, which only goes forward, and the same twice.
#[test]
fn every_explanation_is_one_session_and_the_same_again() {
    for (path, text) in cases() {
        let case = Case::read(&text);
        let explanation = case.explain();
        assert_eq!(case.explain().events, explanation.events, "{}", path.display());
        let mut sessions = Sessions::new(SessionId(1));
        let ids: Vec<_> = explanation.events.iter().map(|event| sessions.apply(event)).collect();
        let circles = explanation.end.contains("circles");
        assert!(circles || ids.iter().all(|id| *id == Some(SessionId(1))), "{}: {ids:?}", path.display());
        for event in &explanation.events {
            if let EventKind::Dhcp(dhcp) = &event.kind
                && let DhcpAnswer::Ack(given) = &dhcp.answer
            {
                assert_eq!(Some(given.address), explanation.events[0].peer.ip, "one address for all");
            }
        }
    }
}
