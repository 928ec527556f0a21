//! A config with every kind of boot, made of pieces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use bootlace_core::boot::features::IpxeFeatures;
use bootlace_core::boot::loader::LoaderInventory;
use bootlace_core::boot::plan::Entrusted;
use bootlace_core::boot::rules::Match;
use bootlace_core::boot::template::{Language, Template};
use bootlace_core::config::{
    Boot, BootKind, BootName, Chap, Config, LocalHow, Location, Machine, Menu, Overrides, Pxelinux, Rule,
    San, Secret,
};
use bootlace_core::event::Protocol;
use bootlace_core::files::{FileRequest, Identity};
use bootlace_core::model::{Facts, Reporting, Var};
use bootlace_core::oneshot::Offered;
use std::time::Duration;

use crate::configs;

pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 10);
/// Who asks.
const PEER: Ipv4Addr = Ipv4Addr::new(10, 188, 0, 61);

/// The four cases of the classic PHP script and the other kinds.
pub(super) fn config() -> Config {
    let mut config = configs::config(&[("10.188.0.60", "10.188.0.70")]);
    let kinds = [
        ("rescue", linux("console=ttyS0 hostname={{ machine.name }}")),
        ("pxelinux", pxelinux("lpxelinux.0")),
        ("salstar", BootKind::Chain { url: template("http://boot.salstar.sk", Language::Url) }),
        ("grub", BootKind::Efi { file: Location::File("debian/grubx64.efi".into()) }),
        (
            "custom",
            BootKind::Ipxe { script: template("#!ipxe\necho Hello {{ client.serial }}\n", Language::Ipxe) },
        ),
        ("san", san(None)),
        ("menu", menu(&["local", "rescue", "more"], "local", Some(10))),
        ("more", menu(&["san", "menu"], "san", None)),
    ];
    for (name, kind) in kinds {
        add_boot(&mut config, name, kind);
    }
    config
}

pub(super) fn template(text: &str, language: Language) -> Template {
    Template::parse("test", text, language).unwrap()
}

pub(super) fn name(text: &str) -> BootName {
    BootName::new(text).unwrap()
}

pub(super) fn add_boot(config: &mut Config, boot: &str, kind: BootKind) {
    let boot = Boot {
        name: name(boot),
        title: format!("Boot {boot}"),
        kind,
        vars: BTreeMap::new(),
        needs: BTreeSet::new(),
    };
    config.boots.insert(boot.name.clone(), boot);
}

pub(super) fn linux(cmdline: &str) -> BootKind {
    BootKind::Linux {
        kernel: Location::File("debian/linux".into()),
        initrd: vec![Location::File("debian/initrd.gz".into()), Location::File("firmware.cpio".into())],
        cmdline: template(cmdline, Language::KernelArgs),
        shim: None,
    }
}

pub(super) fn san(chap: Option<Chap>) -> BootKind {
    let target = "iscsi:san.example.com:6:3260:0:iqn.2007-08.com.example.san:sometarget";
    BootKind::San(San {
        kernel: None,
        target: template(target, Language::Iscsi),
        initiator: Some(template("iqn.2007-08.com.example.initiator:{{ machine.name }}", Language::Iscsi)),
        chap,
    })
}

pub(super) fn chap(password: &str) -> Chap {
    Chap {
        username: "web1".into(),
        password: Secret::new(password.into()),
        reverse: Some(("target".into(), Secret::new("reverse secret".into()))),
    }
}

pub(super) fn menu(entries: &[&str], default: &str, timeout: Option<u64>) -> BootKind {
    BootKind::Menu(Menu {
        title: "What shall it be?".into(),
        timeout: timeout.map(Duration::from_secs),
        entries: entries.iter().map(|entry| name(entry)).collect(),
        default: name(default),
    })
}

pub(super) fn pxelinux(file: &str) -> BootKind {
    let none = || template("", Language::KernelArgs);
    let (cmdline, serial, menu_title) = (none(), none(), none());
    BootKind::Pxelinux(Pxelinux { file: file.into(), cmdline, serial, menu_title })
}

pub(super) fn local(how: LocalHow) -> BootKind {
    BootKind::Local(how)
}

pub(super) fn machine(called: &str, mac: &[&str], boot: Option<&str>) -> Machine {
    Machine {
        name: called.into(),
        macs: mac.iter().map(|mac| mac.parse().unwrap()).collect(),
        uuid: None,
        client_id: None,
        serial: None,
        address: None,
        overrides: Overrides { boot: boot.map(name), ..Overrides::default() },
    }
}

/// Adds a rule; its number is its place.
pub(super) fn rule(config: &mut Config, matches: &[(&str, &[&str])], boot: Option<&str>) -> usize {
    let mut table = Match::default();
    for (key, patterns) in matches {
        table.add(key, patterns).unwrap();
    }
    let number = config.rules.len() + 1;
    let overrides = Overrides { boot: boot.map(name), ..Overrides::default() };
    config.rules.push(Rule { number, matches: table, overrides });
    number
}

pub(super) fn facts(known: &[(Var, &str)]) -> Facts {
    let mut facts = Facts::new();
    for &(var, value) in known {
        facts.set(var, value);
    }
    facts
}

/// The same after the machine has reported.
pub(super) fn done(mut facts: Facts) -> Facts {
    facts.reporting = Reporting::Done;
    facts
}

/// A machine's request for a script, by what DHCP told.
pub(super) fn request<'a>(facts: &'a Facts, query: &'a str, loaders: &'a LoaderInventory) -> FileRequest<'a> {
    FileRequest {
        protocol: Protocol::Http,
        query,
        facts,
        identity: Identity::Confirmed,
        server: SERVER,
        features: None,
        chained: false,
        booting: None,
        peer: PEER,
        next: Offered::default(),
        entrusted: Entrusted::default(),
        bearer: None,
        loaders,
    }
}

pub(super) fn debian_loaders() -> LoaderInventory {
    ["undionly.kpxe", "ipxe.pxe", "snponly.efi", "ipxe.efi"].into_iter().collect()
}

/// What the iPXE of QEMU's network cards reports; it has no menu.
pub(super) fn qemu_rom() -> IpxeFeatures {
    use bootlace_wire::dhcp::Feature;
    IpxeFeatures::new(
        [
            Feature::PxeExt,
            Feature::Iscsi,
            Feature::Aoe,
            Feature::Http,
            Feature::Tftp,
            Feature::Dns,
            Feature::Bzimage,
            Feature::Multiboot,
            Feature::Pxe,
            Feature::Elf,
            Feature::Comboot,
        ],
        Some([1, 0, 0]),
    )
}
