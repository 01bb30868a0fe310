//! Egress: everything that leaves a closed tick, in canonical order, in one piece.
//!
//! There are two of them, since what is acted on must not wait for what is read: decisions, with all that goes beside
//! them, and features, with forecasts. Key: none; one worker gathers all, so that one publisher writes them. Time: a
//! commit covers the ticks that have closed since the last one. State: the records of open ticks. Cost: a sort a commit.
//! The channel to the publisher is bounded: while it is full the worker waits, and with it the whole dataflow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender, bounded};
use schemas::{EventTime, FeatureRecord, ForecastRecord, Noun};
use serde::{Deserialize, Serialize};
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::core::Map;
use timely::dataflow::operators::probe::{Handle as Probe, Probe as _};
use timely::progress::frontier::MutableAntichain;

use crate::records::Stream;
use crate::stash::Stash;
use crate::{Commit, OutputRecord, Receipt};

/// How often a blocked egress looks whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Batches of closed ticks of features that may wait to be written as JSON, which one thread does beside the workers; a
/// batch holds what closed in one activation.
const CLOSED_MAX: usize = 1;

/// Where the commits of both go.
#[derive(Clone)]
pub(crate) struct Outlets {
    pub(crate) decisions: Outlet,
    pub(crate) features: Outlet,
}

impl Outlets {
    /// Features are many: unless the workers are `stepped`, a thread of its own puts them in order and into words. It ends
    /// with the workers.
    pub(crate) fn new(
        [decisions, features]: [Sender<Commit>; 2],
        stepped: bool,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, String> {
        let inline = |commits| Outlet { way: Way::Inline(commits), stop: Arc::clone(stop) };
        let (decisions, mut features) = (inline(decisions), inline(features));
        if !stepped {
            let (end, closed) = bounded(CLOSED_MAX);
            let beside = std::mem::replace(&mut features.way, Way::Beside(end));
            let writer = Outlet { way: beside, stop: Arc::clone(stop) };
            let write = move || closed.iter().for_each(|closed| writer.send(closed));
            std::thread::Builder::new().name("egress".to_owned()).spawn(write).map_err(|error| error.to_string())?;
        }
        Ok(Self { decisions, features })
    }
}

/// Where commits go.
#[derive(Clone)]
pub(crate) struct Outlet {
    way: Way,
    stop: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Way {
    /// To the publisher.
    Inline(Sender<Commit>),
    /// To the thread that makes commits of them.
    Beside(Sender<Closed>),
}

impl Outlet {
    /// Hands closed ticks on; waits while they are not taken, until the workers are to stop.
    fn send(&self, closed: Closed) {
        match &self.way {
            Way::Inline(commits) => self.wait(commits, closed.commit()),
            Way::Beside(writer) => self.wait(writer, closed),
        }
    }

    fn wait<T>(&self, to: &Sender<T>, mut what: T) {
        while !self.stop.load(Ordering::Acquire) {
            match to.send_timeout(what, LOOK_EVERY) {
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return,
                Err(SendTimeoutError::Timeout(back)) => what = back,
            }
        }
    }
}

/// What leaves the dataflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Leaving {
    /// A record for an output topic.
    Record(Said),
    /// News for the publisher.
    Receipt(Receipt),
    /// Features, still to be put into words.
    Features(FeatureRecord),
    /// A forecast, likewise.
    Forecast(Box<ForecastRecord>),
}

/// What an [`OutputRecord`] holds beside the tick.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    noun: String,
    key: String,
    value: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Said {
    fn of<N: Noun>(record: &N) -> Self {
        Self {
            noun: N::TOPIC.noun().to_owned(),
            key: record.key().to_owned(),
            value: record.to_json(),
            headers: record.headers().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    fn at(self, tick: u64) -> OutputRecord {
        let Self { noun, key, value, headers } = self;
        OutputRecord { tick, noun, key, value, headers }
    }
}

/// A noun's records as output records.
pub(crate) fn outputs<'s, N: Noun + Clone + 'static>(records: Stream<'s, N>) -> Stream<'s, Leaving> {
    records.map(|record| Leaving::Record(Said::of(&record)))
}

/// Receipts on their way out.
pub(crate) fn receipts(receipts: Stream<'_, Receipt>) -> Stream<'_, Leaving> {
    receipts.map(Leaving::Receipt)
}

/// Hands closed ticks to the publisher, from worker 0; what is given passes a tick once that has left.
pub(crate) fn egress<'s>(leaving: Stream<'s, Leaving>, outlet: Outlet, probe: &Probe<u64>) -> Stream<'s, ()> {
    let first = leaving.scope().worker().index() == 0;
    leaving
        .unary_frontier(Exchange::new(|_: &Leaving| 0), "egress", move |_, _| {
            let mut stash = Stash::new();
            let mut published = EventTime::default();
            move |(input, frontier), output| {
                input.for_each(|capability, data| {
                    if let Some(capability) = capability.retain_least(0) {
                        stash.keep(capability, data.drain(..));
                    }
                });
                let mut closed = Closed { frontier: reached(frontier), ticks: Vec::new() };
                while let Some((capability, leaving)) = stash.pop_closed(&[frontier]) {
                    closed.ticks.push((*capability.time(), leaving));
                    // Nothing is sent on; the session only names the stream's type.
                    output.session(&capability).give_iterator(std::iter::empty::<()>());
                }
                if first && closed.frontier > published {
                    published = closed.frontier;
                    outlet.send(closed);
                }
            }
        })
        .container::<Vec<()>>()
        .probe_with(probe)
}

/// What left the ticks before a frontier.
struct Closed {
    frontier: EventTime,
    ticks: Vec<(u64, Vec<Leaving>)>,
}

impl Closed {
    fn commit(self) -> Commit {
        let mut commit = Commit { frontier: self.frontier, records: Vec::new(), receipts: Vec::new() };
        self.ticks.into_iter().for_each(|(tick, leaving)| close(tick, leaving, &mut commit));
        commit
    }
}

/// Adds what left a closed tick to a commit.
fn close(tick: u64, leaving: Vec<Leaving>, commit: &mut Commit) {
    let (mut records, mut receipts) = (Vec::new(), Vec::new());
    for leaving in leaving {
        match leaving {
            Leaving::Record(said) => records.push(said.at(tick)),
            Leaving::Features(record) => records.push(Said::of(&record).at(tick)),
            Leaving::Forecast(record) => records.push(Said::of(&*record).at(tick)),
            Leaving::Receipt(receipt) => receipts.push(receipt),
        }
    }
    // Invariant: the order within a tick is a function of its records alone, and ticks come in order, so it does not
    // matter where one commit ends and the next begins.
    records.sort();
    commit.records.extend(records);
    // What is said of a record itself goes before how far the partition was read.
    receipts.sort_by(|a, b| {
        let place = |of: &Receipt| (of.partition, of.offset, of.late.is_none());
        a.noun.cmp(&b.noun).then_with(|| place(a).cmp(&place(b)))
    });
    commit.receipts.extend(receipts);
}

fn reached(frontier: &MutableAntichain<u64>) -> EventTime {
    frontier.frontier().first().map_or(EventTime::MAX, |tick| EventTime::from_millis(*tick))
}
