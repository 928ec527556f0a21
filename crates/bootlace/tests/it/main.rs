//! The binary's parts on real sockets and files.

mod admin;
mod cli;
mod denied;
mod dhcp;
mod docs;
mod files;
mod http;
mod images;
mod initiator;
mod installs;
mod iscsi;
mod loaders;
mod machine_disks;
mod one_shots;
mod passwd;
mod process;
mod reload;
mod sandbox;
mod serving;
mod state;
mod systemd;
mod tftp;
mod world;
