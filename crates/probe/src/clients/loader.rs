//! What a boot file is: which loader, or a program that is not played.

use bootlace_wire::dhcp::Arch;

use super::grub::Grub;
use super::pxelinux::Pxelinux;
use super::{Platform, Program, Want, stop};
use crate::fetch::Fetched;
use crate::finding::{Finding, FindingCode};
use crate::report::Outcome;
use crate::script::Ipxe;
use crate::url::Url;

/// Loaders that are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    Ipxe,
    Pxelinux,
    /// shim, which loads GRUB from beside itself.
    Shim,
    Grub,
}

/// By what is inside, as far as the file is not packed, else by name.
fn loader(fetched: &Fetched) -> Option<Loader> {
    let holds = |text: &[u8]| fetched.beginning.windows(text.len()).any(|part| part == text);
    let path = fetched.url.path.split('?').next().unwrap_or_default();
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    let named = |texts: &[&str]| texts.iter().any(|text| name.contains(text));
    if named(&["pxelinux"]) || holds(b"PXELINUX ") {
        Some(Loader::Pxelinux)
    } else if named(&["undionly", "ipxe", "snponly"]) || holds(b"iPXE initialising devices") {
        Some(Loader::Ipxe)
    } else if named(&["shim"]) || holds(b"UEFI SHIM") {
        Some(Loader::Shim)
    } else if named(&["grub", "core."]) {
        Some(Loader::Grub)
    } else {
        None
    }
}

/// Hands the machine over to a boot file. `running` is the loader that does so, if one does.
pub(crate) fn load(fetched: &Fetched, platform: Platform, running: Option<&Url>) -> Want {
    if fetched.file.bytes == 0 {
        let message = format!("{}: the file is empty", fetched.url);
        return stop(Finding::new(FindingCode::FileEmpty, message, "0 bytes"));
    }
    let Some(loader) = loader(fetched) else {
        return Want::End(Outcome::Program(fetched.file.clone()));
    };
    let url = &fetched.url;
    let program = match loader {
        Loader::Ipxe if running == Some(url) => {
            let message = format!("{url}: iPXE is told to load itself again");
            return stop(Finding::new(
                FindingCode::LoaderLoop,
                message,
                "the same file as the one that runs",
            ));
        }
        Loader::Ipxe => Program::Ipxe(Box::new(Ipxe::new(platform, Some(url.clone())))),
        Loader::Pxelinux => Program::Pxelinux(Box::new(Pxelinux::new(fetched))),
        Loader::Shim => Program::Grub(Box::new(Grub::behind_shim(url, grub_name(platform)))),
        Loader::Grub => Program::Grub(Box::new(Grub::new(url))),
    };
    Want::Load(Box::new(program))
}

/// The second stage that shim is built for.
fn grub_name(platform: Platform) -> &'static str {
    match platform {
        Platform::Efi(Arch::UEFI_ARM64) => "grubaa64.efi",
        _ => "grubx64.efi",
    }
}
