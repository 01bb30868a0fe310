//! Samples as columns: the native lane.
//!
//! One message is one Arrow IPC stream with one record batch. The version and the noun stand in the schema's
//! metadata. Readings are nullable doubles with their unit and OpenTelemetry name as field metadata; a column that
//! the writer left out reads as null, a column that nobody knows is an error, since a misspelt reading must not
//! vanish silently.

mod head;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;

pub(crate) use self::head::Heads;
use crate::columns::time_type;
use crate::samples::{Builder, Names};
use crate::{EventTime, Metric, Role, Sample, TenantId, Topic};

/// The columns of a batch of samples: five of identity, then the metrics in order.
pub static SAMPLE_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(sample_schema);

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The bytes are no Arrow IPC stream, or a broken one.
    #[error("not an Arrow IPC stream: {0}")]
    Ipc(#[from] ArrowError),
    /// The stream holds no record batch, or one without rows.
    #[error("a batch of zero rows: write a message only when there are samples")]
    Empty,
    /// The schema names a version that this build does not read.
    #[error("unknown version {0} of samples: this build reads version 1")]
    Version(String),
    /// A column that must be there is not.
    #[error("column {0} is missing: every sample needs its time and workload")]
    Missing(&'static str),
    /// A column that nobody knows.
    #[error("unknown column {0}: the names stand in schemas/json/samples.v1.schema.json")]
    Unknown(String),
    /// A column of another type.
    #[error("column {name} is {found}, expected {expected}: cast it before encoding")]
    Type {
        /// The column.
        name: String,
        /// The type in the batch.
        found: DataType,
        /// The type in [`SAMPLE_SCHEMA`].
        expected: DataType,
    },
}

/// A row that is no sample, and why.
type RowFault = (usize, String);

/// Samples as one record batch.
#[must_use]
pub fn to_batch(samples: &[Sample]) -> RecordBatch {
    let times = samples.iter().map(|s| i64::try_from(s.time.millis()).expect("event times end in the year 9998"));
    let mut columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(samples.iter().map(|s| s.tenant.as_str()))),
        Arc::new(StringArray::from_iter_values(samples.iter().map(|s| s.workload.as_str()))),
        Arc::new(StringArray::from_iter_values(samples.iter().map(Sample::instance_name))),
        Arc::new(StringArray::from_iter_values(samples.iter().map(|s| s.role.name()))),
    ];
    for &metric in Metric::ALL {
        columns.push(Arc::new(samples.iter().map(|s| s.reading(metric)).collect::<Float64Array>()));
    }
    RecordBatch::try_new(Arc::clone(&SAMPLE_SCHEMA), columns).expect("the columns follow the schema")
}

/// Samples as one message of the native lane.
#[must_use]
pub fn encode(samples: &[Sample]) -> Vec<u8> {
    let batch = to_batch(samples);
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a vector takes every write");
    writer.write(&batch).expect("a vector takes every write");
    writer.into_inner().expect("a vector takes every write")
}

/// Reads a message of the native lane: its good rows, in order, and what is wrong with the others; how many rows it had.
///
/// # Errors
/// [`BatchError`] when the message as a whole cannot be read; nothing was added then. A fault of one row costs that row
/// alone.
pub(crate) fn decode(bytes: &[u8], into: &mut Builder) -> Result<(usize, Vec<RowFault>), BatchError> {
    let batches = match into.heads().batches(bytes) {
        Some(batches) => batches,
        None => read_batches(bytes, into.heads())?,
    };
    let (mut rows, mut faults) = (0, Vec::new());
    for batch in &batches {
        let found = read_rows(batch, into)?;
        faults.extend(found.into_iter().map(|(row, detail)| (rows + row, detail)));
        rows += batch.num_rows();
    }
    if rows == 0 { Err(BatchError::Empty) } else { Ok((rows, faults)) }
}

/// The batches of a message, the long way.
fn read_batches(bytes: &[u8], heads: &mut Heads) -> Result<Vec<RecordBatch>, BatchError> {
    // Pushed rather than read: a reader allocates whatever length a message claims, the decoder slices what is there.
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from(bytes);
    let mut batches = Vec::new();
    while let Some(batch) = decoder.decode(&mut buffer)? {
        check_schema(&batch.schema())?;
        batches.push(batch);
    }
    decoder.finish()?;
    if !batches.is_empty() {
        heads.remember(bytes);
    }
    Ok(batches)
}

fn sample_schema() -> SchemaRef {
    let mut fields = vec![
        Field::new("time", time_type(), false),
        Field::new("tenant", DataType::Utf8, false),
        Field::new("workload", DataType::Utf8, false),
        Field::new("instance", DataType::Utf8, false),
        Field::new("role", DataType::Utf8, false),
    ];
    fields.extend(Metric::ALL.iter().map(|metric| {
        let metadata = HashMap::from([
            ("unit".to_owned(), metric.unit().to_owned()),
            ("otel.name".to_owned(), metric.otel().0.to_owned()),
        ]);
        Field::new(metric.name(), DataType::Float64, true).with_metadata(metadata)
    }));
    let metadata = HashMap::from([
        ("foreshadow.noun".to_owned(), Topic::Samples.noun().to_owned()),
        ("foreshadow.version".to_owned(), "1".to_owned()),
    ]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

fn check_schema(schema: &Schema) -> Result<(), BatchError> {
    match schema.metadata().get("foreshadow.version").map(String::as_str) {
        None | Some("1") => {}
        Some(other) => return Err(BatchError::Version(other.to_owned())),
    }
    for field in schema.fields() {
        let Ok(known) = SAMPLE_SCHEMA.field_with_name(field.name()) else {
            return Err(BatchError::Unknown(field.name().clone()));
        };
        if known.data_type() != field.data_type() {
            return Err(BatchError::Type {
                name: field.name().clone(),
                found: field.data_type().clone(),
                expected: known.data_type().clone(),
            });
        }
    }
    ["time", "workload"]
        .into_iter()
        .try_for_each(|name| schema.field_with_name(name).map(|_| ()).map_err(|_| BatchError::Missing(name)))
}

fn read_rows(batch: &RecordBatch, into: &mut Builder) -> Result<Vec<RowFault>, BatchError> {
    let text = |name| batch.column_by_name(name).map(|column| column.as_string::<i32>());
    let times = batch.column_by_name("time").ok_or(BatchError::Missing("time"))?;
    let identity = Identity {
        times: times.as_primitive::<TimestampMillisecondType>(),
        tenants: text("tenant"),
        workloads: text("workload").ok_or(BatchError::Missing("workload"))?,
        instances: text("instance"),
        roles: text("role"),
    };
    let readings: Vec<(Metric, &Float64Array)> = Metric::ALL
        .iter()
        .filter_map(|&metric| Some((metric, batch.column_by_name(metric.name())?.as_primitive::<Float64Type>())))
        .collect();
    let whole = readings.iter().all(|(metric, column)| column.null_count() == 0 && metric.all_good(column.values()));
    let first = into.len();
    let (mut good, mut faults) = (Vec::with_capacity(batch.num_rows()), Vec::new());
    for row in 0..batch.num_rows() {
        let checked = if whole { Ok(()) } else { check_readings(&readings, row) };
        match checked.and_then(|()| identity.read(row, into)) {
            Ok((time_ms, who)) => {
                into.push_row(time_ms, who);
                good.push(row);
            }
            Err(detail) => faults.push((row, detail)),
        }
    }
    for (metric, column) in readings {
        if column.null_count() == column.len() {
            continue;
        }
        if whole && faults.is_empty() {
            into.extend(metric, first, column.values().iter().copied());
        } else {
            let value = |&row: &usize| if column.is_valid(row) { column.value(row) } else { f64::NAN };
            into.extend(metric, first, good.iter().map(value));
        }
    }
    Ok(faults)
}

fn check_readings(readings: &[(Metric, &Float64Array)], row: usize) -> Result<(), String> {
    readings
        .iter()
        .filter(|(_, column)| column.is_valid(row))
        .try_for_each(|(metric, column)| metric.check(column.value(row)).map_err(|fault| fault.to_string()))
}

struct Identity<'a> {
    times: &'a TimestampMillisecondArray,
    tenants: Option<&'a StringArray>,
    workloads: &'a StringArray,
    instances: Option<&'a StringArray>,
    roles: Option<&'a StringArray>,
}

impl Identity<'_> {
    /// A row's time, and the place of its names.
    fn read(&self, row: usize, into: &mut Builder) -> Result<(u64, u32), String> {
        if self.times.is_null(row) {
            return Err("time is null: every sample needs its time".to_owned());
        }
        let millis = u64::try_from(self.times.value(row)).map_err(|_| "time is before 1970".to_owned())?;
        if millis > EventTime::MAX.millis() {
            return Err(format!("time {millis} is after the year 9998: milliseconds are expected"));
        }
        let role = text(self.roles, row).map_or(Ok(Role::Primary), |role| {
            let known = Role::of_name(role);
            known.ok_or_else(|| format!("role \"{role}\" is unknown: primary, shadow, canary or baseline is expected"))
        });
        let names = Names {
            tenant: text(self.tenants, row).unwrap_or(TenantId::DEFAULT),
            workload: text(Some(self.workloads), row).ok_or("workload is null: every sample needs one")?,
            instance: text(self.instances, row),
            role: role?,
        };
        Ok((millis, into.place(&names)?))
    }
}

fn text(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
}
