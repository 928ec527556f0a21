//! Tests of the protocol machines from outside, one binary for all.

mod tftp;
