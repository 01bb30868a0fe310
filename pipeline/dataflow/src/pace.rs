//! Pace: what is only read waits while what is acted on is on its way.
//!
//! Key: none; data stay with their worker. Time: data are handed on in their order, a little at each activation, while no
//! decision of a tick that has come is still on its way, and at once where more waits than [`Room`] has: then nothing is
//! held up behind the log's end for good, and a restart decides before it describes. State: what waits.

use std::collections::VecDeque;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::records::Stream;

/// Bytes that may wait in a worker: 20 ticks of 10 000 workloads, each with a primary and a shadow that are read at 1 Hz.
const BYTES_MAX: usize = 256 << 20;

/// What may wait, and how it goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<D> {
    /// Ticks that may wait.
    pub(crate) ticks: usize,
    /// What one datum takes.
    pub(crate) bytes_of: fn(&D) -> usize,
    /// How many are handed on between two looks for anything more urgent.
    pub(crate) at_once: usize,
}

/// Hands on `room.at_once` at each activation, oldest first, once `left` has passed the newest tick that waits.
pub(crate) fn pace<'s, D: Clone + 'static, L: Clone + 'static>(
    stream: Stream<'s, D>,
    left: Stream<'s, L>,
    room: Room<D>,
) -> Stream<'s, D> {
    let scope = stream.scope();
    stream.binary_frontier(left, Pipeline, Pipeline, "pace", move |_, info| {
        let activator = scope.activator_for(info.address);
        let (mut waiting, mut bytes) = (VecDeque::new(), 0);
        move |(input, _),
              (left, left_frontier),
              output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<D>>>| {
            input.for_each(|capability, data| {
                let Some(capability) = capability.retain_least(0) else { return };
                if waiting.back().is_none_or(|(newest, _)| *newest != capability) {
                    waiting.push_back((capability, VecDeque::new()));
                }
                bytes += data.iter().map(room.bytes_of).sum::<usize>();
                waiting.back_mut().expect("one was added").1.extend(data.drain(..));
            });
            left.for_each(|_, data| data.clear());
            while waiting.len() > room.ticks || bytes > BYTES_MAX && waiting.len() > 1 {
                let (capability, data) = waiting.pop_front().expect("ticks wait");
                bytes -= data.iter().map(room.bytes_of).sum::<usize>();
                output.session(&capability).give_iterator(data.into_iter());
            }
            if waiting.back().is_none_or(|(newest, _)| left_frontier.less_equal(newest.time())) {
                return;
            }
            let (capability, data) = waiting.front_mut().expect("ticks wait");
            let some = data.drain(..room.at_once.min(data.len()));
            output.session(capability).give_iterator(some.inspect(|datum| bytes -= (room.bytes_of)(datum)));
            if data.is_empty() {
                waiting.pop_front();
            }
            if !waiting.is_empty() {
                activator.activate();
            }
        }
    })
}
