//! `[[machine]]`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::Ipv4Addr;

use bootlace_wire::{HwAddr, Mac};

use super::file::Table;
use super::names::BootNames;
use super::network::Network;
use super::report::{At, Report};
use super::types::{DhcpMode, Machine, NAME_BYTES_MAX};
use super::{overrides, scalar};
use crate::finding::Finding;
use crate::model::{ClientId, Uuid, is_placeholder};

/// What tells machines apart, in a common form.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Mark {
    Name(String),
    Mac(Mac),
    ClientId(ClientId),
    Uuid(Uuid),
    Serial(String),
    Address(Ipv4Addr),
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "name {}", name.escape_debug()),
            Self::Mac(mac) => write!(f, "MAC {mac}"),
            Self::ClientId(id) => write!(f, "client identifier {}", id.to_string().escape_debug()),
            Self::Uuid(uuid) => write!(f, "UUID {uuid}"),
            Self::Serial(serial) => write!(f, "serial {}", serial.escape_debug()),
            Self::Address(address) => write!(f, "address {address}"),
        }
    }
}

impl Mark {
    /// All that tells a machine.
    pub(super) fn of(machine: &Machine) -> Vec<Self> {
        let macs = machine.macs.iter().map(|mac| Self::Mac(*mac));
        let others = [
            Some(Self::Name(machine.name.to_ascii_lowercase())),
            machine.client_id.clone().map(Self::ClientId),
            machine.uuid.map(|uuid| Self::Uuid(uuid.min(uuid.swapped()))),
            machine.serial.as_ref().map(|serial| Self::Serial(serial.to_ascii_lowercase())),
            machine.address.map(Self::Address),
        ];
        macs.chain(others.into_iter().flatten()).collect()
    }
}

/// The marks of all machines, with where each stands first: it may stand once in the file.
#[derive(Default)]
struct Seen(HashMap<Mark, usize>);

impl Seen {
    /// Reports a mark that an earlier machine has already.
    fn once<T>(&mut self, mark: Mark, at: &At<T>, report: &mut Report<'_>) {
        match self.0.entry(mark) {
            Entry::Vacant(place) => {
                place.insert(at.span.start);
            }
            Entry::Occupied(first) => {
                let line = report.line(*first.get());
                let message = format!("the {} is already on line {line}", first.key());
                let fix = "each belongs to one machine: remove or correct one of them";
                report.add(Finding::error("config-duplicate", message).fix(fix), &at.span);
            }
        }
    }
}

/// Reads every machine; those with mistakes are reported and left out.
pub(super) fn read(
    tables: &[Table<'_>],
    names: &BootNames,
    network: &Network,
    report: &mut Report<'_>,
) -> Vec<Machine> {
    let mut seen = Seen::default();
    tables.iter().filter_map(|table| machine(table, names, network, &mut seen, report)).collect()
}

fn machine(
    table: &Table<'_>,
    names: &BootNames,
    network: &Network,
    seen: &mut Seen,
    report: &mut Report<'_>,
) -> Option<Machine> {
    let name = name(table, seen, report);
    let macs = macs(table, seen, report);
    let client_id = client_id(table, seen, report);
    let uuid = uuid(table, seen, report);
    let serial = serial(table, seen, report);
    if ["mac", "client_id", "uuid", "serial"].iter().all(|key| table.get(key).is_none()) {
        let message = "nothing tells this machine from others";
        let finding = Finding::error("config-missing", message);
        report.add(finding.fix("add mac, client_id, uuid or serial"), &table.span);
    }
    let address = table.parsed("address", scalar::address, report);
    if let Some(address) = &address {
        seen.once(Mark::Address(address.value), address, report);
        reservation(address, table, network, report);
    }
    let overrides = overrides::read(table, names, report);
    let address = address.map(|at| at.value);
    Some(Machine { name: name?, macs, client_id, uuid, serial, address, overrides })
}

fn name(table: &Table<'_>, seen: &mut Seen, report: &mut Report<'_>) -> Option<String> {
    if table.get("name").is_none() {
        let finding = Finding::error("config-missing", "this [[machine]] has no `name`");
        report.add(finding.fix("add name = \"...\", its host name"), &table.span);
        return None;
    }
    let name = table.parsed("name", scalar::host_name, report)?;
    if name.value.len() > NAME_BYTES_MAX {
        let message = format!("the name is longer than {NAME_BYTES_MAX} bytes");
        report.add(Finding::error("config-value", message).fix("use the first label alone"), &name.span);
    }
    seen.once(Mark::Name(name.value.to_ascii_lowercase()), &name, report);
    Some(name.value)
}

fn macs(table: &Table<'_>, seen: &mut Seen, report: &mut Report<'_>) -> Vec<Mac> {
    let mut macs = Vec::new();
    for mac in table.all_parsed("mac", mac, report) {
        seen.once(Mark::Mac(mac.value), &mac, report);
        macs.push(mac.value);
    }
    macs
}

/// `shared_macs`: cards that belong to no machine.
pub(super) fn shared(top: &Table<'_>, machines: &[Machine], report: &mut Report<'_>) -> BTreeSet<Mac> {
    let mut shared = BTreeSet::new();
    for at in top.all_parsed("shared_macs", mac, report) {
        if let Some(machine) = machines.iter().find(|machine| machine.macs.contains(&at.value)) {
            let message = format!("the machine `{}` has the MAC {} to itself", machine.name, at.value);
            let fix = "take it out of one of the two; a machine on a dock is known by its uuid or serial";
            report.add(Finding::error("config-duplicate", message).fix(fix), &at.span);
        }
        shared.insert(at.value);
    }
    shared
}

fn mac(text: &str) -> Result<Mac, scalar::Wrong> {
    let mac: Mac = text.parse().map_err(|_| ("is no MAC address", "write it as 00:12:34:56:78:90"))?;
    // The lowest bit of the first byte marks groups (IEEE 802); all zeros is what broken firmware sends.
    if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
        return Err(("is no address of one interface", "copy the address of the machine's interface"));
    }
    Ok(mac)
}

fn client_id(table: &Table<'_>, seen: &mut Seen, report: &mut Report<'_>) -> Option<ClientId> {
    let parse = |text: &str| -> Result<ClientId, scalar::Wrong> {
        let id: ClientId = text.parse().map_err(|_| {
            const FIX: &str = "write it as hex with colons, or as its text";
            ("is no client identifier: these have 2 to 42 bytes", FIX)
        })?;
        match id.as_bytes() {
            [HwAddr::ETHERNET, mac @ ..] if mac.len() == 6 => {
                Err(("is a MAC with an Ethernet type before it", "write the MAC as mac"))
            }
            [0, uuid @ ..] if uuid.len() == 16 => {
                Err(("is a UUID with a zero before it, as firmware sends", "write the UUID as uuid"))
            }
            _ => Ok(id),
        }
    };
    let id = table.parsed("client_id", parse, report)?;
    seen.once(Mark::ClientId(id.value.clone()), &id, report);
    Some(id.value)
}

fn uuid(table: &Table<'_>, seen: &mut Seen, report: &mut Report<'_>) -> Option<Uuid> {
    let parse = |text: &str| -> Result<Uuid, scalar::Wrong> {
        let uuid: Uuid =
            text.parse().map_err(|_| ("is no UUID", "write it as 4c4c4544-0039-4e10-804e-b9c04f4d344a"))?;
        if uuid.is_unique() {
            Ok(uuid)
        } else {
            Err(("is what boards without a UUID report", "use mac or serial"))
        }
    };
    let uuid = table.parsed("uuid", parse, report)?;
    let either = uuid.value.min(uuid.value.swapped());
    seen.once(Mark::Uuid(either), &uuid, report);
    Some(uuid.value)
}

fn serial(table: &Table<'_>, seen: &mut Seen, report: &mut Report<'_>) -> Option<String> {
    let text = table.text("serial", report)?;
    let serial = text.value.trim();
    if serial.is_empty() {
        report.add(Finding::error("config-value", "an empty serial tells nothing"), &text.span);
        return None;
    }
    if is_placeholder(serial) {
        let message = "this is what boards without a serial report";
        report.add(Finding::error("config-value", message).fix("use mac or uuid"), &text.span);
        return None;
    }
    seen.once(Mark::Serial(serial.to_ascii_lowercase()), &text, report);
    Some(serial.to_owned())
}

fn reservation(address: &At<Ipv4Addr>, table: &Table<'_>, network: &Network, report: &mut Report<'_>) {
    let wanted = address.value;
    if table.get("mac").is_none() && table.get("client_id").is_none() {
        let message = "operating systems tell DHCP only their MAC: without it they do not get this address";
        report.add(Finding::warning("config-address-mac", message).fix("add mac"), &address.span);
    }
    let subnet = network.placed.iter().find(|placed| placed.subnet.cidr.contains(wanted));
    let problem = match subnet.map(|placed| placed.subnet.cidr) {
        None if matches!(network.config.mode, DhcpMode::Proxy | DhcpMode::Off) => return,
        None => format!("{wanted} is in no [[dhcp.subnet]]"),
        Some(cidr) if wanted == cidr.network() => format!("{wanted} is the network's own address"),
        Some(cidr) if wanted == cidr.broadcast() => format!("{wanted} is the broadcast address of {cidr}"),
        Some(_) => return,
    };
    report.add(Finding::error("config-reservation", problem), &address.span);
}
