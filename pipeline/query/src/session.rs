//! A session: tables and views over a catalogue, and statements that read them.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{LogicalPlan, col, lit};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use schemas::{Cleanup, EventTime, Topic};

use crate::folder::Folder;
use crate::table::Table;
use crate::views::VIEWS;
use crate::{Bounds, Error, Source};

/// Threads' worth of work that a statement is cut into: queries share the machine with the pipeline.
pub const PARTITIONS: usize = 2;

/// Most bytes that sorts and joins may spill to temporary files: 4 GiB.
pub(crate) const SPILL_BYTES_MAX: u64 = 4 << 30;

/// Most single-letter changes at which a name still passes for a misspelt one.
const TYPOS_MAX: usize = 3;

const CATALOG: &str = "foreshadow";
const SCHEMA: &str = "public";

/// What a session reads.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// Live rows; none for history alone.
    pub live: Option<Arc<dyn Source>>,
    /// A folder that [`crate::History`] writes; none for live rows alone.
    pub history: Option<PathBuf>,
    /// Rows outside are in no table, but for the compacted topics, whose newest record may be old.
    pub bounds: Bounds,
    /// Most bytes for each of: the engine's working memory, the live rows of one scan, an answer.
    pub memory_bytes_max: usize,
}

impl Default for Catalog {
    /// Empty tables, no bounds, 1 GiB.
    fn default() -> Self {
        Self { live: None, history: None, bounds: Bounds::default(), memory_bytes_max: 1 << 30 }
    }
}

/// Tables and views over a catalogue. Nothing is read before a statement asks for it.
pub struct Session {
    context: SessionContext,
    memory_bytes_max: usize,
}

impl Session {
    /// Opens a catalogue.
    ///
    /// # Errors
    /// [`Error::History`] or [`Error::Slots`] for a folder that is none of history.
    pub async fn new(catalog: Catalog) -> Result<Self, Error> {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_information_schema(true)
            .with_target_partitions(PARTITIONS);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(catalog.memory_bytes_max, 1.0)
            .with_max_temp_directory_size(SPILL_BYTES_MAX)
            .build_arc();
        let context = SessionContext::new_with_config_rt(config, runtime?);
        let history = catalog.history.as_deref().map(Folder::open).transpose()?;
        for &topic in Topic::ALL {
            let table = Table {
                topic,
                live: catalog.live.clone(),
                history: history.clone(),
                records_max: catalog.bounds.records_max,
                live_bytes_max: catalog.memory_bytes_max,
            };
            let table = bounded(&context, table, &catalog.bounds)?;
            context.register_table(topic.noun(), table)?;
        }
        for (name, query) in VIEWS {
            context.sql(&format!("CREATE VIEW {name} AS {query}")).await?;
        }
        Ok(Self::of(context, catalog.memory_bytes_max))
    }

    /// Over tables that a context has.
    pub(crate) fn of(context: SessionContext, memory_bytes_max: usize) -> Self {
        Self { context, memory_bytes_max }
    }

    /// Answers a statement that reads: `SELECT`, `EXPLAIN`, `SHOW TABLES`, `DESCRIBE`. At least one batch comes back;
    /// it is empty where no row does.
    ///
    /// # Errors
    /// [`Error::Refused`] for a statement that would change something, [`Error::Sql`] for one that is wrong or fails,
    /// [`Error::Large`] for an answer beyond the catalogue's memory.
    pub async fn sql(&self, statement: &str) -> Result<Vec<RecordBatch>, Error> {
        let plan = self.context.state().create_logical_plan(statement).await;
        let plan = plan.map_err(|error| Error::sql(&error, self.mend(statement)))?;
        refuse_changes(&plan)?;
        self.collect(plan).await
    }

    /// Names of the tables and views, sorted.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        let options = self.context.copied_config();
        let options = &options.options().catalog;
        let catalog = self.context.catalog(&options.default_catalog);
        let schema = catalog.and_then(|catalog| catalog.schema(&options.default_schema));
        let mut names = schema.expect("the session made both").table_names();
        names.sort();
        names
    }

    async fn collect(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>, Error> {
        let mut stream = self.context.execute_logical_plan(plan).await?.execute_stream().await?;
        let mut batches = vec![RecordBatch::new_empty(stream.schema())];
        let mut bytes = 0;
        while let Some(batch) = stream.try_next().await? {
            bytes += batch.get_array_memory_size();
            if bytes > self.memory_bytes_max {
                let what = "the rows of the answer".to_owned();
                return Err(Error::Large { what, bytes_max: self.memory_bytes_max });
            }
            batches.push(batch);
        }
        if batches.len() > 1 {
            batches.remove(0);
        }
        Ok(batches)
    }

    /// What helps against a statement that could not be planned: near names for tables that are not there.
    fn mend(&self, statement: &str) -> String {
        let state = self.context.state();
        let parsed = state.sql_to_statement(statement, &state.config_options().sql_parser.dialect);
        let tables = self.tables();
        let references = parsed.and_then(|statement| state.resolve_table_references(&statement)).unwrap_or_default();
        let unknown = references.iter().find_map(|reference| match reference {
            TableReference::Bare { table } if !tables.iter().any(|known| known.as_str() == &**table) => Some(table),
            _ => None,
        });
        let Some(unknown) = unknown else { return String::new() };
        let near = tables.iter().map(|known| (levenshtein(unknown, known), known)).min();
        match near.filter(|&(typos, _)| typos <= TYPOS_MAX) {
            Some((_, known)) => format!(". Did you mean {known}? The tables are: {}", tables.join(", ")),
            None => format!(". The tables are: {}", tables.join(", ")),
        }
    }
}

/// The table, or a view of what of it lies within the bounds: its filter reaches the scan like one of a statement.
fn bounded(context: &SessionContext, table: Table, bounds: &Bounds) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let compacted = table.topic.cleanup() == Cleanup::Compact;
    let ends =
        [bounds.from.map(|from| col("time").gt_eq(instant(from))), bounds.to.map(|to| col("time").lt(instant(to)))];
    let table: Arc<dyn TableProvider> = Arc::new(table);
    match ends.into_iter().flatten().reduce(|from, to| from.and(to)).filter(|_| !compacted) {
        Some(within) => Ok(context.read_table(table)?.filter(within)?.into_view()),
        None => Ok(table),
    }
}

fn instant(time: EventTime) -> datafusion::prelude::Expr {
    let millis = i64::try_from(time.millis()).expect("event times end in the year 9998");
    lit(ScalarValue::TimestampMillisecond(Some(millis), Some("UTC".into())))
}

fn refuse_changes(plan: &LogicalPlan) -> Result<(), Error> {
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(plan).map_err(|error| match error {
        DataFusionError::Plan(what) => Error::Refused(what),
        other => Error::Refused(other.strip_backtrace()),
    })
}

#[cfg(test)]
mod tests;
