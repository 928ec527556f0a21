//! What the rest of the server tells the DHCP thread, which waits for packets and nothing else.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{self, Receiver, Sender};

use rustix::io::ioctl_fionbio;
use tokio::sync::oneshot;

use super::port::Port;
use crate::net::Interface;

/// Something to do between two batches.
pub enum Order {
    /// The interface of this name is like this now; its socket is bound to it already.
    Interface(Interface),
    /// Another config is in force. It would be seen with the next packet, which may be long in coming, and until then
    /// the folders of the former one stay open.
    Config,
    /// The ports of the link that stands in for an interface from now on; none when there is no such link any more.
    StandIn(Vec<Port>),
    /// Says that the thread goes round.
    Turn(oneshot::Sender<()>),
}

/// The other end of [`Inbox`]. Dropping it ends the service after the batch at hand.
pub struct Orders {
    sender: Sender<Order>,
    wake: PipeWriter,
}

/// What the thread looks at when the pipe is readable.
pub struct Inbox {
    receiver: Receiver<Order>,
    woken: PipeReader,
}

/// What an inbox holds.
pub(super) enum Mail {
    Orders(Vec<Order>),
    /// The service must end.
    End,
}

/// A pair for one service.
pub fn orders() -> io::Result<(Orders, Inbox)> {
    let (sender, receiver) = mpsc::channel();
    let (woken, wake) = io::pipe()?;
    ioctl_fionbio(&woken, true)?;
    ioctl_fionbio(&wake, true)?;
    Ok((Orders { sender, wake }, Inbox { receiver, woken }))
}

impl Orders {
    /// Never waits. A service that has ended is not told; its end is noticed elsewhere.
    pub fn send(&self, order: Order) {
        let _ = self.sender.send(order);
        // A full pipe wakes it, too.
        let _ = (&self.wake).write(&[0]);
    }
}

impl Inbox {
    pub(super) fn take(&self) -> Mail {
        let mut wakes = [0; 64];
        match (&self.woken).read(&mut wakes) {
            Ok(0) => Mail::End,
            _ => Mail::Orders(self.receiver.try_iter().collect()),
        }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_before_the_end() {
        let (orders, inbox) = orders().unwrap();
        let (answer, mut answered) = oneshot::channel();
        orders.send(Order::Turn(answer));
        drop(orders);
        let Mail::Orders(found) = inbox.take() else { panic!("the end came first") };
        assert!(matches!(found[..], [Order::Turn(_)]));
        assert!(answered.try_recv().is_err());
        assert!(matches!(inbox.take(), Mail::End));
    }
}
