//! Connections to one upstream, kept while they are in use or were a moment ago.
//!
//! With HTTP/1.1 a request has a connection to itself; with HTTP/2 all share one. A request of which nothing was written,
//! as the connection that it was given had just been closed, goes out over another. What was written is never sent again.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::settings::MirrorSettings;
use crate::stage::{Protocol, Upstream};

/// Connections that are kept without use: as many as a burst of ten times the requests that are usual at once.
const IDLE_MAX: usize = 512;

/// How often a request of which nothing was written is given another connection.
const UNSENT_MAX: usize = 3;

/// What is sent: headers and a body that a connection's task can hold.
pub(crate) trait Sent:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static
{
}

impl<B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static> Sent for B {}

/// Connections to one upstream.
pub(crate) struct Pool<B> {
    pub(crate) upstream: Upstream,
    connect_timeout: Duration,
    idle_max: Duration,
    idle: Mutex<Vec<Idle<B>>>,
    shared: tokio::sync::Mutex<Option<http2::SendRequest<B>>>,
}

struct Idle<B> {
    sender: http1::SendRequest<B>,
    since: Instant,
}

/// An answer, or why none came, with the request if nothing of it was written.
type Attempt<B> = Result<Response<Incoming>, TrySendError<Request<B>>>;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// No connection could be made: nothing was sent.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(Upstream, String),
    /// The connection ended before the answer came.
    #[error("{0} broke the connection off: {1}")]
    Broken(Upstream, hyper::Error),
}

impl<B: Sent> Pool<B> {
    pub(crate) fn new(upstream: Upstream, settings: &MirrorSettings) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            connect_timeout: settings.connect_timeout.duration(),
            idle_max: settings.idle_connection_max.duration(),
            idle: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
        })
    }

    /// Sends a request; the answer's head, with its body on the way.
    pub(crate) async fn send(self: &Arc<Self>, mut request: Request<B>) -> Result<Response<Incoming>, Lost> {
        let mut attempt = 1;
        loop {
            let sent = match self.upstream.protocol {
                Protocol::Http1 => self.send_alone(request, attempt).await?,
                Protocol::Http2 => self.share().await?.try_send_request(request).await,
            };
            request = match sent {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if attempt < UNSENT_MAX => unsent,
                    _ => return Err(Lost::Broken(self.upstream, error.into_error())),
                },
            };
            attempt += 1;
        }
    }

    /// Over a connection of its own; the last attempt is over a new one.
    async fn send_alone(self: &Arc<Self>, request: Request<B>, attempt: usize) -> Result<Attempt<B>, Lost> {
        let kept = if attempt < UNSENT_MAX { self.pop_idle() } else { None };
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.open().await?,
        };
        let sent = sender.try_send_request(request).await;
        if sent.is_ok() {
            self.keep(sender);
        }
        Ok(sent)
    }

    /// The connection that was used last, so that the others grow old and go.
    fn pop_idle(&self) -> Option<http1::SendRequest<B>> {
        let mut idle = self.lock();
        while let Some(Idle { sender, since }) = idle.pop() {
            if since.elapsed() > self.idle_max {
                // Those below are older still.
                idle.clear();
                return None;
            }
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection once its answer was read to the end; one that was cut off is let go.
    fn keep(self: &Arc<Self>, mut sender: http1::SendRequest<B>) {
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            let ready = sender.ready().await.is_ok();
            let Some(pool) = pool.upgrade().filter(|_| ready) else { return };
            let mut idle = pool.lock();
            // In the order of their age.
            let old = idle.iter().take_while(|one| one.since.elapsed() > pool.idle_max).count();
            idle.drain(..old);
            if idle.len() < IDLE_MAX {
                idle.push(Idle { sender, since: Instant::now() });
            }
        });
    }

    async fn open(&self) -> Result<http1::SendRequest<B>, Lost> {
        let io = TokioIo::new(self.connect().await?);
        let (sender, connection) = http1::handshake(io).await.map_err(|error| Lost::Broken(self.upstream, error))?;
        // How it ends is told to whoever waits for an answer.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    async fn share(&self) -> Result<http2::SendRequest<B>, Lost> {
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let io = TokioIo::new(self.connect().await?);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).adaptive_window(true);
        let (sender, connection) = builder.handshake(io).await.map_err(|error| Lost::Broken(self.upstream, error))?;
        tokio::spawn(connection);
        Ok(shared.insert(sender).clone())
    }

    async fn connect(&self) -> Result<TcpStream, Lost> {
        let unreachable = |reason| Lost::Unreachable(self.upstream, reason);
        let connecting = tokio::time::timeout(self.connect_timeout, TcpStream::connect(self.upstream.address));
        let late = |_| unreachable(format!("no connection within {:?}", self.connect_timeout));
        let stream = connecting.await.map_err(late)?.map_err(|error| unreachable(error.to_string()))?;
        // Requests are small: without this each would wait for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        Ok(stream)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle<B>>> {
        // Connections are pushed and popped whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
