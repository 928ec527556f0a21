//! Spares a booting iPXE its wait for IPv6 routers.
//!
//! iPXE configures IPv6 beside DHCP and goes on when both have come to an end. Where no IPv6 router answers, that
//! is after some 16 seconds of solicitations: most of the time of a boot. A machine whose boot session is under
//! way is told at once that there is no router; nobody else is answered, and a real router's advertisement
//! still counts for the machine when it comes.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use bootlace_core::session::Stage;
use bootlace_wire::HwAddr;
use bootlace_wire::ndp::{no_router, solicitor};

use crate::hub::{self, Hub};

/// A solicitation is 16 bytes; options that come later in it are not of interest.
const BYTES_MAX: usize = 512;

/// Answers the solicitations of one interface, for ever.
pub async fn serve(socket: UdpSocket, interface: String, hub: Arc<Hub>) {
    let socket = match tokio::net::UdpSocket::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(%error, interface, "IPv6 router solicitations are not answered"),
    };
    let mut buffer = [0; BYTES_MAX];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, from)) => {
                if boots(&buffer[..len], from, &hub) {
                    // One that is lost is asked for again within a second.
                    let _ = socket.send_to(&no_router(), from).await;
                }
            }
            Err(error) => {
                return tracing::warn!(%error, interface, "IPv6 router solicitations are not answered");
            }
        }
    }
}

/// Whether a solicitation comes from the link and from a machine in the middle of its boot.
fn boots(message: &[u8], from: SocketAddr, hub: &Hub) -> bool {
    let IpAddr::V6(ip) = from.ip() else { return false };
    let Some(mac) = solicitor(message).filter(|_| ip.is_unicast_link_local()) else { return false };
    hub.with_session(HwAddr::from(mac), hub::now(), |session| {
        session.is_some_and(|session| session.stage < Stage::Payload)
    })
}
