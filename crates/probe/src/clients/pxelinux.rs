//! pxelinux 6: its config search and what its config starts (core/fs/pxe, com32/elflink/ldlinux).

use std::net::Ipv4Addr;

use bootlace_wire::dhcp::Code;

use super::ipxe;
use super::{Got, View, Want, load, stop};
use crate::clients::Platform;
use crate::dhcp::secs;
use crate::fetch::{Fetched, Habits, Length, Redirects};
use crate::finding::{Finding, FindingCode};
use crate::report::{File, Outcome};
use crate::tftp::{Manner, Sizing};
use crate::url::{Scheme, Url};

pub(crate) const HABITS: Habits = Habits {
    tftp: Manner {
        blksize: Some(1408),
        windowsize: None,
        sizing: Sizing::WithFile,
        needs_oack: true,
        wait: secs(2),
        tries: 6,
    },
    agent: "Syslinux/6.04",
    redirects: Redirects::Followed,
    length: Length::Counted,
};

/// Configs that include configs, or lead to them.
const INCLUDES_MAX: usize = 16;

/// What a config says.
#[derive(Debug, Default)]
struct Config {
    default: Option<String>,
    /// `APPEND` before the first label.
    append: String,
    entries: Vec<Entry>,
    includes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    label: String,
    kernel: Option<String>,
    append: Option<String>,
    initrds: Vec<String>,
    /// Another config.
    config: Option<String>,
    local: bool,
    is_default: bool,
}

#[derive(Debug)]
enum Stage {
    /// The module that every 5.x and 6.x needs first.
    Module,
    Searching,
    Including,
    Kernel,
    Initrds,
}

/// A pxelinux under way.
#[derive(Debug)]
pub(crate) struct Pxelinux {
    base: Url,
    needs_module: bool,
    stage: Stage,
    names: std::vec::IntoIter<String>,
    asked: Vec<String>,
    config: Config,
    included: usize,
    entry: Entry,
    kernel: Option<Fetched>,
    initrds: std::vec::IntoIter<String>,
    files: Vec<File>,
}

impl Pxelinux {
    pub(super) fn new(fetched: &Fetched) -> Self {
        let module = b"ldlinux.c32";
        let needs_module = fetched.beginning.windows(module.len()).any(|part| part == module);
        Self {
            base: fetched.url.clone(),
            needs_module,
            stage: Stage::Module,
            names: Vec::new().into_iter(),
            asked: Vec::new(),
            config: Config::default(),
            included: 0,
            entry: Entry::default(),
            kernel: None,
            initrds: Vec::new().into_iter(),
            files: Vec::new(),
        }
    }

    pub(super) fn go(&mut self, got: Got, view: &View<'_>) -> Want {
        if let Got::Control = got {
            let base = prefix(view).and_then(|prefix| self.base.join(&prefix).ok());
            self.base = base.unwrap_or_else(|| self.base.clone());
        }
        match (&self.stage, got) {
            (Stage::Module, Got::Control) if self.needs_module => self.fetch("ldlinux.c32"),
            (Stage::Module, Got::NoFile(url, error)) => stop(error.finding(&url)),
            (Stage::Module, _) => {
                self.stage = Stage::Searching;
                self.names = names(view).into_iter();
                self.search()
            }
            (Stage::Searching, Got::File(fetched)) | (Stage::Including, Got::File(fetched)) => {
                self.read(&String::from_utf8_lossy(&fetched.beginning));
                self.include()
            }
            (Stage::Searching, Got::NoFile(_, error)) if error.is_absence() => self.search(),
            (Stage::Including, Got::NoFile(..)) => self.include(),
            (Stage::Kernel, Got::File(fetched)) => {
                self.kernel = Some(fetched);
                self.stage = Stage::Initrds;
                self.initrd()
            }
            (Stage::Initrds, Got::File(fetched)) => {
                self.files.push(fetched.file);
                self.initrd()
            }
            (_, Got::NoFile(url, error)) => stop(error.finding(&url)),
            _ => self.search(),
        }
    }

    fn fetch(&mut self, name: &str) -> Want {
        self.asked.push(name.to_owned());
        match self.url(name) {
            Some(url) => {
                let agent = if url.scheme == Scheme::Http { ipxe::HABITS.agent } else { HABITS.agent };
                Want::Fetch { url, habits: Habits { agent, ..HABITS }, form: None }
            }
            None => stop(Finding::new(FindingCode::UrlUnknown, "pxelinux cannot fetch this", name)),
        }
    }

    /// What a name means: `SERVER::PATH` is of a TFTP server, `::PATH` of the one that it came from (core/fs/pxe/pxe.c).
    fn url(&self, name: &str) -> Option<Url> {
        match name.split_once("::") {
            Some(("", path)) => {
                Some(Url { scheme: Scheme::Tftp, port: 69, path: path.to_owned(), ..self.base.clone() })
            }
            Some((server, path)) => Url::parse(&format!("tftp://{server}/{path}")).ok(),
            None => self.base.join(name).ok(),
        }
    }

    fn search(&mut self) -> Want {
        match self.names.next() {
            Some(name) => self.fetch(&name),
            None => {
                let evidence = self.asked.join(", ");
                stop(Finding::new(FindingCode::ConfigMissing, "pxelinux finds no config", evidence))
            }
        }
    }

    fn include(&mut self) -> Want {
        self.stage = Stage::Including;
        let Some(name) = self.config.includes.pop().filter(|_| self.included < INCLUDES_MAX) else {
            return self.start();
        };
        self.included += 1;
        self.fetch(&name)
    }

    fn start(&mut self) -> Want {
        let Some(entry) = self.config.pick() else {
            let message = "pxelinux has nothing to start";
            let evidence = self.asked.last().cloned().unwrap_or_default();
            return stop(Finding::new(FindingCode::ConfigUseless, message, evidence));
        };
        self.entry = entry;
        if let Some(name) = self.entry.config.take().filter(|_| self.included < INCLUDES_MAX) {
            self.included += 1;
            self.config = Config::default();
            self.stage = Stage::Including;
            return self.fetch(&name);
        }
        if self.entry.local {
            return Want::End(Outcome::Local { by: "LOCALBOOT of pxelinux".to_owned() });
        }
        self.stage = Stage::Kernel;
        let kernel = self.entry.kernel.clone().unwrap_or_default();
        self.initrds = self.entry.initrds.clone().into_iter();
        self.fetch(&kernel)
    }

    fn initrd(&mut self) -> Want {
        if let Some(name) = self.initrds.next() {
            return self.fetch(&name);
        }
        let Some(kernel) = self.kernel.take() else { return self.search() };
        let is_linux = kernel.beginning.get(0x202..0x206) == Some(b"HdrS");
        if !is_linux {
            return load(&kernel, Platform::Bios, None);
        }
        let name = self.entry.kernel.clone().unwrap_or_default();
        let append = self.entry.append.clone().unwrap_or_default();
        let words = [format!("BOOT_IMAGE={name}"), append];
        let cmdline = words.join(" ").trim().to_owned();
        Want::End(Outcome::Linux { kernel: kernel.file, initrds: std::mem::take(&mut self.files), cmdline })
    }

    fn read(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.trim();
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            self.config.read(&word.to_ascii_lowercase(), rest.trim());
        }
    }
}

impl Config {
    fn read(&mut self, word: &str, rest: &str) {
        match (word, self.entries.last_mut()) {
            ("default" | "ontimeout", _) if self.default.is_none() || word == "default" => {
                self.default = rest.split_whitespace().next().map(str::to_owned);
            }
            ("label", _) => self.entries.push(Entry { label: rest.to_owned(), ..Entry::default() }),
            ("include", _) => self.includes.extend(rest.split_whitespace().next().map(str::to_owned)),
            ("kernel" | "linux", Some(entry)) => entry.kernel = Some(rest.to_owned()),
            ("append", Some(entry)) => entry.append = Some(rest.to_owned()),
            ("append", None) => self.append = rest.to_owned(),
            ("initrd", Some(entry)) => {
                entry.initrds.extend(rest.split(',').map(|name| name.trim().to_owned()));
            }
            ("config", Some(entry)) => entry.config = rest.split_whitespace().next().map(str::to_owned),
            ("localboot", Some(entry)) => entry.local = true,
            ("menu", Some(entry)) if rest.eq_ignore_ascii_case("default") => entry.is_default = true,
            _ => {}
        }
    }

    /// The entry of `DEFAULT`, else the marked one, else the first; a `DEFAULT` that is no label names a kernel.
    fn pick(&self) -> Option<Entry> {
        let named = self.entries.iter().find(|entry| Some(&entry.label) == self.default.as_ref());
        let marked = self.entries.iter().find(|entry| entry.is_default);
        let is_menu = self.default.as_ref().is_some_and(|name| name.ends_with(".c32"));
        let first = self.entries.first().filter(|_| self.default.is_none() || is_menu);
        let mut entry = named.or(marked).or(first).cloned().or_else(|| {
            let kernel = self.default.clone().filter(|_| !is_menu)?;
            Some(Entry { kernel: Some(kernel), ..Entry::default() })
        })?;
        if entry.kernel.is_none() && entry.config.is_none() && !entry.local {
            return None;
        }
        let append = entry.append.get_or_insert_with(|| self.append.clone()).clone();
        // "-" takes back what stands above.
        if append == "-" {
            entry.append = None;
        }
        let in_append = append.split_whitespace().find_map(|word| word.strip_prefix("initrd="));
        if entry.initrds.is_empty() {
            entry.initrds.extend(in_append.into_iter().flat_map(|names| names.split(',')).map(str::to_owned));
        } else if in_append.is_none() {
            let initrd = format!("initrd={}", entry.initrds.join(","));
            entry.append = Some(format!("{initrd} {append}").trim().to_owned());
        }
        Some(entry)
    }
}

/// What all names begin with, if DHCP says so (option 210, RFC 5071): a URL, or a path from the server's root.
fn prefix(view: &View<'_>) -> Option<String> {
    let prefix = view.lease?.ack.options.text(Code::PXELINUX_PREFIX)?;
    let prefix = String::from_utf8_lossy(prefix);
    Some(if prefix.contains("://") {
        prefix.into_owned()
    } else {
        format!("/{}", prefix.trim_start_matches('/'))
    })
}

/// The configs that are asked for, in order: option 209, the UUID as it is on the wire, the MAC, the address by fewer and
/// fewer of its digits, and the default.
fn names(view: &View<'_>) -> Vec<String> {
    let mut names = Vec::new();
    let ack = view.lease.map(|lease| &lease.ack);
    names.extend(
        ack.and_then(|ack| ack.options.text(Code::PXELINUX_CONFIG))
            .map(|name| String::from_utf8_lossy(name).into_owned()),
    );
    names.push(format!("pxelinux.cfg/{}", raw_uuid(&view.who.uuid)));
    names.push(format!("pxelinux.cfg/01-{}", view.who.mac.dashed()));
    let digits = hex_address(view.lease.map_or(Ipv4Addr::UNSPECIFIED, |lease| lease.address.ip));
    names.extend((1..=digits.len()).rev().map(|len| format!("pxelinux.cfg/{}", &digits[..len])));
    names.push("pxelinux.cfg/default".to_owned());
    names
}

pub(super) fn hex_address(ip: Ipv4Addr) -> String {
    format!("{:08X}", u32::from(ip))
}

fn raw_uuid(uuid: &[u8; 16]) -> String {
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(text: &str) -> Option<Entry> {
        let mut config = Config::default();
        for line in text.lines() {
            let line = line.trim();
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            config.read(&word.to_ascii_lowercase(), rest.trim());
        }
        config.pick()
    }

    #[test]
    fn the_default_is_picked() {
        let text =
            "DEFAULT b\nAPPEND quiet\nLABEL a\n KERNEL a.bin\nLABEL b\n LINUX vmlinuz\n INITRD one,two\n";
        let entry = picked(text).unwrap();
        assert_eq!(
            (entry.kernel.as_deref(), entry.append.as_deref()),
            (Some("vmlinuz"), Some("initrd=one,two quiet"))
        );
        assert_eq!(entry.initrds, ["one", "two"]);
        let entry = picked(
            "default vesamenu.c32\nlabel x\nlocalboot 0\nlabel y\nmenu default\nkernel k\nappend initrd=i -x",
        )
        .unwrap();
        assert_eq!((entry.label.as_str(), entry.initrds), ("y", vec!["i".to_owned()]));
        assert!(picked("default x\nlabel y\nkernel k").unwrap().kernel.as_deref() == Some("x"));
        assert!(picked("").is_none() && picked("label x").is_none());
    }
}
