//! The machine at work: a thread for each part, and the clock.
#![allow(clippy::disallowed_methods, reason = "the edge: logs are waited for in real time")]

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use dataflow::snapshot::Cut;
use topics::Log;

use crate::intake::Intake;
use crate::keeper::Keeper;
use crate::machine::{Machine, Outlet, Parts};
use crate::publish::{Published, Publisher};
use crate::stop::Stop;

/// How often the publisher looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How soon a publisher that came before the other looks again.
const EARLY: Duration = Duration::from_millis(5);

/// How often it is looked whether a snapshot may count.
const SEAL_EVERY: Duration = Duration::from_millis(50);

/// Pauses between attempts of one append: doubled from the first to the last.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// How often the progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A running pipeline.
pub struct Pipeline {
    stop: Stop,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    /// Archive and keeper, which end with those who feed them.
    beside: Vec<(&'static str, JoinHandle<()>)>,
}

impl Pipeline {
    /// Starts it; a wish to stop ends it, and it expresses the wish itself when it meets a fault.
    ///
    /// # Errors
    /// As [`Machine::assemble`].
    pub fn start(log: &dyn Log, mut parts: Parts<'_>, stop: Stop) -> anyhow::Result<Self> {
        let Machine { intake, decisions, features, keeper, .. } = Machine::assemble(log, &mut parts)?;
        let mut beside = Vec::new();
        if let Some((keeper, cuts)) = keeper {
            let keeping = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || keep(keeper, &cuts))?;
            beside.push(("keeper", keeping));
        }
        beside.extend(parts.history.map(|history| ("archive", history.thread)));
        let publishing = |outlet| {
            let stop = stop.clone();
            move || publish(outlet, &stop)
        };
        let (clocked, reading) = (parts.clocked, stop.clone());
        let threads = vec![
            thread("decisions", publishing(decisions))?,
            thread("features", publishing(features))?,
            thread("intake", move || read(intake, clocked, &reading))?,
        ];
        Ok(Self { stop, threads, beside })
    }

    /// Waits for its end, by the wish to stop or by a fault.
    ///
    /// # Errors
    /// The first fault.
    pub fn join(self) -> anyhow::Result<()> {
        let ends: Vec<_> = self.threads.into_iter().map(end_of).collect();
        for (name, thread) in self.beside {
            thread.join().map_err(|_| anyhow!("the {name}'s thread panicked"))?;
        }
        ends.into_iter().collect()
    }

    /// Stops it and waits.
    ///
    /// # Errors
    /// As [`Pipeline::join`].
    pub fn stop(self) -> anyhow::Result<()> {
        self.stop.request();
        self.join()
    }
}

/// Reads until it is stopped; whatever ends the reading ends the whole pipeline.
fn read(mut intake: Intake, clocked: bool, stop: &Stop) -> anyhow::Result<()> {
    let mut looked = Instant::now();
    let outcome = loop {
        if stop.requested() {
            break Ok(());
        }
        let elapsed = looked.elapsed();
        looked += elapsed;
        match intake.turn(clocked.then_some(elapsed)) {
            Ok(Duration::ZERO) => {}
            Ok(rest) => _ = stop.wait(rest),
            Err(error) => break Err(error),
        }
    };
    stop.request();
    intake.stop();
    outcome
}

/// Publishes until it is stopped or the engine ends.
fn publish(outlet: Outlet, stop: &Stop) -> anyhow::Result<()> {
    let Outlet { commits, mut publisher } = outlet;
    let (mut pause, mut told) = (RETRY_MIN, Told::new());
    let outcome = loop {
        if stop.requested() {
            break Ok(());
        }
        let first = if publisher.waits() { Err(RecvTimeoutError::Timeout) } else { commits.recv_timeout(LOOK_EVERY) };
        if first == Err(RecvTimeoutError::Disconnected) {
            break Ok(());
        }
        match publisher.turn(first.ok(), &commits) {
            Ok(Published::All { records, decisions }) => {
                pause = RETRY_MIN;
                told.add(records, decisions);
            }
            // Not published and not counted as such: where it is stopped here, the next run says it again.
            Ok(Published::Later) => {
                stop.wait(pause);
                pause = (pause * 2).min(RETRY_MAX);
            }
            Ok(Published::Early) => _ = stop.wait(EARLY),
            Err(error) => break Err(error),
        }
        told.tell(&publisher);
    };
    stop.request();
    // The intake may wait for room in the engine, and the engine for room here: what still comes is dropped, a restart
    // says it again.
    commits.iter().for_each(drop);
    outcome
}

/// Keeps snapshots until the last worker is gone.
fn keep(mut keeper: Keeper, cuts: &Receiver<Cut>) {
    loop {
        match cuts.recv_timeout(SEAL_EVERY) {
            Err(RecvTimeoutError::Disconnected) => return,
            cut => keeper.turn(cut.ok()),
        }
    }
}

/// What was published since the last line about it.
struct Told {
    at: Instant,
    records: usize,
    decisions: usize,
}

impl Told {
    fn new() -> Self {
        Self { at: Instant::now(), records: 0, decisions: 0 }
    }

    const fn add(&mut self, records: usize, decisions: usize) {
        self.records += records;
        self.decisions += decisions;
    }

    fn tell(&mut self, publisher: &Publisher) {
        if self.at.elapsed() >= TELL_EVERY {
            let Self { records, decisions, .. } = *self;
            let (group, frontier) = publisher.reached();
            tracing::info!(group, %frontier, records, decisions, "published");
            *self = Self::new();
        }
    }
}

fn thread(
    name: &str,
    body: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> std::io::Result<JoinHandle<anyhow::Result<()>>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

fn end_of(thread: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    thread.join().map_err(|_| anyhow!("the {name}'s thread panicked"))?
}
#[cfg(test)]
mod tests {
    use dataflow::EngineSettings;
    use schemas::{EventTime, Progress, Sample, SourceId, Topic, WorkloadId};
    use topics::{Delivery, Embedded, EmbeddedSettings, Outgoing, latest};

    use super::*;

    #[test]
    fn a_stop_in_the_midst_of_a_replay_ends_it() {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(Topic::ALL, 1).expect("new topics");
        let record = |second: u64| {
            let time = EventTime::from_millis(second * 1000);
            let sample = Sample::new(time, WorkloadId::new("web").expect("a name"));
            Outgoing::samples(&SourceId::new("agent").expect("a name"), time, &[sample])
        };
        let records: Vec<_> = (1..5_000).map(record).collect();
        log.writer(Delivery::Idempotent).expect("a writer").append(&records).expect("room");
        // Everything is full at once, so that each end waits for the next.
        let engine =
            EngineSettings { deliveries_max: 1, commits_max: 1, ticks_in_flight_max: 8, ..EngineSettings::default() };
        let parts = Parts { clocked: false, ..Parts::new("test", &engine, Duration::from_secs(60)) };
        let pipeline = Pipeline::start(&log, parts, Stop::default()).expect("a log in memory");
        while latest::<Progress>(&log).expect("a log in memory").nouns.is_empty() {
            std::thread::yield_now();
        }
        let (told, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(pipeline.stop().is_ok()));
        assert_eq!(ended.recv_timeout(Duration::from_secs(30)), Ok(true));
    }
}
