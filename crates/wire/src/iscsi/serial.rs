//! Sequence numbers that wrap (RFC 1982, which RFC 7143 section 4.2.2.1 refers to).

use std::cmp::Ordering;

/// A number of 32 bits that is compared by the shorter way around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial(pub u32);

impl Serial {
    /// The number `n` steps on.
    pub fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// Which of the two comes first; two that are half the circle apart have no order, and the other counts as earlier.
    pub fn order(self, other: Self) -> Ordering {
        (self.0.wrapping_sub(other.0) as i32).cmp(&0)
    }

    /// Whether it lies in `first..=last`.
    pub fn within(self, first: Self, last: Self) -> bool {
        self.order(first) != Ordering::Less && self.order(last) != Ordering::Greater
    }
}
