//! Clients' connections: HTTP/1.1 and HTTP/2, told apart by their first bytes.
//!
//! Bound: `connections_max` connections; further clients wait in the kernel's queue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::forward::Proxy;

/// How long a client may take for a request's head, counted from the answer before: so it also ends connections that are
/// not in use. As nginx has it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// How often the other end of a connection with HTTP/2 is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Requests under way on one connection with HTTP/2: what servers commonly allow.
const STREAMS_MAX: u32 = 256;

/// After a connection could not be accepted, mostly as files are short: time for some to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves clients until it is stopped, and then those requests that are under way.
pub(crate) async fn serve(listener: TcpListener, proxy: Arc<Proxy>, stop: oneshot::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    tokio::select! { () = accept(&listener, &proxy, &graceful) => {}, _ = stop => {} }
    drop(listener);
    let drain_max = proxy.settings.drain_max.duration();
    if tokio::time::timeout(drain_max, graceful.shutdown()).await.is_err() {
        tracing::warn!(?drain_max, "requests under way were cut off: they took longer to end than drain_max");
    }
}

async fn accept(listener: &TcpListener, proxy: &Arc<Proxy>, graceful: &GracefulShutdown) {
    let (builder, places) = (builder(), Arc::new(Semaphore::new(proxy.settings.connections_max)));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        match listener.accept().await {
            Ok((stream, client)) => connect(stream, client, place, (&builder, proxy, graceful)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn connect(
    stream: TcpStream,
    client: SocketAddr,
    place: OwnedSemaphorePermit,
    (builder, proxy, graceful): (&Builder<TokioExecutor>, &Arc<Proxy>, &GracefulShutdown),
) {
    // Answers are small: without this each would wait for the acknowledgement of the one before.
    _ = stream.set_nodelay(true);
    let proxy = Arc::clone(proxy);
    // The protocol is read from the first bytes without a limit of time: a client that says nothing must not keep a place.
    let asked = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&asked);
    let answer = service_fn(move |request| {
        told.store(true, Ordering::Relaxed);
        Arc::clone(&proxy).answer(client, request)
    });
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), answer).into_owned();
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        tokio::pin!(watched);
        let ended = match tokio::time::timeout(HEAD_TIMEOUT, &mut watched).await {
            Ok(ended) => ended,
            Err(_) if !asked.load(Ordering::Relaxed) => return,
            Err(_) => watched.await,
        };
        if let Err(error) = ended {
            tracing::debug!(%client, %error, "a connection broke off");
        }
        drop(place);
    });
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).max_concurrent_streams(STREAMS_MAX);
    http2.adaptive_window(true);
    builder
}
