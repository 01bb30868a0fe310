//! How a command ends: by the wish of whoever runs it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Exit status after a second signal: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Whether the command should end. Clones are the same wish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// A wish that SIGINT and SIGTERM express; a second signal ends the process at once.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(crate) fn on_signals() -> anyhow::Result<Self> {
        let stop = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("signal handlers")?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let wish = stop.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                for again in [false, true] {
                    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                    if again {
                        std::process::exit(INTERRUPTED);
                    }
                    tracing::info!("stopping; a second signal ends at once");
                    wish.request();
                }
            });
        })?;
        Ok(stop)
    }

    /// Asks the command to end.
    pub(crate) fn request(&self) {
        *self.0.0.lock().expect("no holder panics") = true;
        self.0.1.notify_all();
    }

    /// Whether it was asked to end.
    pub(crate) fn requested(&self) -> bool {
        *self.0.0.lock().expect("no holder panics")
    }

    /// Waits for the wish, at most this long; true when it was expressed.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let held = self.0.0.lock().expect("no holder panics");
        *self.0.1.wait_timeout_while(held, timeout, |stop| !*stop).expect("no holder panics").0
    }
}
