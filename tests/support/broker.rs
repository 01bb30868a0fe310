//! Real Kafka brokers for a test run: one by itself, or a cluster of several.
//!
//! A broker is what `make kafka` starts: `deploy/kafka/broker` in a process of its own, on free ports of
//! 127.0.0.1, with its data in a temporary folder. The kernel kills it when the test process ends, however it ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for a broker: it takes 2 to 5 s on two busy cores, and a first run fetches its jars (45 MB) before.
const START_MAX: Duration = Duration::from_secs(60);
/// Between two looks at whether it is up.
const PAUSE: Duration = Duration::from_millis(50);
/// The broker's log line that says it serves.
const STARTED: &str = "Kafka Server started";
/// How many of the log's last lines a failure shows.
const TAIL_LINES: usize = 30;
/// Folders of brokers, by the id of the test process; those of dead processes are swept at the next start.
const FOLDER_PREFIX: &str = "foreshadow-broker-";
/// Options for Java: what runs for a minute is not worth its second compiler. A broker starts in two thirds of the time
/// so, with half the CPU time.
const JAVA_OPTIONS: (&str, &str) = ("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1");

/// One running broker. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Broker {
    folder: PathBuf,
    port: u16,
    /// The controllers' ports of all brokers of its cluster, as `deploy/kafka/broker` takes them.
    controller_ports: String,
    /// Which of them it is, from 1.
    node: usize,
    child: Child,
}

/// The broker that all tests of this process share; started at the first call. Give topics names of your own.
///
/// # Panics
/// When it does not start, with the end of its log.
pub fn shared() -> &'static Broker {
    static SHARED: OnceLock<Broker> = OnceLock::new();
    SHARED.get_or_init(Broker::start)
}

/// A cluster of so many brokers of its own, each of them a controller too: for tests that lose some of them.
///
/// # Panics
/// When one does not start, with the end of its log.
#[must_use]
pub fn cluster(count: usize) -> Vec<Broker> {
    sweep();
    fetch();
    let mut ports = free_ports(2 * count);
    let controller_ports: Vec<_> = ports.split_off(count).iter().map(u16::to_string).collect();
    let controller_ports = controller_ports.join(",");
    // None is up before more than half of them are.
    let mut brokers: Vec<_> =
        ports.into_iter().zip(1..).map(|(port, node)| Broker::spawn(port, controller_ports.clone(), node)).collect();
    brokers.iter_mut().for_each(Broker::wait_until_started);
    brokers
}

impl Broker {
    /// Starts a broker of its own: for tests that stop and restart it.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    pub fn start() -> Self {
        cluster(1).pop().expect("a cluster of one has one")
    }

    fn spawn(port: u16, controller_ports: String, node: usize) -> Self {
        static SPAWNED: AtomicU32 = AtomicU32::new(0);
        let number = SPAWNED.fetch_add(1, Ordering::Relaxed);
        let folder = temporary().join(format!("{FOLDER_PREFIX}{}-{number}", process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let child = spawn(&folder, port, &controller_ports, node);
        Self { folder, port, controller_ports, node, child }
    }

    /// Where it listens, as Kafka's `bootstrap.servers`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it at once, as a crash would. Its data stay.
    pub fn stop(&mut self) {
        // A child that has ended already cannot be killed, which is as good.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again after [`Broker::stop`]: same address, same data.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    pub fn restart(&mut self) {
        self.stop();
        self.child = spawn(&self.folder, self.port, &self.controller_ports, self.node);
        self.wait_until_started();
    }

    /// One of Kafka's own command-line tools, pointed at this broker: `console-consumer`, `console-producer`, `topics`.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(script());
        command.env(JAVA_OPTIONS.0, JAVA_OPTIONS.1).arg(name).arg("--bootstrap-server").arg(self.brokers());
        command
    }

    fn wait_until_started(&mut self) {
        let begin = Instant::now();
        while !self.serves() {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the broker ended at its start ({ended:?}):\n{}", tail(&self.folder));
            assert!(begin.elapsed() < START_MAX, "no broker after {START_MAX:?}:\n{}", tail(&self.folder));
            thread::sleep(PAUSE);
        }
    }

    fn serves(&self) -> bool {
        log(&self.folder).contains(STARTED) && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
        // What cannot be removed now is swept at the next start.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts the process from a thread that never ends.
///
/// `setpriv --pdeathsig` ties the broker's life to the *thread* that started it, and a test's own thread ends with
/// that test, while the shared broker must outlive it.
fn spawn(folder: &Path, port: u16, controller_ports: &str, node: usize) -> Child {
    let log = File::create(folder.join("log")).expect("the broker's folder can be written");
    let mut command = Command::new("setpriv");
    command.env(JAVA_OPTIONS.0, JAVA_OPTIONS.1);
    command.args(["--pdeathsig", "KILL"]).arg(script()).arg("start").arg(folder);
    command.args([&port.to_string(), controller_ports, &node.to_string()]);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be cloned")).stderr(log);
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        sender.send(command.spawn()).expect("the starter waits for the answer");
        loop {
            thread::park();
        }
    });
    receiver.recv().expect("the thread answers").expect("setpriv (Debian's util-linux) and deploy/kafka/broker run")
}

/// Fetches the jars before the clock starts: the first time it takes as long as the network takes.
fn fetch() {
    let output = Command::new(script()).arg("fetch").output().expect("deploy/kafka/broker runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Ports that were free a moment ago; all are held until all are known, so that they differ.
fn free_ports(count: usize) -> Vec<u16> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let listeners: Vec<_> = (0..count).map(|_| free()).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("a bound socket has an address").port()).collect()
}

fn sweep() {
    for entry in fs::read_dir(temporary()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(FOLDER_PREFIX)?.split('-').next());
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Another test process may be sweeping the same folder.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn tail(folder: &Path) -> String {
    let log = log(folder);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn log(folder: &Path) -> String {
    fs::read(folder.join("log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn temporary() -> PathBuf {
    std::env::temp_dir()
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/broker")
}
