//! Every limit of the boot port, with its reason.

use std::time::Duration;

/// Connections at once: a thousand machines that hold two each, and as many again that hang. A newcomer beyond
/// it takes the place of the one that has been still the longest.
pub const CONNECTIONS_MAX: usize = 4096;

/// Connections at once of one address. A whole classroom may stand behind one, translated; what is left is room
/// for everybody else, whatever one address does.
pub const CONNECTIONS_PER_CLIENT_MAX: usize = 2048;

/// A connection that moved a byte within this time is never closed for a newcomer.
pub const STILL_MIN: Duration = Duration::from_secs(5);

/// Request line and headers together. The longest real request is iPXE's report of some twenty variables,
/// about 2 KiB.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header lines of one request; Anaconda sends the most, one for each network interface.
pub const HEADERS_MAX: usize = 64;

/// From the connection (or the last answer) to the end of the next request's headers.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(30);

/// How long the client may take for what one [`FRAME_BYTES`] frame and the kernel's buffer hold: nothing that
/// boots is slower than 2 KiB a second, and an installer that unpacks what it reads may stop for a minute.
pub const FRAME_TIME_MAX: Duration = Duration::from_secs(120);

/// One read of a file and one write to a socket.
pub const FRAME_BYTES: usize = 256 * 1024;

/// What is found in memory, and then given to the kernel to send, at once. Larger than a frame: no memory of ours
/// waits for it, and between two of them the client may run dry and fall asleep. A client of 100 Mbit/s takes a
/// second and a half for it, for which pages that were just found stay.
pub const EXTENT_BYTES: usize = 16 * 1024 * 1024;

/// What the kernel holds of a connection beside what is on its way (TCP_NOTSENT_LOWAT). Left alone it takes
/// over a megabyte for each client that stopped reading: 2.3 GB for two thousand of them. What is on its way is
/// not limited, so a fast client far away is not slowed.
pub const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// Connections that are sent files from the page cache and may fill the kernel's send buffer (`tcp_wmem`, 4 MiB
/// each): 256 MiB if all of their clients stop reading. What waits there is in memory once for however many
/// clients, and a long queue saves the server most of its awakenings. Where more download at once, each
/// awakening finds several of them ready, and long queues would save nothing.
pub const LONG_QUEUES_MAX: usize = 64;

/// Frames that are lent at once before further ones shrink to [`FRAME_BYTES_SMALL`]: 64 MiB that are busy
/// whatever the number of clients that do not read.
pub const FRAMES_MAX: usize = 256;

/// A frame when many are lent: four thousand stalled downloads then hold another 64 MiB.
pub const FRAME_BYTES_SMALL: usize = 16 * 1024;

/// Frames that are kept for the next download.
pub const FRAMES_KEPT: usize = 32;

/// How long running downloads may go on after the shutdown has begun.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Pause after a failed `accept` (no file descriptors, no memory), so that the loop does not spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
