//! One attempt of one machine to boot, folded from events.
