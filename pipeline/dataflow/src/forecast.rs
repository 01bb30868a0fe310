//! Forecast: demand of each resource, what is needed now, and quantiles of its peak over the horizon.
//!
//! What is forecast is *work* (cores that the load takes, bytes of working set), not demand: from one to the other leads
//! a rising map that is learnt on the way, so a peak's or a quantile's demand is the demand of that peak or quantile, and
//! a lesson about the map holds at once instead of looking like a turn of the load.
//!
//! Key: workload. Time: work is learnt every tick; the experts take one step in `step` (the peak of work within it)
//! and forecast at its end. Steps begin at a phase of the workload's own, so that a step's work is spread over its ticks.
//! The horizon is the actuation delay that outcomes have shown, plus the dwell. State: an ensemble a resource, see
//! `models/forecast`, and the floor's window. Missing steps are missing, never zero.
//!
//! The global model answers many series at once: a tick's workloads learn, those at the end of a step ask, it answers, and
//! all of them look ahead. Its answer to one does not depend on who else asks, so neither batches nor workers change an output.

mod alarm;
mod outlook;
mod series;
mod serving;
mod trial;

use std::rc::Rc;
use std::sync::Arc;

use scaling::Signals;
use schemas::{Anomaly, ForecastRecord, Workload};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use self::outlook::Outlook;
use self::serving::Serving;
use crate::EngineSettings;
use crate::alert::Alert;
use crate::models::Swap;
use crate::records::{Pair, Pairs, Stream};
use crate::slots::{BySlot, Slots};
use crate::snapshot::Cutter;
use crate::stash::Stash;

/// Workloads that ask together: bounds what questions take, 2 kB each of two resources, to 2 MB.
const ASK_AT_ONCE: usize = 512;

/// What the stage gives for each pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ahead {
    Forecast(Box<ForecastRecord>),
    Signals(Box<Signals>),
    Alert(Box<Anomaly>),
}

/// What the stage hears of beside the pairs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum News {
    Alert(Alert),
    Swap(Swap),
}

type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Ahead>>>;

/// Learns every pair's demand and looks ahead; settles what is done about anomalies, its own among them; swaps change who
/// answers.
pub(crate) fn forecast<'s>(
    pairs: Stream<'s, Rc<Pairs>>,
    news: Stream<'s, News>,
    settings: &EngineSettings,
    (slots, mut cutter): (Rc<Slots>, Cutter),
) -> Stream<'s, Ahead> {
    let settings = settings.clone();
    pairs.binary_frontier(news, Pipeline, Pipeline, "forecast", move |_, _| {
        let (mut pairs, mut waiting) = (Stash::new(), Stash::new());
        let serving = Serving::new(settings.lstm);
        let of = BySlot::restored(&slots, &cutter);
        let mut outlooks = Outlooks { of, slots, serving, settled: Vec::new(), settings };
        move |(input, frontier), (news, news_frontier), output: &mut Output<'_>| {
            input.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    pairs.keep(capability, data.drain(..));
                }
            });
            news.for_each(|capability, data| {
                if let Some(capability) = capability.retain_least(0) {
                    waiting.keep(capability, data.drain(..));
                }
            });
            let frontiers = [frontier, news_frontier];
            while let Some((capability, closed)) = pairs.pop_closed(&frontiers) {
                let tick = *capability.time();
                if let Some(at) = cutter.due(tick) {
                    outlooks.cut(at, &mut waiting, &cutter);
                }
                outlooks.hear(tick, &mut waiting);
                let mut session = output.session(&capability);
                session.give_iterator(outlooks.settled.drain(..).map(Ahead::Alert));
                for pairs in &closed {
                    outlooks.look_ahead(tick, pairs, |ahead| session.give(ahead));
                }
            }
            if let Some(at) = cutter.due_by(&frontiers) {
                outlooks.cut(at, &mut waiting, &cutter);
            }
            // No pair can come before these any more: to keep them would hold the frontier back.
            while let Some((capability, closed)) = waiting.pop_closed(&frontiers) {
                outlooks.take_in(closed);
                output.session(&capability).give_iterator(outlooks.settled.drain(..).map(Ahead::Alert));
            }
        }
    })
}

/// What is known of every registered workload's demand.
struct Outlooks {
    of: BySlot<Outlook>,
    slots: Rc<Slots>,
    serving: Serving,
    /// Alerts of the detectors, settled, until they are given; those of one tick.
    #[expect(clippy::vec_box, reason = "they go on in their boxes")]
    settled: Vec<Box<Anomaly>>,
    settings: EngineSettings,
}

impl Outlooks {
    /// Hands out what is known before a tick.
    fn cut(&mut self, at: u64, waiting: &mut Stash<News>, cutter: &Cutter) {
        self.hear(at - 1, waiting);
        cutter.cut(at, |pieces| self.of.cut(&self.slots, pieces));
    }

    /// Takes in the news up to a tick.
    fn hear(&mut self, tick: u64, waiting: &mut Stash<News>) {
        while let Some((_, news)) = waiting.pop_until(tick) {
            self.take_in(news);
        }
    }

    fn take_in(&mut self, news: Vec<News>) {
        for news in news {
            match news {
                News::Alert(alert) => self.settle(alert),
                News::Swap(swap) => self.serving.swap(swap),
            }
        }
    }

    /// Nothing is done about a workload of which nothing is known.
    fn settle(&mut self, alert: Alert) {
        let outlook = self.slots.find(&alert.anomaly.workload).and_then(|slot| self.of.of(slot).as_mut());
        let remedies = outlook.map(|outlook| &mut outlook.remedies);
        self.settled.push(alarm::settled(alert, remedies, &self.settings));
    }

    /// Learns a tick of some pairs, lets the global model answer those at the end of a step, and looks ahead for all.
    fn look_ahead(&mut self, tick: u64, pairs: &Pairs, mut give: impl FnMut(Ahead)) {
        let Self { of, serving, settings, .. } = self;
        for some in pairs.pairs.chunks(ASK_AT_ONCE) {
            let mut questions = serving.questions(settings.step.millis());
            let registered = || some.iter().filter_map(|pair| Some((pair, pair.record.as_ref()?)));
            let learn = |(pair, record): (&Pair, &Arc<Workload>)| {
                let outlook = of.of(pair.slot).get_or_insert_with(|| Outlook::new(record, settings));
                outlook.learn(tick, (pairs, pair, record), questions.as_mut(), settings)
            };
            let learnt: Vec<_> = registered().map(learn).collect();
            let mut answers = serving.answer(questions);
            for ((pair, record), learnt) in registered().zip(&learnt) {
                let outlook = of.of(pair.slot).as_mut().expect("it has learnt above");
                outlook.look_ahead(tick, (pairs, pair, record), (learnt, &mut answers), settings, &mut give);
            }
        }
    }
}

#[cfg(test)]
mod tests;
