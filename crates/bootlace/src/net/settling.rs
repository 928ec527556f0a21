//! A descriptor that becomes readable when something has changed, waited on until the changes have settled.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

/// How long nothing may have changed: an editor or a package manager writes its files one after the other.
const QUIET: Duration = Duration::from_millis(200);
/// After this long without quiet it is looked at anyway.
pub const UNREST_MAX: Duration = Duration::from_secs(2);
/// Enough for some dozens of messages of the kernel; none of them is looked at.
const BUFFER_BYTES: usize = 16 << 10;

/// A non-blocking descriptor of inotify or netlink.
pub struct Settling {
    fd: AsyncFd<OwnedFd>,
    /// When the first and the last change was seen that nobody has been told of.
    unrest: Option<(Instant, Instant)>,
}

impl Settling {
    /// For a non-blocking descriptor; inside of a runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: an OwnedFd is one open descriptor, always the same, for as long as the AsyncFd owns it.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Self { fd, unrest: None })
    }

    /// Returns when something has changed and nothing does any more. Nothing is lost when this is dropped and called
    /// again.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            let until = self.unrest.map(|(first, last)| (last + QUIET).min(first + UNREST_MAX));
            let seen = match until {
                None => drain(&self.fd).await,
                Some(until) => match timeout_at(until, drain(&self.fd)).await {
                    Ok(seen) => seen,
                    Err(_quiet) => {
                        self.unrest = None;
                        return Ok(());
                    }
                },
            };
            seen?;
            let now = Instant::now();
            let first = self.unrest.map_or(now, |(first, _)| first);
            self.unrest = Some((first, now));
        }
    }
}

/// Waits until there is something and throws it away.
async fn drain(fd: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut ready = fd.readable().await?;
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        match rustix::io::read(fd.get_ref(), &mut buffer) {
            Ok(1..) => {}
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(rustix::io::Errno::AGAIN) => {
                ready.clear_ready();
                return Ok(());
            }
            // The kernel had no room for all messages: then there are changes in any case.
            Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pipe() -> (io::PipeWriter, Settling) {
        let (reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        (writer, Settling::new(OwnedFd::from(reader)).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_told_once_when_they_have_settled() {
        let (mut writer, mut settling) = pipe();
        writer.write_all(&[0; 3]).unwrap();
        assert!(tokio::time::timeout(QUIET / 2, settling.changed()).await.is_err(), "too early");
        writer.write_all(&[0]).unwrap();
        settling.changed().await.unwrap();
        let again = tokio::time::timeout(UNREST_MAX * 2, settling.changed());
        assert!(again.await.is_err(), "told twice");
        drop(writer);
        assert!(settling.changed().await.is_err(), "a closed descriptor must not spin");
    }
}
