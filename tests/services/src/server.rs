//! A server over HTTP/1.1: `/work` waits for one of a fixed number of threads, `/healthz` is answered at once.
//!
//! Bound: [`QUEUE_MAX`] requests wait for a thread; further ones are refused with 503, as an overloaded service does.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};

/// Requests that wait for a thread at most: at a millisecond each, a second of work, beyond which clients give up.
const QUEUE_MAX: usize = 1_024;

/// What a service does for a request.
pub trait Work: Send + Sync + 'static {
    /// The answer to `/work?query`; it may keep the calling thread busy.
    ///
    /// # Errors
    /// What is wrong with the query, and the mend.
    fn answer(&self, query: &str) -> Result<String, String>;
}

/// A running server. Dropping it ends it; requests at work are answered no more.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Desk {
    work: Arc<dyn Work>,
    /// One permit for each request at work or waiting, whether its client still waits for it or not.
    places: Arc<Semaphore>,
}

impl Server {
    /// Listens on an address (port 0: any that is free) and works on so many threads.
    ///
    /// # Errors
    /// When the address cannot be listened on, or no thread be started.
    pub fn start(listen: SocketAddr, threads: NonZero<usize>, work: Arc<dyn Work>) -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().max_blocking_threads(threads.get()).build()?;
        let listener = runtime.block_on(TcpListener::bind(listen))?;
        let (address, (stop, stopped)) = (listener.local_addr()?, oneshot::channel());
        let desk = Arc::new(Desk { work, places: Arc::new(Semaphore::new(threads.get() + QUEUE_MAX)) });
        let serve = move || serve(runtime, &listener, &desk, stopped);
        let thread = thread::Builder::new().name("server".to_owned()).spawn(serve)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process is ended.
    pub fn run(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server's thread does not panic");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread that panicked has told so.
        _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The whole number behind `name=` in a query; none where it is not given.
///
/// # Errors
/// When it is no whole number.
pub(crate) fn parameter(query: &str, name: &str) -> Result<Option<u64>, String> {
    let given = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
    let number = |(_, text): (&str, &str)| {
        text.parse().map_err(|_| format!("{name}={text}: a whole number is expected, such as {name}=1000"))
    };
    given.map(number).transpose()
}

fn serve(runtime: Runtime, listener: &TcpListener, desk: &Arc<Desk>, stopped: oneshot::Receiver<()>) {
    let accept = async {
        loop {
            // A connection that was reset before it was accepted is the client's affair.
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(connection(stream, Arc::clone(desk)));
        }
    };
    runtime.block_on(async {
        tokio::select! { () = accept => {}, _ = stopped => {} }
    });
    runtime.shutdown_background();
}

async fn connection(stream: TcpStream, desk: Arc<Desk>) {
    // Answers are small: without this each would wait for the acknowledgement of the one before.
    _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| answer(request, Arc::clone(&desk)));
    // A client that goes away in the middle of a request has nobody left to tell.
    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(request: Request<Incoming>, desk: Arc<Desk>) -> Result<Response<Full<Bytes>>, Infallible> {
    let known = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match request.uri().path() {
        "/healthz" if known => (StatusCode::OK, "ok\n".to_owned()),
        "/work" if known => desk.work(request.uri().query().unwrap_or_default().to_owned()).await,
        "/healthz" | "/work" => (StatusCode::METHOD_NOT_ALLOWED, "GET is what is answered here\n".to_owned()),
        path => (StatusCode::NOT_FOUND, format!("{path}: /work and /healthz are what there is\n")),
    };
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    Ok(response)
}

impl Desk {
    async fn work(&self, query: String) -> (StatusCode, String) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return (StatusCode::SERVICE_UNAVAILABLE, "too many requests wait\n".to_owned());
        };
        let work = Arc::clone(&self.work);
        let answer = move || {
            let _until_done = place;
            work.answer(&query)
        };
        match tokio::task::spawn_blocking(answer).await {
            Ok(Ok(text)) => (StatusCode::OK, text),
            Ok(Err(fault)) => (StatusCode::BAD_REQUEST, fault + "\n"),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the work panicked\n".to_owned()),
        }
    }
}
