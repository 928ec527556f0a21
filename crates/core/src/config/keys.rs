//! Every key of the config file: the one list that reading, suggestions and the test of `docs/config.md` use.

use crate::nearest::nearest;

/// A table of the file and the keys it takes.
pub(super) struct Section {
    /// As the docs head it: `[tftp]`, `[[machine]]`, `the top level`.
    pub(super) title: &'static str,
    pub(super) keys: &'static [&'static str],
}

pub(super) static TOP: Section = Section {
    title: "the top level",
    keys: &[
        "interfaces",
        "server",
        "hostname",
        "state_dir",
        "boot_dir",
        "images",
        "follow",
        "templates",
        "default",
        "user",
        "sandbox",
        "dhcp",
        "tftp",
        "http",
        "ipxe",
        "learn",
        "iscsi",
        "admin",
        "boot",
        "password",
        "shared_macs",
        "machine",
        "rule",
    ],
};

pub(super) static DHCP: Section = Section {
    title: "[dhcp]",
    keys: &["mode", "proxy", "authoritative", "relays", "probe", "options", "subnet"],
};

pub(super) static SUBNET: Section = Section {
    title: "[[dhcp.subnet]]",
    keys: &[
        "subnet",
        "ranges",
        "ranges_for",
        "serve",
        "lease",
        "router",
        "dns",
        "domain",
        "options",
        "server",
    ],
};

pub(super) static RANGES_FOR: Section =
    Section { title: "[[dhcp.subnet.ranges_for]]", keys: &["known", "match", "ranges"] };

pub(super) static TFTP: Section =
    Section { title: "[tftp]", keys: &["enabled", "port", "single_port", "ports"] };

pub(super) static HTTP: Section = Section { title: "[http]", keys: &["port"] };

pub(super) static IPXE: Section = Section { title: "[ipxe]", keys: &["ipv6_wait"] };

pub(super) static LEARN: Section = Section { title: "[learn]", keys: &["enabled", "expire"] };

pub(super) static ISCSI: Section = Section { title: "[iscsi]", keys: &["port", "target"] };

pub(super) static ISCSI_TARGET: Section = Section {
    title: "[[iscsi.target]]",
    keys: &[
        "name",
        "file",
        "mode",
        "initiators",
        "shared",
        "username",
        "password_file",
        "reverse_username",
        "reverse_password_file",
    ],
};

pub(super) static ADMIN: Section = Section { title: "[admin]", keys: &["listen", "token_file"] };

pub(super) static BOOT: Section = Section { title: "[boot.NAME]", keys: &["kind", "title", "vars", "needs"] };

pub(super) static PASSWORD: Section =
    Section { title: "[password.NAME]", keys: &["file", "method", "rounds"] };

pub(super) static MACHINE: Section = Section {
    title: "[[machine]]",
    keys: &[
        "name",
        "mac",
        "client_id",
        "uuid",
        "serial",
        "address",
        "boot",
        "loader",
        "proxy",
        "ignore",
        "options",
        "vars",
    ],
};

pub(super) static RULE: Section =
    Section { title: "[[rule]]", keys: &["match", "boot", "loader", "proxy", "ignore", "options", "vars"] };

/// Every section but those of the boot kinds.
pub(super) static SECTIONS: [&Section; 15] = [
    &TOP,
    &DHCP,
    &SUBNET,
    &RANGES_FOR,
    &TFTP,
    &HTTP,
    &IPXE,
    &LEARN,
    &ISCSI,
    &ISCSI_TARGET,
    &ADMIN,
    &BOOT,
    &PASSWORD,
    &MACHINE,
    &RULE,
];

/// What `kind` of a boot may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Local,
    Linux,
    Chain,
    Ipxe,
    Pxelinux,
    Efi,
    Menu,
    San,
    Disk,
    Install,
    Wait,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Local,
        Self::Linux,
        Self::Chain,
        Self::Ipxe,
        Self::Pxelinux,
        Self::Efi,
        Self::Menu,
        Self::San,
        Self::Disk,
        Self::Install,
        Self::Wait,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Linux => "linux",
            Self::Chain => "chain",
            Self::Ipxe => "ipxe",
            Self::Pxelinux => "pxelinux",
            Self::Efi => "efi",
            Self::Menu => "menu",
            Self::San => "san",
            Self::Disk => "disk",
            Self::Install => "install",
            Self::Wait => "wait",
        }
    }

    /// The keys that only this kind takes, beside those of every boot.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Local => &["how"],
            Self::Linux => &["kernel", "initrd", "cmdline", "shim"],
            Self::Chain => &["url"],
            Self::Wait => &[],
            Self::Install => &["family", "kernel", "initrd", "cmdline", "shim", "source", "answer"],
            Self::Ipxe => &["script"],
            Self::Disk => &[
                "image",
                "mode",
                "space",
                "kernel",
                "initrd",
                "cmdline",
                "chap",
                "username",
                "password_file",
                "reverse_username",
                "reverse_password_file",
            ],
            Self::Pxelinux => &["file", "cmdline", "serial", "menu_title"],
            Self::Efi => &["file"],
            Self::Menu => &["timeout", "entries", "default"],
            Self::San => &[
                "target",
                "initiator",
                "kernel",
                "initrd",
                "cmdline",
                "username",
                "password_file",
                "reverse_username",
                "reverse_password_file",
            ],
        }
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kinds that take a key.
    pub(super) fn with_key(key: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |kind| kind.keys().contains(&key))
    }
}

/// What a key is called that people know from other programs.
static ALSO_CALLED: [(&str, &str); 10] = [
    ("gateway", "router"),
    ("nameserver", "dns"),
    ("nameservers", "dns"),
    ("domain_name_servers", "dns"),
    ("lease_time", "lease"),
    ("tftp_root", "boot_dir"),
    ("hardware", "mac"),
    ("ip", "address"),
    ("append", "cmdline"),
    ("args", "cmdline"),
];

/// What to write instead of a key that a table does not have: the nearest of its own keys, else the table
/// that has this key or one like it.
pub(super) fn instead(key: &str, own: &[&'static str], title: &str) -> String {
    let other_name = ALSO_CALLED.iter().find(|(name, ours)| *name == key && own.contains(ours));
    let near = other_name.map(|&(_, ours)| ours).or_else(|| nearest(key, own.iter().copied()));
    if let Some(near) = near {
        return format!("did you mean `{near}`?");
    }
    let kinds = Kind::ALL.iter().flat_map(|kind| kind.keys());
    let all = SECTIONS.iter().flat_map(|section| section.keys).chain(kinds).copied();
    match nearest(key, all) {
        Some(near) if near == key => format!("`{key}` is a key of {}", owners(near)),
        Some(near) => format!("did you mean `{near}` of {}?", owners(near)),
        None => format!("the keys of {title} are {}", own.join(", ")),
    }
}

/// The tables that have a key, in words.
fn owners(key: &str) -> String {
    let sections = SECTIONS.iter().filter(|section| section.keys.contains(&key)).map(|section| {
        if section.title == TOP.title { section.title.to_owned() } else { format!("`{}`", section.title) }
    });
    let kinds = Kind::with_key(key).map(|kind| format!("boots of kind `{}`", kind.name()));
    sections.chain(kinds).collect::<Vec<_>>().join(" and ")
}
