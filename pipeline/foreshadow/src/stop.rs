//! How a command ends: by a signal, or with a complaint; and what is told on the way.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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

/// Tells events on standard error: in colour to people, as plain text to files.
///
/// # Errors
/// A filter that cannot be read.
pub(crate) fn trace(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--trace {filter:?}: write such as `info`"))?;
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).init();
    Ok(())
}

/// Tells a person why the command failed.
pub(crate) fn complain(error: &anyhow::Error) {
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(std::io::stderr(), "error: {}", told(error));
}

/// The error and each of its causes once: what an outer text holds already is left out.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once() {
        // A cause that the outer text has taken in already, as many of our errors do, and one that it has not.
        let inner =
            anyhow::anyhow!("no broker").context("cannot read samples: no broker").context("a statement failed");
        assert_eq!(told(&inner), "a statement failed: cannot read samples: no broker");
    }
}
