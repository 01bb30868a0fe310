//! How what runs ends: by the wish of whoever runs it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Whether what runs should end. Clones are the same wish.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Asks it to end.
    pub fn request(&self) {
        *self.0.0.lock().expect("no holder panics") = true;
        self.0.1.notify_all();
    }

    /// Whether it was asked to end.
    pub fn requested(&self) -> bool {
        *self.0.0.lock().expect("no holder panics")
    }

    /// Waits for the wish, at most this long; true when it was expressed.
    pub fn wait(&self, timeout: Duration) -> bool {
        let held = self.0.0.lock().expect("no holder panics");
        *self.0.1.wait_timeout_while(held, timeout, |stop| !*stop).expect("no holder panics").0
    }
}
