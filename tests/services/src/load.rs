//! Load that does not wait for answers, and what came of it.
//!
//! Requests leave at the instants of their [`Arrivals`], however slow the answers are, and latency counts from the instant
//! at which a request was due: a server that stalls is charged with every request that it kept waiting. A generator that
//! waits for answers leaves those out (coordinated omission).
//!
//! Bounds: [`Load::in_flight_max`] requests are under way; those due beyond it are not sent, and counted. Memory of the
//! histograms is fixed.

mod pacer;
mod sender;
mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Uri;
use tokio::sync::mpsc;

use sender::Sender;
use tally::Tally;
pub use tally::{Failures, Second};

/// Requests between the pacer and the sender: those due while the sender is not scheduled for a while.
const DUE_MAX: usize = 8_192;

/// What is asked, of whom.
#[derive(Clone, Debug)]
pub struct Load {
    /// The resource, with the server's address.
    target: Uri,
    /// How many requests may be under way. Default 1024: at the bound the server is hopelessly behind.
    pub in_flight_max: usize,
    /// How long an answer may take before the request has failed. Default 10 s.
    pub timeout: Duration,
    /// How often a request whose connection broke is sent again, as clients do with what may be repeated. Default 0.
    pub retries_max: u32,
    /// Headers of each request. Default none.
    pub headers: hyper::HeaderMap,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The load as a whole, as if it were one second.
    pub whole: Second,
    /// What failed, by reason.
    pub failures: Failures,
    /// How late the generator itself was at most: a machine that is too busy to measure shows here.
    pub sent_late_max: Duration,
}

impl Load {
    /// A load on `http://address` and this path, which may have a query.
    ///
    /// # Errors
    /// When the path is none.
    pub fn new(address: SocketAddr, path: &str) -> Result<Self, String> {
        let uri = format!("http://{address}{path}");
        let target = uri.parse().map_err(|error| format!("{uri}: {error}; a path begins with a slash"))?;
        let headers = hyper::HeaderMap::new();
        Ok(Self { target, in_flight_max: 1_024, timeout: Duration::from_secs(10), retries_max: 0, headers })
    }
}

/// Sends requests as they are due and waits for the last answers; tells of each second as it ends.
///
/// # Errors
/// When threads or sockets cannot be had. A server that does not answer is a failure of its requests, not an error.
pub fn run(
    load: &Load,
    arrivals: impl Iterator<Item = Duration> + Send + 'static,
    mut on_second: impl FnMut(&Second),
) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = Arc::new(Tally::default());
    let (due_sender, due) = mpsc::channel(DUE_MAX);
    let start = Instant::now();
    let pacer = pacer::start(arrivals, start, due_sender, Arc::clone(&tally))?;
    let sender = Sender::new(load, Arc::clone(&tally));
    runtime.block_on(async {
        let sent = sender.send_all(due);
        tokio::pin!(sent);
        let mut seconds = tokio::time::interval_at((start + Duration::from_secs(1)).into(), Duration::from_secs(1));
        loop {
            tokio::select! {
                () = &mut sent => break,
                _ = seconds.tick() => on_second(&tally.end_second()),
            }
        }
    });
    pacer.join().expect("the pacer does not panic");
    Ok(tally.outcome(start.elapsed()))
}
