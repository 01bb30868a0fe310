//! From workloads to their instances on this machine.
//!
//! A selector's pattern over control groups is walked in the tree of every controller; of two groups of which one is
//! below the other, the lower is the instance. A pattern over command lines is compared with every process but our
//! own; each match is an instance. A selector by number means the process that had the number when it was first seen.
//!
//! Convention: an instance whose control group has `foreshadow-shadow` in its path is a shadow, and likewise
//! `foreshadow-canary` and `foreshadow-baseline`; adapters place what they create so. All others are primaries.
//!
//! Cost: milliseconds on a machine of hundreds of groups and processes; it runs each few seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern, glob_with};
use schemas::{ID_BYTES_MAX, InstanceId, Role, TenantId, Workload, WorkloadId};

use crate::instance::Machine;
use crate::kernel_file::Buffer;
use crate::process::{command_line, groups, start_ticks};

/// A workload as discovery sees it: its selector, checked.
#[derive(Debug)]
pub(crate) struct Target {
    workload: WorkloadId,
    tenant: TenantId,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    Host,
    Cgroup(String),
    Pid { pid: u32, start_ticks: Option<u64> },
    Process(Pattern),
}

/// An instance that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) workload: WorkloadId,
    pub(crate) tenant: TenantId,
    pub(crate) place: Place,
    pub(crate) instance: InstanceId,
    pub(crate) role: Role,
}

/// Where an instance is; with its workload, what tells instances apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The machine itself.
    Host,
    /// A control group, by its path below the controllers' roots.
    Cgroup(PathBuf),
    /// A process; its start tells it from a later one of the same number.
    Process { pid: u32, start_ticks: u64 },
}

impl Target {
    /// The machine itself, as workload `host`.
    pub(crate) fn host() -> Self {
        let workload = WorkloadId::new("host").expect("a plain name");
        Self { workload, tenant: TenantId::default(), wanted: Wanted::Host }
    }

    /// The target of a workload; none when its selector is empty: others read its instances.
    ///
    /// # Errors
    /// What is wrong with the selector, and the mend.
    pub(crate) fn of(workload: &Workload) -> Result<Option<Self>, String> {
        let selector = &workload.selector;
        let wanted = match (&selector.cgroup, selector.pid, &selector.process) {
            (Some(pattern), _, _) => Wanted::Cgroup(group_pattern(pattern)?),
            (None, Some(pid), _) => Wanted::Pid { pid, start_ticks: None },
            (None, None, Some(pattern)) => Wanted::Process(compiled(pattern)?),
            (None, None, None) => return Ok(None),
        };
        Ok(Some(Self { workload: workload.workload.clone(), tenant: workload.tenant.clone(), wanted }))
    }

    /// Takes over from an earlier target which process a number means.
    pub(crate) fn remember(&mut self, before: &[Self]) {
        let Wanted::Pid { pid, start_ticks } = &mut self.wanted else { return };
        *start_ticks =
            before.iter().filter(|target| target.workload == self.workload).find_map(|target| match target.wanted {
                Wanted::Pid { pid: pid_before, start_ticks } if pid_before == *pid => start_ticks,
                _ => None,
            });
    }

    fn found(&self, place: Place, name: &str, role: Role) -> Found {
        let (workload, tenant) = (self.workload.clone(), self.tenant.clone());
        Found { workload, tenant, place, instance: instance_id(name), role }
    }
}

/// Finds the instances of all targets, in the targets' order.
pub(crate) fn discover(machine: &Machine, targets: &mut [Target], buffer: &mut Buffer) -> Vec<Found> {
    let with_commands = targets.iter().any(|target| matches!(target.wanted, Wanted::Process(_)));
    let commands = if with_commands { commands(&machine.proc_root, buffer) } else { Vec::new() };
    targets.iter_mut().flat_map(|target| find(machine, target, &commands, buffer)).collect()
}

fn find(machine: &Machine, target: &mut Target, commands: &[(u32, String)], buffer: &mut Buffer) -> Vec<Found> {
    let proc_root = &machine.proc_root;
    match &mut target.wanted {
        Wanted::Host => {
            let name = crate::host::name(proc_root, buffer).unwrap_or_default();
            vec![target.found(Place::Host, &name, Role::Primary)]
        }
        Wanted::Cgroup(pattern) => {
            let paths = matching_groups(&machine.mounts.roots(), pattern);
            name_groups(target, &paths)
        }
        Wanted::Pid { pid, start_ticks: meant } => {
            let (pid, now) = (*pid, start_ticks(proc_root, *pid, buffer));
            *meant = meant.or(now);
            let running = now.filter(|_| now == *meant);
            running.map(|start| found_process(proc_root, target, pid, start, buffer)).into_iter().collect()
        }
        Wanted::Process(pattern) => {
            let matching: Vec<u32> =
                commands.iter().filter(|(_, line)| pattern.matches(line)).map(|(pid, _)| *pid).collect();
            let found = |pid| {
                let start = start_ticks(proc_root, pid, buffer)?;
                Some(found_process(proc_root, target, pid, start, buffer))
            };
            matching.into_iter().filter_map(found).collect()
        }
    }
}

fn found_process(proc_root: &Path, target: &Target, pid: u32, start_ticks: u64, buffer: &mut Buffer) -> Found {
    let role = groups(proc_root, pid, buffer).map_or(Role::Primary, |groups| role_of(&groups));
    target.found(Place::Process { pid, start_ticks }, &format!("pid-{pid}"), role)
}

/// Every process but our own, by number, with its command line.
fn commands(proc_root: &Path, buffer: &mut Buffer) -> Vec<(u32, String)> {
    let own = std::fs::read_link(proc_root.join("self")).ok();
    let entries = std::fs::read_dir(proc_root).into_iter().flatten().flatten();
    let is_other = |name: &std::ffi::OsString| own.as_ref().is_none_or(|own| own.as_os_str() != name);
    let names = entries.map(|entry| entry.file_name()).filter(is_other);
    let mut pids: Vec<u32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().filter_map(|pid| Some((pid, command_line(proc_root, pid, buffer)?))).collect()
}

/// The groups that match in any tree, without those that have another match below them.
fn matching_groups(roots: &[&Path], pattern: &str) -> Vec<PathBuf> {
    let options =
        MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };
    let mut groups = BTreeSet::new();
    for root in roots {
        // The slash at the end asks for folders only.
        let absolute = format!("{}/{pattern}/", Pattern::escape(&root.to_string_lossy()));
        // Folders that end during the walk are no error.
        for path in glob_with(&absolute, options).into_iter().flatten().flatten() {
            groups.extend(path.strip_prefix(root).ok().map(|path| path.components().collect::<PathBuf>()));
        }
    }
    leaves(groups)
}

/// Paths are in the order of their components, so what is below a path follows it at once.
fn leaves(paths: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut leaves: Vec<PathBuf> = Vec::with_capacity(paths.len());
    for path in paths {
        if leaves.last().is_some_and(|above| path.starts_with(above)) {
            leaves.pop();
        }
        leaves.push(path);
    }
    leaves
}

/// Names each group by its last component, or by its whole path where another has the same.
fn name_groups(target: &Target, paths: &[PathBuf]) -> Vec<Found> {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for path in paths {
        *counts.entry(path.file_name()).or_default() += 1;
    }
    let name = |path: &PathBuf| match path.file_name() {
        Some(last) if counts[&Some(last)] == 1 => last.to_string_lossy().into_owned(),
        _ => path.to_string_lossy().into_owned(),
    };
    let found =
        |path: &PathBuf| target.found(Place::Cgroup(path.clone()), &name(path), role_of(&path.to_string_lossy()));
    paths.iter().map(found).collect()
}

/// The role that a control group's path, or the list of a process's groups, tells.
fn role_of(groups: &str) -> Role {
    let told = |role: &Role| groups.contains(&format!("foreshadow-{}", role.name()));
    [Role::Shadow, Role::Canary, Role::Baseline].into_iter().find(told).unwrap_or(Role::Primary)
}

/// Any name as an identifier: control characters are replaced, and of a long name the end is kept, which differs.
fn instance_id(name: &str) -> InstanceId {
    let clean: String = name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    let first = clean.ceil_char_boundary(clean.len().saturating_sub(ID_BYTES_MAX));
    let end = Some(&clean[first..]).filter(|end| !end.is_empty()).unwrap_or("unnamed");
    InstanceId::new(end).expect("printable, short and not empty")
}

/// A pattern over control groups may not leave the trees: it comes over the network.
fn group_pattern(pattern: &str) -> Result<String, String> {
    let pattern = pattern.trim_matches('/');
    // A part that begins with a dot may be a pattern of `..`, such as `.?`.
    let is_inside = Path::new(pattern)
        .components()
        .all(|part| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b".")));
    if pattern.is_empty() || !is_inside {
        return Err(format!(
            "cgroup pattern \"{pattern}\": write a path below the controller's root, without `..` or names that begin with a dot"
        ));
    }
    compiled(pattern).map(|_| pattern.to_owned())
}

fn compiled(pattern: &str) -> Result<Pattern, String> {
    Pattern::new(pattern).map_err(|error| format!("pattern \"{pattern}\": {error}"))
}

#[cfg(test)]
pub(crate) mod tests;
