//! Pace: what is only read waits until what is acted on has left.
//!
//! Key: none; data stay with their worker. Time: a tick's data are handed on, a little at each activation, once the
//! decisions of that tick have left, and at once when a newer tick has come: behind the log's end nothing is held up.
//! State: two ticks at most.

use std::collections::VecDeque;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use crate::records::Stream;

/// Hands on up to `at_once` at each activation, after `left` has passed their tick.
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
            while waiting.len() > 1 {
                let (capability, data) = waiting.pop_front().expect("more than one waits");
                output.session(&capability).give_iterator(data.into_iter());
            }
            if let Some((capability, data)) = waiting.front_mut().filter(|(of, _)| !left_frontier.less_equal(of.time()))
            {
                output.session(capability).give_iterator(data.drain(..at_once.min(data.len())));
                if data.is_empty() {
                    waiting.clear();
                } else {
                    activator.activate();
                }
            }
        }
    })
}
