//! Upgrades, such as WebSocket: bytes in both directions, which nothing here looks into or copies.
//!
//! Bound: as many tunnels as clients. A tunnel has no time limit: it ends when either side ends it, or with the mirror.

use std::sync::Arc;

use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::forward::{Outgoing, ours};
use crate::headers;

/// What a client wants to speak instead of HTTP, and its end of the connection once it may.
pub(crate) struct Tunnel {
    wanted: HeaderValue,
    client: OnUpgrade,
}

impl Tunnel {
    /// The tunnel that a request asks for. HTTP/2 by upgrade is none: it would go past the mirror, so it is left unanswered,
    /// and the client goes on with HTTP/1.1, as it may.
    pub(crate) fn asked(request: &mut Request<Incoming>) -> Option<Self> {
        let headers = request.headers();
        let names = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let upgrades = names.flat_map(|names| names.split(',')).any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
        let wanted = headers.get(header::UPGRADE).filter(|_| upgrades && request.version() == Version::HTTP_11)?;
        let wanted = Some(wanted.clone()).filter(|wanted| !wanted.as_bytes().eq_ignore_ascii_case(b"h2c"))?;
        Some(Self { wanted, client: hyper::upgrade::on(request) })
    }

    /// Asks the primary for it.
    pub(crate) fn ask(&self, headers: &mut HeaderMap) {
        switch(headers, self.wanted.clone());
    }
}

/// Connects both ends, once the primary has agreed to switch.
pub(crate) fn open(
    mut response: Response<Incoming>,
    tunnel: Option<Tunnel>,
    tunnels: &Arc<Semaphore>,
) -> Response<Outgoing> {
    let Some(Tunnel { client, .. }) = tunnel else {
        return ours(StatusCode::BAD_GATEWAY, "the primary switched protocols, which nobody had asked for");
    };
    let Ok(place) = Arc::clone(tunnels).try_acquire_owned() else {
        return ours(StatusCode::SERVICE_UNAVAILABLE, "too many tunnels are open: connections_max bounds them");
    };
    let agreed = response.headers().get(header::UPGRADE).cloned();
    let primary = hyper::upgrade::on(&mut response);
    tokio::spawn(join(client, primary, place));
    headers::keep_end_to_end(response.headers_mut());
    agreed.into_iter().for_each(|agreed| switch(response.headers_mut(), agreed));
    response.map(|_| Either::Right(Full::default()))
}

fn switch(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

async fn join(client: OnUpgrade, primary: OnUpgrade, place: OwnedSemaphorePermit) {
    // A side that is gone before the switch has nobody left to tell.
    let (Ok(client), Ok(primary)) = tokio::join!(client, primary) else { return };
    let (mut client, mut primary) = (TokioIo::new(client), TokioIo::new(primary));
    _ = tokio::io::copy_bidirectional(&mut client, &mut primary).await;
    drop(place);
}
