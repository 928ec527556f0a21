//! The servers that the checks are put to.

use std::fmt;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Bootlace,
    Dnsmasq,
    Kea,
    Atftpd,
}

impl Subject {
    pub(super) const OF_DHCP: [Self; 3] = [Self::Bootlace, Self::Dnsmasq, Self::Kea];
    pub(super) const OF_TFTP: [Self; 3] = [Self::Bootlace, Self::Dnsmasq, Self::Atftpd];
    const ALL: [Self; 4] = [Self::Bootlace, Self::Dnsmasq, Self::Kea, Self::Atftpd];

    /// The one that BOOTLACE_SUBJECT names.
    pub(super) fn chosen() -> Result<Option<Self>> {
        let Ok(name) = std::env::var("BOOTLACE_SUBJECT") else { return Ok(None) };
        let found = Self::ALL.into_iter().find(|subject| subject.name() == name);
        match found {
            Some(subject) => Ok(Some(subject)),
            None => bail!("BOOTLACE_SUBJECT={name}: bootlace, dnsmasq, kea or atftpd"),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bootlace => "bootlace",
            Self::Dnsmasq => "dnsmasq",
            Self::Kea => "kea",
            Self::Atftpd => "atftpd",
        }
    }

    /// Its name and version, for the page. Bootlace's is the commit's.
    pub(super) fn version(self) -> Result<String> {
        let package = match self {
            Self::Bootlace => return Ok(format!("Bootlace {}", env!("CARGO_PKG_VERSION"))),
            Self::Dnsmasq => "dnsmasq-base",
            Self::Kea => "kea-dhcp4-server",
            Self::Atftpd => "atftpd",
        };
        let output = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output();
        let version = String::from_utf8(output.context("run dpkg-query")?.stdout)?;
        Ok(format!("{} {version}", self.name()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
