//! A cell on one machine: its processes are started, and started again as a whole when one of them ends.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::stop::Stop;

/// How often it is looked whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long the first process may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Pauses between two lives: doubled from the first to the last, and short again after a life of some length.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const LONG_LIFE: Duration = Duration::from_secs(30);

/// Runs a cell of so many processes until it is stopped.
///
/// # Errors
/// When no process can be started.
pub(super) fn supervise(processes: usize, stop: &Stop) -> anyhow::Result<()> {
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        let mut cell = Family::start(processes)?;
        let Some((process, status)) = cell.first_to_end(stop) else { return cell.end() };
        drop(cell);
        if begun.elapsed() > LONG_LIFE {
            pause = PAUSE_MIN;
        }
        tracing::error!(process, %status, "a process of the cell has ended: all begin again in {pause:?}");
        if stop.wait(pause) {
            return Ok(());
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Addresses on this machine that nobody listens at.
///
/// # Errors
/// When there is none.
pub(super) fn free_addresses(count: usize) -> anyhow::Result<Vec<String>> {
    // All are held until each has its own.
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>().context("a free port")?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

/// The processes of one life; killed when it is dropped.
struct Family(Vec<Child>);

impl Family {
    fn start(processes: usize) -> anyhow::Result<Self> {
        let addresses = free_addresses(processes)?.join(",");
        let program = std::env::current_exe().context("this program's own file")?;
        let mut family = Self(Vec::new());
        for process in 0..processes {
            let mut command = Command::new(&program);
            command.args(own_arguments(std::env::args_os().skip(1)));
            command.args(["--process", &process.to_string(), "--addresses", &addresses, "--supervised"]);
            // Ctrl-C is for the supervisor: it ends them in their order.
            command.process_group(0);
            family.0.push(command.spawn().context("a process of the cell")?);
        }
        Ok(family)
    }

    /// The process that ends first; none when the cell is to be stopped before.
    fn first_to_end(&mut self, stop: &Stop) -> Option<(usize, ExitStatus)> {
        while !stop.wait(LOOK_EVERY) {
            for (process, child) in self.0.iter_mut().enumerate() {
                if let Ok(Some(status)) = child.try_wait() {
                    return Some((process, status));
                }
            }
        }
        None
    }

    /// Asks the first process to end, which says the last word; then the others go too.
    fn end(mut self) -> anyhow::Result<()> {
        let first = &mut self.0[0];
        let pid = i32::try_from(first.id()).ok().and_then(Pid::from_raw).context("the process's number")?;
        kill_process(pid, Signal::TERM).context("the cell's first process")?;
        let asked = Instant::now();
        loop {
            match first.try_wait()? {
                Some(status) => {
                    anyhow::ensure!(status.success(), "the first process of the cell: {status}");
                    return Ok(());
                }
                None if asked.elapsed() < END_WITHIN => std::thread::sleep(LOOK_EVERY),
                None => {
                    tracing::warn!("the cell has not ended within {END_WITHIN:?}: it is killed");
                    return Ok(());
                }
            }
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// This process's arguments without what makes it a supervisor.
fn own_arguments(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut own = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--processes" {
            arguments.next();
        } else if !argument.as_encoded_bytes().starts_with(b"--processes=") {
            own.push(argument);
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn the_processes_get_all_arguments_but_their_number() {
        let own = |text: &str| own_arguments(text.split(' ').map(OsString::from)).join(OsStr::new(" "));
        assert_eq!(own("--brokers a:1 run --processes 2 --workers 3"), "--brokers a:1 run --workers 3");
        assert_eq!(own("run --processes=2 --snapshots dir"), "run --snapshots dir");
    }
}
