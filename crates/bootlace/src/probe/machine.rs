//! One played machine and its sockets.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bootlace_probe::{Action, Client, Input};
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, recvfrom};
use socket2::Socket;

use super::network::{self, Network};

/// Datagrams or reads that one machine takes before others have their turn.
const TURN: usize = 64;

enum Tcp {
    Connecting(Socket),
    Open { socket: Socket, unsent: Vec<u8> },
}

/// What happened within an action, in the order in which it did.
enum Happened {
    UdpRefused,
    TcpFailed,
}

pub(super) struct Machine {
    pub(super) client: Client,
    address: Ipv4Addr,
    udp: Option<Socket>,
    tcp: Option<Tcp>,
}

impl Machine {
    pub(super) fn new(client: Client) -> Self {
        Self { client, address: Ipv4Addr::UNSPECIFIED, udp: None, tcp: None }
    }

    pub(super) fn let_time_pass(&mut self, now: Duration, network: &mut Network) {
        if self.client.deadline().is_some_and(|deadline| deadline <= now) {
            self.tell(Input::Timeout, now, network);
        }
    }

    pub(super) fn frame(&mut self, frame: &[u8], now: Duration, network: &mut Network) {
        self.tell(Input::Frame(frame), now, network);
    }

    fn tell(&mut self, input: Input<'_>, now: Duration, network: &mut Network) {
        let actions = self.client.handle(now, input);
        self.carry_out(actions, network, now);
    }

    /// Does what the client says; what that brings about at once is told to it as well.
    pub(super) fn carry_out(&mut self, actions: Vec<Action>, network: &mut Network, now: Duration) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let input = match self.one(action, network) {
                None => continue,
                Some(Happened::UdpRefused) => Input::UdpRefused,
                Some(Happened::TcpFailed) => Input::TcpFailed,
            };
            actions.extend(self.client.handle(now, input));
        }
    }

    fn one(&mut self, action: Action, network: &mut Network) -> Option<Happened> {
        match action {
            // A frame that does not leave is a lost one.
            Action::SendFrame(frame) => drop(network.frames().send(&frame)),
            Action::SetAddress(address) => {
                self.address = address.ip;
                network.add(address);
            }
            Action::OpenUdp { port } => {
                // The old socket's port may be the one that is wanted.
                self.udp = None;
                self.udp = network::udp(self.address, port).ok();
            }
            Action::SendUdp { to, bytes } => {
                network.note(to);
                let sent = self.udp.as_ref().map(|udp| udp.send_to(&bytes, &to.into()));
                return match sent {
                    Some(Ok(_)) => None,
                    Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
                    Some(Err(_)) | None => Some(Happened::UdpRefused),
                };
            }
            Action::Connect(to) => {
                network.note(to);
                self.tcp = network::tcp(self.address, to).ok().map(Tcp::Connecting);
                return self.tcp.is_none().then_some(Happened::TcpFailed);
            }
            Action::SendTcp(bytes) => {
                if let Some(Tcp::Open { unsent, .. }) = &mut self.tcp {
                    unsent.extend(bytes);
                }
                return self.flush().is_err().then_some(Happened::TcpFailed);
            }
            Action::CloseTcp => self.tcp = None,
        }
        None
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(Tcp::Open { socket, unsent }) = &mut self.tcp else { return Ok(()) };
        while !unsent.is_empty() {
            match (&*socket).write(unsent) {
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The sockets to wait for, and for what.
    pub(super) fn each_socket<'a>(&'a self, mut wait: impl FnMut(BorrowedFd<'a>, PollFlags)) {
        if self.client.outcome().is_some() {
            return;
        }
        if let Some(udp) = &self.udp {
            wait(udp.as_fd(), PollFlags::IN);
        }
        match &self.tcp {
            Some(Tcp::Connecting(socket)) => wait(socket.as_fd(), PollFlags::OUT),
            Some(Tcp::Open { socket, unsent }) if unsent.is_empty() => wait(socket.as_fd(), PollFlags::IN),
            Some(Tcp::Open { socket, .. }) => wait(socket.as_fd(), PollFlags::IN | PollFlags::OUT),
            None => {}
        }
    }

    /// Takes what its sockets have.
    pub(super) fn receive(&mut self, now: Duration, network: &mut Network) {
        let mut buffer = network.lend_buffer();
        for _ in 0..TURN {
            if !self.receive_udp(&mut buffer, now, network) {
                break;
            }
        }
        self.finish_connecting(now, network);
        for _ in 0..TURN {
            if !self.receive_tcp(&mut buffer, now, network) {
                break;
            }
        }
        network.take_buffer(buffer);
    }

    /// True when there may be more.
    fn receive_udp(&mut self, buffer: &mut [u8], now: Duration, network: &mut Network) -> bool {
        let Some(udp) = &self.udp else { return false };
        match recvfrom(udp, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((len, _, from)) => {
                let from = from.and_then(|from| SocketAddrV4::try_from(from).ok());
                if let Some(from) = from {
                    self.tell(Input::Udp { from, bytes: buffer.get(..len).unwrap_or(buffer) }, now, network);
                }
                true
            }
            Err(rustix::io::Errno::CONNREFUSED) => {
                self.tell(Input::UdpRefused, now, network);
                true
            }
            Err(_) => false,
        }
    }

    fn finish_connecting(&mut self, now: Duration, network: &mut Network) {
        let Some(Tcp::Connecting(socket)) = &self.tcp else { return };
        match (socket.take_error(), socket.peer_addr()) {
            (Ok(None), Ok(_)) => {
                let Some(Tcp::Connecting(socket)) = self.tcp.take() else { return };
                self.tcp = Some(Tcp::Open { socket, unsent: Vec::new() });
                self.tell(Input::Connected, now, network);
            }
            (Ok(Some(_)) | Err(_), _) => {
                self.tcp = None;
                self.tell(Input::TcpFailed, now, network);
            }
            // Not yet.
            (Ok(None), Err(_)) => {}
        }
    }

    /// True when there may be more.
    fn receive_tcp(&mut self, buffer: &mut [u8], now: Duration, network: &mut Network) -> bool {
        let flushed = self.flush();
        let Some(Tcp::Open { socket, .. }) = &self.tcp else { return false };
        let read = flushed.and_then(|()| (&*socket).read(buffer));
        match read {
            Ok(0) => {
                self.tcp = None;
                self.tell(Input::TcpClosed, now, network);
                false
            }
            Ok(len) => {
                self.tell(Input::Tcp(&buffer[..len]), now, network);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.tcp = None;
                self.tell(Input::TcpFailed, now, network);
                false
            }
        }
    }
}
