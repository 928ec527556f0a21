//! The distribution's shim and GRUB, as Debian 12's ask (seen under OVMF).

use super::Exchange;
use super::grub::{self, End};
use super::walk::{HOPS_MAX, Walk};
use crate::boot::escape::url_path;
use crate::boot::loader::SignedBoot;
use crate::event::{EventKind, Protocol, ScriptEvent};
use crate::files::Resource;
use crate::model::Firmware;

/// What shim asks for beside itself before its second stage (shim 16, shim.c).
const BEFORE_GRUB: [&str; 3] = ["revocations_sku.efi", "revocations_sbat.efi", "shim_certificate_0.efi"];
/// The folder that Debian builds into its network GRUB.
const PREFIX: &str = "grub";
/// Lists of modules, which a signed GRUB asks for and cannot use.
const LISTS: [&str; 4] = ["command.lst", "fs.lst", "crypto.lst", "terminal.lst"];

impl Walk<'_> {
    /// shim was sent, and runs.
    pub(super) fn shim(&mut self, protocol: Protocol, name: &str, signed: &SignedBoot) -> String {
        let folder = name.rfind('/').map_or("", |slash| &name[..=slash]);
        for beside in BEFORE_GRUB {
            self.file(protocol, &format!("{folder}{beside}"));
        }
        let second = format!("{folder}{}", signed.grub.name);
        if !self.file(protocol, &second) {
            return format!("does not find {second}: shim gives up");
        }
        let modules = modules(self.subject.firmware);
        for list in LISTS {
            self.file(protocol, &format!("{PREFIX}/{modules}/{list}"));
        }
        self.config(protocol, &format!("{PREFIX}/grub.cfg"))
    }

    /// GRUB asks for a config, and does what it says.
    fn config(&mut self, protocol: Protocol, name: &str) -> String {
        self.hops += 1;
        if self.hops > HOPS_MAX {
            return "goes in circles".to_owned();
        }
        let resolution = self.resolve(protocol, name, "");
        match (resolution.resource, resolution.script) {
            (Resource::FileOrText { file, body, .. }, Some(script)) => match (self.world.look_up)(&file) {
                Some(found) => {
                    self.file(protocol, name);
                    self.follow(protocol, &found.text)
                }
                None => {
                    let title = format!("{} {name}", protocol.name());
                    self.exchanges.push(Exchange { title, text: body.clone() });
                    let is_problem = ScriptEvent::is_problem(&script);
                    self.record(EventKind::Script(script));
                    let end = self.follow(protocol, &body);
                    if is_problem { format!("says on its screen what is wrong, and {end}") } else { end }
                }
            },
            _ if self.file(protocol, name) => {
                let found = (self.world.look_up)(name).unwrap_or_default();
                self.follow(protocol, &found.text)
            }
            _ => format!("does not find {name}: GRUB waits for commands"),
        }
    }

    fn follow(&mut self, came_by: Protocol, config: &str) -> String {
        match grub::walk(config, self.subject.pick.as_deref()) {
            End::Linux(files) => self.fetch_all(came_by, &files),
            End::Program(place) => self.fetch_all(came_by, &[place]),
            End::Config(place) => match self.place(came_by, &place) {
                Some((protocol, name)) => self.config(protocol, &name),
                None => format!("goes on with {place}, which is not ours"),
            },
            End::Disk => {
                "looks for the program of a system on its disk, else leaves GRUB: the firmware goes on"
                    .to_owned()
            }
            End::Exits => "leaves GRUB: the firmware goes on with its next boot device".to_owned(),
            End::Lost => {
                "cannot be followed further: the config of GRUB says more than can be foretold".to_owned()
            }
        }
    }

    fn fetch_all(&mut self, came_by: Protocol, places: &[String]) -> String {
        let mut outside = Vec::new();
        for place in places {
            match self.place(came_by, place) {
                Some((protocol, name)) if !self.file(protocol, &name) => {
                    return format!("does not find {name}");
                }
                Some(_) => {}
                None => outside.push(place.as_str()),
            }
        }
        if outside.is_empty() {
            "starts what it fetched".to_owned()
        } else {
            format!("starts what it fetched, with {} from elsewhere", outside.join(" and "))
        }
    }

    /// The protocol and name of a place of GRUB's, `(tftp,SERVER)/NAME` or `/NAME`, when it is on this server. Without
    /// a device it is on the one that GRUB itself came from.
    fn place(&self, came_by: Protocol, place: &str) -> Option<(Protocol, String)> {
        if place.starts_with('/') {
            return Some((came_by, place.to_owned()));
        }
        let (device, path) = place.strip_prefix('(')?.split_once(')')?;
        let (protocol, server) = device.split_once(',')?;
        // Over TFTP a name is what it is; `ours` decodes.
        let path = if protocol == "tftp" { url_path(path) } else { path.to_owned() };
        let (protocol, name, _) = self.ours(&format!("{protocol}://{server}{path}"))?;
        Some((protocol, name))
    }
}

/// The folder of GRUB's modules, by its names of platforms.
fn modules(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::UefiIa32 | Firmware::HttpIa32 => "i386-efi",
        Firmware::UefiArm64 | Firmware::HttpArm64 => "arm64-efi",
        _ => "x86_64-efi",
    }
}
