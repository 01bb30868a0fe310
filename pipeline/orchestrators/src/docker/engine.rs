//! The engine behind the socket: which containers run, and their limits.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error as Refusal;
use bollard::models::{ContainerUpdateBody, RestartPolicy};
use bollard::query_parameters::ListContainersOptionsBuilder;
use schemas::Role;
use tokio::runtime::Runtime;

use super::libpod;
use crate::Error;
use crate::cgroup::group::Group;
use crate::cgroup::hierarchy::Hierarchy;
use crate::limits::Limits;

/// The label that says whose container it is.
pub(super) const WORKLOAD_LABEL: &str = "foreshadow.workload";

/// The label that says what it is there for; a primary without it.
const ROLE_LABEL: &str = "foreshadow.role";

/// The least weight that there is, for shadows.
const SHARES_LEAST: i64 = 2;

/// How long a call may take. Engines answer within some 100 ms, on a machine that is out of CPU within seconds; a decision
/// is good for a minute.
pub(super) const CALL_MAX: Duration = Duration::from_secs(10);

/// A client of the engine.
#[derive(Debug)]
pub(super) struct Engine {
    client: bollard::Docker,
    socket: PathBuf,
    runtime: Runtime,
    hierarchy: Hierarchy,
}

/// A container that runs.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) role: Role,
    pub(super) group: Group,
    /// The path of its group below the controllers' roots.
    pub(super) path: String,
    /// The image's digest.
    pub(super) image: Option<String>,
    /// Sent again with each update: some engines forget it otherwise.
    restart_policy: Option<RestartPolicy>,
    /// Whether it was created with a number of processors, which Docker does not let a quota replace.
    in_processors: bool,
}

impl Engine {
    /// Connects, and agrees with whoever is there on a version.
    pub(super) fn connect(socket: &Path, hierarchy: Hierarchy) -> Result<Self, Error> {
        let place = socket.display().to_string();
        let fault = |reason: String| Error::Engine { call: "connect", what: place.clone(), reason };
        let client = bollard::Docker::connect_with_unix(&place, CALL_MAX.as_secs(), bollard::API_DEFAULT_VERSION);
        let client = client.map_err(|error| fault(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| fault(error.to_string()))?;
        // Old engines know no new versions of the API, and new ones no old.
        let engine = Self { client: client.clone(), socket: socket.into(), runtime, hierarchy };
        let client = engine.call("connect", &place, client.negotiate_version())?;
        Ok(Self { client, ..engine })
    }

    /// The running containers of a workload, in the order of their ids.
    pub(super) fn containers(&self, workload: &str) -> Result<Vec<Container>, Error> {
        let filters = HashMap::from([("label", vec![format!("{WORKLOAD_LABEL}={workload}")])]);
        let options = ListContainersOptionsBuilder::new().filters(&filters).build();
        let listed = self.call("list", workload, self.client.list_containers(Some(options)))?;
        let mut ids: Vec<String> = listed.into_iter().filter_map(|container| container.id).collect();
        ids.sort();
        let containers: Result<Vec<_>, _> = ids.into_iter().map(|id| self.container(id)).collect();
        Ok(containers?.into_iter().flatten().collect())
    }

    /// Puts limits in force, and reads them back from the kernel; a shadow gets the lowest weight with them.
    ///
    /// # Errors
    /// What the engine says, or what the kernel has instead.
    pub(super) fn update(&self, container: &Container, limits: &Limits) -> Result<(), Error> {
        let id = container.id.as_str();
        let (memory, cores) = (limits.memory_bytes as i64, limits.quota_us as f64 / limits.period_us as f64);
        let in_quota = !container.in_processors;
        let shares = (container.role == Role::Shadow).then_some(SHARES_LEAST);
        let body = ContainerUpdateBody {
            nano_cpus: container.in_processors.then_some((cores * 1e9).round() as i64),
            cpu_quota: in_quota.then_some(limits.quota_us as i64),
            cpu_period: in_quota.then_some(limits.period_us as i64),
            cpu_shares: shares,
            memory: Some(memory),
            // Memory and swap together: no swap.
            memory_swap: Some(memory),
            restart_policy: container.restart_policy.clone(),
            ..ContainerUpdateBody::default()
        };
        let updated = self.ask(self.client.update_container(id, body));
        match updated {
            Err(Some(Refusal::DockerResponseServerError { status_code: 404, .. })) => {
                libpod::update(&self.socket, id, limits, shares, CALL_MAX)?;
            }
            updated => self.told("update", id, updated)?,
        }
        let read = container.group.limits();
        if read.is_some_and(|read| is_same(&read, limits)) {
            return Ok(());
        }
        let reason = format!("the engine agreed, but the kernel has {read:?} instead of {limits:?}");
        Err(Error::Engine { call: "update", what: id.to_owned(), reason })
    }

    /// A running container; none when it has ended since it was listed.
    fn container(&self, id: String) -> Result<Option<Container>, Error> {
        let told = match self.ask(self.client.inspect_container(&id, None)) {
            Err(Some(Refusal::DockerResponseServerError { status_code: 404, .. })) => return Ok(None),
            told => self.told("inspect", &id, told)?,
        };
        let pid = told.state.and_then(|state| state.pid).filter(|&pid| pid > 0);
        let Some(path) = pid.and_then(group_of) else { return Ok(None) };
        let labels = told.config.and_then(|config| config.labels).unwrap_or_default();
        let role = labels.get(ROLE_LABEL).map_or(Some(Role::Primary), |name| Role::of_name(name));
        let Some(role) = role else {
            tracing::warn!(container = id, role = labels.get(ROLE_LABEL), "a container of a role that is not known");
            return Ok(None);
        };
        let host = told.host_config.unwrap_or_default();
        Ok(Some(Container {
            id,
            role,
            group: Group::new(&self.hierarchy, Path::new(&path)),
            path,
            image: told.image,
            restart_policy: host.restart_policy,
            in_processors: host.nano_cpus.is_some_and(|nanos| nanos > 0),
        }))
    }

    fn call<T>(
        &self,
        call: &'static str,
        what: &str,
        asked: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Error> {
        let answer = self.ask(asked);
        self.told(call, what, answer)
    }

    /// An answer; `None` is the error of a call that took too long.
    fn ask<T>(&self, asked: impl Future<Output = Result<T, Refusal>>) -> Result<T, Option<Refusal>> {
        let answer = self.runtime.block_on(async { tokio::time::timeout(CALL_MAX, asked).await });
        answer.map_err(|_| None::<Refusal>)?.map_err(Some)
    }

    fn told<T>(&self, call: &'static str, what: &str, answer: Result<T, Option<Refusal>>) -> Result<T, Error> {
        answer.map_err(|refusal| {
            let reason =
                refusal.map_or_else(|| format!("no answer within {CALL_MAX:?}"), |refusal| refusal.to_string());
            Error::Engine { call, what: what.to_owned(), reason }
        })
    }
}

/// An engine may express the same number of cores in another period.
fn is_same(one: &Limits, other: &Limits) -> bool {
    let cores = |limits: &Limits| limits.quota_us as f64 / limits.period_us as f64;
    one.memory_bytes == other.memory_bytes && (cores(one) - cores(other)).abs() <= 0.001 * cores(other)
}

/// The group that a process has its memory from, below the controller's root.
pub(super) fn group_of(pid: i64) -> Option<String> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    memory_group(&table)
}

/// Of lines `4:memory:/machine/web` and `0::/machine/web`: the one with the controller, or that of version 2.
fn memory_group(table: &str) -> Option<String> {
    let fields = table.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let of = |wanted: &str| fields.clone().find(|(controllers, _)| controllers.split(',').any(|one| one == wanted));
    let (_, path) = of("memory").or_else(|| of(""))?;
    Some(path.trim_start_matches('/').to_owned()).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_group_is_that_of_its_memory() {
        let hybrid =
            "9:name=systemd:/\n4:memory:/libpod_parent/libpod-a\n1:cpu,cpuacct:/libpod_parent/libpod-a\n0::/\n";
        assert_eq!(memory_group(hybrid).as_deref(), Some("libpod_parent/libpod-a"));
        assert_eq!(memory_group("0::/system.slice/docker-a.scope\n").as_deref(), Some("system.slice/docker-a.scope"));
        assert_eq!(memory_group("0::/\n"), None, "the machine itself is no container");
        assert_eq!(memory_group(""), None);
    }

    #[test]
    fn the_same_cores_in_another_period_are_the_same() {
        let limits = |quota_us, period_us| Limits { quota_us, period_us, memory_bytes: 1 };
        assert!(is_same(&limits(50_000, 100_000), &limits(500_000, 1_000_000)));
        assert!(!is_same(&limits(50_000, 100_000), &limits(51_000, 100_000)));
        assert!(!is_same(&limits(1, 1), &Limits { memory_bytes: 2, ..limits(1, 1) }));
    }
}
