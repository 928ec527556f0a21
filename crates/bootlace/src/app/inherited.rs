//! Listeners that a service manager has opened: those of streams, by name.
//!
//! DHCP's and TFTP's sockets are not taken over: they belong to an interface each, tell where a datagram came in and
//! have large buffers, none of which a socket unit can say. The server has the capabilities for them in any case.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use anyhow::{Context, Result, bail};
use socket2::{Domain, SockRef, Type};

use crate::net::inherited_sockets;

/// What there is instead of sockets of our own.
#[derive(Default)]
pub(super) struct Inherited {
    /// `FileDescriptorName=http`, for all addresses that are served.
    pub(super) http: Vec<TcpListener>,
    /// `FileDescriptorName=admin` with a path: `admin.sock`.
    pub(super) admin_socket: Option<UnixListener>,
    /// `FileDescriptorName=admin` with an address.
    pub(super) admin: Option<TcpListener>,
}

impl Inherited {
    /// Takes them, once. A socket that is not understood is a failed start: somebody would wait for its service.
    pub(super) fn take() -> Result<Self> {
        let mut inherited = Self::default();
        for (name, fd) in inherited_sockets().context("cannot take over the service manager's sockets")? {
            inherited.sort(&name, fd).with_context(|| format!("socket {name:?} of the service manager"))?;
        }
        Ok(inherited)
    }

    fn sort(&mut self, name: &str, fd: OwnedFd) -> Result<()> {
        let socket = SockRef::from(&fd);
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            bail!("it is no listening stream; DHCP and TFTP open theirs themselves");
        }
        let unix = socket.domain()? == Domain::UNIX;
        match name {
            "http" if !unix => self.http.push(fd.into()),
            "admin" if unix => self.admin_socket = Some(fd.into()),
            "admin" => self.admin = Some(fd.into()),
            _ => bail!("use FileDescriptorName=http or admin"),
        }
        Ok(())
    }
}
