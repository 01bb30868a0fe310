//! How the processes of a cell find each other: each listens at its own address and calls those before it.
//!
//! The caller says one line: of which build it is, how many processes and workers it takes the cell to have, and who it is.
//! What says anything else is hung up on. There is no password: the addresses belong into a network that is trusted.

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

/// Connects a process of so many workers with all others.
///
/// # Errors
/// When the addresses cannot be used, or the others do not come.
pub(super) fn connect(process: usize, addresses: &[String], workers: usize) -> anyhow::Result<Cell> {
    ensure!(process < addresses.len(), "--process {process} is none of {} addresses: count from 0", addresses.len());
    let own = &addresses[process];
    let common = common(addresses.len(), workers);
    let listener = TcpListener::bind(own).with_context(|| format!("the cell cannot listen at {own}"))?;
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + MEET_WITHIN;
    let mut sockets: Vec<Option<TcpStream>> = addresses.iter().map(|_| None).collect();
    for (other, address) in addresses.iter().enumerate().take(process) {
        sockets[other] = Some(call(&common, process, address, deadline)?);
    }
    while let Some(missing) = (process + 1..sockets.len()).find(|other| sockets[*other].is_none()) {
        let waited = Instant::now() < deadline;
        ensure!(waited, "process {missing} of the cell has not come within {MEET_WITHIN:?}: is it started?");
        match listener.accept() {
            Ok((socket, from)) => match greeted(&common, socket) {
                Ok((other, socket)) if sockets.get(other).is_some_and(Option::is_none) => sockets[other] = Some(socket),
                Ok((other, _)) => tracing::warn!(%from, other, "a process that is none of this cell, or here twice"),
                Err(error) => tracing::warn!(%from, "a caller is hung up on: {error:#}"),
            },
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::sleep(LOOK_EVERY),
            Err(error) => return Err(error).with_context(|| format!("the cell cannot listen at {own}")),
        }
    }
    Ok(Cell { process, sockets })
}

fn call(common: &str, process: usize, address: &str, deadline: Instant) -> anyhow::Result<TcpStream> {
    loop {
        match TcpStream::connect(address) {
            Ok(mut socket) => {
                socket.set_nodelay(true)?;
                socket.write_all(&hello(common, process))?;
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
fn hello(common: &str, process: usize) -> [u8; HELLO_BYTES] {
    let text = format!("{common} {process}");
    let mut bytes = [b'\n'; HELLO_BYTES];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// What processes of one cell have in common: the build, what it keeps, and the cell's shape.
fn common(processes: usize, workers: usize) -> String {
    format!("foreshadow {} {FORMAT} {processes}x{workers}", env!("CARGO_PKG_VERSION"))
}

fn greeted(common: &str, mut socket: TcpStream) -> anyhow::Result<(usize, TcpStream)> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(HELLO_WITHIN))?;
    let mut bytes = [0; HELLO_BYTES];
    socket.read_exact(&mut bytes)?;
    socket.set_read_timeout(None)?;
    let text = String::from_utf8_lossy(&bytes);
    match text.trim_end().rsplit_once(' ').map(|(said, process)| (said, process.parse())) {
        Some((said, Ok(process))) if said == common => Ok((process, socket)),
        _ => bail!(
            "it says {:?}, and this cell is {common:?} and a number: give all the same binary, addresses and workers",
            text.trim_end()
        ),
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
            let first = scope.spawn(|| connect(0, &addresses, 2));
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
                        move || connect(process, addresses, 2)
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

    #[test]
    fn a_process_that_takes_the_cell_for_another_is_hung_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let own = common(2, 2);
        for (said, taken) in [(common(2, 2), true), (common(2, 1), false), (common(3, 2), false)] {
            let _caller = call(&said, 1, &address, Instant::now()).expect("it listens");
            let (socket, _) = listener.accept().expect("one has called");
            match greeted(&own, socket) {
                Ok((process, _)) => assert!(taken && process == 1, "{said}"),
                Err(error) => assert!(!taken && error.to_string().contains(&said), "{said}: {error}"),
            }
        }
    }
}
