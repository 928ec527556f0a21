//! `bootlace check`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::sync::Arc;

use anyhow::{Result, bail};
use bootlace_core::boot::loader::{Loader, LoaderInventory};
use bootlace_core::config::{
    self, BootKind, BootName, Config, DiskBoot, Install, Location, Machine, Overrides, San,
};
use bootlace_core::files::holds_a_secret;
use bootlace_core::finding::{Finding, Severity};
use bootlace_disk::BLOCK_BYTES;
use clap::Args;

use super::render::{self, Colour};
use super::{ConfigFile, say};
use crate::files::FilePlane;
use crate::services::iscsi::{find_image, missing_image};
use crate::serving::{Edition, Serving, named_loaders};
use crate::sources::{self, Checked};

/// Names that are answered before any file: a file of such a name is never served.
const RESERVED: [&str; 2] = ["boot.ipxe", "script"];

/// Reads the config and its templates, and says all that is wrong.
#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
}

impl Check {
    pub(super) fn run(&self) -> Result<()> {
        let path = &self.file.config;
        let Checked { source, files, result } = sources::check(path)?;
        let findings = match result {
            Ok(loaded) => {
                let mut findings = loaded.warnings;
                findings.extend(of_disks(&loaded.config));
                findings.extend(of_images(&loaded.config));
                findings.extend(of_installs(&loaded.config));
                findings.extend(of_machines_without_mac(&loaded.config));
                findings.extend(of_files(loaded.config));
                findings
            }
            Err(findings) => findings,
        };
        if !findings.is_empty() {
            let texts = sources::texts(&source, &files);
            eprintln!("{}", render::findings(&findings, &texts, Colour::of(&io::stderr())));
        }
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        if errors > 0 {
            bail!("{} has {errors} {}", path.display(), if errors == 1 { "error" } else { "errors" });
        }
        say(&format!("{} is fine", path.display()))
    }
}

/// What will keep the server from starting, unless it is there by then. Nothing is opened: a running server may have it.
fn of_disks(config: &Config) -> impl Iterator<Item = Finding> {
    config.iscsi.targets.iter().filter_map(|target| {
        let why = match fs::metadata(&target.file) {
            Err(error) => error.to_string(),
            Ok(file) if !file.is_file() => "it is no regular file".to_owned(),
            Ok(file) if file.len() == 0 || !file.len().is_multiple_of(BLOCK_BYTES) => {
                format!("its {} bytes are not in whole blocks of {BLOCK_BYTES}", file.len())
            }
            Ok(_) => return None,
        };
        let message = format!("{} is no disk for {}: {why}", target.file.display(), target.name);
        let fix = format!("make one, for example with `truncate -s 10G {}`", target.file.display());
        Some(Finding::warning("disk-file", message).fix(fix))
    })
}

/// Machines whose image is missing say so on their screens.
fn of_images(config: &Config) -> impl Iterator<Item = Finding> {
    config.disk_boots().filter(|(_, disk)| find_image(&config.images, &disk.image).is_none()).map(
        |(boot, disk)| {
            let message = format!("boot {boot}: {}", missing_image(&config.images, &disk.image));
            Finding::warning("image-missing", message).fix("put it there, as NAME.img or NAME.qcow2")
        },
    )
}

/// An installation as the usual boot of a machine is told on its screen, and starts nothing.
fn of_installs(config: &Config) -> Vec<Finding> {
    let mut owners: BTreeMap<&BootName, Vec<String>> = BTreeMap::new();
    let mut note = |boot: &'_ BootName, who: String| {
        if let Some(boot) = config.boots.get(boot)
            && matches!(boot.kind, BootKind::Install(_))
        {
            owners.entry(&boot.name).or_default().push(who);
        }
    };
    for machine in config.machines.iter() {
        machine.overrides.boot.iter().for_each(|boot| note(boot, format!("the machine {}", machine.name)));
    }
    for rule in &config.rules {
        rule.overrides.boot.iter().for_each(|boot| note(boot, format!("rule {}", rule.number)));
    }
    note(&config.default, "the default".to_owned());
    let finding = |(boot, owners): (&BootName, Vec<String>)| {
        let who = first_of(&owners);
        let message = format!("{boot} is the usual boot of {who}: it starts only when it is armed");
        let fix =
            format!("name what is booted afterwards, and say `bootlace machines next-boot NAME {boot}`");
        Finding::warning("install-usual", message).fix(fix)
    };
    owners.into_iter().map(finding).collect()
}

fn first_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first, others @ ..] => format!("{first} and {} more", others.len()),
    }
}

/// Anybody can say a UUID or a serial, and nothing else tells these machines from others that do.
fn of_machines_without_mac(config: &Config) -> impl Iterator<Item = Finding> {
    let mut owners: BTreeMap<&BootName, Vec<String>> = BTreeMap::new();
    let told_by_word = |machine: &&Machine| machine.macs.is_empty() && machine.client_id.is_none();
    for machine in config.machines.iter().filter(told_by_word) {
        if let Some(boot) = trusting_boot(config, machine) {
            owners.entry(boot).or_default().push(machine.name.clone());
        }
    }
    owners.into_iter().map(|(boot, owners)| {
        let who = first_of(&owners);
        let message = format!(
            "nothing but a UUID or serial tells who {who} is: any machine that says it gets {boot}, which \
             installs a system or holds a secret"
        );
        Finding::warning("machine-without-mac", message).fix("add mac")
    })
}

/// The first boot that a machine may get and that should reach no other: of its own, else of rules and the default.
fn trusting_boot<'c>(config: &'c Config, machine: &Machine) -> Option<&'c BootName> {
    let rules = config.rules.iter().filter_map(|rule| rule.overrides.boot.as_ref());
    let mut next: Vec<&BootName> = match &machine.overrides.boot {
        Some(boot) => vec![boot],
        None => rules.chain([&config.default]).collect(),
    };
    let mut seen = BTreeSet::new();
    while let Some(boot) = next.pop().and_then(|name| config.boots.get(name)) {
        // Menus may lead back to each other.
        if !seen.insert(&boot.name) {
            continue;
        }
        match &boot.kind {
            BootKind::Menu(menu) => next.extend(&menu.entries),
            BootKind::Install(_) => return Some(&boot.name),
            _ if holds_a_secret(boot) => return Some(&boot.name),
            _ => {}
        }
    }
    None
}

/// What will be missed when machines ask: only warnings, since files may come later.
fn of_files(config: Config) -> Vec<Finding> {
    let plane = match FilePlane::of(&config) {
        Ok(plane) => Arc::new(plane),
        Err(error) => {
            let message = format!("boot_dir {} cannot be opened: {error}", config.boot_dir.display());
            return vec![Finding::warning("boot-dir", message).fix("make the folder, or name another")];
        }
    };
    let Serving { config, loaders, .. } = Serving::new(config, Arc::clone(&plane), Edition::first());
    let mut findings: Vec<Finding> = missing_files(&config, &plane).collect();
    findings.extend(RESERVED.into_iter().filter(|name| plane.open(name).is_ok()).map(hidden));
    findings.extend(no_loader(&loaders));
    findings.extend(no_signed_loader(&config, &loaders));
    findings.extend(no_signed_ipxe(&config, &loaders));
    findings.extend(without_shim(&config));
    findings
}

fn missing_files<'a>(config: &'a Config, plane: &'a FilePlane) -> impl Iterator<Item = Finding> {
    let of_boot = |boot: &'a config::Boot| -> Vec<&'a str> {
        match &boot.kind {
            BootKind::Linux { kernel, initrd, shim, .. } => {
                [kernel].into_iter().chain(initrd).chain(shim).filter_map(served_name).collect()
            }
            BootKind::Install(Install { kernel, initrd, shim, source, .. }) => {
                [kernel].into_iter().chain(initrd).chain(shim).chain(source).filter_map(served_name).collect()
            }
            BootKind::San(San { kernel: Some(kernel), .. })
            | BootKind::Disk(DiskBoot { kernel: Some(kernel), .. }) => {
                kernel.files().filter_map(served_name).collect()
            }
            BootKind::Efi { file } => served_name(file).into_iter().collect(),
            BootKind::Pxelinux(pxelinux) => vec![pxelinux.file.as_str()],
            _ => Vec::new(),
        }
    };
    config.boots.values().flat_map(move |boot| {
        of_boot(boot).into_iter().filter(|name| plane.open(name).is_err()).map(|name| {
            let message = format!("boot {} names {name}, which is not there", boot.name);
            let folder = config.boot_dir.display();
            Finding::warning("file-missing", message).fix(format!("put it into {folder}"))
        })
    })
}

fn served_name(location: &Location) -> Option<&str> {
    match location {
        Location::File(name) => Some(name),
        Location::Url(_) => None,
    }
}

fn hidden(name: &str) -> Finding {
    let message = format!("{name} in boot_dir is never served: the name is Bootlace's own");
    Finding::warning("file-hidden", message).fix("give the file another name")
}

fn no_loader(loaders: &LoaderInventory) -> Option<Finding> {
    (!loaders.has_ipxe()).then(|| {
        let message = "there is no loader: machines whose firmware is not iPXE cannot boot";
        Finding::warning("loader-missing", message)
            .fix("install the package ipxe, or put undionly.kpxe and snponly.efi into boot_dir")
    })
}

/// Machines that get the signed boot or nothing would get nothing.
fn no_signed_loader(config: &Config, loaders: &LoaderInventory) -> Option<Finding> {
    named_loaders(config).find(|loader| **loader == Loader::Secure)?;
    let why = loaders.without_signed_boot()?;
    Some(
        Finding::warning("loader-missing", why.to_string())
            .fix("install the packages shim-signed and grub-efi-amd64-signed"),
    )
}

/// The same for those that get the signed iPXE or nothing.
fn no_signed_ipxe(config: &Config, loaders: &LoaderInventory) -> Option<Finding> {
    named_loaders(config).find(|loader| **loader == Loader::SignedIpxe)?;
    let why = loaders.without_signed_ipxe()?;
    Some(Finding::warning("loader-missing", why.to_string()).fix(
        "fetch it with `bootlace loaders fetch`; if it was, `bootlace loaders verify` says what is wrong",
    ))
}

/// Kernels that a machine on the signed iPXE gets, and that Secure Boot will not let it start.
fn without_shim(config: &Config) -> impl Iterator<Item = Finding> {
    let lacks = |name: &&BootName| {
        matches!(config.boots.get(*name).map(|boot| &boot.kind), Some(BootKind::Linux { shim: None, .. }))
    };
    let of_machines = config.machines.iter().map(|machine| &machine.overrides);
    let all = of_machines.chain(config.rules.iter().map(|rule| &rule.overrides));
    let signed = all.filter(|overrides: &&Overrides| overrides.loader == Some(Loader::SignedIpxe));
    let mut boots: Vec<_> = signed.filter_map(|overrides| overrides.boot.as_ref()).filter(lacks).collect();
    boots.sort_unstable();
    boots.dedup();
    boots.into_iter().map(|boot| {
        let message =
            format!("boot {boot} has no `shim`: with Secure Boot the signed iPXE cannot start its kernel");
        Finding::warning("shim-missing", message)
            .fix("give it the shim of whoever signed the kernel: shim = \"debian/shimx64.efi\"")
    })
}
