//! Mode pages: Caching, Control and Informational Exceptions Control (SPC-4 section 7.5, SBC-3 section 6.4).

use super::command::{BlockDescriptors, ModeHeader, ModeSense, PageValues};
use super::identity::{Access, Disk};
use super::sense::{Reason, Sense, SenseFormat};

const CACHING: u8 = 0x08;
const CONTROL: u8 = 0x0a;
const EXCEPTIONS: u8 = 0x1c;
const PAGES: [u8; 3] = [CACHING, CONTROL, EXCEPTIONS];
const ALL_PAGES: u8 = 0x3f;
const ALL_SUBPAGES: u8 = 0xff;

/// Of byte 2 of the Control page: sense data of descriptor format.
const D_SENSE: u8 = 0x04;
/// Of byte 4 of the Control page: the initiator protects the disk from writes.
const SWP: u8 = 0x08;

/// What of the mode pages can change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modes {
    /// D_SENSE.
    pub(super) sense: SenseFormat,
    /// SWP.
    pub(super) protect: Protect,
}

/// Whether initiators protect the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protect {
    /// They do not.
    #[default]
    Off,
    /// They do.
    On,
}

impl Modes {
    /// The bytes of a page, header included.
    fn page(self, page: u8) -> Option<Vec<u8>> {
        match page {
            CACHING => {
                const WCE: u8 = 0x04;
                let mut bytes = vec![0; 20];
                bytes[..3].copy_from_slice(&[CACHING, 18, WCE]);
                Some(bytes)
            }
            CONTROL => {
                /// Commands may be done in any order.
                const UNRESTRICTED_REORDERING: u8 = 0x10;
                let sense = if self.sense == SenseFormat::Descriptor { D_SENSE } else { 0 };
                let protect = if self.protect == Protect::On { SWP } else { 0 };
                let mut bytes = vec![0; 12];
                bytes[..5].copy_from_slice(&[CONTROL, 10, sense, UNRESTRICTED_REORDERING, protect]);
                Some(bytes)
            }
            EXCEPTIONS => {
                let mut bytes = vec![0; 12];
                bytes[..2].copy_from_slice(&[EXCEPTIONS, 10]);
                Some(bytes)
            }
            _ => None,
        }
    }

    /// The parameter data of MODE SENSE.
    pub(super) fn sense(self, asked: ModeSense, disk: &Disk) -> Result<Vec<u8>, Sense> {
        let pages: &[u8] = match (asked.page, asked.subpage) {
            (ALL_PAGES, 0 | ALL_SUBPAGES) => &PAGES,
            (ALL_PAGES, _) => return Err(Sense::cdb(3)),
            (page, 0) if PAGES.contains(&page) => &[page],
            (page, _) if PAGES.contains(&page) => return Err(Sense::cdb(3)),
            _ => return Err(Sense::cdb_bit(2, 5)),
        };
        let mut bytes =
            header(asked.header, self.device_specific(disk), block_descriptor(asked.descriptors, disk));
        for &page in pages {
            bytes.extend(
                match asked.values {
                    PageValues::Current => self.page(page),
                    PageValues::Default => Self::default().page(page),
                    PageValues::Changeable => changeable(page),
                }
                .unwrap_or_default(),
            );
        }
        set_length(asked.header, &mut bytes);
        Ok(bytes)
    }

    /// WP and DPOFUA.
    fn device_specific(self, disk: &Disk) -> u8 {
        const WP: u8 = 0x80;
        const DPOFUA: u8 = 0x10;
        let protected = self.protect == Protect::On || disk.access == Access::ReadOnly;
        if protected { WP | DPOFUA } else { DPOFUA }
    }

    /// What the parameter list of a MODE SELECT makes of the pages; nothing is changed unless all of it is good.
    pub(super) fn select(self, form: ModeHeader, list: &[u8], disk: &Disk) -> Result<Self, Sense> {
        if list.is_empty() {
            return Ok(self);
        }
        let too_short = || Sense::from(Reason::ParameterListLength);
        let (header_bytes, descriptor_bytes) = match form {
            ModeHeader::Short => (4, usize::from(*list.get(3).ok_or_else(too_short)?)),
            ModeHeader::Long => {
                let length = list.get(6..8).ok_or_else(too_short)?;
                (8, usize::from(u16::from_be_bytes([length[0], length[1]])))
            }
        };
        let descriptor = list.get(header_bytes..header_bytes + descriptor_bytes).ok_or_else(too_short)?;
        check_descriptor(descriptor, header_bytes as u16, disk)?;
        let mut modes = self;
        let mut at = header_bytes + descriptor_bytes;
        while at < list.len() {
            let page = &list[at..];
            let length = 2 + usize::from(*page.get(1).ok_or_else(too_short)?);
            let page = page.get(..length).ok_or_else(too_short)?;
            modes = modes.with(page, at as u16)?;
            at += length;
        }
        Ok(modes)
    }

    /// One page of a MODE SELECT, which begins at `at` of the list.
    fn with(self, page: &[u8], at: u16) -> Result<Self, Sense> {
        // Bit 7 is PS, which MODE SENSE may have set; bit 6 says that there is a subpage.
        let current = self.page(page[0] & 0x7f).ok_or(Sense::parameter(at))?;
        if current.len() != page.len() {
            return Err(Sense::parameter(at + 1));
        }
        let changeable = changeable(current[0]).unwrap_or_default();
        for (offset, &byte) in page.iter().enumerate().skip(2) {
            let fixed = !changeable[offset];
            if (byte ^ current[offset]) & fixed != 0 {
                return Err(Sense::parameter(at + offset as u16));
            }
        }
        if current[0] != CONTROL {
            return Ok(self);
        }
        let sense = if page[2] & D_SENSE != 0 { SenseFormat::Descriptor } else { SenseFormat::Fixed };
        let protect = if page[4] & SWP != 0 { Protect::On } else { Protect::Off };
        Ok(Self { sense, protect })
    }
}

/// A page with ones where MODE SELECT can change bits.
fn changeable(page: u8) -> Option<Vec<u8>> {
    let mut bytes = Modes::default().page(page)?;
    bytes[2..].fill(0);
    if page == CONTROL {
        bytes[2] = D_SENSE;
        bytes[4] = SWP;
    }
    Some(bytes)
}

/// The header with its descriptor; its length is set when all pages are there.
fn header(form: ModeHeader, device_specific: u8, descriptor: Vec<u8>) -> Vec<u8> {
    let length = descriptor.len() as u8;
    let mut bytes = match form {
        ModeHeader::Short => vec![0, 0, device_specific, length],
        ModeHeader::Long => {
            const LONG_LBA: u8 = 1;
            let long = if length == 16 { LONG_LBA } else { 0 };
            vec![0, 0, 0, device_specific, long, 0, 0, length]
        }
    };
    bytes.extend(descriptor);
    bytes
}

/// MODE DATA LENGTH: the bytes behind it.
fn set_length(form: ModeHeader, bytes: &mut [u8]) {
    match form {
        ModeHeader::Short => bytes[0] = bytes.len() as u8 - 1,
        ModeHeader::Long => {
            let length = bytes.len() as u16 - 2;
            bytes[..2].copy_from_slice(&length.to_be_bytes());
        }
    }
}

fn block_descriptor(form: BlockDescriptors, disk: &Disk) -> Vec<u8> {
    let geometry = disk.geometry;
    match form {
        BlockDescriptors::None => Vec::new(),
        BlockDescriptors::Short => {
            let blocks = u32::try_from(geometry.blocks).unwrap_or(u32::MAX);
            // Three bytes hold the length of a block; the byte before them is reserved, and zero for 512 and 4096.
            [blocks.to_be_bytes(), geometry.block_bytes.to_be_bytes()].concat()
        }
        BlockDescriptors::Long => {
            [&geometry.blocks.to_be_bytes()[..], &[0; 4], &geometry.block_bytes.to_be_bytes()].concat()
        }
    }
}

/// A MODE SELECT may repeat the size of the disk, or say zero for "as it is".
fn check_descriptor(descriptor: &[u8], at: u16, disk: &Disk) -> Result<(), Sense> {
    let form = match descriptor.len() {
        0 => return Ok(()),
        8 => BlockDescriptors::Short,
        16 => BlockDescriptors::Long,
        _ => return Err(Sense::parameter(at - 1)),
    };
    let ours = block_descriptor(form, disk);
    let (blocks, rest) = descriptor.split_at(descriptor.len() / 2);
    let same = blocks == &ours[..blocks.len()] || blocks.iter().all(|&byte| byte == 0);
    if same && rest == &ours[blocks.len()..] { Ok(()) } else { Err(Sense::parameter(at)) }
}
