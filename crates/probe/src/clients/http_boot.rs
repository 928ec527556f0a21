//! EDK2's HTTP Boot (NetworkPkg/HttpBootDxe).

use bootlace_wire::dhcp::{Arch, Code, Message, MessageType};

use super::edk2::{self, nothing_to_boot};
use super::{Got, Kind, Platform, View, Want, load, stop};
use crate::dhcp::{BootData, Choice, Collect, Identity, Lease, NeedsNetmask, Offer, Profile, name_of};
use crate::fetch::{Habits, Length, Redirects};
use crate::finding::{Finding, FindingCode};
use crate::url::{Scheme, Url};

const HABITS: Habits = Habits {
    tftp: edk2::HABITS.tftp,
    agent: "UefiHttpBoot/1.0",
    redirects: Redirects::Refused,
    length: Length::HeadFirst,
};

const X64: Profile = profile(fill_x64);
const ARM64: Profile = profile(fill_arm64);

const fn profile(fill: fn(&Identity, MessageType, &mut Message)) -> Profile {
    Profile {
        discover_waits: edk2::DISCOVER_WAITS,
        collect: Collect::Window,
        request_waits: edk2::REQUEST_WAITS,
        boot_server: None,
        fill,
        choose,
        boot,
        needs_netmask: NeedsNetmask::Yes,
    }
}

fn fill_x64(who: &Identity, kind: MessageType, message: &mut Message) {
    fill(who, kind, message, Arch::HTTP_X64);
}

fn fill_arm64(who: &Identity, kind: MessageType, message: &mut Message) {
    fill(who, kind, message, Arch::HTTP_ARM64);
}

fn fill(who: &Identity, kind: MessageType, message: &mut Message, arch: Arch) {
    edk2::fill(who, kind, message, "HTTPClient", arch);
    // It asks for less than PXE does, as captured.
    let parameters: Vec<u8> =
        message.parameter_list().iter().copied().filter(|code| !matches!(code, 66 | 128..)).collect();
    message.options.set(Code::PARAMETER_LIST, parameters);
}

fn is_http(offer: &Offer) -> bool {
    offer.class_begins(b"HTTPClient")
}

/// An offer with an address and `HTTPClient`, else an address beside such a proxy.
fn choose(offers: &[Offer]) -> Result<Choice, Finding> {
    let own = offers.iter().position(|offer| offer.has_address() && is_http(offer));
    let plain = offers.iter().position(Offer::has_address);
    let proxy = offers.iter().position(|offer| !offer.has_address() && is_http(offer));
    match (own, plain, proxy) {
        (Some(take), _, _) => Ok(Choice { take, proxy: Some(take), ask: None }),
        (None, Some(take), Some(proxy)) => Ok(Choice { take, proxy: Some(proxy), ask: None }),
        (None, Some(_), None) if offers.iter().any(|offer| offer.has_address() && offer.has_file()) => {
            let evidence = offers.iter().map(Offer::summary).collect::<Vec<_>>().join("; ");
            Err(Finding::new(FindingCode::OfferUnusable, "no offer is of vendor class HTTPClient", evidence))
        }
        _ => Err(nothing_to_boot(offers)),
    }
}

/// The URI is read from the offer; the ACK is not asked.
fn boot(lease: &Lease) -> Result<Option<BootData>, Finding> {
    let name = lease.proxy.as_ref().and_then(name_of);
    match name {
        Some(file) => Ok(Some(BootData { server: None, file })),
        None => Err(Finding::new(FindingCode::NoBootFile, "the offer names no boot URL", String::new())),
    }
}

/// The firmware under way.
#[derive(Debug)]
pub(crate) struct HttpBoot {
    pub(super) kind: Kind,
}

impl HttpBoot {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind }
    }

    pub(super) fn go(&self, got: Got, view: &View<'_>) -> Want {
        let (profile, arch) = match self.kind {
            Kind::HttpArm64 => (ARM64, Arch::UEFI_ARM64),
            _ => (X64, Arch::UEFI_X64),
        };
        match got {
            Got::NoLease(finding) => stop(finding),
            Got::NoFile(url, error) => stop(error.finding(&url)),
            Got::File(fetched) => load(&fetched, Platform::Efi(arch), None),
            Got::Lease => {
                let Some(lease) = view.lease else { return Want::Dhcp(profile) };
                match boot(lease) {
                    Err(finding) => stop(finding),
                    Ok(None) => Want::Dhcp(profile),
                    Ok(Some(data)) => match Url::parse(&data.file) {
                        Ok(url) if url.scheme == Scheme::Http => {
                            Want::Fetch { url, habits: HABITS, form: None }
                        }
                        _ => stop(Finding::new(
                            FindingCode::NotHttpUrl,
                            "the boot file is no http URL",
                            data.file,
                        )),
                    },
                }
            }
            Got::Control | Got::Woke => Want::Dhcp(profile),
        }
    }
}
