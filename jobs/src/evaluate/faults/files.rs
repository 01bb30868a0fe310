//! Labelled recordings from Parquet files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use arrow::array::{Array, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use query::Session;

use super::recording::Recording;
use super::sources;
use super::table::Table;

/// Most bytes of one file's rows.
const MEMORY_BYTES_MAX: usize = 1 << 30;

/// Reads every file, in the order given.
///
/// # Errors
/// The first file that is no labelled recording, with what is missing.
pub async fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<Recording>> {
    let mut all = Vec::with_capacity(files.len());
    for path in files {
        let table = read_table(path).await.with_context(|| path.display().to_string())?;
        all.push(sources::read(path, &table).with_context(|| path.display().to_string())?);
    }
    Ok(all)
}

/// All columns of a file: text as text, all else as numbers.
async fn read_table(path: &Path) -> anyhow::Result<Table> {
    // One after the other: some recordings have no time but the order of their rows.
    let session = Session::over_files(&[("recording".to_owned(), path.to_owned())], MEMORY_BYTES_MAX, 1).await?;
    let empty = session.sql("SELECT * FROM recording LIMIT 0").await?;
    let schema = empty.first().context("it has no columns")?.schema();
    let columns: Vec<(&str, bool)> =
        schema.fields().iter().map(|field| (field.name().as_str(), is_text(field.data_type()))).collect();
    let cast = |&(name, text): &(&str, bool)| {
        let kind = if text { "Utf8" } else { "Float64" };
        format!("arrow_cast(\"{name}\", '{kind}') AS \"{name}\"")
    };
    let statement = format!("SELECT {} FROM recording", columns.iter().map(cast).collect::<Vec<_>>().join(", "));
    table(&session.sql(&statement).await?, &columns)
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn table(rows: &[RecordBatch], columns: &[(&str, bool)]) -> anyhow::Result<Table> {
    let mut table = Table::new(rows.iter().map(RecordBatch::num_rows).sum());
    for (place, &(name, text)) in columns.iter().enumerate() {
        if text {
            let mut column = Vec::with_capacity(table.rows());
            for batch in rows {
                let array = batch.column(place).as_any().downcast_ref::<StringArray>().context("cast to text above")?;
                column.extend(array.iter().map(|value| value.unwrap_or_default().to_owned()));
            }
            table.add_text(name, column);
        } else {
            let mut column = Vec::with_capacity(table.rows());
            for batch in rows {
                let array =
                    batch.column(place).as_any().downcast_ref::<Float64Array>().context("cast to numbers above")?;
                column.extend(array.iter().map(|value| value.filter(|value| value.is_finite())));
            }
            table.add_numbers(name, column);
        }
    }
    Ok(table)
}
