//! `bootlace explain`.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bootlace_core::config::{Config, DhcpMode};
use bootlace_core::dhcp::{Lease, LeaseTable, Received, Role, Service};
use bootlace_core::explain::{Explanation, Found, Rom, Subject, World, explain};
use bootlace_core::learn::Fact;
use bootlace_core::model::Var;
use bootlace_core::oneshot::OneShots;
use bootlace_store::LeaseReader;
use bootlace_wire::dhcp::{CLIENT_PORT, Feature};
use bootlace_wire::{HwAddr, Mac};
use clap::Args;
use serde::Serialize;

use super::subject::{self, Reported};
use super::{ConfigFile, Format, JsonFlag, say};
use crate::api::{EventView, StepView};
use crate::files::{Body, FilePlane};
use crate::serving::{Edition, Serving};
use crate::{hub, net, sources};

/// Bytes of a served file that are looked at: configs and scripts are far smaller.
const LOOK_BYTES_MAX: usize = 64 << 10;
/// The MTU of the network that is explained when the interface is not here to be asked.
const MTU: u16 = 1500;

/// Foretells the whole boot of a machine.
#[derive(Args)]
pub(super) struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    /// MAC of the interface that boots
    #[arg(long, value_name = "MAC")]
    mac: Mac,
    /// What it boots with: bios, uefi-x64, ...
    #[arg(long, value_name = "FIRMWARE", default_value = "bios")]
    firmware: String,
    /// Something the machine reports, such as serial=X1 or "manufacturer=Dell Inc."; loader=ipxe: its ROM is an
    /// iPXE already, as in QEMU and KVM; ip=ADDRESS: what the DHCP server beside this proxy gives it
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What that iPXE can do, such as http,iscsi,menu; without, what QEMU's can
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Option<Vec<String>>,
    /// What somebody picks where a menu has it; without, its default
    #[arg(long, value_name = "BOOT")]
    pick: Option<String>,
    #[command(flatten)]
    json: JsonFlag,
}

impl Explain {
    pub(super) fn run(&self) -> Result<()> {
        let subject = self.subject()?;
        let config = sources::load(&self.file.config)?.config.without_secrets();
        let gives_addresses = config.dhcp.mode != DhcpMode::Auto && Role::of(&config) == Role::Server;
        if subject.facts.get(Var::Ip).is_some() && gives_addresses {
            bail!("--set ip: with this config it is this server that gives the address");
        }
        let plane = Arc::new(plane(&config)?);
        let Serving { config, loaders, .. } = Serving::new(config, Arc::clone(&plane), Edition::first());
        let Kept { leases, learned, one_shots } = kept(&config.state_dir, self.mac.into())?;
        let world = World {
            table: LeaseTable::new(&config, leases),
            learned,
            one_shots,
            received: received(&config),
            config: &config,
            loaders: &loaders,
            now: hub::now(),
            look_up: &|name| look_up(&plane, name),
        };
        let explanation = explain(world, &subject);
        match self.json.format() {
            Format::Json => say(&serde_json::to_string_pretty(&View::new(&explanation))?),
            Format::Human => say(&text(&explanation)),
        }
    }

    fn subject(&self) -> Result<Subject> {
        let firmware = subject::firmware(&self.firmware)?;
        let Reported { facts, ipxe } = Reported::read(&self.set)?;
        let rom = match (&self.features, ipxe) {
            (Some(names), _) => {
                Rom::Ipxe(Some(names.iter().map(|name| feature(name)).collect::<Result<_>>()?))
            }
            (None, true) => Rom::Ipxe(None),
            (None, false) => Rom::Pxe,
        };
        Ok(Subject { mac: self.mac, firmware, rom, facts, pick: self.pick.clone() })
    }
}

fn feature(name: &str) -> Result<Feature> {
    let found = Feature::ALL.into_iter().find(|feature| feature.name() == name);
    let known = || Feature::ALL.map(Feature::name).join(", ");
    found.with_context(|| format!("iPXE has no feature {name:?}: there are {}", known()))
}

/// The files as they are now. Without a `boot_dir` yet, a boot is foretold with its files missing.
fn plane(config: &Config) -> Result<FilePlane> {
    let boot_dir = config.boot_dir.display();
    if config.boot_dir.exists() {
        return FilePlane::of(config)
            .with_context(|| format!("cannot open boot_dir {boot_dir} or a folder of follow"));
    }
    eprintln!("bootlace: boot_dir {boot_dir} is not there yet: its files count as missing");
    FilePlane::loaders(config).context("cannot open a folder of follow")
}

/// What the server has promised so far, what the machine's boots have taught it and what is armed; before its first start,
/// nothing.
fn kept(state_dir: &Path, hw: HwAddr) -> Result<Kept> {
    if !LeaseReader::exists(state_dir) {
        return Ok(Kept::default());
    }
    let reader = LeaseReader::open(state_dir)?;
    let (leases, learned) = (reader.leases()?, reader.learned_of(hw)?);
    Ok(Kept { leases, learned, one_shots: reader.one_shots()? })
}

/// What a store holds of a machine's next boot.
#[derive(Default)]
struct Kept {
    leases: Vec<Lease>,
    learned: Vec<Fact>,
    one_shots: OneShots,
}

/// The interface that the machine is behind: the first that is served. On another host than the server's its
/// address is the config's, else the first of the first subnet.
pub(super) fn received(config: &Config) -> Received {
    let here = net::interfaces().unwrap_or_default();
    let named = config.interfaces.iter().find_map(|name| here.get(name));
    let in_subnet = |ip: Ipv4Addr| config.dhcp.subnets.iter().any(|subnet| subnet.cidr.contains(ip));
    let fitting = || here.values().find(|interface| interface.addresses.iter().any(|own| in_subnet(own.ip)));
    // An interface of the same name on another host than the server's is another one.
    let real = if config.dhcp.subnets.is_empty() {
        named.or_else(|| here.values().find(|interface| interface.usable && !interface.addresses.is_empty()))
    } else {
        named.filter(|interface| interface.addresses.iter().any(|own| in_subnet(own.ip))).or_else(fitting)
    };
    let local = match real {
        Some(interface) => interface.addresses.iter().map(|own| (own.ip, own.prefix)).collect(),
        None => config
            .dhcp
            .subnets
            .iter()
            .map(|subnet| {
                let first = Ipv4Addr::from(u32::from(subnet.cidr.network()).saturating_add(1));
                (subnet.server.or(config.server).unwrap_or(first), subnet.cidr.prefix())
            })
            .collect(),
    };
    Received {
        interface: real.map_or_else(|| "?".to_owned(), |interface| interface.name.clone()),
        local,
        mtu: real.map_or(MTU, |interface| u16::try_from(interface.mtu).unwrap_or(u16::MAX)),
        source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT),
        destination: Ipv4Addr::BROADCAST,
        service: Service::Dhcp,
    }
}

/// A file's length and the beginning of it as text.
fn look_up(plane: &FilePlane, name: &str) -> Option<Found> {
    let content = plane.open(name).ok()?;
    let len = usize::try_from(content.len).unwrap_or(usize::MAX).min(LOOK_BYTES_MAX);
    let mut bytes = vec![0; len];
    let read = match &content.body {
        Body::File(file) => file.read_waiting(0, &mut bytes).unwrap_or(0),
        Body::Bytes(text) => {
            bytes.copy_from_slice(&text[..len]);
            len
        }
    };
    Some(Found { len: content.len, text: String::from_utf8_lossy(&bytes[..read]).into_owned() })
}

/// `--json`.
#[derive(Serialize)]
struct View {
    steps: Vec<StepView>,
    end: String,
    timeline: Vec<EventView>,
    exchanges: Vec<ExchangeView>,
}

#[derive(Serialize)]
struct ExchangeView {
    title: String,
    text: String,
}

impl View {
    fn new(explanation: &Explanation) -> Self {
        let exchanges = explanation.exchanges.iter();
        Self {
            steps: explanation.steps().iter().map(Into::into).collect(),
            end: explanation.end.clone(),
            timeline: explanation.events.iter().map(|event| EventView::new(event, 0)).collect(),
            exchanges: exchanges
                .map(|one| ExchangeView { title: one.title.clone(), text: one.text.clone() })
                .collect(),
        }
    }
}

fn text(explanation: &Explanation) -> String {
    let mut lines = vec!["What happens:".to_owned()];
    let mut last = Vec::new();
    for event in &explanation.events {
        let view = EventView::new(event, 0);
        lines.push(format!("  {}", view.text));
        // The way to an ACK is mostly that to its OFFER.
        lines.extend(
            view.trail.iter().filter(|line| !last.contains(*line)).map(|line| format!("      {line}")),
        );
        last = view.trail;
    }
    lines.push(format!("  In the end it {}.", explanation.end));
    lines.push("\nWhat is sent:".to_owned());
    for exchange in &explanation.exchanges {
        lines.push(format!("  {}", exchange.title));
        lines.extend(exchange.text.lines().map(|line| format!("      {line}")));
    }
    lines.join("\n")
}
