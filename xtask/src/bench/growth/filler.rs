//! A relay whose clients renew leases that the server has lost: the fastest way to many of them.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::super::wire::{LOAD, SERVER, Wire};

/// Requests without an answer at a time: what the server takes as one batch.
const WINDOW: usize = 64;
/// Silence after which what is unanswered is sent again.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES_MAX: u32 = 10;
const PORT: u16 = 67;
const HEADER_LEN: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const REQUEST: u8 = 3;
/// Message type: the first option of every answer.
const ACK: [u8; 3] = [53, 1, 5];
/// Option 82: the relay got it by unicast (RFC 5010), so the client renews, and asks this server alone.
const BY_UNICAST: [u8; 5] = [82, 3, 10, 1, 0x80];
const END: u8 = 255;
/// What the firmware of a PC says: options 60 and 93.
const FIRMWARE: &[u8] = b"\x3c\x20PXEClient:Arch:00000:UNDI:002001\x5d\x02\0\0";

/// Where clients get their addresses: everything in 10.176.0.0/12 but the /24 of the server and the load.
pub(super) const RANGES: &str = r#"["10.176.1.0-10.187.255.255", "10.188.1.0-10.191.255.254"]"#;
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 176, 1, 0);
const SERVERS: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 0);
const SERVERS_LEN: u32 = 256;

/// What a client says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// An operating system: no session.
    System,
    /// The firmware of a PC, which opens a session.
    Firmware,
}

/// The MAC of a client, as perfdhcp counts them from [`PERFDHCP_BASE`].
pub(super) fn mac(client: u32) -> [u8; 6] {
    let [a, b, c, d] = client.to_be_bytes();
    [2, 12, a, b, c, d]
}

/// perfdhcp's argument for the same clients.
pub(super) const PERFDHCP_BASE: [&str; 2] = ["-b", "mac=02:0c:00:00:00:00"];

/// The address of a client.
pub(super) fn address(client: u32) -> Ipv4Addr {
    let address = u32::from(FIRST) + client;
    let past = if address >= u32::from(SERVERS) { SERVERS_LEN } else { 0 };
    (address + past).into()
}

/// Gets a lease for each of the first `clients`.
pub(super) fn fill(wire: &Wire, clients: u32, asks: Asks) -> Result<()> {
    let socket = wire.load.run(|| UdpSocket::bind((LOAD, PORT)))??;
    socket.connect((SERVER, PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (mut next, mut waiting, mut silences) = (0, HashMap::new(), 0);
    let mut buffer = [0; 1500];
    while next < clients || !waiting.is_empty() {
        while next < clients && waiting.len() < WINDOW {
            let request = request(next, asks);
            socket.send(&request).context("ask for a lease")?;
            waiting.insert(next, request);
            next += 1;
        }
        match socket.recv(&mut buffer) {
            Ok(len) => {
                let client = acknowledged(&buffer[..len])?;
                waiting.remove(&client);
                silences = 0;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                silences += 1;
                ensure!(silences < TRIES_MAX, "{} clients get no answer", waiting.len());
                waiting.values().try_for_each(|request| socket.send(request).map(drop))?;
            }
            Err(error) => return Err(error).context("wait for a lease"),
        }
    }
    Ok(())
}

/// A client renews the lease of its address, of which the server need not know (RFC 2131 section 4.3.2).
fn request(client: u32, asks: Asks) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    bytes[..4].copy_from_slice(&[1, 1, 6, 1]);
    bytes[4..8].copy_from_slice(&client.to_be_bytes());
    bytes[12..16].copy_from_slice(&address(client).octets());
    bytes[24..28].copy_from_slice(&LOAD.octets());
    bytes[28..34].copy_from_slice(&mac(client));
    bytes[236..240].copy_from_slice(&MAGIC);
    bytes.extend([53, 1, REQUEST]);
    if asks == Asks::Firmware {
        bytes.extend(FIRMWARE);
    }
    bytes.extend(BY_UNICAST);
    bytes.push(END);
    bytes
}

/// The client whose address this acknowledges.
fn acknowledged(bytes: &[u8]) -> Result<u32> {
    match (bytes.get(4..8), bytes.get(HEADER_LEN..HEADER_LEN + ACK.len())) {
        (Some(&[a, b, c, d]), Some(answer)) if answer == ACK => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => bail!("not an ACK: {bytes:02x?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_clients_have_addresses_of_their_own() {
        let all: std::collections::BTreeSet<_> = (0..1_000_000).map(address).collect();
        assert_eq!(all.len(), 1_000_000);
        assert_eq!(all.first(), Some(&FIRST));
        assert!(all.last() < Some(&Ipv4Addr::new(10, 191, 255, 255)));
        assert!(all.range(SERVERS..Ipv4Addr::new(10, 188, 1, 0)).next().is_none());
    }

    #[test]
    fn the_firmware_says_what_it_is() {
        let request = request(7, Asks::Firmware);
        assert!(request.windows(9).any(|bytes| bytes == b"PXEClient"));
        // The length of option 60 is that of its text.
        let text = &FIRMWARE[2..2 + usize::from(FIRMWARE[1])];
        assert_eq!(text, b"PXEClient:Arch:00000:UNDI:002001");
    }
}
