//! INQUIRY: the standard data and the pages of vital product data (SPC-4 sections 6.6 and 7.8, SBC-3 section 6.5).

use super::identity::{Disk, Provisioning};
use super::limits::{COMPARE_BLOCKS_MAX, TRANSFER_BYTES_MAX, UNMAP_BLOCKS_MAX, UNMAP_RANGES_MAX};
use super::sense::Sense;

const SUPPORTED_PAGES: u8 = 0x00;
const SERIAL_NUMBER: u8 = 0x80;
const DEVICE_IDENTIFICATION: u8 = 0x83;
const BLOCK_LIMITS: u8 = 0xb0;
const BLOCK_CHARACTERISTICS: u8 = 0xb1;
const PROVISIONING: u8 = 0xb2;
const PAGES: [u8; 6] = [
    SUPPORTED_PAGES,
    SERIAL_NUMBER,
    DEVICE_IDENTIFICATION,
    BLOCK_LIMITS,
    BLOCK_CHARACTERISTICS,
    PROVISIONING,
];

/// SAM-5, SPC-4, SBC-3 and iSCSI, no version claimed (SPC-4 annex F.8).
const VERSIONS: [u16; 4] = [0x00a0, 0x0460, 0x04c0, 0x0960];
/// The longest serial number; the length of its page is kept in one byte.
const SERIAL_BYTES_MAX: usize = 252;

/// The standard data of the disk.
pub(super) fn standard(disk: &Disk) -> Vec<u8> {
    const DIRECT_ACCESS: u8 = 0x00;
    standard_of(DIRECT_ACCESS, disk)
}

/// The standard data of a logical unit that is not there: qualifier 011b, type 1Fh.
pub(super) fn absent(disk: &Disk) -> Vec<u8> {
    const NO_DEVICE: u8 = 0x7f;
    standard_of(NO_DEVICE, disk)
}

fn standard_of(peripheral: u8, disk: &Disk) -> Vec<u8> {
    const SPC_4: u8 = 6;
    /// Hierarchical addressing, response data of format 2.
    const HISUP_FORMAT: u8 = 0x12;
    const CMDQUE: u8 = 0x02;
    let mut bytes = vec![0; 96];
    bytes[0] = peripheral;
    bytes[2] = SPC_4;
    bytes[3] = HISUP_FORMAT;
    bytes[4] = 96 - 5;
    bytes[7] = CMDQUE;
    bytes[8..16].copy_from_slice(&disk.identity.vendor);
    bytes[16..32].copy_from_slice(&disk.identity.product);
    bytes[32..36].copy_from_slice(&disk.identity.revision);
    for (at, version) in VERSIONS.into_iter().enumerate() {
        bytes[58 + 2 * at..60 + 2 * at].copy_from_slice(&version.to_be_bytes());
    }
    bytes
}

/// A page of vital product data.
pub(super) fn vital(page: u8, disk: &Disk) -> Result<Vec<u8>, Sense> {
    let body = match page {
        SUPPORTED_PAGES => PAGES.to_vec(),
        SERIAL_NUMBER => serial(disk).to_vec(),
        DEVICE_IDENTIFICATION => designators(disk),
        BLOCK_LIMITS => limits(disk),
        BLOCK_CHARACTERISTICS => characteristics(),
        PROVISIONING => provisioning(disk),
        _ => return Err(Sense::cdb(2)),
    };
    let [high, low] = (body.len() as u16).to_be_bytes();
    let mut bytes = vec![0, page, high, low];
    bytes.extend(body);
    Ok(bytes)
}

fn serial(disk: &Disk) -> &[u8] {
    let bytes = disk.identity.serial.as_bytes();
    &bytes[..bytes.len().min(SERIAL_BYTES_MAX)]
}

/// The designation descriptors of the unit, its target port and its target (SPC-4 section 7.8.6).
fn designators(disk: &Disk) -> Vec<u8> {
    const BINARY: u8 = 0x01;
    const ASCII: u8 = 0x02;
    const UTF_8: u8 = 0x03;
    /// The protocol identifier of iSCSI, in the upper half of the first byte; PIV says that it counts.
    const ISCSI: u8 = 0x50;
    const PIV: u8 = 0x80;
    const PORT: u8 = 0x10;
    const TARGET: u8 = 0x20;
    const T10_VENDOR: u8 = 0x01;
    const NAA: u8 = 0x03;
    const RELATIVE_PORT: u8 = 0x04;
    const SCSI_NAME: u8 = 0x08;

    let locally_assigned = 3 << 60 | disk.identity.naa & (u64::MAX >> 4);
    let vendor_and_serial = [&disk.identity.vendor[..], serial(disk)].concat();
    let target = &disk.identity.target;
    let mut bytes = Vec::new();
    designator(&mut bytes, [BINARY, NAA], &locally_assigned.to_be_bytes());
    designator(&mut bytes, [ASCII, T10_VENDOR], &vendor_and_serial);
    designator(&mut bytes, [ISCSI | BINARY, PIV | PORT | RELATIVE_PORT], &1_u32.to_be_bytes());
    designator(&mut bytes, [ISCSI | UTF_8, PIV | PORT | SCSI_NAME], &scsi_name(format!("{target},t,0x0001")));
    designator(&mut bytes, [ISCSI | UTF_8, PIV | TARGET | SCSI_NAME], &scsi_name(target.clone()));
    bytes
}

/// The length of a designator has one byte; what does not fit is cut.
fn designator(bytes: &mut Vec<u8>, kind: [u8; 2], value: &[u8]) {
    let value = &value[..value.len().min(255)];
    bytes.extend(kind);
    bytes.extend([0, value.len() as u8]);
    bytes.extend(value);
}

/// SCSI name strings end with NULs up to a multiple of four (SPC-4 section 7.8.6.11).
fn scsi_name(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    let length = (bytes.len() + 1).next_multiple_of(4);
    bytes.resize(length, 0);
    bytes
}

/// The Block Limits page. What WRITE SAME fills has no limit, as far as it is zeros.
fn limits(disk: &Disk) -> Vec<u8> {
    let block_bytes = disk.geometry.block_bytes;
    let physical = 1_u16 << disk.geometry.physical_exponent.min(15);
    let mut body = vec![0; 0x3c];
    let mut put = |at: usize, value: &[u8]| body[at - 4..at - 4 + value.len()].copy_from_slice(value);
    put(5, &[COMPARE_BLOCKS_MAX]);
    put(6, &physical.to_be_bytes());
    put(8, &(TRANSFER_BYTES_MAX / block_bytes).to_be_bytes());
    if let Provisioning::Thin { granule_blocks } = disk.provisioning {
        put(20, &UNMAP_BLOCKS_MAX.to_be_bytes());
        put(24, &UNMAP_RANGES_MAX.to_be_bytes());
        put(28, &granule_blocks.to_be_bytes());
        const UGAVALID: u32 = 1 << 31;
        put(32, &UGAVALID.to_be_bytes());
    }
    body
}

/// The Block Device Characteristics page: no medium that rotates.
fn characteristics() -> Vec<u8> {
    const NON_ROTATING: [u8; 2] = [0, 1];
    let mut body = vec![0; 0x3c];
    body[..2].copy_from_slice(&NON_ROTATING);
    body
}

/// The Logical Block Provisioning page: UNMAP and both WRITE SAMEs give space back, which reads as zeros.
fn provisioning(disk: &Disk) -> Vec<u8> {
    const LBPU_LBPWS_LBPWS10_LBPRZ: u8 = 0xe4;
    const THIN: u8 = 2;
    match disk.provisioning {
        Provisioning::Thick => vec![0; 4],
        Provisioning::Thin { .. } => vec![0, LBPU_LBPWS_LBPWS10_LBPRZ, THIN, 0],
    }
}
