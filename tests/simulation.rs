//! Simulated worlds: clock, log, disk, arrival and crashes by chance, one seed each, against an oracle.
//!
//! The machine is the real one: intake, timely workers that step one at a time, publisher, keeper, shelf. `SEEDS` says how
//! many worlds, `SEED` the first; a single one tells what happens in it.

#![allow(clippy::disallowed_methods, reason = "which worlds are lived through is asked of the environment")]
#![allow(clippy::print_stdout, reason = "a single world tells what happens in it")]

#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/log.rs"]
mod log;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/predecessor.rs"]
mod predecessor;
#[path = "simulation/town.rs"]
mod town;
#[path = "simulation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Bug, Seen, World};

/// Worlds of an ordinary test run, which `make simulate` multiplies.
const SEEDS: u64 = 300;

/// Worlds within which a planted bug must be found.
const SEEDS_OF_BUG: u64 = 300;

#[test]
fn no_world_differs_from_the_oracle() {
    let (first, seeds) = (number("SEED").unwrap_or(1), number("SEEDS").unwrap_or(SEEDS));
    let (seen, failures) = worlds(first, seeds, None, |_| false);
    println!("{seeds} worlds from seed {first}: {seen:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(seeds < SEEDS || seen.decisions as u64 > seeds, "worlds with decisions: {seen:?}");
    assert!(seeds < SEEDS || seen.restored as u64 > seeds, "worlds with snapshots: {seen:?}");
    assert!(seeds < SEEDS || seen.succeeded as u64 > seeds, "worlds with two processes at once: {seen:?}");
}

#[test]
fn a_seed_lives_the_same_world_again() {
    for seed in [1, 2, 3] {
        let [once, again] = [(); 2].map(|()| {
            let mut world = World::new(seed, None, false);
            (world.run().expect("a right world"), world.written())
        });
        assert!(once.0.decisions > 0 && once.0.crashes > 0, "seed {seed}: {:?}", once.0);
        assert!(once == again, "seed {seed}: {:?} once, {:?} again, or other records", once.0, again.0);
    }
}

#[test]
fn a_sync_that_is_skipped_is_found() {
    let found = |failure: &str| failure.contains("counted, and cannot be read after a crash");
    let (seen, failures) = worlds(1, SEEDS_OF_BUG, Some(Bug::SkipsSync), found);
    assert!(failures.iter().any(|failure| found(failure)), "{seen:?} {failures:?}");
}

#[test]
fn outputs_that_leave_before_their_progress_are_found() {
    let found = |failure: &str| failure.contains(": found ");
    let (seen, failures) = worlds(1, SEEDS_OF_BUG, Some(Bug::PartsTransactions), found);
    assert!(failures.iter().any(|failure| found(failure)), "{seen:?} {failures:?}");
}

#[test]
fn a_process_that_takes_over_late_is_found() {
    let found = |failure: &str| failure.contains(": found ");
    let (seen, failures) = worlds(1, SEEDS_OF_BUG, Some(Bug::TakesOverLate), found);
    assert!(failures.iter().any(|failure| found(failure)), "{seen:?} {failures:?}");
}

/// Runs worlds on all cores, until a fault is enough; what they have seen, and what was wrong.
fn worlds(first: u64, seeds: u64, bug: Option<Bug>, enough: impl Fn(&str) -> bool + Sync) -> (Seen, Vec<String>) {
    let next = AtomicU64::new(first);
    let totals = Mutex::new((Seen::default(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            let life = catch_unwind(AssertUnwindSafe(|| World::new(seed, bug, seeds == 1).run()));
            let outcome = life.unwrap_or_else(|_| Err("it panicked".to_owned()));
            let mut totals = totals.lock().expect("no holder panics");
            match outcome {
                Ok(seen) => totals.0.add(seen),
                Err(fault) => {
                    if enough(&fault) {
                        next.store(first + seeds, Ordering::Relaxed);
                    }
                    totals.1.push(format!("seed {seed}: {fault}\n  again: make simulate SEEDS=1 SEED={seed}"));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).for_each(|_| _ = scope.spawn(work));
    });
    totals.into_inner().expect("no holder panics")
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text}: give a number")))
}
