//! Forecast: demand of each resource, what is needed now, and quantiles of its peak over the horizon.
//!
//! What is forecast is *work* (cores that the load takes, bytes of working set), not demand: from one to the other leads
//! a rising map that is learnt on the way, so a peak's or a quantile's demand is the demand of that peak or quantile, and
//! a lesson about the map holds at once instead of looking like a turn of the load.
//!
//! Key: workload. Time: work is learnt every tick; the experts take one step in `step` (the peak of work within it)
//! and forecast at its end. Steps begin at a phase of the workload's own, so that a step's work is spread over its ticks.
//! The horizon is the actuation delay that outcomes have shown, plus the dwell. State: an ensemble a resource, see
//! `models/forecast`, the floor's window and the trend's. Missing steps are missing, never zero.
//!
//! Decisions come first: the signals of a tick rest on what was forecast up to the tick before it. Whose step has closed with
//! the tick looks ahead afterwards, once the tick's decisions have left, and before the next tick at the latest. The global
//! model answers many of them at once: they ask, it answers, they look ahead. Its answer to one does not depend on who else
//! asks, so neither batches nor workers change an output.

mod alarm;
mod outlook;
mod probing;
mod series;
mod serving;
mod trend;
mod trial;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use scaling::Signals;
use schemas::{Anomaly, ForecastRecord, Learning, ShadowTrust, Workload, WorkloadId};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::OutputBuilderSession;

use self::outlook::{Outlook, Seen};
use self::serving::Serving;
use crate::EngineSettings;
use crate::alert::Alert;
use crate::models::Swap;
use crate::records::{Pairs, Stream};
use crate::slots::{BySlot, Slots};
use crate::snapshot::Cutter;
use crate::stash::Stash;

/// Workloads that ask together: bounds what questions take, 2 kB each of two resources, to half a megabyte, and how long
/// anything more urgent waits for the answers, to some ten milliseconds.
const ASK_AT_ONCE: usize = 128;

/// Between two lines about shadows that are not believed, in milliseconds of event time.
const TELL_EVERY_MS: u64 = 10_000;

/// Why a workload that is owed an outlook has one.
const OWED: &str = "its step has closed";

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

/// Learns every pair's demand; settles what is done about anomalies, its own among them; swaps change who answers.
pub(crate) fn forecast<'s>(
    pairs: Stream<'s, Rc<Pairs>>,
    news: Stream<'s, News>,
    outlooks: Rc<RefCell<Outlooks>>,
    mut cutter: Cutter,
) -> Stream<'s, Ahead> {
    pairs.binary_frontier(news, Pipeline, Pipeline, "forecast", move |_, _| {
        let (mut pairs, mut waiting) = (Stash::new(), Stash::new());
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
            let outlooks = &mut *outlooks.borrow_mut();
            let frontiers = [frontier, news_frontier];
            while let Some((capability, closed)) = pairs.pop_closed(&frontiers) {
                let tick = *capability.time();
                if let Some(at) = cutter.due(tick) {
                    outlooks.cut(at, &mut waiting, &cutter);
                }
                outlooks.look_ahead(usize::MAX);
                outlooks.begin(&closed);
                outlooks.hear(tick, &mut waiting);
                let mut session = output.session(&capability);
                session.give_iterator(outlooks.settled.drain(..).map(Ahead::Alert));
                for pairs in &closed {
                    outlooks.observe(tick, pairs, |ahead| session.give(ahead));
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

/// Looks ahead where a step has closed, a little at each activation, once the tick's decisions have left.
pub(crate) fn look_ahead<L: Clone + 'static>(left: Stream<'_, L>, outlooks: Rc<RefCell<Outlooks>>) {
    let scope = left.scope();
    left.unary_frontier(Pipeline, "look ahead", move |_, info| {
        let activator = scope.activator_for(info.address);
        move |(left, frontier), _: &mut OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<()>>>| {
            left.for_each(|_, data| data.clear());
            let mut outlooks = outlooks.borrow_mut();
            if outlooks.owed.is_empty() || frontier.less_equal(&outlooks.owed_since) {
                return;
            }
            outlooks.look_ahead(ASK_AT_ONCE);
            if !outlooks.owed.is_empty() {
                activator.activate();
            }
        }
    });
}

/// What is known of every registered workload's demand.
pub(crate) struct Outlooks {
    of: BySlot<Outlook>,
    slots: Rc<Slots>,
    serving: Serving,
    /// Alerts of the detectors, settled, until they are given; those of one tick.
    #[expect(clippy::vec_box, reason = "they go on in their boxes")]
    settled: Vec<Box<Anomaly>>,
    /// Whose step has closed and who have not looked ahead since, and the tick it closed with.
    owed: VecDeque<(usize, Arc<Workload>)>,
    owed_since: u64,
    distrust: Distrust,
    settings: EngineSettings,
}

/// Shadows that have turned out to be something else, until it is told.
#[derive(Default)]
struct Distrust {
    count: u64,
    newest: Option<(WorkloadId, ShadowTrust)>,
    told: u64,
}

impl Outlooks {
    /// What a snapshot held, or nothing yet.
    pub(crate) fn new(slots: &Rc<Slots>, settings: &EngineSettings, cutter: &Cutter) -> Self {
        Self {
            of: BySlot::restored(slots, cutter),
            slots: Rc::clone(slots),
            serving: Serving::new(settings.lstm),
            settled: Vec::new(),
            owed: VecDeque::new(),
            owed_since: 0,
            distrust: Distrust::default(),
            settings: settings.clone(),
        }
    }

    /// Hands out what is known before a tick.
    fn cut(&mut self, at: u64, waiting: &mut Stash<News>, cutter: &Cutter) {
        self.look_ahead(usize::MAX);
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
                News::Swap(swap) => {
                    // What is owed is from before the swap.
                    self.look_ahead(usize::MAX);
                    self.serving.swap(swap);
                }
            }
        }
    }

    /// Nothing is done about a workload of which nothing is known.
    fn settle(&mut self, alert: Alert) {
        let remedies = self.of.of(alert.slot).as_mut().map(|outlook| &mut outlook.remedies);
        self.settled.push(alarm::settled(alert, remedies, &self.settings));
    }

    /// Makes room for who is new: nobody is owed an outlook, and nothing of the tick was heard.
    fn begin(&mut self, closed: &[Rc<Pairs>]) {
        for pair in closed.iter().flat_map(|pairs| &pairs.pairs).filter(|pair| pair.is_new) {
            self.of.of_pair(pair);
        }
    }

    /// Learns a tick of some pairs and says what is known of them.
    fn observe(&mut self, tick: u64, pairs: &Pairs, mut give: impl FnMut(Ahead)) {
        let Self { of, settings, owed, distrust, .. } = self;
        self.owed_since = tick;
        for pair in &pairs.pairs {
            let Some(record) = &pair.record else { continue };
            let outlook = of.of(pair.slot).get_or_insert_with(|| Outlook::new(record, settings));
            let Seen { closed, distrusted } = outlook.observe(tick, (pairs, pair, record), settings, &mut give);
            if closed {
                owed.push_back((pair.slot, Arc::clone(record)));
            }
            if let Some(trust) = distrusted {
                distrust.count += 1;
                distrust.newest = Some((record.workload.clone(), trust));
            }
        }
        distrust.tell(tick);
    }

    /// Looks ahead for at most so many of those whose step has closed.
    fn look_ahead(&mut self, most: usize) {
        let Self { of, serving, settings, owed, .. } = self;
        let mut left = most.min(owed.len());
        while left > 0 {
            let some: Vec<_> = owed.drain(..left.min(ASK_AT_ONCE)).collect();
            left -= some.len();
            let mut questions = serving.questions(settings.step.millis());
            let ask = |(slot, record): &(usize, Arc<Workload>)| {
                let questions = questions.as_mut().filter(|_| record.learning == Learning::Shared);
                of.of(*slot).as_mut().expect(OWED).ask(questions)
            };
            let asked: Vec<_> = some.iter().map(ask).collect();
            let mut answers = serving.answer(questions);
            for ((slot, record), asked) in some.into_iter().zip(asked) {
                of.of(slot).as_mut().expect(OWED).look_ahead(&record, asked, &mut answers);
            }
        }
    }
}

impl Distrust {
    /// Says how many there were since it was last said, and of one of them what it is.
    fn tell(&mut self, tick: u64) {
        if tick < self.told + TELL_EVERY_MS {
            return;
        }
        if let Some((workload, trust)) = self.newest.take() {
            tracing::warn!(shadows = self.count, %workload, "shadows are not believed; of the newest: {trust}");
            (self.count, self.told) = (0, tick);
        }
    }
}

#[cfg(test)]
mod tests;
