//! A link that stands in for a served interface, so that `bootlace probe --local` reaches the running server of its
//! own host.
//!
//! What a host sends on an interface it does not hear itself. So the probe makes a veth pair, with played machines on
//! one end, and the server serves the other end: DHCP and TFTP get sockets that are bound to it and know it as the
//! interface; HTTP listens on addresses and needs none. The name of the link is fixed and nobody's to choose: whoever
//! may ask at the admin socket, but not make links, gets nothing served that is not served already.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bootlace_core::config::DhcpMode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::{dhcp, tftp};
use crate::net::{DatagramSocket, Interface, interfaces};
use crate::serving::Serving;

/// The link's name on the server's side.
pub const STAND_IN_LINK: &str = "bootlace-probe";
/// How long one is served: longer than a played boot lasts.
pub const STAND_IN_TIME_MAX: Duration = Duration::from_secs(20 * 60);

/// Serves such links, one at a time.
pub struct StandIns {
    served: Vec<String>,
    serving: Arc<ArcSwap<Serving>>,
    dhcp: Option<Weak<dhcp::Orders>>,
    tftp: mpsc::Sender<tftp::Guest>,
    place: Arc<Semaphore>,
    stop: watch::Receiver<()>,
}

/// Why none is served.
#[derive(Debug)]
pub enum Refusal {
    /// The interface is none of those that are served, which are these.
    NotServed(Vec<String>),
    /// No addresses are given out: what a machine needs first is not to be had from this server.
    NoAddresses(DhcpMode),
    /// Another one is served.
    Busy,
    /// There is no such link that is up.
    NoLink,
    /// It cannot be bound to.
    Failed(io::Error),
}

impl StandIns {
    /// For the interfaces `served`. Orders go to the DHCP thread, request sockets to the TFTP service; when `stop` ends,
    /// so does what is served here.
    pub fn new(
        served: Vec<String>,
        serving: Arc<ArcSwap<Serving>>,
        dhcp: Option<Weak<dhcp::Orders>>,
        tftp: mpsc::Sender<tftp::Guest>,
        stop: watch::Receiver<()>,
    ) -> Self {
        Self { served, serving, dhcp, tftp, place: Arc::new(Semaphore::new(1)), stop }
    }

    /// Serves the link as if it were the interface called `name`, until the result is dropped.
    pub fn serve(&self, name: &str) -> Result<StandIn, Refusal> {
        let all = interfaces().map_err(Refusal::Failed)?;
        let interface = all.get(name).filter(|_| self.served.iter().any(|served| served == name));
        let interface = interface.ok_or_else(|| Refusal::NotServed(self.served.clone()))?;
        let config = &self.serving.load().config;
        let dhcp = match (config.dhcp.mode, &self.dhcp) {
            (DhcpMode::Server | DhcpMode::Auto, Some(dhcp)) => Weak::clone(dhcp),
            (mode, _) => return Err(Refusal::NoAddresses(mode)),
        };
        let place = Arc::clone(&self.place).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let link = all.get(STAND_IN_LINK).filter(|link| link.usable).ok_or(Refusal::NoLink)?;
        let ports = dhcp_ports(link, interface, config.dhcp.mode).map_err(Refusal::Failed)?;
        let tftp = config.tftp.enabled.then(|| self.serve_tftp(link, interface, config.tftp.port));
        let tftp = tftp.transpose().map_err(Refusal::Failed)?;
        if let Some(dhcp) = dhcp.upgrade() {
            dhcp.send(dhcp::Order::StandIn(ports));
        }
        tracing::info!(link = STAND_IN_LINK, interface = name, "serving `bootlace probe --local`");
        Ok(StandIn { dhcp, _tftp: tftp, _place: place })
    }

    fn serve_tftp(
        &self,
        link: &Interface,
        interface: &Interface,
        port: u16,
    ) -> io::Result<oneshot::Sender<Infallible>> {
        let socket = DatagramSocket::bind_interface(&link.name, port)?;
        let address = interface.addresses.first().map_or(Ipv4Addr::UNSPECIFIED, |own| own.ip);
        let (alive, end) = oneshot::channel();
        let listener = tftp::Listener { socket, mtu: link.mtu.min(interface.mtu), address };
        let guest = tftp::Guest { listener, end };
        self.tftp.try_send(guest).map_err(|_| io::Error::other("the TFTP service does not take it"))?;
        Ok(alive)
    }

    /// Waits until what is served now has to end.
    pub fn end(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.clone();
        async move {
            let stopped = async { while stop.changed().await.is_ok() {} };
            // Whichever comes first.
            let _ = timeout(STAND_IN_TIME_MAX, stopped).await;
        }
    }
}

/// The ports that machines ask for addresses and boots, as on the interface itself. Ears for other servers are not
/// needed where there are none.
fn dhcp_ports(link: &Interface, interface: &Interface, mode: DhcpMode) -> io::Result<Vec<dhcp::Port>> {
    let mut ports = vec![dhcp::Port::server(link)?.standing_in_for(interface)];
    if mode == DhcpMode::Auto {
        ports.push(dhcp::Port::boot_server(link)?.standing_in_for(interface));
    }
    Ok(ports)
}

/// A link that is served. Dropping it ends that.
pub struct StandIn {
    dhcp: Weak<dhcp::Orders>,
    /// Ends the request port by its end.
    _tftp: Option<oneshot::Sender<Infallible>>,
    /// Given back last.
    _place: OwnedSemaphorePermit,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(dhcp) = self.dhcp.upgrade() {
            dhcp.send(dhcp::Order::StandIn(Vec::new()));
        }
        tracing::info!(link = STAND_IN_LINK, "`bootlace probe --local` has ended");
    }
}
