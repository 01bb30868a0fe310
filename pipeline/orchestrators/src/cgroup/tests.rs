//! Tests of `cgroup.rs` on this machine's own control groups: real processes, real limits.
//!
//! They run as root where groups can be written, and say loudly that they do not where they cannot. Time is told to the
//! adapter and counters of the host are a folder of ours, so that only processes take real time.

mod field;
mod shadows;

use schemas::{Allocation, Status};

use super::*;
use crate::answer::outcome;
use crate::gate::tests::decision;
use crate::limits::Limits;
use field::{Field, MIB, at, shadowless, within};

/// A decision of this adapter.
fn granted(workload: &str, second: u64, cores: f64, mib: f64) -> Decision {
    let granted = Allocation::new(cores, mib * MIB);
    Decision { orchestrator: NAME.to_owned(), granted, ..decision(workload, second, cores) }
}

fn statuses(outcomes: &[Outcome]) -> Vec<Status> {
    outcomes.iter().map(|outcome| outcome.status).collect()
}

/// A program that holds 40 MB of memory until it is ended.
const HOLDS_40_MB: &str = "(head -c 40000000 /dev/zero; sleep 60) | tail -c 40000000 > /dev/null";

const LOOP: &str = "while :; do :; done";

#[test]
fn a_loop_that_is_given_another_half_core_takes_it() {
    let Some(field) = Field::new("loop") else { return };
    let mut adapter = field.start(&shadowless("spin", LOOP, ""));
    let before = field.cores("spin/spin-0");
    let accepted = adapter.apply(&granted("spin", 1, 1.0, 64.0), at(1)).expect("reported");
    assert_eq!((accepted.status, accepted.in_force.cpu_cores.get()), (Status::Accepted, 0.5));
    let after = field.cores("spin/spin-0");
    // Half a core, then one; wide, because others work on this machine too.
    assert!((0.3..0.6).contains(&before) && (0.65..1.1).contains(&after), "{before} then {after} cores");
    adapter.stop();
}

#[test]
fn what_is_in_force_is_what_the_kernel_says_and_nothing_is_done_twice() {
    let Some(field) = Field::new("force") else { return };
    let mut adapter = field.start(&shadowless("web", "exec sleep 60", "instances = 3"));
    let raise = granted("web", 1, 1.0, 96.0);
    assert_eq!(adapter.apply(&raise, at(1)).map(|outcome| outcome.status), Some(Status::Accepted));
    assert_eq!(adapter.apply(&raise, at(1)), None, "it came twice");
    let landed = adapter.poll(at(2));
    assert_eq!((statuses(&landed), landed[0].in_force), (vec![Status::InForce], raise.granted));
    assert!(landed[0].time.millis() - at(1).millis() < 100, "{}", landed[0].time);
    assert_eq!(adapter.poll(at(3)), [], "told once");
    let limits: Vec<_> =
        (0..3).map(|index| field.group(&format!("web/web-{index}")).limits().expect("limited")).collect();
    assert_eq!(
        limits.iter().map(|limits| (limits.quota_us, limits.memory_bytes >> 20)).collect::<Vec<_>>(),
        [(33_334, 32), (33_333, 32), (33_333, 32)]
    );
    let above = adapter.apply(&granted("web", 4, 2.5, 96.0), at(4)).expect("reported");
    assert_eq!(above.message, "2.50 cores is above the local maximum, 2.00 cores");
    assert_eq!((above.status, above.in_force), (Status::Refused, raise.granted));
    adapter.stop();
}

#[test]
fn memory_is_not_lowered_below_the_working_set() {
    let Some(field) = Field::new("memory") else { return };
    let mut adapter = field.start(&shadowless("hold", HOLDS_40_MB, ""));
    let group = field.group("hold/hold-0");
    assert!(within(10, || group.working_set_bytes() > Some(40_000_000)), "{:?}", group.working_set_bytes());
    // 40 MB are 38.1 MiB, and the shell needs some: 32 are less, and so are 40 without a tenth of them; 48 are enough.
    for (second, mib) in [(1, 32.0), (2, 40.0)] {
        let outcome = adapter.apply(&granted("hold", second, 0.5, mib), at(second)).expect("reported");
        assert_eq!(outcome.status, Status::Refused, "{mib} MiB: {outcome:?}");
        assert!(
            outcome.message.contains("MiB for an instance is less than its working set of "),
            "{}",
            outcome.message
        );
    }
    assert_eq!(group.limits().map(|limits| limits.memory_bytes), Some(64 << 20));
    let enough = adapter.apply(&granted("hold", 3, 0.5, 48.0), at(3)).expect("reported");
    assert_eq!((enough.status, group.limits().map(|limits| limits.memory_bytes)), (Status::Accepted, Some(48 << 20)));
    adapter.stop();
}

#[test]
fn limits_that_the_kernel_turns_down_are_told_and_the_old_ones_stay() {
    let Some(field) = Field::new("busy") else { return };
    if field.is_unified() {
        return; // There the kernel takes any limit, and kills.
    }
    let adapter = field.start(&shadowless("hold", HOLDS_40_MB, ""));
    let group = field.group("hold/hold-0");
    assert!(within(10, || group.working_set_bytes() > Some(40_000_000)));
    let held = group.limits().expect("limited");
    let error = group.set(&Limits { memory_bytes: 16 << 20, ..held }).expect_err("40 MB are in use");
    assert!(error.to_string().contains("memory.limit_in_bytes: Device or resource busy"), "{error}");
    assert_eq!(group.limits(), Some(held));
    adapter.stop();
}

#[test]
fn memory_with_swap_is_never_below_memory() {
    let Some(field) = Field::new("swap") else { return };
    let group = field.group("none/none-0");
    group.create().expect("made");
    // Up, down and up again: in the wrong order the kernel refuses one of them.
    for mib in [64, 256, 32, 64] {
        let limits = Limits { quota_us: 50_000, period_us: 100_000, memory_bytes: mib << 20 };
        group.set(&limits).expect("in force");
    }
}

#[test]
fn a_process_is_in_its_groups_before_its_program_begins() {
    let Some(field) = Field::new("placed") else { return };
    let told = field.path("told");
    let more = format!("output = {:?}\nenvironment = {{ COLOUR = \"green\" }}", told.display().to_string());
    let adapter = field.start(&shadowless("web", "cat /proc/self/cgroup; env; exec sleep 60", &more));
    let text = || std::fs::read_to_string(&told).unwrap_or_default();
    assert!(within(10, || text().contains("FORESHADOW_ROLE=primary")), "{}", text());
    let group = format!(":/{}/web/web-0", field.hierarchy.primaries().display());
    let expected = if field.is_unified() { 1 } else { 3 };
    assert_eq!(text().lines().filter(|line| line.ends_with(&group)).count(), expected, "{}", text());
    assert!(text().contains("COLOUR=green") && !text().contains("CARGO"), "nothing of ours is handed down: {}", text());
    adapter.stop();
}

#[test]
fn an_adapter_that_begins_adopts_what_runs() {
    let Some(field) = Field::new("adopt") else { return };
    let services = shadowless("web", "exec sleep 60", "instances = 2");
    let mut first = field.start(&services);
    first.apply(&granted("web", 1, 1.5, 128.0), at(1)).expect("taken on");
    let pids = || ["web/web-0", "web/web-1"].map(|path| field.pids(path));
    assert!(within(10, || pids().iter().all(|pids| pids.len() == 1)));
    let before = pids();
    assert!(matches!(field.adapter(&services), Err(Error::Taken(_))), "two on the same groups");
    drop(first); // As in a crash: nothing is ended.

    let second = field.start(&services);
    assert_eq!((second.counts().adopted, second.counts().started), (2, 0));
    assert_eq!(pids(), before, "the same processes");
    assert_eq!(second.inventory(at(2)).0[0].allocation, Allocation::new(1.5, 128.0 * MIB), "their limits");
    drop(second);

    let fewer = field.start(&services.replace("instances = 2", "instances = 1"));
    assert_eq!(fewer.counts().adopted, 1);
    assert!(field.pids("web/web-1").is_empty(), "nobody asks for the second any more");
    fewer.leave();
    assert_eq!(field.pids("web/web-0"), before[0], "it was left running");
    field.start(&services).stop();
    assert!(field.pids("web/web-0").is_empty() && !field.exists("web"), "stopped, and nothing left");
}

#[test]
fn what_runs_keeps_the_memory_that_it_holds_where_others_have_ended() {
    let Some(field) = Field::new("uneven") else { return };
    let services = shadowless("hold", HOLDS_40_MB, "instances = 2");
    let begun = field.start(&services.replace("memory_bytes = 67108864", "memory_bytes = 134217728"));
    let group = field.group("hold/hold-0");
    assert!(within(10, || group.working_set_bytes() > Some(40_000_000)), "{:?}", group.working_set_bytes());
    drop(begun); // As in a crash; and one of the two ends meanwhile.
    field.group("hold/hold-1").end();
    // By the file each is to have 32 MiB, and the one that runs holds 38.
    let next = field.start(&services);
    assert_eq!((next.counts().adopted, next.counts().started), (1, 1));
    assert_eq!(group.limits().map(|limits| limits.memory_bytes), Some(64 << 20));
    assert_eq!(next.inventory(at(1)).0[0].allocation.memory_bytes.get(), 96.0 * MIB);
    next.stop();
}

#[test]
fn another_program_in_the_file_is_started_anew() {
    let Some(field) = Field::new("edited") else { return };
    drop(field.start(&shadowless("web", "exec sleep 60", ""))); // As in a crash: nothing is ended.
    let pids = || field.pids("web/web-0");
    assert!(within(10, || pids().len() == 1));
    let before = pids();
    let edited = field.start(&shadowless("web", "exec sleep 61", ""));
    assert_eq!((edited.counts().adopted, edited.counts().started), (0, 1));
    assert!(within(10, || pids().len() == 1 && pids() != before), "{before:?} then {:?}", pids());
    edited.stop();
}

#[test]
fn what_was_last_in_force_is_put_in_force_where_nothing_runs() {
    let Some(field) = Field::new("restore") else { return };
    let mut adapter = field.adapter(&shadowless("web", "exec sleep 60", "")).expect("free");
    let last = |cores| {
        let decision = granted("web", 1, cores, 64.0);
        outcome(NAME, &decision, at(1), Status::InForce, decision.granted, String::new())
    };
    assert!(!adapter.restore(&last(9.0)), "beyond its bounds");
    assert!(adapter.restore(&last(1.25)));
    adapter.start(at(2)).expect("started");
    assert_eq!(field.group("web/web-0").limits().map(|limits| limits.quota_us), Some(125_000));
    adapter.stop();
}

#[test]
fn what_ends_is_started_again_ever_later() {
    let Some(field) = Field::new("crash") else { return };
    let mut adapter = field.start(&shadowless("bad", "exit 1", ""));
    for step in 0..300 {
        adapter.poll(at(100).plus(step * 200));
        std::thread::sleep(Duration::from_millis(10));
    }
    // At 0, 0.2, 0.4, 0.8, … s: nine in a minute, one less where a process took longer to end than its turn.
    let restarts = adapter.counts().restarts;
    assert!((5..=10).contains(&restarts), "{restarts} in a minute");
    adapter.stop();
}
