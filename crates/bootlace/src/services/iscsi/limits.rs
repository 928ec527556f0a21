//! Every limit of the service, with its reason. Those of the protocol are in `bootlace_wire::iscsi::limits`.

use std::time::Duration;

/// Connections at once, each with its thread: some hundred machines with two paths each.
pub const CONNECTIONS_MAX: usize = 512;

/// Connections of one address that have not logged in yet, or only look for targets. A machine logs in within milliseconds; several behind one
/// translated address do so one after the other.
pub const LOGINS_PER_CLIENT_MAX: usize = 16;

/// What a connection that has not logged in can send at once: a login request has 8 KiB of text at most.
pub const LOGIN_BUFFER_BYTES: usize = 16 << 10;

/// What is received at once: at least one PDU of any length, and many commands.
pub const BUFFER_BYTES: usize = 512 << 10;

/// Answers that wait while there are more commands: they are sent when there are so many bytes. What is still in the processor's
/// cache is copied at more than twice the rate (256 KiB reads: 4,700 a second with 1 MiB, 8,500 with this).
pub const OUTPUT_BYTES: usize = 256 << 10;

/// A command that moves so much has to be lent memory.
pub const LONG_COMMAND_BYTES_MIN: u64 = 2 << 20;

/// What is lent to commands of all connections together; further ones end as BUSY, and initiators ask again. Linux
/// moves 1 MiB at a time, so that only a few other initiators ever see it.
pub const LONG_COMMANDS_BYTES_MAX: u64 = 256 << 20;

/// What is lent of it to one connection: two of the longest writes, or one read, of which there are two copies until it
/// is sent. Otherwise one initiator could keep all of it by never sending its data.
pub const LONG_COMMANDS_BYTES_PER_SESSION_MAX: u64 = 64 << 20;

/// Memory that a connection keeps for its next command; what a longer one took is given back.
pub const KEPT_BYTES_MAX: usize = 2 << 20;

/// Flushes of one connection beside each other, each with its thread. What asks for one meanwhile shares the next.
pub const FLUSHES_MAX: usize = 4;

/// How long an initiator may take nothing of what it is sent.
pub const SEND_TIME_MAX: Duration = Duration::from_secs(60);

/// A connection is silent for so long before TCP asks whether there is still somebody; a machine that is switched off
/// says nothing.
pub const SILENCE: Duration = Duration::from_secs(60);

/// How long what was sent may stay unacknowledged (TCP_USER_TIMEOUT).
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);

/// What initiators are told that they have for logging out when the server stops.
pub const STOP_TIME: Duration = Duration::from_secs(3);

/// Disks of machines that are open at once, three files each; those that nobody uses make room.
pub const MACHINE_DISKS_OPEN_MAX: usize = 1024;

/// How long a login waits for an image that is being read: less than what initiators wait for it (15 s and more).
pub const IMAGE_WAIT: Duration = Duration::from_secs(5);

/// Pause after a failed `accept` (no file descriptors, no memory), so that the loop does not spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
