//! Disks of the server's own, one for each machine and boot: what they are called.
//!
//! Whoever knows the name of a disk as a script has it was told it by the server: it names one generation, and holds what nobody can
//! guess. So it need not be stored, and a repeated request gets the same one.

use std::fmt::Debug;

use crate::config::{BootName, DiskBoot, HIDDEN, Machine, Secret};
use crate::model::Facts;

/// The naming authority of our targets (RFC 7143, 4.2.7.4): a domain of nobody's, as `internal` is for private use since
/// that month.
const AUTHORITY: &str = "iqn.2024-08.internal.bootlace";

/// A disk: that of a machine for a boot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId {
    /// In the form that iSCSI names have.
    machine: String,
    boot: BootName,
}

/// Names of hosts have no case, and iSCSI names no capitals and no `_` (RFC 3722, 6.2).
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

impl DiskId {
    /// That of the machine of this name.
    pub fn new(machine: &str, boot: &BootName) -> Self {
        Self { machine: plain(machine), boot: boot.clone() }
    }

    /// That of the machine of these facts; `None` for one that has no entry and no MAC.
    pub fn of(machine: Option<&Machine>, facts: &Facts, boot: &BootName) -> Option<Self> {
        let name = match machine {
            Some(machine) => machine.name.clone(),
            None => facts.mac()?.dashed(),
        };
        Some(Self::new(&name, boot))
    }

    /// The machine's name in iSCSI names.
    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// The boot.
    pub fn boot(&self) -> &BootName {
        &self.boot
    }

    /// The name of its folder: no machine's name has a `+`.
    pub fn folder(&self) -> String {
        format!("{}+{}", self.machine, self.boot)
    }

    /// By the name of its folder.
    pub fn of_folder(name: &str) -> Option<Self> {
        let (machine, boot) = name.split_once('+')?;
        let id = Self::new(machine, &BootName::new(boot)?);
        (id.folder() == name).then_some(id)
    }

    /// The name of its target. `generation` is one word of small letters, digits, `-` and `.`.
    pub fn target(&self, generation: &str) -> String {
        format!("{AUTHORITY}:{}:{}:{generation}", self.machine, plain(self.boot.as_str()))
    }

    /// What a target of ours is called where names are kept and shown: of a machine's disk without the generation.
    pub fn shown(target: &str) -> &str {
        match target.strip_prefix(AUTHORITY).and_then(|_| target.rsplit_once(':')) {
            Some((disk, _)) => disk,
            None => target,
        }
    }

    /// The disk and the generation that a target's name says, of a boot among `boots`. Where two boots are
    /// written alike in iSCSI names, whoever made the name knows which one it is of.
    pub fn of_target<'a, 'b>(
        name: &'a str,
        boots: impl Iterator<Item = &'b BootName>,
    ) -> impl Iterator<Item = (Self, &'a str)> {
        let parts = name.strip_prefix(AUTHORITY).and_then(|rest| rest.strip_prefix(':'));
        let parts = parts.and_then(|rest| match rest.split(':').collect::<Vec<_>>()[..] {
            [machine, boot, generation] => Some((machine, boot, generation)),
            _ => None,
        });
        boots.filter_map(move |known| {
            let (machine, boot, generation) = parts?;
            let is_it = plain(machine) == machine && plain(known.as_str()) == boot;
            is_it.then(|| (Self::new(machine, known), generation))
        })
    }

    /// The name that the machine has as an initiator.
    pub fn initiator(&self) -> String {
        format!("{AUTHORITY}:{}", self.machine)
    }
}

/// What a disk is called for one boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedDisk {
    /// The target.
    pub target: String,
    /// The secret of this boot.
    pub secret: Secret,
}

/// Why a disk cannot be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unnamed {
    /// Its image is being read through; ask again.
    Later,
    /// It is as it is, and why.
    Never(String),
}

/// Names disks for one boot of one machine, the same ones whenever it is asked. It causes nothing.
pub trait DiskNames: Debug {
    /// The name of a disk.
    fn name(&self, id: &DiskId, disk: &DiskBoot) -> Result<NamedDisk, Unnamed>;
}

/// Of disks that are only looked at.
#[derive(Debug)]
pub struct HiddenNames;

impl DiskNames for HiddenNames {
    fn name(&self, id: &DiskId, _disk: &DiskBoot) -> Result<NamedDisk, Unnamed> {
        Ok(NamedDisk { target: id.target("generation"), secret: Secret::new(HIDDEN.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(name: &str) -> BootName {
        BootName::new(name).unwrap()
    }

    #[test]
    fn a_targets_name_says_whose_it_is() {
        let boots = [boot("desktop"), boot("Desk_top"), boot("desk-top")];
        let found = |name: &str| {
            let found = DiskId::of_target(name, boots.iter());
            found.map(|(id, generation)| (id, generation.to_owned())).collect::<Vec<_>>()
        };
        let id = DiskId::new("Web1", &boots[0]);
        let name = id.target("7-00ff-aa");
        assert_eq!(name, "iqn.2024-08.internal.bootlace:web1:desktop:7-00ff-aa");
        assert_eq!(found(&name), [(id, "7-00ff-aa".to_owned())]);
        let alike = found(&DiskId::new("web1", &boots[1]).target("g"));
        assert_eq!(
            alike.iter().map(|(id, _)| id.boot().as_str()).collect::<Vec<_>>(),
            ["Desk_top", "desk-top"]
        );
        for strange in [
            "iqn.2024-08.internal.bootlace:web1:desktop",
            "iqn.2024-08.internal.bootlace:web1:desktop:g:h",
            "iqn.2024-08.internal.bootlace:WEB1:desktop:g",
            "iqn.2024-08.internal.bootlace:web1:other:g",
            "iqn.2024-08.internal:web1:desktop:g",
            "",
        ] {
            assert_eq!(found(strange), [], "{strange}");
        }
    }

    #[test]
    fn the_longest_name_is_one_that_iscsi_takes() {
        let long = "a".repeat(crate::config::NAME_BYTES_MAX);
        let generation = format!("{}-{:016x}-{:016x}", u64::MAX, u64::MAX, u64::MAX);
        let name = DiskId::new(&long, &boot(&long)).target(&generation);
        assert!(name.len() <= 223, "{}", name.len());
        assert!(
            crate::boot::plan::check_iscsi_uri(&format!("iscsi:255.255.255.255:6:65535:0:{name}")).is_ok()
        );
    }
}
