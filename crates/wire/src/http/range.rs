//! The `Range` header for one file (RFC 9110 section 14).

/// What a range means for a file of a certain length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// All of it.
    Whole,
    /// The bytes from the first number up to, not including, the second.
    Part(u64, u64),
    /// No byte of it lies in the range.
    NotThere,
}

/// One range of bytes. Several at once, other units and nonsense are answered with the whole file, which is
/// always allowed.
pub fn byte_range(range: &str, len: u64) -> ByteRange {
    let bounds = range.strip_prefix("bytes=").filter(|list| !list.contains(','));
    let Some((first, last)) = bounds.and_then(|bounds| bounds.trim().split_once('-')) else {
        return ByteRange::Whole;
    };
    match (number(first), number(last)) {
        (Bound::Number(first), Bound::Number(last)) if first > last => ByteRange::Whole,
        (Bound::Number(first), _) if first >= len && !matches!(number(last), Bound::Nonsense) => {
            ByteRange::NotThere
        }
        (Bound::Number(first), Bound::Number(last)) => {
            ByteRange::Part(first, last.saturating_add(1).min(len))
        }
        (Bound::Number(first), Bound::Open) => ByteRange::Part(first, len),
        (Bound::Open, Bound::Number(tail)) if tail == 0 || len == 0 => ByteRange::NotThere,
        (Bound::Open, Bound::Number(tail)) => ByteRange::Part(len.saturating_sub(tail), len),
        _ => ByteRange::Whole,
    }
}

/// One side of a range.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Open,
    Number(u64),
    Nonsense,
}

fn number(digits: &str) -> Bound {
    match digits {
        "" => Bound::Open,
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            // What does not fit lies behind the end of every file.
            Bound::Number(digits.parse().unwrap_or(u64::MAX))
        }
        _ => Bound::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges() {
        let cases = [
            ("bytes=0-9", ByteRange::Part(0, 10)),
            ("bytes=90-", ByteRange::Part(90, 100)),
            ("bytes=99-99", ByteRange::Part(99, 100)),
            ("bytes=50-1000", ByteRange::Part(50, 100)),
            ("bytes=50-99999999999999999999999", ByteRange::Part(50, 100)),
            ("bytes=-10", ByteRange::Part(90, 100)),
            ("bytes=-1000", ByteRange::Part(0, 100)),
            ("bytes=100-", ByteRange::NotThere),
            ("bytes=99999999999999999999999-", ByteRange::NotThere),
            ("bytes=-0", ByteRange::NotThere),
            ("bytes=9-0", ByteRange::Whole),
            ("bytes=0-1,5-6", ByteRange::Whole),
            ("bytes=-", ByteRange::Whole),
            ("bytes=", ByteRange::Whole),
            ("bytes=a-b", ByteRange::Whole),
            ("bytes=200-x", ByteRange::Whole),
            ("bytes=+1-2", ByteRange::Whole),
            ("lines=1-2", ByteRange::Whole),
        ];
        for (range, expect) in cases {
            assert_eq!(byte_range(range, 100), expect, "{range}");
        }
        assert_eq!(byte_range("bytes=0-", 0), ByteRange::NotThere);
        assert_eq!(byte_range("bytes=-5", 0), ByteRange::NotThere);
    }
}
