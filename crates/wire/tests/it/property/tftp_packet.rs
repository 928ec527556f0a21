//! What decodes means the same when it is encoded again, and clean names are plain relative paths. Shared
//! with the fuzz target.

use bootlace_wire::tftp::{Admission, Packet, admit, clean_name, limits, printable_text, raw_options};

pub(crate) fn check(bytes: &[u8]) {
    check_name(bytes);
    assert!(raw_options(bytes).count() <= bytes.len());
    if let Ok(packet) = Packet::decode(bytes) {
        assert_eq!(Packet::decode(&packet.to_vec()), Ok(packet));
        if let Packet::Error { text, .. } = packet {
            assert!(printable_text(text).bytes().all(|b| (b' '..=b'~').contains(&b)));
        }
    }
    if let Admission::Serve(request) = admit(bytes, 2070) {
        check_name(request.name);
    }
}

fn check_name(raw: &[u8]) {
    let Ok(name) = clean_name(raw) else { return };
    assert!(name.len() <= limits::NAME_LEN_MAX);
    assert!(!name.chars().any(|c| c.is_control() || c == '\\'));
    assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")));
    assert_eq!(clean_name(name.as_bytes()), Ok(name), "cleaning is stable");
}
