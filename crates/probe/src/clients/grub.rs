//! GRUB: shim before it, and the search for its config (net/net.c, normal/main.c). What its config starts is told by
//! `config`.

mod config;

use std::time::Duration;

use bootlace_wire::dhcp::{Arch, Code, Message, MessageType};
use std::net::Ipv4Addr;

use super::os::{first_offer, no_boot};
use super::pxelinux::hex_address;
use super::{Got, Platform, View, Want, load, stop};
use crate::dhcp::{Collect, Identity, NeedsNetmask, Profile, millis, secs};
use crate::fetch::{Fetched, Habits, Length, Redirects};
use crate::finding::{Finding, FindingCode};
use crate::report::{File, Outcome};
use crate::tftp::{Manner, Sizing};
use crate::url::Url;
use config::Start;

const WAITS: &[Duration] = &[millis(400), millis(800), millis(1600), millis(3200), millis(6400)];
const PARAMETERS: &[u8] = &[1, 3, 6, 12, 15, 17, 26];
/// The folder that distributions build into their network images.
const PREFIX: &str = "grub/";
/// Configs that lead to configs.
const CONFIGS_MAX: usize = 16;

const PROFILE: Profile = Profile {
    discover_waits: WAITS,
    collect: Collect::First,
    request_waits: WAITS,
    boot_server: None,
    fill,
    choose: first_offer,
    boot: no_boot,
    needs_netmask: NeedsNetmask::No,
};

const HABITS: Habits = Habits {
    tftp: Manner {
        blksize: Some(1024),
        windowsize: None,
        sizing: Sizing::WithFile,
        needs_oack: true,
        wait: secs(1),
        tries: 6,
    },
    agent: "GRUB 2.06",
    redirects: Redirects::Refused,
    length: Length::Counted,
};

/// shim fetches by the firmware's protocol, without options.
const SHIM_HABITS: Habits = Habits {
    tftp: Manner {
        blksize: None,
        windowsize: None,
        sizing: Sizing::Unasked,
        needs_oack: false,
        wait: secs(4),
        tries: 6,
    },
    ..HABITS
};

fn fill(_: &Identity, _: MessageType, message: &mut Message) {
    message.options.set(Code::PARAMETER_LIST, PARAMETERS);
}

#[derive(Debug)]
enum Stage {
    /// shim's second stage.
    Shim(&'static str),
    Config,
    /// A config that another one names.
    NextConfig,
    Files,
    Program,
}

/// A GRUB under way.
#[derive(Debug)]
pub(crate) struct Grub {
    /// What its names are beside: the server's root.
    root: Option<Url>,
    /// Where shim was.
    beside: Option<Url>,
    stage: Stage,
    names: std::vec::IntoIter<String>,
    asked: Vec<String>,
    /// Configs that were read.
    configs: usize,
    wanted: std::vec::IntoIter<String>,
    cmdline: String,
    files: Vec<File>,
}

impl Grub {
    pub(super) fn new(url: &Url) -> Self {
        Self { root: root_of(url), ..Self::on_its_own() }
    }

    pub(super) fn behind_shim(url: &Url, second: &'static str) -> Self {
        Self {
            root: root_of(url),
            beside: Some(url.clone()),
            stage: Stage::Shim(second),
            ..Self::on_its_own()
        }
    }

    pub(super) fn on_its_own() -> Self {
        Self {
            root: None,
            beside: None,
            stage: Stage::Config,
            names: Vec::new().into_iter(),
            asked: Vec::new(),
            configs: 0,
            wanted: Vec::new().into_iter(),
            cmdline: String::new(),
            files: Vec::new(),
        }
    }

    pub(super) fn go(&mut self, got: Got, view: &View<'_>) -> Want {
        match (&self.stage, got) {
            (Stage::Shim(second), Got::Control) => {
                match self.beside.as_ref().and_then(|url| url.join(second).ok()) {
                    Some(url) => Want::Fetch { url, habits: SHIM_HABITS, form: None },
                    None => self.configs(view),
                }
            }
            (Stage::Shim(_), Got::File(_)) => self.configs(view),
            (Stage::Config, Got::Control) if self.root.is_none() => Want::Dhcp(PROFILE),
            (Stage::Config, Got::Control | Got::Lease) => {
                self.root = self.root.take().or_else(|| view.lease.and_then(server_root));
                self.configs(view)
            }
            (Stage::Config, Got::NoLease(finding)) => stop(finding),
            (Stage::Config, Got::NoFile(_, error)) if error.is_absence() => self.search(),
            (Stage::Config | Stage::NextConfig, Got::File(config)) => self.read(&config),
            (Stage::Program, Got::File(program)) => load(&program, Platform::Efi(Arch::UEFI_X64), None),
            (Stage::Files, Got::File(fetched)) => {
                self.files.push(fetched.file);
                self.next_file()
            }
            (_, Got::NoFile(url, error)) => stop(error.finding(&url)),
            _ => self.search(),
        }
    }

    fn configs(&mut self, view: &View<'_>) -> Want {
        self.stage = Stage::Config;
        let ip = view.lease.map_or(Ipv4Addr::UNSPECIFIED, |lease| lease.address.ip);
        let digits = hex_address(ip);
        let mut names = vec![format!("{PREFIX}grub.cfg-01-{}", view.who.mac.dashed())];
        names.extend((1..=digits.len()).rev().map(|len| format!("{PREFIX}grub.cfg-{}", &digits[..len])));
        names.push(format!("{PREFIX}grub.cfg"));
        self.names = names.into_iter();
        self.search()
    }

    fn fetch(&mut self, name: &str) -> Want {
        self.asked.push(name.to_owned());
        match self.root.as_ref().and_then(|root| url_of(root, name)) {
            Some(url) => Want::Fetch { url, habits: HABITS, form: None },
            None => stop(Finding::new(FindingCode::NoBootServer, "GRUB knows no server for its files", name)),
        }
    }

    fn search(&mut self) -> Want {
        match self.names.next() {
            Some(name) => self.fetch(&name),
            None => {
                let evidence = self.asked.join(", ");
                stop(Finding::new(FindingCode::ConfigMissing, "GRUB finds no config", evidence))
            }
        }
    }

    fn read(&mut self, config: &Fetched) -> Want {
        self.configs += 1;
        let useless =
            |message| stop(Finding::new(FindingCode::ConfigUseless, message, config.url.to_string()));
        if self.configs > CONFIGS_MAX {
            return useless("GRUB's configs lead from one to the next without an end");
        }
        let local = |by: String| Want::End(Outcome::Local { by });
        match config::start(&String::from_utf8_lossy(&config.beginning)) {
            Start::Linux { kernel, initrds, args } => {
                self.cmdline = format!("BOOT_IMAGE={kernel} {}", args.join(" ")).trim().to_owned();
                let wanted: Vec<_> = std::iter::once(kernel).chain(initrds).collect();
                self.wanted = wanted.into_iter();
                self.stage = Stage::Files;
                self.next_file()
            }
            Start::Program(name) => {
                self.stage = Stage::Program;
                self.fetch(&name)
            }
            Start::Config(name) => {
                self.stage = Stage::NextConfig;
                self.fetch(&name)
            }
            Start::Disk => local("GRUB, which looks for a program on its disk".to_owned()),
            Start::Leaves { said: None } => local("exit of GRUB".to_owned()),
            Start::Leaves { said: Some(said) } => local(format!("exit of GRUB, which said: {said}")),
            Start::Nothing => useless("GRUB's config starts no kernel"),
        }
    }

    fn next_file(&mut self) -> Want {
        if let Some(name) = self.wanted.next() {
            return self.fetch(&name);
        }
        let mut files = std::mem::take(&mut self.files).into_iter();
        match files.next() {
            Some(kernel) => Want::End(Outcome::Linux {
                kernel,
                initrds: files.collect(),
                cmdline: std::mem::take(&mut self.cmdline),
            }),
            None => self.search(),
        }
    }
}

/// What GRUB means by the name of a file: `(PROTOCOL,SERVER)/PATH`, or a path at the server that it came from.
fn url_of(root: &Url, name: &str) -> Option<Url> {
    let Some((device, path)) = name.strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
        return root.join(&format!("/{}", name.trim_start_matches('/'))).ok();
    };
    let (protocol, server) = device.split_once(',')?;
    Url::parse(&format!("{protocol}://{server}{path}")).ok()
}

fn root_of(url: &Url) -> Option<Url> {
    url.join("/").ok()
}

fn server_root(lease: &crate::dhcp::Lease) -> Option<Url> {
    super::edk2::server_of(&lease.ack).map(|server| Url::tftp(server, ""))
}
