//! Upstreams that remember what they saw, and a mirror before them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use mirror::{Audience, Handle, Mirror, MirrorSettings, Protocol, Report, Stage, Upstream};
use schemas::{EventTime, Ratio, WorkloadId};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long a test waits for what happens beside it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How an upstream behaves.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// Says who it is and gives the body back.
    Echo,
    /// The same, but remembers nothing: for more requests than memory holds.
    Forget,
    /// Reads the request and never answers.
    Hang,
    /// Answers with 503.
    Refuse,
}

/// A request as an upstream saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// An upstream that remembers what it saw. Dropping it kills it, with its connections.
pub(crate) struct Witness {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    pub(crate) fn start(name: &'static str, manner: Manner) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), name, manner)
    }

    pub(crate) fn start_at(address: SocketAddr, name: &'static str, manner: Manner) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind(address)).expect("a free port");
        let (address, (stop, stopped)) = (listener.local_addr().expect("bound"), oneshot::channel());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (told, counted) = (Arc::clone(&seen), Arc::clone(&connections));
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { () = accept(listener, (told, counted), name, manner) => {}, _ = stopped => {} }
            });
        });
        Self { address, seen, connections, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().expect("no panic").len()
    }

    /// Connections that were ever made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(
    listener: TcpListener,
    (seen, connections): (Arc<Mutex<Vec<Seen>>>, Arc<AtomicUsize>),
    name: &'static str,
    manner: Manner,
) {
    loop {
        let (stream, _) = listener.accept().await.expect("a client");
        connections.fetch_add(1, Ordering::Relaxed);
        stream.set_nodelay(true).expect("a socket");
        let seen = Arc::clone(&seen);
        let answer = service_fn(move |request| answer(request, Arc::clone(&seen), name, manner));
        let connection = async move {
            _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
        };
        tokio::spawn(connection);
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
    name: &'static str,
    manner: Manner,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        std::future::pending::<()>().await;
        unreachable!("a request that was cut off is not answered");
    };
    if manner != Manner::Forget {
        let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        let (method, version, headers) = (parts.method, parts.version, parts.headers);
        seen.lock().expect("no panic").push(Seen { method, target, version, headers, body: body.clone() });
    }
    if manner == Manner::Hang {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert("x-witness", name.parse().expect("a name"));
    if manner == Manner::Refuse {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

/// A mirror before a primary and a shadow.
pub(crate) struct Bed {
    pub(crate) mirror: Mirror,
    pub(crate) handle: Handle,
    pub(crate) reports: Arc<Mutex<Vec<Report>>>,
}

impl Bed {
    /// A mirror of all requests to a shadow.
    pub(crate) fn of(primary: &Witness, shadow: &Witness, settings: MirrorSettings) -> Self {
        Self::to(primary, shadow.address, settings)
    }

    pub(crate) fn to(primary: &Witness, shadow: SocketAddr, settings: MirrorSettings) -> Self {
        let bed = Self::start(settings, Stage { shadow: Some(shadow.into()), ..stage(primary.address.into()) });
        bed.share(Audience::Shadow, 1.0);
        bed
    }

    pub(crate) fn start(settings: MirrorSettings, stage: Stage) -> Self {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&reports);
        let mirror = Mirror::start(settings, stage, move |report| told.lock().expect("no panic").push(report));
        let mirror = mirror.expect("a free port");
        Self { handle: mirror.handle(), mirror, reports }
    }

    pub(crate) fn share(&self, audience: Audience, share: f64) {
        self.handle.set_share(audience, Ratio::new(share), in_ms(60_000)).expect("a share");
    }

    /// Whether the shadow's counts come to be so.
    pub(crate) fn comes_to(&self, holds: impl Fn(&mirror::Counts) -> bool) -> bool {
        let counts = || self.handle.counts(Audience::Shadow).expect("a shadow");
        eventually(|| holds(&counts())) || panic!("{:?}", counts())
    }
}

/// A stage without an audience.
pub(crate) fn stage(primary: Upstream) -> Stage {
    Stage::new(WorkloadId::new("web").expect("a plain name"), ([127, 0, 0, 1], 0).into(), primary)
}

pub(crate) fn http2(address: SocketAddr) -> Upstream {
    Upstream { address, protocol: Protocol::Http2 }
}

/// Settings under which a POST to `/search` is mirrored too.
pub(crate) fn with_search() -> MirrorSettings {
    MirrorSettings { routes: "GET /*, POST /search".parse().expect("routes"), ..MirrorSettings::default() }
}

/// So many milliseconds from now.
pub(crate) fn in_ms(millis: u64) -> EventTime {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    EventTime::from_millis(u64::try_from(now.as_millis()).expect("fits") + millis)
}

/// Whether something comes to hold.
pub(crate) fn eventually(holds: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}
