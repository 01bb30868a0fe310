//! How a command ends: by the wish of whoever runs it.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
pub(crate) use wire::Stop;

/// Exit status after a second signal: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// A wish that SIGINT and SIGTERM express; a second signal ends the process at once.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn on_signals() -> anyhow::Result<Stop> {
    let stop = Stop::default();
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
