//! Sockets that a service manager has opened (sd_listen_fds(3)).

use std::env;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};

/// The first of them, by convention: `SD_LISTEN_FDS_START`.
const FIRST: RawFd = 3;
/// More are none that Bootlace could want.
pub const INHERITED_MAX: u16 = 64;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The sockets with the names that the manager gave them, non-blocking; none when they are for another process, and
/// none the second time, since each can have one owner only.
pub fn inherited_sockets() -> io::Result<Vec<(String, OwnedFd)>> {
    let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
    let count = number("LISTEN_FDS").filter(|_| number("LISTEN_PID") == Some(process::id()));
    let Some(count) = count.filter(|_| !TAKEN.swap(true, Ordering::Relaxed)) else { return Ok(Vec::new()) };
    let count = u16::try_from(count).ok().filter(|&count| count <= INHERITED_MAX);
    let count = count.ok_or_else(|| io::Error::other(format!("LISTEN_FDS is beyond {INHERITED_MAX}")))?;
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    (FIRST..FIRST + RawFd::from(count))
        .map(|number| {
            if !is_open(number) {
                return Err(io::Error::other(format!(
                    "LISTEN_FDS names descriptor {number}, which is not open"
                )));
            }
            // SAFETY: the descriptor is open, the manager left it to this process, and `TAKEN` makes this the only
            // place and time that it is given an owner.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
            ioctl_fionbio(&fd, true)?;
            Ok((names.next().unwrap_or_default().to_owned(), fd))
        })
        .collect()
}

fn is_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD only asks whether there is such a descriptor.
    unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
}
