//! What pxelinux does after it was loaded: the configs that it searches for, and what the one that it finds says.

use std::net::Ipv4Addr;
use std::time::Duration;

use bootlace_wire::Mac;

use super::Exchange;
use super::walk::{HOPS_MAX, Walk};
use crate::event::{EventKind, FileEvent, FileOutcome, Protocol, ScriptEvent};
use crate::files::Resource;
use crate::model::{Text, Uuid};

pub mod config;

use config::End;

/// The names that pxelinux asks for, most specific first (syslinux, core/fs/pxe): raw UUID, hardware type and
/// MAC, the address in hexadecimal growing shorter, `default`. Those by an address that is not known are left out.
pub fn config_names(uuid: Option<Uuid>, mac: Mac, address: Option<Ipv4Addr>) -> Vec<String> {
    let mut names = Vec::new();
    // The bytes are printed as they lie in SMBIOS, which is not the canonical order.
    names.extend(uuid.map(|uuid| uuid.swapped().to_string()));
    names.push(format!("01-{}", mac.dashed()));
    let hex = address.map(|address| format!("{:08X}", u32::from(address))).unwrap_or_default();
    names.extend((1..=hex.len()).rev().map(|len| hex[..len].to_owned()));
    names.push("default".to_owned());
    names
}

/// Configs that include others, before it counts as a circle.
const INCLUDES_MAX: usize = 16;

impl Walk<'_> {
    /// pxelinux looks for its config, and boots what that names.
    pub(super) fn pxelinux(&mut self, protocol: Protocol, loader: &str) -> String {
        let folder = loader.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        if !self.file(protocol, &format!("{folder}ldlinux.c32")) {
            return format!("finds no ldlinux.c32 beside {loader}");
        }
        let names = config_names(self.client.uuid, self.subject.mac, self.session.address);
        for name in names {
            let name = format!("{folder}pxelinux.cfg/{name}");
            if let Some(found) = self.config_of(protocol, &name) {
                return self.in_pxelinux(protocol, &folder, (&name, found));
            }
        }
        let unless = if self.session.address.is_none() { ", unless there is one by its address" } else { "" };
        format!("finds no config for pxelinux and restarts{unless}")
    }

    /// Follows a config.
    fn in_pxelinux(
        &mut self,
        protocol: Protocol,
        folder: &str,
        (name, found): (&str, FoundConfig),
    ) -> String {
        self.hops += 1;
        if self.hops > HOPS_MAX {
            return "goes in circles".to_owned();
        }
        let text = self.with_includes(protocol, folder, &found.text);
        let end = match config::walk(&text, self.subject.pick.as_deref()) {
            End::Files(files) => self.start_in_pxelinux(protocol, folder, name, &files),
            End::Config(next) => {
                let (protocol, next) = self.named_in_pxelinux(protocol, folder, &next);
                match self.config_of(protocol, &next) {
                    Some(found) => self.in_pxelinux(protocol, folder, (&next, found)),
                    None => format!("does not find {next}"),
                }
            }
            End::Local => "leaves pxelinux: the firmware goes on with its next boot device".to_owned(),
            End::Prompt => format!("shows in pxelinux what {name} says"),
        };
        if found.is_problem { format!("says on its screen what is wrong, and {end}") } else { end }
    }

    /// A config, and what it includes in the place where it does.
    fn with_includes(&mut self, protocol: Protocol, folder: &str, text: &str) -> String {
        let mut lines: Vec<String> = text.lines().rev().map(str::to_owned).collect();
        let mut whole = String::new();
        let mut included = 0;
        while let Some(line) = lines.pop() {
            let Some(name) = config::included(&line).filter(|_| included < INCLUDES_MAX) else {
                whole.push_str(&line);
                whole.push('\n');
                continue;
            };
            included += 1;
            let (protocol, name) = self.named_in_pxelinux(protocol, folder, name);
            // What is not there is passed over.
            let found = self.config_of(protocol, &name);
            lines.extend(found.iter().flat_map(|found| found.text.lines().rev()).map(str::to_owned));
        }
        whole
    }

    fn start_in_pxelinux(
        &mut self,
        protocol: Protocol,
        folder: &str,
        config: &str,
        files: &[String],
    ) -> String {
        for file in files {
            let elsewhere = file.contains("://") && self.ours(file).is_none();
            let (protocol, name) = self.named_in_pxelinux(protocol, folder, file);
            if !elsewhere && !self.file(protocol, &name) {
                return format!("does not find {name}");
            }
        }
        format!("starts {} in pxelinux, as {config} says", files.join(" with "))
    }

    /// How a name in a config is fetched: `::NAME` is absolute over TFTP, a URL over its protocol, and all else is beside
    /// the loader.
    fn named_in_pxelinux(&self, protocol: Protocol, folder: &str, name: &str) -> (Protocol, String) {
        match (name.strip_prefix("::"), self.ours(name)) {
            (Some(absolute), _) => (Protocol::Tftp, absolute.to_owned()),
            (None, Some((protocol, name, _))) => (protocol, name),
            (None, None) => (protocol, format!("{folder}{name}")),
        }
    }

    /// A config by its name: a file, or one that is made.
    fn config_of(&mut self, protocol: Protocol, name: &str) -> Option<FoundConfig> {
        let resolution = self.resolve(protocol, name, "");
        let made = match resolution.resource {
            Resource::FileOrText { file, or_next, body, .. } => {
                let is_there = |name: &String| (self.world.look_up)(name).is_some();
                (!is_there(&file) && !or_next.iter().any(is_there)).then_some(body)
            }
            _ => None,
        };
        match (made, resolution.script) {
            (Some(text), script) => {
                let title = format!("{} {name}", protocol.name());
                self.exchanges.push(Exchange { title, text: text.clone() });
                let is_problem = script.as_ref().is_some_and(ScriptEvent::is_problem);
                let event = match script {
                    Some(script) => EventKind::Script(script),
                    None => EventKind::File(sent(protocol, name, text.len() as u64)),
                };
                self.record(event);
                Some(FoundConfig { text, is_problem })
            }
            (None, _) if self.file(protocol, name) => {
                let name = name.strip_prefix("files/").unwrap_or(name);
                let text = (self.world.look_up)(name).unwrap_or_default().text;
                Some(FoundConfig { text, is_problem: false })
            }
            (None, _) => None,
        }
    }
}

/// A config that is there.
struct FoundConfig {
    text: String,
    /// It says on the screen why there is no boot.
    is_problem: bool,
}

fn sent(protocol: Protocol, name: &str, bytes: u64) -> FileEvent {
    let outcome = FileOutcome::Sent { bytes, took: Duration::ZERO, retransmits: 0 };
    FileEvent { protocol, name: Text::from(name), outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_from_the_most_specific_to_default() {
        let uuid = "4c4c4544-0039-4e10-804e-b9c04f4d344a".parse().ok();
        let mac = Mac([0, 0x26, 0xb9, 0x5e, 0x30, 0x3a]);
        let names = config_names(uuid, mac, Some(Ipv4Addr::new(192, 168, 7, 68)));
        assert_eq!(config_names(None, mac, None), ["01-00-26-b9-5e-30-3a", "default"]);
        assert_eq!(
            names,
            [
                "44454c4c-3900-104e-804e-b9c04f4d344a",
                "01-00-26-b9-5e-30-3a",
                "C0A80744",
                "C0A8074",
                "C0A807",
                "C0A80",
                "C0A8",
                "C0A",
                "C0",
                "C",
                "default"
            ]
        );
    }
}
