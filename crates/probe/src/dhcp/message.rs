//! Parts of messages that several clients have.

use bootlace_wire::dhcp::{Arch, Code, Message};

use super::Identity;

/// What EDK2 asks for (edk2, PxeBcDhcp4), as captured.
pub(crate) const EDK2_PARAMETERS: &[u8] = &[
    1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97,
    128, 129, 130, 131, 132, 133, 134, 135,
];

/// What Intel's PXE 2.1 ROMs ask for, as captured.
pub(crate) const ROM_PARAMETERS: &[u8] = &[
    1, 2, 3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67,
    128, 129, 130, 131, 132, 133, 134, 135,
];

/// Option 97: type 0 and the UUID.
pub(crate) fn set_uuid(who: &Identity, message: &mut Message) {
    message.options.set(Code::UUID, [&[0], who.uuid.as_slice()].concat());
}

/// Options 93, 94 and 60 as PXE clients send them (PXE 2.1 section 2.2, RFC 4578).
pub(crate) fn set_pxe_class(message: &mut Message, class: &str, arch: Arch, undi: (u8, u8)) {
    message.options.set_u16(Code::ARCH, arch.0);
    message.options.set(Code::UNDI, [1, undi.0, undi.1]);
    let text = format!("{class}:Arch:{:05}:UNDI:{:03}{:03}", arch.0, undi.0, undi.1);
    message.options.set_text(Code::VENDOR_CLASS, &text);
}
