//! iPXE's DHCP and its ways to fetch (net/udp/dhcp.c, net/udp/tftp.c, net/tcp/httpcore.c).

use std::time::Duration;

use bootlace_wire::dhcp::{Arch, Code, Feature, Message, MessageType};

use super::Platform;
use super::edk2::server_of;
use crate::dhcp::{
    BootData, BootServer, Choice, Collect, Identity, Lease, NeedsNetmask, Offer, Profile, PxeKind, Silence,
    millis, name_of, secs, set_pxe_class, set_uuid,
};
use crate::fetch::{Habits, Length, Redirects};
use crate::finding::{Finding, FindingCode};
use crate::tftp::{Manner, Sizing};
use crate::url::split_scheme;

/// What the played build calls itself.
pub(crate) const VERSION: &str = "1.21.1";

const DISCOVER_WAITS: &[Duration] = &[secs(1), secs(2), secs(4), secs(8), secs(10), secs(10)];
const REQUEST_WAITS: &[Duration] = &[millis(250), millis(500), secs(1), secs(2), secs(4), secs(8), secs(10)];
/// It asks for two seconds and then goes on without.
const BOOT_SERVER_WAITS: &[Duration] = &[millis(250), millis(500), millis(1250)];
const PROXY_WAIT: Duration = secs(2);
const DHCP_CLIENT_PORT: u16 = 68;

#[rustfmt::skip]
const PARAMETERS: &[u8] = &[
    1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134, 135, 175, 203,
];

const BIOS: Profile = profile(fill_bios);
const EFI_X64: Profile = profile(fill_efi_x64);
const EFI_ARM64: Profile = profile(fill_efi_arm64);

pub(crate) fn profile_of(platform: Platform) -> Profile {
    match platform {
        Platform::Bios => BIOS,
        Platform::Efi(Arch::UEFI_ARM64) => EFI_ARM64,
        Platform::Efi(_) => EFI_X64,
    }
}

const fn profile(fill: fn(&Identity, MessageType, &mut Message)) -> Profile {
    Profile {
        discover_waits: DISCOVER_WAITS,
        collect: Collect::ProxyWithin(PROXY_WAIT),
        request_waits: REQUEST_WAITS,
        boot_server: Some(BootServer {
            from_port: DHCP_CLIENT_PORT,
            waits: BOOT_SERVER_WAITS,
            silence: Silence::GoesOn,
        }),
        fill,
        choose,
        boot,
        needs_netmask: NeedsNetmask::No,
    }
}

pub(crate) const HABITS: Habits = Habits {
    tftp: Manner {
        blksize: Some(1432),
        windowsize: None,
        sizing: Sizing::WithFile,
        needs_oack: false,
        wait: secs(1),
        tries: 8,
    },
    agent: "iPXE/1.21.1",
    redirects: Redirects::Followed,
    length: Length::Counted,
};

fn fill_bios(who: &Identity, _: MessageType, message: &mut Message) {
    fill(who, message, Arch::BIOS, &[Feature::Pxe, Feature::Elf, Feature::Bzimage, Feature::Multiboot]);
}

fn fill_efi_x64(who: &Identity, _: MessageType, message: &mut Message) {
    fill(who, message, Arch::UEFI_X64, &[Feature::Efi]);
}

fn fill_efi_arm64(who: &Identity, _: MessageType, message: &mut Message) {
    fill(who, message, Arch::UEFI_ARM64, &[Feature::Efi]);
}

fn fill(who: &Identity, message: &mut Message, arch: Arch, images: &[Feature]) {
    message.options.set_u16(Code::MAX_SIZE, 1472);
    let undi = if arch == Arch::BIOS { (2, 1) } else { (3, 10) };
    set_pxe_class(message, "PXEClient", arch, undi);
    message.options.set(Code::USER_CLASS, *b"iPXE");
    message.options.set(Code::PARAMETER_LIST, PARAMETERS);
    // Tag 177: a virtio card on PCI; 235: the version.
    let mut block = vec![177, 5, 1, 0x1a, 0xf4, 0x10, 0x00, 235, 3, 1, 21, 1];
    let always = [Feature::Dns, Feature::Http, Feature::Iscsi, Feature::Menu, Feature::Tftp, Feature::Aoe];
    for feature in always.iter().chain(images) {
        block.extend([feature.tag(), 1, 1]);
    }
    message.options.set(Code::IPXE, block);
    let mac = who.mac.0;
    message.options.set(Code::CLIENT_ID, [&[1], mac.as_slice()].concat());
    set_uuid(who, message);
}

/// The offer of highest priority (175.1) with an address, else the first; and any offer of class PXEClient as a
/// proxy's. Port 4011 is asked where that has neither a file with its server nor a menu.
fn choose(offers: &[Offer]) -> Result<Choice, Finding> {
    let take = offers.iter().position(Offer::has_address).ok_or_else(|| {
        Finding::new(FindingCode::NoAddress, "only offers without an address came", String::new())
    })?;
    let proxy = offers.iter().position(|offer| offer.pxe_kind() != PxeKind::Plain);
    let ask = proxy.filter(|at| offers.get(*at).is_some_and(|offer| !has_pxe_options(offer)));
    Ok(Choice { take, proxy, ask })
}

fn has_pxe_options(offer: &Offer) -> bool {
    let next = offer.message.siaddr;
    (!next.is_unspecified() && offer.has_file()) || !offer.vendor().menu.is_empty()
}

/// The ACK's file counts before the proxy's and the boot server's, which are settings registered later.
fn boot(lease: &Lease) -> Result<Option<BootData>, Finding> {
    let sources = [Some(&lease.ack), lease.proxy.as_ref(), lease.boot_server.as_ref()];
    let found = sources.into_iter().flatten().find_map(|message| Some((message, name_of(message)?)));
    Ok(found.map(|(message, file)| {
        let server = if split_scheme(&file).is_some() { None } else { server_of(message) };
        BootData { server, file }
    }))
}
