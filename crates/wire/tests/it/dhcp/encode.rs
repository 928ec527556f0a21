//! What the encoder promises to firmware.

use std::net::Ipv4Addr;

use bootlace_wire::Mac;
use bootlace_wire::dhcp::{Code, Message, Op};

const LIMIT: usize = 548;

fn message() -> Message {
    Message::new(Op::Reply, Mac([2, 0, 0, 0, 0, 1]).into(), 7)
}

/// The bytes behind the magic cookie.
fn options_of(message: &Message) -> Vec<u8> {
    message.encode(LIMIT).bytes[240..].to_vec()
}

#[test]
fn a_small_reply_is_padded_behind_the_end_mark() {
    let bytes = message().encode(LIMIT).bytes;
    assert_eq!(bytes.len(), 300);
    assert_eq!(bytes[236..241], [99, 130, 83, 99, 255]);
    assert!(bytes[241..].iter().all(|b| *b == 0));
}

#[test]
fn header_fields_stand_at_their_places() {
    let mut message = message();
    message.hops = 1;
    message.secs = 0x0203;
    message.broadcast = true;
    message.ciaddr = Ipv4Addr::new(1, 0, 0, 1);
    message.yiaddr = Ipv4Addr::new(2, 0, 0, 2);
    message.siaddr = Ipv4Addr::new(3, 0, 0, 3);
    message.giaddr = Ipv4Addr::new(4, 0, 0, 4);
    message.sname = b"10.0.0.1".to_vec();
    message.file = b"undionly.kpxe".to_vec();
    let bytes = message.encode(LIMIT).bytes;
    assert_eq!(bytes[..12], [2, 1, 6, 1, 0, 0, 0, 7, 2, 3, 0x80, 0]);
    assert_eq!(bytes[12..28], [1, 0, 0, 1, 2, 0, 0, 2, 3, 0, 0, 3, 4, 0, 0, 4]);
    assert_eq!(bytes[28..36], [2, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(bytes[44..53], *b"10.0.0.1\0");
    assert_eq!(bytes[108..122], *b"undionly.kpxe\0");
}

#[test]
fn options_come_in_the_documented_order() {
    let mut message = message();
    for code in [82, 67, 60, 3, 51, 1, 53, 6, 54] {
        message.options.set(Code(code), [code]);
    }
    let options = options_of(&message);
    #[rustfmt::skip]
    let expected = [
        53, 1, 53, 54, 1, 54, 51, 1, 51, 1, 1, 1,
        60, 1, 60, 3, 1, 3, 6, 1, 6,
        67, 1, 67, 0, 82, 1, 82, 255,
    ];
    assert_eq!(options[..expected.len()], expected);
}

#[test]
fn only_the_boot_file_has_a_pad_byte_before_the_end() {
    let mut message = message();
    message.options.set_text(Code::BOOT_FILE, "a");
    assert_eq!(options_of(&message)[..5], [67, 1, b'a', 0, 255]);
    message.options.remove(Code::BOOT_FILE);
    message.options.set_text(Code::TFTP_SERVER, "a");
    assert_eq!(options_of(&message)[..4], [66, 1, b'a', 255]);
}

#[test]
fn a_name_that_leaves_no_room_for_its_nul_stays_out_of_the_header() {
    let mut message = message();
    message.file = vec![b'f'; 127];
    message.sname = vec![b's'; 63];
    let bytes = message.encode(LIMIT).bytes;
    assert_eq!((bytes[234], bytes[235], bytes[106], bytes[107]), (b'f', 0, b's', 0));
    message.file.push(b'f');
    message.sname.push(b's');
    let bytes = message.encode(LIMIT).bytes;
    assert!(bytes[44..236].iter().all(|b| *b == 0));
}

#[test]
fn what_firmware_cannot_read_is_never_sent() {
    let mut message = message();
    message.options.set(Code::OVERLOAD, [3]);
    message.options.set(Code::BOOT_FILE, vec![b'x'; 256]);
    message.options.set(Code::ROOT_PATH, vec![b'x'; 255]);
    message.options.set(Code::END, []);
    let encoded = message.encode(1472);
    assert_eq!(encoded.dropped, [Code::OVERLOAD, Code::BOOT_FILE, Code::END]);
    assert_eq!(encoded.bytes[240..242], [17, 255]);
}

#[test]
fn options_give_way_in_the_documented_order() {
    let mut message = message();
    message.options.set(Code::MESSAGE_TYPE, [2]);
    message.options.set(Code::NTP, [1; 40]);
    message.options.set(Code::HOSTNAME, [b'h'; 40]);
    message.options.set(Code::ROUTER, [1; 40]);
    message.options.set(Code(224), [1; 40]);
    message.options.set(Code::CLIENT_ID, [1; 40]);
    message.options.set(Code::BOOT_FILE, [b'f'; 200]);
    // 240 + 3 + 203 + 1 are there to stay; each of the other five takes 42.
    let dropped = |room: usize| message.encode(447 + room).dropped;
    assert_eq!(dropped(210), []);
    assert_eq!(dropped(209), [Code(224)]);
    assert_eq!(dropped(167), [Code(224), Code::NTP]);
    assert_eq!(dropped(84), [Code(224), Code::NTP, Code::HOSTNAME]);
    assert_eq!(dropped(0), [Code(224), Code::NTP, Code::HOSTNAME, Code::ROUTER, Code::CLIENT_ID]);
    assert_eq!(message.encode(447).bytes.len(), 447);
}

#[test]
fn essential_options_may_exceed_the_limit() {
    let mut message = message();
    message.options.set(Code::MESSAGE_TYPE, [2]);
    message.options.set(Code::RELAY_INFO, [1; 255]);
    message.options.set(Code::BOOT_FILE, [b'f'; 255]);
    message.options.set(Code::DNS, [1; 4]);
    let encoded = message.encode(LIMIT);
    assert_eq!(encoded.dropped, [Code::DNS]);
    assert_eq!(encoded.bytes.len(), 240 + 3 + 258 + 257 + 1);
}

#[test]
fn a_bootp_reply_fits_its_vendor_area() {
    let mut message = message();
    message.options.set_ip(Code::SUBNET_MASK, Ipv4Addr::new(255, 255, 255, 0));
    message.options.set(Code::DNS, [1; 100]);
    let encoded = message.encode(0);
    assert_eq!((encoded.bytes.len(), encoded.dropped), (300, vec![Code::DNS]));
}
