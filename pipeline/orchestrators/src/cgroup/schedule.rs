//! When a shadow runs: for a limited time, then not for a while, and never on a host without room.
//!
//! ```text
//!          rested, and there is room              its time is over, or it died or hangs
//!   Rests ─────────────────────────────► Lives ─────────────────────────────────────────► Rests
//!                                         │  ▲ room again, within its time
//!                           no room       ▼  │
//!                                        Yields ────────────────────────────────────────► Rests
//! ```
//!
//! It is stopped, not paused: a paused one holds its memory, and readings that stand still look like a shadow that has
//! nothing to do. One that fails is not tried again before the next turn: no shadow is better than one that lies.

use schemas::EventTime;

use super::pressure::Room;

/// Where a shadow is in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// None is wanted before somebody asks.
    Off,
    /// None runs before `until`.
    Rests {
        /// When the next turn begins.
        until: EventTime,
    },
    /// It runs.
    Lives {
        /// When its time is over.
        until: EventTime,
    },
    /// It would run, but the host has no room.
    Yields {
        /// When its time is over.
        until: EventTime,
    },
}

/// How long it lives, and how long it rests, in milliseconds; for good where nothing is said of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) lives_ms: u64,
    pub(super) rests_ms: Option<u64>,
}

/// How a running shadow is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It runs.
    Well,
    /// It ended by itself.
    Dead,
    /// It does nothing while its primary works.
    Hung,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// Start it.
    Start,
    /// Stop it: its time is over.
    Expire,
    /// Stop it: the host has no room.
    Yield,
    /// Stop what is left of it: it failed.
    Fail,
}

impl Turn {
    /// What follows after it.
    pub(super) fn rests(&self, now: EventTime) -> Phase {
        self.rests_ms.map_or(Phase::Off, |rests_ms| Phase::Rests { until: now.plus(rests_ms) })
    }
}

/// What follows from how things are.
pub(super) fn next(phase: Phase, turn: Turn, health: Health, room: Room, now: EventTime) -> (Phase, Step) {
    let rests = turn.rests(now);
    match phase {
        Phase::Lives { until } | Phase::Yields { until } if now >= until => (rests, Step::Expire),
        Phase::Lives { .. } if health != Health::Well => (rests, Step::Fail),
        Phase::Lives { until } if room != Room::Enough => (Phase::Yields { until }, Step::Yield),
        Phase::Yields { until } if room == Room::Enough => (Phase::Lives { until }, Step::Start),
        Phase::Rests { until } if now >= until && room == Room::Enough => {
            (Phase::Lives { until: now.plus(turn.lives_ms) }, Step::Start)
        }
        phase => (phase, Step::Stay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Turn = Turn { lives_ms: 600_000, rests_ms: Some(3_000_000) };

    fn at(second: u64) -> EventTime {
        EventTime::from_millis(second * 1_000)
    }

    fn lives(second: u64) -> Phase {
        Phase::Lives { until: at(second) }
    }

    #[test]
    fn it_lives_rests_and_lives_again() {
        let next = |phase, second| next(phase, TURN, Health::Well, Room::Enough, at(second));
        assert_eq!(next(Phase::Rests { until: at(0) }, 0), (lives(600), Step::Start));
        assert_eq!(next(lives(600), 599), (lives(600), Step::Stay));
        assert_eq!(next(lives(600), 600), (Phase::Rests { until: at(3_600) }, Step::Expire));
        assert_eq!(next(Phase::Rests { until: at(3_600) }, 3_600), (lives(4_200), Step::Start));
        assert_eq!(next(Phase::Off, 9_999), (Phase::Off, Step::Stay));
    }

    #[test]
    fn one_that_was_asked_for_once_does_not_come_again() {
        let once = Turn { rests_ms: None, ..TURN };
        for (phase, health) in [(lives(600), Health::Well), (lives(900), Health::Dead)] {
            assert_eq!(next(phase, once, health, Room::Enough, at(600)).0, Phase::Off);
        }
    }

    #[test]
    fn without_room_it_goes_and_its_time_runs_on() {
        let short = |phase, second| next(phase, TURN, Health::Well, Room::Short, at(second));
        let yields = Phase::Yields { until: at(600) };
        assert_eq!(next(lives(600), TURN, Health::Well, Room::Unknown, at(10)).1, Step::Yield, "missing is not room");
        assert_eq!(short(lives(600), 10), (yields, Step::Yield));
        assert_eq!(short(yields, 20), (yields, Step::Stay));
        assert_eq!(next(yields, TURN, Health::Well, Room::Enough, at(30)), (lives(600), Step::Start));
        assert_eq!(short(yields, 600), (Phase::Rests { until: at(3_600) }, Step::Expire));
        let rested = Phase::Rests { until: at(0) };
        assert_eq!(short(rested, 5), (rested, Step::Stay));
        assert_eq!(next(rested, TURN, Health::Well, Room::Unknown, at(5)), (rested, Step::Stay), "missing is not room");
    }

    #[test]
    fn one_that_failed_is_not_tried_again_before_the_next_turn() {
        for health in [Health::Dead, Health::Hung] {
            let (phase, step) = next(lives(600), TURN, health, Room::Enough, at(10));
            assert_eq!((phase, step), (Phase::Rests { until: at(3_010) }, Step::Fail));
            assert_eq!(next(phase, TURN, Health::Well, Room::Enough, at(3_009)).1, Step::Stay);
        }
    }
}
