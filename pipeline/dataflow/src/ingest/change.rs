//! A record of the control plane as a change.

use schemas::EventTime;

use crate::Delivery;
use crate::records::{Change, ControlNoun};

/// A record of the control plane, checked, with the log's time where it has none of its own.
pub(super) fn change(delivery: &Delivery, noun: ControlNoun) -> Result<Change, String> {
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
