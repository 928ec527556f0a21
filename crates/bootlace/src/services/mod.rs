//! One service for each protocol: receive, ask core, send.

pub mod http;
pub mod tftp;
