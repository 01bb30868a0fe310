//! Tests of `docker.rs` against an engine of the test's own: Podman's service on a socket of its own, with an image made of
//! one static program. They say loudly that they do not run where there is no Podman.

mod podman;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::cgroup::group::Group;
use crate::gate::tests::decision;
use podman::Podman;

const MIB: f64 = 1_048_576.0;

fn at(second: u64) -> EventTime {
    EventTime::from_millis(second * 1_000)
}

fn granted(workload: &str, second: u64, cores: f64, mib: f64) -> Decision {
    let granted = Allocation::new(cores, mib * MIB);
    Decision { orchestrator: NAME.to_owned(), granted, ..decision(workload, second, cores) }
}

/// Services of one workload, which the engine's owner has started.
fn services(name: &str) -> Services {
    let text = crate::services::tests::text(name, "", "").replace("\"cgroup\"", "\"docker\"");
    let text: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("command")).collect();
    Services::parse(&text.join("\n"), NAME).expect("no fault")
}

fn limits(group: &Group) -> Option<(u64, u64)> {
    group.limits().map(|limits| (limits.quota_us * 100_000 / limits.period_us, limits.memory_bytes >> 20))
}

/// Whether a group has the lowest weight, as the version of its hierarchy counts it.
fn is_lightest(group: &Group) -> bool {
    let folders: Vec<_> = group.doors().filter_map(|door| Some(door.parent()?.to_owned())).collect();
    let says = |file: &str, least: &str| {
        folders
            .iter()
            .any(|folder| std::fs::read_to_string(folder.join(file)).is_ok_and(|weight| weight.trim() == least))
    };
    says("cpu.shares", "2") || says("cpu.weight", "1")
}

#[test]
fn containers_are_found_resized_while_they_run_and_read_back() {
    let Some(podman) = Podman::new() else { return };
    let name = podman.name("web");
    let primary = podman.run(&name, "primary", "0.5", &["sleep", "300"]);
    let shadow = podman.run(&name, "shadow", "0.1", &["sleep", "300"]);
    podman.run(&podman.name("other"), "primary", "0.5", &["sleep", "300"]);

    let mut adapter = Docker::connect(services(&name), &podman.socket).expect("it answers");
    let found = adapter.inventory(at(0)).0.remove(0);
    assert_eq!(found.allocation, Allocation::new(0.5, 64.0 * MIB), "as it was started");
    assert!(found.selector.cgroup.expect("one container").contains("libpod"));
    assert!(found.revision.is_some_and(|image| image.len() >= 64), "its image's digest");

    // A shadow is in nobody's way from the first look on: a quarter of half a core, and of the 32 MiB above those that are fixed.
    assert!(adapter.poll(at(0)).is_empty());
    assert_eq!(limits(&podman.group(&shadow)), Some((12_500, 40)));
    assert!(is_lightest(&podman.group(&shadow)));

    let raise = granted(&name, 1, 1.25, 96.0);
    let accepted = adapter.apply(&raise, at(1)).expect("reported");
    assert_eq!((accepted.status, accepted.message.as_str()), (Status::Accepted, ""));
    assert_eq!(adapter.apply(&raise, at(1)), None, "it came twice");
    let landed = adapter.poll(at(2));
    assert_eq!((landed[0].status, landed[0].in_force), (Status::InForce, raise.granted));
    assert_eq!(limits(&podman.group(&primary)), Some((125_000, 96)));
    // A quarter of 1.25 cores, and of the 64 MiB above the 32 that are fixed.
    assert_eq!(limits(&podman.group(&shadow)), Some((31_250, 48)));

    assert_eq!((is_lightest(&podman.group(&primary)), is_lightest(&podman.group(&shadow))), (false, true));

    let again = Docker::connect(services(&name), &podman.socket).expect("it answers");
    assert_eq!(again.inventory(at(3)).0[0].allocation, raise.granted, "the kernel tells, not the engine");

    podman.remove(&primary);
    let anew = podman.run(&name, "primary", "0.5", &["sleep", "300"]);
    adapter.poll(at(9));
    assert_eq!(limits(&podman.group(&anew)), Some((50_000, 64)), "it was not looked at yet");
    adapter.poll(at(11));
    assert_eq!(limits(&podman.group(&anew)), Some((125_000, 96)));
    let group = adapter.inventory(at(11)).0.remove(0).selector.cgroup.expect("one container");
    assert!(group.contains(&anew), "{group}");
}

#[test]
fn what_does_not_fit_or_run_is_turned_down() {
    let Some(podman) = Podman::new() else { return };
    let name = podman.name("hold");
    let command = "(head -c 40000000 /dev/zero; sleep 300) | tail -c 40000000 > /dev/null";
    let container = podman.run(&name, "primary", "0.5", &["sh", "-c", command]);
    let group = podman.group(&container);
    let holds = || group.working_set_bytes() > Some(40_000_000);
    for _ in 0..500 {
        if holds() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(holds());
    let mut adapter = Docker::connect(services(&name), &podman.socket).expect("it answers");
    let lower = adapter.apply(&granted(&name, 1, 0.5, 32.0), at(1)).expect("reported");
    assert!(lower.status == Status::Refused && lower.message.contains("working set"), "{lower:?}");
    assert_eq!(limits(&group), Some((50_000, 64)));

    podman.remove(&container);
    let gone = adapter.apply(&granted(&name, 2, 1.0, 64.0), at(2)).expect("reported");
    assert!(gone.status == Status::Failed && gone.message.ends_with("runs: start one"), "{gone:?}");
}

#[test]
fn nobody_behind_the_socket_is_an_error_that_names_it() {
    let error = Docker::connect(services("web"), Path::new("/nowhere/engine.sock")).expect_err("nobody");
    assert!(error.to_string().contains("/nowhere/engine.sock"), "{error}");
}
