//! DHCP: any message that decodes can be described, and survives encoding but for what the encoder reports.

use bootlace_wire::dhcp::{Code, Message, Options, describe::describe};

/// Options that the encoder documents as never given up for lack of room.
const ESSENTIAL: [u8; 10] = [53, 54, 51, 1, 60, 67, 66, 43, 82, 97];
/// Far above 64 options with the longest decoded value.
const DESCRIPTION_MAX: usize = 400_000;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    let text = describe(&message);
    assert!(text.len() < DESCRIPTION_MAX && text.chars().all(|c| c == '\n' || !c.is_control()));
    assert!(message.is_ipxe() || message.ipxe().is_none());
    assert!(
        message.arch().len() + message.user_classes().map_or(0, |class| class.parts.len()) <= bytes.len()
    );
    assert!(message.fqdn().is_none_or(|fqdn| fqdn.name.len() < bytes.len()));
    assert!(message.uuid().is_none_or(|uuid| uuid != [0; 16]));

    let whole = message.encode(usize::MAX);
    let again = Message::decode(&whole.bytes).expect("our own bytes");
    assert_eq!(sorted(&again.options), sorted(&without(&message.options, &whole.dropped)));
    assert!(whole.dropped.iter().all(|code| message.options.get(*code).is_some_and(|v| v.len() > 255)));
    assert_eq!(again.encode(usize::MAX).bytes, whole.bytes, "encoding is stable");
    let sent = |text: &[u8], room| if text.len() < room { text.to_vec() } else { Vec::new() };
    let fields = Message {
        sname: sent(&message.sname, 64),
        file: sent(&message.file, 128),
        options: again.options.clone(),
        ..message.clone()
    };
    assert_eq!(again, fields);

    let limit = message.payload_limit(1500);
    let small = message.encode(limit);
    let kept = Message::decode(&small.bytes).expect("our own bytes").options;
    assert!(small.bytes.len() <= limit || kept.iter().all(|(code, _)| ESSENTIAL.contains(&code.0)));
    assert_eq!(sorted(&kept), sorted(&without(&message.options, &small.dropped)));
}

fn without(options: &Options, dropped: &[Code]) -> Options {
    let mut options = options.clone();
    for code in dropped {
        options.remove(*code);
    }
    options
}

fn sorted(options: &Options) -> Vec<(Code, Vec<u8>)> {
    let mut list: Vec<_> = options.iter().map(|(code, bytes)| (code, bytes.to_vec())).collect();
    list.sort();
    list
}
