//! The binary's parts on real sockets and files.

mod docs;
mod files;
mod http;
