//! Whole downloads over a bad link: the right bytes, an end, and no more traffic than the faults explain.

use bootlace_wire::tftp::Outcome;

use super::clients::{State, Style};
use super::link::{Faults, Report, run};

const SEEDS: std::ops::Range<u64> = 0..6;

/// Bytes whose neighbours differ, so that a block in the wrong place shows.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// A few hundred blocks for every style, no multiple of a block size.
fn len_for(style: Style) -> usize {
    if style == Style::TinyBlocks { 8 * 500 + 3 } else { 300_001 }
}

fn blocks(style: Style) -> u64 {
    let blksize = match style {
        Style::Plain => 512,
        Style::TinyBlocks => 8,
        Style::Ipxe => 1432,
        Style::Pxelinux => 1408,
        Style::Edk2 => 1468,
        Style::Rfc7440 => 1024,
    };
    len_for(style) as u64 / blksize + 1
}

fn each(styles: &[Style], faults: Faults, check: impl Fn(Style, &Report, &str)) {
    for &style in styles {
        let content = content(len_for(style));
        for seed in SEEDS {
            let report = run(style, content.clone(), faults, seed);
            let what = format!("{style:?}, {faults:?}, seed {seed}: {} packets", report.data_packets);
            assert!(content.starts_with(&report.received), "wrong bytes: {what}");
            if report.client == State::Complete {
                assert_eq!(report.received.len(), content.len(), "{what}");
            }
            check(style, &report, &what);
        }
    }
}

fn assert_complete(report: &Report, what: &str) {
    assert_eq!(report.client, State::Complete, "{what}");
    assert!(matches!(report.outcome, Outcome::Delivered { .. }), "{:?}: {what}", report.outcome);
}

#[test]
fn a_good_link_carries_every_block_once() {
    let faults = Faults { loss: 0, duplication: 0, reordering: 0 };
    each(&Style::ALL, faults, |style, report, what| {
        assert_complete(report, what);
        assert_eq!(report.data_packets, blocks(style), "{what}");
        assert_eq!(report.retransmits, 0, "{what}");
    });
}

#[test]
fn a_link_with_some_faults_costs_some_packets() {
    let faults = Faults { loss: 10, duplication: 10, reordering: 10 };
    each(&Style::ALL, faults, |style, report, what| {
        assert_complete(report, what);
        assert!(report.data_packets * 2 < blocks(style) * 3, "{what}");
    });
}

#[test]
fn without_a_window_copies_and_late_packets_cost_nothing() {
    let faults = Faults { loss: 0, duplication: 300, reordering: 300 };
    let styles = [Style::Plain, Style::TinyBlocks, Style::Ipxe, Style::Pxelinux];
    each(&styles, faults, |style, report, what| {
        assert_complete(report, what);
        assert_eq!(report.data_packets, blocks(style), "{what}");
    });
}

#[test]
fn with_a_window_copies_do_not_breed() {
    // One copied packet in a hundred must not double the rest of the file.
    let rare = Faults { loss: 0, duplication: 10, reordering: 0 };
    each(&[Style::Edk2, Style::Rfc7440], rare, |style, report, what| {
        assert_complete(report, what);
        assert!(report.data_packets * 4 < blocks(style) * 5, "{what}");
        assert!(report.took.as_secs() < 3, "{:?}: {what}", report.took);
    });
    let constant = Faults { loss: 0, duplication: 300, reordering: 0 };
    each(&[Style::Edk2, Style::Rfc7440], constant, |style, report, what| {
        assert_complete(report, what);
        assert!(report.data_packets < blocks(style) * 2, "{what}");
    });
}

#[test]
fn a_terrible_link_ends_too() {
    let faults = Faults { loss: 350, duplication: 50, reordering: 50 };
    each(&Style::ALL, faults, |style, report, what| {
        let window = if style == Style::Rfc7440 { 16 } else { 4 };
        assert!(report.data_packets <= blocks(style) * window, "{what}");
        assert!(!matches!(report.outcome, Outcome::Failed { .. } | Outcome::ClientError { .. }), "{what}");
    });
}

#[test]
fn a_file_past_65535_blocks_survives_loss_around_the_wrap() {
    let content = content(8 * 66_000 + 5);
    let faults = Faults { loss: 1, duplication: 1, reordering: 1 };
    let report = run(Style::TinyBlocks, content.clone(), faults, 7);
    assert_complete(&report, "66001 blocks of 8 bytes");
    assert!(report.received == content);
    assert!(report.retransmits > 0, "the link was too good to prove anything");
}
