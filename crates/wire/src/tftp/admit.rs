//! What to do with a datagram on the request port.

use super::limits::REFLECTING_PORTS;
use super::packet::{DecodeError, ErrorCode, Mode, Packet, Request, error_packet};

/// An answer that ends a request before it becomes a transfer. It is sent once and never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason for the client.
    pub code: ErrorCode,
    /// The reason for the human before the screen; loaders print it.
    pub text: &'static str,
}

impl Refusal {
    /// Uploads are no part of booting.
    pub const WRITE: Self = Self { code: ErrorCode::Access, text: "this server does not accept uploads" };
    /// RFC 1350 calls this mode obsolete.
    pub const MAIL: Self = Self { code: ErrorCode::IllegalOperation, text: "mail mode is not supported" };
    /// A mode that no RFC knows.
    pub const MODE: Self = Self { code: ErrorCode::IllegalOperation, text: "unknown transfer mode" };

    /// The ERROR packet.
    pub fn packet(&self) -> Vec<u8> {
        error_packet(self.code, self.text)
    }
}

/// Why a datagram gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// From a port of [`REFLECTING_PORTS`].
    Port,
    /// A DATA, ACK, OACK or ERROR of no transfer. Answering (RFC 1350 would allow ERROR 5) only helps
    /// who forges sources, and an ERROR is never answered at all.
    NotRequest,
    /// Not TFTP.
    Malformed(DecodeError),
}

/// The judgement on a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission<'a> {
    /// A read request to be served.
    Serve(Request<'a>),
    /// Answer once with this error.
    Refuse(Refusal),
    /// Count it and say nothing.
    Ignore(Ignored),
}

/// Judges a datagram that came to the request port. The caller has already dropped sources outside the
/// networks it serves, its own addresses, and what belongs to a live transfer.
pub fn admit(datagram: &[u8], source_port: u16) -> Admission<'_> {
    if source_port == 0 || REFLECTING_PORTS.contains(&source_port) {
        return Admission::Ignore(Ignored::Port);
    }
    match Packet::decode(datagram) {
        Ok(Packet::Rrq(Request { mode: Mode::Mail, .. })) => Admission::Refuse(Refusal::MAIL),
        Ok(Packet::Rrq(request)) => Admission::Serve(request),
        Ok(Packet::Wrq(_)) => Admission::Refuse(Refusal::WRITE),
        Ok(_) => Admission::Ignore(Ignored::NotRequest),
        Err(DecodeError::Mode) => Admission::Refuse(Refusal::MODE),
        Err(error) => Admission::Ignore(Ignored::Malformed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_served_in_octet_and_netascii_only() {
        for mode in ["octet", "OCTET", "netascii"] {
            let rrq = format!("\0\x01file\0{mode}\0");
            assert!(matches!(admit(rrq.as_bytes(), 1024), Admission::Serve(_)), "{mode}");
        }
        assert_eq!(admit(b"\0\x01file\0mail\0", 1024), Admission::Refuse(Refusal::MAIL));
        assert_eq!(admit(b"\0\x01file\0binary\0", 1024), Admission::Refuse(Refusal::MODE));
        assert_eq!(Refusal::MAIL.code.number(), 4);
    }

    #[test]
    fn writes_are_refused_with_a_clear_text() {
        let Admission::Refuse(refusal) = admit(b"\0\x02file\0octet\0", 1024) else { panic!("not refused") };
        assert_eq!(refusal.packet(), b"\0\x05\0\x02this server does not accept uploads\0");
    }

    #[test]
    fn nothing_else_is_answered() {
        for stray in [&b"\0\x03\0\x01data"[..], b"\0\x04\0\x01", b"\0\x05\0\x01no\0", b"\0\x06tsize\x001\0"] {
            assert_eq!(admit(stray, 1024), Admission::Ignore(Ignored::NotRequest));
        }
        let malformed = Admission::Ignore(Ignored::Malformed(DecodeError::Unterminated));
        assert_eq!(admit(b"\0\x01file", 1024), malformed);
        for port in [0, 7, 19, 53, 67, 69, 123] {
            assert_eq!(admit(b"\0\x01file\0octet\0", port), Admission::Ignore(Ignored::Port));
        }
    }
}
