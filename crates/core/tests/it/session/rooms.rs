//! How many sessions are kept.

use bootlace_core::event::{ClientClass, Event, Peer};
use bootlace_core::session::{SESSIONS_MAX, SessionId, Sessions};

use super::{at, discover, event, machine};

fn from(number: usize, secs: i64) -> Event {
    let hw = machine(u16::try_from(number).unwrap());
    Event { peer: Peer { hw: Some(hw), ip: None }, ..event(secs, discover(ClientClass::Firmware, 1)) }
}

#[test]
fn beyond_the_limit_the_longest_silent_is_forgotten_and_counted() {
    let mut sessions = Sessions::new(SessionId(1));
    for number in 0..SESSIONS_MAX {
        // Number 7 speaks last of all.
        sessions.apply(&from(number, if number == 7 { 200 } else { i64::try_from(number).unwrap() / 100 }));
    }
    assert_eq!((sessions.len(), sessions.forgotten()), (SESSIONS_MAX, 0));
    sessions.apply(&from(0, 201));
    assert_eq!(sessions.apply(&from(SESSIONS_MAX, 202)).unwrap().0, SESSIONS_MAX as u64 + 1);
    assert_eq!((sessions.len(), sessions.forgotten()), (SESSIONS_MAX, 1));
    for kept in [0, 7, SESSIONS_MAX] {
        assert!(sessions.current(machine(u16::try_from(kept).unwrap()), at(202)).is_some(), "{kept}");
    }
}

#[test]
fn silent_ones_make_room_without_a_loss() {
    let mut sessions = Sessions::new(SessionId(1));
    for number in 0..SESSIONS_MAX {
        sessions.apply(&from(number, if number < 10 { 700 } else { 0 }));
    }
    sessions.apply(&from(SESSIONS_MAX, 701));
    assert_eq!((sessions.len(), sessions.forgotten()), (11, 0));
}

#[test]
fn events_of_nobody_belong_to_nobody() {
    let mut sessions = Sessions::new(SessionId(1));
    let nobody = Event { peer: Peer::default(), ..from(1, 0) };
    assert_eq!(sessions.apply(&nobody), None);
    assert!(sessions.is_empty());
}
