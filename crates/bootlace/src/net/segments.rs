//! A window of equal datagrams in one system call (`UDP_SEGMENT`, Linux 4.18).

use std::io;
use std::os::fd::BorrowedFd;

use rustix::net::{SendFlags, send};

use super::sockopt;

/// The kernel takes at most 64 segments a call.
pub const SEGMENTS_MAX: usize = 64;
/// And no more payload than one UDP datagram could hold.
pub(super) const SEGMENTED_BYTES_MAX: usize = 65_507;

/// Sends windows on one connected socket.
#[derive(Debug, Default)]
pub struct Segments {
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Unset,
    /// The segment size is set on the socket, once: all windows of a transfer have the same.
    Size(u16),
    /// Kernel, route or device refuse segments. Remembered for this socket only: another client may be behind
    /// another device.
    Refused,
}

impl Segments {
    /// Sends `bytes` as datagrams of `size` bytes, the last one shorter if they do not come out even. `Ok(n)`:
    /// the first `n` bytes left, a whole number of datagrams; `WouldBlock`: none did.
    pub fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8], size: usize) -> io::Result<usize> {
        let size = size.max(1);
        let burst = (SEGMENTED_BYTES_MAX / size).clamp(1, SEGMENTS_MAX) * size;
        if burst <= size || bytes.len() <= size || self.state == State::Refused {
            return send_each(fd, bytes, size);
        }
        let part = &bytes[..bytes.len().min(burst)];
        match self.set_size(fd, size).and_then(|()| Ok(send(fd, part, SendFlags::DONTWAIT)?)) {
            // EIO: the device cannot segment. EINVAL: a segment does not fit the route's MTU. ENOPROTOOPT: the
            // kernel is older than 4.18.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::ENOPROTOOPT)) =>
            {
                self.refuse(fd)?;
                send_each(fd, bytes, size)
            }
            done => done,
        }
    }

    fn set_size(&mut self, fd: BorrowedFd<'_>, size: usize) -> io::Result<()> {
        let size = u16::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        if self.state != State::Size(size) {
            sockopt::set_int(fd, libc::SOL_UDP, libc::UDP_SEGMENT, i32::from(size))?;
            self.state = State::Size(size);
        }
        Ok(())
    }

    /// Takes the segment size back, which else would be refused for single datagrams as well.
    fn refuse(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        if let State::Size(_) = self.state {
            sockopt::set_int(fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0)?;
        }
        self.state = State::Refused;
        Ok(())
    }
}

/// One call for each datagram.
fn send_each(fd: BorrowedFd<'_>, bytes: &[u8], size: usize) -> io::Result<usize> {
    let mut sent = 0;
    for datagram in bytes.chunks(size) {
        match send(fd, datagram, SendFlags::DONTWAIT) {
            Ok(_) => sent += datagram.len(),
            Err(error) if sent > 0 && error == rustix::io::Errno::AGAIN => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

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
