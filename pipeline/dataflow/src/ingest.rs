//! Ingest: deliveries into samples, changes of the control plane, and errors, each at its event time.
//!
//! Key: none; a partition is read by one worker. Time: a sample is sent at its own tick; the capability follows the
//! least watermark of all partitions. State: one watermark a partition, and names. Late, too early and impossible samples
//! become dead letters, never silence. Cost: one decode a message; the deliveries of one activation become one block of
//! columns, of which each tick and worker gets its rows. The source stops taking deliveries while too many ticks are open,
//! which fills the bounded channel and so holds back whoever feeds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use schemas::samples::Builder;
use schemas::{EventTime, Reject, RejectReason, Topic, V1};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::{OutputBuilderSession, source};
use timely::dataflow::operators::probe::Handle as Probe;

use crate::keys::hash;
use crate::records::{Change, ControlNoun, Intake, Rows, Stream};
use crate::watermarks::Watermarks;
use crate::{Delivery, EngineSettings, Receipt};

/// What a worker's feed carries.
pub(crate) enum Feed {
    /// A record of a partition that the worker owns.
    Delivery(Delivery),
    /// A partition of the samples has nothing more for now: it no longer holds the frontier back.
    Idle(i32),
}

/// What a source needs besides the scope.
pub(crate) struct Intakes {
    pub(crate) feed: Receiver<Feed>,
    pub(crate) watermarks: Arc<Watermarks>,
    pub(crate) probe: Probe<u64>,
}

/// Deliveries that one activation takes: bounds how long a worker is away from its other operators.
const DELIVERIES_PER_ACTIVATION: usize = 64;

/// Rows after which an activation takes no further delivery: bounds a block's memory.
const ROWS_PER_ACTIVATION: usize = 1 << 17;

/// How soon an idle source looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

type Output<'a> = OutputBuilderSession<'a, u64, CapacityContainerBuilder<Vec<Intake>>>;

/// Reads a worker's deliveries.
pub(crate) fn ingest<'s>(scope: Scope<'s, u64>, intakes: Intakes, settings: &EngineSettings) -> Stream<'s, Intake> {
    let settings = settings.clone();
    let workers = scope.worker().peers() as u64;
    source(scope, "ingest", move |capability, info| {
        let activator = scope.activator_for(info.address);
        let watermarks = Arc::clone(&intakes.watermarks);
        let mut reader = Reader {
            settings,
            workers,
            newest: BTreeMap::new(),
            idle: BTreeSet::new(),
            watermarks,
            block: Builder::default(),
            rows: BTreeMap::new(),
        };
        let mut held = Some(capability);
        move |output: &mut Output<'_>| {
            let Some(capability) = held.as_mut() else { return };
            let ended = reader.drain(&intakes, capability, output);
            reader.send_block(capability, output);
            if let Some(frontier) = reader.watermarks.frontier()
                && frontier > *capability.time()
            {
                capability.downgrade(&frontier);
            }
            if ended {
                held = None;
            } else {
                activator.activate_after(LOOK_AGAIN);
            }
        }
    })
}

/// What is wrong with a delivery, or with a row of it.
struct Fault {
    row: Option<usize>,
    reason: RejectReason,
    detail: String,
}

struct Reader {
    settings: EngineSettings,
    workers: u64,
    /// Newest event time of each partition, in milliseconds.
    newest: BTreeMap<i32, u64>,
    /// Partitions that have been declared idle and have brought no sample since.
    idle: BTreeSet<i32>,
    watermarks: Arc<Watermarks>,
    /// The samples of this activation, and which of their rows belong to each tick.
    block: Builder,
    rows: BTreeMap<u64, Vec<u32>>,
}

impl Reader {
    /// Takes a bounded number of deliveries; true when the feed has ended.
    fn drain(&mut self, intakes: &Intakes, capability: &Capability<u64>, output: &mut Output<'_>) -> bool {
        for _ in 0..DELIVERIES_PER_ACTIVATION {
            if self.too_far_ahead(&intakes.probe) || self.block.len() >= ROWS_PER_ACTIVATION {
                return false;
            }
            match intakes.feed.try_recv() {
                Ok(Feed::Delivery(delivery)) => self.read(delivery, capability, output),
                Ok(Feed::Idle(partition)) => {
                    self.idle.insert(partition);
                    self.watermarks.set(index(partition), None);
                }
                Err(crossbeam_channel::TryRecvError::Empty) => return false,
                Err(crossbeam_channel::TryRecvError::Disconnected) => {
                    // The partitions of an ended feed must not hold back those of the others.
                    self.newest.keys().for_each(|partition| self.watermarks.set(index(*partition), None));
                    return true;
                }
            }
        }
        false
    }

    /// Whether the egress lags behind the frontier by more ticks than may be open.
    fn too_far_ahead(&self, probe: &Probe<u64>) -> bool {
        let lag = self.settings.ticks_in_flight_max * self.settings.tick.millis();
        let Some(frontier) = self.watermarks.frontier() else { return false };
        probe.less_than(&frontier.saturating_sub(lag))
    }

    fn read(&mut self, delivery: Delivery, capability: &Capability<u64>, output: &mut Output<'_>) {
        match delivery.topic {
            Topic::Samples => self.read_samples(&delivery, capability, output),
            Topic::Workloads => self.read_change(delivery, ControlNoun::Workloads, capability, output),
            Topic::Pools => self.read_change(delivery, ControlNoun::Pools, capability, output),
            Topic::Outcomes => self.read_change(delivery, ControlNoun::Outcomes, capability, output),
            other => tracing::error!(topic = other.name(), "a delivery of a topic that is no input"),
        }
    }

    fn read_samples(&mut self, delivery: &Delivery, capability: &Capability<u64>, output: &mut Output<'_>) {
        let value = delivery.value.as_deref().unwrap_or_default();
        let first = self.block.len();
        match schemas::decode::append(delivery.content_type.as_deref(), value, delivery.time, &mut self.block) {
            Err(fault) => {
                let fault = Fault { row: None, reason: fault.reason, detail: fault.detail };
                self.refuse(delivery, fault, capability, output);
            }
            Ok(read) => {
                for (place, row) in read.good().enumerate() {
                    if let Err((reason, detail)) = self.admit(first + place, delivery, capability) {
                        self.refuse(delivery, Fault { row: Some(row), reason, detail }, capability, output);
                    }
                }
                for (row, detail) in read.faults {
                    let fault = Fault { row: Some(row), reason: RejectReason::Reading, detail };
                    self.refuse(delivery, fault, capability, output);
                }
            }
        }
        if self.idle.contains(&delivery.partition) {
            // Nothing but dead letters came: they must not hold the others back.
            self.watermarks.set(index(delivery.partition), None);
        } else if let Some(newest) = self.newest.get(&delivery.partition) {
            self.watermarks.set(index(delivery.partition), Some(self.watermark(*newest)));
        }
    }

    /// Takes a row of the block into its tick, or says why its time cannot be used.
    fn admit(
        &mut self,
        row: usize,
        delivery: &Delivery,
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
        let newest = self.newest.get(&delivery.partition).copied();
        let closed = newest.map_or(0, |newest| self.watermark(newest)).max(*capability.time());
        if tick < closed {
            let detail =
                format!("time {time} came after its tick was closed: raise `lateness`, now {}", self.settings.lateness);
            return Err((RejectReason::Late, detail));
        }
        if newest.is_none_or(|newest| time.millis() > newest) {
            self.newest.insert(delivery.partition, time.millis());
            self.watermarks.reach(tick + self.settings.tick.millis());
        }
        self.idle.remove(&delivery.partition);
        self.rows.entry(tick).or_default().push(u32::try_from(row).expect("a block is bounded"));
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
            let worker = |identity: &Arc<schemas::Identity>| hash(identity.workload.as_str()) % self.workers;
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
                session.give(Intake::Samples(Rows { worker, samples: Arc::clone(&samples), rows }));
            }
        }
    }

    fn read_change(
        &self,
        delivery: Delivery,
        noun: ControlNoun,
        capability: &Capability<u64>,
        output: &mut Output<'_>,
    ) {
        let open = *capability.time();
        let mut receipt = Receipt {
            noun: delivery.topic.noun().to_owned(),
            partition: delivery.partition,
            offset: delivery.offset,
            late: None,
        };
        match change(&delivery, noun) {
            Ok(change) => {
                let own = EventTime::from_millis(change.time).tick(self.settings.tick.millis());
                // A change that comes after its tick was closed counts from the first open one.
                let tick = own.max(delivery.counts_from.unwrap_or_default()).max(EventTime::from_millis(open));
                receipt.late = (tick > own).then_some(tick);
                output.session(&capability.delayed(&tick.millis())).give(Intake::Change(change));
            }
            Err(detail) => {
                let fault = Fault { row: None, reason: RejectReason::Schema, detail };
                self.refuse(&delivery, fault, capability, output);
            }
        }
        output.session(capability).give(Intake::Receipt(receipt));
    }

    fn refuse(&self, delivery: &Delivery, fault: Fault, capability: &Capability<u64>, output: &mut Output<'_>) {
        let Fault { row, reason, detail } = fault;
        let value = delivery.value.as_deref().unwrap_or_default();
        let reject = Reject {
            version: V1,
            time: delivery.time,
            source: delivery.key.clone(),
            topic: delivery.topic.name().to_owned(),
            partition: delivery.partition,
            offset: delivery.offset,
            row: row.map(|row| row as u64),
            reason,
            detail,
            length_bytes: value.len() as u64,
            excerpt_base64: if row.is_none() { Reject::excerpt(value) } else { String::new() },
        };
        let at = self.reject_tick(delivery).max(*capability.time());
        output.session(&capability.delayed(&at)).give(Intake::Error(Box::new(reject)));
    }

    /// The tick with which a dead letter leaves, by the log alone: so a replay knows which were published.
    fn reject_tick(&self, delivery: &Delivery) -> u64 {
        let active = delivery.topic == Topic::Samples && !self.idle.contains(&delivery.partition);
        match self.newest.get(&delivery.partition).filter(|_| active) {
            Some(newest) => self.watermark(*newest),
            None => {
                // A log time far ahead must not hide the dead letter until that day.
                let ahead = self.settings.lateness.millis() + self.settings.future_max.millis();
                let soon = self.watermarks.frontier().map_or(u64::MAX, |frontier| frontier + ahead);
                delivery.time.tick(self.settings.tick.millis()).millis().min(soon)
            }
        }
    }

    /// The first tick that a partition whose newest sample is `newest` leaves open.
    fn watermark(&self, newest: u64) -> u64 {
        EventTime::from_millis(newest.saturating_sub(self.settings.lateness.millis()))
            .tick(self.settings.tick.millis())
            .millis()
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("partitions count from zero")
}

/// A record of the control plane, checked, with the log's time where it has none of its own.
fn change(delivery: &Delivery, noun: ControlNoun) -> Result<Change, String> {
    use schemas::{Noun, Outcome, Pool, Workload};
    let mut change =
        Change { noun, key: delivery.key.clone(), time: delivery.time.millis(), offset: delivery.offset, value: None };
    let Some(value) = &delivery.value else { return Ok(change) };
    let timed = |time: EventTime| if time == EventTime::default() { delivery.time } else { time };
    let checked = |faults: Vec<String>| if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) };
    let (key, time, json) = match noun {
        ControlNoun::Workloads => {
            let record = Workload::from_json(value).map_err(|error| error.to_string())?;
            checked(record.faults())?;
            (record.workload.to_string(), timed(record.time), record.to_json())
        }
        ControlNoun::Pools => {
            let record = Pool::from_json(value).map_err(|error| error.to_string())?;
            checked(record.faults())?;
            (record.pool.to_string(), timed(record.time), record.to_json())
        }
        ControlNoun::Outcomes => {
            let record = Outcome::from_json(value).map_err(|error| error.to_string())?;
            (record.workload.to_string(), timed(record.time), record.to_json())
        }
    };
    (change.key, change.time) = (key, time.millis());
    change.value = Some(String::from_utf8(json).expect("JSON is UTF-8"));
    Ok(change)
}
