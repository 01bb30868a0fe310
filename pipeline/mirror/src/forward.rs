//! One request's way: to the primary as it came, a copy of it into the lines, the answer back.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::Semaphore;

use crate::counts::Fate;
use crate::gauge::Gauge;
use crate::headers::{self, MARK};
use crate::line::{Head, Line};
use crate::pool::Pool;
use crate::sampling::Sampling;
use crate::settings::MirrorSettings;
use crate::stage::{Protocol, Stage};
use crate::tee::{Copy, Teed};
use crate::tunnel::{self, Tunnel};

/// An answer's body: the primary's as it comes, or a line of our own.
pub(crate) type Outgoing = Either<Incoming, Full<Bytes>>;

/// What every request needs.
pub(crate) struct Proxy {
    pub(crate) settings: MirrorSettings,
    pub(crate) stage: Stage,
    pub(crate) lines: Vec<Arc<Line>>,
    /// The primary's readings.
    pub(crate) gauge: Gauge,
    /// The latency that the workload promises; none where it promises none, or nobody has said.
    pub(crate) promise: Mutex<Option<Duration>>,
    primary: Arc<Pool<Teed<Incoming>>>,
    sampling: Sampling,
    tunnels: Arc<Semaphore>,
}

/// A request without an answer so far: dropped as that, it counts as an error.
struct Unanswered<'a>(Option<&'a Gauge>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(gauge) = self.0.take() {
            gauge.record(None, true);
        }
    }
}

impl Proxy {
    /// A proxy that has nothing to do yet.
    pub(crate) fn new(settings: MirrorSettings, stage: Stage, lines: Vec<Arc<Line>>) -> Self {
        Self {
            gauge: Gauge::new(),
            promise: Mutex::new(None),
            primary: Pool::new(stage.primary, &settings),
            sampling: Sampling::new(),
            tunnels: Arc::new(Semaphore::new(settings.connections_max)),
            settings,
            stage,
            lines,
        }
    }

    /// Answers a client's request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        client: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Outgoing>, Infallible> {
        let began = Instant::now();
        if request.method() == Method::CONNECT {
            return Ok(ours(StatusCode::NOT_IMPLEMENTED, "CONNECT is not served here: this is a reverse proxy"));
        }
        self.gauge.count();
        // A client that leaves before its answer ends this here.
        let mut left = Unanswered(Some(&self.gauge));
        let answer = self.forward(client, request, began).await;
        left.0 = None;
        let error = answer.status().is_server_error();
        self.gauge.record(Some(began.elapsed()), error);
        Ok(answer)
    }

    async fn forward(&self, client: SocketAddr, mut request: Request<Incoming>, began: Instant) -> Response<Outgoing> {
        let tunnel = self.tunnel(&mut request);
        let (mut parts, body) = request.into_parts();
        headers::keep_end_to_end(&mut parts.headers);
        let copy = self.copy(&parts, &body, tunnel.is_some(), began);
        let mut out = Request::new(Teed::new(body, copy));
        *out.uri_mut() = match headers::aim(&parts.uri, &mut parts.headers, self.stage.primary) {
            Ok(uri) => uri,
            Err(error) => return ours(StatusCode::BAD_REQUEST, &format!("{}: {error}", parts.uri)),
        };
        if self.settings.forwarded_for {
            headers::add_client(&mut parts.headers, client.ip());
        }
        if let Some(tunnel) = &tunnel {
            tunnel.ask(&mut parts.headers);
        }
        (*out.method_mut(), *out.headers_mut()) = (parts.method, parts.headers);
        match tokio::time::timeout(self.settings.primary_timeout.duration(), self.primary.send(out)).await {
            Ok(Ok(response)) => self.pass_on(response, tunnel),
            Ok(Err(lost)) => ours(StatusCode::BAD_GATEWAY, &format!("the primary {lost}")),
            Err(_) => {
                let (primary, limit) = (self.stage.primary, self.settings.primary_timeout);
                ours(StatusCode::GATEWAY_TIMEOUT, &format!("the primary {primary} did not answer within {limit}"))
            }
        }
    }

    /// The tunnel that a client asks for, where the primary's protocol has any.
    fn tunnel(&self, request: &mut Request<Incoming>) -> Option<Tunnel> {
        (self.stage.primary.protocol == Protocol::Http1).then(|| Tunnel::asked(request)).flatten()
    }

    fn pass_on(&self, mut response: Response<Incoming>, tunnel: Option<Tunnel>) -> Response<Outgoing> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return tunnel::open(response, tunnel, &self.tunnels);
        }
        headers::keep_end_to_end(response.headers_mut());
        // What the primary speaks is no affair of the client: the server writes the version that the client speaks.
        *response.version_mut() = Version::HTTP_11;
        response.map(Either::Left)
    }

    /// A copy for every line that has a place for this request; none where no line has.
    fn copy(&self, parts: &Parts, body: &Incoming, is_tunnel: bool, now: Instant) -> Option<Copy> {
        if self.lines.is_empty() {
            return None;
        }
        let (body_max, size) = (self.settings.body_bytes_max, body.size_hint());
        let fate = if is_tunnel { Some(Fate::Excluded) } else { self.refusal(parts, size.lower()) };
        if let Some(fate) = fate {
            self.lines.iter().for_each(|line| line.counters.add(fate));
            return None;
        }
        self.gauge.count_mirrorable();
        // A body of unknown length may grow to the bound.
        let bytes = size.upper().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(body_max).min(body_max);
        let point = self.sampling.point(&parts.headers);
        let places: Vec<_> = self.lines.iter().filter_map(|line| line.place(point, bytes, now)).collect();
        if places.is_empty() {
            return None;
        }
        let mut headers = parts.headers.clone();
        headers::strip(&mut headers, self.settings.credentials.items());
        let head = Arc::new(Head { method: parts.method.clone(), uri: parts.uri.clone(), headers });
        Some(Copy { head, places, body_max, body: BytesMut::new() })
    }

    /// Why a request is no one's to copy, whatever the share.
    fn refusal(&self, parts: &Parts, bytes: u64) -> Option<Fate> {
        let (method, path) = (&parts.method, parts.uri.path());
        let is_among = |routes: &[crate::Route]| routes.iter().any(|route| route.covers(method, path));
        if parts.headers.contains_key(MARK) {
            Some(Fate::Marked)
        } else if !is_among(self.settings.routes.items()) || is_among(self.settings.except.items()) {
            Some(Fate::Excluded)
        } else {
            (bytes > self.settings.body_bytes_max as u64).then_some(Fate::TooLarge)
        }
    }
}

/// An answer of the mirror's own: what is wrong, in one line.
pub(crate) fn ours(status: StatusCode, why: &str) -> Response<Outgoing> {
    let mut response = Response::new(Either::Right(Full::from(format!("mirror: {why}\n"))));
    *response.status_mut() = status;
    response
}
