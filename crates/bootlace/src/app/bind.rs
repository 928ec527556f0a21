//! Every socket of the server, bound before privileges are dropped.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bootlace_core::config::{AdminConfig, Config, DhcpMode, Ipv6Wait, Subnet};
use bootlace_core::dhcp::lends;
use bootlace_wire::dhcp::{PXE_PORT, SERVER_PORT};
use rustix::fs::Mode;
use rustix::process::umask;
use socket2::{Domain, Protocol, Socket, Type};

use super::inherited::Inherited;
use crate::ADMIN_SOCKET;
use crate::http::Token;
use crate::net::{DatagramSocket, Interface, PacketSocket, interfaces, solicitations};
use crate::services::{dhcp, tftp};

/// Connections that wait to be accepted: a classroom that is switched on at once.
const BACKLOG: i32 = 4_096;
/// What the others may not do with the admin socket: it is the server's user's and its group's.
const ADMIN_SOCKET_UMASK: u32 = 0o117;

/// All sockets.
pub(super) struct Bound {
    pub(super) interfaces: Vec<Interface>,
    pub(super) dhcp: Option<(Vec<dhcp::Port>, PacketSocket)>,
    pub(super) probed: Vec<dhcp::ProbedLink>,
    pub(super) tftp: Vec<tftp::Listener>,
    pub(super) http: Vec<TcpListener>,
    pub(super) http_owner: Owner,
    pub(super) iscsi: Vec<TcpListener>,
    pub(super) solicitations: Vec<(String, UdpSocket)>,
    pub(super) admin_socket: UnixListener,
    pub(super) admin: Option<(TcpListener, Option<Token>)>,
}

/// Who says where HTTP listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The interfaces' addresses, also later ones.
    Ourselves,
    /// The service manager, once and for all.
    Manager,
}

impl Bound {
    pub(super) fn bind(config: &Config, token: Option<Token>, inherited: Inherited) -> Result<Self> {
        let all = interfaces().context("cannot list the network interfaces")?;
        lends_no_own_address(config, all.values())?;
        let interfaces = chosen(config, all)?;
        let dhcp = match config.dhcp.mode {
            DhcpMode::Server => Some(bind_dhcp(&interfaces)?),
            DhcpMode::Proxy => Some(bind_proxy(&interfaces)?),
            DhcpMode::Auto => Some(bind_auto(config, &interfaces)?),
            DhcpMode::Off => None,
        };
        let Inherited { mut http, admin_socket, admin } = inherited;
        let http_owner = if http.is_empty() { Owner::Ourselves } else { Owner::Manager };
        let mut tftp = Vec::new();
        let mut iscsi = Vec::new();
        for interface in &interfaces {
            if config.tftp.enabled {
                tftp.push(bind_tftp(interface, config.tftp.port)?);
            }
            for address in interface.addresses.iter().filter(|_| http_owner == Owner::Ourselves) {
                http.push(listen("HTTP", SocketAddrV4::new(address.ip, config.http.port).into())?);
            }
            for address in interface.addresses.iter().filter(|_| config.has_disks()) {
                iscsi.push(listen("iSCSI", SocketAddrV4::new(address.ip, config.iscsi.port).into())?);
            }
        }
        Ok(Self {
            probed: if matches!(config.dhcp.mode, DhcpMode::Server | DhcpMode::Auto) && config.dhcp.probe {
                open_probed(&interfaces)?
            } else {
                Vec::new()
            },
            dhcp,
            tftp,
            http,
            http_owner,
            iscsi,
            solicitations: bind_solicitations(config.ipv6_wait, &interfaces),
            admin_socket: match admin_socket {
                Some(socket) => socket,
                None => bind_admin_socket(&config.state_dir.join(ADMIN_SOCKET))?,
            },
            admin: bind_admin(&config.admin, token, admin)?,
            interfaces,
        })
    }
}

/// The config cannot know this host's addresses; a machine that got one of them would take the server's place.
pub(crate) fn lends_no_own_address<'a>(
    config: &Config,
    mut interfaces: impl Iterator<Item = &'a Interface>,
) -> Result<()> {
    let ranges = || config.dhcp.subnets.iter().flat_map(Subnet::all_ranges);
    let lent = |ip| ranges().find(|range| range.contains(&ip)).map(|range| (ip, range));
    let found = interfaces.find_map(|interface| {
        let lent = interface.addresses.iter().find_map(|own| lent(own.ip))?;
        Some((&interface.name, lent))
    });
    let Some((name, (ip, range))) = found else { return Ok(()) };
    bail!(
        "{ip} would also be lent to a machine: it is this server's on {name} and lies in the range {}-{}; keep it out \
         of the ranges",
        range.start(),
        range.end()
    )
}

/// The interfaces of the config; without any, those that have an address in a configured subnet; without subnets, the
/// only one with an address.
fn chosen(config: &Config, mut all: BTreeMap<String, Interface>) -> Result<Vec<Interface>> {
    let known: Vec<String> = all.keys().cloned().collect();
    if config.interfaces.is_empty() && config.dhcp.subnets.is_empty() {
        return the_only(all);
    }
    if config.interfaces.is_empty() {
        let serves = |ip| config.dhcp.subnets.iter().any(|subnet| subnet.cidr.contains(ip));
        let fits =
            |interface: &Interface| interface.usable && interface.addresses.iter().any(|own| serves(own.ip));
        let found: Vec<Interface> = all.into_values().filter(fits).collect();
        if found.is_empty() {
            bail!(
                "no interface has an address in a configured subnet: give one an address there, or name interfaces \
                 = [...] in the config (this host has {})",
                known.join(", ")
            );
        }
        return Ok(found);
    }
    let mut found = Vec::new();
    for name in &config.interfaces {
        let Some(interface) = all.remove(name) else {
            bail!("there is no interface {name}: this host has {}", known.join(", "));
        };
        if interface.addresses.is_empty() {
            bail!(
                "interface {name} has no IPv4 address: give it one, as machines must reach this server by it"
            );
        }
        found.push(interface);
    }
    Ok(found)
}

/// Which of several networks is to be served is nothing to guess.
fn the_only(all: BTreeMap<String, Interface>) -> Result<Vec<Interface>> {
    let usable = |interface: &Interface| interface.usable && !interface.addresses.is_empty();
    let found: Vec<Interface> = all.into_values().filter(usable).collect();
    match found.as_slice() {
        [_] => Ok(found),
        [] => bail!("no interface of this host has an IPv4 address: machines must reach this server by one"),
        several => {
            let names: Vec<_> = several.iter().map(|interface| interface.name.as_str()).collect();
            bail!(
                "this host has several networks: say with interfaces = [\"{}\"] or --interface which to serve, of {}",
                names[0],
                names.join(", ")
            )
        }
    }
}

fn bind_dhcp(interfaces: &[Interface]) -> Result<(Vec<dhcp::Port>, PacketSocket)> {
    let mut ports = Vec::new();
    for interface in interfaces {
        ports.extend(bind_stations(interface)?);
        ports.push(dhcp::Port::server(interface).map_err(|error| server_port_error(error, interface))?);
    }
    Ok((ports, open_frames()?))
}

/// To be heard before the port itself: who speaks for others is to be known when a message is decided.
fn bind_stations(interface: &Interface) -> Result<Option<dhcp::Port>> {
    let stations = interface.mac.is_some().then(|| dhcp::Port::stations(interface));
    stations.transpose().map_err(|error| port_error(error, "DHCP", "a packet socket"))
}

fn server_port_error(error: io::Error, interface: &Interface) -> anyhow::Error {
    port_error(error, "DHCP", &format!("UDP port {SERVER_PORT} of {}", interface.name))
}

/// On each interface what a server and a proxy need, and an ear for other servers; only what a proxy needs where nothing is
/// lent, and where another program has port 67.
///
/// That port stays the other's for as long as this process runs, also when it is let go: whoever took it would keep a
/// server that is only being started again from its place.
fn bind_auto(config: &Config, interfaces: &[Interface]) -> Result<(Vec<dhcp::Port>, PacketSocket)> {
    let addresses = |of: &Interface| of.addresses.iter().map(|own| (own.ip, own.prefix)).collect::<Vec<_>>();
    let mut ports = Vec::new();
    for interface in interfaces {
        let elsewhere = interfaces.iter().filter(|other| other.name != interface.name).flat_map(addresses);
        if !lends(config, &addresses(interface), &elsewhere.collect::<Vec<_>>()) {
            ports.extend(bind_proxy_on(interface)?);
            continue;
        }
        match dhcp::Port::server(interface) {
            Ok(server) => {
                let watch = dhcp::Port::watch(interface);
                let watch = watch.map_err(|error| port_error(error, "DHCP", "a packet socket"))?;
                ports.extend(bind_stations(interface)?);
                ports.extend([server, watch, bind_boot_server(interface)?]);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(
                    code = "foreign-dhcp-server",
                    interface = interface.name,
                    "another program of this host has UDP port {SERVER_PORT}: this server is its proxy until it is \
                     started again; `ss -lnup sport = :{SERVER_PORT}` shows which"
                );
                ports.extend(bind_proxy_on(interface)?);
            }
            Err(error) => return Err(server_port_error(error, interface)),
        }
    }
    Ok((ports, open_frames()?))
}

/// Port 67 stays with whoever has it, also on this host.
fn bind_proxy(interfaces: &[Interface]) -> Result<(Vec<dhcp::Port>, PacketSocket)> {
    let ports = interfaces.iter().map(bind_proxy_on).collect::<Result<Vec<_>>>()?;
    Ok((ports.into_iter().flatten().collect(), open_frames()?))
}

fn bind_proxy_on(interface: &Interface) -> Result<[dhcp::Port; 2]> {
    if interface.mac.is_none() {
        bail!("interface {} is no Ethernet: a proxy cannot serve it", interface.name);
    }
    let tap = dhcp::Port::proxy(interface);
    let tap = tap.map_err(|error| port_error(error, "DHCP", "a packet socket"))?;
    Ok([tap, bind_boot_server(interface)?])
}

fn bind_boot_server(interface: &Interface) -> Result<dhcp::Port> {
    let bound = dhcp::Port::boot_server(interface);
    bound.map_err(|error| {
        port_error(error, "the DHCP proxy", &format!("UDP port {PXE_PORT} of {}", interface.name))
    })
}

fn open_frames() -> Result<PacketSocket> {
    PacketSocket::open().map_err(|error| port_error(error, "DHCP", "a packet socket"))
}

fn open_probed(interfaces: &[Interface]) -> Result<Vec<dhcp::ProbedLink>> {
    let links = interfaces.iter().map(dhcp::ProbedLink::open);
    let links = links.collect::<io::Result<Vec<_>>>();
    let links = links.map_err(|error| port_error(error, "DHCP", "a packet socket for ARP"))?;
    Ok(links.into_iter().flatten().collect())
}

/// A convenience that a host without IPv6 goes without.
fn bind_solicitations(wait: Ipv6Wait, interfaces: &[Interface]) -> Vec<(String, UdpSocket)> {
    if wait == Ipv6Wait::Keep {
        return Vec::new();
    }
    let bind = |interface: &Interface| match solicitations(&interface.name, interface.index) {
        Ok(socket) => Some((interface.name.clone(), socket)),
        Err(error) => {
            tracing::info!(%error, interface = interface.name, "iPXE will wait for IPv6 routers");
            None
        }
    };
    interfaces.iter().filter_map(bind).collect()
}

fn bind_tftp(interface: &Interface, port: u16) -> Result<tftp::Listener> {
    let socket = DatagramSocket::bind_interface(&interface.name, port)
        .map_err(|error| port_error(error, "TFTP", &format!("UDP port {port} of {}", interface.name)))?;
    let address = interface.addresses.first().map_or(Ipv4Addr::UNSPECIFIED, |own| own.ip);
    Ok(tftp::Listener { socket, mtu: interface.mtu, address })
}

pub(super) fn listen(service: &str, address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    bind().map_err(|error| port_error(error, service, &format!("TCP {address}")))
}

fn port_error(error: io::Error, service: &str, what: &str) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has it: `ss -lntup` shows which",
        io::ErrorKind::PermissionDenied => "; start as root, or with CAP_NET_BIND_SERVICE and CAP_NET_RAW",
        _ => "",
    };
    anyhow::anyhow!("{service} cannot have {what}: {error}{advice}")
}

/// A socket file that is left of a server that was killed is no server: the lock of the state folder is ours.
fn bind_admin_socket(path: &Path) -> Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", path.display()));
        }
        _ => {}
    }
    let bind = || {
        // There are no other threads yet. A mode that is set afterwards would come a moment late.
        let former = umask(Mode::from_raw_mode(ADMIN_SOCKET_UMASK));
        let bound = UnixListener::bind(path);
        umask(former);
        let listener = bound?;
        listener.set_nonblocking(true)?;
        Ok::<_, io::Error>(listener)
    };
    bind().with_context(|| format!("cannot listen on {}", path.display()))
}

/// The token that the admin address asks for. Read early: its file may be root's alone.
pub(super) fn read_token(config: &AdminConfig) -> Result<Option<Token>> {
    let (Some(_), Some(path)) = (config.listen, &config.token_file) else { return Ok(None) };
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read token_file {}", path.display()))?;
    let token = Token::from_file(&text);
    let token =
        token.with_context(|| format!("token_file {} must hold 16 characters or more", path.display()))?;
    Ok(Some(token))
}

fn bind_admin(
    config: &AdminConfig,
    token: Option<Token>,
    inherited: Option<TcpListener>,
) -> Result<Option<(TcpListener, Option<Token>)>> {
    let address = match &inherited {
        Some(listener) => Some(listener.local_addr()?),
        None => config.listen,
    };
    let Some(address) = address else { return Ok(None) };
    if token.is_none() && !address.ip().is_loopback() {
        bail!(
            "[admin] listen = \"{address}\" is not a loopback address: set token_file, or listen on 127.0.0.1"
        );
    }
    let listener = match inherited {
        Some(listener) => listener,
        None => listen("the API", address)?,
    };
    Ok(Some((listener, token)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bootlace_core::config::{self, Source};

    use super::*;
    use crate::net::Address;

    #[test]
    fn an_own_address_in_a_range_is_a_failed_start() {
        let text = "[dhcp]\nmode = \"server\"\n[[dhcp.subnet]]\nsubnet = \"10.188.0.0/24\"\n\
                    ranges = [\"10.188.0.60-10.188.0.70\"]\n";
        let source = Source { name: "x".into(), folder: PathBuf::new(), text: text.into() };
        let config = config::load(&source, &config::Files::new()).unwrap().config;
        let with = |last| Interface {
            name: "eth0".into(),
            index: 2,
            mac: None,
            addresses: vec![Address { ip: Ipv4Addr::new(10, 188, 0, last), prefix: 24 }],
            mtu: 1500,
            usable: true,
            running: true,
        };
        assert!(lends_no_own_address(&config, [with(10)].iter()).is_ok());
        let refused = lends_no_own_address(&config, [with(10), with(61)].iter()).unwrap_err().to_string();
        assert!(refused.starts_with("10.188.0.61 would also be lent"), "{refused}");
    }
}
