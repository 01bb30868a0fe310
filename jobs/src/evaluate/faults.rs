//! Labelled faults: how many the detector finds, how soon, and how often it cries wolf.
//!
//! Each entity is streamed once, in order, through the product's detector, [`anomaly::JointNovelty`], whose memory starts
//! empty. Two operating points are told:
//!
//! - `stated`: the detector's own threshold, for the stated rate of [`ALARMS_PER_DAY`] false alarms a day.
//! - `limited`: that threshold times one factor, the same for all files, the least with at most one false alarm a
//!   series-day over all of them.
//!
//! An alarm on the entity of a fault, from its beginning to its end, finds it. Alarms elsewhere in that time are counted
//! as its consequences, neither right nor false. Every other alarm is false, also one of the first minutes.
//!
//! The detector's constants were chosen on recordings of two applications (Nezha's and Sock Shop): their figures are those of
//! data that it was made with.

mod files;
mod outcome;
mod recording;
mod sources;
mod table;

use anomaly::{JointNovelty, NoveltySettings};
use serde::Serialize;

pub use files::read_all;
pub use outcome::{Figures, Outcome};
pub use recording::{Entity, Event, Recording};
pub use sources::read;
pub use table::Table;

/// The rate that the detector is told: half of what is allowed.
pub const ALARMS_PER_DAY: f64 = 0.5;

/// The most false alarms a series-day at the operating point `limited`.
pub const LIMIT_PER_DAY: f64 = 1.0;

/// Steps before an entity's first alarm.
const LEARNING_STEPS: u32 = 30;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// One line of the verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The file, or `all`.
    pub file: String,
    /// `stated` or `limited`.
    pub operating: &'static str,
    /// What the detector's own threshold was multiplied with.
    pub factor: f64,
    /// What came of it.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A recording, and for each row of each entity the score over its threshold; 0 before there is one.
pub struct Streamed {
    recording: Recording,
    ratios: Vec<Vec<f64>>,
}

impl Streamed {
    /// Streams every entity.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        let rate = ALARMS_PER_DAY * recording.step_s as f64 / SECONDS_PER_DAY;
        let ratios = recording.entities.iter().map(|entity| ratios(entity, rate)).collect();
        Self { recording, ratios }
    }

    fn outcome(&self, factor: f64) -> Outcome {
        let beyond = |ratios: &Vec<f64>| -> Vec<usize> {
            ratios.iter().enumerate().filter(|(_, ratio)| **ratio > factor).map(|(at, _)| at).collect()
        };
        Outcome::new(&self.recording, &self.ratios.iter().map(beyond).collect::<Vec<_>>())
    }
}

fn ratios(entity: &Entity, alarm_rate: f64) -> Vec<f64> {
    let settings = NoveltySettings { learning_steps: LEARNING_STEPS, alarm_rate, ..NoveltySettings::default() };
    let mut detector = JointNovelty::new(settings, &entity.aspects);
    let ratio = |row: &Vec<Option<f64>>| {
        let judgement = detector.observe(row);
        judgement.threshold.map_or(0.0, |threshold| judgement.score / threshold.max(f64::MIN_POSITIVE))
    };
    entity.rows.iter().map(ratio).collect()
}

/// Both operating points, for all files together and for each.
#[must_use]
pub fn verdict(files: &[Streamed]) -> Vec<Row> {
    let points = [("stated", 1.0), ("limited", limited(files))];
    let rows = points.iter().flat_map(|&(operating, factor)| {
        let row = move |file: &str, outcome: Outcome| Row {
            file: file.to_owned(),
            operating,
            factor,
            figures: outcome.figures(),
        };
        let each = files.iter().map(move |file| row(&file.recording.name, file.outcome(factor)));
        std::iter::once(row("all", total(files, factor))).chain(each)
    });
    rows.collect()
}

fn total(files: &[Streamed], factor: f64) -> Outcome {
    files.iter().fold(Outcome::default(), |sum, file| sum.plus(&file.outcome(factor)))
}

/// The least factor with at most [`LIMIT_PER_DAY`] false alarms a series-day, to a hundredth.
fn limited(files: &[Streamed]) -> f64 {
    let factors = (10..=1000).map(|hundredths| f64::from(hundredths) / 100.0);
    let fits = |factor: &f64| total(files, *factor).figures().false_alarms_per_series_day <= LIMIT_PER_DAY;
    factors.into_iter().find(fits).unwrap_or(f64::INFINITY)
}
