//! Pace: what is only read waits while what is acted on is on its way.
//!
//! Key: none; data stay with their worker. Time: data are handed on in their order, a little at each activation, while no
//! decision of a tick that has come is still on its way, and at once where more ticks than [`TICKS_MAX`] wait: behind the
//! log's end nothing is held up. State: those ticks.

use std::collections::VecDeque;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::records::Stream;

/// Ticks that may wait: one whose features take longer than a tick does not hold up the decisions of the next.
const TICKS_MAX: usize = 4;

/// Hands on up to `at_once` at each activation, oldest first, once `left` has passed the newest tick that waits.
pub(crate) fn pace<'s, D: Clone + 'static, L: Clone + 'static>(
    stream: Stream<'s, D>,
    left: Stream<'s, L>,
    at_once: usize,
) -> Stream<'s, D> {
    let scope = stream.scope();
    stream.binary_frontier(left, Pipeline, Pipeline, "pace", move |_, info| {
        let activator = scope.activator_for(info.address);
        let mut waiting = VecDeque::new();
        move |(input, _),
              (left, left_frontier),
              output: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<D>>>| {
            input.for_each(|capability, data| {
                let Some(capability) = capability.retain_least(0) else { return };
                if waiting.back().is_none_or(|(newest, _)| *newest != capability) {
                    waiting.push_back((capability, VecDeque::new()));
                }
                waiting.back_mut().expect("one was added").1.extend(data.drain(..));
            });
            left.for_each(|_, data| data.clear());
            while waiting.len() > TICKS_MAX {
                let (capability, data) = waiting.pop_front().expect("ticks wait");
                output.session(&capability).give_iterator(data.into_iter());
            }
            if waiting.back().is_none_or(|(newest, _)| left_frontier.less_equal(newest.time())) {
                return;
            }
            let (capability, data) = waiting.front_mut().expect("ticks wait");
            output.session(capability).give_iterator(data.drain(..at_once.min(data.len())));
            if data.is_empty() {
                waiting.pop_front();
            }
            if !waiting.is_empty() {
                activator.activate();
            }
        }
    })
}
