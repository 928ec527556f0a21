//! The one question that a loader asks a name server: the IPv4 address of a host (RFC 1035).

use std::net::Ipv4Addr;

use bootlace_wire::cursor::Cursor;

/// A question for the address of `name`.
pub(crate) fn question(id: u16, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // One question, recursion desired.
    for word in [id, 0x0100, 1, 0, 0, 0] {
        bytes.extend(word.to_be_bytes());
    }
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(LABEL_BYTES_MAX)];
        bytes.push(label.len() as u8);
        bytes.extend(label);
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

const LABEL_BYTES_MAX: usize = 63;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Address(Ipv4Addr),
    /// There is no such name, or it has no address.
    None,
}

/// Reads an answer to question `id`; `None` when it is none.
pub(crate) fn answer(id: u16, bytes: &[u8]) -> Option<Answer> {
    let mut from = Cursor::new(bytes);
    let (theirs, flags) = (from.u16()?, from.u16()?);
    if theirs != id || flags & 0x8000 == 0 {
        return None;
    }
    let (questions, answers) = (from.u16()?, from.u16()?);
    from.take(4)?;
    for _ in 0..questions {
        skip_name(&mut from)?;
        from.take(4)?;
    }
    for _ in 0..answers {
        skip_name(&mut from)?;
        let (kind, class) = (from.u16()?, from.u16()?);
        from.take(4)?;
        let len = from.u16()?;
        let data = from.take(usize::from(len))?;
        // Behind aliases, which a recursive server has followed.
        if let (1, 1, Ok(quad)) = (kind, class, <[u8; 4]>::try_from(data)) {
            return Some(Answer::Address(quad.into()));
        }
    }
    Some(Answer::None)
}

fn skip_name(from: &mut Cursor<'_>) -> Option<()> {
    loop {
        match from.u8()? {
            0 => return Some(()),
            // A pointer ends a name.
            len if len & 0xc0 == 0xc0 => return from.u8().map(|_| ()),
            len => from.take(usize::from(len)).map(|_| ())?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_behind_its_aliases() {
        let mut bytes = question(7, "pxe.example.com");
        assert_eq!(bytes.len(), 12 + 17 + 4);
        assert_eq!(answer(7, &bytes), None, "a question is no answer");
        bytes[2] = 0x81;
        assert_eq!(answer(7, &bytes), Some(Answer::None));
        bytes[7] = 2;
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 16]);
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 188, 0, 10]);
        assert_eq!(answer(7, &bytes), Some(Answer::Address(Ipv4Addr::new(10, 188, 0, 10))));
        assert_eq!(answer(8, &bytes), None, "another question's");
        for len in 0..bytes.len() {
            assert!(!matches!(answer(7, &bytes[..len]), Some(Answer::Address(_))), "cut after {len} bytes");
        }
    }
}
