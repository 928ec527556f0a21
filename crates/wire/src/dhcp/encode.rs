//! [`Message`] to bytes.

use super::{CHADDR_LEN, Code, FILE_LEN, FLAG_BROADCAST, HEADER_LEN, MAGIC_COOKIE, Message, Op, SNAME_LEN};

/// A message ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The UDP payload.
    pub bytes: Vec<u8>,
    /// Options that did not go in, in the order in which they were given up.
    pub dropped: Vec<Code>,
}

/// Relays and ROMs drop anything shorter (RFC 1542 section 2.1).
const PAYLOAD_MIN: usize = 300;
/// The length of an option is one byte, and no boot firmware joins split options (RFC 3396).
const OPTION_LEN_MAX: usize = 255;

/// Never given up for lack of room: without them the reply is worthless to the client or its relay.
const ESSENTIAL: [Code; 10] = [
    Code::MESSAGE_TYPE,
    Code::SERVER_ID,
    Code::LEASE_TIME,
    Code::SUBNET_MASK,
    Code::VENDOR_CLASS,
    Code::BOOT_FILE,
    Code::TFTP_SERVER,
    Code::VENDOR,
    Code::RELAY_INFO,
    Code::UUID,
];

/// Given up only after everything that is neither here nor essential, the last of these first.
const IMPORTANT: [Code; 14] = [
    Code::CLIENT_ID,
    Code::ROUTER,
    Code::DNS,
    Code::IPXE,
    Code::ROOT_PATH,
    Code::PXELINUX_CONFIG,
    Code::PXELINUX_PREFIX,
    Code::CLASSLESS_ROUTES,
    Code::T1,
    Code::T2,
    Code::MESSAGE,
    Code::BROADCAST,
    Code::DOMAIN,
    Code::HOSTNAME,
];

impl Message {
    /// Writes a UDP payload of at most `limit` bytes (see [`Message::payload_limit`]) and at least 300.
    ///
    /// Order: 53, 54, 51, 1, then the message's own order, then 67, and 82 last (RFC 3046 section 2.2). One
    /// pad byte follows 67, because EDK2 terminates that text in place and would overwrite the next tag; no
    /// other pad precedes the end mark, since old Raspberry Pi EEPROMs trip over them.
    ///
    /// What does not fit is dropped: first options that nothing here names, from the last; then the important
    /// ones from hostname up to client-id. 53, 54, 51, 1, 60, 67, 66, 43, 82 and 97 stay even when together
    /// they exceed the limit, which only a relay's option 82 can bring about. Always dropped are options
    /// longer than 255 bytes, and 52, because iPXE would read overloaded options as a file name.
    ///
    /// A `file` longer than 127 bytes or `sname` longer than 63 stays out of the header: a name cut short is
    /// worse than none.
    pub fn encode(&self, limit: usize) -> Encoded {
        let (options, dropped) = self.options_that_fit(limit.max(PAYLOAD_MIN));
        let mut bytes = Vec::with_capacity(limit.clamp(PAYLOAD_MIN, 1500));
        self.encode_header(&mut bytes);
        bytes.extend(MAGIC_COOKIE);
        for (code, value) in options {
            bytes.push(code.0);
            bytes.push(value.len() as u8);
            bytes.extend_from_slice(value);
            if code == Code::BOOT_FILE {
                bytes.push(Code::PAD.0);
            }
        }
        bytes.push(Code::END.0);
        bytes.resize(bytes.len().max(PAYLOAD_MIN), 0);
        Encoded { bytes, dropped }
    }

    fn encode_header(&self, bytes: &mut Vec<u8>) {
        let op = match self.op {
            Op::Request => 1,
            Op::Reply => 2,
        };
        let address = self.hw.as_bytes();
        bytes.extend([op, self.hw.htype(), address.len() as u8, self.hops]);
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend(self.secs.to_be_bytes());
        bytes.extend(if self.broadcast { FLAG_BROADCAST } else { 0 }.to_be_bytes());
        for ip in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            bytes.extend(ip.octets());
        }
        push_padded(bytes, address, CHADDR_LEN);
        push_padded(bytes, terminated(&self.sname, SNAME_LEN), SNAME_LEN);
        push_padded(bytes, terminated(&self.file, FILE_LEN), FILE_LEN);
    }

    /// The options to send in wire order, and the codes of the others.
    fn options_that_fit(&self, limit: usize) -> (Vec<(Code, &[u8])>, Vec<Code>) {
        let mut kept = Vec::with_capacity(self.options.len());
        let mut dropped = Vec::new();
        for (code, value) in self.options.iter() {
            if can_be_sent(code, value) { kept.push((code, value)) } else { dropped.push(code) }
        }
        let mut size = HEADER_LEN + MAGIC_COOKIE.len() + 1 + kept.iter().map(option_len).sum::<usize>();
        while size > limit {
            let Some(victim) = least_important(&kept) else { break };
            let (code, value) = kept.remove(victim);
            size -= option_len(&(code, value));
            dropped.push(code);
        }
        kept.sort_by_key(|(code, _)| wire_rank(*code));
        (kept, dropped)
    }
}

fn can_be_sent(code: Code, value: &[u8]) -> bool {
    value.len() <= OPTION_LEN_MAX && ![Code::PAD, Code::END, Code::OVERLOAD].contains(&code)
}

/// Bytes on the wire, with the pad byte of option 67.
fn option_len((code, value): &(Code, &[u8])) -> usize {
    2 + value.len() + usize::from(*code == Code::BOOT_FILE)
}

/// Where to find the option to give up next, if one may be.
fn least_important(options: &[(Code, &[u8])]) -> Option<usize> {
    let expendable = options.iter().enumerate().filter(|(_, (code, _))| !ESSENTIAL.contains(code));
    expendable
        .max_by_key(|(_, (code, _))| IMPORTANT.iter().position(|c| c == code).unwrap_or(IMPORTANT.len()))
        .map(|(at, _)| at)
}

fn wire_rank(code: Code) -> u8 {
    match code {
        Code::MESSAGE_TYPE => 0,
        Code::SERVER_ID => 1,
        Code::LEASE_TIME => 2,
        Code::SUBNET_MASK => 3,
        Code::BOOT_FILE => 5,
        Code::RELAY_INFO => 6,
        _ => 4,
    }
}

/// The text if it leaves room for its NUL, else nothing.
fn terminated(text: &[u8], field_len: usize) -> &[u8] {
    if text.len() < field_len { text } else { &[] }
}

fn push_padded(bytes: &mut Vec<u8>, value: &[u8], len: usize) {
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len() + len.saturating_sub(value.len()), 0);
}
