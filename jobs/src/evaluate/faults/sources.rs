//! The formats of labelled data that are read, each told by its columns.
//!
//! | columns | what | entity | step | fault |
//! |---|---|---|---|---|
//! | `TimeStamp`, `PodName` | microservice pods (Nezha), with a list of faults beside the file | pod | 60 s | from its injection on |
//! | `fault`, `rep`, `phase`, `time` | containers (RCD, Sock Shop), injected stress | container in one case | 1 s | the phase `anomalous` |
//! | `part`, `label` | servers (SMD) | the server | 60 s | rows of `part` = `test` in a row with `label` 1 |

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::recording::{Entity, Event, Recording};
use super::table::Table;

/// Nezha: an injection lasts some five minutes, and its last minute is reported one minute later.
const NEZHA_FAULT_S: i64 = 360;

/// Nezha: the next injection comes eight to nine minutes after the last.
const NEZHA_SETTLED_S: i64 = 510;

/// Nezha: times of one pod of one file lie this much too late, all others are from 2022 and 2023.
const NEZHA_SHIFT: (i64, i64) = (1_800_000_000, 200_000_000);

/// What an entity's signals tell of, by a part of their name: those of one aspect count once.
const ASPECTS: [&[&str]; 13] = [
    &["PodCpu", "CpuUsage", "_cpu"],
    &["MemoryUsage", "_mem"],
    &["Syscall"],
    &["NetworkReceive"],
    &["NetworkTransmit"],
    &["ClientLatency"],
    &["ServerLatency", "_lat"],
    &["Workload", "_lod"],
    &["SuccessRate"],
    &["NodeCpu"],
    &["NodeMemory"],
    &["NodeNetwork"],
    &[],
];

/// One entry of a fault list.
#[derive(Debug, Deserialize)]
struct Injection {
    inject_timestamp: String,
    inject_pod: String,
}

/// Reads a recording from a file's columns; `path` tells its name and where a fault list may lie.
///
/// # Errors
/// If the columns are of no known format, or a label is missing.
pub fn read(path: &Path, table: &Table) -> anyhow::Result<Recording> {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let recording = if table.has("PodName") {
        pods(name, path, table)
    } else if table.has("phase") {
        containers(name, table)
    } else if table.has("part") {
        machine(name, table)
    } else {
        bail!("its columns are of no known format: PodName, phase or part is missing")
    }?;
    for entity in &recording.entities {
        let signals = entity.aspects.len();
        ensure!(
            (1..=SIGNALS_MAX).contains(&signals),
            "{}: {signals} signals, 1 to {SIGNALS_MAX} are read",
            entity.name
        );
    }
    Ok(recording)
}

/// Most signals of an entity: what the detector tells apart.
const SIGNALS_MAX: usize = 64;

/// The aspect of a signal: the last that fits, since `NodeCpuUsage` is not the pod's.
fn aspect(signal: &str) -> usize {
    let fits = |parts: &&[&str]| parts.iter().any(|part| signal.contains(part));
    ASPECTS.iter().rposition(fits).unwrap_or(ASPECTS.len() - 1)
}

/// An instant, and the values of its columns.
type Reading = (i64, Vec<Option<f64>>);

fn pods(name: String, path: &Path, table: &Table) -> anyhow::Result<Recording> {
    let signals: Vec<_> = table.numbers().filter(|(name, _)| *name != "TimeStamp").collect();
    let aspects: Vec<usize> = signals.iter().map(|(name, _)| aspect(name)).collect();
    let times = table.number("TimeStamp")?;
    let mut pods: BTreeMap<&str, Vec<Reading>> = BTreeMap::new();
    for (at, pod) in table.text("PodName")?.iter().enumerate() {
        let time = times[at].context("a row has no TimeStamp")? as i64;
        let time = if time > NEZHA_SHIFT.0 { time - NEZHA_SHIFT.1 } else { time };
        pods.entry(pod).or_default().push((time, signals.iter().map(|(_, column)| column[at]).collect()));
    }
    let entities: Vec<Entity> = pods.into_iter().map(|(pod, rows)| entity(pod, aspects.clone(), rows)).collect();
    let events = injections(path, &entities)?;
    Ok(Recording { name, step_s: 60, entities, events, left_out: Vec::new() })
}

fn entity(name: &str, aspects: Vec<usize>, mut rows: Vec<(i64, Vec<Option<f64>>)>) -> Entity {
    rows.sort_by_key(|(time, _)| *time);
    let (times_s, rows) = rows.into_iter().unzip();
    Entity { name: name.to_owned(), aspects, times_s, rows }
}

/// The fault list beside a file of pods: `nezha_metrics_<day>.parquet` has `nezha_<day>_fault_list.json`.
fn injections(path: &Path, entities: &[Entity]) -> anyhow::Result<Vec<Event>> {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let list = path.with_file_name(format!("{}_fault_list.json", stem.replace("_metrics", "")));
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read the fault list {}", list.display()))?;
    let hours: BTreeMap<String, Vec<Injection>> =
        serde_json::from_str(&text).with_context(|| format!("{} is no fault list", list.display()))?;
    let mut events = Vec::new();
    for injection in hours.into_values().flatten() {
        let start_s: i64 = injection.inject_timestamp.parse().context("inject_timestamp is no number of seconds")?;
        let entity = entities.iter().position(|entity| entity.name == injection.inject_pod);
        let entity = entity.with_context(|| format!("the pod {} has no rows", injection.inject_pod))?;
        let (end_s, settled_s) = (start_s + NEZHA_FAULT_S, start_s + NEZHA_SETTLED_S);
        events.push(Event { entity, start_s, end_s, settled_s });
    }
    Ok(events)
}

/// Each case is a run of its own: its normal phase, then its anomalous one.
fn containers(name: String, table: &Table) -> anyhow::Result<Recording> {
    let signals: Vec<_> = table.numbers().filter(|(name, _)| name.contains('_')).collect();
    let mut containers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, (name, _)) in signals.iter().enumerate() {
        containers.entry(name.split('_').next().unwrap_or(name)).or_default().push(at);
    }
    let mut recording = Recording { name, step_s: 1, entities: Vec::new(), events: Vec::new(), left_out: Vec::new() };
    for (run, (fault, phases)) in cases(table)?.into_iter().enumerate() {
        let [normal, anomalous] = phases;
        let names =
            |container: &&&str| fault.strip_prefix(**container).is_some_and(|rest| rest.starts_with(['-', '_']));
        let Some(target) = containers.keys().filter(names).max_by_key(|container| container.len()).copied() else {
            recording.left_out.push(fault);
            continue;
        };
        for (container, own) in &containers {
            let row = |&at: &usize| own.iter().map(|&signal| signals[signal].1[at]).collect();
            let rows: Vec<_> = normal.iter().chain(&anomalous).map(row).collect();
            // Seconds of the run: the two phases were recorded on different days, and follow each other here.
            let times_s = (0..rows.len() as i64).map(|second| second + run_start(run)).collect();
            let aspects = own.iter().map(|&signal| aspect(signals[signal].0)).collect();
            if target == *container {
                let start_s = run_start(run) + normal.len() as i64;
                let end_s = run_start(run) + rows.len() as i64;
                let entity = recording.entities.len();
                recording.events.push(Event { entity, start_s, end_s, settled_s: end_s });
            }
            recording.entities.push(Entity { name: format!("{fault} {container}"), aspects, times_s, rows });
        }
    }
    Ok(recording)
}

/// Runs lie so far apart that none reaches into the next.
fn run_start(run: usize) -> i64 {
    run as i64 * 1_000_000
}

/// The rows of each case, normal and anomalous, each in order of time.
fn cases(table: &Table) -> anyhow::Result<Vec<(String, [Vec<usize>; 2])>> {
    let (faults, phases) = (table.text("fault")?, table.text("phase")?);
    let (repetitions, times) = (table.number("rep")?, table.number("time")?);
    let mut cases: BTreeMap<(&str, i64), [Vec<usize>; 2]> = BTreeMap::new();
    for at in 0..table.rows() {
        let repetition = repetitions[at].context("a row has no rep")? as i64;
        let phase = usize::from(phases[at] != "normal");
        cases.entry((&faults[at], repetition)).or_default()[phase].push(at);
    }
    let in_time = |mut rows: Vec<usize>| {
        rows.sort_by(|&a, &b| times[a].partial_cmp(&times[b]).unwrap_or(std::cmp::Ordering::Equal));
        rows
    };
    Ok(cases.into_iter().map(|((fault, _), phases)| (fault.to_owned(), phases.map(in_time))).collect())
}

fn machine(name: String, table: &Table) -> anyhow::Result<Recording> {
    let signals: Vec<_> = table.numbers().filter(|(name, _)| *name != "label").collect();
    let rows: Vec<Vec<Option<f64>>> =
        (0..table.rows()).map(|at| signals.iter().map(|(_, column)| column[at]).collect()).collect();
    let times_s: Vec<i64> = (0..rows.len() as i64).map(|row| row * 60).collect();
    let labelled: Vec<bool> = table.number("label")?.iter().map(|label| *label == Some(1.0)).collect();
    let mut events: Vec<Event> = Vec::new();
    for (at, _) in labelled.iter().enumerate().filter(|(_, labelled)| **labelled) {
        let end_s = times_s[at];
        match events.last_mut().filter(|event| event.end_s + 60 == end_s) {
            Some(event) => (event.end_s, event.settled_s) = (end_s, end_s),
            None => events.push(Event { entity: 0, start_s: end_s, end_s, settled_s: end_s }),
        }
    }
    let aspects = (0..signals.len()).collect();
    let entities = vec![Entity { name: name.clone(), aspects, times_s, rows }];
    Ok(Recording { name, step_s: 60, entities, events, left_out: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: impl IntoIterator<Item = i32>) -> Vec<Option<f64>> {
        values.into_iter().map(|value| Some(f64::from(value))).collect()
    }

    fn text(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn pods_have_the_faults_of_the_list_beside_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let list = r#"{"hour": [{"inject_timestamp": "1661140860", "inject_pod": "cart"}]}"#;
        std::fs::write(folder.path().join("nezha_day_fault_list.json"), list).expect("the folder can be written");
        let mut table = Table::new(3);
        // Out of order; and one row lies in the future by the shift that one pod has.
        let times = [1_661_140_860.0, 1_661_140_800.0, 1_861_140_800.0];
        table.add_numbers("TimeStamp", times.map(Some).to_vec());
        table.add_text("PodName", text(&["cart", "cart", "ship"]));
        table.add_numbers("PodCpuUsage", numbers([7, 5, 6]));
        table.add_numbers("NodeCpuUsage", numbers([70, 50, 60]));
        let path = folder.path().join("nezha_metrics_day.parquet");
        let recording = read(&path, &table).expect("it is of a known format");
        let names: Vec<&str> = recording.entities.iter().map(|entity| entity.name.as_str()).collect();
        assert_eq!(names, ["cart", "ship"]);
        let [cart, ship] = &recording.entities[..] else { unreachable!("there are two") };
        assert_eq!((cart.times_s.as_slice(), &cart.rows[0][0]), (&[1_661_140_800, 1_661_140_860][..], &Some(5.0)));
        assert_eq!(ship.times_s, [1_661_140_800]);
        assert_ne!(cart.aspects[0], cart.aspects[1], "the node's CPU is not the pod's");
        let [event] = &recording.events[..] else { panic!("one was injected") };
        let start_s = 1_661_140_860;
        assert_eq!(
            (event.entity, event.start_s, event.end_s, event.settled_s),
            (0, start_s, start_s + 360, start_s + 510)
        );
        std::fs::remove_file(folder.path().join("nezha_day_fault_list.json")).expect("it is there");
        assert!(read(&path, &table).is_err_and(|error| error.to_string().contains("cannot read the fault list")));
    }

    #[test]
    fn a_case_is_its_normal_phase_and_then_its_anomalous_one() {
        let mut table = Table::new(4);
        table.add_text("fault", text(&["carts_cpu"; 4]));
        table.add_text("phase", text(&["anomalous", "anomalous", "normal", "normal"]));
        table.add_numbers("rep", numbers([1; 4]));
        table.add_numbers("time", numbers([2, 1, 20, 10]));
        table.add_numbers("carts_cpu", numbers([9, 8, 2, 1]));
        table.add_numbers("front-end_cpu", numbers([3; 4]));
        let recording = read(Path::new("rcd.parquet"), &table).expect("it is of a known format");
        let carts = recording.entities.iter().position(|entity| entity.name == "carts_cpu carts").expect("it is read");
        let values: Vec<Option<f64>> = recording.entities[carts].rows.iter().map(|row| row[0]).collect();
        assert_eq!(values, [1.0, 2.0, 8.0, 9.0].map(Some));
        let [event] = &recording.events[..] else { panic!("one container is stressed") };
        assert_eq!((event.entity, event.start_s, event.end_s), (carts, 2, 4));
    }

    #[test]
    fn a_server_has_a_fault_wherever_labels_follow_each_other() {
        let mut table = Table::new(6);
        table.add_text("part", text(&["train", "test", "test", "test", "test", "test"]));
        table.add_numbers("cpu", numbers(0..6));
        table.add_numbers("label", numbers([0, 1, 1, 0, 1, 0]));
        let recording = read(Path::new("smd.parquet"), &table).expect("it is of a known format");
        let spans: Vec<(i64, i64)> = recording.events.iter().map(|event| (event.start_s, event.end_s)).collect();
        assert_eq!(spans, [(60, 120), (240, 240)]);
        let mut other = Table::new(1);
        other.add_numbers("cpu", numbers([1]));
        let error = read(Path::new("other.parquet"), &other).expect_err("it has no labels");
        assert!(error.to_string().contains("of no known format"), "{error}");
    }
}
