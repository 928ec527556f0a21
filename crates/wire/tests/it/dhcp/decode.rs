//! What the decoder accepts, and what it refuses.

use bootlace_wire::Mac;
use bootlace_wire::dhcp::{Code, DecodeError, Message, Op};

/// A header with these options behind the magic cookie.
fn packet(options: &[u8]) -> Vec<u8> {
    let mut bytes = Message::new(Op::Request, Mac([2, 0, 0, 0, 0, 1]).into(), 7).encode(300).bytes;
    bytes.truncate(240);
    bytes.extend(options);
    bytes
}

fn decoded(options: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let message = Message::decode(&packet(options)).unwrap();
    message.options.iter().map(|(code, bytes)| (code.0, bytes.to_vec())).collect()
}

#[test]
fn options_end_where_they_stop_making_sense() {
    let one = vec![(53, vec![1])];
    assert_eq!(decoded(b"\x35\x01\x01\xff\x0c\x01x"), one, "behind the end mark");
    assert_eq!(decoded(b"\x35\x01\x01"), one, "no end mark");
    assert_eq!(decoded(b"\x00\x00\x35\x01\x01\x00\x00\xff"), one, "padding");
    assert_eq!(decoded(b"\x35\x01\x01\x0c\x09abc\xff"), one, "a length past the end");
    assert_eq!(decoded(b"\x35\x01\x01\x0c"), one, "a code without a length");
    assert_eq!(decoded(b"\x50\x00\xff"), [(80, vec![])], "an empty option is one");
}

#[test]
fn pieces_of_an_option_are_joined_wherever_they_are() {
    assert_eq!(decoded(b"\x0c\x02we\x35\x01\x01\x0c\x02b1\xff"), [(12, b"web1".to_vec()), (53, vec![1])]);
    let mut bytes = packet(b"\x34\x01\x03\x0c\x01a\xff");
    bytes[108..114].copy_from_slice(b"\x0c\x01b\x34\x01\x03");
    bytes[44..48].copy_from_slice(b"\x0c\x01c\xff");
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.hostname(), Some(&b"abc"[..]), "options, then file, then sname");
    assert_eq!(message.options.get(Code::OVERLOAD), None);
    assert_eq!((message.file.len(), message.sname.len()), (0, 0), "they held no text");
}

#[test]
fn each_field_is_overloaded_on_its_own() {
    let read = |overload: u8| {
        let mut bytes = packet(&[52, 1, overload, 255]);
        bytes[108..111].copy_from_slice(b"\x0c\x01f");
        bytes[44..47].copy_from_slice(b"\x0c\x01s");
        let message = Message::decode(&bytes).unwrap();
        (message.hostname().map(<[u8]>::to_vec), message.file, message.sname)
    };
    let (file, sname) = (b"\x0c\x01f".to_vec(), b"\x0c\x01s".to_vec());
    assert_eq!(read(1), (Some(b"f".to_vec()), vec![], sname.clone()));
    assert_eq!(read(2), (Some(b"s".to_vec()), file.clone(), vec![]));
    assert_eq!(read(3), (Some(b"fs".to_vec()), vec![], vec![]));
    assert_eq!(read(0), (None, file, sname));
}

#[test]
fn without_the_cookie_there_are_no_options() {
    let mut bytes = packet(b"\x35\x01\x01\xff");
    bytes[236] = 0;
    assert!(Message::decode(&bytes).unwrap().options.is_empty());
    assert!(Message::decode(&bytes[..236]).unwrap().message_type().is_none());
}

#[test]
fn header_fields_are_bounded() {
    let with = |at: usize, value: u8| {
        let mut bytes = packet(b"\xff");
        bytes[at] = value;
        Message::decode(&bytes)
    };
    assert_eq!(Message::decode(&packet(b"")[..235]), Err(DecodeError::Short));
    assert_eq!(with(0, 0), Err(DecodeError::BadOp));
    assert_eq!(with(0, 3), Err(DecodeError::BadOp));
    assert_eq!(with(1, 0), Err(DecodeError::BadHardwareType));
    assert_eq!(with(2, 17), Err(DecodeError::BadHardwareLength));
    assert_eq!(with(2, 255), Err(DecodeError::BadHardwareLength));
    assert_eq!(with(2, 16).unwrap().hw.as_bytes().len(), 16);
    assert_eq!(with(2, 0).unwrap().hw.as_bytes(), []);
    assert_eq!(with(3, 200).unwrap().hops, 200, "what to do with it is the server's rule");
    assert!(with(10, 0x80).unwrap().broadcast);
    assert!(!with(10, 0x7f).unwrap().broadcast, "the other bits mean nothing");
}

#[test]
fn texts_end_at_their_nul_or_with_the_field() {
    let mut bytes = packet(b"\xff");
    bytes[44..108].fill(b's');
    bytes[108..236].fill(b'f');
    bytes[118] = 0;
    let message = Message::decode(&bytes).unwrap();
    assert_eq!((message.sname.len(), message.file), (64, b"ffffffffff".to_vec()));
}
