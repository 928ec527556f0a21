//! What must hold for any bytes at all. The fuzz targets include these files too, so that what they explore
//! for hours is checked briefly with every test run.

use proptest::test_runner::{Config, RngSeed};

pub(crate) mod arp_reply;
pub(crate) mod dhcp_decode;
pub(crate) mod frame_parse;
pub(crate) mod http_request;
pub(crate) mod ipxe_options;
pub(crate) mod iscsi_pdu;
pub(crate) mod ndp_solicitor;
pub(crate) mod scsi_cdb;
pub(crate) mod tftp_packet;
pub(crate) mod tftp_transfer;

/// The same cases in every run: a test that fails today fails tomorrow.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(0x626f_6f74), ..Config::default() }
}
