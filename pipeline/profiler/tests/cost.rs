//! What the profiler costs: 100 instances ten times a second, for real. Goal: 1 % of one core, 10 µs an instance.
//!
//! Not run by default, as a busy machine measures its other work too:
//! `cargo test --release -p profiler --test cost -- --ignored --nocapture --test-threads 1`
#![allow(clippy::disallowed_methods, reason = "an edge: it ticks by the machine's clock")]
#![allow(clippy::print_stdout, reason = "a measurement tells what it measured")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use profiler::{Profiler, ProfilerSettings};
use schemas::{EventTime, Workload};

const INSTANCES: usize = 100;
const TICKS: u64 = 200;
const INTERVAL: Duration = Duration::from_millis(100);

/// Twice the goal: what a machine with other work must keep too.
const SHARE_MAX: f64 = 0.02;

/// Children, and the control groups that they were put into.
struct Fleet {
    children: Vec<Child>,
    groups: Vec<PathBuf>,
}

impl Fleet {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let child = |_| Command::new(program).args(arguments).spawn().expect("a child");
        Self { children: (0..INSTANCES).map(child).collect(), groups: Vec::new() }
    }

    /// Puts each child into a group of its own in every tree; false where that is not allowed.
    fn enter(&mut self) -> bool {
        let root = Path::new("/sys/fs/cgroup");
        let is_tree = |folder: &PathBuf| folder.join("cgroup.procs").exists();
        let below = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_tree);
        // A unified machine has one tree; what is below its root are groups.
        let trees: Vec<PathBuf> = if is_tree(&root.to_owned()) { vec![root.to_owned()] } else { below.collect() };
        for tree in &trees {
            for (index, child) in self.children.iter().enumerate() {
                let group = tree.join(format!("foreshadow-cost-{index}"));
                if fs::create_dir(&group).is_err() {
                    return false;
                }
                self.groups.push(group.clone());
                // Trees without a controller of ours (cpuset) may refuse processes.
                _ = fs::write(group.join("cgroup.procs"), child.id().to_string());
            }
        }
        !trees.is_empty()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.children {
            _ = child.kill();
            _ = child.wait();
        }
        for group in &self.groups {
            let _removed = (0..100).any(|_| {
                fs::remove_dir(group).is_ok() || {
                    sleep(Duration::from_millis(10));
                    false
                }
            });
        }
    }
}

fn workload(selector: &str) -> Workload {
    let json = format!(
        r#"{{"workload": "fleet", "orchestrator": "cgroup", "selector": {selector}, "pool": "p",
            "allocation": {{"cpu_cores": 1, "memory_bytes": 1}}, "min": {{"cpu_cores": 1, "memory_bytes": 1}},
            "max": {{"cpu_cores": 1, "memory_bytes": 1}}, "step": {{"cpu_cores": 1, "memory_bytes": 1}},
            "unmet_cost": 1, "idle_cost": 1}}"#
    );
    serde_json::from_str(&json).expect("a workload")
}

/// Samples the fleet in real time and tells the cost.
fn measure(what: &str, selector: &str) {
    // A child's command line is empty for a moment, until its program is loaded.
    sleep(Duration::from_secs(1));
    let mut profiler = Profiler::new(ProfilerSettings::default(), &[workload(selector)]).expect("Linux");
    let started = Instant::now();
    for tick in 1..=TICKS {
        let samples = profiler.sample(EventTime::from_millis(tick * 100));
        assert_eq!(samples.len(), INSTANCES);
        sleep((INTERVAL * u32::try_from(tick).expect("few")).saturating_sub(started.elapsed()));
    }
    let cost = profiler.cost();
    let per_sample_us = cost.cpu_seconds / cost.samples as f64 * 1e6;
    println!("{what}: {per_sample_us:.2} µs of CPU a sample, {:.2} % of a core", cost.core_share() * 100.0);
    assert!(cost.core_share() < SHARE_MAX, "{cost:?}");
}

#[test]
#[ignore = "a measurement of twenty seconds"]
fn a_hundred_groups_cost_a_percent_of_a_core() {
    let mut fleet = Fleet::start("sleep", &["3600"]);
    if !fleet.enter() {
        println!("SKIPPED: control groups are not writable here, so their cost was not measured");
        return;
    }
    measure("groups", r#"{"cgroup": "foreshadow-cost-*"}"#);
}

#[test]
#[ignore = "a measurement of twenty seconds"]
fn a_hundred_groups_with_networks_of_their_own_cost_a_percent_of_a_core() {
    let mut fleet = Fleet::start("unshare", &["--net", "sleep", "3600"]);
    if !fleet.enter() {
        println!("SKIPPED: control groups are not writable here, so their cost was not measured");
        return;
    }
    measure("groups with networks", r#"{"cgroup": "foreshadow-cost-*"}"#);
}

#[test]
#[ignore = "a measurement of twenty seconds"]
fn a_hundred_busy_groups_cost_a_percent_of_a_core() {
    let mut fleet = Fleet::start("sh", &["-c", "while :; do sleep 0.05; done"]);
    if !fleet.enter() {
        println!("SKIPPED: control groups are not writable here, so their cost was not measured");
        return;
    }
    measure("busy groups", r#"{"cgroup": "foreshadow-cost-*"}"#);
}

#[test]
#[ignore = "a measurement of twenty seconds"]
fn a_hundred_processes_cost_a_percent_of_a_core() {
    let _fleet = Fleet::start("sleep", &["3601"]);
    measure("processes", r#"{"process": "sleep 3601"}"#);
}
