//! Walks a machine through its boot.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bootlace_wire::dhcp::{Feature, Message, MessageType, PXE_PORT, describe};
use bootlace_wire::tftp::clean_name;

use super::clients::{self, Client, Speaker};
use super::{Exchange, Explanation, Rom, Subject, World, ipxe};
use crate::boot::disk::{DiskId, HiddenNames};
use crate::boot::install::HiddenTokens;
use crate::boot::loader::signed_ipxe::Pair;
use crate::boot::loader::{candidates, signed_boot};
use crate::boot::plan::Entrusted;
use crate::boot::template::Server;
use crate::config::{BootKind, BootName, Cidr, DhcpMode};
use crate::dhcp::{Decision, Received, Role, Service, SessionView, classify, decide};
use crate::event::{
    ClientClass, DhcpAnswer, DiskEvent, DiskStep, Event, EventKind, FileEvent, FileOutcome, Given, Peer,
    Protocol, ScriptEvent,
};
use crate::files::{FileRequest, Identity, Named, Resolution, Resource, look_up, percent_decoded, resolve};
use crate::learn::Fact;
use crate::model::{Facts, Text, Var};
use crate::oneshot::Offered;
use crate::session::{Session, SessionId};

/// Scripts and loaders that one boot goes through before it counts as a loop.
pub(super) const HOPS_MAX: u32 = 12;

/// Plays the boot of `subject`.
pub fn explain(mut world: World<'_>, subject: &Subject) -> Explanation {
    // Another boot begins, so that whatever goes on now has ended.
    world.learned.iter_mut().for_each(Fact::settle);
    let client = Client {
        mac: subject.mac,
        firmware: subject.firmware,
        uuid: subject.facts.uuid(),
        vendor_class: subject.facts.get(Var::VendorClass).map(Text::from),
        client_id: subject.facts.get(Var::ClientId).and_then(|id| id.parse().ok()),
    };
    let session = Session::new(SessionId(0), subject.mac.into(), world.now);
    let server = Ipv4Addr::UNSPECIFIED;
    let mut walk = Walk {
        world,
        subject,
        client,
        session,
        server,
        events: Vec::new(),
        exchanges: Vec::new(),
        hops: 0,
        trust: Trust::Unasked,
    };
    let end = walk.boot();
    Explanation { events: walk.events, exchanges: walk.exchanges, end }
}

pub(super) struct Walk<'a> {
    pub(super) world: World<'a>,
    pub(super) subject: &'a Subject,
    pub(super) client: Client,
    pub(super) session: Session,
    /// Our address, as the last answer told it.
    pub(super) server: Ipv4Addr,
    events: Vec<Event>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) hops: u32,
    /// The iPXE that runs.
    trust: Trust,
}

/// Who vouches for what an iPXE starts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Nobody asks.
    Unasked,
    /// It came by a signed shim, for Secure Boot as one must assume: then kernels need a shim of their own.
    Shim,
}

impl Walk<'_> {
    fn boot(&mut self) -> String {
        match &self.subject.rom {
            Rom::Pxe => {
                if self.subject.firmware.is_http() {
                    return self.nothing_to_load();
                }
                match self.dhcp(&Speaker::Firmware) {
                    None if self.role() == Role::Server => NO_ANSWER.to_owned(),
                    Some(Given { boot_file: Some(loader), .. }) => self.loader(Protocol::Tftp, &loader),
                    _ => self.nothing_to_load(),
                }
            }
            Rom::Ipxe(features) => {
                let features = features.clone().unwrap_or_else(|| clients::ROM_FEATURES.to_vec());
                self.ipxe(&features)
            }
        }
    }

    /// EDK2 has an entry for HTTP Boot of the same card behind the one for PXE.
    fn nothing_to_load(&mut self) -> String {
        if self.subject.firmware.is_uefi() {
            let url = self.dhcp(&Speaker::HttpBoot).and_then(|given| given.boot_file);
            if let Some((_, name, _)) = url.and_then(|url| self.ours(&url)) {
                return self.loader(Protocol::Http, &name);
            }
        }
        "gets an address and no boot file: the firmware goes on with its next boot device".to_owned()
    }

    /// A loader was sent: iPXE goes on, pxelinux too; others are not known.
    fn loader(&mut self, protocol: Protocol, name: &str) -> String {
        if !self.file(protocol, name) {
            return format!("does not find {name}: the firmware gives up");
        }
        if let Some(pair) = Pair::of_shim(name) {
            return self.signed_shim(protocol, pair);
        }
        let base = name.rsplit('/').next().unwrap_or(name);
        if candidates(self.subject.firmware).contains(&base) || base.contains("ipxe") {
            return self.ipxe(&clients::own_features(self.subject.firmware));
        }
        if base.contains("pxelinux") {
            // DHCP told this one, which came by TFTP, to go on by HTTP.
            let protocol = if base == "lpxelinux.0" { Protocol::Http } else { protocol };
            return self.pxelinux(protocol, name);
        }
        if let Some(signed) = signed_boot(self.subject.firmware).filter(|signed| signed.shim.name == base) {
            return self.shim(protocol, name, signed);
        }
        format!("starts {name}, which goes its own way")
    }

    /// The shim starts the iPXE that its name stands for, and that asks beside itself before its own DHCP.
    fn signed_shim(&mut self, protocol: Protocol, pair: Pair) -> String {
        let second = pair.second();
        if !self.file(protocol, &second) {
            return format!("does not find {second}, which its shim starts: the firmware gives up");
        }
        self.trust = Trust::Shim;
        let root = match protocol {
            Protocol::Tftp => format!("tftp://{}", self.server),
            Protocol::Http => Server::by_address(self.world.config, self.server).url,
        };
        let folder = second.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.fetch(&format!("{root}/{folder}/autoexec.ipxe"))
    }

    /// iPXE asks for an address and follows what it gets.
    fn ipxe(&mut self, features: &[Feature]) -> String {
        self.hops += 1;
        if self.hops > HOPS_MAX {
            return "goes in circles".to_owned();
        }
        let Some(given) = self.dhcp(&Speaker::Ipxe(features)) else { return NO_ANSWER.to_owned() };
        match given.boot_file {
            None => "gets no boot file in iPXE: the firmware goes on with its next boot device".to_owned(),
            Some(url) if url.contains("://") => self.fetch(&url),
            Some(name) if given.chained => self.loader(Protocol::Tftp, &name),
            Some(name) => {
                let server = given.next_server.unwrap_or(Ipv4Addr::UNSPECIFIED);
                self.fetch(&format!("tftp://{server}/{name}"))
            }
        }
    }

    /// iPXE runs what lies at `url`.
    fn fetch(&mut self, url: &str) -> String {
        self.hops += 1;
        if self.hops > HOPS_MAX {
            return "goes in circles".to_owned();
        }
        let Some((protocol, name, query)) = self.ours(url) else {
            return format!("goes on with {url}, which is not ours");
        };
        let resolution = self.resolve(protocol, &name, &query);
        let is_there = |file: &str| (self.world.look_up)(file).is_some();
        match resolution.resource {
            Resource::FileOrText { file, .. } if is_there(&file) => {
                self.served(protocol, (&name, &file), url)
            }
            Resource::FileOrText { or_next, .. } if or_next.iter().any(|next| is_there(next)) => {
                format!("does not find {name}, but a more general one")
            }
            Resource::FileOrAbsent { file, .. } if is_there(&file) => {
                self.served(protocol, (&name, &file), url)
            }
            Resource::Text { body, .. } | Resource::FileOrText { body, .. } => {
                self.exchanges
                    .push(Exchange { title: format!("{} {name}", protocol.name()), text: body.clone() });
                let problem = resolution.script.as_ref().is_some_and(ScriptEvent::is_problem);
                if let Some(script) = resolution.script {
                    self.record(EventKind::Script(script));
                }
                if self.session.boot.as_ref().is_some_and(|(boot, _)| self.waits(boot)) {
                    return "waits on its screen until it is adopted".to_owned();
                }
                let end = self.run(&body, url);
                if problem { format!("says on its screen what is wrong, and {end}") } else { end }
            }
            Resource::File(file) => self.served(protocol, (&name, &file), url),
            Resource::Done => "says that it is installed".to_owned(),
            Resource::Archive(_) => format!("gets {name}"),
            Resource::FileOrAbsent { why, .. } | Resource::Absent(why) => {
                let outcome = FileOutcome::Absent(why.clone());
                self.record(EventKind::File(FileEvent {
                    protocol,
                    name: Text::from(name.as_str()),
                    outcome,
                }));
                format!("does not find {name}: {why}")
            }
        }
    }

    pub(super) fn resolve(&self, protocol: Protocol, name: &str, query: &str) -> Resolution {
        let request = FileRequest {
            protocol,
            query,
            facts: &self.session.facts,
            identity: Identity::Confirmed,
            server: self.server,
            features: self.session.features.as_ref(),
            chained: self.session.came_by_chain(),
            booting: self.session.boot.as_ref().map(|(boot, _)| boot),
            peer: self.session.address.unwrap_or(Ipv4Addr::UNSPECIFIED),
            entrusted: Entrusted { tokens: Some(&HiddenTokens), disks: Some(&HiddenNames) },
            bearer: None,
            next: Offered { all: Some(&self.world.one_shots), asker: None, now: self.world.now },
            loaders: self.world.loaders,
        };
        resolve(self.world.config, name, &request)
    }

    /// A file by the name that was asked for.
    fn served(&mut self, protocol: Protocol, (name, file): (&str, &str), url: &str) -> String {
        if !self.file(protocol, name) {
            return format!("does not find {name}");
        }
        self.program(protocol, file, url)
    }

    /// A file that iPXE starts: a script, a loader, or something else.
    fn program(&mut self, protocol: Protocol, name: &str, url: &str) -> String {
        let base = name.rsplit('/').next().unwrap_or(name);
        if base.contains("pxelinux") {
            return self.pxelinux(protocol, name);
        }
        if let Some(pair) = Pair::of_shim(name) {
            return self.signed_shim(protocol, pair);
        }
        if candidates(self.subject.firmware).contains(&base) {
            return self.ipxe(&clients::own_features(self.subject.firmware));
        }
        match (self.world.look_up)(name) {
            Some(found) if found.text.starts_with("#!ipxe") => self.run(&found.text, url),
            _ => format!("starts {name}"),
        }
    }

    /// Follows a script.
    fn run(&mut self, script: &str, url: &str) -> String {
        let walked = ipxe::walk(script, url, &self.settings(), self.subject.pick.as_deref());
        for disk in &walked.disks {
            self.log_in(disk);
        }
        let mut outside = Vec::new();
        for url in walked.fetches {
            match self.ours(&url) {
                Some((protocol, name, _)) if !self.file(protocol, &name) => {
                    return format!("does not find {name}");
                }
                Some(_) => {}
                None => outside.push(url),
            }
        }
        if self.trust == Trust::Shim {
            for (protocol, name, _) in
                walked.shims.iter().filter_map(|url| self.ours(url)).collect::<Vec<_>>()
            {
                // The kernel may start without.
                self.file(protocol, &name);
            }
        }
        let elsewhere = if outside.is_empty() {
            String::new()
        } else {
            format!(", with {} from elsewhere", outside.join(" and "))
        };
        match walked.end {
            ipxe::End::Boots => format!("starts what it fetched{elsewhere}"),
            ipxe::End::Chains(next) => self.fetch(&next),
            ipxe::End::Disk(disk) => {
                self.log_in(&disk);
                format!("starts the disk {disk}")
            }
            ipxe::End::Exits(_) => "leaves iPXE: the firmware goes on with its next boot device".to_owned(),
            ipxe::End::Stops(what) => format!("ends in {what}"),
            ipxe::End::Lost(why) => format!("cannot be followed further: {why}"),
        }
    }

    /// Attaches a disk, which is an event where it is this server's.
    fn log_in(&mut self, uri: &str) {
        if let Some(target) = self.own_target(uri) {
            let event = DiskEvent { target: Text::from(DiskId::shown(&target)), step: DiskStep::LoggedIn };
            self.record(EventKind::Disk(event));
        }
    }

    /// The target of a SAN URI (RFC 4173), if this server has it.
    fn own_target(&self, uri: &str) -> Option<String> {
        let config = self.world.config;
        let at = format!("iscsi:{}:6:{}:0:", self.server, config.iscsi.port);
        let target = uri.strip_prefix(&at)?;
        let of_machine =
            DiskId::of_target(target, config.disk_boots().map(|(boot, _)| boot)).next().is_some();
        let of_config = config.iscsi.targets.iter().any(|known| known.name == target);
        (of_machine || of_config).then(|| target.to_owned())
    }

    fn waits(&self, boot: &BootName) -> bool {
        matches!(self.world.config.boot(boot).kind, BootKind::Wait)
    }

    /// A file by its name; whether it is there.
    pub(super) fn file(&mut self, protocol: Protocol, name: &str) -> bool {
        let found = match look_up(name) {
            Named::File(file) => (self.world.look_up)(self.world.loaders.behind(&file)),
            Named::Generated { file, .. } => (self.world.look_up)(&file),
            Named::Boot | Named::Script | Named::Answer { .. } | Named::Done | Named::Absent(_) => None,
        };
        let name = clean_name(name.as_bytes()).unwrap_or_default();
        let outcome = match &found {
            Some(found) => FileOutcome::Sent { bytes: found.len, took: Duration::ZERO, retransmits: 0 },
            None => FileOutcome::Absent("no such file".to_owned()),
        };
        self.record(EventKind::File(FileEvent { protocol, name: Text::from(name.as_str()), outcome }));
        found.is_some()
    }

    /// DISCOVER and REQUEST; what the ACK gives.
    fn dhcp(&mut self, speaker: &Speaker<'_>) -> Option<Given> {
        let discover = self.client.discover(speaker, self.hops);
        let offer = self.exchange(&discover, Service::Dhcp)?;
        if self.role() == Role::Proxy {
            return self.told(&discover, offer);
        }
        let offer = offer.reply?.message;
        let request = clients::request(&discover, &offer);
        let ack = self.exchange(&request, Service::Dhcp)?;
        match ack.event.answer {
            DhcpAnswer::Ack(given)
                if ack.reply.is_some_and(|reply| reply.message.message_type() == Some(MessageType::Ack)) =>
            {
                Some(given)
            }
            _ => None,
        }
    }

    /// What a machine with another server's address gets from a proxy: by its offer, else on port 4011.
    fn told(&mut self, discover: &Message, offer: Decision) -> Option<Given> {
        offer.reply?;
        self.session.address = self.subject.address();
        let given = offer.event.answer.given()?.clone();
        if given.boot_file.is_some() || offer.event.client != ClientClass::Firmware {
            return Some(given);
        }
        let request = clients::boot_server_request(discover, self.neighbour());
        self.exchange(&request, Service::BootServer)?.event.answer.given().cloned()
    }

    /// By the config; where that leaves it open, beside another server if the machine has an address of one.
    fn role(&self) -> Role {
        match (self.world.config.dhcp.mode, self.subject.address()) {
            (DhcpMode::Auto, Some(_)) => Role::Proxy,
            _ => Role::of(self.world.config),
        }
    }

    /// The address that the other server gives the machine; unless that is known, one that it may have.
    fn neighbour(&self) -> Ipv4Addr {
        if let Some(address) = self.subject.address() {
            return address;
        }
        let (own, prefix) = self.world.received.local.first().copied().unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
        let network = Cidr::new(own, prefix).map_or(0, |cidr| u32::from(cidr.network()));
        [1, 2].map(|host| Ipv4Addr::from(network + host)).into_iter().find(|ip| *ip != own).unwrap_or(own)
    }

    fn exchange(&mut self, message: &Message, service: Service) -> Option<Decision> {
        let mut received = Received { service, ..self.world.received.clone() };
        if service == Service::BootServer {
            received.source = SocketAddrV4::new(message.ciaddr, PXE_PORT);
        }
        let query = classify(message, &received).ok()?;
        let view = self.session.dhcp_view(&query, self.world.now);
        let role = self.role();
        let World { config, loaders, table, learned, one_shots, now, .. } = &mut self.world;
        let next = Offered { all: Some(one_shots), asker: None, now: *now };
        let view = SessionView { learned, next, ..view };
        let mut decision = decide(config, role, loaders, table, view, &query, *now);
        match (config.dhcp.mode, role) {
            (DhcpMode::Auto, Role::Server) => decision.event.trail.add("mode", ALONE),
            (_, Role::Proxy) if self.subject.address().is_none() => {
                decision.event.trail.add("address", OF_ANOTHER_SERVER);
            }
            _ => {}
        }
        if let Some(reply) = &decision.reply {
            self.server = reply.message.server_id().unwrap_or(self.server);
            let kind = reply
                .message
                .message_type()
                .map_or(String::new(), |kind| format!("{kind:?} ").to_uppercase());
            let title = format!("{kind}to {}", decision.event.client.name());
            self.exchanges.push(Exchange { title, text: describe::describe(&reply.message) });
        }
        self.record(EventKind::Dhcp(decision.event.clone()));
        Some(decision)
    }

    pub(super) fn record(&mut self, kind: EventKind) {
        let ip = match &kind {
            EventKind::Dhcp(dhcp) => dhcp.answer.given().map(|given| given.address),
            _ => self.session.address,
        };
        let event = Event { at: self.world.now, peer: Peer { hw: Some(self.subject.mac.into()), ip }, kind };
        self.session.apply(&event);
        self.events.push(event);
    }

    /// The protocol, name and query of a URL that leads to this server.
    pub(super) fn ours(&self, url: &str) -> Option<(Protocol, String, String)> {
        let (scheme, rest) = url.split_once("://")?;
        let protocol = match scheme {
            "http" => Protocol::Http,
            "tftp" => Protocol::Tftp,
            _ => return None,
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let server = self.server;
        let own = Server::new(self.world.config, server).url;
        let is_own = own.ends_with(&format!("//{host}"))
            || host.split(':').next() == Some(server.to_string().as_str());
        let (name, query) = path.split_once('?').unwrap_or((path, ""));
        let name = String::from_utf8_lossy(&percent_decoded(name.as_bytes())).into_owned();
        is_own.then(|| (protocol, name, query.to_owned()))
    }

    /// The iPXE settings of the machine, as far as they are known.
    fn settings(&self) -> BTreeMap<String, String> {
        let mut facts: Facts = self.session.facts.clone();
        facts.merge(&self.subject.facts);
        if let Some(address) = self.session.address {
            facts.set(Var::Ip, address.to_string().as_str());
        }
        facts.set(Var::Mac, self.subject.mac.to_string().as_str());
        let mut settings: BTreeMap<String, String> = facts
            .iter()
            .filter_map(|(var, value)| {
                let setting = var.ipxe_setting()?;
                Some((setting.strip_prefix("netX/").unwrap_or(setting).to_owned(), value.to_owned()))
            })
            .collect();
        let (platform, buildarch) = clients::build(self.subject.firmware);
        settings.entry("platform".to_owned()).or_insert_with(|| platform.to_owned());
        settings.entry("buildarch".to_owned()).or_insert_with(|| buildarch.to_owned());
        settings
    }
}

const NO_ANSWER: &str = "gets no answer";
const ALONE: &str =
    "auto, as where no other DHCP server answers: --set ip=ADDRESS tells the boot beside one that gives this";
const OF_ANOTHER_SERVER: &str =
    "unknown here, as another server gives it: where names or rules go by it, say it with --set ip=ADDRESS";
