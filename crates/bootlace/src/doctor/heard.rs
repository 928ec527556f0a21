//! Who else answers DHCP: asked as an operating system and as firmware, on every interface that is served.
//!
//! What this host sends on an interface, it does not hear itself: neither its own server nor another one that runs here
//! answers, which the check of the ports finds instead.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bootlace_core::config::{Config, DhcpMode};
use bootlace_core::dhcp::question;
use bootlace_core::finding::Finding;
use bootlace_wire::Mac;
use bootlace_wire::dhcp::{Arch, CLIENT_PORT, Code as OptionCode, Message, MessageType, Op, SERVER_PORT};
use bootlace_wire::frame::{parse_udp_frame, udp_frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::rand::{GetRandomFlags, getrandom};

use super::{Code, error, note, warning};
use crate::net::{FrameSocket, Interface};

/// How long offers are waited for: dnsmasq pings an address for three seconds before it offers it, one client after the
/// other.
pub const LISTEN: Duration = Duration::from_secs(5);
/// Servers that are told: whoever forges more makes no difference.
pub const OTHERS_MAX: usize = 64;
/// What the vendor class of a server for firmware begins with (PXE 2.1 section 2.2.1).
const PXE_CLIENT: &[u8] = b"PXEClient";

/// What a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Offers {
    /// An address, and nothing about booting.
    Address,
    /// An address with a boot file.
    Both,
    /// A boot without an address: a proxy.
    Boot,
}

/// A server that was heard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Other {
    interface: String,
    server: Ipv4Addr,
    offers: Offers,
}

/// `beside` is who serves DHCP on this host and is not Bootlace.
pub(super) fn others(
    config: &Config,
    served: &[Interface],
    all: &BTreeMap<String, Interface>,
    beside: Option<String>,
) -> Vec<Finding> {
    if config.dhcp.mode == DhcpMode::Off {
        return Vec::new();
    }
    let asked: Vec<&Interface> = served.iter().filter(|one| one.usable && one.mac.is_some()).collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let heard = match listen(&asked) {
        Ok(heard) => heard,
        Err(error) => {
            let message = "whether another DHCP server is there cannot be told";
            return vec![
                note(Code::Unheard, message)
                    .evidence(error.to_string())
                    .fix("run the doctor as root, or with CAP_NET_RAW"),
            ];
        }
    };
    let own: BTreeSet<Ipv4Addr> = all
        .values()
        .flat_map(|one| one.addresses.iter().map(|own| own.ip))
        .chain(config.server)
        .chain(config.dhcp.subnets.iter().filter_map(|subnet| subnet.server))
        .collect();
    let heard: Vec<Other> = heard.into_iter().filter(|other| !own.contains(&other.server)).collect();
    judge(config.dhcp.mode, &heard, beside.as_deref())
}

fn judge(mode: DhcpMode, heard: &[Other], beside: Option<&str>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = heard.iter().filter_map(|other| of_one(mode, other)).collect();
    let has_server = heard.iter().any(|other| other.offers != Offers::Boot) || beside.is_some();
    if mode == DhcpMode::Proxy && !has_server {
        findings.push(
            warning(Code::NoServer, "no DHCP server answers, and a proxy gives no addresses")
                .evidence(format!("nobody offered an address within {} s", LISTEN.as_secs()))
                .fix("start the network's DHCP server, or let Bootlace be it: mode = \"server\" in [dhcp]"),
        );
    }
    findings
}

fn of_one(mode: DhcpMode, other: &Other) -> Option<Finding> {
    let Other { interface, server, offers } = other;
    let offered = |what: &str| format!("it offered {what} on {interface}");
    match (offers, mode) {
        (Offers::Address | Offers::Both, DhcpMode::Server) => {
            let message = format!("another DHCP server, {server}, gives out addresses on {interface}");
            Some(
                error(Code::ForeignServer, message)
                    .evidence(offered("an address"))
                    .fix("stop one of the two, or be its proxy: mode = \"proxy\" in [dhcp]"),
            )
        }
        (Offers::Address | Offers::Both, DhcpMode::Auto) => {
            let message = format!("DHCP server {server} is on {interface}: Bootlace will be its proxy there");
            Some(
                note(Code::ForeignServer, message)
                    .evidence(offered("an address"))
                    .fix("nothing, or mode = \"proxy\" in [dhcp] if that is how it stays"),
            )
        }
        (Offers::Both, DhcpMode::Proxy) => {
            let message = format!("DHCP server {server} tells firmware on {interface} what to boot, too");
            Some(warning(Code::ForeignProxy, message).evidence(offered("a boot file with the address")).fix(
                format!("take the boot file (options 66 and 67, next-server) out of the config of {server}"),
            ))
        }
        (Offers::Boot, _) => {
            let message =
                format!("another boot server, {server}, tells firmware on {interface} what to boot");
            Some(
                warning(Code::ForeignProxy, message)
                    .evidence(offered("a boot without an address, as a ProxyDHCP does"))
                    .fix(format!(
                        "stop the ProxyDHCP service of {server}: firmware takes whichever answers first"
                    )),
            )
        }
        (Offers::Address, DhcpMode::Proxy) | (_, DhcpMode::Off) => None,
    }
}

/// Asks on all interfaces at once, twice since a frame may be lost.
fn listen(asked: &[&Interface]) -> io::Result<BTreeSet<Other>> {
    let mut random = [0; 6];
    getrandom(&mut random, GetRandomFlags::empty())?;
    // Firmware first: it hears of servers and of proxies. Some servers leave it alone, though.
    let questions = [as_firmware(station(random, 0)), question(station(random, 1))];
    let sockets: Vec<FrameSocket> =
        asked.iter().map(|one| FrameSocket::bind(one.index)).collect::<io::Result<_>>()?;
    let mut heard = BTreeSet::new();
    for _ in 0..2 {
        let until = Instant::now() + LISTEN / 2;
        for socket in &sockets {
            for question in &questions {
                // A link that is just gone has been found already.
                let _ = socket.send(&frame(question));
            }
        }
        while wait(&sockets, until)? {
            for (socket, interface) in sockets.iter().zip(asked) {
                let _ = socket.receive(|frame| {
                    let Some((server, offers)) = offer(&questions, frame) else { return };
                    if heard.len() < OTHERS_MAX {
                        heard.insert(Other { interface: interface.name.clone(), server, offers });
                    }
                });
            }
        }
    }
    Ok(heard)
}

/// Whether there is something to read before the time is over.
fn wait(sockets: &[FrameSocket], until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds: Vec<PollFd<'_>> =
            sockets.iter().map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)).collect();
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A locally administered address of one station, which no card has.
fn station(random: [u8; 6], number: u8) -> Mac {
    let [first, b, c, d, e, last] = random;
    Mac([(first | 0x02) & 0xfe, b, c, d, e, last ^ number])
}

/// The same as a PXE ROM of a BIOS asks (RFC 4578).
fn as_firmware(mac: Mac) -> Message {
    let mut message = question(mac);
    message.options.set(
        OptionCode::PARAMETER_LIST,
        [
            OptionCode::SUBNET_MASK,
            OptionCode::ROUTER,
            OptionCode::VENDOR,
            OptionCode::VENDOR_CLASS,
            OptionCode::TFTP_SERVER,
            OptionCode::BOOT_FILE,
        ]
        .map(|code| code.0),
    );
    message.options.set_u16(OptionCode::ARCH, Arch::BIOS.0);
    message.options.set(OptionCode::UNDI, [1, 2, 1]);
    message.options.set_text(OptionCode::VENDOR_CLASS, "PXEClient:Arch:00000:UNDI:002001");
    message
}

fn frame(question: &Message) -> Vec<u8> {
    let mac = question.hw.mac().unwrap_or(Mac::BROADCAST);
    let bytes = question.encode(question.payload_limit(u16::MAX)).bytes;
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
    let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
    udp_frame(Mac::BROADCAST, mac, from, to, &bytes)
}

/// Who answered one of the questions, and what it has to offer. A proxy need not name itself (option 54): then its
/// address is that of its packet.
fn offer(questions: &[Message], frame: &[u8]) -> Option<(Ipv4Addr, Offers)> {
    let datagram = parse_udp_frame(frame).ok()?;
    let message = Message::decode(datagram.payload).ok()?;
    let is_answer = |asked: &Message| message.xid == asked.xid && message.hw == asked.hw;
    if message.op != Op::Reply
        || message.message_type() != Some(MessageType::Offer)
        || !questions.iter().any(is_answer)
    {
        return None;
    }
    let server = message.server_id().unwrap_or(*datagram.src.ip());
    let names_file = !message.file.is_empty() || message.options.get(OptionCode::BOOT_FILE).is_some();
    let is_for_firmware = message.vendor_class().is_some_and(|class| class.starts_with(PXE_CLIENT));
    match (message.yiaddr.is_unspecified(), names_file) {
        (false, true) => Some((server, Offers::Both)),
        (false, false) => Some((server, Offers::Address)),
        (true, names_file) if names_file || is_for_firmware => Some((server, Offers::Boot)),
        (true, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 1);

    fn asked() -> Message {
        as_firmware(station([7; 6], 1))
    }

    fn reply(change: impl FnOnce(&mut Message)) -> Option<(Ipv4Addr, Offers)> {
        let asked = asked();
        let mut message = asked.reply();
        message.options.set_u8(OptionCode::MESSAGE_TYPE, MessageType::Offer.code());
        message.options.set_ip(OptionCode::SERVER_ID, SERVER);
        change(&mut message);
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 188, 0, 2), SERVER_PORT);
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT);
        let bytes = message.encode(1400).bytes;
        offer(&[asked], &udp_frame(Mac::BROADCAST, Mac([2, 0, 0, 0, 0, 9]), from, to, &bytes))
    }

    #[test]
    fn servers_and_proxies_are_told_apart() {
        let address = |message: &mut Message| message.yiaddr = Ipv4Addr::new(10, 188, 0, 60);
        assert_eq!(reply(address), Some((SERVER, Offers::Address)));
        assert_eq!(
            reply(|message| {
                address(message);
                message.file = b"pxelinux.0".to_vec();
            }),
            Some((SERVER, Offers::Both))
        );
        let proxy = |message: &mut Message| {
            message.options.set_text(OptionCode::VENDOR_CLASS, "PXEClient");
            message.options.remove(OptionCode::SERVER_ID);
        };
        assert_eq!(reply(proxy), Some((Ipv4Addr::new(10, 188, 0, 2), Offers::Boot)));
        assert_eq!(reply(|_| {}), None);
        assert_eq!(reply(|message| message.xid ^= 1), None);
    }

    #[test]
    fn what_others_mean_hangs_on_the_mode() {
        let codes = |mode, offers, beside| -> Vec<&str> {
            let heard: Vec<Other> = Option::into_iter(offers)
                .map(|offers| Other { interface: "eth0".into(), server: SERVER, offers })
                .collect();
            judge(mode, &heard, beside).iter().map(|finding| finding.code).collect()
        };
        assert_eq!(codes(DhcpMode::Server, None, None), [""; 0]);
        assert_eq!(codes(DhcpMode::Server, Some(Offers::Address), None), ["foreign-dhcp-server"]);
        assert_eq!(codes(DhcpMode::Auto, Some(Offers::Both), None), ["foreign-dhcp-server"]);
        assert_eq!(codes(DhcpMode::Proxy, Some(Offers::Address), None), [""; 0]);
        assert_eq!(codes(DhcpMode::Proxy, Some(Offers::Both), None), ["foreign-dhcp-proxy"]);
        assert_eq!(codes(DhcpMode::Proxy, None, None), ["dhcp-server-none"]);
        assert_eq!(codes(DhcpMode::Proxy, None, Some("by dnsmasq")), [""; 0]);
        assert_eq!(codes(DhcpMode::Server, Some(Offers::Boot), None), ["foreign-dhcp-proxy"]);
    }

    #[test]
    fn the_two_questions_are_of_two_stations() {
        let (first, second) = (station([7; 6], 0), station([7; 6], 1));
        assert!(first != second && question(first).xid != question(second).xid);
    }
}
