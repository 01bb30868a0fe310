//! A shadow harms nothing: each test fails without the guard that it is about.

use schemas::{Action, ProbeTurn, Ratio};

use super::*;
use crate::services::tests::text;

/// A service whose shadow does something else than its primary.
fn service(primary: &str, shadow: &str, more: &str) -> String {
    let command = format!("if [ $FORESHADOW_ROLE = shadow ]; then {shadow}; else {primary}; fi");
    text("web", &command, more)
}

fn score(group: &Group) -> Option<String> {
    let door = group.doors().next()?;
    let pid = std::fs::read_to_string(door).ok()?.lines().next()?.to_owned();
    std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()
}

fn programs(group: &Group) -> Vec<String> {
    let pids = group.doors().next().and_then(|door| std::fs::read_to_string(door).ok()).unwrap_or_default();
    pids.lines().filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()).collect()
}

#[test]
fn it_has_its_share_keeps_it_and_is_killed_first() {
    let Some(field) = Field::new("share") else { return };
    let mut adapter = field.start_with_shadow(&text("web", "exec sleep 60", ""));
    let shadow = field.shadow("web");
    let limits = || shadow.limits().map(|limits| (limits.quota_us, limits.memory_bytes >> 20));
    // A quarter of half a core; all of the 32 MiB that are fixed, and a quarter of the other 32.
    assert_eq!(limits(), Some((12_500, 40)));
    adapter.apply(&granted("web", 3, 2.0, 96.0), at(3)).expect("taken on");
    assert_eq!(limits(), Some((50_000, 48)));
    assert!(within(10, || score(&shadow).as_deref() == Some("1000\n")), "{:?}", score(&shadow));
    assert!(within(10, || score(&field.group("web/web-0")).as_deref() == Some("0\n")));
    adapter.stop();
}

/// A decision that leaves the allocation as it is and holds a turn of a probe, for a minute.
fn turned(second: u64, size: f64, share: f64) -> Decision {
    let turn = ProbeTurn {
        mirrored_share: Ratio::new(share),
        size_ratio: Ratio::new(size),
        until: at(second + 60),
        because: String::new(),
    };
    Decision { action: Action::Hold, probe: Some(turn), ..granted("web", second, 0.5, 64.0) }
}

#[test]
fn a_probe_says_what_it_is_and_for_how_long() {
    let Some(field) = Field::new("probe") else { return };
    let by_turns = "shadow = { size_ratio = 0.25, mirrored_share = 0.5 }";
    let services = text("web", "exec sleep 300", "").replace(by_turns, "probe = { size_max = 0.5 }");
    let mut adapter = field.start(&services);
    (1..=3).for_each(|second| drop(field.poll(&mut adapter, second)));
    assert_eq!(adapter.counts().shadows_started, 0, "nobody has asked for one");

    let group = field.shadow("web");
    let shadow = |adapter: &Cgroups| {
        let shadow = adapter.inventory(at(0)).0[0].shadow;
        shadow.map(|shadow| (shadow.size_ratio.get(), shadow.mirrored_share.get()))
    };
    let mut after = |turn: Decision, second| {
        assert_eq!(adapter.apply(&turn, turn.time), None, "nothing comes into force that the pool pays for");
        field.poll(&mut adapter, second);
        (shadow(&adapter), adapter.counts().shadows_started)
    };
    assert_eq!(after(turned(4, 0.25, 0.1), 5), (Some((0.25, 0.1)), 1));
    assert_eq!(group.limits().map(|limits| limits.quota_us), Some(12_500));
    // Another share is the same shadow's, which then lives beyond its first turn; another size is another shadow.
    assert_eq!(after(turned(40, 0.25, 0.2), 65), (Some((0.25, 0.2)), 1));
    assert_eq!(after(turned(70, 0.5, 0.2), 71), (Some((0.5, 0.2)), 2));
    assert_eq!(after(turned(75, 0.6, 0.2), 76), (Some((0.5, 0.2)), 2), "larger than the owner allows");
    assert_eq!(after(turned(80, 0.0, 0.0), 81), (None, 2));
    assert!(group.is_empty());
    assert_eq!(after(turned(90, 0.25, 0.1), 91), (Some((0.25, 0.1)), 3));
    // Nobody renews it.
    field.poll(&mut adapter, 151);
    assert_eq!((shadow(&adapter), group.is_empty(), adapter.counts().shadows_expired), (None, true, 1));
    field.poll(&mut adapter, 4_000);
    assert_eq!(adapter.counts().shadows_started, 3, "it does not come again by itself");
    adapter.stop();
}

#[test]
fn a_probe_that_its_file_does_not_allow_is_left_alone() {
    let Some(field) = Field::new("unasked") else { return };
    let mut adapter = field.start(&shadowless("web", "exec sleep 60", ""));
    (1..=3).for_each(|second| drop(field.poll(&mut adapter, second)));
    adapter.apply(&turned(4, 0.25, 0.1), at(4));
    field.poll(&mut adapter, 5);
    assert_eq!((adapter.inventory(at(5)).0[0].shadow, adapter.counts().shadows_started), (None, 0));
    adapter.stop();
}

#[test]
fn its_memory_ceiling_kills_it_and_it_alone() {
    let Some(field) = Field::new("ceiling") else { return };
    // The whole of a file without end, kept in memory.
    let mut adapter = field.start_with_shadow(&service("exec sleep 60", "exec tail /dev/zero", ""));
    let primary = field.pids("web/web-0");
    assert!(within(20, || field.shadow("web").is_empty()), "it has 40 MiB");
    field.poll(&mut adapter, 3);
    assert_eq!((adapter.counts().shadows_failed, adapter.counts().shadows_started), (1, 1));
    assert_eq!(adapter.inventory(at(3)).0[0].shadow, None, "there is none, and the record says so");
    field.poll(&mut adapter, 4);
    assert_eq!(adapter.counts().shadows_started, 1, "no other before its next turn");
    assert_eq!((field.pids("web/web-0"), adapter.counts().restarts), (primary, 0));
    adapter.stop();
}

#[test]
fn it_takes_only_what_others_leave() {
    let Some(field) = Field::new("weight") else { return };
    // Both would take all of the first processor, and both may have a whole core.
    let services = text("web", "exec taskset -c 0 /bin/sh -c 'while :; do :; done'", "")
        .replace("size_ratio = 0.25", "size_ratio = 1.0")
        .replace("cpu_cores = 0.5", "cpu_cores = 1.0");
    let adapter = field.start_with_shadow(&services);
    let (primary, shadow) = (field.group("web/web-0"), field.shadow("web"));
    let used = || [&primary, &shadow].map(|group| group.cpu_used_ns().expect("counted"));
    assert!(within(10, || used()[1] > 0), "it has begun");
    let before = used();
    std::thread::sleep(Duration::from_secs(3));
    let after = used();
    let [primary, shadow] = [0, 1].map(|index| after[index] - before[index]);
    // 3 or less against 1024; a tenth is wide. Half would be theirs with equal weights.
    assert!(shadow * 10 < primary, "{shadow} ns beside {primary} ns");
    adapter.stop();
}

#[test]
fn it_ends_when_its_time_is_over() {
    let Some(field) = Field::new("expiry") else { return };
    let mut adapter = field.start_with_shadow(&text("web", "exec sleep 60", "shadow_lives = \"30s\""));
    field.poll(&mut adapter, 31);
    assert!(!field.shadow("web").is_empty(), "29 s");
    field.poll(&mut adapter, 32);
    assert!(field.shadow("web").is_empty(), "30 s by the adapter's clock");
    assert_eq!(adapter.counts().shadows_expired, 1);
    adapter.stop();
}

#[test]
fn it_ends_when_its_time_is_over_though_its_adapter_is_gone() {
    let Some(field) = Field::new("orphan") else { return };
    let more = "shadow_lives = \"1500ms\"";
    let adapter = field.start_with_shadow(&text("web", "exec sleep 60", more));
    drop(adapter); // As in a crash.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!field.shadow("web").is_empty());
    assert!(within(5, || field.shadow("web").is_empty()), "1.5 s of the machine's clock");
    assert_eq!(field.pids("web/web-0").len(), 1);
}

#[test]
fn a_successor_ends_it() {
    let Some(field) = Field::new("successor") else { return };
    let services = text("web", "exec sleep 60", "");
    drop(field.start_with_shadow(&services)); // As in a crash.
    assert!(within(10, || !field.shadow("web").is_empty()));
    let second = field.start(&services);
    assert!(field.shadow("web").is_empty(), "nobody knows its end");
    second.stop();
}

#[test]
fn it_goes_when_the_host_has_no_room_and_comes_back_when_it_has() {
    let Some(field) = Field::new("room") else { return };
    let mut adapter = field.start_with_shadow(&text("web", "exec sleep 60", ""));
    let primary = field.pids("web/web-0");
    let is_told = |adapter: &Cgroups| adapter.inventory(at(0)).0[0].shadow.is_some();
    assert!(is_told(&adapter));
    field.host_was_busy(95);
    adapter.poll(at(3));
    assert!(field.shadow("web").is_empty() && !is_told(&adapter), "nobody is to send requests there");
    assert_eq!((adapter.counts().shadows_yielded, field.pids("web/web-0")), (1, primary));
    for second in 4..=34 {
        field.poll(&mut adapter, second);
    }
    assert_eq!((adapter.counts().shadows_started, is_told(&adapter)), (2, true), "30 s of calm");
    adapter.stop();
}

#[test]
fn one_that_does_nothing_while_its_primary_works_is_ended() {
    let Some(field) = Field::new("hung") else { return };
    let services = service(LOOP, "exec sleep 60", "").replace("cpu_cores = 0.5", "cpu_cores = 1.0");
    let mut adapter = field.start_with_shadow(&services);
    // It sleeps by now, and will use no more.
    assert!(within(20, || programs(&field.shadow("web")).iter().any(|program| program == "sleep\n")));
    std::thread::sleep(Duration::from_millis(200));
    field.poll(&mut adapter, 3);
    let primary = field.group("web/web-0");
    let before = primary.cpu_used_ns();
    assert!(within(20, || primary.cpu_used_ns() > before.map(|ns| ns + 1_100_000_000)), "one core");
    field.poll(&mut adapter, 62);
    assert_eq!(adapter.counts().shadows_failed, 0, "59 s");
    field.poll(&mut adapter, 63);
    assert_eq!((adapter.counts().shadows_failed, field.shadow("web").is_empty()), (1, true));
    adapter.stop();
}
