//! A process that has lost its place and does not know it yet: cut off, or stopped for a while, it goes on where it was.
//!
//! Its turns fall wherever chance puts them, also in the midst of the start of the process that takes over: each time that
//! one asks the log for something, its predecessor may have turns first.

use std::cell::RefCell;

use wire::Machine;

use crate::dice::Dice;
use crate::world::publish;

/// Turns that it may have before its successor gets an answer.
const TURNS_MAX: u64 = 200;

/// The process, and the chance that drives it.
struct Predecessor {
    machine: Machine,
    workers: usize,
    dice: Dice,
}

thread_local! {
    /// That of the world which this thread lives through.
    static PREDECESSOR: RefCell<Option<Predecessor>> = const { RefCell::new(None) };
}

/// From now on a process lives beside its successor.
pub(crate) fn leave_behind(machine: Machine, workers: usize, seed: u64) {
    let dice = Dice::new(seed);
    PREDECESSOR.with_borrow_mut(|place| *place = Some(Predecessor { machine, workers, dice }));
}

/// It is gone, if there was one.
pub(crate) fn remove() {
    PREDECESSOR.with_borrow_mut(|place| *place = None);
}

/// Gives it some turns, if there is one. It ends when the log takes nothing more from it.
pub(crate) fn live_on() {
    // It is away from its place meanwhile: what it asks of the log gives it no further turns.
    let Some(mut predecessor) = PREDECESSOR.with_borrow_mut(Option::take) else { return };
    let Predecessor { machine, workers, dice } = &mut predecessor;
    let turns = dice.below(TURNS_MAX);
    if (0..turns).all(|_| turn(machine, *workers, dice)) {
        PREDECESSOR.with_borrow_mut(|place| *place = Some(predecessor));
    }
}

/// A turn of one of its parts but its keeper, whose disk is out of reach; false when it ends.
fn turn(machine: &mut Machine, workers: usize, dice: &mut Dice) -> bool {
    match dice.below(8) {
        0 => machine.intake.turn(None).is_ok(),
        1 => publish(&mut machine.decisions).is_ok(),
        2 => publish(&mut machine.features).is_ok(),
        _ => machine.intake.engine().step(dice.below(workers as u64) as usize),
    }
}
