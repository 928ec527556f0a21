//! A disk in memory that loses power: what was written and not synced is then dropped, torn between sectors or
//! kept without what came before it, each sector and each name for itself.

pub(crate) mod vfs;

use std::cell::RefCell;
use std::collections::BTreeMap;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

thread_local! {
    /// The disk of this thread: histories on several threads share nothing.
    pub(crate) static DISK: RefCell<Disk> = RefCell::default();
}

/// Syncs of one kind, which a disk can be told to ignore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Of the write-ahead log.
    Log,
    /// Of the database file.
    Database,
    /// Of the directory: which names there are.
    Names,
}

/// The disk has no power, or it failed this once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskError;

/// xorshift64*
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mixed = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self((mixed ^ (mixed >> 29)) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

#[derive(Clone, Debug)]
enum Change {
    /// Never across a sector's end.
    Write {
        at: usize,
        bytes: Vec<u8>,
    },
    Size(usize),
}

/// A file, whatever it is called.
#[derive(Clone, Debug, Default)]
struct Node {
    /// What a power loss leaves at least.
    durable: Vec<u8>,
    /// What programs see.
    cached: Vec<u8>,
    /// What leads from the one to the other.
    unsynced: Vec<Change>,
    /// SQLite syncs the directory with the first sync of a new journal or log.
    syncs_names: bool,
}

/// Files by name, and how long the power lasts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    nodes: Vec<Node>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<(String, Option<usize>)>,
    /// Changes and syncs until the power fails.
    left: Option<u64>,
    /// Changes and syncs until one fails though there is power.
    fails_in: Option<u64>,
    /// How many did.
    pub(crate) failures: u32,
    /// Syncs of a database so far: each is a checkpoint's.
    pub(crate) checkpoints: u32,
    /// How long a log may become before it is moved into its database, in pages; else SQLite's default.
    pub(crate) log_pages_max: Option<u32>,
    pub(crate) ignores: Option<Sync>,
}

impl Disk {
    /// After so many more changes and syncs nothing works.
    pub(crate) fn fail_after(&mut self, changes: u64) {
        self.left = Some(changes);
    }

    /// After so many more changes and syncs one fails.
    pub(crate) fn fail_once_after(&mut self, changes: u64) {
        self.fails_in = Some(changes);
    }

    pub(crate) fn has_power(&self) -> bool {
        self.left != Some(0)
    }

    fn use_power(&mut self) -> Result<(), DiskError> {
        match &mut self.fails_in {
            None => {}
            Some(0) => {
                self.fails_in = None;
                self.failures += 1;
                return Err(DiskError);
            }
            Some(left) => *left -= 1,
        }
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(DiskError),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// The power is back; chance says what is there of all that was not synced.
    pub(crate) fn power_up(&mut self, random: &mut Random) {
        (self.left, self.fails_in) = (None, None);
        // All, none, or each by itself with one of some odds.
        let odds = [0, 25, 50, 75, 100][random.below(5) as usize];
        let mut survives = || random.below(100) < odds;
        for (name, node) in std::mem::take(&mut self.unsynced_names) {
            if survives() {
                set_name(&mut self.durable_names, name, node);
            }
        }
        self.names = self.durable_names.clone();
        for node in &mut self.nodes {
            for change in std::mem::take(&mut node.unsynced) {
                if survives() {
                    apply(&mut node.durable, &change);
                }
            }
            node.cached.clone_from(&node.durable);
        }
    }

    fn open(&mut self, name: &str, create: bool, syncs_names: bool) -> Result<Option<usize>, DiskError> {
        let node = match self.names.get(name) {
            Some(node) => *node,
            None if !create => return Ok(None),
            None => {
                self.use_power()?;
                self.nodes.push(Node::default());
                let node = self.nodes.len() - 1;
                self.names.insert(name.to_owned(), node);
                self.unsynced_names.push((name.to_owned(), Some(node)));
                node
            }
        };
        self.nodes[node].syncs_names |= syncs_names;
        Ok(Some(node))
    }

    fn exists(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether there was such a file.
    fn delete(&mut self, name: &str) -> Result<bool, DiskError> {
        self.use_power()?;
        let was = self.names.remove(name).is_some();
        self.unsynced_names.push((name.to_owned(), None));
        Ok(was)
    }

    fn sync_names(&mut self) {
        if self.ignores == Some(Sync::Names) {
            return;
        }
        for (name, node) in std::mem::take(&mut self.unsynced_names) {
            set_name(&mut self.durable_names, name, node);
        }
    }

    fn size(&self, node: usize) -> usize {
        self.nodes[node].cached.len()
    }

    /// How many bytes there were to read.
    fn read(&self, node: usize, at: usize, into: &mut [u8]) -> usize {
        let there = self.nodes[node].cached.get(at..).unwrap_or_default();
        let len = there.len().min(into.len());
        into[..len].copy_from_slice(&there[..len]);
        len
    }

    fn write(&mut self, node: usize, mut at: usize, mut bytes: &[u8]) -> Result<(), DiskError> {
        self.use_power()?;
        let node = &mut self.nodes[node];
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(SECTOR - at % SECTOR));
            let change = Change::Write { at, bytes: piece.to_vec() };
            apply(&mut node.cached, &change);
            node.unsynced.push(change);
            (at, bytes) = (at + piece.len(), rest);
        }
        Ok(())
    }

    fn resize(&mut self, node: usize, len: usize) -> Result<(), DiskError> {
        self.use_power()?;
        let node = &mut self.nodes[node];
        let change = Change::Size(len);
        apply(&mut node.cached, &change);
        node.unsynced.push(change);
        Ok(())
    }

    fn sync(&mut self, node: usize, kind: Option<Sync>) -> Result<(), DiskError> {
        if let Err(error) = self.use_power() {
            if self.has_power() {
                // What could not be synced counts as synced from then on, as on Linux: nobody tries again.
                self.nodes[node].unsynced.clear();
            }
            return Err(error);
        }
        if kind == Some(Sync::Database) {
            self.checkpoints += 1;
        }
        let syncs_names = std::mem::take(&mut self.nodes[node].syncs_names);
        if kind.is_none() || self.ignores != kind {
            let node = &mut self.nodes[node];
            for change in std::mem::take(&mut node.unsynced) {
                apply(&mut node.durable, &change);
            }
        }
        if syncs_names {
            self.sync_names();
        }
        Ok(())
    }
}

fn set_name(names: &mut BTreeMap<String, usize>, name: String, node: Option<usize>) {
    match node {
        Some(node) => names.insert(name, node),
        None => names.remove(&name),
    };
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Size(len) => bytes.resize(*len, 0),
        Change::Write { at, bytes: new } => {
            let end = at + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(new);
        }
    }
}
