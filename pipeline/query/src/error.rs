//! What can go wrong, in words for whoever asked.

use std::path::{Path, PathBuf};

use datafusion::error::DataFusionError;

use crate::SourceError;

/// A statement that was not answered, or history that was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement would change something.
    #[error("refused: {0}. SQL here only reads: records are written to their topics by those who own them")]
    Refused(String),
    /// The statement cannot be planned or carried out.
    #[error("{message}{mend}")]
    Sql {
        /// What is wrong, in the query engine's words.
        message: String,
        /// What helps; empty where the message says it.
        mend: String,
    },
    /// The answer, or the live rows that it needs, do not fit in memory.
    #[error("{what} need more than {bytes_max} bytes: narrow them by time, add LIMIT, or raise memory_bytes_max")]
    Large {
        /// What is too large.
        what: String,
        /// The bound.
        bytes_max: usize,
    },
    /// The source could not be read.
    #[error("cannot read topic {topic}: {source}")]
    Source {
        /// The topic's full name.
        topic: &'static str,
        /// The source's reason.
        source: SourceError,
    },
    /// A folder or file of history could not be read or written.
    #[error("history at {path}: {source}: check that the folder is there, may be written and has space")]
    History {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: SourceError,
    },
    /// The settings of history cannot be used with the folder.
    #[error("history at {path}: {fault}")]
    Slots {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and the mend.
        fault: String,
    },
    /// A file of rows could not be read.
    #[error("{path}: {source}: give a Parquet file")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: SourceError,
    },
    /// Rows could not be printed.
    #[error("cannot print the rows: {0}")]
    Print(#[from] arrow::error::ArrowError),
}

impl Error {
    pub(crate) fn history(path: &Path, source: impl Into<SourceError>) -> Self {
        Self::History { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn sql(error: &DataFusionError, mend: String) -> Self {
        Self::Sql { message: plain(error), mend }
    }
}

impl From<DataFusionError> for Error {
    /// An error of ours that passed through the engine comes out as it was.
    fn from(error: DataFusionError) -> Self {
        let error = match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(ours) => return *ours,
                Err(other) => DataFusionError::External(other),
            },
            other => other,
        };
        let mend = match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => ". Narrow the statement by time, or raise memory_bytes_max",
            _ => "",
        };
        Self::sql(&error, mend.to_owned())
    }
}

/// The innermost message, without the names of the wrappers.
fn plain(error: &DataFusionError) -> String {
    match error {
        DataFusionError::External(inner) => inner.to_string(),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => plain(inner),
        DataFusionError::Shared(inner) => plain(inner),
        other => other.strip_backtrace(),
    }
}
