//! Images that a script holds, and what comes of those that start.

use super::{Failed, Ipxe, Select, Status};
use crate::clients::{Platform, Want, load};
use crate::fetch::Fetched;
use crate::finding::{Finding, FindingCode};
use crate::limits::IMAGES_MAX;
use crate::report::{File, Outcome};
use crate::text::shown;

/// A file that is kept.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) fetched: Fetched,
    pub(super) selected: Select,
}

/// What an image is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A Linux kernel (Documentation/arch/x86/boot.rst, arm64/booting.rst).
    Linux,
    /// A PE program.
    Pe,
    /// Readable text: an error page, a script without its magic.
    Text,
    Other,
}

const X86_HEADER_AT: usize = 0x202;
const ARM64_MAGIC_AT: usize = 0x38;
/// Bytes by which text is told from programs.
const TEXT_BYTES: usize = 64;

fn format(bytes: &[u8]) -> Format {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(X86_HEADER_AT, b"HdrS") || at(ARM64_MAGIC_AT, b"ARMd") {
        Format::Linux
    } else if bytes.starts_with(b"MZ") {
        Format::Pe
    } else if bytes.iter().take(TEXT_BYTES).all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~')) {
        Format::Text
    } else {
        Format::Other
    }
}

impl Ipxe {
    pub(super) fn keep(
        &mut self,
        name: Option<String>,
        args: Vec<String>,
        select: Select,
        fetched: Fetched,
    ) -> Status {
        if self.images.len() >= IMAGES_MAX {
            return Err(Failed(None));
        }
        if select == Select::Yes {
            self.images.iter_mut().for_each(|image| image.selected = Select::No);
        }
        let path = fetched.url.path.split('?').next().unwrap_or_default();
        let name = name.unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default().to_owned());
        self.images.push(Image { name, args, fetched, selected: select });
        Ok(())
    }

    /// `boot` without a name.
    pub(super) fn boot_selected(&mut self) -> Result<Want, Finding> {
        let selected = self.images.iter().position(|image| image.selected == Select::Yes);
        // Of one image there is no choice.
        let only = if self.images.len() == 1 { Some(0) } else { None };
        let Some(at) = selected.or(only) else {
            let evidence = self.place_of_line();
            return Err(Finding::new(FindingCode::ScriptFailed, "boot without an image to boot", evidence));
        };
        let image = self.images.remove(at);
        let outcome = self.start(&image.name, &image.fetched, &image.args);
        self.images.insert(at.min(self.images.len()), image);
        outcome
    }

    /// Starts what was fetched to be run at once.
    pub(super) fn start_image(&self, fetched: &Fetched, args: &[String]) -> Result<Want, Finding> {
        let path = fetched.url.path.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        self.start(name, fetched, args)
    }

    fn start(&self, name: &str, fetched: &Fetched, args: &[String]) -> Result<Want, Finding> {
        let refuse = |message: &str| {
            let beginning = shown(&fetched.beginning[..fetched.beginning.len().min(TEXT_BYTES)]);
            Err(Finding::new(FindingCode::ScriptNotOne, format!("{}: {message}", fetched.url), beginning))
        };
        if fetched.file.bytes == 0 {
            let message = format!("{}: the file is empty", fetched.url);
            return Err(Finding::new(FindingCode::FileEmpty, message, "0 bytes"));
        }
        match (format(&fetched.beginning), self.platform) {
            (Format::Linux, platform) => {
                let initrds: Vec<File> = self.initrds().map(|image| image.fetched.file.clone()).collect();
                let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
                // An EFI program gets its own name first, and Linux takes the whole for its command line.
                if matches!(platform, Platform::Efi(_)) {
                    words.insert(0, name);
                }
                let cmdline = words.join(" ");
                Ok(Want::End(Outcome::Linux { kernel: fetched.file.clone(), initrds, cmdline }))
            }
            (Format::Text, _) => refuse("neither a script nor anything that iPXE boots"),
            (Format::Other, Platform::Efi(_)) => refuse("no EFI program"),
            (Format::Pe | Format::Other, platform) => Ok(load(fetched, platform, self.own_url.as_ref())),
        }
    }

    fn initrds(&self) -> impl Iterator<Item = &Image> {
        self.images.iter().filter(|image| image.selected == Select::No)
    }
}

/// A SAN disk by its URI (RFC 4173; iPXE also takes http, aoe and others).
pub(super) fn san_outcome(target: &str, initiator: String) -> Result<Outcome, Finding> {
    let (scheme, rest) = target.split_once(':').unwrap_or((target, ""));
    let is_good = match scheme {
        // iscsi:SERVER:PROTOCOL:PORT:LUN:TARGET, where the target's name has colons itself.
        "iscsi" => {
            let parts: Vec<&str> = rest.splitn(5, ':').collect();
            matches!(parts.as_slice(), [server, _, port, _, name]
                if !server.is_empty() && !name.is_empty() && (port.is_empty() || port.parse::<u16>().is_ok()))
        }
        "http" | "https" | "aoe" | "fcp" | "srp" | "ib_srp" => !rest.is_empty(),
        _ => false,
    };
    if !is_good {
        let evidence = shown(target.as_bytes());
        return Err(Finding::new(FindingCode::SanTarget, "this is no URI of a SAN disk", evidence));
    }
    let initiator = Some(initiator).filter(|name| !name.is_empty());
    Ok(Outcome::San { target: target.to_owned(), initiator })
}
