//! Discovery on machines made of folders.

use std::fs::{create_dir_all, write};
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::disk::Stacked;
use crate::mounts::Mounts;

/// A workload of which only the name and the selector matter.
pub(crate) fn workload(name: &str, selector: &str) -> Workload {
    let json = format!(
        r#"{{"workload": "{name}", "orchestrator": "cgroup", "selector": {selector}, "pool": "p",
            "allocation": {{"cpu_cores": 1, "memory_bytes": 1}}, "min": {{"cpu_cores": 1, "memory_bytes": 1}},
            "max": {{"cpu_cores": 1, "memory_bytes": 1}}, "step": {{"cpu_cores": 1, "memory_bytes": 1}},
            "unmet_cost": 1, "idle_cost": 1}}"#
    );
    serde_json::from_str(&json).expect("a workload")
}

fn target(selector: &str) -> Target {
    Target::of(&workload("web", selector)).expect("usable").expect("not empty")
}

/// A machine of two trees of version 1 and some processes.
fn machine(folder: &TempDir) -> Machine {
    let root = |name: &str| Some(folder.path().join(name));
    let mounts = Mounts { v1_cpu: root("cpu"), v1_memory: root("memory"), ..Mounts::default() };
    Machine { proc_root: folder.path().join("proc"), mounts, stacked: Stacked::default() }
}

fn group(folder: &TempDir, path: &str) {
    create_dir_all(folder.path().join(path)).expect("made");
}

fn process(folder: &TempDir, pid: u32, command: &str, start: u64) {
    let place = folder.path().join("proc").join(pid.to_string());
    create_dir_all(&place).expect("made");
    write(place.join("cmdline"), command).expect("written");
    let stat = format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 {start} 100 7 0\n");
    write(place.join("stat"), stat).expect("written");
}

fn names(found: &[Found]) -> Vec<&str> {
    found.iter().map(|found| found.instance.as_str()).collect()
}

fn find_all(machine: &Machine, targets: &mut [Target]) -> Vec<Found> {
    discover(machine, targets, &mut Buffer::new())
}

#[test]
fn groups_are_found_in_any_tree_and_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in ["cpu/system.slice/web-1", "memory/system.slice/web-1", "memory/system.slice/web-2", "cpu/other/web-3"]
    {
        group(&folder, path);
    }
    write(folder.path().join("cpu/system.slice/web-file"), "").expect("a file is not a group");
    let found = find_all(&machine(&folder), &mut [target(r#"{"cgroup": "system.slice/web-*"}"#)]);
    assert_eq!(names(&found), ["web-1", "web-2"]);
    assert_eq!(found[0].place, Place::Cgroup("system.slice/web-1".into()));
}

#[test]
fn of_nested_matches_the_lowest_is_the_instance() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in ["cpu/pods/a/main", "cpu/pods/a-b", "cpu/pods/c"] {
        group(&folder, path);
    }
    let found = find_all(&machine(&folder), &mut [target(r#"{"cgroup": "pods/**"}"#)]);
    assert_eq!(names(&found), ["main", "a-b", "c"], "in the order of path components");
    let found = find_all(&machine(&folder), &mut [target(r#"{"cgroup": "pods/*"}"#)]);
    assert_eq!(names(&found), ["a", "a-b", "c"], "what is below a match and does not match is no instance");
}

#[test]
fn equal_last_components_are_told_apart_by_their_paths() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in ["cpu/pods/a/main", "cpu/pods/b/main", "cpu/pods/b/side"] {
        group(&folder, path);
    }
    let found = find_all(&machine(&folder), &mut [target(r#"{"cgroup": "/pods/*/*"}"#)]);
    assert_eq!(names(&found), ["pods/a/main", "pods/b/main", "side"]);
}

#[test]
fn a_path_tells_the_role() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in ["cpu/web/1", "cpu/web/foreshadow-shadow-1", "cpu/web/foreshadow-canary"] {
        group(&folder, path);
    }
    let found = find_all(&machine(&folder), &mut [target(r#"{"cgroup": "web/*"}"#)]);
    let roles: Vec<Role> = found.iter().map(|found| found.role).collect();
    assert_eq!(roles, [Role::Primary, Role::Canary, Role::Shadow]);
}

#[test]
fn processes_are_found_by_their_command_line_but_not_we() {
    let folder = tempfile::tempdir().expect("a folder");
    process(&folder, 30, "java\0-Xmx1g\0kafka.Kafka\0server.properties\0", 5);
    process(&folder, 7, "java\0kafka.Kafka\0", 4);
    process(&folder, 8, "", 4);
    process(&folder, 9, "foreshadow\0profile\0*kafka.Kafka*\0", 4);
    symlink("9", folder.path().join("proc/self")).expect("linked");
    let place = folder.path().join("proc/30/cgroup");
    write(place, "4:memory:/foreshadow-shadow/kafka\n0::/\n").expect("written");

    let found = find_all(&machine(&folder), &mut [target(r#"{"process": "*kafka.Kafka*"}"#)]);
    assert_eq!(names(&found), ["pid-7", "pid-30"]);
    assert_eq!(found[1].place, Place::Process { pid: 30, start_ticks: 5 });
    assert_eq!(found[1].role, Role::Shadow, "by its control group");
}

#[test]
fn a_number_means_the_process_that_had_it_first() {
    let folder = tempfile::tempdir().expect("a folder");
    process(&folder, 7, "web\0", 100);
    let (machine, mut targets) = (machine(&folder), [target(r#"{"pid": 7}"#)]);
    assert_eq!(names(&find_all(&machine, &mut targets)), ["pid-7"]);
    process(&folder, 7, "stranger\0", 200);
    assert_eq!(find_all(&machine, &mut targets), []);

    let mut replaced = target(r#"{"pid": 7}"#);
    replaced.remember(&targets);
    assert_eq!(find_all(&machine, &mut [replaced]), [], "new records of the same workload do not change that");
}

#[test]
fn selectors_that_cannot_be_used_are_told() {
    for selector in [r#"{"cgroup": "../../etc/*"}"#, r#"{"cgroup": "a/../../b"}"#, r#"{"cgroup": "/"}"#] {
        let fault = Target::of(&workload("web", selector)).expect_err("leaves the trees");
        assert!(fault.contains("below the controller's root"), "{fault}");
    }
    assert!(Target::of(&workload("web", r#"{"process": "a***"}"#)).expect_err("no pattern").contains("a***"));
    assert!(Target::of(&workload("web", "{}")).expect("usable").is_none(), "others read it");
}

#[test]
fn any_name_becomes_an_identifier() {
    assert_eq!(instance_id("a\nb").as_str(), "a?b");
    assert_eq!(instance_id("").as_str(), "unnamed");
    // 300 bytes: the last 253 are kept; with two bytes a letter, 252.
    assert_eq!(instance_id(&"x".repeat(300)).as_str().len(), 253);
    assert_eq!(instance_id(&"é".repeat(150)).as_str().len(), 252);
}
