//! Matching facts: yes, no or not known yet.

/// The `match` table of a rule: keys are ANDed, the values of one key ORed.
#[derive(Clone, Debug, Default)]
pub struct Match {}
