//! One test per rule.

use std::time::Duration;

use bootlace_wire::tftp::{ContentInfo, ErrorCode, Limits, Outcome, Output, Packet, Repeat, Transfer};

use super::script::{Script, request};

#[test]
fn without_options_data_starts_at_once_in_blocks_of_512() {
    let mut s = Script::new("", 1025);
    assert_eq!(s.flight(), "DATA 1; wait 1s");
    assert_eq!(s.ack(1), "DATA 2; wait 1s");
    assert_eq!(s.ack(2), "DATA 3; wait 1s");
    assert_eq!(s.ack(3), "done Delivered { bytes: 1025, retransmits: 0 }");
}

#[test]
fn unknown_options_alone_bring_no_empty_oack() {
    assert_eq!(Script::new("multicast 1 rollover 0 blksize 4", 10).flight(), "DATA 1; wait 1s");
}

#[test]
fn the_oack_has_only_what_was_asked_and_is_known() {
    // pxelinux aborts on anything but tsize and blksize.
    let mut s = Script::new("tsize 0 blksize 1408 multicast 1", 5000);
    assert_eq!(s.flight(), "OACK blksize 1408 tsize 5000; wait 1s");
    assert_eq!(s.ack(0), "DATA 1; wait 1s");
    // GRUB fails without any OACK.
    assert_eq!(Script::new("blksize 1024 tsize 0", 7).flight(), "OACK blksize 1024 tsize 7; wait 1s");
    assert_eq!(Script::new("BLKSIZE 512", 7).flight(), "OACK blksize 512; wait 1s");
}

#[test]
fn sizes_are_lowered_and_never_raised() {
    assert_eq!(Script::new("blksize 65464", 7).flight(), "OACK blksize 1468; wait 1s");
    assert_eq!(Script::new("blksize 8", 7).flight(), "OACK blksize 8; wait 1s");
    assert_eq!(Script::new("windowsize 4", 7).flight(), "OACK windowsize 4; wait 1s");
    assert_eq!(Script::new("windowsize 65535", 7).flight(), "OACK windowsize 32; wait 1s");
}

#[test]
fn an_empty_final_block_ends_a_file_of_whole_blocks() {
    let mut s = Script::new("", 512);
    s.flight();
    assert_eq!(s.transfer.acked_bytes(), 0);
    s.transfer.handle_packet(&Packet::Ack(1).to_vec());
    let Output::SendData(run) = s.transfer.poll_output(s.now) else { panic!("no second block") };
    assert_eq!((run.first_block, run.count, run.offset, run.len), (2, 1, 512, 0));
    assert_eq!(run.packets().collect::<Vec<_>>(), [([0, 3, 0, 2], 0..0)]);
    assert_eq!(s.transfer.acked_bytes(), 512);
    assert_eq!(s.ack(2), "done Delivered { bytes: 512, retransmits: 0 }");
    let mut empty = Script::new("", 0);
    assert_eq!(empty.flight(), "DATA 1; wait 1s");
    assert_eq!(empty.ack(1), "done Delivered { bytes: 0, retransmits: 0 }");
}

#[test]
fn a_run_maps_to_packets_of_one_size_but_the_last() {
    let mut s = Script::new("blksize 100 windowsize 4", 250);
    s.flight();
    s.transfer.handle_packet(&Packet::Ack(0).to_vec());
    let Output::SendData(run) = s.transfer.poll_output(s.now) else { panic!("no window") };
    let packets: Vec<_> = run.packets().collect();
    assert_eq!(packets, [([0, 3, 0, 1], 0..100), ([0, 3, 0, 2], 100..200), ([0, 3, 0, 3], 200..250)]);
}

#[test]
fn a_window_that_one_send_call_cannot_take_comes_in_runs() {
    let limits = Limits { blksize_max: 8968, windowsize_max: 16 };
    let content = ContentInfo { len: 1 << 30 };
    let options = "blksize 8968 windowsize 16";
    let mut s = Script::new("", 0);
    s.transfer = request(options, |r| Transfer::new(r, content, &limits));
    s.flight();
    assert_eq!(s.ack(0), "DATA 1-7; DATA 8-14; DATA 15-16; wait 1s");
}

#[test]
fn the_window_opens_only_after_the_first_ack() {
    let mut s = Script::new("windowsize 4", 10_000);
    assert_eq!(s.flight(), "OACK windowsize 4; wait 1s");
    assert_eq!(s.ack(0), "DATA 1-4; wait 1s");
    assert_eq!(s.ack(4), "DATA 5-8; wait 1s");
}

#[test]
fn an_unproven_source_gets_three_packets() {
    for options in ["", "blksize 1468 windowsize 16 tsize 0", "timeout 255"] {
        let mut s = Script::new(options, 1 << 20);
        let mut said = s.flight();
        for _ in 0..200 {
            said += &s.repeat().1;
            said += &s.after_secs(8);
        }
        let packets = said.matches("OACK").count() + said.matches("DATA").count();
        assert_eq!(packets, 3, "{options:?}");
        assert_eq!(s.outcome(), Some(Outcome::Unproven), "{options:?}");
    }
}

#[test]
fn a_forged_ack_does_not_prove_a_source() {
    let mut s = Script::new("windowsize 16 tsize 0", 1 << 20);
    s.flight();
    for wrong in [1, 2, 77, 65535] {
        assert_eq!(s.ack(wrong), "wait 1s");
    }
}

#[test]
fn the_wait_doubles_to_eight_seconds_and_the_sixth_is_the_last() {
    let mut s = Script::new("", 1 << 20);
    s.flight();
    assert_eq!(s.ack(1), "DATA 2; wait 1s");
    assert_eq!(s.after_secs(1), "DATA 2; wait 2s");
    assert_eq!(s.after_secs(1), "wait 1s");
    assert_eq!(s.after_secs(1), "DATA 2; wait 4s");
    assert_eq!(s.after_secs(4), "DATA 2; wait 8s");
    assert_eq!(s.after_secs(8), "DATA 2; wait 8s");
    assert_eq!(s.after_secs(8), "DATA 2; wait 8s");
    assert_eq!(s.after_secs(8), "done TimedOut { acked_bytes: 512 }");
    assert_eq!(s.transfer.retransmits(), 5);
}

#[test]
fn progress_resets_wait_and_tries() {
    let mut s = Script::new("", 1 << 20);
    s.flight();
    s.ack(1);
    for block in 2..40 {
        assert_eq!(s.after_secs(1), format!("DATA {block}; wait 2s"));
        assert_eq!(s.after_secs(2), format!("DATA {block}; wait 4s"));
        assert_eq!(s.ack(block), format!("DATA {}; wait 1s", block + 1));
    }
}

#[test]
fn the_client_may_choose_the_wait() {
    let mut s = Script::new("timeout 5", 1 << 20);
    assert_eq!(s.flight(), "OACK timeout 5; wait 5s");
    assert_eq!(s.ack(0), "DATA 1; wait 5s");
    assert_eq!(s.after_secs(5), "DATA 1; wait 8s");
    let mut slow = Script::new("timeout 60", 1 << 20);
    assert_eq!(slow.flight(), "OACK timeout 60; wait 8s", "unproven sources wait no longer than others");
    assert_eq!(slow.ack(0), "DATA 1; wait 60s");
    assert_eq!(slow.after_secs(60), "DATA 1; wait 30s");
}

#[test]
fn no_wait_that_was_asked_for_holds_a_transfer_that_gets_no_further() {
    let mut s = Script::new("timeout 255", 1 << 20);
    s.flight();
    assert_eq!(s.ack(0), "DATA 1; wait 90s");
    assert_eq!(s.after_secs(89), "wait 1s");
    assert_eq!(s.ack(1), "DATA 2; wait 90s", "it got further");
    assert_eq!(s.after_secs(90), "done TimedOut { acked_bytes: 512 }");
}

#[test]
fn acks_that_bring_nothing_new_do_not_hold_it_either() {
    let mut s = Script::new("windowsize 4 timeout 30", 1 << 20);
    s.flight();
    assert_eq!(s.ack(0), "DATA 1-4; wait 30s");
    for passed in (29..90).step_by(29) {
        s.after_secs(29);
        s.ack(0);
        assert_eq!(s.outcome(), None, "after {passed} s");
    }
    assert_eq!(s.after_secs(3), "done TimedOut { acked_bytes: 0 }");
}

#[test]
fn the_timer_starts_when_the_read_is_done_and_sent() {
    let mut s = Script::new("", 1 << 20);
    assert!(matches!(s.transfer.poll_output(s.now), Output::SendData(_)));
    s.now += Duration::from_secs(30);
    s.transfer.handle_timeout(s.now);
    assert_eq!(s.flight(), "wait 1s");
}

#[test]
fn without_a_window_a_duplicate_ack_sends_nothing() {
    let mut s = Script::new("tsize 0", 1 << 20);
    s.flight();
    assert_eq!(s.ack(0), "DATA 1; wait 1s");
    assert_eq!(s.ack(0), "wait 1s");
    assert_eq!(s.ack(1), "DATA 2; wait 1s");
    assert_eq!(s.ack(1), "wait 1s");
    assert_eq!(s.ack(0), "wait 1s");
    assert_eq!(s.ack(3), "wait 1s", "block 3 was never sent");
    assert_eq!(s.ack(2), "DATA 3; wait 1s");
}

#[test]
fn a_duplicate_ack_does_not_put_off_the_timer() {
    let mut s = Script::new("", 1 << 20);
    s.flight();
    s.ack(1);
    s.now += Duration::from_millis(900);
    assert_eq!(s.ack(1), "wait 100ms");
}

#[test]
fn an_ack_inside_the_window_restarts_behind_it() {
    let mut s = Script::new("windowsize 8", 1 << 20);
    s.flight();
    assert_eq!(s.ack(0), "DATA 1-8; wait 1s");
    assert_eq!(s.ack(3), "DATA 4-11; wait 1s");
    assert_eq!(s.transfer.retransmits(), 5);
}

#[test]
fn a_lost_first_block_restarts_the_window_once() {
    let mut s = Script::new("windowsize 4", 1 << 20);
    s.flight();
    s.ack(0);
    assert_eq!(s.ack(4), "DATA 5-8; wait 1s");
    // EDK2 answers each of 6, 7 and 8 with ACK 4.
    assert_eq!(s.ack(4), "DATA 5-8; wait 1s");
    assert_eq!(s.ack(4), "wait 50ms");
    assert_eq!(s.ack(4), "wait 50ms");
    assert_eq!(s.ack(8), "DATA 9-12; wait 1s");
}

#[test]
fn repeated_acks_of_blocks_sent_twice_breed_no_windows() {
    let mut s = Script::new("windowsize 4", 1 << 20);
    s.flight();
    s.ack(0);
    s.ack(4);
    // The network doubled the ACK: 5-8 go out twice without need, and each copy is acknowledged.
    assert_eq!(s.ack(4), "DATA 5-8; wait 1s");
    assert_eq!(s.ack(8), "DATA 9-12; wait 1s");
    for _ in 0..4 {
        assert_eq!(s.ack(8), "wait 50ms");
    }
    // The next window was clean, so a repeated ACK means loss again.
    assert_eq!(s.ack(12), "DATA 13-16; wait 1s");
    assert_eq!(s.ack(12), "DATA 13-16; wait 1s");
}

#[test]
fn an_ack_inside_a_window_sent_twice_does_not_restart_it_again() {
    let mut s = Script::new("windowsize 4", 1 << 20);
    s.flight();
    s.ack(0);
    // Packet 2 came twice, so EDK2 said ACK 2 in the middle of a complete window.
    assert_eq!(s.ack(2), "DATA 3-6; wait 1s");
    // It has 3 and 4 now, and answers their copies; 5 and 6 are on the way.
    assert_eq!(s.ack(4), "DATA 7-8; wait 50ms");
    assert_eq!(s.ack(4), "wait 50ms");
    assert_eq!(s.ack(8), "DATA 9-12; wait 1s");
}

#[test]
fn a_doubtful_gap_that_stays_is_filled_soon_and_once() {
    let mut s = Script::new("windowsize 4", 1 << 20);
    s.flight();
    s.ack(0);
    assert_eq!(s.ack(0), "DATA 1-4; wait 1s");
    assert_eq!(s.ack(0), "wait 50ms");
    s.now += Duration::from_millis(50);
    s.transfer.handle_timeout(s.now);
    assert_eq!(s.flight(), "DATA 1-4; wait 1s");
    assert_eq!(s.ack(0), "wait 1s", "the same report shortens no second wait");
    assert_eq!(s.after_secs(1), "DATA 1-4; wait 2s");
}

#[test]
fn a_silent_client_gets_a_window_no_more_often_than_a_block() {
    let mut s = Script::new("windowsize 4", 1 << 20);
    s.flight();
    let mut said = s.ack(0);
    while s.outcome().is_none() {
        said += &s.after_secs(1);
    }
    assert_eq!(said.matches("DATA 1-4").count(), 6);
    assert_eq!(s.outcome(), Some(Outcome::TimedOut { acked_bytes: 0 }));
}

#[test]
fn acks_outside_the_window_change_nothing() {
    let mut s = Script::new("windowsize 4", 1 << 20);
    s.flight();
    s.ack(0);
    s.ack(4);
    for stale in [0, 1, 3, 9, 10, 40_000, 65535] {
        assert_eq!(s.ack(stale), "wait 1s", "ACK {stale}");
    }
}

#[test]
fn block_numbers_go_on_behind_65535() {
    let mut s = Script::new("blksize 8 windowsize 32", 8 * 200_000 + 3);
    s.flight();
    s.ack(0);
    let mut acked: u64 = 0;
    while acked < 200_001 {
        acked = (acked + 32).min(200_001);
        s.ack(acked as u16);
    }
    assert_eq!(s.flight(), "done Delivered { bytes: 1600003, retransmits: 0 }");

    let mut single = Script::new("blksize 8", 8 * 70_000);
    single.flight();
    for block in 0..=70_000_u64 {
        single.ack(block as u16);
        assert_eq!(single.ack(block as u16), "wait 1s");
    }
    assert_eq!(single.ack(4465), "done Delivered { bytes: 560000, retransmits: 0 }", "70001 modulo 65536");
}

#[test]
fn an_ack_across_the_wrap_counts_for_the_window() {
    let mut s = Script::new("blksize 8 windowsize 32", 8 * 100_000);
    s.flight();
    let mut acked = 0;
    while acked < 65_520 {
        s.ack(acked as u16);
        acked += 30;
    }
    assert_eq!(s.ack(65_520), "DATA 65521-65552; wait 1s");
    assert_eq!(s.ack(2), "DATA 65539-65570; wait 1s", "65538 modulo 65536");
}

#[test]
fn a_lost_last_ack_counts_as_delivered() {
    let mut s = Script::new("blksize 512 tsize 0", 600);
    s.flight();
    s.ack(0);
    assert_eq!(s.ack(1), "DATA 2; wait 1s");
    for wait in [1, 2, 4, 8, 8] {
        assert!(s.after_secs(wait).starts_with("DATA 2;"));
    }
    assert_eq!(s.after_secs(8), "done Delivered { bytes: 600, retransmits: 5 }");
}

#[test]
fn a_client_that_closed_its_port_after_the_last_block_has_the_file() {
    let last_sent = || {
        let mut s = Script::new("tsize 0", 600);
        s.flight();
        s.ack(0);
        s.ack(1);
        s
    };
    let delivered = Some(Outcome::Delivered { bytes: 600, retransmits: 0 });
    let mut s = last_sent();
    s.error(ErrorCode::UnknownTransfer, b"who are you?");
    assert_eq!(s.outcome(), delivered);
    let mut s = last_sent();
    s.transfer.handle_unreachable();
    assert_eq!(s.outcome(), delivered);
}

#[test]
fn a_closed_port_ends_the_transfer() {
    let mut s = Script::new("", 1 << 20);
    s.flight();
    s.ack(1);
    s.transfer.handle_unreachable();
    assert_eq!(s.flight(), "done TimedOut { acked_bytes: 512 }");
}

#[test]
fn an_abort_after_the_oack_of_a_tsize_request_is_a_size_probe() {
    let probe = "tsize 0 blksize 1468 windowsize 4";
    for code in [ErrorCode::OptionsRefused, ErrorCode::Undefined] {
        let mut s = Script::new(probe, 5000);
        assert_eq!(s.flight(), "OACK blksize 1468 tsize 5000 windowsize 4; wait 1s");
        assert_eq!(s.error(code, b"User aborted the transfer"), "done SizeProbe");
    }
    let mut later = Script::new(probe, 500_000);
    later.flight();
    later.ack(0);
    assert!(later.error(ErrorCode::Undefined, b"").starts_with("done ClientError"));
    let mut no_tsize = Script::new("blksize 1468", 5000);
    no_tsize.flight();
    assert!(no_tsize.error(ErrorCode::OptionsRefused, b"").starts_with("done ClientError"));
    let mut other_code = Script::new(probe, 5000);
    other_code.flight();
    assert!(other_code.error(ErrorCode::DiskFull, b"").starts_with("done ClientError"));
}

#[test]
fn an_error_ends_the_transfer_without_an_answer() {
    let mut s = Script::new("", 1 << 20);
    s.flight();
    let said = s.error(ErrorCode::DiskFull, b"no\x1b[31m room\n");
    assert_eq!(said, "done ClientError { code: DiskFull, text: \"no?[31m room?\" }");
    s.transfer.fail(ErrorCode::Undefined, "too late");
    assert_eq!(s.ack(1), said);
    assert_eq!(s.after_secs(60), said);
}

#[test]
fn our_own_failure_is_said_once() {
    let mut s = Script::new("", 1 << 20);
    s.flight();
    s.ack(1);
    s.transfer.fail(ErrorCode::Undefined, "the file became shorter");
    let end = "done Failed { acked_bytes: 512 }";
    assert_eq!(s.flight(), format!("ERROR 0 the file became shorter; {end}"));
    assert_eq!(s.ack(2), end);
    assert_eq!(s.after_secs(9), end);
}

#[test]
fn a_repeated_request_is_answered_by_the_same_transfer_until_an_ack() {
    let mut s = Script::new("tsize 0", 5000);
    assert_eq!(s.flight(), "OACK tsize 5000; wait 1s");
    assert_eq!(s.repeat(), (Repeat::Taken, "OACK tsize 5000; wait 1s".into()));
    s.ack(0);
    assert_eq!(s.repeat(), (Repeat::New, "wait 1s".into()));
    let mut plain = Script::new("", 5000);
    plain.flight();
    assert_eq!(plain.repeat(), (Repeat::Taken, "DATA 1; wait 1s".into()));
}

#[test]
fn other_packets_and_noise_change_nothing() {
    let mut s = Script::new("windowsize 4", 1 << 20);
    s.flight();
    s.ack(0);
    for noise in [
        &b""[..],
        b"\0",
        b"\0\x04",
        b"\0\x04\0",
        b"\0\x03\0\x01data",
        b"\0\x06tsize\x001\0",
        b"\0\x01file\0octet\0",
        b"\xff\xff\xff\xff",
    ] {
        s.transfer.handle_packet(noise);
        assert_eq!(s.flight(), "wait 1s", "{}", noise.escape_ascii());
    }
}
