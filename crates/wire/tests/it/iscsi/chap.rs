use bootlace_wire::iscsi::{Algorithm, Authentication, Chap, Secret};

use super::{Bench, CHALLENGE, TARGET, chap, secret};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn first(method: &str) -> String {
    format!("InitiatorName=iqn.2026-01.example:host TargetName={TARGET} AuthMethod={method}")
}

/// A login as far as our challenge, by some algorithms.
fn challenged(chap: Chap, list: &str) -> Bench {
    let mut bench = Bench::new(Authentication::Chap(chap));
    // iPXE offers the transition with every step.
    let answer = bench.login(0x81, &first("CHAP,None"));
    assert_eq!((answer.flags(), answer.text().as_str()), (0x00, "TargetPortalGroupTag=1 AuthMethod=CHAP"));
    let answer = bench.login(0x81, &format!("CHAP_A={list}"));
    assert_eq!((answer.flags(), answer.status()), (0x00, 0));
    let (_, rest) = answer.text().split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(rest, format!("CHAP_I=42 CHAP_C=0x{}", hex(&CHALLENGE.bytes)));
    bench
}

fn response(algorithm: Algorithm, text: &str) -> String {
    hex(&algorithm.response(CHALLENGE.identifier, &secret(text), &CHALLENGE.bytes))
}

#[test]
fn responses_are_digests_of_identifier_secret_and_challenge() {
    // By Python's hashlib over 2a, "host-secret-1" and the challenge.
    for (algorithm, digest) in [
        (Algorithm::Md5, "aa51d900cc01982444fcf5add6ba8041"),
        (Algorithm::Sha1, "d7f91fbc477ad173e4bb3c17145c6ce0717d7dde"),
        (Algorithm::Sha256, "400080e46b8350e2418432b42e0be51ab7ebed5a3190a04aeac3b59891963d77"),
    ] {
        assert_eq!(response(algorithm, "host-secret-1"), digest);
    }
}

#[test]
fn the_first_known_algorithm_is_taken() {
    for (list, algorithm) in [("5", Algorithm::Md5), ("8,6,5", Algorithm::Sha1), ("7,5", Algorithm::Sha256)] {
        let mut bench = challenged(chap(), list);
        let answer =
            bench.login(0x81, &format!("CHAP_N=host CHAP_R=0x{}", response(algorithm, "host-secret-1")));
        assert_eq!((answer.flags(), answer.status()), (0x81, 0), "{list}");
    }
    let mut bench = Bench::new(Authentication::Chap(chap()));
    assert_eq!(bench.login(0x00, &(first("CHAP") + " CHAP_A=9")).status(), 0x0201);
}

#[test]
fn the_target_proves_itself_with_the_step_that_ends_it() {
    let mut bench = challenged(chap(), "5");
    let theirs = "CHAP_I=7 CHAP_C=0bZmVkY2JhOTg3NjU0MzIxMA==";
    let proof = format!("CHAP_N=host CHAP_R=0x{}", response(Algorithm::Md5, "host-secret-1"));
    let answer = bench.login(0x81, &format!("{proof} {theirs}"));
    let ours = Algorithm::Md5.response(7, &secret("disk-secret-2"), b"fedcba9876543210");
    assert_eq!(answer.flags(), 0x81);
    assert_eq!(answer.text(), format!("CHAP_N=disk CHAP_R=0x{}", hex(&ours)));
    // What follows is an ordinary login.
    assert_eq!(bench.login(0x87, "InitialR2T=No").flags(), 0x87);
}

#[test]
fn who_does_not_prove_it_is_refused() {
    let good = response(Algorithm::Md5, "host-secret-1");
    let reflected = format!("CHAP_N=host CHAP_R=0x{good} CHAP_I=1 CHAP_C=0x{}", hex(&CHALLENGE.bytes));
    let halves = format!("CHAP_N=host CHAP_R=0x{good} CHAP_I=1");
    for keys in [
        format!("CHAP_N=host CHAP_R=0x{}", response(Algorithm::Md5, "another-secret")),
        format!("CHAP_N=other CHAP_R=0x{good}"),
        format!("CHAP_N=host CHAP_R={good}"),
        format!("CHAP_N=host CHAP_R=0x{}", &good[2..]),
        format!("CHAP_R=0x{good}"),
        "CHAP_N=host".into(),
        reflected,
        halves,
        format!("CHAP_N=host CHAP_R=0x{good} CHAP_I=256 CHAP_C=0x00"),
        format!("CHAP_N=host CHAP_R=0x{good} CHAP_I=1 CHAP_C=0x{}", "00".repeat(1025)),
    ] {
        assert_eq!(challenged(chap(), "5").login(0x81, &keys).status(), 0x0201, "{keys}");
    }
}

#[test]
fn a_proof_that_we_cannot_give_is_refused() {
    let one_way = Chap { target: None, ..chap() };
    let mut same_secret = chap();
    same_secret.target.as_mut().unwrap().secret = secret("host-secret-1");
    for chap in [one_way, same_secret] {
        let mut bench = challenged(chap, "5");
        let proof = response(Algorithm::Md5, "host-secret-1");
        let answer = bench.login(0x81, &format!("CHAP_N=host CHAP_R=0x{proof} CHAP_I=1 CHAP_C=0x1234"));
        assert_eq!(answer.status(), 0x0201);
    }
}

#[test]
fn it_cannot_be_left_out() {
    let chapped = || Bench::new(Authentication::Chap(chap()));
    assert_eq!(chapped().login(0x81, &first("None")).status(), 0x0201);
    // The security stage as a whole.
    assert_eq!(chapped().login(0x87, &first("CHAP")).status(), 0x0201);
    // A response to nothing.
    let answer = chapped().login(0x81, &(first("CHAP") + " CHAP_N=host CHAP_R=0x00"));
    assert_eq!(answer.status(), 0x0201);
    // No offer at all.
    let keys = format!("InitiatorName=iqn.2026-01.example:host TargetName={TARGET}");
    assert_eq!(chapped().login(0x83, &keys).status(), 0x0201);
    // The transition before the proof is not granted.
    let mut bench = chapped();
    assert_eq!(bench.login(0x83, &first("CHAP")).flags(), 0x00);
    assert_eq!(bench.login(0x83, "X-example=1").flags(), 0x00);
}

#[test]
fn names_are_text_whatever_they_look_like() {
    let mut looks_binary = chap();
    looks_binary.initiator.name = "0x686f7374".into();
    let mut bench = challenged(looks_binary, "5");
    let proof = response(Algorithm::Md5, "host-secret-1");
    assert_eq!(bench.login(0x81, &format!("CHAP_N=0x686f7374 CHAP_R=0x{proof}")).flags(), 0x81);
}

#[test]
fn secrets_have_a_least_length_and_are_not_shown() {
    assert!(Secret::new(b"eleven-byte").is_none());
    assert!(Secret::new(&[b'x'; 129]).is_none());
    assert!(!format!("{:?}", chap()).contains("secret-1"));
}
