//! Rows as text: a table for people, JSON for programs.

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited};
use datafusion::arrow::util::pretty::pretty_format_batches;

use crate::Error;

/// An aligned table with a header; null is an empty cell.
///
/// # Errors
/// [`Error::Print`] for a type that has no text form.
pub fn table(rows: &[RecordBatch]) -> Result<String, Error> {
    Ok(pretty_format_batches(rows)?.to_string())
}

/// One JSON object a row and line, each line ended; times in RFC 3339, null spelt out.
///
/// # Errors
/// [`Error::Print`] for a type that has no JSON form.
pub fn json_lines(rows: &[RecordBatch]) -> Result<String, Error> {
    json::<LineDelimited>(rows)
}

/// One JSON array with an object a row, as in [`json_lines`].
///
/// # Errors
/// [`Error::Print`] for a type that has no JSON form.
pub fn json_array(rows: &[RecordBatch]) -> Result<String, Error> {
    json::<JsonArray>(rows)
}

fn json<F: JsonFormat>(rows: &[RecordBatch]) -> Result<String, Error> {
    // Nulls are spelt out: a program must tell a value that is missing from a column that is.
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, F>(Vec::new());
    writer.write_batches(&rows.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    Ok(String::from_utf8(writer.into_inner()).expect("JSON is UTF-8"))
}

#[cfg(test)]
mod tests {
    use schemas::Topic;

    use super::*;
    use crate::fixtures;

    fn rows() -> RecordBatch {
        let rows = fixtures::batch(Topic::Samples, &[fixtures::json(Topic::Samples)]);
        // time, cpu_used_cores, cpu_limit_cores
        rows.project(&[0, 5, 6]).expect("the columns are there")
    }

    #[test]
    fn people_get_a_table() {
        let expected = "\
+----------------------+----------------+-----------------+
| time                 | cpu_used_cores | cpu_limit_cores |
+----------------------+----------------+-----------------+
| 1970-01-01T00:00:01Z | 0.5            |                 |
+----------------------+----------------+-----------------+";
        assert_eq!(table(&[rows()]).expect("plain types"), expected);
    }

    #[test]
    fn programs_get_json() {
        let row = r#"{"time":"1970-01-01T00:00:01Z","cpu_used_cores":0.5,"cpu_limit_cores":null}"#;
        assert_eq!(json_lines(&[rows(), rows()]).expect("plain types"), format!("{row}\n{row}\n"));
        assert_eq!(json_array(&[rows(), rows()]).expect("plain types"), format!("[{row},{row}]"));
    }

    #[test]
    fn no_rows_are_valid_text_too() {
        let none = rows().slice(0, 0);
        assert_eq!(json_lines(std::slice::from_ref(&none)).expect("plain types"), "");
        assert_eq!(json_array(std::slice::from_ref(&none)).expect("plain types"), "[]");
        assert!(table(&[none]).expect("plain types").contains("cpu_used_cores"), "the header stays");
    }
}
