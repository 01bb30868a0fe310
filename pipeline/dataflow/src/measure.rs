//! The stages without a log, for measurements: blocks of samples in memory in, decision input out.
//!
//! What is measured is what runs: [`graph::stages`](crate::graph) builds the same operators for both. The clock stays with
//! the caller: it is asked for every block, and told how far the stages have come.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use schemas::{FeatureRecord, Metric, Noun, Reject, Samples, Workload};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Inspect;
use timely::dataflow::operators::core::{Filter, OkErr};
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::operators::generic::{OutputBuilderSession, source};
use timely::dataflow::operators::probe::{Handle as Probe, Probe as _};
use timely::dataflow::{ProbeHandle, Scope};

use crate::control::control;
use crate::features::features;
use crate::graph::{afterwards, stages};
use crate::pair::pair;
use crate::records::{Change, ControlNoun, Rows, Stream};
use crate::slots::Slots;
use crate::snapshot::{Snapshots, Stage};
use crate::{EngineError, EngineSettings};

/// Ticks that may be open: enough to keep every operator busy.
const TICKS_IN_FLIGHT: u64 = 4;

/// A tick's start in milliseconds, and samples of it. Ticks ascend.
pub type Block = (u64, Arc<Samples>);

/// Gives a worker its next block. It is told up to which tick everything has been worked off; `None` ends the run.
pub type Feed = Box<dyn FnMut(u64) -> Option<Block> + Send>;

/// Is shown every feature record of a worker: what is measured can be compared with what others make of the same samples.
pub type Watch = Box<dyn FnMut(&FeatureRecord) + Send>;

/// How much of the dataflow is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every reading is read once, and dropped: what no engine can do without.
    Null,
    /// Pairs, and features of every window: what other engines can be given to do as well.
    Features,
    /// Pairs, features of every window, detectors, forecasts and the input of the decision law.
    Stages,
}

/// What came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples that went in.
    pub rows: u64,
    /// Windows that held readings, over all series and ticks.
    pub windows: u64,
    /// Anomalies.
    pub anomalies: u64,
    /// Inputs of the decision law.
    pub signals: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.windows += other.windows;
        self.anomalies += other.anomalies;
        self.signals += other.signals;
    }
}

/// Runs one worker a feed until the feeds end; the sum of what came out.
///
/// # Errors
/// As [`Engine::start`](crate::Engine::start).
pub fn measure(
    settings: &EngineSettings,
    depth: Depth,
    workloads: &[Workload],
    feeds: Vec<Feed>,
) -> Result<Tally, EngineError> {
    let unwatched = feeds.into_iter().map(|feed| (feed, Box::new(|_: &FeatureRecord| ()) as Watch));
    measure_watched(settings, depth, workloads, unwatched.collect())
}

/// As [`measure`], and shows each worker's feature records.
///
/// # Errors
/// As [`Engine::start`](crate::Engine::start).
pub fn measure_watched(
    settings: &EngineSettings,
    depth: Depth,
    workloads: &[Workload],
    feeds: Vec<(Feed, Watch)>,
) -> Result<Tally, EngineError> {
    let faults = settings.faults();
    if !faults.is_empty() {
        return Err(EngineError::Settings(faults));
    }
    let config = timely::Config::process(feeds.len());
    let feeds: Vec<Mutex<Option<(Feed, Watch)>>> = feeds.into_iter().map(|feed| Mutex::new(Some(feed))).collect();
    let (settings, workloads) = (settings.clone(), workloads.to_vec());
    let guards = timely::execute(config, move |worker| {
        let feed = feeds[worker.index()].lock().expect("no worker panics while it holds the lock").take();
        let (feed, mut watch) = feed.expect("each worker takes its feed once");
        let tally = Rc::new(RefCell::new(Tally::default()));
        let probe = Probe::new();
        let registered = if worker.index() == 0 { workloads.clone() } else { Vec::new() };
        let (slots, unkept) = (Rc::new(Slots::default()), Rc::new(Snapshots::default()));
        worker.dataflow::<u64, _, _>(|scope| {
            let rows = blocks(scope, feed, probe.clone(), Rc::clone(&tally));
            let watched = Rc::clone(&tally);
            let watch = move |record: &FeatureRecord| {
                watched.borrow_mut().windows += record.rows.len() as u64;
                watch(record);
            };
            match depth {
                Depth::Null => {
                    rows.inspect(|rows| {
                        std::hint::black_box(sum(&rows.samples));
                    })
                    .probe_with(&probe);
                }
                Depth::Features => {
                    let at = |stage| (Rc::clone(&slots), unkept.of(stage));
                    let control = control(changes(scope, registered), unkept.of(Stage::Control));
                    let (pairs, _): (_, Stream<'_, Box<Reject>>) =
                        pair(rows, control.workloads, at(Stage::Pair)).ok_err(|paired| paired);
                    features(pairs, &settings, at(Stage::Features)).inspect(watch).probe_with(&probe);
                }
                Depth::Stages => {
                    let control = control(changes(scope, registered), unkept.of(Stage::Control));
                    // No model is published: the shipped one serves, where any does.
                    let stages = stages(rows, (control.workloads, empty(scope)), &settings, &unkept);
                    let anomalies = count(&tally, |tally| tally.anomalies += 1);
                    stages.anomalies.inspect(move |_| anomalies()).probe_with(&probe);
                    let signals = count(&tally, |tally| tally.signals += 1);
                    let left = stages.signals.inspect(move |_| signals()).filter(|_| false).probe_with(&probe);
                    let features = afterwards((stages.pairs, stages.slots), left, &settings, &unkept);
                    features.inspect(watch).probe_with(&probe);
                }
            }
        });
        while worker.step() {}
        tally.take()
    });
    let guards = guards.map_err(EngineError::Start)?;
    let mut total = Tally::default();
    for outcome in guards.join() {
        total.add(outcome.map_err(EngineError::Start)?);
    }
    Ok(total)
}

/// Of all readings that were taken.
fn sum(samples: &Samples) -> f64 {
    let columns = Metric::ALL.iter().filter_map(|metric| samples.column(*metric));
    columns.map(|column| column.iter().filter(|value| !value.is_nan()).sum::<f64>()).sum()
}

/// Counts one more of something.
fn count(tally: &Rc<RefCell<Tally>>, add: fn(&mut Tally)) -> impl Fn() + 'static {
    let tally = Rc::clone(tally);
    move || add(&mut tally.borrow_mut())
}

/// The feed's blocks, while not too many ticks are open.
fn blocks<'s>(
    scope: Scope<'s, u64>,
    mut feed: Feed,
    probe: ProbeHandle<u64>,
    tally: Rc<RefCell<Tally>>,
) -> Stream<'s, Rows> {
    let worker = scope.worker().index() as u64;
    source(scope, "blocks", move |capability, info| {
        let activator = scope.activator_for(info.address);
        let mut held = Some(capability);
        let mut ticks_fed = std::collections::VecDeque::new();
        move |output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Rows>>>| {
            let Some(capability) = held.as_mut() else { return };
            activator.activate();
            while ticks_fed.front().is_some_and(|tick| !probe.less_equal(tick)) {
                ticks_fed.pop_front();
            }
            if ticks_fed.len() as u64 > TICKS_IN_FLIGHT {
                return;
            }
            let closed = ticks_fed.front().copied().unwrap_or(u64::MAX);
            let Some((tick, samples)) = feed(closed) else {
                held = None;
                return;
            };
            if ticks_fed.back() != Some(&tick) {
                ticks_fed.push_back(tick);
                capability.downgrade(&tick);
            }
            tally.borrow_mut().rows += samples.len() as u64;
            let rows = (0..samples.len() as u32).collect();
            output.session(capability).give(Rows { worker, samples, rows });
        }
    })
}

/// The workloads' records, before everything.
fn changes<'s>(scope: Scope<'s, u64>, workloads: Vec<Workload>) -> Stream<'s, Change> {
    source(scope, "workloads", move |capability, _| {
        let mut held = Some((capability, workloads));
        move |output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Change>>>| {
            let Some((capability, workloads)) = held.take() else { return };
            let mut session = output.session(&capability);
            for (workload, offset) in workloads.iter().zip(0..) {
                session.give(Change {
                    noun: ControlNoun::Workloads,
                    key: workload.workload.to_string(),
                    time: 0,
                    offset,
                    value: Some(String::from_utf8(workload.to_json()).expect("JSON is UTF-8")),
                });
            }
        }
    })
}
