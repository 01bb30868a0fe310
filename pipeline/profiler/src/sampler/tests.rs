//! The profiler on machines made of folders, and on this one with real children and control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use schemas::{Role, Span};
use tempfile::TempDir;

use super::*;
use crate::discover::tests::workload;

const GROUP: &str = "sys/fs/cgroup/web/1";

/// A machine of version 2 only, in a folder.
struct Fake(TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().expect("a folder"));
        let root = fake.0.path().display().to_string();
        fake.put("proc/self/mountinfo", &format!("30 23 0:26 / {root}/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"));
        fake.put("proc/devices", "Block devices:\n  7 loop\n");
        fake
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn group(&self, files: &[(&str, &str)]) {
        files.iter().for_each(|(name, text)| self.put(&format!("{GROUP}/{name}"), text));
    }

    fn settings(&self) -> ProfilerSettings {
        let root = |name: &str| self.0.path().join(name);
        ProfilerSettings { proc_root: root("proc"), cgroup_root: root("sys/fs/cgroup"), ..ProfilerSettings::default() }
    }

    fn profiler(&self, workloads: &[Workload]) -> Profiler {
        Profiler::new(self.settings(), workloads).expect("a machine")
    }
}

fn at(millis: u64) -> EventTime {
    EventTime::from_millis(millis)
}

/// The next sample in which seldom readings are new.
fn sample_a_second_later(profiler: &mut Profiler) -> Sample {
    sleep(Duration::from_millis(1_000));
    let mut samples = profiler.sample(at(1_000));
    assert_eq!(samples.len(), 1);
    samples.remove(0)
}

#[test]
fn a_group_of_version_2_has_every_reading() {
    let fake = Fake::new();
    fake.group(&[
        ("cpu.stat", "usage_usec 1000000\nnr_periods 100\nnr_throttled 10\n"),
        ("cpu.max", "150000 100000\n"),
        ("memory.current", "5000\n"),
        ("memory.stat", "anon 3000\ninactive_file 1000\n"),
        ("memory.max", "8192\n"),
        ("io.stat", "8:0 rbytes=1000 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"),
        ("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=100\n"),
        ("memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
        ("io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
        ("cgroup.procs", "41\n"),
    ]);
    let net = "Inter-|\n face |\n  eth0: 1000 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n";
    fake.put("proc/41/net/dev", net);
    for (process, namespace) in [("1", "net:[1]"), ("41", "net:[2]")] {
        fs::create_dir_all(fake.0.path().join("proc").join(process).join("ns")).expect("made");
        std::os::unix::fs::symlink(namespace, fake.0.path().join("proc").join(process).join("ns/net")).expect("linked");
    }
    fake.put("proc/stat", "cpu  1000 0 200 5000 50 3 7 10 0 0\n");
    let mut profiler = fake.profiler(&[workload("web", r#"{"cgroup": "web/*"}"#)]);

    let started_ns = monotonic_ns();
    let first = profiler.sample(at(5));
    let sample = &first[0];
    assert_eq!((sample.time, sample.workload.as_str(), sample.instance_name()), (at(5), "web", "1"));
    assert_eq!(sample.role, Role::Primary);
    assert_eq!(sample.cpu_limit_cores.map(schemas::Cores::get), Some(1.5));
    assert_eq!(sample.memory_working_set_bytes.map(schemas::Bytes::get), Some(4_000.0));
    assert_eq!(sample.memory_limit_bytes.map(schemas::Bytes::get), Some(8_192.0));
    let rates = schemas::Metric::ALL.iter().filter(|metric| sample.reading(**metric).is_some()).count();
    assert_eq!(rates, 3, "gauges only: {sample:?}");

    fake.group(&[
        ("cpu.stat", "usage_usec 1500000\nnr_periods 110\nnr_throttled 13\n"),
        ("io.stat", "8:0 rbytes=3000 wbytes=4000 rios=1 wios=0 dbytes=0 dios=0\n"),
        ("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=250100\n"),
    ]);
    fake.put("proc/41/net/dev", &net.replace("1000", "7000").replace("500", "1500"));
    fake.put("proc/stat", "cpu  1100 0 250 5030 60 3 7 20 0 0\n");
    let sample = sample_a_second_later(&mut profiler);
    // Half a second of CPU was added; over how long is for the clock to say.
    let seconds = 0.5 / sample.cpu_used_cores.expect("a rate").get();
    let elapsed = (monotonic_ns() - started_ns) as f64 / 1e9;
    assert!(1.0 <= seconds && seconds <= elapsed, "{seconds} s of {elapsed} s");
    let near = |reading: schemas::Metric, in_all: f64| {
        let value = sample.reading(reading).expect("a rate") * seconds;
        // The two kinds of readings are taken one after the other: 50 ms for when we have to wait in between.
        assert!((value / in_all - 1.0).abs() < 0.05, "{reading:?}: {value} of {in_all}");
    };
    near(schemas::Metric::DiskRead, 2_000.0);
    near(schemas::Metric::DiskWrite, 4_000.0);
    near(schemas::Metric::NetworkReceive, 6_000.0);
    near(schemas::Metric::NetworkTransmit, 1_000.0);
    near(schemas::Metric::CpuPressure, 0.25);
    assert_eq!(sample.cpu_throttled_ratio.map(schemas::Ratio::get), Some(0.3), "3 of 10 periods");
    assert_eq!(sample.memory_pressure_ratio.map(schemas::Ratio::get), Some(0.0));
    // Of 200 ticks of the machine 150 were used and 10 stolen.
    let around = [sample.host_cpu_used_ratio, sample.host_cpu_stolen_ratio].map(|ratio| ratio.map(schemas::Ratio::get));
    assert_eq!(around, [Some(0.75), Some(0.05)]);
    assert_eq!(sample.check(), Ok(()));
}

#[test]
fn what_is_unlimited_torn_or_absent_is_missing() {
    let fake = Fake::new();
    fake.group(&[
        ("cpu.stat", "usage_usec 10000"),
        ("cpu.max", "max 100000\n"),
        ("memory.current", "5000\n"),
        ("memory.stat", ""),
        ("memory.max", "max\n"),
    ]);
    let mut profiler = fake.profiler(&[workload("web", r#"{"cgroup": "web/*"}"#)]);
    profiler.sample(at(0));
    let sample = sample_a_second_later(&mut profiler);
    let taken: Vec<_> = schemas::Metric::ALL.iter().filter(|metric| sample.reading(**metric).is_some()).collect();
    assert_eq!(taken, Vec::<&schemas::Metric>::new());
}

#[test]
fn a_group_that_starts_anew_is_a_reset_and_no_rate() {
    let fake = Fake::new();
    let mut profiler = fake.profiler(&[workload("web", r#"{"cgroup": "web/*"}"#)]);
    let mut cores = |usage: &str| {
        fake.group(&[("cpu.stat", usage)]);
        profiler.sample(at(0))[0].cpu_used_cores
    };
    assert_eq!(cores("usage_usec 5000\n"), None);
    assert!(cores("usage_usec 6000\n").is_some());
    assert_eq!(cores("usage_usec 100\n"), None);
    assert!(cores("usage_usec 200\n").is_some());
    assert_eq!(profiler.cost().resets, 1);
    assert_eq!(profiler.cost().samples, 4);
}

#[test]
fn a_controller_that_is_given_later_is_seen() {
    let fake = Fake::new();
    fake.group(&[("cpu.stat", "usage_usec 0\n")]);
    let workloads = [workload("web", r#"{"cgroup": "web/*"}"#)];
    let mut profiler = fake.profiler(&workloads);
    assert_eq!(profiler.sample(at(0))[0].memory_working_set_bytes, None);
    fake.group(&[("cpu.stat", "usage_usec 9\n"), ("memory.current", "7\n"), ("memory.stat", "inactive_file 2\n")]);
    profiler.set_workloads(&workloads);
    let sample = &profiler.sample(at(0))[0];
    assert_eq!(sample.memory_working_set_bytes.map(schemas::Bytes::get), Some(5.0));
    assert!(sample.cpu_used_cores.is_some(), "the counters went on");
}

#[test]
fn instances_beyond_the_bound_are_left_out_and_counted() {
    let fake = Fake::new();
    for group in 0..5 {
        fake.put(&format!("sys/fs/cgroup/web/{group}/cpu.stat"), "usage_usec 0\n");
    }
    let settings = ProfilerSettings { instances_max: 3, ..fake.settings() };
    let mut profiler = Profiler::new(settings, &[workload("web", r#"{"cgroup": "web/*"}"#)]).expect("a machine");
    let samples = profiler.sample(at(0));
    let names: Vec<&str> = samples.iter().map(Sample::instance_name).collect();
    assert_eq!(names, ["0", "1", "2"]);
    assert_eq!(profiler.cost().left_out, 2);
}

#[test]
fn a_machine_without_processes_is_an_error_with_the_mend() {
    let settings = ProfilerSettings { proc_root: "/no-such-folder".into(), ..ProfilerSettings::default() };
    let error = Profiler::new(settings, &[]).err().expect("nothing to read");
    assert!(error.to_string().contains("/no-such-folder/self/mountinfo"), "{error}");
    let settings = ProfilerSettings { interval: Span::from_millis(1), ..ProfilerSettings::default() };
    let error = Profiler::new(settings, &[]).err().expect("too fast");
    assert!(error.to_string().contains("interval"), "{error}");
}

/// Tells why a test did not test, past the capture of output.
fn skipped(why: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "SKIPPED: {why}").expect("a terminal");
}

/// A child that is killed in the end, and the control groups that it was put into.
struct Running {
    child: Child,
    groups: Vec<PathBuf>,
}

impl Running {
    fn start(script: &str) -> Self {
        let child = Command::new("sh").args(["-c", script]).spawn().expect("a shell");
        Self { child, groups: Vec::new() }
    }

    fn burner() -> Self {
        Self::start("while :; do :; done")
    }

    /// Puts the child into a group of its own in every tree that there is; false where that is not allowed.
    fn enter(&mut self, name: &str) -> bool {
        let mounts = Mounts::of_machine(Path::new("/proc/self/mountinfo"), Path::new("/sys/fs/cgroup")).expect("Linux");
        for root in mounts.roots() {
            let group = root.join(name);
            if fs::create_dir(&group).is_err() {
                return false;
            }
            self.groups.push(group.clone());
            if fs::write(group.join("cgroup.procs"), self.child.id().to_string()).is_err() {
                return false;
            }
        }
        !self.groups.is_empty()
    }

    fn selector(&self) -> String {
        format!(r#"{{"pid": {}}}"#, self.child.id())
    }

    /// CPU used so far, by the kernel's own account of the process.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("ticks");
        (ticks(11) + ticks(12)) / clock_ticks_per_second() as f64
    }

    fn stop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        for group in &self.groups {
            // The kernel lets a group go a moment after its last process.
            let _removed = (0..100).any(|_| {
                sleep(Duration::from_millis(10));
                fs::remove_dir(group).is_ok()
            });
        }
    }
}

fn on_this_machine(selector: &str) -> Profiler {
    Profiler::new(ProfilerSettings::default(), &[workload("burner", selector)]).expect("Linux")
}

/// Samples each 100 ms for two seconds, and compares what the rates add up to with the kernel's account.
fn check_burning(profiler: &mut Profiler, running: &Running) {
    let most_from = running.cpu_seconds();
    profiler.sample(at(0));
    let (mut before_ns, least_from) = (monotonic_ns(), running.cpu_seconds());
    let (mut burned, mut least_to) = (0.0, 0.0);
    for _ in 0..20 {
        sleep(Duration::from_millis(100));
        least_to = running.cpu_seconds();
        let cores = profiler.sample(at(0))[0].cpu_used_cores.expect("a rate").get();
        let now_ns = monotonic_ns();
        burned += cores * (now_ns - before_ns) as f64 / 1e9;
        before_ns = now_ns;
    }
    // What is burned while we wait for a CPU between two readings is in the one and not in the other.
    let (least, most) = (least_to - least_from, running.cpu_seconds() - most_from);
    assert!(least > 0.2, "the machine is too busy: {least} s of 2 s");
    // A step of 10 ms at each end, and 1 % for the time between our clock and the profiler's.
    let slack = 0.02 + most * 0.01;
    assert!(least - slack < burned && burned < most + slack, "{burned} s reported, {least} to {most} s counted");
}

#[test]
fn a_process_that_burns_cpu_is_reported_as_the_kernel_counts_it() {
    let running = Running::burner();
    let mut profiler = on_this_machine(&running.selector());
    check_burning(&mut profiler, &running);
}

#[test]
fn a_group_that_burns_cpu_is_reported_as_the_kernel_counts_it() {
    let mut running = Running::burner();
    let name = format!("foreshadow-test-{}-burner", std::process::id());
    if !running.enter(&name) {
        skipped("control groups are not writable here, so no real group was read");
        return;
    }
    let mut profiler = on_this_machine(&format!(r#"{{"cgroup": "{name}"}}"#));
    check_burning(&mut profiler, &running);

    let sample = &profiler.sample(at(0))[0];
    assert_eq!(sample.memory_limit_bytes, None, "unlimited: {sample:?}");
    assert_eq!(sample.network_receive_bytes_per_second, None, "the machine's traffic is not the group's");
    assert_eq!(sample.check(), Ok(()));

    running.stop();
    drop(running);
    assert_eq!(profiler.sample(at(0)), [], "the group is gone");
    assert_eq!(profiler.cost().vanished, 1);
}

#[test]
fn a_group_that_fills_memory_has_it_in_its_working_set() {
    // Memory is charged to the group in which it is first touched, so the shell waits until it is in.
    let mut running = Running::start("sleep 0.5; x=$(head -c 20000000 /dev/zero | tr '\\0' x); kill -STOP $$");
    let name = format!("foreshadow-test-{}-memory", std::process::id());
    if !running.enter(&name) {
        skipped("control groups are not writable here, so no real group was read");
        return;
    }
    let mut profiler = on_this_machine(&format!(r#"{{"cgroup": "{name}"}}"#));
    let mut used = || profiler.sample(at(0))[0].memory_working_set_bytes.map_or(0.0, schemas::Bytes::get);
    assert!(used() < 20e6);
    let filled = (0..100).any(|_| {
        sleep(Duration::from_millis(100));
        used() > 20e6
    });
    assert!(filled, "20 MB were written, {} bytes are seen", used());
}

#[test]
fn a_group_under_a_quota_is_throttled() {
    let mut running = Running::burner();
    let name = format!("foreshadow-test-{}-throttled", std::process::id());
    let quota = Path::new("/sys/fs/cgroup/cpu").join(&name).join("cpu.cfs_quota_us");
    if !running.enter(&name) || fs::write(&quota, "20000").is_err() {
        skipped("no writable CPU controller of version 1 here, so no real quota was set");
        return;
    }
    let mut profiler = on_this_machine(&format!(r#"{{"cgroup": "{name}"}}"#));
    profiler.sample(at(0));
    let sample = sample_a_second_later(&mut profiler);
    assert_eq!(sample.cpu_limit_cores.map(schemas::Cores::get), Some(0.2), "20 ms of each 100 ms");
    assert!(sample.cpu_throttled_ratio.is_some_and(|ratio| ratio.get() > 0.5), "{sample:?}");
    // A slice of 5 ms is given at a time, so a period may end up to one late.
    assert!(sample.cpu_used_cores.is_some_and(|cores| (cores.get() - 0.2).abs() < 0.05), "{sample:?}");
}

#[test]
fn a_process_that_ends_gives_no_more_samples() {
    let mut running = Running::start("sleep 60");
    let mut profiler = on_this_machine(&running.selector());
    assert_eq!(profiler.sample(at(0)).len(), 1);
    running.stop();
    assert_eq!(profiler.sample(at(0)), []);
    assert_eq!(profiler.sample(at(0)), []);
    assert_eq!(profiler.cost().vanished, 1, "counted once");
}

#[test]
fn a_process_with_a_network_of_its_own_has_traffic() {
    let running = Running::start("exec unshare --net sleep 60");
    // The shell has become `unshare`, and that `sleep`, in a new namespace.
    sleep(Duration::from_millis(500));
    let mut profiler = on_this_machine(&running.selector());
    profiler.sample(at(0));
    let command = fs::read_to_string(format!("/proc/{}/cmdline", running.child.id())).expect("it runs");
    if !command.starts_with("sleep") {
        skipped("network namespaces may not be made here, so none was read");
        return;
    }
    let sample = sample_a_second_later(&mut profiler);
    // Only a loopback: nothing was received, and that is known.
    assert_eq!(sample.network_receive_bytes_per_second.map(schemas::BytesPerSecond::get), Some(0.0), "{sample:?}");
}

#[test]
fn this_machine_is_read_without_workloads() {
    let settings = ProfilerSettings { host: true, ..ProfilerSettings::default() };
    let mut profiler = Profiler::new(settings, &[]).expect("Linux");
    profiler.sample(at(0));
    let sample = sample_a_second_later(&mut profiler);
    assert_eq!(sample.workload.as_str(), "host");
    let (used, limit) = (sample.cpu_used_cores.expect("used").get(), sample.cpu_limit_cores.expect("CPUs").get());
    // Steps of 10 ms on each CPU.
    assert!(0.0 <= used && used <= limit * 1.05, "{used} of {limit} cores");
    assert!(sample.memory_working_set_bytes < sample.memory_limit_bytes, "{sample:?}");
    assert!(sample.disk_read_bytes_per_second.is_some() && sample.network_receive_bytes_per_second.is_some());
    assert_eq!(sample.check(), Ok(()));
    assert_eq!(sample.instance_name(), profiler.source().as_str(), "the machine's name");
}
