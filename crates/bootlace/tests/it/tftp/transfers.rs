//! Transfers with clients that lose packets, repeat themselves, give up or begin anew.

use std::fs::File;

use bootlace_core::event::FileOutcome;
use bootlace_wire::tftp::{ErrorCode, TransferOptions};

use super::client::{Client, options, tsize};
use super::{AnswerFrom, FRAIL, Server, is_sent};

/// Loses one packet in `one_in`, the same ones in every run.
fn losing(one_in: u64) -> impl FnMut(u16) -> bool {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        !state.is_multiple_of(one_in)
    }
}

#[test]
fn options_are_granted_within_the_limits_of_the_link() {
    let server = Server::new();
    server.file("x", 10_000);
    let client = server.client();
    client.read(b"x", TransferOptions { tsize: Some(0), timeout: Some(3), ..options(65_464, 1000) });
    let granted = client.receive().oack();
    assert_eq!((granted.blksize, granted.tsize, granted.timeout), (Some(1468), Some(10_000), Some(3)));
    assert_eq!(granted.windowsize, Some(32));
}

#[test]
fn a_machine_that_learned_it_gets_small_blocks_of_everything() {
    let server = Server::new();
    let bytes = server.file("x", 10_000);
    let frail = || Client::new(server.addr, FRAIL);
    let client = frail();
    client.read(b"x", options(1468, 16));
    let granted = client.receive().oack();
    assert_eq!((granted.blksize, granted.windowsize), (Some(512), Some(16)));
    assert!(frail().get(b"x", options(1468, 16)) == bytes);
    assert!(frail().get(b"x", options(400, 1)) == bytes, "smaller ones are as asked");
    assert!(server.client().get(b"x", options(1468, 16)) == bytes, "others are not held back");
}

#[test]
fn every_length_arrives_whole() {
    let server = Server::new();
    for len in [0, 1, 511, 512, 513, 1024, 32_768, 32_769, 100_000] {
        let bytes = server.file("x", len);
        for asked in [TransferOptions::default(), options(512, 1), options(1000, 7), options(1468, 32)] {
            assert!(server.client().get(b"x", asked) == bytes, "{len} bytes, {asked:?}");
            assert!(is_sent(&server.outcome(), len), "{len} bytes, {asked:?}");
        }
    }
}

#[test]
fn block_numbers_start_over_after_65535() {
    let server = Server::new();
    let bytes = server.file("x", 8 * 70_000);
    assert!(server.client().get(b"x", options(8, 32)) == bytes);
}

#[test]
fn a_bad_link_costs_time_and_no_bytes() {
    let server = Server::new();
    let bytes = server.file("x", 300_000);
    for one_in in [10, 50] {
        let client = server.client();
        client.read(b"x", options(1000, 16));
        assert!(client.go_on(&client.receive(), losing(one_in)) == bytes);
        let outcome = server.outcome();
        assert!(matches!(outcome, FileOutcome::Sent { retransmits: 1.., .. }), "{outcome:?}");
    }
}

#[test]
fn an_answer_that_was_lost_comes_again_from_the_same_port() {
    let server = Server::new();
    let bytes = server.file("x", 1000);
    let client = server.client();
    client.read(b"x", tsize());
    let lost = client.receive();
    client.read(b"x", tsize());
    let again = client.receive();
    assert_eq!((again.from, again.oack().tsize), (lost.from, Some(1000)));
    assert!(client.go_on(&again, |_| true) == bytes);
    assert!(is_sent(&server.outcome(), 1000));
}

/// The second without ACK is the server's own.
#[test]
fn an_answer_that_was_lost_comes_again_by_itself() {
    let server = Server::new();
    server.file("x", 10);
    let client = server.client();
    client.read(b"x", TransferOptions::default());
    let first = client.receive();
    let again = client.receive();
    assert_eq!((again.from, again.data().0), (first.from, 1));
    client.ack(1, again.from);
    assert!(matches!(server.outcome(), FileOutcome::Sent { retransmits: 1, .. }));
}

#[test]
fn an_old_copy_of_the_request_does_not_disturb_the_transfer() {
    let server = Server::new();
    let bytes = server.file("x", 3000);
    let client = server.client();
    client.read(b"x", TransferOptions::default());
    let first = client.receive();
    client.ack(1, first.from);
    let second = client.receive();
    assert_eq!(second.data().0, 2);
    client.read(b"x", TransferOptions::default());
    let stray = client.receive();
    assert_eq!(stray.data().0, 1);
    assert_ne!(stray.from, first.from, "a transfer of its own");
    client.abort(ErrorCode::UnknownTransfer, stray.from);
    assert!(matches!(server.outcome(), FileOutcome::Aborted { bytes: 0, of: 3000, .. }));
    let mut file = bytes[..1024].to_vec();
    for block in 2..6 {
        client.ack(block, first.from);
        file.extend_from_slice(client.receive().data().1);
    }
    client.ack(6, first.from);
    assert!(file == bytes);
    assert!(is_sent(&server.outcome(), 3000));
}

#[test]
fn a_client_may_begin_anew_from_the_same_port() {
    let server = Server::new();
    server.file("old", 3000);
    let bytes = server.file("new", 2000);
    let client = server.client();
    client.read(b"old", TransferOptions::default());
    let old = client.receive();
    client.read(b"new", TransferOptions::default());
    let new = client.receive();
    assert_ne!(new.from, old.from);
    assert!(client.go_on(&new, |_| true) == bytes);
    assert!(is_sent(&server.outcome(), 2000));
}

#[test]
fn the_same_file_twice_from_the_same_port() {
    let server = Server::new();
    let bytes = server.file("x", 1300);
    let client = server.client();
    for _ in 0..20 {
        assert!(client.get(b"x", options(1000, 4)) == bytes);
    }
    for _ in 0..20 {
        assert!(is_sent(&server.outcome(), 1300));
    }
}

#[test]
fn a_request_for_the_size_is_no_failure() {
    let server = Server::new();
    let bytes = server.file("x", 5000);
    for code in [ErrorCode::OptionsRefused, ErrorCode::Undefined] {
        let client = server.client();
        client.read(b"x", tsize());
        let answer = client.receive();
        assert_eq!(answer.oack().tsize, Some(5000));
        client.abort(code, answer.from);
        assert_eq!(server.outcome(), FileOutcome::SizeProbe);
        assert!(client.get(b"x", options(1468, 4)) == bytes);
        assert!(is_sent(&server.outcome(), 5000));
    }
}

#[test]
fn a_client_that_gives_up_says_why() {
    let server = Server::new();
    server.file("x", 5000);
    let client = server.client();
    client.read(b"x", TransferOptions::default());
    let from = client.receive().from;
    client.ack(1, from);
    client.receive();
    client.abort(ErrorCode::DiskFull, from);
    let FileOutcome::Aborted { bytes, of, why } = server.outcome() else { panic!("not aborted") };
    assert_eq!((bytes, of, why.as_str()), (512, 5000, "the client said: User aborted"));
}

/// By the ICMP message of its host, long before the server would give up by itself.
#[test]
fn a_client_that_is_gone_ends_its_transfer() {
    let server = Server::new();
    server.file("x", 5000);
    let client = server.client();
    client.read(b"x", TransferOptions::default());
    let from = client.receive().from;
    client.ack(1, from);
    drop(client);
    assert!(matches!(server.outcome(), FileOutcome::Aborted { .. }));
}

#[test]
fn a_file_that_is_cut_short_ends_with_an_error() {
    let server = Server::new();
    server.file("x", 200_000);
    let client = server.client();
    client.read(b"x", options(1000, 1));
    let from = client.receive().from;
    File::options().write(true).open(server.path("x")).unwrap().set_len(500).unwrap();
    client.ack(0, from);
    assert_eq!(client.receive().error(), (0, "the file cannot be read any more".to_owned()));
    assert!(matches!(server.outcome(), FileOutcome::Aborted { bytes: 0, of: 200_000, .. }));
}

#[test]
fn one_port_for_everything_serves_many_clients_at_once() {
    let server = Server::with(AnswerFrom::RequestPort, None);
    let bytes = server.file("x", 100_000);
    let clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    let answers: Vec<_> = clients
        .iter()
        .map(|client| {
            client.read(b"x", options(1000, 8));
            client.receive()
        })
        .collect();
    for (client, first) in clients.iter().zip(&answers) {
        assert_eq!(first.from, server.addr);
        assert!(client.go_on(first, losing(30)) == bytes);
        assert!(is_sent(&server.outcome(), bytes.len()));
    }
}

#[test]
fn on_one_port_for_everything_a_new_request_takes_the_place_of_the_old() {
    let server = Server::with(AnswerFrom::RequestPort, None);
    server.file("old", 3000);
    let bytes = server.file("new", 2000);
    let client = server.client();
    client.read(b"old", TransferOptions::default());
    client.receive();
    client.read(b"new", TransferOptions::default());
    let new = client.receive();
    assert!(client.go_on(&new, |_| true) == bytes);
    let mut outcomes = [server.outcome(), server.outcome()];
    outcomes.sort_by_key(|outcome| is_sent(outcome, 2000));
    assert!(
        matches!(&outcomes[0], FileOutcome::Aborted { why, .. } if why.as_str() == "the client asked anew")
    );
    assert!(is_sent(&outcomes[1], 2000));
}
