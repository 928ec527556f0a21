//! The binary's parts on real sockets and files.

mod files;
mod http;
