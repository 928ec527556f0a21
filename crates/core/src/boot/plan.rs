//! The loader-neutral answer for one machine now. A plan names no loader and holds no text of any dialect but
//! what the user wrote as such.

use std::time::Duration;

use bootlace_wire::Mac;

use super::disk::DiskNames;
use super::install::TokenMaker;
use crate::config::{BootName, LocalHow, Secret};

mod build;

pub(crate) use build::check_iscsi_uri;
pub use build::{PlanError, answer, build, reads, reads_passwords, reads_vars, text};

/// What one machine boots now.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The boot it came from.
    pub boot: BootName,
    /// What it does.
    pub action: Action,
}

/// What a plan does.
#[derive(Clone, Debug)]
pub enum Action {
    /// The machine's own disk.
    Local(LocalHow),
    /// A Linux kernel.
    Linux {
        /// The kernel.
        kernel: Source,
        /// Its initial file systems, in order.
        initrds: Vec<Source>,
        /// Its arguments, one each.
        args: Vec<Arg>,
        /// The shim that vouches for the kernel where firmware asks for that.
        shim: Option<Source>,
        /// The disk that its root is on, where that is a SAN disk.
        disk: Option<SanDisk>,
    },
    /// Another server's script or program.
    Chain {
        /// Absolute URL.
        url: String,
    },
    /// A script of the user's, already rendered.
    Script {
        /// The text as it is sent.
        text: String,
    },
    /// pxelinux with its tree in the served files.
    Pxelinux(Tree),
    /// An EFI program.
    Efi {
        /// The program.
        program: Source,
    },
    /// A choice on the screen.
    Menu {
        /// Heading.
        title: String,
        /// How long to wait for a key; `None`: for ever.
        timeout: Option<Duration>,
        /// What can be chosen.
        entries: Vec<MenuEntry>,
        /// What the timeout takes: one of `entries`.
        default: BootName,
    },
    /// Nothing, and the same question again a little later.
    Wait(Waiting),
    /// A disk of an iSCSI target.
    San(SanDisk),
}

/// A disk of an iSCSI target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanDisk {
    /// RFC 4173 URI.
    pub target: String,
    /// The machine's initiator name.
    pub initiator: Option<String>,
    /// Login.
    pub chap: Option<ChapLogin>,
}

/// What a machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// That somebody names it: by this MAC.
    Name(Option<Mac>),
    /// That the image of its disk was read through.
    Disk,
}

/// What only a machine gets that is known to be the one that it says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entrusted<'a> {
    /// Who makes its session's tokens for the answers of an installer.
    pub tokens: Option<&'a dyn TokenMaker>,
    /// Who names its disks.
    pub disks: Option<&'a dyn DiskNames>,
}

/// pxelinux, and what its configs can include for this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The loader's served name.
    pub file: String,
    /// Arguments for its kernels.
    pub args: Vec<Arg>,
    /// Its console: port, speed, flow control; or nothing.
    pub serial: String,
    /// The heading of its menu, or nothing.
    pub menu_title: String,
}

/// Where a loader gets a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A cleaned name in the served files: the dialect makes a URL or path of it.
    File(String),
    /// An absolute URL.
    Url(String),
}

/// One kernel argument: never holds a blank, a control character or a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg(String);

impl Arg {
    /// Why a text cannot be one argument is for the caller to say; `None` when it cannot.
    pub fn new(text: &str) -> Option<Self> {
        let plain = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        plain.then(|| Self(text.to_owned()))
    }

    /// The argument.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One line of a menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuEntry {
    /// The boot it stands for.
    pub boot: BootName,
    /// What the line says.
    pub title: String,
}

/// CHAP credentials for one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChapLogin {
    /// The machine's user name at the target.
    pub username: String,
    /// Its secret.
    pub password: Secret,
    /// The target's name and secret towards the machine.
    pub reverse: Option<(String, Secret)>,
}
