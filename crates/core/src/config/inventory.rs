//! The known machines, to be found in a few steps however many there are.
//!
//! Every packet asks which machine it is of. The answer costs the same for ten machines and for a hundred
//! thousand: an index for each thing that tells machines apart, built once when the config is loaded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Deref;

use bootlace_wire::Mac;

use super::types::{BootName, Machine, Overrides};
use crate::model::Uuid;

/// All machines in file order, and their indices.
#[derive(Clone, Default)]
pub struct Machines {
    list: Vec<Machine>,
    by_mac: HashMap<Mac, usize>,
    /// By its text.
    by_client_id: HashMap<String, usize>,
    /// By the lower of the two byte orders.
    by_uuid: HashMap<Uuid, usize>,
    by_serial: HashMap<String, usize>,
    /// Cards that tell nothing: those of docks.
    shared: BTreeSet<Mac>,
    told_by: BTreeMap<Identity, Group>,
}

/// By what a machine can be told from others, and be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// It lists MACs.
    pub mac: bool,
    /// It has a UUID.
    pub uuid: bool,
    /// It has a serial.
    pub serial: bool,
}

/// The machines of one [`Identity`].
#[derive(Clone, Debug, Default)]
struct Group {
    count: usize,
    /// Of those that set the same, the first and the last in file order: as long as nobody knows which of them
    /// it is, the others add nothing.
    ends: BTreeSet<usize>,
}

impl PartialEq for Machines {
    /// The indices follow from the list.
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list && self.shared == other.shared
    }
}

impl Machines {
    /// The same with cards that are now at this machine and now at that one.
    #[must_use]
    pub fn sharing(self, shared: BTreeSet<Mac>) -> Self {
        Self { shared, ..self }
    }

    /// Whether a card tells nothing of the machine.
    pub fn is_shared(&self, mac: Mac) -> bool {
        self.shared.contains(&mac)
    }

    /// The machine that lists this MAC.
    pub fn by_mac(&self, mac: Mac) -> Option<&Machine> {
        self.by_mac.get(&mac).map(|at| &self.list[*at])
    }

    /// The machine with this client identifier, as its text.
    pub fn by_client_id(&self, id: &str) -> Option<&Machine> {
        self.by_client_id.get(id).map(|at| &self.list[*at])
    }

    /// The machine with this UUID, in either byte order.
    pub fn by_uuid(&self, uuid: Uuid) -> Option<&Machine> {
        self.by_uuid.get(&either_order(uuid)).map(|at| &self.list[*at])
    }

    /// The machine with this serial, in upper or lower case.
    pub fn by_serial(&self, serial: &str) -> Option<&Machine> {
        self.by_serial.get(&folded(serial)).map(|at| &self.list[*at])
    }

    /// By what they can be told apart, and how many can be so.
    pub fn identities(&self) -> impl Iterator<Item = (Identity, usize)> {
        self.told_by.iter().map(|(identity, group)| (*identity, group.count))
    }

    /// Of the machines of some identities, in file order: the first and the last of those that have the same
    /// identity, boot and other settings or none. In a decision about a machine that may be any of them, these
    /// stand for all.
    pub fn samples(&self, of: impl Fn(Identity) -> bool) -> Vec<(Identity, &Machine)> {
        let groups = self.told_by.iter().filter(|(identity, _)| of(**identity));
        let ends = groups.flat_map(|(identity, group)| group.ends.iter().map(|at| (*at, *identity)));
        let in_order: BTreeMap<usize, Identity> = ends.collect();
        in_order.into_iter().map(|(at, identity)| (identity, &self.list[at])).collect()
    }

    fn index(&mut self) {
        let mut same: HashMap<(Identity, Option<&BootName>, bool), (usize, usize)> = HashMap::new();
        for (at, machine) in self.list.iter().enumerate() {
            // The first keeps what the check of a config reports for the second.
            for mac in &machine.macs {
                self.by_mac.entry(*mac).or_insert(at);
            }
            if let Some(id) = &machine.client_id {
                self.by_client_id.entry(id.to_string()).or_insert(at);
            }
            if let Some(uuid) = machine.uuid {
                self.by_uuid.entry(either_order(uuid)).or_insert(at);
            }
            if let Some(serial) = &machine.serial {
                self.by_serial.entry(folded(serial)).or_insert(at);
            }
            let identity = Identity::of(machine);
            self.told_by.entry(identity).or_default().count += 1;
            let sets = (identity, machine.overrides.boot.as_ref(), machine.overrides.is_boot_alone());
            same.entry(sets).or_insert((at, at)).1 = at;
        }
        for ((identity, _, _), (first, last)) in same {
            self.told_by.entry(identity).or_default().ends.extend([first, last]);
        }
    }
}

impl Identity {
    fn of(machine: &Machine) -> Self {
        Self { mac: !machine.macs.is_empty(), uuid: machine.uuid.is_some(), serial: machine.serial.is_some() }
    }
}

impl Overrides {
    /// It sets nothing, or a boot and nothing else.
    pub(crate) fn is_boot_alone(&self) -> bool {
        let Self { boot: _, loader, proxy, ignore, options, vars } = self;
        loader.is_none() && proxy.is_none() && !ignore && options.is_empty() && vars.is_empty()
    }
}

fn either_order(uuid: Uuid) -> Uuid {
    uuid.min(uuid.swapped())
}

fn folded(serial: &str) -> String {
    serial.trim().to_lowercase()
}

impl Deref for Machines {
    type Target = [Machine];

    fn deref(&self) -> &[Machine] {
        &self.list
    }
}

impl From<Vec<Machine>> for Machines {
    fn from(list: Vec<Machine>) -> Self {
        let mut machines = Self { list, ..Self::default() };
        machines.index();
        machines
    }
}

impl FromIterator<Machine> for Machines {
    fn from_iter<I: IntoIterator<Item = Machine>>(machines: I) -> Self {
        Vec::from_iter(machines).into()
    }
}

impl Extend<Machine> for Machines {
    /// Makes the indices anew.
    fn extend<I: IntoIterator<Item = Machine>>(&mut self, more: I) {
        let mut list = std::mem::take(&mut self.list);
        list.extend(more);
        let shared = std::mem::take(&mut self.shared);
        *self = Self::from(list).sharing(shared);
    }
}

impl fmt::Debug for Machines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
    }
}
