//! One real service on this machine with everything around it, as users run it: each part a process of its own, on free
//! ports, with topics of its own on a real broker.
//!
//! ```text
//! load ─► mirror, or its replicas ─┬─► primary ┐
//!                                  └─► shadow  ┴ control groups ─► profile ─► run ─► actuate
//! ```

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use schemas::Noun;
use services::{Arrivals, Load, Outcome, Spacing, load};
use topics::{Kafka, KafkaSettings, Log, Start, read_all};

use crate::binary::{self, Process};
use crate::broker;

/// What is run.
#[derive(Debug)]
pub struct Cast {
    /// The program and its arguments; its environment says where it listens, under `LISTEN`.
    pub command: Vec<String>,
    /// What it has, and what decisions may raise it to.
    pub cores: [f64; 2],
    /// The 99th percentile of latency that it promises, in seconds.
    pub slo_s: f64,
    /// The line of its record that says which shadow it has, or what probes may take.
    pub shadow: &'static str,
}

/// A service's folder, topics and ports.
#[derive(Debug)]
pub struct Stand {
    folder: tempfile::TempDir,
    workload: String,
    /// Its topics.
    pub log: Kafka,
    /// Where clients come: the mirror.
    pub front: SocketAddr,
    /// Where the primary listens.
    pub primary: SocketAddr,
    /// Where its shadow does.
    pub shadow: SocketAddr,
}

/// An adapter and what it serves. Dropping it ends both.
#[derive(Debug)]
pub struct Served(Process);

impl Drop for Served {
    fn drop(&mut self) {
        // Where it hangs it is killed, and its service runs on: no test takes it for its own.
        self.0.terminate(END_MAX);
    }
}

/// Longest wait for the end of a service and its adapter, which gives it ten seconds.
const END_MAX: Duration = Duration::from_secs(15);

/// Longest wait for a part to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// Between two looks at whether it does.
const PAUSE: Duration = Duration::from_millis(50);

/// Requests under way at most.
const IN_FLIGHT_MAX: usize = 256;

impl Stand {
    /// Nothing runs yet.
    ///
    /// # Panics
    /// When there is no broker, or the temporary folder cannot be written.
    #[must_use]
    pub fn new(name: &str, service: &Cast) -> Self {
        let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let [front, primary, shadow] = listeners.each_ref().map(|listener| listener.local_addr().expect("it is bound"));
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        // Of its own: an adapter would adopt what another run has left under the same name.
        let workload = format!("{name}-{}", std::process::id());
        let namespace = format!("{workload}.");
        let brokers = broker::shared().brokers();
        let settings = format!(
            "[kafka]\nbrokers = \"{brokers}\"\nnamespace = \"{namespace}\"\n[profiler]\ninterval = \"200ms\"\nhost = false\n"
        );
        let Cast { command, cores: [cores, cores_max], slo_s, shadow: of_shadow } = service;
        let services = format!(
            r#"
            [[pool]]
            pool = "machine"
            [[pool.offers]]
            offer = "own"
            kind = "committed"
            capacity = {{ cpu_cores = 2.0, memory_bytes = 2147483648 }}
            core_hour = 0.04
            gib_hour = 0.004
            [[service]]
            command = {command:?}
            environment = {{ LISTEN = "{primary}" }}
            shadow_environment = {{ LISTEN = "{shadow}" }}
            output = "/dev/null"
            memory_fixed_bytes = 134217728
            shadow_lives = "1h"
            shadow_rests = "1s"
            [service.workload]
            workload = "{workload}"
            orchestrator = "cgroup"
            pool = "machine"
            mode = "act"
            allocation = {{ cpu_cores = {cores}, memory_bytes = 268435456 }}
            min = {{ cpu_cores = {cores}, memory_bytes = 268435456 }}
            max = {{ cpu_cores = {cores_max}, memory_bytes = 268435456 }}
            step = {{ cpu_cores = 0.01, memory_bytes = 4194304 }}
            slo_latency_p99 = {slo_s}
            unmet_cost = 0.95
            idle_cost = 0.05
            {of_shadow}
            "#
        );
        for (name, text) in [("settings.toml", settings), ("services.toml", services)] {
            std::fs::write(folder.path().join(name), text).expect("the folder can be written");
        }
        let log = Kafka::connect(KafkaSettings { brokers, namespace, ..KafkaSettings::default() });
        let log = log.expect("the broker serves");
        log.ensure(schemas::Topic::ALL, 1).expect("topics can be made");
        Self { folder, workload, log, front, primary, shadow }
    }

    /// The adapter, which starts the service.
    #[must_use]
    pub fn adapter(&self) -> Served {
        Served(self.start("actuate", &["--orchestrator=cgroup", "--services=services.toml"]))
    }

    /// The mirror, or a replica of it under this name.
    #[must_use]
    pub fn mirror(&self, replica: Option<&str>) -> Process {
        let mut arguments = vec![
            format!("--workload={}", self.workload),
            format!("--listen={}", self.front),
            format!("--primary={}", self.primary),
            format!("--shadow={}", self.shadow),
        ];
        arguments.extend(replica.map(|name| format!("--replica={name}")));
        self.start("mirror", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Kills the shadow at once; whether there was one.
    #[must_use]
    pub fn kill_shadow(&self) -> bool {
        // The program, and what started it.
        pids_at(self.shadow).filter(|pid| kill_process(*pid, Signal::KILL).is_ok()).count() > 0
    }

    /// CPU that those who listen at an address have used so far.
    #[must_use]
    pub fn cpu_used(&self, at: SocketAddr) -> Duration {
        let tasks = pids_at(at).filter_map(|pid| std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid())).ok());
        let used = tasks.flatten().flatten().filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        });
        used.sum()
    }

    /// A command of the binary.
    #[must_use]
    pub fn start(&self, command: &str, arguments: &[&str]) -> Process {
        let mut part = self.command(command, arguments);
        part.env("FORESHADOW_TRACE", "info");
        Process::start(part, &self.folder.path().join(format!("{command}.txt")))
    }

    /// What a command of the binary prints, once it has ended.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn said(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.command(command, arguments).output().expect("the binary is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints text")
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut part = binary::foreshadow();
        part.current_dir(self.folder.path()).args(["--settings", "settings.toml", command]).args(arguments);
        part
    }

    /// What has been written to its log of one kind.
    ///
    /// # Panics
    /// When the broker is gone, or somebody else wrote.
    #[must_use]
    pub fn records<N: Noun>(&self) -> Vec<N> {
        let records = read_all(&self.log, N::TOPIC, Start::Earliest).expect("the broker serves");
        let values = records.iter().filter_map(|record| record.value.as_deref());
        values.map(|value| N::from_json(value).expect("a record of ours")).collect()
    }

    /// An open-loop load of so many requests a second; those whose connection broke are sent again so often.
    ///
    /// # Panics
    /// Without threads or sockets.
    pub fn send(&self, to: SocketAddr, rate: f64, lasting: Duration, retries_max: u32) -> Outcome {
        let mut load = work(to);
        load.retries_max = retries_max;
        load::run(&load, arrivals(&format!("{rate:.1}"), lasting, 1), |_| {}).expect("threads and sockets")
    }
}

/// The processes that were started to listen at an address.
fn pids_at(address: SocketAddr) -> impl Iterator<Item = Pid> {
    let listens = format!("LISTEN={address}");
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(move |pid| {
        let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == listens.as_bytes())
    })
}

/// Work that is asked for at an address.
///
/// # Panics
/// Never: the path is one.
#[must_use]
pub fn work(at: SocketAddr) -> Load {
    let mut load = Load::new(at, "/work").expect("a path");
    load.in_flight_max = IN_FLIGHT_MAX;
    load
}

/// Requests at random instants, by a rate as people write it; the same seed gives the same ones.
///
/// # Panics
/// When it is no rate.
#[must_use]
pub fn arrivals(rate: &str, lasting: Duration, seed: u64) -> Arrivals {
    Arrivals::new(&rate.parse().expect("a rate"), lasting, Spacing::Poisson { seed })
}

/// Waits until somebody listens.
///
/// # Panics
/// When nobody does within some time.
pub fn wait_for(address: SocketAddr) {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < START_MAX, "nobody listens at {address}");
        std::thread::sleep(PAUSE);
    }
}
