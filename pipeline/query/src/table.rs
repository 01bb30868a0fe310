//! One topic as a table: files of history, then live rows.

use std::fs;
use std::sync::Arc;

use arrow::array::TimestampMillisecondArray;
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::cmp::gt_eq;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as StorePath;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use schemas::{Cleanup, EventTime, Topic};

use crate::folder::{Folder, SlotFile};
use crate::{Bounds, Error, Source, schema_of, time_filter};

/// A topic's table. A scan reads the source at once, on a thread that may block, and the files while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) topic: Topic,
    pub(crate) live: Option<Arc<dyn Source>>,
    pub(crate) history: Option<Folder>,
    pub(crate) records_max: Option<usize>,
    /// Most bytes of live rows that one scan holds.
    pub(crate) live_bytes_max: usize,
}

/// What a scan reads: files in the order of their slots, and the live rows after them.
struct Rows {
    files: Vec<PartitionedFile>,
    live: Vec<RecordBatch>,
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        schema_of(self.topic)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Every filter helps to skip files or records, none is applied to single rows here.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bounds = Bounds { records_max: self.records_max, ..time_filter::bounds(filters) };
        let table = self.clone();
        let read = tokio::task::spawn_blocking(move || table.read(&bounds)).await;
        let rows = read.map_err(external)?.map_err(external)?;

        let memory = MemorySourceConfig::try_new(&[rows.live], self.schema(), projection.cloned())?.with_limit(limit);
        let live: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(memory);
        if rows.files.is_empty() {
            return Ok(live);
        }
        let parquet = Arc::new(ParquetSource::new(self.schema()));
        let history = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), parquet)
            .with_file_group(rows.files.into())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        UnionExec::try_new(vec![DataSourceExec::from_data_source(history), live])
    }
}

impl Table {
    /// Whether only the newest record of a key is a row.
    fn compacted(&self) -> bool {
        self.topic.cleanup() == Cleanup::Compact
    }

    fn read(&self, bounds: &Bounds) -> Result<Rows, Error> {
        let mut files = Vec::new();
        let mut live_from = bounds.from;
        if let Some(folder) = self.history.as_ref().filter(|_| self.live.is_none() || !self.compacted()) {
            files = folder.files(self.topic)?;
            if self.live.is_some() {
                let whole = files.iter().rposition(|file| file.whole);
                // Invariant: what lies before the end of the newest whole slot is read from files, the rest live.
                files.truncate(whole.map_or(0, |newest| newest + 1));
                live_from = live_from.max(files.last().map(|newest| folder.end(newest.start)));
            }
            files.retain(|file| within(folder, file, bounds));
        }
        let live = self.read_live(&Bounds { from: live_from, ..bounds.clone() })?;
        let files = files.iter().map(|file| stored(file).map_err(|error| Error::history(&file.path, error)));
        Ok(Rows { files: files.collect::<Result<_, _>>()?, live })
    }

    fn read_live(&self, bounds: &Bounds) -> Result<Vec<RecordBatch>, Error> {
        let Some(source) = &self.live else { return Ok(Vec::new()) };
        let failed = |source| Error::Source { topic: self.topic.name(), source };
        let mut batches = if self.compacted() {
            source.read(self.topic, &Bounds::default()).map_err(failed)?
        } else if bounds.empty() {
            Vec::new()
        } else {
            source.read(self.topic, bounds).map_err(failed)?
        };
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        if bytes > self.live_bytes_max {
            return Err(Error::Large { what: format!("live {}", self.topic.noun()), bytes_max: self.live_bytes_max });
        }
        if let Some(from) = bounds.from.filter(|_| !self.compacted()) {
            for batch in &mut batches {
                *batch = since(batch, from).map_err(|error| failed(error.into()))?;
            }
        }
        Ok(batches)
    }
}

/// The rows from an instant on.
fn since(batch: &RecordBatch, from: EventTime) -> Result<RecordBatch, arrow::error::ArrowError> {
    let times = batch.column_by_name("time").ok_or_else(|| {
        arrow::error::ArrowError::SchemaError("the source's rows have no column time: give the topic's columns".into())
    })?;
    let millis = i64::try_from(from.millis()).expect("event times end in the year 9998");
    let from = TimestampMillisecondArray::new_scalar(millis).into_inner().with_timezone("UTC");
    filter_record_batch(batch, &gt_eq(times, &arrow::array::Scalar::new(from))?)
}

fn within(folder: &Folder, file: &SlotFile, bounds: &Bounds) -> bool {
    bounds.from.is_none_or(|from| from < folder.end(file.start)) && bounds.to.is_none_or(|to| file.start < to)
}

fn stored(file: &SlotFile) -> Result<PartitionedFile, crate::SourceError> {
    let path = fs::canonicalize(&file.path)?;
    let metadata = fs::metadata(&path)?;
    Ok(PartitionedFile::new_from_meta(ObjectMeta {
        location: StorePath::from_absolute_path(&path)?,
        last_modified: metadata.modified()?.into(),
        size: metadata.len(),
        e_tag: None,
        version: None,
    }))
}

fn external(error: impl Into<crate::SourceError>) -> DataFusionError {
    DataFusionError::External(error.into())
}

#[cfg(test)]
mod tests;
