//! Tests of the protocol machines from outside, one binary for all.

mod dhcp;
mod frame;
mod iscsi;
mod mutants;
mod property;
mod scsi;
mod survive;
mod tftp;
