//! What is told on standard error: events while a command runs, and the complaint at its end.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Bytes that are held back at most while a screen is drawn; what comes after them is dropped.
const HELD_BYTES_MAX: usize = 64 << 10;

/// What is held back; none while nothing is drawn.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Tells events from now on: in colour to people, as plain text to files.
///
/// # Errors
/// A filter that cannot be read.
pub(crate) fn trace(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--trace {filter:?}: write such as `info`"))?;
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Told).with_ansi(colour).init();
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

/// Holds events back until it is dropped, for as long as a screen is drawn that they would tear.
#[derive(Debug)]
pub(crate) struct Hush(());

impl Hush {
    pub(crate) fn begin() -> Self {
        HELD.lock().expect("no holder panics").get_or_insert_with(Vec::new);
        Self(())
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        if let Ok(mut held) = HELD.lock()
            && let Some(held) = held.take()
        {
            let _ = std::io::stderr().write_all(&held);
        }
    }
}

struct Told;

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match HELD.lock().expect("no holder panics").as_mut() {
            Some(held) if held.len() < HELD_BYTES_MAX => held.extend_from_slice(bytes),
            Some(_) => {}
            None => return std::io::stderr().write(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
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
