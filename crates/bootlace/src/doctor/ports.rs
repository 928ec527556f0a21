//! Ports that Bootlace needs and others have.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{SocketAddrV4, TcpListener};

use bootlace_core::config::{Config, DhcpMode};
use bootlace_core::finding::Finding;
use bootlace_wire::dhcp::{PXE_PORT, SERVER_PORT};

use super::{Code, error, note};
use crate::net::{DatagramSocket, Interface};

/// The state of a TCP socket that listens (`include/net/tcp_states.h`).
const LISTENS: &str = "0A";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// A port that machines ask on, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) transport: Transport,
    pub(super) port: u16,
    pub(super) service: &'static str,
}

/// The ports that `bootlace serve` binds on each of its interfaces.
pub(super) fn needed(config: &Config) -> Vec<Needed> {
    let udp = |port, service| Needed { transport: Transport::Udp, port, service };
    let mut needed = Vec::new();
    if matches!(config.dhcp.mode, DhcpMode::Server | DhcpMode::Auto) {
        needed.push(udp(SERVER_PORT, "DHCP"));
    }
    if matches!(config.dhcp.mode, DhcpMode::Proxy | DhcpMode::Auto) {
        needed.push(udp(PXE_PORT, "the DHCP proxy"));
    }
    if config.tftp.enabled {
        needed.push(udp(config.tftp.port, "TFTP"));
    }
    needed.push(Needed { transport: Transport::Tcp, port: config.http.port, service: "HTTP" });
    needed
}

/// Who has which port.
#[derive(Debug, Default)]
pub(super) struct Held {
    inodes: BTreeMap<(Transport, u16), Vec<u64>>,
    owners: BTreeMap<u64, Owner>,
}

/// A process with a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pid: u32,
    name: String,
    /// Its systemd service, if it has one.
    service: Option<String>,
}

impl Held {
    pub(super) fn of_this_host() -> Self {
        let mut held = Self::default();
        for (table, transport) in [
            ("udp", Transport::Udp),
            ("udp6", Transport::Udp),
            ("tcp", Transport::Tcp),
            ("tcp6", Transport::Tcp),
        ] {
            held.add(&fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default(), transport);
        }
        held.owners = owners();
        held
    }

    /// The sockets of a table in the form of `/proc/net/udp` (proc(5)).
    fn add(&mut self, table: &str, transport: Transport) {
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { continue };
            let port = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            if let (Some(port), Ok(inode)) = (port, inode.parse())
                && (transport == Transport::Udp || state == LISTENS)
            {
                self.inodes.entry((transport, port)).or_default().push(inode);
            }
        }
    }

    /// The processes that have a port; `None` for one that this process may not look at.
    fn holders(&self, transport: Transport, port: u16) -> Vec<Option<&Owner>> {
        let inodes = self.inodes.get(&(transport, port)).into_iter().flatten();
        let mut holders: Vec<Option<&Owner>> = inodes.map(|inode| self.owners.get(inode)).collect();
        holders.dedup();
        holders
    }

    /// Who serves DHCP on this host, as text.
    pub(super) fn dhcp_server(&self) -> Option<String> {
        let holders = self.holders(Transport::Udp, SERVER_PORT);
        (!holders.is_empty()).then(|| described(&holders))
    }
}

/// What came of binding a port as the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Free,
    Taken,
    /// Without privileges one cannot tell.
    Denied,
}

pub(super) fn taken(config: &Config, served: &[Interface], held: &Held) -> Vec<Finding> {
    let found = needed(config).into_iter().filter_map(|needed| {
        let attempts = served.iter().map(|interface| attempt(interface, needed));
        let worst = attempts.max_by_key(|attempt| *attempt == Attempt::Taken);
        judge(config, needed, worst.unwrap_or(Attempt::Denied), held)
    });
    let admin = config.admin.listen.and_then(|address| {
        let needed =
            Needed { transport: Transport::Tcp, port: address.port(), service: "the API ([admin] listen)" };
        judge(config, needed, outcome(TcpListener::bind(address).map(drop)), held)
    });
    found.chain(admin).collect()
}

fn attempt(interface: &Interface, needed: Needed) -> Attempt {
    let bound = match needed.transport {
        Transport::Udp => DatagramSocket::bind_interface(&interface.name, needed.port).map(drop),
        Transport::Tcp => interface
            .addresses
            .iter()
            .try_for_each(|own| TcpListener::bind(SocketAddrV4::new(own.ip, needed.port)).map(drop)),
    };
    outcome(bound)
}

fn outcome(bound: io::Result<()>) -> Attempt {
    match bound.map_err(|error| error.kind()) {
        Ok(()) => Attempt::Free,
        Err(io::ErrorKind::AddrInUse) => Attempt::Taken,
        Err(_) => Attempt::Denied,
    }
}

fn judge(config: &Config, needed: Needed, attempt: Attempt, held: &Held) -> Option<Finding> {
    let Needed { transport, port, service } = needed;
    let holders = held.holders(transport, port);
    let is_taken = match attempt {
        Attempt::Free => false,
        Attempt::Taken => true,
        Attempt::Denied => !holders.is_empty(),
    };
    is_taken.then(|| {
        let message =
            format!("{} port {port} is taken, which {service} needs", transport.name().to_uppercase());
        let fix = match ending(&holders) {
            Some(ending) => ending,
            None => format!("see who it is as root: ss -lnp '( sport = :{port} )'"),
        };
        let finding = match (port, config.dhcp.mode) {
            // It starts all the same.
            (SERVER_PORT, DhcpMode::Auto) => {
                let message =
                    format!("UDP port {port} is taken: Bootlace would start as the proxy of who has it");
                note(Code::PortTaken, message).fix(format!("for Bootlace to be the DHCP server: {fix}"))
            }
            (SERVER_PORT, DhcpMode::Server) => error(Code::PortTaken, message)
                .fix(format!("{fix}; or be the proxy of that DHCP server: mode = \"proxy\" in [dhcp]")),
            _ => error(Code::PortTaken, message).fix(fix),
        };
        finding.evidence(described(&holders))
    })
}

fn described(holders: &[Option<&Owner>]) -> String {
    let known: Vec<String> =
        holders.iter().flatten().map(|owner| format!("{} (process {})", owner.name, owner.pid)).collect();
    if known.is_empty() {
        "by a program that cannot be seen".to_owned()
    } else {
        format!("by {}", known.join(", "))
    }
}

/// The command that ends them.
fn ending(holders: &[Option<&Owner>]) -> Option<String> {
    let commands: Vec<String> = holders
        .iter()
        .flatten()
        .map(|owner| match &owner.service {
            Some(service) => format!("systemctl disable --now {service}"),
            // It holds sockets for services that are yet to be started.
            None if owner.pid == 1 => "see for which unit: systemctl list-sockets".to_owned(),
            None => format!("kill {}", owner.pid),
        })
        .collect();
    (!commands.is_empty()).then(|| commands.join("; "))
}

/// The processes by the inodes of their sockets.
fn owners() -> BTreeMap<u64, Owner> {
    let mut owners = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let descriptors = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        let links = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        let inodes: Vec<u64> = links.filter_map(|link| socket_inode(link.to_str()?)).collect();
        if inodes.is_empty() {
            continue;
        }
        let text = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let name = text("comm").trim().to_owned();
        let owner = Owner { pid, name, service: service(&text("cgroup")) };
        owners.extend(inodes.into_iter().map(|inode| (inode, owner.clone())));
    }
    owners
}

/// `socket:[4026]`.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The system service in a `/proc/PID/cgroup`. A user's session is a service as well, and not to be ended.
fn service(cgroup: &str) -> Option<String> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let unit = path.strip_prefix("/system.slice/")?.split('/').next()?;
    unit.ends_with(".service").then(|| unit.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bootlace_core::config::{Files, Source, load};
    use bootlace_core::finding::Severity;

    use super::*;

    const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  122: 00000000:0045 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4026 2 0000000000000000 0
  200: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 4027 2 0000000000000000 0
";
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5001 1 0000000000000000 100 0 0 10 0
   1: 0A00BC0A:0050 0B00BC0A:D431 01 00000000:00000000 00:00000000 00000000     0        0 5002 1 0000000000000000 20 4 30 10 -1
";

    fn held(service: Option<&str>) -> Held {
        let mut held = Held::default();
        held.add(UDP, Transport::Udp);
        held.add(TCP, Transport::Tcp);
        let owner = Owner { pid: 17, name: "atftpd".to_owned(), service: service.map(str::to_owned) };
        held.owners.insert(4026, owner);
        held
    }

    fn config(mode: &str) -> Config {
        let text = format!("[dhcp]\nmode = {mode:?}\n");
        load(&Source { name: "x".into(), folder: PathBuf::new(), text }, &Files::new()).unwrap().config
    }

    const TFTP: Needed = Needed { transport: Transport::Udp, port: 69, service: "TFTP" };

    #[test]
    fn who_has_a_port_is_said_with_how_to_end_it() {
        let config = config("proxy");
        let found = judge(&config, TFTP, Attempt::Taken, &held(Some("atftpd.service"))).unwrap();
        assert_eq!(found.evidence.as_deref(), Some("by atftpd (process 17)"));
        assert_eq!(found.fix.as_deref(), Some("systemctl disable --now atftpd.service"));
        let by_hand = judge(&config, TFTP, Attempt::Denied, &held(None)).unwrap();
        assert_eq!(by_hand.fix.as_deref(), Some("kill 17"));
        assert!(judge(&config, TFTP, Attempt::Free, &held(None)).is_none());
        // A connection is not a listener.
        let http = Needed { transport: Transport::Tcp, port: 80, service: "HTTP" };
        assert!(judge(&config, http, Attempt::Denied, &held(None)).is_none());
    }

    #[test]
    fn a_port_of_somebody_unseen_is_taken_all_the_same() {
        let dhcp = Needed { transport: Transport::Udp, port: 67, service: "DHCP" };
        let found = judge(&config("off"), dhcp, Attempt::Taken, &held(None)).unwrap();
        assert!(found.fix.unwrap().contains("ss -lnp"));
        let found = judge(&config("server"), dhcp, Attempt::Taken, &held(None)).unwrap();
        assert!(found.fix.unwrap().contains("mode = \"proxy\""));
        let found = judge(&config("auto"), dhcp, Attempt::Taken, &held(None)).unwrap();
        assert_eq!(found.severity, Severity::Note, "{found:?}");
    }

    #[test]
    fn a_mode_needs_its_ports() {
        let ports = |mode| needed(&config(mode)).iter().map(|one| one.port).collect::<Vec<_>>();
        assert_eq!(ports("off"), [69, 80]);
        assert_eq!(ports("server"), [67, 69, 80]);
        assert_eq!(ports("proxy"), [4011, 69, 80]);
        assert_eq!(ports("auto"), [67, 4011, 69, 80]);
    }

    #[test]
    fn links_and_control_groups_are_read() {
        assert_eq!(socket_inode("socket:[4026]"), Some(4026));
        assert_eq!(socket_inode("pipe:[4026]"), None);
        assert_eq!(service("0::/system.slice/dnsmasq.service\n").as_deref(), Some("dnsmasq.service"));
        assert_eq!(service("0::/user.slice/user-0.slice/user@0.service/app.slice\n"), None);
        assert_eq!(service("0::/init.scope\n"), None);
    }
}
