//! Groups of one test's own, gone at its end whatever happens, and a host whose counters the test writes.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemas::{EventTime, Outcome};

use crate::cgroup::group::Group;
use crate::cgroup::hierarchy::Hierarchy;
use crate::cgroup::{Cgroups, HostLimits};
use crate::services::tests::text;
use crate::{Adapter, Error, Services};

pub(super) const MIB: f64 = 1_048_576.0;

/// One test's part of the machine.
pub(super) struct Field {
    pub(super) hierarchy: Hierarchy,
    suffix: String,
    folder: tempfile::TempDir,
    /// Ticks that the host's processors were busy and idle so far.
    ticks: Cell<(u64, u64)>,
}

pub(super) fn at(second: u64) -> EventTime {
    EventTime::from_millis(second * 1_000)
}

/// The services file of one workload that has no shadow.
pub(super) fn shadowless(name: &str, command: &str, more: &str) -> String {
    let text = text(name, command, more);
    text.lines().filter(|line| !line.trim_start().starts_with("shadow =")).collect::<Vec<_>>().join("\n")
}

/// Whether something becomes true within some seconds.
pub(super) fn within(seconds: u64, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    holds()
}

impl Field {
    /// A test's own groups; none, loudly, where this machine's cannot be written.
    pub(super) fn new(name: &str) -> Option<Self> {
        let suffix = format!("-test-{name}-{}", std::process::id());
        let hierarchy = Hierarchy::of_machine(&suffix);
        let made =
            hierarchy.and_then(|hierarchy| hierarchy.controls(&hierarchy.primaries()).create().map(|()| hierarchy));
        match made {
            Ok(hierarchy) => {
                let folder = tempfile::tempdir().expect("a folder");
                let field = Self { hierarchy, suffix, folder, ticks: Cell::default() };
                field.host_was_busy(0);
                Some(field)
            }
            Err(error) => {
                eprintln!("SKIPPED {name}: this machine's control groups cannot be written: {error}");
                None
            }
        }
    }

    pub(super) fn is_unified(&self) -> bool {
        format!("{:?}", self.hierarchy).contains("V2")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Another hundred ticks have passed, of which the host's processors were so many busy.
    pub(super) fn host_was_busy(&self, percent: u64) {
        let (busy, idle) = self.ticks.get();
        let (busy, idle) = (busy + percent, idle + 100 - percent);
        self.ticks.set((busy, idle));
        let put = |name: &str, text: String| std::fs::write(self.path(name), text).expect("written");
        put("stat", format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n"));
        put("meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\n".to_owned());
    }

    pub(super) fn adapter(&self, services: &str) -> Result<Cgroups, Error> {
        let services = Services::parse(services, "cgroup").expect("no fault");
        let limits = HostLimits { proc_root: self.folder.path().into(), ..HostLimits::default() };
        Cgroups::new(services, &self.suffix, limits)
    }

    /// An adapter whose services run.
    pub(super) fn start(&self, services: &str) -> Cgroups {
        let mut adapter = self.adapter(services).expect("the groups are free");
        adapter.start(at(0)).expect("started");
        adapter
    }

    /// An adapter whose services and shadows run: the host has had room from 1 s to 2 s.
    pub(super) fn start_with_shadow(&self, services: &str) -> Cgroups {
        let mut adapter = self.start(services);
        self.poll(&mut adapter, 1);
        self.poll(&mut adapter, 2);
        assert_eq!(adapter.counts().shadows_started, 1);
        // Until it is in its group, or has ended there already.
        within(2, || !self.shadow("web").is_empty());
        adapter
    }

    /// The adapter looks at an idle host.
    pub(super) fn poll(&self, adapter: &mut Cgroups, second: u64) -> Vec<Outcome> {
        self.host_was_busy(0);
        adapter.poll(at(second))
    }

    /// A primary's group.
    pub(super) fn group(&self, path: &str) -> Group {
        Group::new(&self.hierarchy, &self.hierarchy.primaries().join(path))
    }

    /// The group of a workload's shadow.
    pub(super) fn shadow(&self, workload: &str) -> Group {
        Group::new(&self.hierarchy, &self.hierarchy.shadows().join(format!("{workload}/{workload}-shadow")))
    }

    /// The processes in a primary's group.
    pub(super) fn pids(&self, path: &str) -> Vec<String> {
        let door = self.group(path).doors().next().expect("one or more");
        let text = std::fs::read_to_string(door).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether a group is there.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.hierarchy.controls(&self.hierarchy.primaries().join(path)).folders().iter().any(|folder| folder.exists())
    }

    /// Cores that a primary's group uses over two seconds.
    pub(super) fn cores(&self, path: &str) -> f64 {
        let (group, began) = (self.group(path), Instant::now());
        let before = group.cpu_used_ns().expect("counted");
        std::thread::sleep(Duration::from_secs(2));
        let used = group.cpu_used_ns().expect("counted") - before;
        used as f64 / began.elapsed().as_nanos() as f64
    }

    fn clear(&self, path: &Path) {
        self.hierarchy.below(path).iter().for_each(|below| self.clear(below));
        let group = Group::new(&self.hierarchy, path);
        group.end();
        group.remove();
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        self.clear(&self.hierarchy.primaries());
        self.clear(&self.hierarchy.shadows());
    }
}
