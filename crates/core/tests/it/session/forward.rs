//! Design invariant 11, a sentence each.

use bootlace_core::dhcp::{Received, Service, classify};
use bootlace_core::event::{ClientClass, DhcpAnswer, DhcpMessage, EventKind, FileOutcome, ScriptStep};
use bootlace_core::session::{SILENCE, SessionId, Sessions, Stage};
use bootlace_wire::dhcp::{Code, Message, MessageType, Op};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    STAGES, at, boots, boots_by, chain, come_to, contradiction, dhcp, discover, event, file, given, machine,
    now, problem, request, script, sent, sent_by, stopped,
};

const FIRST: Option<SessionId> = Some(SessionId(1));
const NEXT: Option<SessionId> = Some(SessionId(2));

/// In which session an event lands after each stage.
fn lands(kind: impl Fn() -> EventKind) -> [u64; 5] {
    STAGES.map(|stage| come_to(stage).apply(&event(6, kind())).unwrap().0)
}

#[test]
fn a_boot_passes_through_all_stages() {
    for stage in STAGES {
        come_to(stage);
    }
}

#[test]
fn what_opens_the_next_session() {
    use ClientClass::{Bootp, Firmware, HttpBoot, Ipxe, Os, RaspberryPi, Uboot};
    let next_after_script = [1, 1, 2, 2, 2];
    for firmware in [Firmware, HttpBoot, RaspberryPi, Uboot, Bootp] {
        assert_eq!(lands(|| discover(firmware, 9)), next_after_script, "{}", firmware.name());
        assert_eq!(lands(|| request(firmware, 9)), next_after_script, "{}", firmware.name());
    }
    assert_eq!(lands(|| discover(Ipxe, 9)), next_after_script);
    let same = [1; 5];
    assert_eq!(lands(|| request(Ipxe, 2)), same, "a late repeat of its REQUEST");
    assert_eq!(lands(|| discover(Os, 9)), same);
    assert_eq!(lands(|| request(Os, 9)), same);
    assert_eq!(lands(boots), same);
    let next_after_payload = [1, 1, 1, 2, 2];
    for name in ["boot.ipxe", "autoexec.ipxe", "ipxe/autoexec.ipxe"] {
        assert_eq!(lands(|| boots_by(name)), next_after_payload, "{name}");
    }
    assert_eq!(lands(|| sent_by("autoexec.ipxe")), same, "it may have been asked for long before");
    assert_eq!(lands(sent), same);
    assert_eq!(lands(contradiction), same);
}

/// Where nobody speaks DHCP that we see, a loader that asks for its first config again has started again.
#[test]
fn a_first_config_opens_the_next_session_and_no_other_name_does() {
    const BY_MAC: &str = "pxelinux.cfg/01-02-00-00-00-00-01";
    let mut sessions = Sessions::new(SessionId(1));
    let lands = |sessions: &mut Sessions, kind| sessions.apply(&event(0, kind));
    assert_eq!(lands(&mut sessions, boots_by(BY_MAC)), FIRST);
    for module in ["ldlinux.c32", "bios/MENU.C32"] {
        assert_eq!(lands(&mut sessions, sent_by(module)), FIRST);
    }
    assert_eq!(lands(&mut sessions, boots_by(BY_MAC)), FIRST, "its menu reads the config again");
    assert_eq!(lands(&mut sessions, boots_by("pxelinux.cfg/boot-rescue")), FIRST, "an entry of the menu");
    assert_eq!(lands(&mut sessions, sent()), FIRST);
    assert_eq!(lands(&mut sessions, boots_by("pxelinux.cfg/default")), FIRST, "another name");
    assert_eq!(lands(&mut sessions, boots_by("pxelinux.cfg/boot-rescue")), FIRST);
    assert!(now(&sessions, 0).ends_before_name(BY_MAC) && !now(&sessions, 0).ends_before_name("script"));
    assert_eq!(lands(&mut sessions, boots_by(BY_MAC)), NEXT);
    // GRUB finds out which one is there, loads its lists, and reads it.
    const GRUB: &str = "boot/grub/grub.cfg-01-02-00-00-00-00-01";
    let mut sessions = Sessions::new(SessionId(1));
    assert_eq!(lands(&mut sessions, sent_by("boot/grub/i386-pc/normal.mod")), FIRST);
    assert_eq!(lands(&mut sessions, boots_by(GRUB)), FIRST);
    for part in ["i386-pc/command.lst", "fonts/unicode.pf2", "locale/de.mo"] {
        assert_eq!(lands(&mut sessions, sent_by(part)), FIRST);
    }
    assert_eq!(lands(&mut sessions, boots_by(GRUB)), FIRST);
    assert_eq!(lands(&mut sessions, sent_by("boot/grub/i386-pc/linux.mod")), FIRST);
    assert_eq!(now(&sessions, 0).stage, Stage::Script, "nothing is fetched yet of what it boots");
    assert_eq!(lands(&mut sessions, sent()), FIRST);
    assert_eq!(lands(&mut sessions, boots_by(GRUB)), NEXT);
    // Who was sent there by a script goes on with what that decided.
    let mut sessions = come_to(Stage::Payload);
    assert_eq!(lands(&mut sessions, boots_by("boot.ipxe")), NEXT);
    assert_eq!(lands(&mut sessions, sent_by("lpxelinux.0")), NEXT);
    assert_eq!(lands(&mut sessions, boots_by(BY_MAC)), NEXT);
    assert_eq!(lands(&mut sessions, boots_by(BY_MAC)), NEXT);
}

#[test]
fn ten_minutes_of_silence_open_the_next_session() {
    let silence = i64::try_from(SILENCE.as_secs()).unwrap();
    for (kind, opened) in [
        (discover(ClientClass::Firmware, 9), NEXT),
        (request(ClientClass::Ipxe, 9), NEXT),
        (boots(), NEXT),
        (sent(), NEXT),
        (discover(ClientClass::Os, 9), None),
        (contradiction(), None),
        (file(FileOutcome::SizeProbe), None),
    ] {
        let mut sessions = come_to(Stage::Firmware);
        assert_eq!(sessions.apply(&event(silence, kind.clone())), FIRST, "just in time: {kind:?}");
        let mut sessions = come_to(Stage::Firmware);
        assert!(sessions.current(machine(1), at(silence + 1)).is_none());
        assert_eq!(sessions.apply(&event(silence + 1, kind.clone())), opened, "{kind:?}");
    }
}

#[test]
fn an_operating_system_belongs_to_the_boot_that_started_it() {
    let mut sessions = Sessions::new(SessionId(1));
    assert_eq!(sessions.apply(&event(0, discover(ClientClass::Os, 1))), None);
    assert!(sessions.is_empty());
    // Before a script it is somebody else's: the firmware went on to the disk.
    let mut sessions = come_to(Stage::Loader);
    assert_eq!(sessions.apply(&event(6, discover(ClientClass::Os, 9))), FIRST);
    assert_eq!(now(&sessions, 6).stage, Stage::Loader);
    let sessions = come_to(Stage::System);
    let session = now(&sessions, 6);
    assert_eq!(session.facts.iter().find(|(_, value)| *value == "os"), None, "what it says is its own");
    assert!(session.features.is_some());
}

#[test]
fn nothing_goes_back() {
    let mut sessions = come_to(Stage::System);
    for kind in [boots(), sent(), script(ScriptStep::Identify), chain(), request(ClientClass::Ipxe, 2)] {
        assert_eq!(sessions.apply(&event(6, kind)), FIRST);
        assert_eq!(now(&sessions, 6).stage, Stage::System);
    }
    // A clock that was set back moves nothing either.
    assert_eq!(sessions.apply(&event(-5_000, sent())), FIRST);
    assert_eq!(now(&sessions, 6).last, at(6));
}

#[test]
fn a_size_probe_changes_nothing() {
    for stage in STAGES {
        let mut sessions = come_to(stage);
        let before = now(&sessions, 6).clone();
        assert_eq!(sessions.apply(&event(6, file(FileOutcome::SizeProbe))), FIRST);
        assert_eq!(*now(&sessions, 6), before);
    }
}

#[test]
fn problems_stand_until_something_goes_well() {
    let cases: [(EventKind, &str); 6] = [
        (problem(), "no vars.role"),
        (stopped(), "debian/linux stopped: closed"),
        (file(FileOutcome::Refused("outside".into())), "debian/linux refused: outside"),
        (contradiction(), "somebody at this address says to be 52:54:00:12:34:56"),
        (
            dhcp(ClientClass::Ipxe, DhcpMessage::Request, 2, DhcpAnswer::Nak("taken".into())),
            "address refused: taken",
        ),
        (
            dhcp(ClientClass::Ipxe, DhcpMessage::Request, 2, DhcpAnswer::Silence("full".into())),
            "not answered: full",
        ),
    ];
    for (kind, said) in cases {
        for cure in [boots(), request(ClientClass::Ipxe, 2)] {
            let mut sessions = come_to(Stage::Loader);
            sessions.apply(&event(6, kind.clone()));
            assert_eq!(now(&sessions, 6).problem.as_deref(), Some(said));
            sessions.apply(&event(6, file(FileOutcome::Absent("no such file".into()))));
            assert_eq!(now(&sessions, 6).problem.as_deref(), Some(said), "a missing file is no news");
            sessions.apply(&event(7, cure));
            assert_eq!(now(&sessions, 7).problem, None, "{said}");
        }
    }
}

#[test]
fn what_a_session_gathers() {
    let mut sessions = come_to(Stage::Payload);
    sessions.apply(&event(6, stopped()));
    let session = now(&sessions, 6);
    assert_eq!(session.bytes, 1010);
    assert_eq!(session.boot.as_ref().unwrap().0.as_str(), "rescue");
    assert_eq!(session.address, Some(super::ADDRESS));
    assert_eq!((session.started, session.last), (at(0), at(6)));
    assert!(session.facts.iter().any(|(_, value)| value == "S1"));
}

/// What `decide` would be told about a DISCOVER of an iPXE.
fn view(sessions: &Sessions, secs: i64, xid: u32) -> bool {
    let mut message = Message::new(Op::Request, machine(1), xid);
    message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Discover.code());
    message.options.set(Code::USER_CLASS, *b"iPXE");
    let received = Received {
        interface: "eth0".into(),
        local: Vec::new(),
        mtu: 1500,
        source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
        destination: Ipv4Addr::BROADCAST,
        service: Service::Dhcp,
    };
    let query = classify(&message, &received).unwrap();
    now(sessions, secs).dhcp_view(&query, at(secs)).chained
}

fn chained_by_dhcp(xid: u32) -> EventKind {
    let mut chained = given(Some("undionly.kpxe"));
    chained.chained = true;
    dhcp(ClientClass::Ipxe, DhcpMessage::Discover, xid, DhcpAnswer::Offer(chained))
}

#[test]
fn a_transaction_that_was_chained_hears_the_same_and_the_next_one_not() {
    let mut sessions = Sessions::new(SessionId(1));
    sessions.apply(&event(0, chained_by_dhcp(7)));
    assert!(!view(&sessions, 1, 7), "the same transaction is sent there again");
    assert!(view(&sessions, 1, 8), "who comes next is the loader");
    sessions.apply(&event(1, discover(ClientClass::Ipxe, 8)));
    assert!(now(&sessions, 2).came_by_chain() && view(&sessions, 2, 9));
    sessions.apply(&event(2, boots()));
    assert!(!view(&sessions, 3, 9), "after its script it is another attempt");
}

#[test]
fn a_script_that_chains_says_so_again_until_the_loader_speaks() {
    let mut sessions = Sessions::new(SessionId(1));
    sessions.apply(&event(0, discover(ClientClass::Ipxe, 7)));
    sessions.apply(&event(1, chain()));
    assert!(now(&sessions, 1).chained && !now(&sessions, 1).came_by_chain());
    sessions.apply(&event(2, sent()));
    assert_eq!(now(&sessions, 2).stage, Stage::Loader, "the loader itself is no payload");
    assert!(view(&sessions, 3, 8));
    sessions.apply(&event(3, discover(ClientClass::Ipxe, 8)));
    assert!(now(&sessions, 3).came_by_chain());
    // Behind a foreign DHCP server nobody sees the loader come: once is enough.
    let mut sessions = Sessions::new(SessionId(1));
    sessions.apply(&event(0, chain()));
    assert!(now(&sessions, 0).came_by_chain());
}
