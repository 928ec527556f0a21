//! What a file system holds durably and what it only remembers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bootlace_disk::{Barrier, Operation};

use crate::support::{BLOCK, Random};

type Node = usize;

/// Files and folders, the first is the root.
pub(crate) struct FileSystem {
    nodes: Vec<Content>,
}

enum Content {
    Folder { durable: Names, pending: Vec<Change> },
    File { durable: Vec<u8>, pending: Vec<Edit> },
}

/// What is done to a file's bytes.
enum Edit {
    Write(usize, Vec<u8>),
    Truncate,
}

type Names = BTreeMap<String, Node>;

enum Change {
    Add(String, Node),
    Rename(String, String),
    Remove(String),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, node) => drop(names.insert(name.clone(), *node)),
            Self::Rename(from, to) => {
                let node = names.remove(from).unwrap();
                names.insert(to.clone(), node);
            }
            Self::Remove(name) => drop(names.remove(name)),
        }
    }
}

impl Default for FileSystem {
    fn default() -> Self {
        Self { nodes: vec![Content::folder()] }
    }
}

impl Content {
    fn folder() -> Self {
        Self::Folder { durable: Names::new(), pending: Vec::new() }
    }
}

impl FileSystem {
    /// Follows one operation on files under `root`. Syncs for `left_out` do nothing.
    pub(crate) fn apply(&mut self, root: &Path, operation: &Operation, left_out: Option<Barrier>) {
        let below = |path: &Path| path.strip_prefix(root).unwrap().to_owned();
        match operation {
            Operation::MakeFolder(path) => self.add(&below(path), Content::folder()),
            Operation::MakeFile(path) => {
                self.add(&below(path), Content::File { durable: Vec::new(), pending: Vec::new() });
            }
            Operation::Write { file, offset, bytes } => {
                let node = self.find(&below(file));
                let Content::File { pending, .. } = &mut self.nodes[node] else {
                    panic!("{file:?} is a folder")
                };
                pending.push(Edit::Write(*offset as usize, bytes.clone()));
            }
            Operation::Truncate(path) => {
                let node = self.find(&below(path));
                let Content::File { pending, .. } = &mut self.nodes[node] else {
                    panic!("{path:?} is a folder")
                };
                pending.push(Edit::Truncate);
            }
            Operation::Rename { from, to } => {
                let change = Change::Rename(name(from), name(to));
                self.change(&below(from), change);
            }
            Operation::RemoveFolder(path) => self.change(&below(path), Change::Remove(name(path))),
            Operation::Sync { barrier, .. } if Some(*barrier) == left_out => {}
            Operation::Sync { path, .. } => {
                let node = self.find(&below(path));
                self.nodes[node].sync();
            }
        }
    }

    /// Writes what a running system sees to `root`.
    pub(crate) fn live(&self, root: &Path) {
        self.build(0, root, &mut |pending, _| vec![true; pending]);
    }

    /// Writes to `root` what a power loss may leave: of folders some first changes, of files any blocks of any writes.
    pub(crate) fn after_power_loss(&self, root: &Path, random: &mut Random) {
        // Everything, nothing, or a mixture: mixtures alone would make either rare.
        let mood = random.below(4);
        self.build(0, root, &mut |count, kind| match (mood, kind) {
            (0, _) => vec![true; count],
            (1, _) => vec![false; count],
            (_, Kind::Folder) => {
                let kept = random.below(count + 1);
                (0..count).map(|index| index < kept).collect()
            }
            (_, Kind::File) => (0..count).map(|_| random.below(2) == 0).collect(),
        });
    }

    /// `choose` says of so many pending changes, or blocks of pending writes, which are kept.
    fn build(&self, node: Node, at: &Path, choose: &mut impl FnMut(usize, Kind) -> Vec<bool>) {
        match &self.nodes[node] {
            Content::Folder { durable, pending } => {
                fs::create_dir_all(at).unwrap();
                let mut names = durable.clone();
                let kept = choose(pending.len(), Kind::Folder);
                for (change, _) in pending.iter().zip(kept).filter(|(_, kept)| *kept) {
                    change.apply(&mut names);
                }
                for (name, node) in names {
                    self.build(node, &at.join(name), choose);
                }
            }
            Content::File { durable, pending } => {
                let mut content = durable.clone();
                for edit in pending {
                    let Edit::Write(offset, bytes) = edit else {
                        if choose(1, Kind::File)[0] {
                            content.clear();
                        }
                        continue;
                    };
                    let kept = choose(bytes.len().div_ceil(BLOCK), Kind::File);
                    for ((index, part), _) in
                        bytes.chunks(BLOCK).enumerate().zip(kept).filter(|(_, kept)| *kept)
                    {
                        put(&mut content, offset + index * BLOCK, part);
                    }
                }
                fs::write(at, content).unwrap();
            }
        }
    }

    fn add(&mut self, path: &Path, content: Content) {
        self.nodes.push(content);
        let node = self.nodes.len() - 1;
        self.change(path, Change::Add(name(path), node));
    }

    fn change(&mut self, path: &Path, change: Change) {
        let parent = self.find(path.parent().unwrap());
        let Content::Folder { pending, .. } = &mut self.nodes[parent] else {
            panic!("{path:?} is in a file")
        };
        pending.push(change);
    }

    /// By what a running system sees.
    fn find(&self, path: &Path) -> Node {
        path.iter().fold(0, |node, name| {
            let Content::Folder { durable, pending } = &self.nodes[node] else {
                panic!("{path:?} is in a file")
            };
            let mut names = durable.clone();
            pending.iter().for_each(|change| change.apply(&mut names));
            names[name.to_str().unwrap()]
        })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Folder,
    File,
}

impl Content {
    fn sync(&mut self) {
        match self {
            Self::Folder { durable, pending } => pending.drain(..).for_each(|change| change.apply(durable)),
            Self::File { durable, pending } => {
                pending.drain(..).for_each(|edit| match edit {
                    Edit::Write(offset, bytes) => put(durable, offset, &bytes),
                    Edit::Truncate => durable.clear(),
                });
            }
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
