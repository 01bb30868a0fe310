//! A cell that nothing supervises ends as a whole: a process that has lost another ends by itself, so that whoever watches over
//! the processes sees it and starts them again.

#![allow(clippy::disallowed_methods, reason = "an edge test: it waits for real processes on the machine's clock")]

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use end_to_end::binary::{Process, foreshadow};
use end_to_end::broker;

/// Longest wait for the cell to begin, and for a process to notice that another is gone.
const BEGIN_MAX: Duration = Duration::from_secs(30);
const NOTICE_MAX: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
/// Exit status of a process that has lost another of its cell.
const CELL_LOST: i32 = 3;

#[test]
fn a_process_that_loses_another_ends() {
    let broker = broker::shared();
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let namespace = format!("cells-{}.", std::process::id());
    let text = format!("[kafka]\nbrokers = \"{}\"\nnamespace = \"{namespace}\"\n", broker.brokers());
    std::fs::write(folder.path().join("settings.toml"), text).expect("the folder can be written");
    for killed in 0..2 {
        let mut cell = cell(folder.path(), killed);
        let begun = Instant::now();
        while !cell[0].told().contains("the pipeline runs") {
            assert!(begun.elapsed() < BEGIN_MAX && cell[0].runs(), "{}", cell[0].told());
            std::thread::sleep(PAUSE);
        }
        cell[killed].kill();
        let survivor = &mut cell[1 - killed];
        let status = survivor.ends_within(NOTICE_MAX).and_then(|status| status.code());
        assert_eq!(status, Some(CELL_LOST), "process {} without {killed}:\n{}", 1 - killed, survivor.told());
        assert!(survivor.told().contains("this process ends, and with it its cell"), "{}", survivor.told());
    }
}

/// Two processes, each told where both listen.
fn cell(folder: &Path, life: usize) -> [Process; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let addresses =
        listeners.each_ref().map(|listener| listener.local_addr().expect("it listens").to_string()).join(",");
    drop(listeners);
    [0, 1].map(|process| {
        let mut command = foreshadow();
        command.arg("--settings").arg(folder.join("settings.toml")).arg("run");
        command.args(["--process", &process.to_string(), "--addresses", &addresses]);
        Process::start(command, &folder.join(format!("process-{process}-{life}.log")))
    })
}
