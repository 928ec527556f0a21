//! The disk as initiators see it, byte by byte. CDBs and answers are written out from SPC-4 and SBC-3.

mod attentions;
mod blocks;
mod identity;
mod modes;
mod operations;
mod reservations;
mod senses;
mod thin;

use bootlace_wire::scsi::{
    Access, Cdb, DataOut, Disk, Geometry, Identity, InitiatorPort, Io, Lun, NexusId, Outcome, Provisioning,
    Status, Step,
};

/// 1 GiB.
const BLOCKS: u64 = 2 << 20;
const LUN_0: [u8; 8] = [0; 8];

fn thin() -> Disk {
    Disk {
        geometry: Geometry { block_bytes: 512, blocks: BLOCKS, physical_exponent: 3 },
        identity: Identity {
            vendor: *b"BOOTLACE",
            product: *b"DISK            ",
            revision: *b"0001",
            serial: "b7f3".into(),
            naa: 0x0123_4567_89ab_cdef,
            target: "iqn.2026-01.example:m1".into(),
        },
        provisioning: Provisioning::Thin { granule_blocks: 8 },
        access: Access::ReadWrite,
    }
}

fn thick() -> Disk {
    Disk { provisioning: Provisioning::Thick, ..thin() }
}

fn port(number: u8) -> InitiatorPort {
    InitiatorPort { name: format!("iqn.2026-01.example:host{number}"), isid: [0x40, 0, 0, 0, 0, number] }
}

/// A CDB from its first bytes.
fn cdb<const N: usize>(bytes: [u8; N]) -> Cdb {
    let mut cdb = [0; 16];
    cdb[..N].copy_from_slice(&bytes);
    cdb
}

/// A disk and the sessions that see it, numbered from 0; none has an attention waiting.
struct Bench {
    lun: Lun,
    nexuses: Vec<NexusId>,
}

impl Bench {
    fn new(disk: Disk) -> Self {
        Self::with_nexuses(disk, 1)
    }

    fn with_nexuses(disk: Disk, count: u8) -> Self {
        let mut lun = Lun::new(disk);
        let nexuses: Vec<_> = (0..count).map(|number| lun.attach(port(number)).unwrap()).collect();
        let mut bench = Self { lun, nexuses };
        for nexus in 0..count.into() {
            bench.attention(nexus);
        }
        bench
    }

    fn step(&mut self, nexus: usize, cdb: Cdb, data: &[u8]) -> Step {
        let data = DataOut { announced: data.len() as u64, bytes: data };
        self.lun.start(self.nexuses[nexus], LUN_0, &cdb, data)
    }

    fn outcome_of(&mut self, nexus: usize, cdb: Cdb, data: &[u8]) -> Outcome {
        match self.step(nexus, cdb, data) {
            Step::Done(outcome) => outcome,
            Step::Io(io) => panic!("{io:?}"),
        }
    }

    /// The outcome of a command of the first session, if there is one at once.
    fn outcome_or_io(&mut self, cdb: Cdb) -> Option<Outcome> {
        match self.step(0, cdb, &[]) {
            Step::Done(outcome) => Some(outcome),
            Step::Io(_) => None,
        }
    }

    /// What a good command without data from the initiator answers.
    fn answer(&mut self, cdb: Cdb) -> Vec<u8> {
        let outcome = self.outcome_of(0, cdb, &[]);
        assert_eq!(outcome.status, Status::Good, "{:02x?}", outcome.sense);
        outcome.data_in
    }

    fn io(&mut self, cdb: Cdb, data: &[u8]) -> Io {
        match self.step(0, cdb, data) {
            Step::Io(io) => io,
            Step::Done(outcome) => panic!("{outcome:02x?}"),
        }
    }

    /// Key, code and qualifier of a command that fails.
    fn failure(&mut self, cdb: Cdb, data: &[u8]) -> [u8; 3] {
        codes(&self.outcome_of(0, cdb, data))
    }

    /// The unit attention that waits, by code and qualifier; it is reported by this.
    fn attention(&mut self, nexus: usize) -> Option<[u8; 2]> {
        let outcome = self.outcome_of(nexus, cdb([0x00]), &[]);
        match outcome.status {
            Status::Good => None,
            _ => {
                let [key, code, qualifier] = codes(&outcome);
                assert_eq!(key, 6);
                Some([code, qualifier])
            }
        }
    }
}

/// Key, code and qualifier of sense data of fixed format.
fn codes(outcome: &Outcome) -> [u8; 3] {
    assert_eq!(outcome.status, Status::CheckCondition, "{outcome:02x?}");
    assert_eq!(outcome.sense[0] & 0x7f, 0x70);
    [outcome.sense[2], outcome.sense[12], outcome.sense[13]]
}

const INVALID_OPCODE: [u8; 3] = [5, 0x20, 0];
const OUT_OF_RANGE: [u8; 3] = [5, 0x21, 0];
const INVALID_FIELD: [u8; 3] = [5, 0x24, 0];

/// Good input for mutants: a byte about the disk, then records of a control byte (whose lowest bit is the session), a
/// CDB, and seven bytes about data: how many, two keys, and what follows them.
pub(crate) fn conversations() -> Vec<Vec<u8>> {
    let record = |control: u8, cdb: Cdb, [key, service_key]: [u8; 2]| {
        [&[control][..], &cdb, &[2, key, service_key, 0, 0, 0, 0]].concat()
    };
    let out = |action: u8, kind: u8| cdb([0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0]);
    let everything: Vec<u8> = operations::supported()
        .into_iter()
        .flat_map(|(opcode, action)| {
            let cdb = cdb([opcode, action as u8, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 1]);
            [record(0, cdb, [0, 7]), record(8, cdb, [0, 7])].concat()
        })
        .collect();
    let reserved: Vec<u8> = [1, 3, 5, 6, 7, 8]
        .into_iter()
        .flat_map(|kind| {
            [
                record(0, out(6, 0), [0, 7]),
                record(0, out(6, 0), [0, 7]),
                record(1, out(6, 0), [0, 8]),
                record(1, out(6, 0), [0, 8]),
                record(0, out(1, kind), [7, 0]),
                record(1, cdb([0x2a, 0, 0, 0, 0, 9, 0, 0, 1, 0]), [0, 0]),
                record(1, out(5, kind), [8, 7]),
                record(1, out(0, 0), [8, 0]),
            ]
            .concat()
        })
        .collect();
    let begin = |first: u8, records: &[u8]| [&[first][..], records].concat();
    vec![begin(0, &everything), begin(1, &everything), begin(0, &reserved), begin(0, &reserved[..120])]
}
