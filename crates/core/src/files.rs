//! The name space that TFTP and HTTP share: which name is which resource.
//!
//! Reserved names come first (`boot.ipxe`, `script`, `ipxe/NAME`, the folders of the signed iPXE in `ipxe/`; `answer/` and
//! `done/` of installers), then files, then names that are generated in every folder (`autoexec.ipxe`,
//! `mac-*.ipxe`, `uuid-*.ipxe`, `hostname-*.ipxe`, `grub.cfg*`, `pxelinux.cfg/*`). Resolving causes nothing: the same
//! request gets the same answer, and whether an event comes of it is the service's business.

use std::net::Ipv4Addr;

use bootlace_wire::Mac;
use bootlace_wire::tftp::clean_name;

use crate::boot::choose::choose;
use crate::boot::features::IpxeFeatures;
use crate::boot::install::Packed;
use crate::boot::loader::{LoaderInventory, signed_ipxe};
use crate::boot::plan::Entrusted;
use crate::config::{BootName, Config};
use crate::event::{Protocol, ScriptEvent};
use crate::model::{Facts, Text};
use crate::oneshot::Offered;

mod answer;
mod generated;
mod grub;
mod pxelinux;
mod query;
mod script;
mod searched;
mod secret;
mod silent;

pub use answer::{is_done, token_in, without_token};
use generated::{Claim, Generated};
pub use query::QUERY_BYTES_MAX;
pub(crate) use query::percent_decoded;
use searched::Searcher;
pub use secret::holds_a_secret;

/// One request for a name.
#[derive(Clone, Copy, Debug)]
pub struct FileRequest<'a> {
    /// How it came.
    pub protocol: Protocol,
    /// What stands behind the `?`, not decoded; empty without.
    pub query: &'a str,
    /// What the peer's session knows of it, as DHCP told.
    pub facts: &'a Facts,
    /// Whether its address and what it says of itself fit together.
    pub identity: Identity,
    /// The address that it asked.
    pub server: Ipv4Addr,
    /// What its iPXE said in option 175, if it is known.
    pub features: Option<&'a IpxeFeatures>,
    /// Whether an iPXE was already sent into ours in this session: never twice.
    pub chained: bool,
    /// What a script of this session already decided, if one did.
    pub booting: Option<&'a BootName>,
    /// The address that asks.
    pub peer: Ipv4Addr,
    /// One-shots that it may get.
    pub next: Offered<'a>,
    /// What it gets if it is known to be who it says.
    pub entrusted: Entrusted<'a>,
    /// What installs this peer by the token in the name that is asked for, or why that token is not its own; of names without
    /// one, nothing.
    pub bearer: Option<Result<&'a BootName, &'static str>>,
    /// The loaders that exist.
    pub loaders: &'a LoaderInventory,
}

/// Whether a peer is who it says to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Our lease or the neighbour table shows it.
    Confirmed,
    /// Nothing speaks for it but its own word, or nothing at all: whoever can reach the server from beyond a router may
    /// name a machine. It boots, and gets no secrets.
    Claimed,
    /// Our lease or the neighbour table names another: it gets no secrets.
    Contradicted,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// What is sent.
    pub resource: Resource,
    /// What there is to record of a script, when it is what was sent.
    pub script: Option<ScriptEvent>,
}

/// What is sent for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Text made for this request.
    Text {
        /// The bytes.
        body: String,
        /// Its type.
        mime: &'static str,
    },
    /// A gzipped tar archive of these entries.
    Archive(Vec<Packed>),
    /// A cleaned name below `boot_dir`; a bare one may also be a loader in the distribution's folders.
    File(String),
    /// The file as above where there is one, else text made for this request.
    FileOrText {
        /// The name of the file.
        file: String,
        /// The names of other files that the client asks for next: where there is one of those, there is nothing for
        /// this name, so that it is found.
        or_next: Vec<String>,
        /// The bytes of the text.
        body: String,
        /// Their type.
        mime: &'static str,
    },
    /// The file where there is one, else nothing, and why.
    FileOrAbsent {
        /// The name of the file.
        file: String,
        /// Why nothing stands in for it.
        why: String,
    },
    /// That an installation is done, once that is stored.
    Done,
    /// Nothing, and why.
    Absent(String),
}

/// The MAC that a peer says is its own, if it does: in the query of `script`, or by the name that it asks for.
pub fn reported_mac(name: &str, query: &str) -> Option<Mac> {
    match look_up(name) {
        Named::Generated { script, .. } if script.claim().is_some() => match script.claim() {
            Some(Claim::Mac(mac)) => Some(*mac),
            _ => None,
        },
        _ => query::mac(query),
    }
}

/// What a loader asks for when it has just started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// An iPXE, which asks for this name then only.
    Ipxe,
    /// One that searches for what is made for its machine, by this cleaned name among others.
    Search(String),
}

/// Whether a loader that has just started may ask for this name.
pub(crate) fn beginning(name: &str) -> Option<Beginning> {
    match look_up(name) {
        Named::Boot | Named::Generated { script: Generated::Autoexec, .. } => Some(Beginning::Ipxe),
        Named::Generated { asked, script, .. } => {
            (!script.is_after_another()).then_some(Beginning::Search(asked))
        }
        Named::Script | Named::File(_) | Named::Answer { .. } | Named::Done | Named::Absent(_) => None,
    }
}

/// Says what a name stands for. `name` is as the client wrote it, percent-decoded for HTTP.
pub fn resolve(config: &Config, name: &str, request: &FileRequest<'_>) -> Resolution {
    let resource = match look_up(name) {
        Named::Boot => return script::boot(config, request),
        Named::Script => return script::script(config, request),
        Named::File(file) => Resource::File(
            of_nameless_shim(config, request, &file)
                .unwrap_or_else(|| request.loaders.behind(&file).to_owned()),
        ),
        Named::Generated { asked, file, script } => {
            let name = (asked.as_str(), file);
            return match &script {
                Generated::Autoexec => script::autoexec(config, request, name),
                Generated::Of(claim) => script::named(config, request, name, claim),
                Generated::Searched(searched) => match searched.by {
                    Searcher::Grub => grub::generated(config, request, name, searched),
                    Searcher::Pxelinux => pxelinux::generated(config, request, name, searched),
                },
            };
        }
        Named::Answer { token, file } => answer::answer(config, request, (&token, &file)),
        Named::Done => answer::done(request),
        Named::Absent(why) => Resource::Absent(why),
    };
    Resolution { resource, script: None }
}

/// A signed shim whose firmware did not tell it its own name asks the root for `ipxe.efi`, which may well be there for
/// others. It gets what it was sent for: anything unsigned it would refuse.
fn of_nameless_shim(config: &Config, request: &FileRequest<'_>, file: &str) -> Option<String> {
    if file != signed_ipxe::NAMELESS {
        return None;
    }
    let settings = choose(config, request.next, request.facts, None).settings;
    let loader = request.loaders.pick(request.facts.firmware()?, settings.loader.as_ref()).ok()?;
    signed_ipxe::Pair::of_shim(&loader).map(signed_ipxe::Pair::second)
}

/// What a name stands for, whoever asks.
pub(crate) enum Named {
    /// `boot.ipxe`.
    Boot,
    /// `script`.
    Script,
    /// A file of this name.
    File(String),
    /// A file, else a script.
    Generated {
        /// The cleaned name.
        asked: String,
        /// The file of this name.
        file: String,
        /// The script that stands in for it.
        script: Generated,
    },
    /// `answer/TOKEN/NAME`.
    Answer {
        /// Whose it is.
        token: String,
        /// The file.
        file: String,
    },
    /// `done/TOKEN`.
    Done,
    /// Nothing, and why.
    Absent(String),
}

pub(crate) fn look_up(name: &str) -> Named {
    let cleaned = match clean_name(name.as_bytes()) {
        Ok(cleaned) => cleaned,
        Err(error) => return Named::Absent(format!("{}: {error}", Text::from(name))),
    };
    let (folder, rest) = cleaned.split_once('/').unwrap_or((&cleaned, ""));
    match (folder, rest) {
        ("boot.ipxe", "") => Named::Boot,
        ("script", "") => Named::Script,
        ("answer", _) => match rest.split_once('/') {
            Some((token, file)) => Named::Answer { token: token.to_owned(), file: file.to_owned() },
            None => Named::Absent("answer/ is reserved for installers: answer/TOKEN/NAME".to_owned()),
        },
        ("done", _) if !rest.is_empty() && !rest.contains('/') => Named::Done,
        ("done", _) => Named::Absent("done/ is reserved for installers: done/TOKEN".to_owned()),
        ("ipxe", _) if signed_ipxe::is_in_a_folder(&cleaned) => file_or_generated(&cleaned, &cleaned),
        ("ipxe", _) if rest.is_empty() || rest.contains('/') => {
            Named::Absent("ipxe/ is reserved for loaders: ipxe/NAME".to_owned())
        }
        ("ipxe" | "files", _) if !rest.is_empty() => file_or_generated(&cleaned, rest),
        _ => file_or_generated(&cleaned, &cleaned),
    }
}

fn file_or_generated(asked: &str, file: &str) -> Named {
    match Generated::read(file) {
        Some(script) => Named::Generated { asked: asked.to_owned(), file: file.to_owned(), script },
        None => Named::File(file.to_owned()),
    }
}
