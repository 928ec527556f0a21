//! What initiators send: one PDU out of a stream of bytes (RFC 7143, section 11).

use super::digest::Digests;
use super::serial::Serial;
use super::task::Task;

/// Bytes of a basic header segment.
pub const BHS_BYTES: usize = 48;

/// The tag that stands for none.
pub const NO_TAG: u32 = 0xffff_ffff;

/// What an initiator can ask for (section 11.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// NOP-Out.
    NopOut,
    /// SCSI Command.
    Command,
    /// SCSI Task Management Function Request.
    TaskManagement,
    /// Login Request.
    Login,
    /// Text Request.
    Text,
    /// SCSI Data-Out.
    DataOut,
    /// Logout Request.
    Logout,
    /// SNACK Request.
    Snack,
    /// Nothing that the RFC knows.
    Unknown(u8),
}

/// A basic header segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header(pub [u8; BHS_BYTES]);

impl Header {
    /// What it asks for.
    pub fn opcode(&self) -> Opcode {
        match self.0[0] & 0x3f {
            0x00 => Opcode::NopOut,
            0x01 => Opcode::Command,
            0x02 => Opcode::TaskManagement,
            0x03 => Opcode::Login,
            0x04 => Opcode::Text,
            0x05 => Opcode::DataOut,
            0x06 => Opcode::Logout,
            0x10 => Opcode::Snack,
            other => Opcode::Unknown(other),
        }
    }

    /// The I bit: it does not take a place in the sequence of commands.
    pub fn immediate(&self) -> bool {
        self.0[0] & 0x40 != 0
    }

    /// The F bit, which is T in a login.
    pub fn last(&self) -> bool {
        self.0[1] & 0x80 != 0
    }

    /// The C bit of a login or text: the text goes on.
    pub fn goes_on(&self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// The LUN field.
    pub fn lun(&self) -> [u8; 8] {
        self.array(8)
    }

    /// The initiator task tag.
    pub fn task(&self) -> Task {
        Task(self.word(16))
    }

    /// The target transfer tag of texts, data and NOPs, the referenced task tag of task management.
    pub fn tag(&self) -> u32 {
        self.word(20)
    }

    /// The expected data transfer length of a command.
    pub fn announced(&self) -> u32 {
        self.word(20)
    }

    /// CmdSN; not of data.
    pub fn command_number(&self) -> Serial {
        Serial(self.word(24))
    }

    /// ExpStatSN.
    pub fn status_number(&self) -> Serial {
        Serial(self.word(28))
    }

    /// DataSN of data.
    pub fn data_number(&self) -> u32 {
        self.word(36)
    }

    /// The buffer offset of data.
    pub fn offset(&self) -> u32 {
        self.word(40)
    }

    /// Four bytes, as a number.
    pub(super) fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    /// Bytes from a place that all headers have.
    pub(super) fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.0[at + i])
    }

    fn ahs_bytes(&self) -> usize {
        usize::from(self.0[4]) * 4
    }

    fn data_bytes(&self) -> usize {
        self.word(4) as usize & 0x00ff_ffff
    }
}

/// A whole PDU, still in the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pdu<'a> {
    /// Its header.
    pub header: Header,
    /// Its data, without padding.
    pub data: &'a [u8],
    /// Bytes of all of it.
    pub bytes: usize,
}

/// Why a stream makes no sense any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The header is damaged, so that nobody knows where the next one begins.
    HeaderDigest,
    /// The data are damaged.
    DataDigest(Header),
    /// The data segment is longer than we declared to take.
    TooLong,
}

impl<'a> Pdu<'a> {
    /// The first PDU of `bytes`; `None` when its end has not come. A segment of more than `data_max` bytes is refused
    /// as soon as its header is there.
    pub fn parse(bytes: &'a [u8], digests: Digests, data_max: u32) -> Result<Option<Self>, Malformed> {
        let Some(head) = bytes.first_chunk::<BHS_BYTES>() else { return Ok(None) };
        let header = Header(*head);
        let data_bytes = header.data_bytes();
        // The length itself may be what is damaged: with digests, that is what is told.
        let head_end = BHS_BYTES + header.ahs_bytes();
        let sum_end = head_end + digests.header.bytes();
        if data_bytes > data_max as usize && digests.header.bytes() == 0 {
            return Err(Malformed::TooLong);
        }
        let Some(sum) = bytes.get(head_end..sum_end) else { return Ok(None) };
        if !digests.header.agrees(&bytes[..head_end], sum) {
            return Err(Malformed::HeaderDigest);
        }
        if data_bytes > data_max as usize {
            return Err(Malformed::TooLong);
        }
        if data_bytes == 0 {
            return Ok(Some(Self { header, data: &[], bytes: sum_end }));
        }
        let padded_end = sum_end + data_bytes.next_multiple_of(4);
        let end = padded_end + digests.data.bytes();
        let Some(sum) = bytes.get(padded_end..end) else { return Ok(None) };
        if !digests.data.agrees(&bytes[sum_end..padded_end], sum) {
            return Err(Malformed::DataDigest(header));
        }
        Ok(Some(Self { header, data: &bytes[sum_end..sum_end + data_bytes], bytes: end }))
    }
}
