//! `POST /api/v1/probe/INTERFACE`: serves the link of `bootlace probe --local` for as long as the request lasts.
//!
//! The answer has no end of its own: a probe that ends, in whatever way, closes the connection, and so the server
//! stops serving the link.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bootlace_core::config::DhcpMode;
use bytes::Bytes;
use hyper::body::Frame;

use super::Failure;
use crate::services::stand_in::{Refusal, STAND_IN_LINK, StandIn, StandIns};

/// For the admin socket only: its file mode decides who connects.
pub fn probe_route(stand_ins: Arc<StandIns>) -> Router {
    Router::new().route("/api/v1/probe/{interface}", post(hold)).with_state(stand_ins)
}

async fn hold(
    State(stand_ins): State<Arc<StandIns>>,
    Path(interface): Path<String>,
) -> Result<Response, Failure> {
    let stand_in = stand_ins.serve(&interface).map_err(|refusal| failure(&interface, refusal))?;
    let said = Some(Bytes::from_static(b"served\n"));
    Ok(Body::new(Held { said, end: Box::pin(stand_ins.end()), _stand_in: stand_in }).into_response())
}

fn failure(interface: &str, refusal: Refusal) -> Failure {
    let (status, message) = match refusal {
        Refusal::NotServed(served) => (
            StatusCode::NOT_FOUND,
            format!("the server does not serve {interface}: use one of {}", served.join(", ")),
        ),
        Refusal::NoAddresses(DhcpMode::Proxy) => (
            StatusCode::CONFLICT,
            "as a proxy the server gives out no addresses, and the network's DHCP server is not on this host's own \
             link: probe from another computer"
                .to_owned(),
        ),
        Refusal::NoAddresses(_) => (
            StatusCode::CONFLICT,
            "the server has no DHCP (`mode = \"off\"`), with which every boot begins".to_owned(),
        ),
        Refusal::Busy => {
            (StatusCode::CONFLICT, "another probe with --local is under way: one at a time".to_owned())
        }
        Refusal::NoLink => {
            (StatusCode::NOT_FOUND, format!("there is no link {STAND_IN_LINK} in the server's network"))
        }
        Refusal::Failed(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{STAND_IN_LINK} cannot be served: {error}"))
        }
    };
    Failure { status, message }
}

/// The body of the answer, which lasts.
struct Held {
    said: Option<Bytes>,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    _stand_in: StandIn,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(said) = self.said.take() {
            return Poll::Ready(Some(Ok(Frame::data(said))));
        }
        self.end.as_mut().poll(context).map(|()| None)
    }
}
