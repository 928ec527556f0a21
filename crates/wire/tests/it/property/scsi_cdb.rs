//! Whatever initiators send, a disk answers within its bounds: no block past its end, no more data than there is room
//! for, and reservations that somebody who is registered holds. Shared with the fuzz target.

use bootlace_wire::scsi::{
    Access, Cdb, DataOut, Disk, Extent, Geometry, Identity, InitiatorPort, Io, IoError, IoResult, Lun,
    NexusId, Outcome, Provisioned, Provisioning, Reset, Run, Status, Step, Transfer, limits,
};

/// Larger than 32 bits can tell, so that all lengths of addresses are met.
const BLOCKS: u64 = (1 << 33) + 5;
const BLOCK_BYTES: u32 = 512;
/// A control byte, a CDB and what decides the data.
const RECORD_BYTES: usize = 24;

pub(crate) fn check(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let mut lun = Lun::new(disk(first));
    let nexuses = [attach(&mut lun, 1), attach(&mut lun, 2)];
    for record in rest.chunks(RECORD_BYTES) {
        let mut padded = [0; RECORD_BYTES];
        padded[..record.len()].copy_from_slice(record);
        let [control, cdb @ .., announced, fill, a, b, c, d, e] = padded;
        let data = if control & 8 == 0 {
            // Two small numbers, which are keys that others may have, too.
            [[0, 0, 0, 0, 0, 0, 0, fill], [0, 0, 0, 0, 0, 0, 0, a], [b; 8]].concat()
        } else {
            vec![fill, a, b, c, d, e, 0, 1]
        };
        command(&mut lun, &nexuses, control, &cdb, usize::from(announced) * 16, &data);
        while lun.poll_abort().is_some() {}
    }
    somebody_registered_holds(&mut lun, nexuses[0]);
}

fn disk(first: u8) -> Disk {
    Disk {
        geometry: Geometry {
            block_bytes: BLOCK_BYTES,
            blocks: if first & 4 == 0 { BLOCKS } else { 1 },
            physical_exponent: 3,
        },
        identity: Identity {
            vendor: *b"VENDOR  ",
            product: *b"PRODUCT         ",
            revision: *b"1   ",
            serial: "serial".into(),
            naa: 7,
            target: "iqn.2026-01.example:disk".into(),
        },
        provisioning: if first & 1 == 0 {
            Provisioning::Thin { granule_blocks: 8 }
        } else {
            Provisioning::Thick
        },
        access: if first & 2 == 0 { Access::ReadWrite } else { Access::ReadOnly },
    }
}

fn attach(lun: &mut Lun, number: u8) -> NexusId {
    let port = InitiatorPort { name: format!("iqn.2026-01.example:{number}"), isid: [number; 6] };
    lun.attach(port).expect("there are two")
}

fn command(lun: &mut Lun, nexuses: &[NexusId; 2], control: u8, cdb: &Cdb, announced: usize, fill: &[u8]) {
    match control >> 4 {
        0xf => lun.reset(Reset::Unit),
        0xe => lun.task_set_cleared(nexuses[0]),
        _ => {}
    }
    let address = if control & 2 == 0 { [0; 8] } else { [0, control, 0, 0, 0, 0, 0, 0] };
    let expected = lun.expected(address, cdb);
    let wanted = match expected {
        Transfer::Out(bytes) => bytes,
        Transfer::None | Transfer::In(_) => 0,
    };
    assert!(wanted <= 2 * u64::from(limits::TRANSFER_BYTES_MAX), "{wanted} bytes");
    // Mostly what the CDB says, and what somebody announces who is wrong.
    let announced = if control & 4 == 0 { wanted.min(1 << 12) as usize } else { announced };
    let data: Vec<u8> = fill.iter().copied().cycle().take(announced.min(wanted as usize)).collect();
    let data = DataOut { announced: announced as u64, bytes: &data };
    match lun.start(nexuses[usize::from(control & 1)], address, cdb, data) {
        Step::Done(outcome) => answered(&outcome, expected),
        Step::Io(io) => {
            assert_eq!(address, [0; 8]);
            on_the_disk(lun, &io, data.announced);
            for result in results() {
                answered(&lun.finish(&io, &result), expected);
            }
        }
    }
}

fn answered(outcome: &Outcome, expected: Transfer) {
    assert_eq!(outcome.status == Status::CheckCondition, !outcome.sense.is_empty());
    let room = if let Transfer::In(bytes) = expected { bytes } else { 0 };
    assert!(
        outcome.data_in.len() as u64 <= room,
        "{} bytes where there is room for {room}",
        outcome.data_in.len()
    );
}

fn on_the_disk(lun: &Lun, io: &Io, announced: u64) {
    let of_one = |extent: &Extent| vec![*extent];
    let (extents, bytes) = match io {
        Io::Read(extent)
        | Io::Verify(extent, _)
        | Io::WriteSame(extent)
        | Io::Zero(extent, _)
        | Io::LbaStatus { extent, .. } => (of_one(extent), 0),
        Io::Write(extent, _) | Io::WriteVerify(extent, _) | Io::OrWrite(extent, _) => {
            (of_one(extent), extent.blocks)
        }
        Io::CompareAndWrite(extent, _) => (of_one(extent), 2 * extent.blocks),
        Io::Unmap(extents) => (extents.clone(), 0),
        Io::Flush => return,
    };
    assert!(bytes * u64::from(BLOCK_BYTES) <= announced, "more is written than came");
    assert!(!extents.is_empty() && extents.len() <= limits::UNMAP_RANGES_MAX as usize);
    for extent in extents {
        let end = extent.block.checked_add(extent.blocks).expect("an end");
        assert!(extent.blocks > 0 && end <= lun.disk().geometry.blocks, "{extent:?}");
    }
    let changes = !matches!(io, Io::Read(_) | Io::Verify(..) | Io::LbaStatus { .. });
    assert!(!changes || lun.disk().access == Access::ReadWrite, "a read-only disk was changed by {io:?}");
    assert!(!matches!(io, Io::Unmap(_)) || lun.disk().provisioning != Provisioning::Thick);
}

fn results() -> [IoResult; 5] {
    let run = Run { blocks: u32::MAX, state: Provisioned::Deallocated };
    [
        IoResult::Done,
        IoResult::LbaStatus(vec![run; 300]),
        IoResult::Miscompare(u64::MAX),
        IoResult::Failed(IoError::Write(Some(u64::MAX))),
        IoResult::Failed(IoError::NoSpace),
    ]
}

/// READ RESERVATION and READ FULL STATUS tell the same story.
fn somebody_registered_holds(lun: &mut Lun, nexus: NexusId) {
    lun.reset(Reset::Unit);
    let mut persistent_in = |action: u8| {
        let cdb = [0x5e, action, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0];
        // The first one may hear of the reset instead.
        let steps = [(); 2].map(|()| lun.start(nexus, [0; 8], &cdb, DataOut::NONE));
        match steps {
            [_, Step::Done(outcome)] => outcome.data_in,
            [_, Step::Io(io)] => panic!("{io:?}"),
        }
    };
    let reservation = persistent_in(1);
    let status = persistent_in(3);
    let mut holders = 0;
    let mut rest = &status[8..];
    while let Some((known, more)) = rest.split_first_chunk::<24>() {
        holders += usize::from(known[12] & 1);
        rest = &more[usize::from(u16::from_be_bytes([known[22], known[23]]))..];
    }
    assert_eq!(reservation.len() > 8, holders > 0, "{reservation:02x?} {status:02x?}");
}
