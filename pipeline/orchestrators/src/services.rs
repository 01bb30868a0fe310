//! The file of services: what an adapter on this machine runs, or resizes, and who pays for it.
//!
//! Programs come from this file of the adapter's owner and from nowhere else. A topic says how much a workload gets; if it
//! could say what is started too, whoever writes to it would own the machine.
//!
//! A service is its workload's record and how to run it; `deploy/services.example.toml` shows one. Containers are started
//! by whoever owns them, so theirs have no command.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use schemas::{Allocation, Pool, Span, Workload};
use serde::Deserialize;

use crate::Error;
use crate::cgroup;
use crate::limits::CORES_MIN;

/// What runs here, and the pools that pay for it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// The services, in the file's order.
    #[serde(default, rename = "service")]
    pub services: Vec<ServiceSpec>,
    /// Pools that are paid from.
    #[serde(default, rename = "pool")]
    pub pools: Vec<Pool>,
}

/// One workload, and how its processes are run. Of containers only the record, the shadow's settings and the fixed memory
/// are used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its record. The adapter fills in target and selector, and keeps its bounds, whatever a decision says.
    pub workload: Workload,
    /// Program and arguments. The program stays in the foreground; it reads its instance and role from its environment,
    /// `FORESHADOW_INSTANCE` (from 0) and `FORESHADOW_ROLE` (`primary`, `shadow`).
    #[serde(default)]
    pub command: Vec<String>,
    /// How many copies serve as the primary; the allocation is shared evenly.
    #[serde(default = "one")]
    pub instances: usize,
    /// Where it runs; the adapter's own folder where none is given.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// Its environment, beside `PATH`. Nothing else is handed down: the adapter's own may hold secrets.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What differs in the shadow's environment, such as its port.
    #[serde(default)]
    pub shadow_environment: BTreeMap<String, String>,
    /// Where standard output and error are appended; the adapter's own where none is given.
    #[serde(default)]
    pub output: Option<PathBuf>,
    /// How long a shadow lives at most.
    #[serde(default = "lives")]
    pub shadow_lives: Span,
    /// How long there is none after it.
    #[serde(default = "rests")]
    pub shadow_rests: Span,
    /// Memory that the program takes whatever its load, in bytes: the shadow has all of that, and its share of the rest.
    #[serde(default = "fixed")]
    pub memory_fixed_bytes: u64,
}

/// Most copies of one primary: each is a process to watch.
const INSTANCES_MAX: usize = 64;

/// Longest name of a workload here; kernels allow 255 bytes a folder, and the instance's number follows.
const NAME_BYTES_MAX: usize = 200;

impl Services {
    /// Reads a file of services, all of which are `orchestrator`'s.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, [`Error::Services`] with every fault when it cannot be used.
    pub fn read(path: &Path, orchestrator: &str) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.into(), source })?;
        Self::parse(&text, orchestrator).map_err(|faults| Error::Services { path: path.into(), faults })
    }

    /// Reads a text of services, all of which are `orchestrator`'s.
    ///
    /// # Errors
    /// Every fault, with its mend.
    pub fn parse(text: &str, orchestrator: &str) -> Result<Self, Vec<String>> {
        let services: Self = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
        let faults = services.faults(orchestrator);
        if faults.is_empty() { Ok(services) } else { Err(faults) }
    }

    fn faults(&self, orchestrator: &str) -> Vec<String> {
        let mut faults: Vec<String> = self.services.iter().flat_map(ServiceSpec::faults).collect();
        let elsewhere = self.services.iter().filter(|service| service.workload.orchestrator != orchestrator);
        faults.extend(
            elsewhere.map(|service| format!("{}: orchestrator must be \"{orchestrator}\" here", service.name())),
        );
        let mut names = BTreeSet::new();
        let twice = self.services.iter().filter(|service| !names.insert(service.name()));
        faults.extend(twice.map(|service| format!("{}: a second one: give it another name", service.name())));
        let pools = self.pools.iter();
        faults.extend(
            pools.flat_map(|pool| pool.faults().into_iter().map(move |fault| format!("{}: {fault}", pool.pool))),
        );
        faults
    }
}

impl ServiceSpec {
    /// The workload's name.
    pub(crate) fn name(&self) -> &str {
        self.workload.workload.as_str()
    }

    /// What runs: the record's own word, or a hash of the command, its environment and the program's file.
    pub(crate) fn revision(&self) -> Option<String> {
        let of_file = |program: &String| {
            let file = std::fs::metadata(program).ok()?;
            Some((file.len(), file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos()))
        };
        let what = || {
            let program = self.command.first()?;
            let told = format!("{:?}", (&self.command, &self.directory, &self.environment, of_file(program)));
            Some(format!("sha256:{}", schemas::sha256(told.as_bytes())))
        };
        self.workload.revision.clone().or_else(what)
    }

    /// What a shadow gets beside a primary of `primary`: its share of the CPU, and of the memory above the fixed part.
    pub(crate) fn shadow_allocation(&self, primary: &Allocation) -> Option<Allocation> {
        let ratio = self.workload.shadow?.size_ratio.get();
        let (cores, memory) = (primary.cpu_cores.get(), primary.memory_bytes.get());
        let fixed = (self.memory_fixed_bytes as f64).min(memory);
        Some(Allocation::new(cores * ratio, fixed + (memory - fixed) * ratio))
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.workload.faults();
        let mut demand = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        let (workload, name) = (&self.workload, self.name());
        demand(is_folder_name(name), "its name is a folder's here: use letters, digits, and -_. between them");
        let has_program = self.command.first().is_some_and(|program| !program.is_empty());
        let needs_program = workload.orchestrator == cgroup::NAME;
        demand(has_program == needs_program, "command must name a program, in cgroup services alone");
        demand((1..=INSTANCES_MAX).contains(&self.instances), "instances must lie between 1 and 64");
        let least = workload.min.cpu_cores.get() / self.instances as f64;
        demand(least >= CORES_MIN, "min.cpu_cores must leave 0.001 to each instance");
        let within = workload.min.fits(&workload.allocation) && workload.allocation.fits(&workload.max);
        demand(within, "allocation must lie between min and max");
        let is_one = workload.shadow.is_none() || workload.probe.is_none();
        demand(is_one, "a shadow by turns or probes: leave out workload.shadow or workload.probe");
        demand(
            workload.probe.is_none() || needs_program,
            "workload.probe is for cgroup services: nobody here starts or ends a container",
        );
        let has_shadow = workload.shadow.is_some() || workload.probe.is_some();
        demand(
            !needs_program || !has_shadow || !self.shadow_environment.is_empty(),
            "shadow_environment must tell a shadow where it listens, or as whom it consumes: at the primary's own place it would \
             serve clients",
        );
        demand(self.shadow_lives.millis() > 0, "shadow_lives must be above zero: leave out workload.shadow for none");
        faults.iter().map(|fault| format!("{name}: {fault}")).collect()
    }
}

/// Whether a workload may be a folder of that name: no way up, nothing hidden, no blank that a pattern would trip over.
fn is_folder_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    name.len() <= NAME_BYTES_MAX && !name.starts_with('.') && !name.ends_with('.') && name.chars().all(plain)
}

const fn one() -> usize {
    1
}

/// Ten minutes in each hour: a shadow of a quarter of the primary then costs 4 % of it.
const fn lives() -> Span {
    Span::from_secs(600)
}

const fn rests() -> Span {
    Span::from_secs(3_000)
}

/// 32 MiB: a small program with its libraries.
const fn fixed() -> u64 {
    32 << 20
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A service of that name and command, from half a core and 64 MiB up to two cores and 256 MiB.
    pub(crate) fn text(name: &str, command: &str, more: &str) -> String {
        format!(
            r#"
            [[service]]
            command = ["/bin/sh", "-c", "{command}"]
            shadow_environment = {{ PORT = "9080" }}
            {more}
            [service.workload]
            workload = "{name}"
            orchestrator = "cgroup"
            pool = "machine"
            mode = "act"
            allocation = {{ cpu_cores = 0.5, memory_bytes = 67108864 }}
            min = {{ cpu_cores = 0.25, memory_bytes = 16777216 }}
            max = {{ cpu_cores = 2.0, memory_bytes = 268435456 }}
            step = {{ cpu_cores = 0.05, memory_bytes = 4194304 }}
            unmet_cost = 0.95
            idle_cost = 0.05
            shadow = {{ size_ratio = 0.25, mirrored_share = 0.5 }}
            "#
        )
    }

    #[test]
    fn a_service_is_its_record_and_how_to_run_it() {
        let services = Services::parse(&text("web", "exec sleep 60", "instances = 2"), "cgroup").expect("no fault");
        let web = &services.services[0];
        assert_eq!((web.name(), web.instances, web.command.len()), ("web", 2, 3));
        // 32 MiB of its 64 are fixed: 32 + 32 / 4 = 40 MiB, and a quarter of half a core.
        let shadow = web.shadow_allocation(&web.workload.allocation);
        assert_eq!(shadow, Some(Allocation::new(0.125, f64::from(40 << 20))));
    }

    #[test]
    fn another_command_or_environment_is_another_revision() {
        let parse = |command: &str, more: &str| {
            Services::parse(&text("web", command, more), "cgroup").expect("no fault").services.remove(0)
        };
        let web = parse("exec sleep 60", "");
        assert_eq!(web.revision(), parse("exec sleep 60", "instances = 2").revision());
        for other in [parse("exec sleep 61", ""), parse("exec sleep 60", "environment = { PORT = \"1\" }")] {
            assert_ne!(web.revision(), other.revision());
        }
        let mut named = web.clone();
        named.workload.revision = Some("release-7".to_owned());
        assert_eq!(named.revision().as_deref(), Some("release-7"), "the owner's word counts");
    }

    #[test]
    fn the_example_has_no_fault() {
        let example = include_str!("../../../deploy/services.example.toml");
        let services = Services::parse(example, "cgroup").expect("no fault");
        assert_eq!((services.services.len(), services.pools.len()), (1, 1));
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_mend() {
        let twice = text("web", "true", "") + &text("web", "true", "instances = 0");
        let faults = Services::parse(&twice, "cgroup").expect_err("two faults");
        assert_eq!(faults, ["web: instances must lie between 1 and 64", "web: a second one: give it another name"]);
        let elsewhere =
            text("web", "true", "").replace("\"cgroup\"", "\"docker\"").replace("cpu_cores = 0.25", "cpu_cores = 0.75");
        let faults = Services::parse(&elsewhere, "cgroup").expect_err("three faults");
        let expected = [
            "web: command must name a program, in cgroup services alone",
            "web: allocation must lie between min and max",
            "web: orchestrator must be \"cgroup\" here",
        ];
        assert_eq!(faults, expected);
        let everywhere = text("web", "true", "").replace("PORT = \"9080\"", "");
        let faults = Services::parse(&everywhere, "cgroup").expect_err("it would listen where the primary does");
        assert!(faults.len() == 1 && faults[0].contains("shadow_environment"), "{faults:?}");
        let unknown = Services::parse(&text("web", "true", "comand = 1"), "cgroup").expect_err("unknown");
        assert!(unknown[0].contains("comand"), "{unknown:?}");
    }

    #[test]
    fn a_name_never_leaves_its_folder() {
        assert!(["web", "web-2", "a.b_c"].into_iter().all(is_folder_name));
        assert!(!["..", ".", "a/b", "../a", ".hidden", "a b", "a*", "a."].into_iter().any(is_folder_name));
    }
}
