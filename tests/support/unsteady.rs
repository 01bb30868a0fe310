//! Workloads that are calm and wild by turns, and champions made by hand.
//!
//! The networks add so many *units* to the moving average, where a unit is how far the window's values lie from its newest:
//! each answers unlike the others, so that forecasts show which of them served.

use std::collections::BTreeMap;

use forecast::lstm::input::{BASES, INPUT_VERSION, OUTPUTS};
use forecast::lstm::{Card, Data, TrainSettings, Weights};
use schemas::{EventTime, Metric, Model, ModelId, Role, Sample, V1};

use crate::fixtures::name;

/// Length of a step that these workloads are made for, in seconds.
pub const STEP_S: u64 = 2;

/// How long a workload is calm, and then wild, in seconds: longer than the window of 60 steps.
const TURN_S: u64 = 200;

/// Both roles of a workload at a second of its life.
#[must_use]
pub fn samples(workload: u64, begin: EventTime, second: u64) -> Vec<Sample> {
    let wild = (second + 37 * workload) / TURN_S % 2 == 1;
    let sway = plant::noise::uniform(7, workload, second / STEP_S) * 2.0 - 1.0;
    let used = 2.0 + if wild { sway } else { 0.01 * sway };
    [Role::Primary, Role::Shadow]
        .map(|role| {
            let mut sample = Sample::new(begin.plus(second * 1_000), name(workload));
            sample.role = role;
            let share = if role == Role::Shadow { 0.75 } else { 1.0 };
            sample.set(Metric::CpuUsed, Some(used * share));
            sample.set(Metric::CpuLimit, Some(6.0 * share));
            sample.set(Metric::MemoryWorkingSet, Some(1e9 * used * share));
            sample.set(Metric::MemoryLimit, Some(8e9 * share));
            sample
        })
        .into()
}

/// The record of a champion that adds `units` to the moving average.
///
/// # Panics
/// For a name that is none.
#[must_use]
pub fn champion(model: &str, units: f32, time: EventTime) -> Model {
    let mut record = Model {
        version: V1,
        time,
        model: ModelId::new(model).expect("a name"),
        artifact: format!("made by hand: {units} units above the moving average"),
        sha256: String::new(),
        artifact_base64: None,
        input_version: Some(INPUT_VERSION),
        trained_from: time,
        trained_to: time,
        data_sha256: None,
        settings: std::collections::BTreeMap::new(),
        scores: std::collections::BTreeMap::new(),
        verdict: None,
        champion: true,
    };
    record.carry(&artifact(units, INPUT_VERSION)).expect("a small network");
    record
}

/// The artifact of such a champion, for a version of the inputs.
#[must_use]
pub fn artifact(units: f32, input_version: u32) -> Vec<u8> {
    const HIDDEN: usize = 8;
    // Behind the newest value and the blend.
    const MOVING_AVERAGE: usize = 2;
    // What every other output takes: e⁻²⁰ is nothing, be it a base's share or a width.
    let mut outputs = [-20.0; OUTPUTS];
    outputs[MOVING_AVERAGE] = 20.0;
    outputs[BASES] = units;
    let card = Card {
        input_version,
        hidden: HIDDEN,
        trained_on: "nothing".to_owned(),
        seed: 0,
        settings: TrainSettings::default(),
        data: Data::default(),
        scores: BTreeMap::new(),
    };
    Weights::constant(HIDDEN, outputs).to_bytes(&card)
}
