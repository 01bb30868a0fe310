//! Egress: everything that leaves a closed tick, in canonical order, in one piece.
//!
//! There are two of them, since what is acted on must not wait for what is read: decisions, with all that goes beside
//! them, and features, with forecasts. Key: none; one worker gathers all, so that one publisher writes them. Time: a
//! commit covers the ticks that have closed since the last one. State: the records of open ticks. Cost: a sort a commit.
//! The channel to the publisher is bounded: while it is full the worker waits, and with it the whole dataflow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use schemas::{EventTime, Noun};
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

/// Where the commits of both go.
#[derive(Clone)]
pub(crate) struct Outlets {
    pub(crate) decisions: Outlet,
    pub(crate) features: Outlet,
}

impl Outlets {
    pub(crate) fn new([decisions, features]: [Sender<Commit>; 2], stop: &Arc<AtomicBool>) -> Self {
        let outlet = |commits| Outlet { commits, stop: Arc::clone(stop) };
        Self { decisions: outlet(decisions), features: outlet(features) }
    }
}

/// Where commits go.
#[derive(Clone)]
pub(crate) struct Outlet {
    commits: Sender<Commit>,
    stop: Arc<AtomicBool>,
}

/// What leaves the dataflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Leaving {
    /// A record for an output topic: what an [`OutputRecord`] holds beside the tick.
    Record { noun: String, key: String, value: Vec<u8>, headers: Vec<(String, String)> },
    /// News for the publisher.
    Receipt(Receipt),
}

/// A noun's records as output records.
pub(crate) fn outputs<'s, N: Noun + Clone + 'static>(records: Stream<'s, N>) -> Stream<'s, Leaving> {
    records.map(|record| Leaving::Record {
        noun: N::TOPIC.noun().to_owned(),
        key: record.key().to_owned(),
        value: record.to_json(),
        headers: record.headers().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    })
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
                let mut commit = Commit { frontier: reached(frontier), records: Vec::new(), receipts: Vec::new() };
                while let Some((capability, closed)) = stash.pop_closed(&[frontier]) {
                    close(*capability.time(), closed, &mut commit);
                    // Nothing is sent on; the session only names the stream's type.
                    output.session(&capability).give_iterator(std::iter::empty::<()>());
                }
                if first && commit.frontier > published {
                    published = commit.frontier;
                    send(&outlet, commit);
                }
            }
        })
        .container::<Vec<()>>()
        .probe_with(probe)
}

/// Adds what left a closed tick to a commit.
fn close(tick: u64, closed: Vec<Leaving>, commit: &mut Commit) {
    let (mut records, mut receipts) = (Vec::new(), Vec::new());
    for leaving in closed {
        match leaving {
            Leaving::Record { noun, key, value, headers } => {
                records.push(OutputRecord { tick, noun, key, value, headers });
            }
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

fn send(outlet: &Outlet, mut commit: Commit) {
    while !outlet.stop.load(Ordering::Acquire) {
        match outlet.commits.send_timeout(commit, LOOK_EVERY) {
            Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return,
            Err(SendTimeoutError::Timeout(back)) => commit = back,
        }
    }
}
