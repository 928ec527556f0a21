//! EDK2's PXE (NetworkPkg/UefiPxeBcDxe and Mtftp4Dxe), as most UEFI firmware has it.

use std::time::Duration;

use bootlace_wire::dhcp::{Arch, Code, Message, MessageType};
use bootlace_wire::tftp::ErrorCode;

use crate::dhcp::{
    BootData, BootServer, Choice, Collect, EDK2_PARAMETERS, Identity, Lease, NeedsNetmask, Offer, Profile,
    PxeKind, Silence, name_of, secs, set_pxe_class, set_uuid,
};
use crate::fetch::{Habits, Length, Redirects};
use crate::finding::{Finding, FindingCode};
use crate::tftp::{Manner, Sizing};

/// Each is waited out, whatever came.
pub(super) const DISCOVER_WAITS: &[Duration] = &[secs(4), secs(8), secs(16), secs(32)];
pub(super) const REQUEST_WAITS: &[Duration] = &[secs(4), secs(8), secs(16), secs(32)];
const BOOT_SERVER_WAITS: &[Duration] = &[secs(3), secs(3), secs(3), secs(3)];
const PXE_SERVER_PORT: u16 = 4011;
/// What the DISCOVER says, and what the REQUEST is sent with.
const MAX_SIZE_DISCOVER: u16 = 1472;
const MAX_SIZE_REQUEST: u16 = 0xff00;

pub(crate) const X64: Profile = profile(fill_x64);
pub(crate) const ARM64: Profile = profile(fill_arm64);

const fn profile(fill: fn(&Identity, MessageType, &mut Message)) -> Profile {
    Profile {
        discover_waits: DISCOVER_WAITS,
        collect: Collect::Window,
        request_waits: REQUEST_WAITS,
        boot_server: Some(BootServer {
            from_port: PXE_SERVER_PORT,
            waits: BOOT_SERVER_WAITS,
            silence: Silence::Ends,
        }),
        fill,
        choose,
        boot: boot_data,
        needs_netmask: NeedsNetmask::Yes,
    }
}

pub(crate) const HABITS: Habits = Habits {
    tftp: Manner {
        blksize: Some(1468),
        windowsize: Some(4),
        sizing: Sizing::Probe(ErrorCode::OptionsRefused),
        needs_oack: false,
        wait: secs(4),
        tries: 6,
    },
    agent: "",
    redirects: Redirects::Refused,
    length: Length::Counted,
};

fn fill_x64(who: &Identity, kind: MessageType, message: &mut Message) {
    fill(who, kind, message, "PXEClient", Arch::UEFI_X64);
}

fn fill_arm64(who: &Identity, kind: MessageType, message: &mut Message) {
    fill(who, kind, message, "PXEClient", Arch::UEFI_ARM64);
}

pub(super) fn fill(who: &Identity, kind: MessageType, message: &mut Message, class: &str, arch: Arch) {
    message.broadcast = true;
    let size = if kind == MessageType::Discover { MAX_SIZE_DISCOVER } else { MAX_SIZE_REQUEST };
    message.options.set_u16(Code::MAX_SIZE, size);
    message.options.set(Code::PARAMETER_LIST, EDK2_PARAMETERS);
    set_uuid(who, message);
    set_pxe_class(message, class, arch, (3, 0));
}

/// EDK2 drops offers without a server identifier. Then the order of PxeBcSelectDhcp4Offer: an offer with an address and
/// PXE options, any address beside a proxy with PXE options, an offer for port 4011, any address beside a proxy for port
/// 4011, and an offer with just a boot file.
fn choose(offers: &[Offer]) -> Result<Choice, Finding> {
    let usable = |offer: &Offer| offer.message.server_id().is_some();
    let first =
        |wanted: &dyn Fn(&Offer) -> bool| offers.iter().position(|offer| usable(offer) && wanted(offer));
    let own = |kind| first(&|offer| offer.has_address() && offer.pxe_kind() == kind);
    let proxy = |kind| first(&|offer| !offer.has_address() && offer.pxe_kind() == kind);
    let plain = own(PxeKind::Plain);
    let ask_unless_at_once =
        |at: usize| offers.get(at).filter(|offer| !offer.file_at_once() && !offer.has_file()).map(|_| at);
    if let Some(take) = own(PxeKind::Pxe10) {
        return Ok(Choice { take, proxy: None, ask: ask_unless_at_once(take) });
    }
    if let (Some(take), Some(proxy)) = (plain, proxy(PxeKind::Pxe10)) {
        return Ok(Choice { take, proxy: Some(proxy), ask: ask_unless_at_once(proxy) });
    }
    // Port 4011 is asked even when a file is named already.
    if let Some(take) = own(PxeKind::Binl) {
        return Ok(Choice { take, proxy: None, ask: Some(take) });
    }
    if let (Some(take), Some(proxy)) = (plain, proxy(PxeKind::Binl)) {
        return Ok(Choice { take, proxy: Some(proxy), ask: Some(proxy) });
    }
    let with_file = first(&|offer| offer.has_address() && offer.has_file());
    with_file.map(|take| Choice { take, proxy: None, ask: None }).ok_or_else(|| nothing_to_boot(offers))
}

/// Why none of these offers boots firmware.
pub(super) fn nothing_to_boot(offers: &[Offer]) -> Finding {
    let seen: Vec<String> =
        offers.iter().map(|offer| format!("from {}: {}", offer.from.ip(), offer.summary())).collect();
    let evidence = seen.join("; ");
    if !offers.iter().any(Offer::has_address) {
        return Finding::new(FindingCode::NoAddress, "only offers without an address came", evidence);
    }
    if offers.iter().all(|offer| offer.message.server_id().is_none()) {
        return Finding::new(FindingCode::OfferUnusable, "no offer names its server (option 54)", evidence);
    }
    Finding::new(FindingCode::NoBootFile, "no offer names a boot file", evidence)
}

/// The boot server's answer counts first, then the proxy's offer, then the ACK.
pub(super) fn boot_data(lease: &Lease) -> Result<Option<BootData>, Finding> {
    let sources = [lease.boot_server.as_ref(), lease.proxy.as_ref(), Some(&lease.ack)];
    let with_file = sources.into_iter().flatten().find_map(|message| Some((message, name_of(message)?)));
    let Some((message, file)) = with_file else {
        let evidence = match &lease.boot_server {
            Some(_) => "port 4011 answered without one",
            None => "neither in the offer nor in the ACK",
        };
        return Err(Finding::new(FindingCode::NoBootFile, "no boot file is named", evidence));
    };
    Ok(Some(BootData { server: server_of(message), file }))
}

/// siaddr, else option 66 as far as it is an address, else the server that speaks.
pub(super) fn server_of(message: &Message) -> Option<std::net::Ipv4Addr> {
    let named = || std::str::from_utf8(message.options.text(Code::TFTP_SERVER)?).ok()?.parse().ok();
    Some(message.siaddr).filter(|ip| !ip.is_unspecified()).or_else(named).or_else(|| message.server_id())
}
