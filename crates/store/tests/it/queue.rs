//! The queue before the writer: bounded, folding, counting.

use bootlace_core::event::ClientClass;
use bootlace_core::model::Facts;
use bootlace_core::session::SessionId;
use bootlace_store::journal::{Fate, JournalQueue, Record};

use crate::make::{absent, discover, record, secs, sent};

fn repeats(queue: &mut JournalQueue) -> Vec<u32> {
    queue.take(usize::MAX).iter().map(|record| record.repeats).collect()
}

#[test]
fn below_the_mark_everything_is_kept() {
    let mut queue = JournalQueue::new(4, 8);
    for _ in 0..4 {
        assert_eq!(queue.push(record(1, secs(0), absent("x"))), Fate::Kept);
    }
    assert_eq!(repeats(&mut queue), [0; 4]);
}

#[test]
fn above_it_a_machines_repeats_become_counts() {
    let mut queue = JournalQueue::new(2, 8);
    queue.push(record(1, secs(0), absent("x")));
    queue.push(record(2, secs(0), absent("x")));
    for at in 1..=3 {
        assert_eq!(queue.push(record(1, secs(at), absent("x"))), Fate::Folded);
    }
    let counted = Record { repeats: 9, ..record(2, secs(4), absent("x")) };
    assert_eq!(queue.push(counted), Fate::Folded);
    let batch = queue.take(8);
    assert_eq!(batch.iter().map(|record| record.repeats).collect::<Vec<_>>(), [3, 10]);
    assert_eq!(batch[0].event.at, secs(0), "the first of them tells the time");
}

#[test]
fn only_what_is_equal_and_consecutive_folds() {
    let mut queue = JournalQueue::new(1, 100);
    let next_session = Record { session: Some(SessionId(77)), ..record(1, secs(0), absent("y")) };
    let all = [
        record(1, secs(0), absent("x")),
        record(1, secs(1), absent("y")),
        record(1, secs(2), absent("x")),
        record(1, secs(3), sent("x", 1)),
        record(1, secs(4), absent("y")),
        next_session,
    ];
    for record in all {
        assert_eq!(queue.push(record), Fate::Kept);
    }
    assert_eq!(repeats(&mut queue), [0; 6]);
}

#[test]
fn a_new_transaction_id_makes_no_news() {
    let mut queue = JournalQueue::new(1, 8);
    let of = |client, xid| record(1, secs(0), discover(client, Facts::new(), xid));
    assert_eq!(queue.push(of(ClientClass::Firmware, 1)), Fate::Kept);
    assert_eq!(queue.push(of(ClientClass::Firmware, 2)), Fate::Folded);
    assert_eq!(queue.push(of(ClientClass::Os, 3)), Fate::Kept);
}

#[test]
fn what_was_taken_is_folded_into_no_more() {
    let mut queue = JournalQueue::new(0, 8);
    for round in 0..3 {
        assert_eq!(queue.push(record(1, secs(0), absent("x"))), Fate::Kept, "round {round}");
        assert_eq!(queue.push(record(1, secs(0), absent("x"))), Fate::Folded);
        assert_eq!(queue.push(record(2, secs(0), absent("x"))), Fate::Kept);
        assert_eq!(queue.take(1)[0].repeats, 1);
        // Machine 2 still waits.
        assert_eq!(queue.push(record(2, secs(0), absent("x"))), Fate::Folded);
        assert_eq!(queue.take(9).len(), 1);
    }
    assert_eq!(queue.accepted(), 6);
}

#[test]
fn full_is_full_but_still_counts() {
    let mut queue = JournalQueue::new(2, 3);
    let fates: Vec<Fate> = (0..5).map(|n| queue.push(record(n, secs(0), absent("x")))).collect();
    assert_eq!(fates, [Fate::Kept, Fate::Kept, Fate::Kept, Fate::Dropped, Fate::Dropped]);
    assert_eq!(queue.push(record(2, secs(1), absent("x"))), Fate::Folded);
    assert_eq!((queue.len(), queue.accepted()), (3, 3));
    assert_eq!(repeats(&mut queue), [0, 0, 1]);
    assert!(queue.is_empty());
}
