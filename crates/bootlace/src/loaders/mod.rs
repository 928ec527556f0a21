//! The set of signed loaders: unpacked from upstream's release, pinned by SHA-256, and served only as long as it is
//! what was pinned. What the names in it mean says `bootlace_core::boot::loader::signed_ipxe`.

mod archive;
mod install;
mod pins;
mod set;

use std::path::{Path, PathBuf};

pub use archive::{ARCHIVE_BYTES_MAX, ENTRIES_MAX, LOADER_BYTES_MAX, UNPACKED_BYTES_MAX, Unpacked, unpack};
pub use install::install;
pub use pins::{LOCK, Pins, RELEASES, Release, Sum};
pub(crate) use set::of_server;
pub use set::{Health, State, verify};

/// Name of the set, and of its folder.
pub const SET: &str = "ipxe-signed";

/// Where the sets of a server are.
pub fn home(state_dir: &Path) -> PathBuf {
    state_dir.join("loaders")
}
