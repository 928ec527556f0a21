//! Every limit of the block device, with its reason. Those that an initiator must know are in its Block Limits
//! page (VPD B0h).

/// Most bytes that one READ, WRITE, VERIFY or the like moves: what a service needs at once for one command.
/// Linux sends 1 MiB and iPXE less; Windows and ESXi obey the page. It is just more than CDBs of 6 and 10 bytes can
/// ask for with blocks of 512 bytes.
pub const TRANSFER_BYTES_MAX: u32 = 32 << 20;

/// Most bytes of a parameter list (MODE SELECT, UNMAP, PERSISTENT RESERVE OUT): an UNMAP with all its descriptors is
/// the longest that means anything.
pub const PARAMETERS_BYTES_MAX: u32 = 8192;

/// Most ranges of one UNMAP.
pub const UNMAP_RANGES_MAX: u32 = 256;

/// Most blocks of one UNMAP, all ranges together: half a GiB of 512-byte blocks, one short system call each.
pub const UNMAP_BLOCKS_MAX: u32 = 1 << 20;

/// Most bytes that one WRITE SAME fills with anything but zeros: written out, it takes as long as the longest WRITE.
/// Zeros cost next to nothing, so the page names no limit, and the whole disk can be zeroed at once.
pub const PATTERN_BYTES_MAX: u32 = 32 << 20;

/// Most blocks of a COMPARE AND WRITE, whose CDB has one byte for them.
pub const COMPARE_BLOCKS_MAX: u8 = 255;

/// Most ranges in the answer to a GET LBA STATUS; an initiator asks on where they end.
pub const STATUS_RANGES_MAX: usize = 256;

/// Most nexuses of a logical unit at a time: sessions that see it.
pub const NEXUSES_MAX: usize = 256;

/// Most initiator ports that are registered for persistent reservations. They outlive their sessions, so without a
/// limit one initiator that invents names could fill the memory.
pub const REGISTRATIONS_MAX: usize = 256;

/// Most unit attentions that wait for one nexus. There are fewer conditions than that, and each waits once.
pub const ATTENTIONS_MAX: usize = 8;

/// Longest initiator name (RFC 7143, section 4.2.7.2).
pub const INITIATOR_NAME_BYTES_MAX: usize = 223;
