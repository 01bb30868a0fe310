//! How the processes of a cell find each other: each listens at its own address and calls those before it.
//!
//! The caller says one line: who it is and of which build. What says anything else is hung up on. There is no password: the
//! addresses belong into a network that is trusted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use dataflow::Cell;
use dataflow::snapshot::FORMAT;

/// How long the processes wait for each other.
const MEET_WITHIN: Duration = Duration::from_secs(30);

/// How often one looks whether another is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a caller may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(2);

/// Bytes of a greeting.
const HELLO_BYTES: usize = 64;

/// Connects a process with all others.
///
/// # Errors
/// When the addresses cannot be used, or the others do not come.
pub(super) fn connect(process: usize, addresses: &[String]) -> anyhow::Result<Cell> {
    ensure!(process < addresses.len(), "--process {process} is none of {} addresses: count from 0", addresses.len());
    let own = &addresses[process];
    let listener = TcpListener::bind(own).with_context(|| format!("the cell cannot listen at {own}"))?;
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + MEET_WITHIN;
    let mut sockets: Vec<Option<TcpStream>> = addresses.iter().map(|_| None).collect();
    for (other, address) in addresses.iter().enumerate().take(process) {
        sockets[other] = Some(call(process, address, deadline)?);
    }
    while let Some(missing) = (process + 1..sockets.len()).find(|other| sockets[*other].is_none()) {
        let waited = Instant::now() < deadline;
        ensure!(waited, "process {missing} of the cell has not come within {MEET_WITHIN:?}: is it started?");
        match listener.accept() {
            Ok((socket, from)) => match greeted(socket) {
                Ok((other, socket)) if sockets.get(other).is_some_and(Option::is_none) => sockets[other] = Some(socket),
                Ok((other, _)) => tracing::warn!(%from, other, "a process that is none of this cell, or here twice"),
                Err(error) => tracing::warn!(%from, "a stranger called: {error:#}"),
            },
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::sleep(LOOK_EVERY),
            Err(error) => return Err(error).with_context(|| format!("the cell cannot listen at {own}")),
        }
    }
    Ok(Cell { process, sockets })
}

fn call(process: usize, address: &str, deadline: Instant) -> anyhow::Result<TcpStream> {
    loop {
        match TcpStream::connect(address) {
            Ok(mut socket) => {
                socket.set_nodelay(true)?;
                socket.write_all(&hello(process))?;
                return Ok(socket);
            }
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("no process of the cell answers at {address}"));
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Who calls, padded to a fixed length.
fn hello(process: usize) -> [u8; HELLO_BYTES] {
    let text = format!("{}{process}", build());
    let mut bytes = [b'\n'; HELLO_BYTES];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// What processes of one cell have in common.
fn build() -> String {
    format!("foreshadow {} {FORMAT} ", env!("CARGO_PKG_VERSION"))
}

fn greeted(mut socket: TcpStream) -> anyhow::Result<(usize, TcpStream)> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(HELLO_WITHIN))?;
    let mut bytes = [0; HELLO_BYTES];
    socket.read_exact(&mut bytes)?;
    socket.set_read_timeout(None)?;
    let text = String::from_utf8_lossy(&bytes);
    match text.trim_end().strip_prefix(&build()).map(str::parse) {
        Some(Ok(process)) => Ok((process, socket)),
        _ => bail!("it is not of this build ({})", build().trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free_addresses(count: usize) -> Vec<String> {
        super::super::supervisor::free_addresses(count).expect("free ports")
    }

    #[test]
    fn processes_find_each_other_in_any_order_and_strangers_are_hung_up_on() {
        let addresses = free_addresses(3);
        let cells: Vec<Cell> = std::thread::scope(|scope| {
            let first = scope.spawn(|| connect(0, &addresses));
            let mut stranger = loop {
                match TcpStream::connect(&addresses[0]) {
                    Ok(socket) => break socket,
                    Err(_) => std::thread::sleep(LOOK_EVERY),
                }
            };
            stranger.write_all(&[b'x'; HELLO_BYTES]).expect("it listens");
            let others: Vec<_> = [2, 1]
                .map(|process| {
                    scope.spawn({
                        let addresses = &addresses;
                        move || connect(process, addresses)
                    })
                })
                .into();
            let all = std::iter::once(first).chain(others);
            all.map(|cell| cell.join().expect("no panic").expect("they meet")).collect()
        });
        for cell in cells {
            let met: Vec<bool> = cell.sockets.iter().map(Option::is_some).collect();
            let expected: Vec<bool> = (0..3).map(|other| other != cell.process).collect();
            assert_eq!(met, expected, "of process {}", cell.process);
        }
    }
}
