//! Egress: everything that leaves a closed tick, in canonical order, in one piece.
//!
//! Key: none; one worker gathers all, so that one publisher writes them. Time: a commit covers the ticks that have
//! closed since the last one. State: the records of open ticks. Cost: a sort a commit. The channel to the publisher is
//! bounded: while it is full the worker waits, and with it the whole dataflow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use schemas::{EventTime, Noun};
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::core::Map;
use timely::dataflow::operators::probe::{Handle as Probe, Probe as _};
use timely::progress::frontier::MutableAntichain;

use crate::records::Stream;
use crate::stash::Stash;
use crate::{Commit, OutputRecord};

/// How often a blocked egress looks whether it should stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where commits go.
#[derive(Clone)]
pub(crate) struct Outlet {
    pub(crate) commits: Sender<Commit>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// A noun's records as output records.
pub(crate) fn outputs<'s, N: Noun + Clone + 'static>(records: Stream<'s, N>, tick_ms: u64) -> Stream<'s, OutputRecord> {
    records.map(move |record| OutputRecord {
        tick: record.time().tick(tick_ms).millis(),
        noun: N::TOPIC.noun().to_owned(),
        key: record.key().to_owned(),
        value: record.to_json(),
        headers: record.headers().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    })
}

/// Hands closed ticks to the publisher, from worker 0.
pub(crate) fn egress(records: Stream<'_, OutputRecord>, outlet: Outlet, probe: &Probe<u64>) {
    let first = records.scope().worker().index() == 0;
    records
        .unary_frontier(Exchange::new(|_: &OutputRecord| 0), "egress", move |_, _| {
            let mut stash = Stash::new();
            let mut published = 0;
            move |(input, frontier), output| {
                input.for_each(|capability, data| {
                    if let Some(capability) = capability.retain_least(0) {
                        stash.keep(capability, data.drain(..));
                    }
                });
                let mut records = Vec::new();
                while let Some((capability, mut closed)) = stash.pop_closed(&[frontier]) {
                    // Invariant: the order within a tick is a function of its records alone, and ticks come in order,
                    // so it does not matter where one commit ends and the next begins.
                    closed.sort();
                    records.extend(closed);
                    // Nothing is sent on; the session only names the stream's type.
                    output.session(&capability).give_iterator(std::iter::empty::<()>());
                }
                let reached = reached(frontier);
                if first && reached > published {
                    published = reached;
                    send(&outlet, reached, records);
                }
            }
        })
        .container::<Vec<()>>()
        .probe_with(probe);
}

fn reached(frontier: &MutableAntichain<u64>) -> u64 {
    frontier.frontier().first().copied().unwrap_or(EventTime::MAX.millis())
}

fn send(outlet: &Outlet, frontier: u64, records: Vec<OutputRecord>) {
    let mut commit = Commit { frontier: EventTime::from_millis(frontier), records };
    while !outlet.stop.load(Ordering::Acquire) {
        match outlet.commits.send_timeout(commit, LOOK_EVERY) {
            Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return,
            Err(SendTimeoutError::Timeout(back)) => commit = back,
        }
    }
}
