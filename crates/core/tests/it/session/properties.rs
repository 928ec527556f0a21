//! What holds for any events in any order.

use std::collections::HashMap;

use bootlace_core::event::{ClientClass, DhcpAnswer, DhcpMessage, Event, EventKind, FileOutcome, Peer};
use bootlace_core::session::{Session, SessionId, Sessions, Stage, steps};
use proptest::prelude::*;

use super::{
    ADDRESS, at, boots, chain, contradiction, dhcp, discover, file, given, machine, problem, request, sent,
    stopped,
};

const CLIENTS: [ClientClass; 7] = [
    ClientClass::Ipxe,
    ClientClass::HttpBoot,
    ClientClass::RaspberryPi,
    ClientClass::Firmware,
    ClientClass::Uboot,
    ClientClass::Os,
    ClientClass::Bootp,
];

fn kinds() -> impl Strategy<Value = EventKind> {
    let chained = || {
        let mut given = given(Some("undionly.kpxe"));
        given.chained = true;
        given
    };
    prop_oneof![
        (0..CLIENTS.len(), 0..4_u32).prop_map(|(client, xid)| discover(CLIENTS[client], xid)),
        (0..CLIENTS.len(), 0..4_u32).prop_map(|(client, xid)| request(CLIENTS[client], xid)),
        (0..4_u32).prop_map(move |xid| {
            dhcp(ClientClass::Ipxe, DhcpMessage::Discover, xid, DhcpAnswer::Offer(chained()))
        }),
        prop::sample::select(vec![
            boots(),
            problem(),
            chain(),
            sent(),
            stopped(),
            contradiction(),
            file(FileOutcome::SizeProbe),
            file(FileOutcome::Absent("no".into())),
            dhcp(ClientClass::Os, DhcpMessage::Release, 1, DhcpAnswer::Silence("given back".into())),
        ]),
    ]
}

/// Events of three machines and of nobody; the clock jumps, mostly forwards.
fn histories() -> impl Strategy<Value = Vec<Event>> {
    let steps = (prop_oneof![5 => 0..30_i64, 1 => -300..900_i64], 0..4_u16, kinds());
    prop::collection::vec(steps, 0..80).prop_map(|steps| {
        let mut secs = 0;
        let event = |(passed, number, kind): (i64, u16, EventKind)| {
            secs += passed;
            let hw = (number > 0).then(|| machine(number));
            Event { at: at(secs), peer: Peer { hw, ip: Some(ADDRESS) }, kind }
        };
        steps.into_iter().map(event).collect()
    })
}

proptest! {
    #[test]
    fn numbers_and_stages_only_go_forward(history in histories()) {
        let mut sessions = Sessions::new(SessionId(40));
        let mut last: HashMap<_, (SessionId, Stage)> = HashMap::new();
        let mut owner = HashMap::new();
        for event in &history {
            let Some(id) = sessions.apply(event) else { continue };
            let hw = event.peer.hw.unwrap();
            prop_assert_eq!(*owner.entry(id).or_insert(hw), hw, "one machine a session");
            let session = sessions.current(hw, event.at).unwrap();
            prop_assert_eq!(session.id, id);
            if let Some((before, stage)) = last.insert(hw, (id, session.stage)) {
                prop_assert!(before <= id && (before < id || stage <= session.stage));
            }
        }
        prop_assert!(owner.keys().all(|id| id.0 >= 40 && id.0 < 40 + owner.len() as u64), "no gap");
    }

    #[test]
    fn the_journal_tells_the_same_session_again(history in histories()) {
        let mut sessions = Sessions::new(SessionId(1));
        let mut journal: HashMap<SessionId, Vec<&Event>> = HashMap::new();
        for event in &history {
            if let Some(id) = sessions.apply(event) {
                journal.entry(id).or_default().push(event);
            }
        }
        for (id, events) in journal {
            let hw = events[0].peer.hw.unwrap();
            let fold = || {
                let mut session = Session::new(id, hw, events[0].at);
                events.iter().for_each(|event| session.apply(event));
                session
            };
            let folded = fold();
            prop_assert_eq!(&folded, &fold());
            if let Some(live) = sessions.current(hw, folded.last).filter(|live| live.id == id) {
                prop_assert_eq!(&folded, live);
            }
            prop_assert!(steps(events.iter().copied()).len() <= events.len());
        }
    }
}
