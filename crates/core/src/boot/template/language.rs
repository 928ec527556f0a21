//! What a template renders to.

use std::fmt;
use std::str::FromStr;

/// What a template renders to, which decides how values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A script for iPXE.
    Ipxe,
    /// A URL.
    Url,
    /// Arguments of a kernel, split at blanks.
    KernelArgs,
    /// An iSCSI URI or name.
    Iscsi,
    /// A script for GRUB.
    Grub,
    /// A config for pxelinux and its like: lines of words, nothing quotes.
    Pxelinux,
    /// YAML, as cloud-init and autoinstall read it.
    Yaml,
    /// JSON: Ignition, Agama.
    Json,
    /// XML: AutoYaST, Windows.
    Xml,
    /// A script for a POSIX shell.
    Shell,
    /// Answers for debconf: `OWNER NAME TYPE VALUE` in a line.
    Preseed,
    /// Answers for Anaconda: commands as a shell splits them, and sections of scripts.
    Kickstart,
}

/// The languages of whole files: their names, and the ends of file names that stand for them.
const OF_FILES: [(Language, &str, &[&str]); 9] = [
    (Language::Ipxe, "ipxe", &[".ipxe"]),
    (Language::Grub, "grub", &[".grub", "grub.cfg"]),
    (Language::Pxelinux, "pxelinux", &[".pxelinux", "syslinux.cfg", "extlinux.conf"]),
    (Language::Yaml, "yaml", &[".yaml", ".yml", "user-data", "meta-data", "vendor-data", "network-config"]),
    (Language::Json, "json", &[".json", ".ign"]),
    (Language::Xml, "xml", &[".xml"]),
    (Language::Shell, "shell", &[".sh"]),
    (Language::Preseed, "preseed", &[".preseed", ".seed", "preseed.cfg"]),
    (Language::Kickstart, "kickstart", &[".ks", "ks.cfg"]),
];

impl Language {
    /// All of them.
    pub(super) const ALL: [Self; 12] = [
        Self::Ipxe,
        Self::Url,
        Self::KernelArgs,
        Self::Iscsi,
        Self::Grub,
        Self::Pxelinux,
        Self::Yaml,
        Self::Json,
        Self::Xml,
        Self::Shell,
        Self::Preseed,
        Self::Kickstart,
    ];

    /// The language of a file by its name, without regard to a `.j2` at its end; `None` where the name tells nothing.
    pub fn of_file(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".j2").unwrap_or(name).to_ascii_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        OF_FILES.into_iter().find(|(_, _, known)| ends(known)).map(|(language, ..)| language)
    }

    /// The languages that a file can be in, by name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        OF_FILES.into_iter().map(|(_, name, _)| name)
    }

    /// Whether whole files are in it.
    pub(super) fn is_of_files(self) -> bool {
        !matches!(self, Self::Url | Self::KernelArgs | Self::Iscsi)
    }

    /// Whether answers for an installer can be in it.
    pub(super) fn is_of_answers(self) -> bool {
        self.is_of_files() && self != Self::Ipxe
    }

    /// Whether a password's hash may stand in it: others keep URLs in their logs.
    pub(super) fn shows_passwords(self) -> bool {
        !matches!(self, Self::Url | Self::Iscsi)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_file = OF_FILES.into_iter().find(|(language, ..)| language == self);
        f.write_str(match self {
            Self::Url => "a URL",
            Self::KernelArgs => "kernel arguments",
            Self::Iscsi => "an iSCSI name",
            _ => of_file.map_or("", |(_, name, _)| name),
        })
    }
}

/// By one of [`Language::names`].
impl FromStr for Language {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        OF_FILES.into_iter().find(|(_, name, _)| *name == text).map(|(language, ..)| language).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells() {
        for (name, expected) in [
            ("debian/preseed.cfg", Some(Language::Preseed)),
            ("user-data", Some(Language::Yaml)),
            ("user-data.j2", Some(Language::Yaml)),
            ("Fedora.KS", Some(Language::Kickstart)),
            ("ks.cfg", Some(Language::Kickstart)),
            ("coreos.ign", Some(Language::Json)),
            ("some.cfg", None),
            ("README", None),
        ] {
            assert_eq!(Language::of_file(name), expected, "{name}");
        }
        for name in Language::names() {
            assert_eq!(name.parse::<Language>().unwrap().to_string(), name);
        }
        assert_eq!("URL".parse::<Language>(), Err(()));
    }
}
