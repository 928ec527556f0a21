//! The proxy beside another DHCP server (PXE 2.1 section 2.2): it says what to boot and gives nobody an address.
//!
//! It answers firmware and iPXE only. A kernel with `ip=dhcp` and U-Boot take the first offer that they hear, also one
//! without an address; so whatever is no boot client never gets one from here.

use std::net::Ipv4Addr;

use bootlace_wire::dhcp::{Code, MessageType};

use super::boot_fields::{BootFields, Booting};
use super::decide::{Decision, SessionView, event};
use super::reply::{self, Reply};
use super::{Destination, Kind, Notice, Query, Request, Role, relays};
use crate::boot::choose::choose;
use crate::boot::loader::LoaderInventory;
use crate::config::{BootKind, Cidr, Config, ProxyRecipe};
use crate::event::{ClientClass, DhcpAnswer, Given};
use crate::finding::Trail;
use crate::learn::Setting;
use crate::model::{Firmware, Timestamp};

/// `priority = 1` of option 175: iPXE takes this boot file rather than one of the DHCP server.
const PRIORITY: [u8; 3] = [1, 1, 1];
/// Discovery control (option 43, sub-option 6, bit 3): the boot file of this offer is all there is to know, so ask no
/// boot server and show no menu.
const USE_BOOT_FILE: [u8; 4] = [6, 1, 8, 255];

/// Decides about one message.
pub(super) fn decide(
    config: &Config,
    loaders: &LoaderInventory,
    session: SessionView<'_>,
    query: &Query<'_>,
    now: Timestamp,
) -> Decision {
    let mut trail = Trail::default();
    let refusal = relays::refusal(&config.dhcp, query);
    let (reply, answer, notice) = match (unanswered(config, query), refusal) {
        (Some(answer), _) => (None, answer, None),
        (None, Some(why)) => (None, DhcpAnswer::Silence(why), Some(Notice::ForeignRelay)),
        (None, None) => {
            let (reply, answer) = Case { config, loaders, session, query, now }.handle(&mut trail);
            (reply, answer, None)
        }
    };
    Decision { reply, changes: Vec::new(), event: event(query, answer, trail), after_probe: None, notice }
}

/// What is no business of a proxy, whoever asks.
fn unanswered(config: &Config, query: &Query<'_>) -> Option<DhcpAnswer> {
    let elsewhere = |server, address| Some(DhcpAnswer::Elsewhere { server, address });
    if matches!(query.class, ClientClass::Os | ClientClass::Bootp | ClientClass::Uboot) {
        let address = query.message.requested_ip();
        return elsewhere(query.message.server_id(), address);
    }
    match query.kind {
        Kind::Request(Request::Selecting { server, address }) => elsewhere(Some(server), Some(address)),
        Kind::Request(
            Request::InitReboot(address) | Request::Renewing(address) | Request::Rebinding(address),
        )
        | Kind::Inform(address) => elsewhere(None, Some(address)),
        Kind::Release(_) | Kind::Decline(_) | Kind::Bootp => elsewhere(None, None),
        Kind::BootServer(address) if !is_near(config, query, address) => {
            Some(DhcpAnswer::Silence(format!("{address} is not of a network served here")))
        }
        Kind::Discover | Kind::BootServer(_) => None,
    }
}

/// On a network of the interface or in a subnet of the config: anybody else's word would make the server send to
/// whom it names.
fn is_near(config: &Config, query: &Query<'_>, address: Ipv4Addr) -> bool {
    let source = *query.received.source.ip();
    let local = query.received.local.iter().filter_map(|(own, prefix)| Cidr::new(*own, *prefix));
    let subnets = config.dhcp.subnets.iter().map(|subnet| subnet.cidr);
    source == address && local.chain(subnets).any(|network| network.contains(address))
}

struct Case<'a> {
    config: &'a Config,
    loaders: &'a LoaderInventory,
    session: SessionView<'a>,
    query: &'a Query<'a>,
    now: Timestamp,
}

impl Case<'_> {
    fn handle(&self, trail: &mut Trail) -> (Option<Reply>, DhcpAnswer) {
        let Self { config, loaders, session, query, now } = *self;
        let mut choice = choose(config, session.next, &query.facts, None);
        *trail = std::mem::take(&mut choice.trail);
        let silence = |why: &str| (None, DhcpAnswer::Silence(why.to_owned()));
        if choice.settings.ignore {
            return silence("the config says to ignore this machine");
        }
        let Some(server) = server(config, query) else { return silence("this interface has no address") };
        // An iPXE in the card's ROM would only leave again by the script; one that came from us has to be told.
        let local = |boot| matches!(config.boot(boot).kind, BootKind::Local(_));
        if let Some(boot) = choice.boot().filter(|boot| local(boot) && !session.chained) {
            trail.add("boot file", format!("none: boot {boot} is the machine's own disk"));
            return silence("it boots its own disk");
        }
        let role = Role::Proxy;
        let booting = Booting { config, role, loaders, session, query, choice: &choice, server, now };
        let boot = booting.fields(trail);
        if boot.next_server.is_none() {
            return silence("nothing to boot from here");
        }
        let recipe = match query.class {
            ClientClass::Firmware => {
                let asked = choice.settings.proxy.or(config.dhcp.proxy);
                asked.unwrap_or_else(|| untold(query.firmware.unwrap_or(Firmware::Bios), boot.setting))
            }
            _ => ProxyRecipe::Offer,
        };
        let asks_again = recipe == ProxyRecipe::BootServer && query.kind == Kind::Discover;
        let boot = if asks_again {
            trail.add("proxy", "the offer names no file: this firmware asks port 4011 for it");
            BootFields { file: None, ..boot }
        } else {
            boot
        };
        let kind = if query.kind == Kind::Discover { MessageType::Offer } else { MessageType::Ack };
        let reply = self.reply(server, kind, recipe, &boot);
        let BootFields { file: boot_file, next_server, boot, chained, setting, .. } = boot;
        let address = Ipv4Addr::UNSPECIFIED;
        let given = Given { address, boot_file, next_server, boot, chained, setting };
        let answer =
            if kind == MessageType::Offer { DhcpAnswer::Offer(given) } else { DhcpAnswer::Ack(given) };
        (Some(reply), answer)
    }

    /// Where to fetch what, and nothing that configures the network.
    fn reply(&self, server: Ipv4Addr, kind: MessageType, recipe: ProxyRecipe, boot: &BootFields) -> Reply {
        let query = self.query;
        let mut message = query.message.reply();
        message.siaddr = server;
        message.options.set_u8(Code::MESSAGE_TYPE, kind.code());
        message.options.set_ip(Code::SERVER_ID, server);
        let vendor = reply::vendor(query.class, boot);
        if vendor.is_empty() {
            message.options.set_text(Code::VENDOR_CLASS, "PXEClient");
        }
        for (code, bytes) in vendor {
            message.options.set(*code, *bytes);
        }
        match query.class {
            ClientClass::Ipxe => message.options.set(Code::IPXE, PRIORITY),
            ClientClass::Firmware if recipe == ProxyRecipe::Offer => {
                message.options.set(Code::VENDOR, USE_BOOT_FILE);
                // BOOTP's place for the server's name (RFC 951), for ROMs that know no option 66. It is never overloaded
                // with options.
                message.sname =
                    boot.next_server.map(|server| server.to_string().into_bytes()).unwrap_or_default();
            }
            _ => {}
        }
        reply::set_boot_file(&mut message, query, boot);
        if let (Some(prefix), Some(_)) = (&boot.prefix, &boot.file) {
            message.options.set_text(Code::PXELINUX_PREFIX, prefix);
        }
        reply::echo(query.message, &mut message);
        let destination = match query.kind {
            // EDK2 listens on the port 4011 that it asks from, iPXE on 68.
            Kind::BootServer(own) => {
                message.ciaddr = own;
                Destination::UnicastIp(query.received.source)
            }
            _ => {
                message.broadcast = true;
                let relayed = !message.giaddr.is_unspecified();
                if relayed { reply::relay(query) } else { Destination::Broadcast }
            }
        };
        Reply { message, limit: query.message.payload_limit(query.received.mtu), destination }
    }
}

/// What most firmware of a kind understands. Several older UEFI builds miss the word "use this file" of the offer, and all
/// know port 4011; many BIOS ROMs are the other way round.
pub fn usual_recipe(firmware: Firmware) -> ProxyRecipe {
    if firmware.is_uefi() { ProxyRecipe::BootServer } else { ProxyRecipe::Offer }
}

/// The one that the config does not name.
fn untold(firmware: Firmware, setting: Option<Setting>) -> ProxyRecipe {
    let usual = usual_recipe(firmware);
    if setting == Some(Setting::OtherRecipe) { usual.other() } else { usual }
}

/// The configured address; else the one that was asked, when it is ours; else the interface's first.
fn server(config: &Config, query: &Query<'_>) -> Option<Ipv4Addr> {
    let local = || query.received.local.iter().map(|(address, _)| *address);
    let asked = || local().find(|address| *address == query.received.destination);
    config.server.or_else(asked).or_else(|| local().next())
}
