//! The determinism law: identical bytes on every output topic for 1, 2 and 4 workers and three orders of arrival.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use dataflow::snapshot::Restore;
use dataflow::{Cell, Delivery, Engine, EngineSettings, OutputRecord, Rest, Start};
use end_to_end::by_hand::{self, Feed, Turns};
use end_to_end::fixtures::{name, pool, workload};
use end_to_end::replay::said;
use schemas::{
    Decision, EventTime, FeatureRecord, Metric, Noun, Reject, RejectReason, Role, Sample, Span, Topic, WorkloadId,
};

/// Partitions of the samples.
const PARTITIONS: i32 = 4;

/// A whole hour, in milliseconds: the first event time.
const START_MS: u64 = 1_767_225_600_000;

/// Seconds of samples.
const SECONDS: u64 = 900;

/// How deliveries of the same samples reach the engine.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    /// Partitions take turns, in time order.
    RoundRobin,
    /// One partition after the other.
    PartitionAfterPartition,
    /// Within a partition samples are swapped within the allowed lateness, and some come twice.
    Shuffled,
}

#[test]
fn every_order_and_number_of_workers_gives_the_same_bytes() {
    let expected = run(1, Arrival::RoundRobin);
    let decisions = of(&expected, Topic::Decisions);
    assert!(decisions.len() >= 4, "a scenario with decisions: {}", decisions.len());
    for noun in [Topic::Features, Topic::Forecasts, Topic::Rejects] {
        assert!(!of(&expected, noun).is_empty(), "a scenario with {}", noun.noun());
    }
    for workers in [1, 2, 4] {
        for arrival in [Arrival::RoundRobin, Arrival::PartitionAfterPartition, Arrival::Shuffled] {
            let found = run(workers, arrival);
            assert_eq!(found.len(), expected.len(), "{workers} workers, {arrival:?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{workers} workers, {arrival:?}");
            }
        }
    }
}

#[test]
fn a_snapshot_goes_on_with_another_number_of_workers() {
    let (whole, snapshots) = run_on(2, None);
    assert!(snapshots.len() >= 5, "a scenario with snapshots: {}", snapshots.len());
    for (number, restore) in snapshots.into_iter().enumerate().skip(1).step_by(6) {
        for workers in [1, 4] {
            let at = restore.at();
            let (found, _) = run_on(workers, Some(restore.clone()));
            let expected: Vec<_> = whole.iter().filter(|record| record.tick >= at.millis()).collect();
            assert!(!expected.is_empty(), "something follows snapshot {number}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(&found, expected, "from snapshot {number} at {at} with {workers} workers");
            }
            assert_eq!(found.len(), expected.len(), "from snapshot {number} at {at} with {workers} workers");
        }
    }
}

#[test]
fn features_that_were_told_are_not_made_again_and_all_else_is_as_before() {
    let (whole, _) = run_on(2, None);
    let told_before = EventTime::from_millis(START_MS + SECONDS / 2 * 1000);
    let (found, _) = run_as(2, 2, Start { told_before, ..Start::default() });
    let is_told = |record: &&OutputRecord| record.noun == Topic::Features.noun() && record.tick < told_before.millis();
    let expected: Vec<_> = whole.iter().filter(|record| !is_told(record)).collect();
    assert!(expected.len() < whole.len(), "some had been told");
    assert!(found.iter().eq(expected), "other records than those that are left");
}

#[test]
fn a_cell_of_two_processes_says_the_same_and_takes_snapshots_over() {
    let (whole, snapshots) = run_on(2, None);
    let half = snapshots[snapshots.len() / 2].clone();
    let at = half.at();
    for restore in [None, Some(half)] {
        let from = restore.as_ref().map_or(0, |restore| restore.at().millis());
        let (found, of_cell) = run_in_cell(2, 2, restore);
        let expected: Vec<_> = whole.iter().filter(|record| record.tick >= from).collect();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(&found, expected, "in a cell, from {from}");
        }
        assert_eq!(found.len(), expected.len(), "in a cell, from {from}");
        let made = of_cell.iter().find(|made| made.at() > at).expect("a snapshot of the cell").clone();
        let (found, _) = run_on(1, Some(made.clone()));
        let expected: Vec<_> = whole.iter().filter(|record| record.tick >= made.at().millis()).collect();
        assert!(found.iter().eq(expected), "alone, from the cell's snapshot at {}", made.at());
    }
}

#[test]
fn a_partition_that_brings_only_dead_letters_holds_nobody_up() {
    let settings = EngineSettings { workers: 2, ..EngineSettings::default() };
    let start = Start { partitions: 2, mute_after: Some(Duration::from_secs(5)), ..Start::default() };
    let mut engine = Engine::start_with(&settings, start).expect("the settings are sound");
    let at = |second: u64| EventTime::from_millis(START_MS + second * 1_000);
    for second in 0..60 {
        let samples = serde_json::to_vec(&samples_of(0, second)).expect("samples have a JSON form");
        // A producer that writes seconds where milliseconds are meant, alone on its partition.
        let seconds = format!(r#"{{"time": {}, "workload": "foreign"}}"#, at(second).millis() / 1_000);
        for (partition, value) in [(0, samples), (1, seconds.into_bytes())] {
            let (time, offset) = (at(second), second.cast_signed());
            let delivery = Delivery { time, offset, ..delivery(Topic::Samples, partition, "agent", value) };
            engine.deliver(delivery).expect("the workers run");
        }
    }
    // At second 59 all but the lateness of two seconds is closed; the input has not ended.
    let mut records = Vec::new();
    loop {
        let commit = engine.commits().decisions.recv_timeout(Duration::from_secs(20)).expect("the frontier moves");
        records.extend(commit.records);
        if commit.frontier >= at(56) {
            break;
        }
    }
    engine.finish();
    records.extend(said(engine.commits()));
    assert_eq!(of(&records, Topic::Rejects).iter().filter(|record| record.key.contains("agent")).count(), 60);
}

#[test]
fn a_sample_of_the_future_and_one_that_is_late_are_told_and_change_nothing() {
    let at = |second: u64| EventTime::from_millis(START_MS + second * 1_000);
    let told = |strays: &[u64]| {
        let start = Start { partitions: 1, ..Start::default() };
        let mut engine = Engine::start_with(&EngineSettings::default(), start).expect("the settings are sound");
        let mut offsets = 0..;
        for second in 0..120 {
            let on_time = serde_json::to_vec(&samples_of(0, second)).expect("samples have a JSON form");
            // Seconds between other samples of the same agent, which go on.
            let strays = strays
                .iter()
                .filter(|_| second == 60)
                .map(|time| format!(r#"{{"time": {}, "workload": "{}"}}"#, at(*time).millis(), name(0)).into_bytes());
            for value in std::iter::once(on_time).chain(strays) {
                let (time, offset) = (at(second), offsets.next().expect("endless"));
                let delivery = Delivery { time, offset, ..delivery(Topic::Samples, 0, "agent", value) };
                engine.deliver(delivery).expect("the workers run");
            }
        }
        engine.finish();
        let (rejects, others): (Vec<_>, Vec<_>) =
            said(engine.commits()).into_iter().partition(|record| record.noun == Topic::Rejects.noun());
        let reasons: Vec<_> =
            rejects.iter().map(|record| Reject::from_json(&record.value).expect("a dead letter").reason).collect();
        (reasons, others)
    };
    // An hour ahead of the log, and forty seconds behind it.
    let (reasons, others) = told(&[60 + 3_600, 20]);
    let (usual, expected) = told(&[]);
    assert_eq!(usual, [RejectReason::UnknownWorkload], "it has no record");
    assert_eq!(reasons, [RejectReason::UnknownWorkload, RejectReason::Future, RejectReason::Late]);
    assert_eq!(others, expected);
}

#[test]
fn who_is_forgotten_depends_on_no_worker_and_no_crash() {
    let (whole, snapshots) = run_for_days(1, None);
    assert!(snapshots.len() > 50, "a scenario with snapshots: {}", snapshots.len());
    assert_eq!(run_for_days(4, None).0, whole, "with four workers");
    // As of hour 35 it has not been read for more than a day.
    let gone = EventTime::from_millis(START_MS + 35 * 3_600_000);
    let around = snapshots.into_iter().filter(|restore| restore.at().millis().abs_diff(gone.millis()) <= 2 * 3_600_000);
    for (number, restore) in around.enumerate() {
        let at = restore.at();
        let (found, _) = run_for_days(1 + number % 2, Some(restore));
        let expected: Vec<_> = whole.iter().filter(|record| record.tick >= at.millis()).collect();
        assert!(found.iter().eq(expected), "from the snapshot at {at}");
    }
}

#[test]
fn features_equal_a_recomputation_from_all_samples() {
    let records = run(2, Arrival::Shuffled);
    let mut compared = 0;
    for workload in (0..WORKLOADS).filter(|workload| *workload != SILENT) {
        let values: Vec<(u64, f64)> = (0..SECONDS)
            .flat_map(|second| samples_of(workload, second))
            .filter(|sample| sample.role == Role::Primary)
            .map(|sample| (sample.time.millis(), sample.reading(Metric::CpuUsed).expect("it is always read")))
            .collect();
        let own = |record: &&OutputRecord| record.key == name(workload).as_str();
        for record in of(&records, Topic::Features).into_iter().filter(own).step_by(37) {
            let record = FeatureRecord::from_json(&record.value).expect("a feature record");
            let expected =
                features::recompute(1000, record.time.millis(), &until(&values, record.time)).expect("a tick of 1 s");
            for (window_ms, expected) in features::WINDOWS_MS.into_iter().zip(expected) {
                let row = record.rows.iter().find(|row| {
                    row.window_ms == window_ms && row.role == Role::Primary && row.metric == Metric::CpuUsed
                });
                let (row, expected) = (row.expect("the window holds readings"), expected.expect("likewise"));
                let streamed = features::Features {
                    count: u32::try_from(row.count).expect("a window holds few enough"),
                    mean: row.mean,
                    min: row.min,
                    max: row.max,
                    variance: row.variance,
                    p50: row.p50,
                    p95: row.p95,
                    p99: row.p99,
                    slope_per_second: row.slope_per_second,
                    ewma: row.ewma,
                    rate_of_change_per_second: row.rate_of_change_per_second,
                };
                assert_eq!(
                    features::disagreement(&streamed, &expected, 10.0),
                    None,
                    "{window_ms} ms at {}",
                    record.time
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared} windows were compared");
}

#[test]
fn the_pool_is_never_oversubscribed_and_missing_is_never_zero() {
    let records = run(1, Arrival::RoundRobin);
    let mut granted: BTreeMap<String, f64> = (0..WORKLOADS).map(|w| (name(w).to_string(), 1.0)).collect();
    for record in of(&records, Topic::Decisions) {
        let decision = Decision::from_json(&record.value).expect("a decision");
        granted.insert(decision.workload.to_string(), decision.granted.cpu_cores.get());
        assert!(granted.values().sum::<f64>() <= CAPACITY_CORES + 1e-9, "{granted:?}");
        // The silent workload is read without CPU: it must never be sized as if it used none.
        assert!(decision.workload != name(SILENT) || decision.granted.cpu_cores.get() >= 1.0, "{decision:?}");
    }
    assert!(granted.values().any(|cores| *cores > 1.0), "a scenario that scales up: {granted:?}");
}

const WORKLOADS: u64 = 4;

/// The workload whose CPU is never read.
const SILENT: u64 = 3;

const CAPACITY_CORES: f64 = 9.0;

fn of(records: &[OutputRecord], topic: Topic) -> Vec<&OutputRecord> {
    records.iter().filter(|record| record.noun == topic.noun()).collect()
}

fn until(values: &[(u64, f64)], tick: EventTime) -> Vec<(u64, f64)> {
    values.iter().copied().filter(|(time, _)| *time < tick.plus(1000).millis()).collect()
}

/// Readings at 5 Hz: a ramp with a wobble that differs from workload to workload.
fn samples_of(workload: u64, second: u64) -> Vec<Sample> {
    (0..5)
        .flat_map(|slot| {
            let time = EventTime::from_millis(START_MS + second * 1000 + slot * 200 + workload);
            let ramp = (second as f64 / 300.0).min(2.5) * (workload + 1) as f64 / 3.0;
            let wobble = ((second * 7 + slot * 3 + workload) % 11) as f64 / 50.0;
            [Role::Primary, Role::Shadow].map(|role| {
                let mut sample = Sample::new(time, name(workload));
                sample.role = role;
                let used = (0.3 + ramp + wobble) * if role == Role::Shadow { 0.75 } else { 1.0 };
                sample.set(Metric::CpuUsed, (workload != SILENT).then_some(used));
                sample.set(Metric::CpuLimit, Some(4.0));
                sample.set(Metric::MemoryWorkingSet, Some(0.5e9 + 1e6 * second as f64));
                sample.set(Metric::Requests, Some(100.0 * used));
                sample
            })
        })
        .collect()
}

/// The deliveries of every partition, in offset order.
fn partitions(shuffled: bool) -> Vec<Vec<Delivery>> {
    (0..PARTITIONS)
        .map(|partition| {
            let mut batches: Vec<Vec<u8>> = Vec::new();
            for second in 0..SECONDS {
                // A workload is always written to one partition; the last gives garbage too.
                for workload in (0..WORKLOADS).filter(|w| *w as i32 % PARTITIONS == partition) {
                    batches.push(schemas::batch::encode(&samples_of(workload, second)));
                }
                if partition == 1 && second % 300 == 299 {
                    batches.push(b"garbage".to_vec());
                }
            }
            if shuffled {
                // Neighbours are swapped, one second against the other, within the lateness of two; each tenth comes again.
                (0..batches.len().saturating_sub(1)).step_by(3).for_each(|at| {
                    if batches[at] != b"garbage" && batches[at + 1] != b"garbage" {
                        batches.swap(at, at + 1);
                    }
                });
                batches = batches
                    .into_iter()
                    .enumerate()
                    .flat_map(|(at, batch)| {
                        let again = at % 10 == 0 && batch != b"garbage";
                        std::iter::repeat_n(batch, if again { 2 } else { 1 })
                    })
                    .collect();
            }
            batches.into_iter().map(|value| delivery(Topic::Samples, partition, "agent", value)).collect()
        })
        .collect()
}

fn delivery(topic: Topic, partition: i32, key: &str, value: Vec<u8>) -> Delivery {
    Delivery {
        topic,
        partition,
        offset: 0,
        time: EventTime::from_millis(START_MS + SECONDS * 1000),
        key: key.to_owned(),
        content_type: None,
        value: Some(value),
        counts_from: None,
        settled: false,
        rest: Rest::Free,
    }
}

fn run(workers: usize, arrival: Arrival) -> Vec<OutputRecord> {
    let settings = EngineSettings { workers, ticks_in_flight_max: 10_000, ..EngineSettings::default() };
    let mut engine = Engine::start(&settings, PARTITIONS as usize).expect("the settings are sound");
    let commits = engine.commits().clone();
    let reader = std::thread::spawn(move || said(&commits));
    let deliver = |delivery| engine.deliver(delivery).expect("the workers run");
    deliver(delivery(Topic::Pools, 0, "main", pool(EventTime::from_millis(START_MS), CAPACITY_CORES).to_json()));
    (0..WORKLOADS).for_each(|w| {
        deliver(delivery(
            Topic::Workloads,
            0,
            name(w).as_str(),
            workload(w, EventTime::from_millis(START_MS)).to_json(),
        ))
    });
    let mut queues = partitions(matches!(arrival, Arrival::Shuffled));
    match arrival {
        Arrival::PartitionAfterPartition => queues.into_iter().flatten().for_each(deliver),
        Arrival::RoundRobin | Arrival::Shuffled => {
            let mut queues: Vec<_> = queues.iter_mut().map(|queue| queue.drain(..)).collect();
            let mut left = true;
            while left {
                left = false;
                for queue in &mut queues {
                    if let Some(delivery) = queue.next() {
                        left = true;
                        deliver(delivery);
                    }
                }
            }
        }
    }
    engine.finish();
    // Rejects name the offset of the record; here all deliveries have the same one, so the order of arrival shows nowhere.
    reader.join().expect("the reader only collects")
}

/// Runs with offsets as a log gives them, from the beginning or from a snapshot; what comes out, and the snapshots made.
fn run_on(workers: usize, restore: Option<Restore>) -> (Vec<OutputRecord>, Vec<Restore>) {
    run_as(workers, workers, Start { restore, ..Start::default() })
}

/// The same with several processes, which here are threads that meet over TCP.
fn run_in_cell(processes: usize, workers: usize, restore: Option<Restore>) -> (Vec<OutputRecord>, Vec<Restore>) {
    let mut cells: Vec<Cell> =
        (0..processes).map(|process| Cell { process, sockets: (0..processes).map(|_| None).collect() }).collect();
    for (one, other) in (0..processes).flat_map(|other| (0..other).map(move |one| (one, other))) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let there = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        cells[one].sockets[other] = Some(listener.accept().expect("a connection waits").0);
        cells[other].sockets[one] = Some(there);
    }
    let first = cells.remove(0);
    std::thread::scope(|scope| {
        for cell in cells {
            scope.spawn(move || dataflow::serve(cell, workers).expect("the others are there"));
        }
        run_as(workers, processes * workers, Start { restore, cell: Some(first), ..Start::default() })
    })
}

/// Two and a half days, a reading each ten minutes: of a workload that is registered, of two that are not and pause, the one for
/// 20 hours and the other for 30, and of a job an hour.
fn run_for_days(workers: usize, restore: Option<Restore>) -> (Vec<OutputRecord>, Vec<Restore>) {
    let mut partitions = vec![Vec::new(), Vec::new()];
    for minute in (0..60 * 60).step_by(10) {
        let (hour, time) = (minute / 60, EventTime::from_millis(START_MS + minute * 60_000));
        let mut names = vec![name(0).to_string(), format!("job-{hour}")];
        names.extend((!(5..25).contains(&hour)).then(|| "away-20h".to_owned()));
        names.extend((!(5..35).contains(&hour)).then(|| "away-30h".to_owned()));
        for (partition, name) in [0, 1, 1, 0].into_iter().zip(names) {
            let mut sample = Sample::new(time, WorkloadId::new(&name).expect("a name"));
            sample.set(Metric::CpuUsed, Some(0.5 + minute as f64 / 3_600.0));
            let value = schemas::batch::encode(&[sample]);
            partitions[partition].push(Delivery { time, ..delivery(Topic::Samples, partition as i32, "agent", value) });
        }
    }
    let began = EventTime::from_millis(START_MS);
    let control = vec![
        Delivery { time: began, ..delivery(Topic::Pools, 0, "main", pool(began, CAPACITY_CORES).to_json()) },
        Delivery { time: began, ..delivery(Topic::Workloads, 0, name(0).as_str(), workload(0, began).to_json()) },
    ];
    let snapshot_every = Span::from_secs(3_600);
    let settings = EngineSettings { workers, snapshot_every, ticks_in_flight_max: 16, ..EngineSettings::default() };
    let start = Start { restore, ..Start::default() };
    by_hand::run(&settings, Feed { control, partitions }, Turns::InTurn, workers, start)
}

fn run_as(workers: usize, workers_in_all: usize, start: Start) -> (Vec<OutputRecord>, Vec<Restore>) {
    // Fewer than lie between two snapshots: no stage passes two of them at once and leaves one out.
    let settings = EngineSettings { workers, ticks_in_flight_max: 16, ..EngineSettings::default() };
    let mut control =
        vec![delivery(Topic::Pools, 0, "main", pool(EventTime::from_millis(START_MS), CAPACITY_CORES).to_json())];
    control.extend((0..WORKLOADS).map(|w| {
        delivery(Topic::Workloads, 0, name(w).as_str(), workload(w, EventTime::from_millis(START_MS)).to_json())
    }));
    let feed = Feed { control, partitions: partitions(false) };
    by_hand::run(&settings, feed, Turns::InTurn, workers_in_all, start)
}
