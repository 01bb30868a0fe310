//! A cell: several processes as one cluster of workers, over sockets that are given to it.
//!
//! The first process alone reads, publishes and keeps snapshots. Before the dataflow is built it hands settings and state
//! out to the workers of the others, and what those cut comes back to it, so they need no log, no disk and no settings.
//! A process that loses another panics; its cell has to end as a whole and begin again.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use serde::{Deserialize, Serialize};
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{AllocatorBuilder, Hooks};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::{OutputBuilderSession, source};
use timely::dataflow::operators::probe::{Handle as Probe, Probe as _};
use timely::worker::Worker;

use crate::EngineSettings;
use crate::snapshot::{Cut, Piece, Snapshots};

/// How soon a worker looks again for what its stages have cut.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A process's place in its cell.
#[derive(Debug)]
pub struct Cell {
    /// Its number, from zero.
    pub process: usize,
    /// A connection to each process, in the order of their numbers; none to itself.
    pub sockets: Vec<Option<TcpStream>>,
}

/// What timely makes workers of.
type Builders = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

impl Cell {
    /// Puts the sockets to use for so many workers a process.
    pub(crate) fn builders(self, workers: usize) -> Result<Builders, String> {
        let hooks = Hooks::default();
        let own = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
        let (builders, guard) = initialize_networking_from_sockets(own, self.sockets, self.process, workers, hooks)
            .map_err(|error| error.to_string())?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
    }
}

/// What a worker of another process begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) settings: EngineSettings,
    pub(crate) restored_at: u64,
    pub(crate) told_before: u64,
    /// Whether anybody keeps snapshots.
    pub(crate) kept: bool,
    pub(crate) pieces: Vec<Piece>,
}

impl Given {
    /// What the first process gives to another one's worker: the pieces of its ranges.
    pub(crate) fn to(worker: usize, workers: usize, settings: &EngineSettings, snapshots: &Snapshots) -> Self {
        let restore = snapshots.restore.borrow();
        let own = |piece: &Piece| piece.range as usize % workers == worker;
        Self {
            settings: settings.clone(),
            restored_at: snapshots.restored_at,
            told_before: snapshots.told_before,
            kept: snapshots.out.is_some(),
            pieces: restore.iter().flat_map(|restore| restore.pieces()).filter(own).collect(),
        }
    }
}

/// Hands out what the first worker has, each its own; what this worker was given.
pub(crate) fn hand_out(worker: &mut Worker, giving: Vec<(u64, Given)>) -> Option<Given> {
    let given = Rc::new(RefCell::new(None));
    let taken = Rc::clone(&given);
    let probe = Probe::new();
    worker.dataflow::<u64, _, _>(|scope| {
        source(scope, "given", move |capability, _| {
            let mut held = Some((capability, giving));
            move |output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<(u64, Given)>>>| {
                if let Some((capability, giving)) = held.take() {
                    output.session(&capability).give_iterator(giving.into_iter());
                }
            }
        })
        .unary(Exchange::new(|(to, _): &(u64, Given)| *to), "taken", move |_, _| {
            move |input, output| {
                input.for_each(|capability, data| {
                    data.drain(..).for_each(|(_, own)| *taken.borrow_mut() = Some(own));
                    output.session(&capability).give_iterator(std::iter::empty::<()>());
                });
            }
        })
        .container::<Vec<()>>()
        .probe_with(&probe);
    });
    while !probe.done() {
        worker.step_or_park(Some(LOOK_AGAIN));
    }
    given.take()
}

/// What a worker has cut: who, its number among the worker's cuts, and the cut.
type Numbered = (u64, u64, Cut);

/// Brings what the workers of other processes cut to the first worker, which hands it on. `cuts` is where a worker's own lie;
/// none in the first process, whose workers hand them on by themselves.
pub(crate) fn bring_cuts(worker: &mut Worker, cuts: Option<Receiver<Cut>>, snapshots: &Rc<Snapshots>) {
    let index = worker.index() as u64;
    let (stop, keeper) = (Rc::clone(snapshots), Rc::clone(snapshots));
    let mut arrived = Arrived::default();
    worker.dataflow::<u64, _, _>(|scope| {
        source(scope, "cuts", move |capability, info| {
            let activator = scope.activator_for(info.address);
            let mut held = cuts.map(|cuts| (capability, cuts));
            let mut number = 0;
            move |output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Numbered>>>| {
                let Some((capability, cuts)) = &held else { return };
                let ended = stop.stopped();
                let mut session = output.session(capability);
                for cut in cuts.try_iter() {
                    session.give((index, number, cut));
                    number += 1;
                }
                drop(session);
                if ended {
                    held = None;
                } else {
                    activator.activate_after(LOOK_AGAIN);
                }
            }
        })
        .sink(Exchange::new(|_: &Numbered| 0), "brought", move |(input, _)| {
            input.for_each(|_, data| arrived.take_in(data.drain(..)));
            arrived.hand_on(&keeper);
        });
    });
}

/// Cuts of other processes, until those before them have come: the network keeps no order between messages.
#[derive(Default)]
struct Arrived(BTreeMap<u64, (u64, BTreeMap<u64, Cut>)>);

impl Arrived {
    fn take_in(&mut self, cuts: impl Iterator<Item = Numbered>) {
        for (from, number, cut) in cuts {
            self.0.entry(from).or_default().1.insert(number, cut);
        }
    }

    /// Hands on what is next of each worker.
    fn hand_on(&mut self, snapshots: &Snapshots) {
        for (next, waiting) in self.0.values_mut() {
            while let Some(cut) = waiting.remove(next) {
                snapshots.send(cut);
                *next += 1;
            }
        }
    }
}
