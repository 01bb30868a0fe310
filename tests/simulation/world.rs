//! A pipeline, its log, its disk and its clock in one thread, driven by chance.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dataflow::EngineSettings;
use schemas::{EventTime, Span, Topic};
use topics::{Embedded, EmbeddedSettings, Log, Record, Start, read_all};
use wire::{Machine, Outlet, Parts, Shelf};

use crate::dice::Dice;
use crate::disk::SimulatedDisk;
use crate::log::{Append, ShakyLog};
use crate::town::{BEGIN_MS, Town};
use crate::{oracle, predecessor};

/// A fault that is built in to see whether it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Of the syncs of snapshots' files, one in seven is skipped.
    SkipsSync,
    /// Outputs are appended before their progress record, not with it.
    PartsTransactions,
    /// A process takes the right to write over only when it first writes: after it has read how far the outputs reach.
    TakesOverLate,
}

/// What a world has seen when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) decisions: usize,
    pub(crate) crashes: usize,
    pub(crate) restored: usize,
    pub(crate) succeeded: usize,
}

impl Seen {
    pub(crate) const fn add(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.crashes += other.crashes;
        self.restored += other.restored;
        self.succeeded += other.succeeded;
    }
}

/// Simulated milliseconds of a world.
const LIFE_MS: u64 = 240_000;

/// Rounds after which outputs that do not come are missed.
const ROUNDS_MAX: usize = 20_000;

/// Syncs of files of which a planted bug skips one.
const SKIPPED_ONE_IN: u64 = 7;

const IDLE_AFTER: Duration = Duration::from_secs(5);

/// Where the simulated disk has its snapshots.
const FOLDER: &str = "/snapshots";

/// Everything of one seed.
pub(crate) struct World {
    dice: Dice,
    settings: EngineSettings,
    inner: Embedded,
    log: ShakyLog,
    disk: SimulatedDisk,
    town: Town,
    machine: Option<Machine>,
    seen: Seen,
    told: bool,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>, told: bool) -> Self {
        let mut dice = Dice::new(seed);
        let inner =
            Embedded::in_memory(EmbeddedSettings { partition_bytes_max: 1 << 30, ..EmbeddedSettings::default() });
        inner.ensure(Topic::ALL, 1 + dice.below(3) as u32).expect("a log in memory");
        let log = ShakyLog::new(inner.clone(), dice.draw(), bug);
        let workloads = 2 + dice.below(3);
        let town = Town::new(&inner, workloads, dice.once_in(3));
        let settings = EngineSettings {
            workers: 1 + dice.below(4) as usize,
            lateness: Span::from_secs(dice.below(4)),
            features_every: Span::from_secs(10),
            forecasts_every: Span::from_secs(10),
            step: Span::from_secs(5),
            horizon_prior: Span::from_secs(10),
            dwell: Span::from_secs(5),
            floor_window: Span::from_secs(10),
            quarantine: Span::from_secs(10),
            snapshot_every: Span::from_secs(5 + dice.below(20)),
            // Nothing may wait for room here: whoever would make it has no turn then.
            ticks_in_flight_max: 65_536,
            deliveries_max: 16_384,
            commits_max: 16_384,
            ..EngineSettings::default()
        };
        let disk = SimulatedDisk::new((bug == Some(Bug::SkipsSync)).then_some(SKIPPED_ONE_IN));
        Self { dice, settings, inner, log, disk, town, machine: None, seen: Seen::default(), told }
    }

    /// What lies on the log, inputs and outputs.
    pub(crate) fn written(&self) -> Vec<Record> {
        let read = |topic: &Topic| read_all(&self.inner, *topic, Start::Earliest).expect("a log in memory");
        Topic::ALL.iter().flat_map(read).collect()
    }

    /// Lives until its time is over, comes to rest and is compared with the oracle.
    ///
    /// # Errors
    /// What was found to be wrong.
    pub(crate) fn run(&mut self) -> Result<Seen, String> {
        while self.town.now < BEGIN_MS + LIFE_MS {
            self.step()?;
        }
        self.come_to_rest()?;
        self.machine = None;
        self.seen.decisions = oracle::check(&self.inner, &self.settings)?;
        Ok(self.seen)
    }

    /// One thing happens, whichever.
    fn step(&mut self) -> Result<(), String> {
        match self.dice.below(10_000) {
            0..=4 => self.crash("the process is killed")?,
            5..=9 if self.machine.is_some() => {
                let changes = self.dice.below(40);
                self.tell(|| format!("the power will fail in {changes} changes of the disk"));
                self.disk.fail_power_in(Some(changes));
            }
            10..=12 => self.log.set_away(true),
            13..=32 => self.log.set_away(false),
            33..=35 => self.disk.set_full(true),
            36..=55 => self.disk.set_full(false),
            56..=70 => self.log.set_append(Append::RollsBack),
            71..=74 => self.log.set_append(Append::LosesAnswer),
            75..=77 => self.leave_behind(),
            78..=500 => self.town.live_on(&mut self.dice),
            choice => return self.turn(choice),
        }
        Ok(())
    }

    /// Some part of the machine takes its turn.
    fn turn(&mut self, choice: u64) -> Result<(), String> {
        if self.dice.once_in(50) {
            predecessor::live_on();
        }
        let Some(machine) = &mut self.machine else { return self.restart() };
        let outcome = match choice % 10 {
            0 => {
                // Once in a while the machine's clock leaps.
                let elapsed = if self.dice.once_in(200) { 3_600_000 } else { self.dice.below(100) };
                machine.intake.turn(Some(Duration::from_millis(elapsed))).map(drop)
            }
            1 => publish(if self.dice.once_in(2) { &mut machine.decisions } else { &mut machine.features }),
            2 | 3 => {
                if let Some((keeper, cuts)) = &mut machine.keeper {
                    keeper.turn(cuts.try_recv().ok());
                }
                Ok(())
            }
            _ => {
                let worker = self.dice.below(self.settings.workers as u64) as usize;
                if machine.intake.engine().step(worker) { Ok(()) } else { return Err("a worker has ended".to_owned()) }
            }
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => self.crash(&format!("the process ends: {error:#}")),
        }
    }

    /// Another process is started, while this one goes on and has not noticed.
    fn leave_behind(&mut self) {
        let Some(machine) = self.machine.take() else { return };
        self.tell(|| "the process is taken for dead and goes on".to_owned());
        self.seen.succeeded += 1;
        // Its successor begins on a machine that has power, and finds the same disk there.
        self.disk.fail_power_in(None);
        predecessor::leave_behind(machine, self.settings.workers, self.dice.draw());
    }

    /// The process is gone at once, and with it what the disk had not been asked to keep.
    fn crash(&mut self, why: &str) -> Result<(), String> {
        if self.machine.take().is_none() {
            return Ok(());
        }
        self.tell(|| why.to_owned());
        self.seen.crashes += 1;
        self.disk.crash(&mut self.dice);
        let shelf = self.shelf();
        for name in self.disk.promised() {
            let at = EventTime::from_millis(name.parse().map_err(|_| format!("a snapshot is called {name}"))?);
            if let Err(error) = shelf.read(at) {
                return Err(format!("the snapshot at {at} counted, and cannot be read after a crash: {error:#}"));
            }
        }
        if self.dice.once_in(4) && self.disk.rot(&mut self.dice) {
            self.tell(|| "a bit of the disk has turned".to_owned());
        }
        // The number of workers may be another one.
        self.settings.workers = 1 + self.dice.below(4) as usize;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        if self.log.away() {
            return Ok(());
        }
        let mut parts =
            Parts { shelf: Some(self.shelf()), stepped: true, ..Parts::new("main", &self.settings, IDLE_AFTER) };
        let machine =
            Machine::assemble(&self.log, &mut parts).map_err(|error| format!("it does not start: {error:#}"))?;
        let from = machine.restored;
        self.tell(|| format!("a process with {} workers begins from {from:?}", parts.engine.workers));
        self.seen.restored += usize::from(from.is_some());
        self.machine = Some(machine);
        Ok(())
    }

    fn shelf(&self) -> Shelf {
        Shelf::open(Arc::new(self.disk.clone()), Path::new(FOLDER), "main", &self.settings).expect("the power is on")
    }

    /// Everything works, and goes on until all that was written is published.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.log.set_away(false);
        self.log.set_append(Append::Takes);
        self.disk.set_full(false);
        self.town.settle();
        let target = EventTime::from_millis(self.town.now).minus(self.settings.lateness.millis() + 2_000);
        for round in 0..ROUNDS_MAX {
            // The parts in turn, the clock among them: silent partitions become idle.
            for choice in [0, 4, 4, 4, 4, 1, 2, 3] {
                self.turn(choice)?;
            }
            if round % 64 == 0 && oracle::frontier(&self.inner) >= target {
                return Ok(());
            }
        }
        let frontier = oracle::frontier(&self.inner);
        Err(format!("the outputs are stuck at {frontier}, and should reach {target}"))
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>8} ms: {}", self.town.now - BEGIN_MS, what());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        predecessor::remove();
    }
}

/// A turn of one of the two ways out.
pub(crate) fn publish(outlet: &mut Outlet) -> anyhow::Result<()> {
    let first = if outlet.publisher.waits() { None } else { outlet.commits.try_recv().ok() };
    outlet.publisher.turn(first, &outlet.commits).map(drop)
}
