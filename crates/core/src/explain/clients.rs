//! The DHCP messages that clients send, as far as decisions depend on them.

use std::net::Ipv4Addr;

use bootlace_wire::Mac;
use bootlace_wire::dhcp::{Code, Feature, Message, MessageType, Op};

use crate::model::{ClientId, Firmware, Text, Uuid};

/// Who speaks.
#[derive(Clone, Debug)]
pub(super) enum Speaker<'a> {
    /// PXE firmware.
    Firmware,
    /// UEFI HTTP Boot.
    HttpBoot,
    /// An iPXE with these features.
    Ipxe(&'a [Feature]),
}

/// What the iPXE ROM of QEMU says it has (Debian 12's, as captured).
pub(super) const ROM_FEATURES: [Feature; 12] = [
    Feature::PxeExt,
    Feature::Iscsi,
    Feature::Aoe,
    Feature::Http,
    Feature::Tftp,
    Feature::Dns,
    Feature::Bzimage,
    Feature::Multiboot,
    Feature::Pxe,
    Feature::Elf,
    Feature::Menu,
    Feature::Nfs,
];

/// What the distribution's loader for a firmware has (Debian 12's, as captured).
pub(super) fn own_features(firmware: Firmware) -> Vec<Feature> {
    if firmware.is_uefi() {
        use Feature::{Aoe, Dns, Efi, Http, Iscsi, Menu, Nfs, Tftp};
        return vec![Aoe, Dns, Efi, Http, Iscsi, Menu, Nfs, Tftp];
    }
    ROM_FEATURES.to_vec()
}

/// `${platform}` and `${buildarch}` of an iPXE for a firmware.
pub(super) fn build(firmware: Firmware) -> (&'static str, &'static str) {
    match firmware {
        Firmware::Bios | Firmware::Other(_) => ("pcbios", "i386"),
        Firmware::UefiIa32 | Firmware::HttpIa32 => ("efi", "i386"),
        Firmware::UefiX64 | Firmware::HttpX64 => ("efi", "x86_64"),
        Firmware::UefiArm32 | Firmware::HttpArm32 => ("efi", "arm32"),
        Firmware::UefiArm64 | Firmware::HttpArm64 => ("efi", "arm64"),
        Firmware::UefiRiscv64 | Firmware::HttpRiscv64 => ("efi", "riscv64"),
        Firmware::UefiLoong64 | Firmware::HttpLoong64 => ("efi", "loong64"),
    }
}

/// The transaction id of explained packets.
const XID: u32 = 0x0b00_71ac;

/// A machine on the wire.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) mac: Mac,
    pub(super) firmware: Firmware,
    pub(super) uuid: Option<Uuid>,
    pub(super) vendor_class: Option<Text>,
    pub(super) client_id: Option<ClientId>,
}

impl Client {
    /// Its DISCOVER. Every transaction of a boot has an id of its own.
    pub(super) fn discover(&self, speaker: &Speaker<'_>, transaction: u32) -> Message {
        let mut message = Message::new(Op::Request, self.mac.into(), XID.wrapping_add(transaction));
        let options = &mut message.options;
        options.set_u8(Code::MESSAGE_TYPE, MessageType::Discover.code());
        options.set_u16(Code::MAX_SIZE, 1472);
        let (scheme, firmware) = match speaker {
            Speaker::HttpBoot => ("HTTPClient", self.firmware.http_boot().unwrap_or(self.firmware)),
            Speaker::Firmware | Speaker::Ipxe(_) => ("PXEClient", self.firmware.over_tftp()),
        };
        let arch = firmware.arch();
        options.set_u16(Code::ARCH, arch);
        options.set(Code::UNDI, [1, 2, 1]);
        let class = format!("{scheme}:Arch:{arch:05}:UNDI:002001");
        let own_class = self.vendor_class.as_ref().filter(|class| class.as_str().starts_with(scheme));
        options.set_text(Code::VENDOR_CLASS, own_class.map_or(&class, |class| class.as_str()));
        options.set(Code::PARAMETER_LIST, [1, 3, 6, 7, 12, 15, 17, 43, 60, 66, 67, 175, 203]);
        if let Some(uuid) = self.uuid {
            let mut bytes = vec![0];
            bytes.extend(uuid.swapped().0);
            options.set(Code::UUID, bytes);
        }
        if let Some(id) = &self.client_id {
            options.set(Code::CLIENT_ID, id.as_bytes());
        }
        if let Speaker::Ipxe(features) = speaker {
            options.set(Code::USER_CLASS, *b"iPXE");
            options.set(
                Code::IPXE,
                features.iter().flat_map(|feature| [feature.tag(), 1, 1]).collect::<Vec<u8>>(),
            );
        }
        message
    }
}

/// What goes to port 4011 after a proxy's offer without a file, from the address of another server.
pub(super) fn boot_server_request(discover: &Message, own: Ipv4Addr) -> Message {
    let mut message = discover.clone();
    message.ciaddr = own;
    message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Request.code());
    message
}

/// The REQUEST that takes an offer.
pub(super) fn request(discover: &Message, offer: &Message) -> Message {
    let mut message = discover.clone();
    message.options.set_u8(Code::MESSAGE_TYPE, MessageType::Request.code());
    message.options.set_ip(Code::REQUESTED_IP, offer.yiaddr);
    if let Some(server) = offer.server_id() {
        message.options.set_ip(Code::SERVER_ID, server);
    }
    message
}
