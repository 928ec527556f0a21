//! What must survive a power loss.
#![forbid(unsafe_code)]
