//! What a decision has to tell beside its answer: a limit that was reached.

use super::AlmostFull;

/// Something that an operator should see in a number, not only in one machine's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// With this lease most addresses of a subnet are held. Told once, until there is room again.
    AlmostFull(AlmostFull),
    /// The relay is none that the config knows.
    ForeignRelay,
    /// An offer that was not taken yet was made to somebody else, as no other address was left.
    OfferSuperseded,
    /// Newcomers that another station speaks for have as many addresses of a subnet as they get.
    SpokenFor,
    /// An address that somebody else is on was lent on, since too much is in quarantine already.
    QuarantineFull,
}
