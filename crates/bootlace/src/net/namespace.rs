//! A network of one's own for a thread.

use std::fs::File;
use std::io;

/// Moves the calling thread into a new and empty network namespace; what it had open stays in the old one. Links that are
/// made in there go away with the thread, however it ends. Needs CAP_SYS_ADMIN. The file stands for the namespace.
pub fn enter_new_network() -> io::Result<File> {
    // SAFETY: unshare touches no memory of ours, and a network namespace is a thread's own, unlike its file table.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error());
    }
    File::open("/proc/thread-self/ns/net")
}
