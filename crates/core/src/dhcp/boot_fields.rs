//! What a client is told to boot: the class table of the reference, as far as it is served.

use std::net::Ipv4Addr;

use bootlace_wire::dhcp::Feature;

use super::{Query, Role, SessionView};
use crate::boot::choose::Choice;
use crate::boot::escape::url_path;
use crate::boot::features::{self, Missing};
use crate::boot::loader::{LoaderInventory, NoLoader};
use crate::boot::template::Server;
use crate::config::{BootKind, BootName, Config, LocalHow, Location};
use crate::event::ClientClass;
use crate::finding::Trail;
use crate::learn::Setting;
use crate::model::{Firmware, Timestamp};

/// The name that every script begins with, over HTTP and TFTP alike.
const SCRIPT: &str = "boot.ipxe";
/// What a line of the trail is about.
const WHAT: &str = "boot file";

/// The boot part of an OFFER or ACK: a function of the facts and the session, so that both say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BootFields {
    /// For `file` and option 67.
    pub(super) file: Option<String>,
    /// For `siaddr`.
    pub(super) next_server: Option<Ipv4Addr>,
    /// Whether `file` is fetched by TFTP, which then goes into option 66.
    pub(super) by: Fetch,
    /// What is decided already.
    pub(super) boot: Option<BootName>,
    /// `file` is a loader of ours for an iPXE that lacks something.
    pub(super) chained: bool,
    /// For option 210: what pxelinux puts before the names of files.
    pub(super) prefix: Option<String>,
    /// The row of the table of what can be learned.
    pub(super) setting: Option<Setting>,
}

/// How the boot file is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fetch {
    #[default]
    Tftp,
    Url,
}

/// What the answer depends on.
#[derive(Clone, Copy)]
pub(super) struct Booting<'a> {
    pub(super) config: &'a Config,
    pub(super) loaders: &'a LoaderInventory,
    pub(super) role: Role,
    pub(super) session: SessionView<'a>,
    pub(super) query: &'a Query<'a>,
    pub(super) choice: &'a Choice<'a>,
    pub(super) server: Ipv4Addr,
    pub(super) now: Timestamp,
}

impl Booting<'_> {
    pub(super) fn fields(&self, trail: &mut Trail) -> BootFields {
        match self.query.class {
            ClientClass::Ipxe => self.ipxe(trail),
            ClientClass::Firmware | ClientClass::Bootp => self.firmware(trail),
            ClientClass::RaspberryPi => {
                self.own_names(trail, "a Raspberry Pi has its own names for what it fetches")
            }
            ClientClass::Uboot => self.own_names(trail, "U-Boot looks for its config by itself"),
            ClientClass::HttpBoot => self.http_boot(trail),
            // debian-installer takes a URL in its lease for a preseed file.
            ClientClass::Os => BootFields::default(),
        }
    }

    /// Handing an unsigned loader to every machine would stop those with Secure Boot: one that is known to
    /// boot its own disk gets none.
    fn firmware(&self, trail: &mut Trail) -> BootFields {
        if let Some(own_disk) = self.own_disk(trail) {
            return own_disk;
        }
        let setting = self.setting(trail);
        match self.loader_by(setting) {
            Ok(loader) => {
                trail.add(WHAT, format!("{loader}: the loader for {}", self.firmware_family()));
                BootFields { setting, prefix: self.prefix_of(&loader), ..self.over_tftp(loader) }
            }
            Err(why) => none(trail, format!("none: {why}")),
        }
    }

    /// The machine's own disk is decided.
    fn own_disk(&self, trail: &mut Trail) -> Option<BootFields> {
        let boot = self.decided().filter(|boot| self.local(boot).is_some())?;
        trail.add(WHAT, format!("none: boot {boot} is the machine's own disk"));
        Some(BootFields { boot: Some(boot.clone()), ..BootFields::default() })
    }

    /// What asks for fixed names needs to know only where.
    fn own_names(&self, trail: &mut Trail, why: &str) -> BootFields {
        if let Some(own_disk) = self.own_disk(trail) {
            return own_disk;
        }
        trail.add(WHAT, format!("none, but the address of this server: {why}"));
        BootFields { file: None, ..self.over_tftp(String::new()) }
    }

    /// The URL of a program: the boot itself where that is one, else a loader. With this server's address, since a
    /// name would need a DNS server in the same offer (EDK2).
    fn http_boot(&self, trail: &mut Trail) -> BootFields {
        if let Some(own_disk) = self.own_disk(trail) {
            return own_disk;
        }
        let kind = self.decided().map(|boot| &self.config.boot(boot).kind);
        let (program, why) = match kind {
            // A one-shot is taken with a script, which this has none of.
            Some(BootKind::Efi { file: Location::File(file) })
                if self.choice.settings.loader.is_none() && !self.choice.is_one_shot() =>
            {
                (file.clone(), "the program itself".to_owned())
            }
            _ => match self.loader_by(self.setting(trail)) {
                Ok(loader) => (loader, format!("the loader for {}", self.firmware_family())),
                Err(why) => return none(trail, format!("none: {why}")),
            },
        };
        let url = format!("{}/{}", Server::by_address(self.config, self.server).url, url_path(&program));
        trail.add(WHAT, format!("{url}: {why}"));
        BootFields { by: Fetch::Url, ..self.over_tftp(url) }
    }

    fn ipxe(&self, trail: &mut Trail) -> BootFields {
        if let Some(boot) = self.decided().filter(|boot| self.local(boot) == Some(&LocalHow::Silence)) {
            trail.add(WHAT, format!("none: boot {boot} says silence"));
            return BootFields { boot: Some(boot.clone()), ..BootFields::default() };
        }
        let missing = self.missing();
        if !missing.is_empty() && !self.session.chained {
            match self.loaders.pick_ipxe(self.firmware_family(), self.choice.settings.loader.as_ref()) {
                Ok(loader) => {
                    trail.add(WHAT, format!("{loader}: this iPXE lacks {missing}"));
                    return BootFields { chained: true, ..self.over_tftp(loader) };
                }
                Err(why) => trail.add(WHAT, format!("this iPXE lacks {missing}, and {why}")),
            }
        } else if !missing.is_empty() {
            trail.add(WHAT, format!("this iPXE lacks {missing}, but came from our loader already"));
        }
        if missing.0.contains(&Feature::Http) {
            trail.add(WHAT, format!("{SCRIPT} over TFTP: this iPXE has no HTTP"));
            return self.over_tftp(SCRIPT.to_owned());
        }
        let url = format!("{}/{SCRIPT}", Server::new(self.config, self.server).url);
        trail.add(WHAT, format!("{url}: iPXE gets the script"));
        BootFields { by: Fetch::Url, ..self.over_tftp(url) }
    }

    /// What the decided boot and the way to it need. A boot that is not decided yet is checked by its script;
    /// an iPXE that says nothing of itself is believed able.
    fn missing(&self) -> Missing {
        let Some(has) = &self.query.features else { return Missing::default() };
        let needs = |boot| features::needs(self.config.boot(boot), self.firmware_family());
        let mut needed = self.decided().map(needs).unwrap_or_default();
        needed.insert(Feature::Http);
        features::missing(&needed, has)
    }

    fn over_tftp(&self, file: String) -> BootFields {
        BootFields {
            file: Some(file),
            next_server: Some(self.server),
            by: Fetch::Tftp,
            boot: self.decided().cloned(),
            chained: false,
            prefix: None,
            setting: None,
        }
    }

    /// lpxelinux comes by TFTP and knows HTTP, which it uses for all else when its prefix says so (RFC 5071).
    fn prefix_of(&self, loader: &str) -> Option<String> {
        let (folder, base) = loader.rsplit_once('/').unwrap_or(("", loader));
        let url = || Server::by_address(self.config, self.server).url;
        match (base, folder) {
            ("lpxelinux.0", "") => Some(format!("{}/", url())),
            ("lpxelinux.0", folder) => Some(format!("{}/{}/", url(), url_path(folder))),
            _ => None,
        }
    }

    pub(super) fn loader(&self) -> Result<String, NoLoader> {
        self.loaders.pick(self.firmware_family(), self.choice.settings.loader.as_ref())
    }

    pub(super) fn firmware_family(&self) -> Firmware {
        self.query.firmware.unwrap_or(Firmware::Bios)
    }

    pub(super) fn decided(&self) -> Option<&BootName> {
        self.choice.boot()
    }

    fn local(&self, boot: &BootName) -> Option<&LocalHow> {
        match &self.config.boot(boot).kind {
            BootKind::Local(how) => Some(how),
            _ => None,
        }
    }
}

fn none(trail: &mut Trail, why: String) -> BootFields {
    trail.add(WHAT, why);
    BootFields::default()
}
