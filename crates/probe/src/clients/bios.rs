//! A BIOS machine's PXE ROM (PXE 2.1; times and options as Intel's Boot Agent has them).

use std::time::Duration;

use bootlace_wire::dhcp::{Arch, Code, Message, MessageType};
use bootlace_wire::tftp::ErrorCode;

use super::edk2::{boot_data, nothing_to_boot};
use crate::dhcp::{
    BootServer, Choice, Collect, Identity, NeedsNetmask, Offer, Profile, PxeKind, ROM_PARAMETERS, Silence,
    secs, set_pxe_class, set_uuid,
};
use crate::fetch::{Habits, Length, Redirects};
use crate::finding::Finding;
use crate::tftp::{Manner, Sizing};

/// PXE 2.1 section 2.2.3.1: four tries that wait 4 to 32 seconds.
const DISCOVER_WAITS: &[Duration] = &[secs(4), secs(8), secs(16), secs(32)];
const REQUEST_WAITS: &[Duration] = &[secs(4), secs(8), secs(16), secs(32)];
const BOOT_SERVER_WAITS: &[Duration] = &[secs(1), secs(2), secs(3), secs(4)];
const PXE_SERVER_PORT: u16 = 4011;

pub(crate) const PROFILE: Profile = Profile {
    discover_waits: DISCOVER_WAITS,
    collect: Collect::Complete,
    request_waits: REQUEST_WAITS,
    boot_server: Some(BootServer {
        from_port: PXE_SERVER_PORT,
        waits: BOOT_SERVER_WAITS,
        silence: Silence::Ends,
    }),
    fill,
    choose,
    boot: boot_data,
    needs_netmask: NeedsNetmask::No,
};

pub(crate) const HABITS: Habits = Habits {
    tftp: Manner {
        blksize: Some(1456),
        windowsize: None,
        sizing: Sizing::Probe(ErrorCode::Undefined),
        needs_oack: false,
        wait: secs(4),
        tries: 6,
    },
    agent: "",
    redirects: Redirects::Refused,
    length: Length::Counted,
};

fn fill(who: &Identity, _: MessageType, message: &mut Message) {
    message.broadcast = true;
    message.options.set(Code::PARAMETER_LIST, ROM_PARAMETERS);
    message.options.set_u16(Code::MAX_SIZE, 1260);
    message.options.set(Code::CLIENT_ID, [&[0], who.uuid.as_slice()].concat());
    set_uuid(who, message);
    set_pxe_class(message, "PXEClient", Arch::BIOS, (2, 1));
}

/// The first offer with an address and boot data of its own; else the first with an address, and the boot data of the
/// first proxy. Port 4011 is asked when what PXE offers names no file to use at once.
fn choose(offers: &[Offer]) -> Result<Choice, Finding> {
    let first = |wanted: fn(&Offer) -> bool| offers.iter().position(wanted);
    let plain = first(Offer::has_address).ok_or_else(|| nothing_to_boot(offers))?;
    let own = first(|offer| offer.has_address() && offer.pxe_kind() != PxeKind::Plain);
    let proxy = first(|offer| !offer.has_address() && offer.pxe_kind() != PxeKind::Plain);
    let with_file = first(|offer| offer.has_address() && offer.has_file());
    let needs_server =
        |at: usize| offers.get(at).is_some_and(|offer| !offer.file_at_once() && !offer.has_file());
    Ok(match (own, proxy, with_file) {
        (Some(own), _, _) => Choice { take: own, proxy: None, ask: Some(own).filter(|at| needs_server(*at)) },
        (None, Some(proxy), _) => {
            let take = with_file.unwrap_or(plain);
            Choice { take, proxy: Some(proxy), ask: Some(proxy).filter(|at| needs_server(*at)) }
        }
        (None, None, Some(take)) => Choice { take, proxy: None, ask: None },
        (None, None, None) => return Err(nothing_to_boot(offers)),
    })
}
