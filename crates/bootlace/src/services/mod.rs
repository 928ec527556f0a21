//! One service for each protocol: receive, ask core, send.

pub mod dhcp;
pub mod http;
pub mod iscsi;
pub mod ndp;
pub mod stand_in;
pub mod tftp;
