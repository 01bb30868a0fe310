//! Bytes of the samples topic into samples: the lanes, told apart by content type, then by the first bytes.
//!
//! [`append`] adds the rows to columns, for whoever reads many messages; [`samples`] gives them one by one.

mod line;

use serde_json::Value;

use crate::batch::{self, BatchError};
use crate::samples::Builder;
use crate::{EventTime, RejectReason, Sample, caught};

/// Content type of the native lane.
pub const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// Content type of the JSON lane.
pub const JSON: &str = "application/json";

/// Largest message that is read, in bytes: 16 MiB, which holds 8192 samples many times over.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Why a whole message was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The reason's code.
    pub reason: RejectReason,
    /// What is wrong, where, and the mend.
    pub detail: String,
}

/// One row of a message: a sample, or why it is none.
pub type Row = Result<Sample, String>;

/// What a message held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// How many rows it had.
    pub rows: usize,
    /// The rows that are no samples, in order, and why: the mend within.
    pub faults: Vec<(usize, String)>,
}

impl Read {
    /// The rows that are samples, by their place in the message: as many as were added, in order.
    pub fn good(&self) -> impl Iterator<Item = usize> {
        let mut faults = self.faults.iter().map(|(row, _)| *row).peekable();
        (0..self.rows).filter(move |row| faults.next_if_eq(row).is_none())
    }
}

/// Reads one message and adds its rows that are samples to `into`, in order.
///
/// `log_time` is the log's own time of the record; a JSON sample without a time gets it.
///
/// # Errors
/// [`Fault`] when the message as a whole cannot be read. Never panics, whatever the bytes.
pub fn append(
    content_type: Option<&str>,
    bytes: &[u8],
    log_time: EventTime,
    into: &mut Builder,
) -> Result<Read, Fault> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        let detail =
            format!("a message of {} bytes: at most {MESSAGE_BYTES_MAX} are read, split the batch", bytes.len());
        return Err(Fault { reason: RejectReason::TooLarge, detail });
    }
    match lane(content_type, bytes)? {
        Lane::Arrow => arrow(bytes, into),
        Lane::Json => {
            if let Some(rows) = line::append(bytes, log_time, into) {
                return Ok(Read { rows, faults: Vec::new() });
            }
            let rows = json(bytes, log_time)?;
            let mut read = Read { rows: rows.len(), faults: Vec::new() };
            for (at, row) in rows.into_iter().enumerate() {
                match row {
                    Ok(sample) => into.push(&sample),
                    Err(detail) => read.faults.push((at, detail)),
                }
            }
            Ok(read)
        }
    }
}

/// Reads one message: its rows in order, each a sample or the reason why it is none. As [`append`] otherwise.
///
/// # Errors
/// [`Fault`] when the message as a whole cannot be read.
pub fn samples(content_type: Option<&str>, bytes: &[u8], log_time: EventTime) -> Result<Vec<Row>, Fault> {
    let mut builder = Builder::default();
    let read = append(content_type, bytes, log_time, &mut builder)?;
    let columns = builder.take();
    let mut rows: Vec<Option<Row>> = vec![None; read.rows];
    for (place, row) in read.good().enumerate() {
        rows[row] = Some(Ok(columns.sample(place)));
    }
    for (row, detail) in read.faults {
        rows[row] = Some(Err(detail));
    }
    Ok(rows.into_iter().flatten().collect())
}

enum Lane {
    Arrow,
    Json,
}

fn lane(content_type: Option<&str>, bytes: &[u8]) -> Result<Lane, Fault> {
    match content_type.map(|text| text.split(';').next().unwrap_or(text).trim()) {
        Some(ARROW_STREAM) => return Ok(Lane::Arrow),
        Some(JSON) => return Ok(Lane::Json),
        Some(other) => {
            let detail = format!("content type \"{other}\" is not read here: use {ARROW_STREAM} or {JSON}");
            return Err(Fault { reason: RejectReason::ContentType, detail });
        }
        None => {}
    }
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Ok(Lane::Json),
        Some(0xff) => Ok(Lane::Arrow),
        _ => {
            let detail = "the bytes start neither a JSON object or array nor an Arrow IPC stream".to_owned();
            Err(Fault { reason: RejectReason::Undecodable, detail })
        }
    }
}

fn arrow(bytes: &[u8], into: &mut Builder) -> Result<Read, Fault> {
    let rows_before = into.len();
    // The reader validates what it reads; hostile lengths and offsets that slip past it must still be an error row.
    let outcome = caught(|| batch::decode(bytes, into));
    if !matches!(outcome, Some(Ok(_))) {
        into.truncate(rows_before);
    }
    let error = match outcome {
        Some(Ok((rows, faults))) => return Ok(Read { rows, faults }),
        Some(Err(error)) => error,
        None => {
            let detail = "the Arrow reader gave up on the bytes: they are no valid IPC stream".to_owned();
            return Err(Fault { reason: RejectReason::Undecodable, detail });
        }
    };
    let reason = match error {
        BatchError::Ipc(_) => RejectReason::Undecodable,
        BatchError::Empty => RejectReason::EmptyBatch,
        BatchError::Version(_) => RejectReason::UnknownVersion,
        BatchError::Missing(_) | BatchError::Unknown(_) | BatchError::Type { .. } => RejectReason::Schema,
    };
    Err(Fault { reason, detail: error.to_string() })
}

fn json(bytes: &[u8], log_time: EventTime) -> Result<Vec<Row>, Fault> {
    if let Ok(sample) = serde_json::from_slice::<Sample>(bytes) {
        return Ok(vec![complete(sample, log_time)]);
    }
    if let Ok(samples) = serde_json::from_slice::<Vec<Sample>>(bytes)
        && !samples.is_empty()
    {
        return Ok(samples.into_iter().map(|sample| complete(sample, log_time)).collect());
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Array(rows)) if rows.is_empty() => {
            let detail = "an array of zero samples: write a message only when there are samples".to_owned();
            Err(Fault { reason: RejectReason::EmptyBatch, detail })
        }
        Ok(Value::Array(rows)) => Ok(rows.into_iter().map(|row| json_row(row, log_time)).collect()),
        // Parsed again from the bytes: only then does the error name line and column.
        Ok(_) => Err(json_fault(bytes)),
        Err(error) => Err(Fault { reason: RejectReason::Undecodable, detail: format!("not JSON: {error}") }),
    }
}

fn json_row(row: Value, log_time: EventTime) -> Row {
    serde_json::from_value::<Sample>(row)
        .map_err(|error| error.to_string())
        .and_then(|sample| complete(sample, log_time))
}

fn json_fault(bytes: &[u8]) -> Fault {
    let detail = match serde_json::from_slice::<Sample>(bytes) {
        Ok(_) => "not a sample".to_owned(),
        Err(error) => format!("not a sample: {error}"),
    };
    let unknown = detail.contains("unknown version");
    Fault { reason: if unknown { RejectReason::UnknownVersion } else { RejectReason::Schema }, detail }
}

fn complete(mut sample: Sample, log_time: EventTime) -> Row {
    if sample.time == EventTime::default() {
        sample.time = log_time;
    }
    sample.check().map_err(|fault| fault.to_string())?;
    Ok(sample)
}
