//! docs/limits.md says what the constants say.

use std::time::Duration;

use bootlace::counters::Counter;
use bootlace::doctor;
use bootlace::files::LINKS_MAX;
use bootlace::http::LEASES_MAX;
use bootlace::hub;
use bootlace::loaders;
use bootlace::net::{INHERITED_MAX, RECV_BATCH_MAX, UNREST_MAX};
use bootlace::services::dhcp::{CLOCK_CHECK, WAITING_MAX};
use bootlace::services::stand_in::STAND_IN_TIME_MAX;
use bootlace::services::{http::limits as http, iscsi::limits as iscsi, tftp};
use bootlace::{one_shots, tokens};
use bootlace_core::boot::template;
use bootlace_core::{config, dhcp, files, learn, model, oneshot, session};
use bootlace_probe::limits as probe;
use bootlace_store::journal;
use bootlace_wire::iscsi::limits as rfc7143;
use bootlace_wire::scsi::limits as scsi;
use bootlace_wire::tftp::limits as wire;

use super::page;

/// The rows of the page in their order: name and value.
fn constants() -> Vec<(&'static str, String)> {
    vec![
        ("TEXT_BYTES_MAX", count(model::TEXT_BYTES_MAX)),
        ("QUERY_BYTES_MAX", bytes(files::QUERY_BYTES_MAX as u64)),
        ("NAME_BYTES_MAX", count(config::NAME_BYTES_MAX)),
        ("TEMPLATE_BYTES_MAX", bytes(template::TEMPLATE_BYTES_MAX as u64)),
        ("RENDERED_BYTES_MAX", bytes(template::RENDERED_BYTES_MAX as u64)),
        ("SESSIONS_MAX", count(session::SESSIONS_MAX)),
        ("SILENCE", time(session::SILENCE)),
        ("REPORTED_MAX", count(hub::REPORTED_MAX)),
        ("NEIGHBOURS_MAX", count(hub::NEIGHBOURS_MAX)),
        ("LEARNED_MACHINES_MAX", count(learn::LEARNED_MACHINES_MAX)),
        ("FACTS_PER_MACHINE_MAX", count(learn::FACTS_PER_MACHINE_MAX)),
        ("FAILURES", count(learn::FAILURES as usize)),
        ("ALIKE_WITHIN", time(learn::ALIKE_WITHIN)),
        ("ONE_SHOTS_MAX", count(oneshot::ONE_SHOTS_MAX)),
        ("CHANGES_MAX", count(one_shots::CHANGES_MAX)),
        ("TOKEN_LIFE", time(tokens::TOKEN_LIFE)),
        ("INSTALLS_MAX", count(hub::INSTALLS_MAX)),
        ("EXPIRE_DEFAULT", time(learn::EXPIRE_DEFAULT)),
        ("HELD_WARNING", format!("{} %", dhcp::HELD_WARNING)),
        ("HELD_CALM", format!("{} %", dhcp::HELD_CALM)),
        ("OFFER_HOLD", time(dhcp::OFFER_HOLD)),
        ("SUPERSEDED_MAX", count(dhcp::SUPERSEDED_MAX)),
        ("SCARCE", format!("{} %", dhcp::SCARCE)),
        ("SPOKEN_FOR_SHARE", format!("{} %", dhcp::SPOKEN_FOR_SHARE)),
        ("SPOKEN_FOR_MAX", count(dhcp::SPOKEN_FOR_MAX)),
        ("QUARANTINE", time(dhcp::QUARANTINE)),
        ("QUARANTINES_PER_CLIENT_MAX", count(dhcp::QUARANTINES_PER_CLIENT_MAX)),
        ("QUARANTINES_MAX", count(dhcp::QUARANTINES_MAX)),
        ("PROBE_WAIT", time(dhcp::PROBE_WAIT)),
        ("PROOF_AGE", time(dhcp::PROOF_AGE)),
        ("PROBES_AHEAD", count(dhcp::PROBES_AHEAD)),
        ("PROBES_AHEAD_MAX", count(dhcp::PROBES_AHEAD_MAX)),
        ("PROBES_MAX", count(dhcp::PROBES_MAX)),
        ("WAITING_MAX", count(WAITING_MAX)),
        ("CLOCK_STEP_MIN", time(dhcp::CLOCK_STEP_MIN)),
        ("CLOCK_CHECK", time(CLOCK_CHECK)),
        ("RECV_BATCH_MAX", count(RECV_BATCH_MAX)),
        ("TRANSFERS_MAX", count(tftp::TRANSFERS_MAX)),
        ("TRANSFERS_PER_CLIENT_MAX", count(tftp::TRANSFERS_PER_CLIENT_MAX)),
        ("NAME_LEN_MAX", count(wire::NAME_LEN_MAX)),
        ("BLKSIZE_MAX", count(wire::BLKSIZE_MAX.into())),
        ("WINDOWSIZE_DEFAULT", count(wire::WINDOWSIZE_DEFAULT.into())),
        ("RTO_INITIAL", time(wire::RTO_INITIAL)),
        ("RTO_MAX", time(wire::RTO_MAX)),
        ("TRIES_MAX", count(wire::TRIES_MAX.into())),
        ("STALL_MAX", time(wire::STALL_MAX)),
        ("UNPROVEN_PACKETS_MAX", count(wire::UNPROVEN_PACKETS_MAX.into())),
        ("CONNECTIONS_MAX", count(http::CONNECTIONS_MAX)),
        ("CONNECTIONS_PER_CLIENT_MAX", count(http::CONNECTIONS_PER_CLIENT_MAX)),
        ("STILL_MIN", time(http::STILL_MIN)),
        ("HEAD_BYTES_MAX", bytes(http::HEAD_BYTES_MAX as u64)),
        ("HEADERS_MAX", count(http::HEADERS_MAX)),
        ("LONG_QUEUES_MAX", count(http::LONG_QUEUES_MAX)),
        ("HEAD_TIME_MAX", time(http::HEAD_TIME_MAX)),
        ("FRAME_TIME_MAX", time(http::FRAME_TIME_MAX)),
        ("DRAIN_TIME_MAX", time(http::DRAIN_TIME_MAX)),
        ("LEASES_MAX", count(LEASES_MAX)),
        ("TARGETS_MAX", count(config::TARGETS_MAX)),
        ("MACHINE_DISKS_OPEN_MAX", count(iscsi::MACHINE_DISKS_OPEN_MAX)),
        ("IMAGE_WAIT", time(iscsi::IMAGE_WAIT)),
        ("IMAGES_MAX", count(bootlace::services::iscsi::IMAGES_MAX)),
        ("CONNECTIONS_MAX", count(iscsi::CONNECTIONS_MAX)),
        ("LOGINS_PER_CLIENT_MAX", count(iscsi::LOGINS_PER_CLIENT_MAX)),
        ("LOGIN_MAX", time(rfc7143::LOGIN_MAX)),
        ("DISCOVERY_MAX", time(rfc7143::DISCOVERY_MAX)),
        ("LOGIN_REQUESTS_MAX", count(rfc7143::LOGIN_REQUESTS_MAX as usize)),
        ("TEXT_BYTES_MAX", bytes(rfc7143::TEXT_BYTES_MAX as u64)),
        ("SEGMENT_BYTES_MAX", bytes(rfc7143::SEGMENT_BYTES_MAX.into())),
        ("FIRST_BURST_BYTES_MAX", bytes(rfc7143::FIRST_BURST_BYTES_MAX.into())),
        ("BURST_BYTES_MAX", bytes(rfc7143::BURST_BYTES_MAX.into())),
        ("COMMANDS_MAX", count(rfc7143::COMMANDS_MAX as usize)),
        ("UNASKED_BYTES_MAX", bytes(rfc7143::UNASKED_BYTES_MAX)),
        ("SOLICITED_BYTES_MAX", bytes(rfc7143::SOLICITED_BYTES_MAX)),
        ("TRANSFER_BYTES_MAX", bytes(scsi::TRANSFER_BYTES_MAX.into())),
        ("LONG_COMMAND_BYTES_MIN", bytes(iscsi::LONG_COMMAND_BYTES_MIN)),
        ("LONG_COMMANDS_BYTES_MAX", bytes(iscsi::LONG_COMMANDS_BYTES_MAX)),
        ("LONG_COMMANDS_BYTES_PER_SESSION_MAX", bytes(iscsi::LONG_COMMANDS_BYTES_PER_SESSION_MAX)),
        ("FLUSHES_MAX", count(iscsi::FLUSHES_MAX)),
        ("NEXUSES_MAX", count(scsi::NEXUSES_MAX)),
        ("SEND_TIME_MAX", time(iscsi::SEND_TIME_MAX)),
        ("SILENCE", time(iscsi::SILENCE)),
        ("STOP_TIME", time(iscsi::STOP_TIME)),
        ("AGE_DEFAULT", time(journal::AGE_DEFAULT)),
        ("BYTES_DEFAULT", bytes(journal::BYTES_DEFAULT)),
        ("MACHINES_MAX", count(usize::try_from(journal::MACHINES_MAX).unwrap())),
        ("QUEUE_HIGH_WATER", count(journal::QUEUE_HIGH_WATER)),
        ("QUEUE_MAX", count(journal::QUEUE_MAX)),
        ("INHERITED_MAX", count(INHERITED_MAX.into())),
        ("PASSWORDS_MAX", count(config::PASSWORDS_MAX)),
        ("SHA_ROUNDS_MAX", count(config::SHA_ROUNDS_MAX as usize)),
        ("BCRYPT_ROUNDS_MAX", count(config::BCRYPT_ROUNDS_MAX as usize)),
        ("YESCRYPT_ROUNDS_MAX", count(config::YESCRYPT_ROUNDS_MAX as usize)),
        ("PHRASE_BYTES_MAX", count(bootlace_core::crypt::PHRASE_BYTES_MAX)),
        ("LINKS_MAX", count(LINKS_MAX)),
        ("FOLDER_BYTES_MAX", bytes(bootlace_iso::FOLDER_BYTES_MAX)),
        ("PIECES_MAX", count(bootlace_iso::PIECES_MAX)),
        ("ARCHIVE_BYTES_MAX", bytes(loaders::ARCHIVE_BYTES_MAX)),
        ("UNPACKED_BYTES_MAX", bytes(loaders::UNPACKED_BYTES_MAX)),
        ("ENTRIES_MAX", count(loaders::ENTRIES_MAX)),
        ("LOADER_BYTES_MAX", bytes(loaders::LOADER_BYTES_MAX)),
        ("UNREST_MAX", time(UNREST_MAX)),
        ("STAND_IN_TIME_MAX", time(STAND_IN_TIME_MAX)),
        ("BOOT_TIME_MAX", time(probe::BOOT_TIME_MAX)),
        ("FETCHES_MAX", count(probe::FETCHES_MAX as usize)),
        ("COMMANDS_MAX", count(probe::COMMANDS_MAX as usize)),
        ("SCRIPT_DEPTH_MAX", count(probe::SCRIPT_DEPTH_MAX)),
        ("SCRIPT_RUNS_MAX", count(probe::SCRIPT_RUNS_MAX as usize)),
        ("LOADERS_MAX", count(probe::LOADERS_MAX as usize)),
        ("LOOK_BYTES_MAX", bytes(probe::LOOK_BYTES_MAX as u64)),
        ("FILE_BYTES_MAX", format!("{} MiB", count((probe::FILE_BYTES_MAX >> 20) as usize))),
        ("OFFERS_MAX", count(probe::OFFERS_MAX)),
        ("HTTP_HEAD_BYTES_MAX", bytes(probe::HTTP_HEAD_BYTES_MAX as u64)),
        ("REDIRECTS_MAX", count(probe::REDIRECTS_MAX as usize)),
        ("VALUE_BYTES_MAX", bytes(probe::VALUE_BYTES_MAX as u64)),
        ("SETTINGS_MAX", count(probe::SETTINGS_MAX)),
        ("IMAGES_MAX", count(probe::IMAGES_MAX)),
        ("MENU_ITEMS_MAX", count(probe::MENU_ITEMS_MAX)),
        ("REPORT_STEPS_MAX", count(probe::REPORT_STEPS_MAX)),
        ("SHOWN_CHARS_MAX", count(probe::SHOWN_CHARS_MAX)),
        ("LISTEN", time(doctor::LISTEN)),
        ("OTHERS_MAX", count(doctor::OTHERS_MAX)),
    ]
}

/// With a comma before every three digits.
fn count(value: usize) -> String {
    let digits = value.to_string();
    let (first, rest) = digits.split_at((digits.len() - 1) % 3 + 1);
    let groups = rest.as_bytes().chunks(3).map(|group| str::from_utf8(group).unwrap());
    std::iter::once(first).chain(groups).collect::<Vec<_>>().join(",")
}

fn bytes(value: u64) -> String {
    match value {
        value if value.is_multiple_of(1 << 20) => format!("{} MiB", value >> 20),
        value => format!("{} KiB", value >> 10),
    }
}

fn time(value: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match value.as_secs() {
        0 => format!("{} ms", value.as_millis()),
        seconds if seconds.is_multiple_of(DAY) => format!("{} days", seconds / DAY),
        seconds if seconds >= 120 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// Rows of limits: the last cell is the name, the second one the value.
fn rows(text: &str) -> Vec<(String, String)> {
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        (cells[4].trim_matches('`').to_owned(), cells[1].to_owned())
    })
    .collect()
}

#[test]
fn the_table_of_limits_is_the_codes() {
    let documented = rows(&page("docs/limits.md"));
    let expected: Vec<(String, String)> =
        constants().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(documented, expected);
}

#[test]
fn every_limit_has_its_counter_or_says_why_not() {
    let text = page("docs/limits.md");
    let (limits, _) = text.split_once("## All counters").unwrap();
    let known = |name: &str| Counter::ALL.iter().any(|counter| counter.name() == name);
    for row in limits.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |")) {
        let cell = row.trim_matches('|').split('|').nth(3).unwrap().trim();
        let none = cell.strip_prefix("- (").and_then(|why| why.strip_suffix(')'));
        let named = || cell.split(", ").all(|name| known(name.trim_matches('`')));
        assert!(none.is_some_and(|why| !why.is_empty()) || named(), "{row}");
    }
}

#[test]
fn the_table_of_counters_is_the_codes() {
    let text = page("docs/limits.md");
    let (_, table) = text.split_once("## All counters").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let expected =
        Counter::ALL.iter().map(|counter| format!("| `{}` | {} |", counter.name(), counter.meaning()));
    assert_eq!(rows, expected.collect::<Vec<_>>());
}

#[test]
fn the_readme_repeats_the_most_important_ones() {
    let readme = page("README.md");
    for said in [
        format!("{} TFTP transfers", count(tftp::TRANSFERS_MAX)),
        format!("{} HTTP connections", count(http::CONNECTIONS_MAX)),
        format!("{} open boots", count(session::SESSIONS_MAX)),
        format!("{} bytes of each value", count(model::TEXT_BYTES_MAX)),
        format!("{} or {}", time(journal::AGE_DEFAULT), bytes(journal::BYTES_DEFAULT)),
    ] {
        assert!(readme.contains(&said), "README.md does not say {said:?}");
    }
}
