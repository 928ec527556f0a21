//! DHCP clients of systems: they want an address, and are confused by more.

use std::time::Duration;

use bootlace_wire::dhcp::{Code, Message, MessageType};

use crate::dhcp::{BootData, Choice, Collect, Identity, Lease, NeedsNetmask, Offer, Profile, secs};
use crate::finding::{Finding, FindingCode};

const DHCLIENT_WAITS: &[Duration] = &[secs(4), secs(8), secs(15), secs(15), secs(18)];
const NETWORKD_WAITS: &[Duration] = &[secs(2), secs(4), secs(8), secs(16), secs(32)];
const UDHCPC_WAITS: &[Duration] = &[secs(3), secs(3), secs(3)];

const DHCLIENT_PARAMETERS: &[u8] = &[1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42];
const NETWORKD_PARAMETERS: &[u8] = &[1, 3, 6, 12, 15, 26, 33, 42, 51, 54, 58, 59, 108, 119, 120, 121];
const UDHCPC_PARAMETERS: &[u8] = &[1, 3, 6, 12, 15, 28, 42];

pub(crate) const DHCLIENT: Profile = profile(DHCLIENT_WAITS, fill_dhclient);
pub(crate) const NETWORKD: Profile = profile(NETWORKD_WAITS, fill_networkd);
pub(crate) const UDHCPC: Profile = profile(UDHCPC_WAITS, fill_udhcpc);

const fn profile(waits: &'static [Duration], fill: fn(&Identity, MessageType, &mut Message)) -> Profile {
    Profile {
        discover_waits: waits,
        collect: Collect::First,
        request_waits: waits,
        boot_server: None,
        fill,
        choose: first_offer,
        boot: no_boot,
        needs_netmask: NeedsNetmask::No,
    }
}

fn fill_dhclient(_: &Identity, _: MessageType, message: &mut Message) {
    message.options.set(Code::PARAMETER_LIST, DHCLIENT_PARAMETERS);
    message.options.set_text(Code::HOSTNAME, "debian");
}

/// Its client identifier is an IAID and a DUID of the machine identifier (RFC 4361); here both come from the MAC, so that
/// a played machine keeps them.
fn fill_networkd(who: &Identity, _: MessageType, message: &mut Message) {
    let [a, b, c, d, e, f] = who.mac.0;
    message.options.set(Code::CLIENT_ID, [255, c, d, e, f, 0, 2, 0, 0, 0xab, 0x11, a, b, c, d, e, f, 0, 0]);
    message.options.set(Code::PARAMETER_LIST, NETWORKD_PARAMETERS);
    message.options.set_u16(Code::MAX_SIZE, 1472);
}

fn fill_udhcpc(who: &Identity, _: MessageType, message: &mut Message) {
    message.options.set_u16(Code::MAX_SIZE, 576);
    message.options.set(Code::PARAMETER_LIST, UDHCPC_PARAMETERS);
    message.options.set_text(Code::VENDOR_CLASS, "udhcp 1.35.0");
    message.options.set(Code::CLIENT_ID, [&[1], who.mac.0.as_slice()].concat());
}

pub(super) fn first_offer(offers: &[Offer]) -> Result<Choice, Finding> {
    let take = offers.iter().position(Offer::has_address);
    take.map(|take| Choice { take, proxy: None, ask: None }).ok_or_else(|| {
        Finding::new(FindingCode::NoAddress, "only offers without an address came", String::new())
    })
}

pub(super) fn no_boot(_: &Lease) -> Result<Option<BootData>, Finding> {
    Ok(None)
}
