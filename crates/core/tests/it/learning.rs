//! Learning at the size of a network; single machines are in `fixtures/conversations/learn-*.txt`.

use std::time::Duration;

use bootlace_core::event::*;
use bootlace_core::finding::Trail;
use bootlace_core::learn::{
    Case, Ending, FACTS_PER_MACHINE_MAX, Fact, LEARNED_MACHINES_MAX, Learned, Setting, next, rows,
};
use bootlace_core::model::{Facts, Firmware, Timestamp};
use bootlace_wire::{HwAddr, Mac};

const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const EXPIRE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

fn hw(number: usize) -> HwAddr {
    let [.., a, b, c] = number.to_be_bytes();
    Mac([2, 0, 0, a, b, c]).into()
}

fn loader(setting: Setting) -> &'static str {
    if setting == Setting::Native { "ipxe.efi" } else { "snponly.efi" }
}

/// Firmware asks and is given this setting.
fn asks(number: usize, firmware: Firmware, setting: Setting, at: Timestamp) -> Event {
    let given = Given {
        address: [10, 188, 0, 60].into(),
        boot_file: Some(loader(setting).to_owned()),
        next_server: None,
        boot: None,
        chained: false,
        setting: Some(setting),
    };
    let dhcp = DhcpEvent {
        message: DhcpMessage::Discover,
        client: ClientClass::Firmware,
        firmware: Some(firmware),
        interface: "eth0".into(),
        xid: 1,
        facts: Facts::new(),
        features: None,
        answer: DhcpAnswer::Offer(given),
        trail: Trail::default(),
    };
    Event { at, peer: Peer { hw: Some(hw(number)), ip: None }, kind: EventKind::Dhcp(dhcp) }
}

fn sent(number: usize, name: &str, at: Timestamp) -> Event {
    let outcome = FileOutcome::Sent { bytes: 1, took: Duration::ZERO, retransmits: 0 };
    let file = FileEvent { protocol: Protocol::Tftp, name: name.into(), outcome };
    Event { at, peer: Peer { hw: Some(hw(number)), ip: None }, kind: EventKind::File(file) }
}

/// What the machine gets if its boot begins now.
fn given(learned: &Learned, number: usize, firmware: Firmware, now: Timestamp) -> Setting {
    let mut facts = learned.facts(hw(number)).to_vec();
    facts.iter_mut().for_each(Fact::settle);
    let case = Case { firmware, facts: &facts, now, expire: EXPIRE };
    next(&case, |setting| if setting == Setting::Secure { Err("not here".into()) } else { Ok(()) }).setting
}

/// One boot, that comes back only if this setting was given.
fn boot(learned: &mut Learned, number: usize, works: Setting, at: Timestamp) -> Setting {
    let setting = given(learned, number, Firmware::UefiX64, at);
    learned.apply(&asks(number, Firmware::UefiX64, setting, at));
    learned.apply(&sent(number, loader(setting), at.after(Duration::from_secs(1))));
    if setting == works {
        learned.apply(&sent(number, "autoexec.ipxe", at.after(Duration::from_secs(2))));
    }
    setting
}

#[test]
fn a_fleet_of_equal_machines_learns_one_by_one() {
    const FLEET: usize = 200;
    let mut learned = Learned::default();
    let minute = |number: u64| START.after(Duration::from_secs(60 * number));
    let round = |learned: &mut Learned, at| -> Vec<Setting> {
        // Every other machine has the driver that hangs.
        let works = |number| if number % 2 == 0 { Setting::Usual } else { Setting::Native };
        (0..FLEET).map(|number| boot(learned, number, works(number), at)).collect()
    };
    let expected = |odd| (0..FLEET).map(move |number| if number % 2 == 0 { Setting::Usual } else { odd });
    for (at, odd) in [(0, Setting::Usual), (1, Setting::Usual), (2, Setting::Native), (3, Setting::Native)] {
        let given = round(&mut learned, minute(at));
        assert!(given.into_iter().eq(expected(odd)), "round {at}");
    }
    let facts: usize = learned.all().iter().map(|machine| machine.facts.len()).sum();
    assert_eq!((learned.len(), facts), (FLEET, FLEET / 2 + FLEET), "no more than was tried");
    learned.changes();
    round(&mut learned, minute(4));
    assert_eq!(learned.changes(), [], "what works is not written down again");
}

#[test]
fn a_flood_pushes_out_its_own_and_pins_last() {
    let mut learned = Learned::default();
    learned.pin(hw(1), Firmware::Bios, Setting::Native, START);
    boot(&mut learned, 2, Setting::Usual, START);
    boot(&mut learned, 3, Setting::Native, START);
    let flood = 10..LEARNED_MACHINES_MAX + 10;
    for number in flood {
        boot(&mut learned, number, Setting::Native, START.after(Duration::from_secs(number as u64)));
    }
    assert_eq!(learned.len(), LEARNED_MACHINES_MAX);
    assert_eq!(learned.forgotten(), 3);
    assert_eq!([1, 2, 3].map(|number| learned.facts(hw(number)).len()), [1, 1, 0]);
    let forgotten = |machine: &&bootlace_core::learn::MachineFacts| machine.facts.is_empty();
    assert_eq!(learned.changes().iter().filter(forgotten).count(), 3, "the store is told");
}

#[test]
fn a_machine_of_many_firmwares_has_few_facts() {
    let mut learned = Learned::default();
    learned.pin(hw(1), Firmware::Bios, Setting::Native, START);
    for arch in 0..200 {
        let (firmware, at) = (Firmware::Other(100 + arch), START.after(Duration::from_secs(arch.into())));
        learned.apply(&asks(1, firmware, Setting::Usual, at));
        learned.apply(&sent(1, "snponly.efi", at));
    }
    let facts = learned.facts(hw(1));
    assert_eq!(facts.len(), FACTS_PER_MACHINE_MAX);
    assert!(facts[0].pinned.is_some());
    assert_eq!(facts.last().unwrap().firmware, Firmware::Other(299));
}

#[test]
fn who_was_not_seen_is_forgotten_and_a_failed_commit_is_made_up_for() {
    let mut learned = Learned::default();
    boot(&mut learned, 1, Setting::Usual, START);
    learned.pin(hw(2), Firmware::Bios, Setting::Native, START);
    let changes = learned.changes();
    assert_eq!((changes.len(), learned.changes().len()), (2, 0));
    learned.unsaved(&changes);
    assert_eq!(learned.changes().len(), 2);
    learned.expire(START.after(EXPIRE), EXPIRE);
    assert_eq!(learned.changes(), []);
    learned.expire(START.after(EXPIRE + Duration::from_secs(10)), EXPIRE);
    assert_eq!(learned.changes().iter().map(|machine| machine.facts.len()).collect::<Vec<_>>(), [0]);
    assert_eq!(learned.all().iter().map(|machine| machine.hw).collect::<Vec<_>>(), [hw(2)]);
}

/// Whatever becomes of a machine's boots, once something signed was tried nothing unsigned is given again.
#[test]
fn no_way_leads_from_signed_to_unsigned() {
    let tried = |setting, failures, worked: Option<Timestamp>| Fact {
        failures,
        worked,
        ..Fact::new(Firmware::UefiX64, setting, START)
    };
    for signed in [
        tried(Setting::Secure, 1, None),
        tried(Setting::Secure, 9, None),
        tried(Setting::Secure, 0, Some(START)),
    ] {
        for other in Setting::ALL.into_iter().filter(|setting| *setting != Setting::Secure) {
            for (failures, worked) in [(0, None), (2, None), (0, Some(START.after(EXPIRE / 2)))] {
                for here in [true, false] {
                    let facts = [tried(other, failures, worked), signed.clone()];
                    let case =
                        Case { firmware: Firmware::UefiX64, facts: &facts, now: START, expire: EXPIRE };
                    let applies = |setting| {
                        if here || setting != Setting::Secure { Ok(()) } else { Err(String::new()) }
                    };
                    assert_eq!(next(&case, applies).setting, Setting::Secure, "{facts:?}");
                }
            }
        }
    }
}

#[test]
fn the_table_is_in_order() {
    for firmware in Firmware::all() {
        for ending in Ending::ALL {
            let rows = rows(firmware, ending);
            assert!(!rows.contains(&Setting::Usual), "it is the first of each");
            let mut once = rows.to_vec();
            once.sort();
            once.dedup();
            assert_eq!(once.len(), rows.len());
        }
        let silent = rows(firmware, Ending::Silent);
        let signed = silent.iter().position(|setting| *setting == Setting::Secure);
        assert!(signed.is_none_or(|at| at + 1 == silent.len()), "no way leads back from it");
    }
}
