//! Status and sense data: how a command says that it failed, and why (SAM-5 section 5.3, SPC-4 section 4.5).

/// How a command ended (SAM-5 table 38). The values are those of the SCSI Response PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It did what was asked.
    Good = 0x00,
    /// The sense data say why not.
    CheckCondition = 0x02,
    /// Not now; asking again helps.
    Busy = 0x08,
    /// Somebody else has reserved the logical unit.
    ReservationConflict = 0x18,
    /// The queue of commands is full.
    TaskSetFull = 0x28,
    /// Somebody else has aborted it.
    TaskAborted = 0x40,
}

/// The class of a failure (SPC-4 table 48).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SenseKey {
    /// Nothing is wrong.
    NoSense = 0x0,
    /// The logical unit cannot be used now.
    NotReady = 0x2,
    /// The medium is damaged.
    MediumError = 0x3,
    /// The device is.
    HardwareError = 0x4,
    /// The command makes no sense.
    IllegalRequest = 0x5,
    /// Something happened that the initiator must know first.
    UnitAttention = 0x6,
    /// Writing is not allowed.
    DataProtect = 0x7,
    /// The device gave up; trying again may help.
    AbortedCommand = 0xb,
    /// Data are not what they were said to be.
    Miscompare = 0xe,
}

/// Why a command failed: the additional sense codes (SPC-4 annex F.2) that this target gives, each with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 0/00/00: what REQUEST SENSE says when there is nothing to say.
    Nothing,
    /// 2/04/00: the image behind the disk cannot be used.
    NotReady,
    /// 3/0C/00: a write failed.
    WriteError,
    /// 3/11/00: a read failed.
    ReadError,
    /// 4/44/00: the target itself failed.
    TargetFailure,
    /// 5/1A/00: a parameter list ends too early.
    ParameterListLength,
    /// 5/20/00: no such command here.
    InvalidOpcode,
    /// 5/21/00: past the end of the disk.
    OutOfRange,
    /// 5/24/00: a field of the CDB.
    InvalidFieldInCdb,
    /// 5/25/00: no such logical unit.
    NoLogicalUnit,
    /// 5/26/00: a field of the parameter list.
    InvalidFieldInParameters,
    /// 5/26/04: a persistent reservation is of another type than the one that is to be released.
    InvalidRelease,
    /// 5/39/00: pages cannot be saved.
    SavingNotSupported,
    /// 5/55/04: there are too many registrations.
    NoRoomForRegistration,
    /// 6/29/00: the first command of a nexus.
    PowerOn,
    /// 6/29/02: the target was reset.
    TargetReset,
    /// 6/29/03: the logical unit was reset.
    UnitReset,
    /// 6/2A/01: another nexus changed a mode page.
    ModeChanged,
    /// 6/2A/03: another nexus took the reservation over.
    ReservationsPreempted,
    /// 6/2A/04: another nexus gave the reservation up.
    ReservationsReleased,
    /// 6/2A/05: another nexus removed the registration of this one.
    RegistrationsPreempted,
    /// 6/2F/00: another nexus cleared the task set.
    CommandsCleared,
    /// 7/27/00: the disk is read-only.
    WriteProtected,
    /// 7/27/07: there is no room for what is written.
    SpaceExhausted,
    /// B/0C/0D: data that should have come unasked did not.
    TooLittleUnsolicitedData,
    /// B/47/05: data were damaged on the way, or came in a wrong order.
    ServiceDeliveryError,
    /// E/1D/00: what was read is not what it was compared with.
    Miscompare,
}

impl Reason {
    /// Key, additional sense code and its qualifier.
    pub fn codes(self) -> (SenseKey, u8, u8) {
        use SenseKey::*;
        match self {
            Self::Nothing => (NoSense, 0x00, 0x00),
            Self::NotReady => (NotReady, 0x04, 0x00),
            Self::WriteError => (MediumError, 0x0c, 0x00),
            Self::ReadError => (MediumError, 0x11, 0x00),
            Self::TargetFailure => (HardwareError, 0x44, 0x00),
            Self::ParameterListLength => (IllegalRequest, 0x1a, 0x00),
            Self::InvalidOpcode => (IllegalRequest, 0x20, 0x00),
            Self::OutOfRange => (IllegalRequest, 0x21, 0x00),
            Self::InvalidFieldInCdb => (IllegalRequest, 0x24, 0x00),
            Self::NoLogicalUnit => (IllegalRequest, 0x25, 0x00),
            Self::InvalidFieldInParameters => (IllegalRequest, 0x26, 0x00),
            Self::InvalidRelease => (IllegalRequest, 0x26, 0x04),
            Self::SavingNotSupported => (IllegalRequest, 0x39, 0x00),
            Self::NoRoomForRegistration => (IllegalRequest, 0x55, 0x04),
            Self::PowerOn => (UnitAttention, 0x29, 0x00),
            Self::TargetReset => (UnitAttention, 0x29, 0x02),
            Self::UnitReset => (UnitAttention, 0x29, 0x03),
            Self::ModeChanged => (UnitAttention, 0x2a, 0x01),
            Self::ReservationsPreempted => (UnitAttention, 0x2a, 0x03),
            Self::ReservationsReleased => (UnitAttention, 0x2a, 0x04),
            Self::RegistrationsPreempted => (UnitAttention, 0x2a, 0x05),
            Self::CommandsCleared => (UnitAttention, 0x2f, 0x00),
            Self::WriteProtected => (DataProtect, 0x27, 0x00),
            Self::SpaceExhausted => (DataProtect, 0x27, 0x07),
            Self::TooLittleUnsolicitedData => (AbortedCommand, 0x0c, 0x0d),
            Self::ServiceDeliveryError => (AbortedCommand, 0x47, 0x05),
            Self::Miscompare => (SenseKey::Miscompare, 0x1d, 0x00),
        }
    }
}

/// What a sense says beside its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    None,
    /// The field of the CDB (for [`Reason::InvalidFieldInCdb`]) or of the parameter list that is wrong, by its first byte.
    Byte(u16),
    /// The same, by its most significant bit in that byte.
    Bit(u16, u8),
    /// The INFORMATION field: a block, or the offset of the first byte that differs.
    Information(u64),
}

/// One failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    /// What it is.
    pub reason: Reason,
    /// Where.
    pub detail: Detail,
}

impl From<Reason> for Sense {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: Detail::None }
    }
}

/// How sense data are laid out: D_SENSE of the Control mode page, or DESC of a REQUEST SENSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SenseFormat {
    /// SPC-4 section 4.5.3; INFORMATION has 32 bits only.
    #[default]
    Fixed,
    /// SPC-4 section 4.5.2.
    Descriptor,
}

impl Sense {
    /// A byte of the CDB is wrong.
    pub fn cdb(byte: u16) -> Self {
        Self { reason: Reason::InvalidFieldInCdb, detail: Detail::Byte(byte) }
    }

    /// A field of the CDB is wrong, which begins at `bit` of `byte`.
    pub fn cdb_bit(byte: u16, bit: u8) -> Self {
        Self { reason: Reason::InvalidFieldInCdb, detail: Detail::Bit(byte, bit) }
    }

    /// A byte of the parameter list is wrong.
    pub fn parameter(byte: u16) -> Self {
        Self { reason: Reason::InvalidFieldInParameters, detail: Detail::Byte(byte) }
    }

    /// The sense data as bytes.
    pub fn encode(self, format: SenseFormat) -> Vec<u8> {
        match format {
            SenseFormat::Fixed => self.fixed(),
            SenseFormat::Descriptor => self.descriptors(),
        }
    }

    fn fixed(self) -> Vec<u8> {
        let (key, asc, ascq) = self.reason.codes();
        let mut bytes = vec![0; 18];
        bytes[0] = 0x70;
        bytes[2] = key as u8;
        bytes[7] = 10; // bytes that follow
        bytes[12] = asc;
        bytes[13] = ascq;
        match self.detail {
            Detail::Information(value) => {
                // A value that does not fit is left out: VALID says that there is none.
                if let Ok(value) = u32::try_from(value) {
                    bytes[0] |= 0x80;
                    bytes[3..7].copy_from_slice(&value.to_be_bytes());
                }
            }
            Detail::Byte(_) | Detail::Bit(..) => bytes[15..18].copy_from_slice(&self.field_pointer()),
            Detail::None => {}
        }
        bytes
    }

    fn descriptors(self) -> Vec<u8> {
        let (key, asc, ascq) = self.reason.codes();
        let mut bytes = vec![0x72, key as u8, asc, ascq, 0, 0, 0, 0];
        match self.detail {
            Detail::Information(value) => {
                bytes.extend([0x00, 0x0a, 0x80, 0]);
                bytes.extend(value.to_be_bytes());
            }
            Detail::Byte(_) | Detail::Bit(..) => {
                bytes.extend([0x02, 0x06, 0, 0]);
                bytes.extend(self.field_pointer());
                bytes.push(0);
            }
            Detail::None => {}
        }
        bytes[7] = bytes.len() as u8 - 8;
        bytes
    }

    /// The sense key specific bytes of an illegal request (SPC-4 section 4.5.2.4.2).
    fn field_pointer(self) -> [u8; 3] {
        const VALID: u8 = 0x80;
        const IN_CDB: u8 = 0x40;
        const BIT_VALID: u8 = 0x08;
        let place = if self.reason == Reason::InvalidFieldInCdb { IN_CDB } else { 0 };
        let (byte, bit) = match self.detail {
            Detail::Byte(byte) => (byte, 0),
            Detail::Bit(byte, bit) => (byte, BIT_VALID | (bit & 7)),
            Detail::None | Detail::Information(_) => return [0; 3],
        };
        let [high, low] = byte.to_be_bytes();
        [VALID | place | bit, high, low]
    }
}
