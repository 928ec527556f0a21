//! The wire for played machines: DHCP as raw frames of their own MACs, fetches from their leased addresses.
//!
//! The addresses live on a link in a network namespace that only the probing thread is in: they collide with nothing
//! of the host, and go away with the thread, also when the program is killed. On a network the link is a macvlan; for
//! the server of this host itself, which a macvlan does not reach, one end of a pair whose other end that server serves.

mod machine;
mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bootlace_probe::{Client, Identity, Kind};
use bootlace_wire::Mac;
use bootlace_wire::dhcp::Message;
use bootlace_wire::frame::parse_udp_frame;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use machine::Machine;
use network::Network;

/// Where machines are played.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// On the network of this interface.
    Network(&'a str),
    /// On a link of this host alone. The server serves it from when this has asked for it, for as long as the
    /// connection lasts.
    Local(&'a (dyn Fn() -> Result<UnixStream> + Sync)),
}

/// What to play.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    /// Where they are.
    pub(crate) place: Place<'a>,
    /// What they boot with.
    pub(crate) kind: Kind,
    /// Who they are.
    pub(crate) machines: &'a [Identity],
    /// Seeds of their transaction numbers.
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Played {
    /// The machines, at the ends of their boots.
    pub(crate) clients: Vec<Client>,
    /// Addresses that machines wanted to reach and cannot from here: on a network those of this host, on a local link
    /// all others.
    pub(crate) out_of_reach: BTreeSet<Ipv4Addr>,
}

/// How far a crowd is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// Machines whose boot has ended.
    pub(crate) ended: usize,
    /// Bytes of files that have come.
    pub(crate) bytes: u64,
}

/// Progress is told this often.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Plays all machines at once to the ends of their boots.
pub(crate) fn play(order: Order<'_>, tell: impl FnMut(Progress) + Send) -> Result<Played> {
    // A thread of its own, since it leaves this program's network.
    thread::scope(|scope| {
        let playing = scope.spawn(|| {
            let network = Network::open(order.place, order.machines.first().map(|who| who.mac))?;
            Stage::new(network, order).run(tell)
        });
        playing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

struct Stage {
    network: Network,
    machines: Vec<Machine>,
    by_mac: BTreeMap<Mac, usize>,
    started: Instant,
}

impl Stage {
    fn new(network: Network, order: Order<'_>) -> Self {
        let mut stage =
            Self { network, machines: Vec::new(), by_mac: BTreeMap::new(), started: Instant::now() };
        for (at, who) in order.machines.iter().enumerate() {
            let now = stage.started.elapsed();
            // Far apart, so that no two machines draw the same numbers.
            let seed = order.seed.wrapping_add((at as u64) << 32);
            let (client, actions) = Client::start(order.kind, *who, seed, now);
            let mut machine = Machine::new(client);
            machine.carry_out(actions, &mut stage.network, now);
            stage.by_mac.insert(who.mac, at);
            stage.machines.push(machine);
        }
        stage
    }

    fn run(mut self, mut tell: impl FnMut(Progress)) -> Result<Played> {
        let mut told = Instant::now();
        loop {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tell(self.progress());
            }
            let next = self.machines.iter().filter_map(|machine| machine.client.deadline()).min();
            let Some(next) = next else { break };
            let wait = next.saturating_sub(self.started.elapsed()).min(TELL_EVERY);
            // Time passes for a machine only once it has what came in that time: a crowd that keeps this computer busy
            // must not look like a silent server.
            let now = self.wait(wait)?;
            for machine in &mut self.machines {
                machine.let_time_pass(now, &mut self.network);
            }
        }
        tell(self.progress());
        let clients = self.machines.into_iter().map(|machine| machine.client).collect();
        Ok(Played { clients, out_of_reach: self.network.close() })
    }

    fn progress(&self) -> Progress {
        let ended = self.machines.iter().filter(|machine| machine.client.outcome().is_some()).count();
        let bytes = self.machines.iter().map(|machine| machine.client.received()).sum();
        Progress { ended, bytes }
    }

    /// Waits for packets and hands them over; the time at which they were looked for.
    fn wait(&mut self, wait: Duration) -> Result<Duration> {
        let mut owners = Vec::new();
        let ready = {
            let mut fds = vec![PollFd::from_borrowed_fd(self.network.frames().as_fd(), PollFlags::IN)];
            for (at, machine) in self.machines.iter().enumerate() {
                machine.each_socket(|fd: BorrowedFd<'_>, flags| {
                    owners.push(at);
                    fds.push(PollFd::from_borrowed_fd(fd, flags));
                });
            }
            // A little longer rather than a spin through the last fraction.
            let wait = wait + Duration::from_micros(100);
            let timeout =
                Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() };
            match poll(&mut fds, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => return Ok(self.started.elapsed()),
                polled => polled.context("wait for packets")?,
            };
            fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<bool>>()
        };
        let now = self.started.elapsed();
        let (frames_ready, sockets_ready) = ready.split_first().unwrap_or((&false, &[]));
        if *frames_ready {
            self.take_frames(now)?;
        }
        let mut ready: Vec<usize> =
            owners.into_iter().zip(sockets_ready).filter(|(_, ready)| **ready).map(|(at, _)| at).collect();
        ready.dedup();
        for at in ready {
            if let Some(machine) = self.machines.get_mut(at) {
                machine.receive(now, &mut self.network);
            }
        }
        Ok(now)
    }

    fn take_frames(&mut self, now: Duration) -> Result<()> {
        let mut frames = Vec::new();
        self.network.frames().receive(|frame| frames.push(frame.to_vec())).context("receive frames")?;
        for frame in frames {
            let owner = owner(&frame).and_then(|mac| self.by_mac.get(&mac));
            if let Some(machine) = owner.and_then(|at| self.machines.get_mut(*at)) {
                machine.frame(&frame, now, &mut self.network);
            }
        }
        Ok(())
    }
}

/// The client that a DHCP message is for.
fn owner(frame: &[u8]) -> Option<Mac> {
    let datagram = parse_udp_frame(frame).ok()?;
    Message::decode(datagram.payload).ok()?.hw.mac()
}
