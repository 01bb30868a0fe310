//! A record of the control plane as a change.

use forecast::lstm::Weights;
use schemas::{ArtifactFault, EventTime, Model, Noun, Outcome, Pool, RejectReason, Workload};

use crate::Delivery;
use crate::records::{Change, ControlNoun};

/// Why a record is none: the reason's code, and what is wrong with the mend.
type Refusal = (RejectReason, String);

/// A record of the control plane, checked, with the log's time where it has none of its own.
pub(super) fn change(delivery: &Delivery, noun: ControlNoun) -> Result<Change, Refusal> {
    let mut change =
        Change { noun, key: delivery.key.clone(), time: delivery.time.millis(), offset: delivery.offset, value: None };
    let Some(value) = &delivery.value else { return Ok(change) };
    let timed = |time: EventTime| if time == EventTime::default() { delivery.time } else { time };
    let (key, time, json) = match noun {
        ControlNoun::Workloads => {
            let record: Workload = read(value)?;
            checked(record.faults())?;
            (record.workload.to_string(), timed(record.time), Some(record.to_json()))
        }
        ControlNoun::Pools => {
            let record: Pool = read(value)?;
            checked(record.faults())?;
            (record.pool.to_string(), timed(record.time), Some(record.to_json()))
        }
        ControlNoun::Outcomes => {
            let record: Outcome = read(value)?;
            (record.workload.to_string(), timed(record.time), Some(record.to_json()))
        }
        ControlNoun::Models => {
            let record: Model = read(value)?;
            let serves = record.champion.then(|| fit_to_serve(&record).map(|()| record.to_json()));
            (record.model.to_string(), timed(record.time), serves.transpose()?)
        }
    };
    (change.key, change.time) = (key, time.millis());
    change.value = json.map(|json| String::from_utf8(json).expect("JSON is UTF-8"));
    Ok(change)
}

fn read<N: Noun>(value: &[u8]) -> Result<N, Refusal> {
    N::from_json(value).map_err(|error| {
        let detail = error.to_string();
        let unknown = detail.contains("unknown version");
        (if unknown { RejectReason::UnknownVersion } else { RejectReason::Schema }, detail)
    })
}

fn checked(faults: Vec<String>) -> Result<(), Refusal> {
    if faults.is_empty() { Ok(()) } else { Err((RejectReason::Schema, faults.join("; "))) }
}

/// Tries a champion's artifact: what cannot serve must not displace what does.
fn fit_to_serve(record: &Model) -> Result<(), Refusal> {
    let about = |error: &dyn std::fmt::Display| format!("model {}: {error}", record.model);
    let artifact = record.carried().map_err(|fault| {
        let large = matches!(fault, ArtifactFault::TooLarge(_));
        (if large { RejectReason::TooLarge } else { RejectReason::Artifact }, about(&fault))
    })?;
    Weights::from_bytes(&artifact).map(drop).map_err(|error| (RejectReason::Artifact, about(&error)))
}
