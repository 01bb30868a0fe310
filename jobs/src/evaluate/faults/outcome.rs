//! Alarms held against labelled faults.

use std::collections::BTreeMap;

use serde::Serialize;

use super::recording::{Event, Recording};

const SECONDS_PER_DAY: f64 = 86_400.0;

/// Counts of one recording, or of several together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    events: usize,
    /// Steps from the beginning of each found fault to its first alarm.
    delays: Vec<u64>,
    /// Alarms while nothing was wrong.
    false_alarms: usize,
    /// Alarms on the entity of a fault, after the first.
    repeated: usize,
    /// Alarms on other entities, or on a fault's own while it settles.
    consequences: usize,
    series_days: f64,
}

/// What a recording came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Labelled faults.
    pub events: usize,
    /// Faults with an alarm on their entity in their time.
    pub found: usize,
    /// Found faults over all; `None` without faults.
    pub recall: Option<f64>,
    /// Found faults over found faults and false alarms; `None` without either.
    pub precision: Option<f64>,
    /// Median steps from a fault's beginning to its alarm, 0 at its first row; `None` where none was found.
    pub median_delay_steps: Option<f64>,
    /// Alarms while nothing was wrong, over entities times days.
    pub false_alarms_per_series_day: f64,
    /// Alarms while nothing was wrong.
    pub false_alarms: usize,
    /// Alarms on other entities while a fault was on, or on its own while it settled: neither right nor false.
    pub consequences: usize,
    /// Entities times days.
    pub series_days: f64,
}

impl Outcome {
    /// Holds each entity's alarms, by the places of their rows, against a recording.
    #[must_use]
    pub fn new(recording: &Recording, alarms: &[Vec<usize>]) -> Self {
        let mut outcome = Self { events: recording.events.len(), ..Self::default() };
        let mut found: BTreeMap<usize, u64> = BTreeMap::new();
        for (place, (entity, alarms)) in recording.entities.iter().zip(alarms).enumerate() {
            outcome.series_days += entity.times_s.len() as f64 * recording.step_s as f64 / SECONDS_PER_DAY;
            for &at in alarms {
                let time = entity.times_s[at];
                let own = |event: &Event| event.entity == place && (event.start_s..=event.end_s).contains(&time);
                let explains = |event: &Event| (event.start_s..=event.settled_s).contains(&time);
                if let Some(event) = recording.events.iter().rposition(own) {
                    let start_s = recording.events[event].start_s;
                    let since = || (at - entity.times_s.partition_point(|time| *time < start_s)) as u64;
                    outcome.repeated += usize::from(found.contains_key(&event));
                    found.entry(event).or_insert_with(since);
                } else if recording.events.iter().any(explains) {
                    outcome.consequences += 1;
                } else {
                    outcome.false_alarms += 1;
                }
            }
        }
        outcome.delays = found.into_values().collect();
        outcome
    }

    /// Two outcomes as one.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.events += other.events;
        self.delays.extend(&other.delays);
        self.false_alarms += other.false_alarms;
        self.repeated += other.repeated;
        self.consequences += other.consequences;
        self.series_days += other.series_days;
        self
    }

    /// Precision, recall, delay and rate.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let found = self.delays.len();
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        Figures {
            events: self.events,
            found,
            recall: share(found, self.events),
            precision: share(found, found + self.false_alarms),
            median_delay_steps: median(&self.delays),
            false_alarms_per_series_day: self.false_alarms as f64 / self.series_days.max(f64::MIN_POSITIVE),
            false_alarms: self.false_alarms,
            consequences: self.consequences,
            series_days: self.series_days,
        }
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[u64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((lower + upper) as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::recording::Entity;
    use super::*;

    /// Two entities of 1440 minutes, one fault on the first from minute 100 to 105, settled at 108.
    fn recording() -> Recording {
        let entity = |name: &str| Entity {
            name: name.to_owned(),
            aspects: vec![0],
            times_s: (0..1440).map(|minute| minute * 60).collect(),
            rows: vec![vec![None]; 1440],
        };
        let event = Event { entity: 0, start_s: 5990, end_s: 6300, settled_s: 6480 };
        Recording {
            name: String::new(),
            step_s: 60,
            entities: vec![entity("a"), entity("b")],
            events: vec![event],
            left_out: Vec::new(),
        }
    }

    #[test]
    fn alarms_are_hits_consequences_or_false() {
        // On the first: false at 50, found at 101 (rows 100 and on are of the fault: one step late), repeated at 103,
        // settling at 107. On the second: consequence at 102, false at 500 and 900.
        let outcome = Outcome::new(&recording(), &[vec![50, 101, 103, 107], vec![102, 500, 900]]);
        let figures = outcome.figures();
        assert_eq!((figures.events, figures.found, figures.false_alarms, figures.consequences), (1, 1, 3, 2));
        // 3 false alarms over two series-days; one right of four that count.
        assert_eq!((figures.false_alarms_per_series_day, figures.precision), (1.5, Some(0.25)));
        assert_eq!((figures.recall, figures.median_delay_steps), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn nothing_found_has_no_delay_and_no_precision() {
        let figures = Outcome::new(&recording(), &[vec![], vec![]]).figures();
        assert_eq!((figures.recall, figures.precision, figures.median_delay_steps), (Some(0.0), None, None));
    }

    #[test]
    fn outcomes_add_up() {
        let one = Outcome::new(&recording(), &[vec![101], vec![]]);
        let two = Outcome::new(&recording(), &[vec![104], vec![7]]);
        let both = one.plus(&two).figures();
        // Delays of 1 and 4 steps: the median of two is their mean.
        assert_eq!((both.events, both.found, both.median_delay_steps, both.series_days), (2, 2, Some(2.5), 4.0));
    }
}
