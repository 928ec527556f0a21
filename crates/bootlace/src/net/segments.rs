//! A window of equal datagrams in one system call (`UDP_SEGMENT`, Linux 4.18).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{SendFlags, send};

use super::sockopt;

/// The kernel takes at most 64 segments a call.
pub const SEGMENTS_MAX: usize = 64;
/// And no more payload than one UDP datagram could hold.
const SEGMENTED_BYTES_MAX: usize = 65_507;

/// A kernel or device that refuses segments is remembered for all sockets.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Sends windows on one connected socket.
#[derive(Debug, Default)]
pub struct Segments {
    set: u16,
}

impl Segments {
    /// Sends `bytes` as datagrams of `size` bytes, the last one shorter if they do not come out even. `Ok(n)`:
    /// the first `n` bytes left, a whole number of datagrams; `WouldBlock`: none did.
    pub fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8], size: u16) -> io::Result<usize> {
        let step = usize::from(size);
        let burst = (SEGMENTED_BYTES_MAX / step).clamp(1, SEGMENTS_MAX) * step;
        let mut sent = 0;
        while sent < bytes.len() {
            let part = &bytes[sent..bytes.len().min(sent + burst)];
            match self.send_part(fd, part, size) {
                Ok(()) => sent += part.len(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    fn send_part(&mut self, fd: BorrowedFd<'_>, part: &[u8], size: u16) -> io::Result<()> {
        if part.len() > usize::from(size) && !REFUSED.load(Ordering::Relaxed) {
            match self.set_size(fd, size).and_then(|()| Ok(send(fd.as_fd(), part, SendFlags::DONTWAIT)?)) {
                // EIO: the device cannot segment; EINVAL and ENOPROTOOPT: the kernel cannot.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::ENOPROTOOPT)) =>
                {
                    REFUSED.store(true, Ordering::Relaxed);
                }
                done => return done.map(|_| ()),
            }
        }
        // A set segment size does no harm to datagrams that fit into one segment.
        for datagram in part.chunks(usize::from(size)) {
            send(fd, datagram, SendFlags::DONTWAIT)?;
        }
        Ok(())
    }

    /// The segment size is set on the socket, once: every window of a transfer has the same.
    fn set_size(&mut self, fd: BorrowedFd<'_>, size: u16) -> io::Result<()> {
        if self.set != size {
            sockopt::set_int(fd, libc::SOL_UDP, libc::UDP_SEGMENT, i32::from(size))?;
            self.set = size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn a_window_arrives_as_datagrams() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let bytes: Vec<u8> = (0..2500u32).map(|n| n as u8).collect();
        let mut segments = Segments::default();
        assert_eq!(segments.send(sender.as_fd(), &bytes, 1000).unwrap(), 2500);
        assert_eq!(segments.send(sender.as_fd(), b"last", 1000).unwrap(), 4);
        let mut got = Vec::new();
        let mut buffer = [0; 2000];
        for expected in [1000, 1000, 500, 4] {
            let len = receiver.recv(&mut buffer).unwrap();
            assert_eq!(len, expected);
            got.extend_from_slice(&buffer[..len]);
        }
        assert_eq!(&got[..2500], &bytes[..]);
    }
}
