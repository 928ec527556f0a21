//! Against a server that is broken in ten ways: one for each machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use anyhow::{Result, ensure};
use bootlace_lab::{Host, Lan};
use socket2::{Domain, Socket, Type};

use super::{Context, leaves_nothing, play_all, web};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 10);
/// Nobody has it.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 250);
const MAC_PREFIX: &str = "52:54:00:00:0b:";

/// What a machine is told by DHCP.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Nothing,
    NoAddress,
    File(&'static str),
    FileAt(Ipv4Addr, &'static str),
    /// An address from the DHCP server, and a proxy whose port 4011 is closed.
    ProxyElsewhere,
}

struct Case {
    /// Also the last byte of the machine's MAC.
    number: u8,
    kind: &'static str,
    answer: Answer,
    finding: &'static str,
}

const fn case(number: u8, kind: &'static str, answer: Answer, finding: &'static str) -> Case {
    Case { number, kind, answer, finding }
}

const CASES: [Case; 10] = [
    case(1, "udhcpc", Answer::Nothing, "dhcp-no-offer"),
    case(2, "udhcpc", Answer::NoAddress, "dhcp-no-address"),
    case(3, "bios", Answer::File("missing.kpxe"), "tftp-file-missing"),
    case(4, "bios", Answer::File("lie.kpxe"), "tftp-size-differs"),
    case(5, "ipxe", Answer::File("http://10.188.0.10/short.ipxe"), "http-short"),
    case(6, "ipxe", Answer::File("http://10.188.0.10/wrong.ipxe"), "script-command-unknown"),
    case(7, "ipxe", Answer::File("http://10.188.0.10/loop.ipxe"), "script-loop"),
    case(8, "ipxe", Answer::File("http://10.188.0.10/kernel.ipxe"), "http-status"),
    case(9, "bios", Answer::ProxyElsewhere, "boot-server-silent"),
    case(10, "ipxe", Answer::FileAt(NOWHERE, "boot.ipxe"), "tftp-silent"),
];

const FILE_BYTES: usize = 3000;
const SIZE_THAT_IS_SAID: usize = 4000;

pub(super) fn ten_ways(context: &Context) -> Result<()> {
    let lan = Lan::new()?;
    let _capture = lan.capture(context.dir(), "lan")?;
    let server = lan.host("server", "10.188.0.10/24")?;
    serve_dhcp(&server)?;
    serve_tftp(&server)?;
    web::serve(&server, answer_http)?;
    let host = lan.client("probe")?;
    let macs: Vec<String> = CASES.iter().map(|case| format!("{MAC_PREFIX}{:02x}", case.number)).collect();
    let machines: Vec<(&str, &str)> =
        CASES.iter().zip(&macs).map(|(case, mac)| (case.kind, mac.as_str())).collect();
    let played = play_all(context, &host, &machines)?;
    for (case, played) in CASES.iter().zip(&played) {
        context.note(&format!("{}: {}", case.number, played.text("/end/text")));
        let found = played.text("/finding/code");
        ensure!(
            !played.succeeded && found == case.finding,
            "{} is not {}: {:#}",
            case.number,
            case.finding,
            played.view
        );
    }
    leaves_nothing(&host)
}

fn answer_http(path: &str) -> Vec<u8> {
    let script = match path {
        "/short.ipxe" => "kernel /short || goto out\nboot\n:out\nexit 1",
        "/wrong.ipxe" => "kernell /linux || exit",
        "/loop.ipxe" => "chain /loop.ipxe",
        "/kernel.ipxe" => "kernel /none || goto failed\nboot\n:failed\necho failed\nexit 1",
        "/short" => return web::announced(1000, &[7; 100]),
        _ => return web::not_found(),
    };
    web::ok(format!("#!ipxe\n{script}\n").as_bytes())
}

fn serve_dhcp(host: &Host) -> Result<()> {
    let socket = host.namespace().run(|| -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_broadcast(true)?;
        // What is sent to everybody has no route.
        socket.bind_device(Some(b"eth0"))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 67)).into())?;
        Ok(socket.into())
    })??;
    thread::spawn(move || {
        let mut request = [0; 1500];
        while let Ok(len) = socket.recv(&mut request) {
            for reply in replies(&request[..len]) {
                // A machine whose answer is lost asks again.
                let _ = socket.send_to(&reply, (Ipv4Addr::BROADCAST, 68));
            }
        }
    });
    Ok(())
}

fn replies(request: &[u8]) -> Vec<Vec<u8>> {
    let Some(mac) = request.get(28..34) else { return Vec::new() };
    let Some(case) = CASES.iter().find(|case| case.number == mac[5]) else { return Vec::new() };
    // The message type is every client's first option.
    let is_discover = request.get(240..243) == Some(&[53, 1, 1]);
    let kind = if is_discover { 2 } else { 5 };
    let address = Ipv4Addr::new(10, 188, 0, 60 + case.number);
    let none = Ipv4Addr::UNSPECIFIED;
    match case.answer {
        Answer::Nothing => Vec::new(),
        Answer::NoAddress => vec![reply(request, kind, none, SERVER, "x", b"")],
        Answer::File(file) => vec![reply(request, kind, address, SERVER, file, b"")],
        Answer::FileAt(server, file) => vec![reply(request, kind, address, server, file, b"")],
        Answer::ProxyElsewhere => {
            let mut replies = vec![reply(request, kind, address, none, "", b"")];
            if is_discover {
                replies.push(reply(request, kind, none, SERVER, "", b"PXEClient"));
            }
            replies
        }
    }
}

fn reply(request: &[u8], kind: u8, address: Ipv4Addr, next: Ipv4Addr, file: &str, class: &[u8]) -> Vec<u8> {
    let mut reply = request[..240].to_vec();
    reply[0] = 2;
    reply[16..20].copy_from_slice(&address.octets());
    reply[20..24].copy_from_slice(&next.octets());
    reply[44..236].fill(0);
    reply[108..108 + file.len()].copy_from_slice(file.as_bytes());
    reply.extend([53, 1, kind, 54, 4]);
    reply.extend(SERVER.octets());
    reply.extend([51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0]);
    // iPXE need not wait for a proxy.
    reply.extend([175, 3, 176, 1, 1]);
    if !class.is_empty() {
        reply.extend([60, class.len() as u8]);
        reply.extend(class);
    }
    reply.push(255);
    reply.resize(reply.len().max(300), 0);
    reply
}

fn serve_tftp(host: &Host) -> Result<()> {
    let socket = host.namespace().run(|| UdpSocket::bind((SERVER, 69)))??;
    thread::spawn(move || {
        let mut request = [0; 1500];
        while let Ok((len, from)) = socket.recv_from(&mut request) {
            // From the port that was asked: what is broken here are files, not ports.
            if let Some(packet) = answer_tftp(&request[..len]) {
                let _ = socket.send_to(&packet, from);
            }
        }
    });
    Ok(())
}

fn answer_tftp(packet: &[u8]) -> Option<Vec<u8>> {
    const BLOCK: usize = 1456;
    match packet {
        [0, 1, rest @ ..] => {
            let mut texts = rest.split(|&b| b == 0);
            if texts.next() != Some(b"lie.kpxe") {
                return Some(b"\0\x05\0\x01file not found\0".to_vec());
            }
            let asks_size = texts.any(|text| text == b"tsize");
            let mut oack = b"\0\x06".to_vec();
            oack.extend(format!("blksize\0{BLOCK}\0").bytes());
            if asks_size {
                oack.extend(format!("tsize\0{SIZE_THAT_IS_SAID}\0").bytes());
            }
            Some(oack)
        }
        [0, 4, high, low] => {
            let acked = usize::from(u16::from_be_bytes([*high, *low]));
            let from = acked * BLOCK;
            let data = vec![7; FILE_BYTES.checked_sub(from)?.min(BLOCK)];
            let [high, low] = ((acked + 1) as u16).to_be_bytes();
            Some([&[0, 3, high, low], data.as_slice()].concat())
        }
        _ => None,
    }
}
