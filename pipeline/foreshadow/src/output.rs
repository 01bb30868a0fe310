//! Standard output as a command's result.

use std::io::{self, BufWriter, Write};

/// Runs what writes to standard output. A reader that went away, such as `head`, is a good end.
///
/// # Errors
/// As `write`, and when standard output cannot be written.
pub(crate) fn to_stdout(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    match written {
        Err(error) if is_closed(&error) => {
            // What is still buffered has no reader: it must not be tried again.
            let _ = out.into_parts();
            Ok(())
        }
        written => written,
    }
}

/// The end of a command that writes to standard output while it does other things: likewise.
///
/// # Errors
/// As what has ended.
pub(crate) fn end(ended: anyhow::Result<()>) -> anyhow::Result<()> {
    ended.or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) })
}

fn is_closed(error: &anyhow::Error) -> bool {
    let closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_a_good_end() {
        to_stdout(|_| Err(io::Error::from(io::ErrorKind::BrokenPipe).into())).expect("the reader went away");
        to_stdout(|_| Err(io::Error::from(io::ErrorKind::StorageFull).into())).expect_err("the disk is full");
        to_stdout(|_| anyhow::bail!("something else")).expect_err("something else");
        end(Err(io::Error::from(io::ErrorKind::BrokenPipe).into())).expect("likewise");
        end(Err(anyhow::anyhow!("something else"))).expect_err("something else");
    }
}
