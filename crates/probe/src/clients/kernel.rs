//! A Linux kernel with `ip=dhcp` (net/ipv4/ipconfig.c).

use std::time::Duration;

use bootlace_wire::dhcp::{Code, Message, MessageType};

use super::os::{first_offer, no_boot};
use crate::dhcp::{Collect, Identity, NeedsNetmask, Profile, secs};

const WAITS: &[Duration] = &[secs(2), secs(4), secs(8), secs(16), secs(30)];
const PARAMETERS: &[u8] = &[1, 3, 6, 12, 15, 17, 26, 40, 42];

pub(crate) const PROFILE: Profile = Profile {
    discover_waits: WAITS,
    collect: Collect::First,
    request_waits: WAITS,
    boot_server: None,
    fill,
    choose: first_offer,
    boot: no_boot,
    needs_netmask: NeedsNetmask::No,
};

fn fill(_: &Identity, _: MessageType, message: &mut Message) {
    message.options.set(Code::PARAMETER_LIST, PARAMETERS);
}
