//! Parquet files beside the nouns: each is a table of its own.

use std::path::{Path, PathBuf};

use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

use crate::session::SPILL_BYTES_MAX;
use crate::{Error, Session};

impl Session {
    /// A session over Parquet files alone: a table for each, under the name given with it. With one partition rows come in the
    /// order of the file.
    ///
    /// # Errors
    /// [`Error::File`] for one that is not there or is no Parquet.
    pub async fn over_files(
        files: &[(String, PathBuf)],
        memory_bytes_max: usize,
        partitions: usize,
    ) -> Result<Self, Error> {
        let config = SessionConfig::new().with_target_partitions(partitions);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(memory_bytes_max, 1.0)
            .with_max_temp_directory_size(SPILL_BYTES_MAX)
            .build_arc();
        let context = SessionContext::new_with_config_rt(config, runtime?);
        for (name, path) in files {
            register(&context, name, path).await?;
        }
        Ok(Self::of(context, memory_bytes_max))
    }
}

async fn register(context: &SessionContext, name: &str, path: &Path) -> Result<(), Error> {
    let failed = |source: crate::SourceError| Error::File { path: path.to_owned(), source };
    std::fs::metadata(path).map_err(|error| failed(error.into()))?;
    let text = path.to_str().ok_or_else(|| failed("its name is not UTF-8".into()))?;
    // A name without an ending of its own is read all the same.
    let options = ParquetReadOptions { file_extension: "", ..ParquetReadOptions::default() };
    context.register_parquet(name, text, options).await.map_err(|error| failed(error.strip_backtrace().into()))
}
