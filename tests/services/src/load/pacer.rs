//! A thread that sleeps until each request is due: a runtime's timers are too coarse, at a millisecond.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::tally::{Failure, Tally};

/// Names each instant as it comes, until the arrivals end.
pub(super) fn start(
    arrivals: impl Iterator<Item = Duration> + Send + 'static,
    start: Instant,
    due: mpsc::Sender<Instant>,
    tally: Arc<Tally>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("pacer".to_owned()).spawn(move || {
        for after in arrivals {
            let instant = start + after;
            thread::sleep(instant.saturating_duration_since(Instant::now()));
            tally.due();
            // A sender that lags by a whole channel is a load that could not be sent.
            if due.try_send(instant).is_err() {
                tally.failed(Failure::Unsent);
            }
        }
    })
}
