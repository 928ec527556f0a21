//! An offer as clients read it.

use std::net::{Ipv4Addr, SocketAddrV4};

use bootlace_wire::cursor::Cursor;
use bootlace_wire::dhcp::{Code, Message};

use crate::text::shown;

/// An offer.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) from: SocketAddrV4,
    pub(crate) message: Message,
}

/// What option 60 of an offer makes of it (PXE 2.1 section 2.2.3; the names are EDK2's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PxeKind {
    /// No `PXEClient`.
    Plain,
    /// `PXEClient` with PXE options in 43.
    Pxe10,
    /// `PXEClient` without: the file is to be had at port 4011.
    Binl,
}

/// Where a boot file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BootData {
    /// `None` when the name is a URL with a host of its own.
    pub(crate) server: Option<Ipv4Addr>,
    pub(crate) file: String,
}

/// PXE options inside option 43 (PXE 2.1 section 2.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VendorOptions {
    /// 6: discovery control.
    pub(crate) control: Option<u8>,
    /// 8: addresses of boot servers by type.
    pub(crate) servers: Vec<(u16, Vec<Ipv4Addr>)>,
    /// 9: entries of the boot menu.
    pub(crate) menu: Vec<(u16, String)>,
    /// 10: seconds before the first entry is taken; 255 waits for ever.
    pub(crate) prompt: Option<u8>,
    /// 7 or any of the above is there.
    present: bool,
}

/// Discovery control: a boot file that is named is to be used at once.
const USE_FILE_AT_ONCE: u8 = 8;

impl VendorOptions {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let (mut from, mut options) = (Cursor::new(bytes), Self::default());
        while let Some(tag) = from.u8().filter(|tag| *tag != 255) {
            if tag == 0 {
                continue;
            }
            let Some(value) = from.u8().and_then(|len| from.take(usize::from(len))) else { break };
            options.present |= matches!(tag, 6..=10);
            match tag {
                6 => options.control = value.first().copied(),
                8 => options.servers = boot_servers(value),
                9 => options.menu = boot_menu(value),
                10 => options.prompt = value.first().copied(),
                _ => {}
            }
        }
        options
    }
}

fn boot_servers(bytes: &[u8]) -> Vec<(u16, Vec<Ipv4Addr>)> {
    let (mut from, mut servers) = (Cursor::new(bytes), Vec::new());
    while let (Some(kind), Some(count)) = (from.u16(), from.u8()) {
        let Some(quads) = from.take(usize::from(count) * 4) else { break };
        servers.push((kind, quads.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from).collect()));
    }
    servers
}

fn boot_menu(bytes: &[u8]) -> Vec<(u16, String)> {
    let (mut from, mut menu) = (Cursor::new(bytes), Vec::new());
    while let (Some(kind), Some(len)) = (from.u16(), from.u8()) {
        let Some(text) = from.take(usize::from(len)) else { break };
        menu.push((kind, shown(text)));
    }
    menu
}

impl Offer {
    pub(crate) fn has_address(&self) -> bool {
        !self.message.yiaddr.is_unspecified()
    }

    pub(crate) fn class_begins(&self, class: &[u8]) -> bool {
        self.message.vendor_class().is_some_and(|text| text.starts_with(class))
    }

    pub(crate) fn pxe_kind(&self) -> PxeKind {
        match (self.class_begins(b"PXEClient"), self.vendor().present) {
            (false, _) => PxeKind::Plain,
            (true, true) => PxeKind::Pxe10,
            (true, false) => PxeKind::Binl,
        }
    }

    pub(crate) fn vendor(&self) -> VendorOptions {
        VendorOptions::parse(self.message.options.get(Code::VENDOR).unwrap_or_default())
    }

    /// The file is to be used as it is, without a menu and without port 4011.
    pub(crate) fn file_at_once(&self) -> bool {
        self.vendor().control.is_some_and(|control| control & USE_FILE_AT_ONCE != 0) && self.has_file()
    }

    pub(crate) fn has_file(&self) -> bool {
        name_of(&self.message).is_some()
    }

    /// The server that speaks, by what it says and else by its address.
    pub(crate) fn server(&self) -> Ipv4Addr {
        self.message.server_id().unwrap_or(*self.from.ip())
    }

    /// In one line.
    pub(crate) fn summary(&self) -> String {
        let message = &self.message;
        let mut parts = Vec::new();
        parts.push(if self.has_address() { message.yiaddr.to_string() } else { "no address".to_owned() });
        if !message.siaddr.is_unspecified() {
            parts.push(format!("next-server {}", message.siaddr));
        }
        if let Some(file) = name_of(message) {
            parts.push(format!("file {file}"));
        }
        if let Some(class) = message.vendor_class() {
            parts.push(format!("class {}", shown(class)));
        }
        let vendor = self.vendor();
        if let Some(control) = vendor.control {
            parts.push(format!("discovery control {control:#04x}"));
        }
        for (kind, text) in &vendor.menu {
            parts.push(format!("menu entry {kind} {text:?}"));
        }
        for (kind, servers) in &vendor.servers {
            parts.push(format!("boot servers of type {kind}: {servers:?}"));
        }
        if let Some(secs) = vendor.prompt {
            parts.push(format!("prompt {secs} s"));
        }
        parts.join(", ")
    }
}

/// The boot file's name: option 67, else the header's field. (Loaders differ only where the two differ, and nobody
/// should send two names.)
pub(crate) fn name_of(message: &Message) -> Option<String> {
    let option = message.options.text(Code::BOOT_FILE).filter(|name| !name.is_empty());
    let name = option.or(Some(message.file.as_slice()).filter(|name| !name.is_empty()))?;
    Some(shown_name(name))
}

/// A name is bytes; what is no text is replaced, which changes nothing for names that exist.
fn shown_name(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendor_options_read_what_firmware_reads() {
        let bytes = [
            &[6, 1, 8, 8, 7, 0x80, 0, 1, 10, 0, 0, 1][..],
            &[9, 7, 0, 0, 4],
            b"disk",
            &[10, 5, 30],
            b"Boot",
            &[255, 6, 1, 0],
        ]
        .concat();
        let options = VendorOptions::parse(&bytes);
        assert_eq!((options.control, options.prompt), (Some(8), Some(30)));
        assert_eq!(options.servers, [(0x8000, vec![Ipv4Addr::new(10, 0, 0, 1)])]);
        assert_eq!(options.menu, [(0, "disk".to_owned())]);
        assert_eq!(VendorOptions::parse(&[6, 9, 1]), VendorOptions::default());
        assert_eq!(VendorOptions::parse(&[9, 3, 0, 0, 9]).menu, []);
    }
}
