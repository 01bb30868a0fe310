//! Ingest: deliveries into samples, changes of the control plane, and errors, each at its event time.
//!
//! Key: none; a partition is read by one worker. Time: a sample is sent at its own tick; the capability follows the
//! least watermark of all partitions. State: how far each partition has come, see [`Reach`]. Late, too early and
//! impossible samples become dead letters, never silence. Cost: one decode a message; the deliveries of one activation become one block of
//! columns, of which each tick and worker gets its rows. The source stops taking deliveries while too many ticks are open,
//! which fills the bounded channel and so holds back whoever feeds it.

mod change;
mod fault;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use schemas::samples::Builder;
use schemas::{EventTime, RejectReason, Topic};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::{OutputBuilderSession, source};
use timely::dataflow::operators::probe::Handle as Probe;

use self::change::change;
use self::fault::Fault;
use crate::keys::{RANGES, range};
use crate::reach::Reach;
use crate::records::{ControlNoun, Intake, Rows, Stream};
use crate::snapshot::{Cutter, Pieces, Resume};
use crate::watermarks::Watermarks;
use crate::{Delivery, EngineSettings, Receipt};

/// What a worker's feed carries.
pub(crate) enum Feed {
    /// A record of a partition that the worker owns.
    Delivery(Delivery),
    /// A partition of the samples has nothing more for now: it no longer holds the frontier back, or only at a tick where a
    /// run before this one had come when it spoke again.
    Idle(i32, Option<EventTime>),
}

/// What a source needs besides the scope.
pub(crate) struct Intakes {
    /// None where the worker reads nothing: in a cell the first process reads for all.
    pub(crate) feed: Option<Receiver<Feed>>,
    /// How many workers read.
    pub(crate) readers: usize,
    pub(crate) watermarks: Arc<Watermarks>,
    pub(crate) probe: Probe<u64>,
    /// How soon the source looks for deliveries again.
    pub(crate) look_again: Duration,
    /// How long a partition may bring nothing but dead letters, by the log's times, before it rests.
    pub(crate) mute_ms: Option<u64>,
}

/// Deliveries that one activation takes: bounds how long a worker is away from its other operators. Messages of one sample
/// each are still many enough for the round of progress that follows them.
const DELIVERIES_PER_ACTIVATION: usize = 1024;

/// Rows after which an activation takes no further delivery: bounds a block's memory.
const ROWS_PER_ACTIVATION: usize = 1 << 17;

type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Intake>>>;

/// Reads a worker's deliveries.
pub(crate) fn ingest<'s>(
    scope: Scope<'s, u64>,
    intakes: Intakes,
    settings: &EngineSettings,
    mut cutter: Cutter,
) -> Stream<'s, Intake> {
    let settings = settings.clone();
    let (worker, workers) = (scope.worker().index(), scope.worker().peers() as u64);
    source(scope, "ingest", move |mut capability, info| {
        let activator = scope.activator_for(info.address);
        capability.downgrade(&cutter.restored_at());
        let mut reader = Reader {
            settings,
            workers,
            readers: intakes.readers as u64,
            folded_before: cutter.restored_at(),
            mute_ms: intakes.mute_ms,
            reaches: BTreeMap::new(),
            watermarks: Arc::clone(&intakes.watermarks),
            block: Builder::default(),
            rows: BTreeMap::new(),
        };
        if intakes.feed.is_some() {
            reader.resume(cutter.restored_of_all(), |partition| owner(partition, intakes.readers) == worker);
        }
        let mut held = intakes.feed.map(|feed| (capability, feed));
        move |output: &mut Output<'_>| {
            let Some((capability, feed)) = held.as_mut() else { return };
            let drained = reader.drain(feed, &intakes.probe, capability, output);
            reader.send_block(capability, output);
            reader.send_receipts(capability, output);
            if let Some(frontier) = reader.watermarks.frontier()
                && frontier > *capability.time()
            {
                capability.downgrade(&frontier);
                match cutter.due(frontier) {
                    Some(at) => cutter.cut(at, |pieces| reader.cut(at, pieces)),
                    None if !cutter.keeps() => reader.reaches.values_mut().for_each(|reach| reach.forget(frontier)),
                    None => {}
                }
            }
            match drained {
                Drained::Ended => held = None,
                Drained::More => activator.activate(),
                Drained::Waiting => activator.activate_after(intakes.look_again),
            }
        }
    })
}

/// The worker that reads a partition of the samples; the control plane is read by worker 0: it is small, and every worker's
/// frontier waits for it alike.
pub(crate) fn owner(partition: i32, workers: usize) -> usize {
    index(partition) % workers
}

/// What an activation has left in the feed.
enum Drained {
    /// Perhaps deliveries.
    More,
    /// None that may be taken now.
    Waiting,
    /// None, and none will come.
    Ended,
}

struct Reader {
    settings: EngineSettings,
    workers: u64,
    /// How many of them are in this process.
    readers: u64,
    /// Ticks before it are in the snapshot that was restored.
    folded_before: u64,
    mute_ms: Option<u64>,
    /// By topic and partition.
    reaches: BTreeMap<(Topic, i32), Reach>,
    watermarks: Arc<Watermarks>,
    /// The samples of this activation, and which of their rows belong to each tick.
    block: Builder,
    rows: BTreeMap<u64, Vec<u32>>,
}

impl Reader {
    /// Takes up where a snapshot had come; partitions of the samples that another worker owns are left to it.
    fn resume(&mut self, resumes: Vec<Resume>, own: impl Fn(i32) -> bool) {
        for resume in resumes {
            let Some(topic) = Topic::of_noun(&resume.noun) else { continue };
            if topic == Topic::Samples {
                if !own(resume.partition) {
                    continue;
                }
            } else if !own(0) {
                continue;
            }
            let partition = resume.partition;
            let reach = Reach::from(resume);
            if topic == Topic::Samples {
                // What is idle holds the frontier where it is until the reader says how long.
                let watermark = if reach.idle() { self.folded_before } else { self.watermark(&reach) };
                self.watermarks.set(index(partition), Some(watermark));
            }
            self.reaches.insert((topic, partition), reach);
        }
    }

    /// Hands out where each partition is to be read from when everything before `at` is known.
    fn cut(&mut self, at: u64, pieces: &mut Pieces) {
        for ((topic, partition), reach) in &mut self.reaches {
            pieces.add(index(*partition) as u64 % RANGES, &reach.resume(at, *topic, *partition));
        }
    }

    /// Takes a bounded number of deliveries.
    fn drain(
        &mut self,
        feed: &Receiver<Feed>,
        probe: &Probe<u64>,
        capability: &Capability<u64>,
        output: &mut Output<'_>,
    ) -> Drained {
        for _ in 0..DELIVERIES_PER_ACTIVATION {
            if self.too_far_ahead(probe) {
                return Drained::Waiting;
            }
            if self.block.len() >= ROWS_PER_ACTIVATION {
                return Drained::More;
            }
            match feed.try_recv() {
                Ok(Feed::Delivery(delivery)) => self.read(delivery, capability, output),
                Ok(Feed::Idle(partition, until)) => {
                    self.reaches.entry((Topic::Samples, partition)).or_default().rest(until);
                    self.watermarks.set(index(partition), until.map(EventTime::millis));
                }
                Err(crossbeam_channel::TryRecvError::Empty) => return Drained::Waiting,
                Err(crossbeam_channel::TryRecvError::Disconnected) => {
                    // The partitions of an ended feed must not hold back those of the others.
                    let samples = self.reaches.keys().filter(|(topic, _)| *topic == Topic::Samples);
                    samples.for_each(|(_, partition)| self.watermarks.set(index(*partition), None));
                    return Drained::Ended;
                }
            }
        }
        Drained::More
    }

    /// Whether the egress lags behind the frontier by more ticks than may be open.
    fn too_far_ahead(&self, probe: &Probe<u64>) -> bool {
        let lag = self.settings.ticks_in_flight_max * self.settings.tick.millis();
        let Some(frontier) = self.watermarks.frontier() else { return false };
        probe.less_than(&frontier.saturating_sub(lag))
    }

    fn read(&mut self, delivery: Delivery, capability: &Capability<u64>, output: &mut Output<'_>) {
        // Out of the map while the delivery is read: its rows ask for it one by one.
        let place = (delivery.topic, delivery.partition);
        let mut reach = self.reaches.remove(&place).unwrap_or_default();
        reach.begin(&delivery);
        let noun = match delivery.topic {
            Topic::Workloads => Some(ControlNoun::Workloads),
            Topic::Pools => Some(ControlNoun::Pools),
            Topic::Outcomes => Some(ControlNoun::Outcomes),
            Topic::Models => Some(ControlNoun::Models),
            _ => None,
        };
        match noun {
            Some(noun) => self.read_change(&delivery, &mut reach, noun, capability, output),
            None if delivery.topic == Topic::Samples => self.read_samples(&delivery, &mut reach, capability, output),
            None => return tracing::error!(topic = delivery.topic.name(), "a delivery of a topic that is no input"),
        }
        self.reaches.insert(place, reach);
    }

    fn read_samples(
        &mut self,
        delivery: &Delivery,
        reach: &mut Reach,
        capability: &Capability<u64>,
        output: &mut Output<'_>,
    ) {
        let floor = Self::floor(delivery, capability).millis();
        if !delivery.settled {
            reach.wait_no_longer();
        }
        if reach.was_at_rest() || floor > self.watermark(reach) {
            say_late(delivery, floor, capability, output);
            reach.raise(floor);
        }
        let value = delivery.value.as_deref().unwrap_or_default();
        let (first, mut brings_samples) = (self.block.len(), false);
        match schemas::decode::append(delivery.content_type.as_deref(), value, delivery.time, &mut self.block) {
            Err(fault) => {
                let fault = Fault { row: None, reason: fault.reason, detail: fault.detail };
                self.refuse(delivery, reach, fault, capability, output);
            }
            Ok(read) => {
                for (place, row) in read.good().enumerate() {
                    match self.admit(first + place, delivery, reach, capability) {
                        Ok(()) => brings_samples = true,
                        Err((reason, detail)) => {
                            let fault = Fault { row: Some(row), reason, detail };
                            self.refuse(delivery, reach, fault, capability, output);
                        }
                    }
                }
                for (row, detail) in read.faults {
                    let fault = Fault { row: Some(row), reason: RejectReason::Reading, detail };
                    self.refuse(delivery, reach, fault, capability, output);
                }
            }
        }
        let is_mute = !brings_samples && self.mute_ms.is_some_and(|for_ms| reach.is_mute(for_ms));
        if let Some(until) = delivery.rest.until().filter(|_| is_mute) {
            reach.rest(until);
        }
        // While it is idle nothing but dead letters came: they must not hold the others back.
        let watermark = if reach.idle() { reach.until().map(EventTime::millis) } else { Some(self.watermark(reach)) };
        self.watermarks.set(index(delivery.partition), watermark);
    }

    /// The first tick that a delivery can count in, beside what its own partition says.
    fn floor(delivery: &Delivery, capability: &Capability<u64>) -> EventTime {
        let settled = delivery.counts_from.unwrap_or_default();
        if delivery.settled { settled } else { settled.max(EventTime::from_millis(*capability.time())) }
    }

    /// Says how far each partition was read in this activation.
    fn send_receipts(&mut self, capability: &Capability<u64>, output: &mut Output<'_>) {
        let mut session = output.session(capability);
        for ((topic, partition), reach) in &mut self.reaches {
            if let Some(offset) = reach.receipt() {
                session.give(receipt(*topic, *partition, offset, None));
            }
        }
    }

    /// Takes a row of the block into its tick, or says why its time cannot be used.
    fn admit(
        &mut self,
        row: usize,
        delivery: &Delivery,
        reach: &mut Reach,
        capability: &Capability<u64>,
    ) -> Result<(), (RejectReason, String)> {
        let time = EventTime::from_millis(self.block.time_ms(row));
        if time > delivery.time.plus(self.settings.future_max.millis()) {
            let detail = format!(
                "time {time} is more than {} ahead of the log's {}: set the producer's clock",
                self.settings.future_max, delivery.time
            );
            return Err((RejectReason::Future, detail));
        }
        if time.plus(self.settings.past_max.millis()) < delivery.time {
            let detail = format!(
                "time {time} is more than {} before the log's {}: milliseconds are expected",
                self.settings.past_max, delivery.time
            );
            return Err((RejectReason::Past, detail));
        }
        let tick = time.tick(self.settings.tick.millis()).millis();
        let closed = self.watermark(reach);
        // What is in the snapshot was taken in by the run that made it.
        let folded = tick < self.folded_before;
        if tick < closed || (tick < *capability.time() && !folded) {
            let detail = format!(
                "time {time} came after its tick was closed: raise `engine.lateness`, now {}",
                self.settings.lateness
            );
            return Err((RejectReason::Late, detail));
        }
        reach.mark(tick);
        if reach.sample(time.millis()) {
            self.watermarks.reach(tick + self.settings.tick.millis());
        }
        if !folded {
            self.rows.entry(tick).or_default().push(u32::try_from(row).expect("a block is bounded"));
        }
        Ok(())
    }

    /// Sends the samples of this activation, to each worker those of its workloads.
    fn send_block(&mut self, capability: &Capability<u64>, output: &mut Output<'_>) {
        if self.block.is_empty() {
            return;
        }
        let samples = Arc::new(self.block.take());
        let mut workers = Vec::new();
        if self.workers > 1 {
            let worker = |identity: &Arc<schemas::Identity>| range(identity.workload.as_str()) % self.workers;
            workers.extend(samples.identities().iter().map(worker));
        }
        for (tick, rows) in std::mem::take(&mut self.rows) {
            let capability = capability.delayed(&tick);
            let mut session = output.session(&capability);
            if self.workers == 1 {
                session.give(Intake::Samples(Rows { worker: 0, samples: Arc::clone(&samples), rows }));
                continue;
            }
            let mut parted = vec![Vec::new(); self.workers as usize];
            for row in rows {
                let who = samples.who()[row as usize];
                parted[workers[who as usize] as usize].push(row);
            }
            for (worker, rows) in (0..).zip(parted).filter(|(_, rows)| !rows.is_empty()) {
                session.give(Intake::Samples(if worker < self.readers {
                    Rows { worker, samples: Arc::clone(&samples), rows }
                } else {
                    // Another process gets its own rows only.
                    let own = samples.select(&rows);
                    Rows { worker, rows: (0..rows.len() as u32).collect(), samples: Arc::new(own) }
                }));
            }
        }
    }

    fn read_change(
        &self,
        delivery: &Delivery,
        reach: &mut Reach,
        noun: ControlNoun,
        capability: &Capability<u64>,
        output: &mut Output<'_>,
    ) {
        match change(delivery, noun) {
            Ok(change) => {
                let own = EventTime::from_millis(change.time).tick(self.settings.tick.millis());
                let settled = own.max(delivery.counts_from.unwrap_or_default());
                // A change that comes after its tick was closed counts from the first open one.
                let tick = settled.max(EventTime::from_millis(*capability.time()));
                reach.mark(tick.millis());
                if tick > own {
                    say_late(delivery, tick.millis(), capability, output);
                }
                if !(delivery.settled && settled.millis() < self.folded_before) {
                    output.session(&capability.delayed(&tick.millis())).give(Intake::Change(change));
                }
            }
            Err((reason, detail)) => {
                let fault = Fault { row: None, reason, detail };
                self.refuse(delivery, reach, fault, capability, output);
            }
        }
    }

    fn refuse(
        &self,
        delivery: &Delivery,
        reach: &mut Reach,
        fault: Fault,
        capability: &Capability<u64>,
        output: &mut Output<'_>,
    ) {
        let at = self.reject_tick(delivery, reach, capability, output);
        if at >= self.folded_before {
            let at = at.max(*capability.time());
            reach.mark(at);
            output.session(&capability.delayed(&at)).give(Intake::Error(Box::new(fault.about(delivery))));
        }
    }

    /// The tick with which a dead letter leaves, by the log and what was said of it alone: so a replay knows which were
    /// published.
    fn reject_tick(
        &self,
        delivery: &Delivery,
        reach: &Reach,
        capability: &Capability<u64>,
        output: &mut Output<'_>,
    ) -> u64 {
        let own = delivery.time.tick(self.settings.tick.millis()).millis();
        if delivery.topic == Topic::Samples {
            let watermark = self.watermark(reach);
            return if watermark == 0 { own } else { watermark };
        }
        if delivery.settled {
            return delivery.counts_from.map_or(own, EventTime::millis);
        }
        // A log time far ahead must not hide the dead letter until that day.
        let ahead = self.settings.lateness.millis() + self.settings.future_max.millis();
        let soon = self.watermarks.frontier().map_or(u64::MAX, |frontier| frontier + ahead);
        let at = own.min(soon).max(Self::floor(delivery, capability).millis());
        if at != own {
            say_late(delivery, at, capability, output);
        }
        at
    }

    /// The first tick that is still open to a partition.
    fn watermark(&self, reach: &Reach) -> u64 {
        reach.watermark(self.settings.lateness.millis(), self.settings.tick.millis())
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("partitions count from zero")
}

/// Says from which tick on a delivery counts, where the log alone does not tell: a replay judges by it.
fn say_late(delivery: &Delivery, from: u64, capability: &Capability<u64>, output: &mut Output<'_>) {
    let late = Some(EventTime::from_millis(from));
    output.session(capability).give(receipt(delivery.topic, delivery.partition, delivery.offset, late));
}

fn receipt(topic: Topic, partition: i32, offset: i64, late: Option<EventTime>) -> Intake {
    Intake::Receipt(Receipt { noun: topic.noun().to_owned(), partition, offset, late })
}
