//! `sql`: statements over the topics and the history, one-shot or interactive.

mod prompt;
mod statements;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use query::{Bounds, Catalog, Session, Source, print};
use schemas::{EventTime, Span};
use tokio::runtime::{Builder, Runtime};

use crate::live::Live;
use crate::settings::Settings;
use crate::{connect, instant, output, telling};
use prompt::{Asked, Piped, Typed, converse};
use statements::Statements;

/// Threads that answer a statement: the machine belongs to the pipeline.
const THREADS: usize = 2;

/// What stands below the options.
const AFTER_HELP: &str = "\
Every topic is a table of its noun's name, and there are views over them: \\d at the prompt lists all, \\d NAME the \
columns of one. Rows come from the log; with a folder of history the older ones come from there. Times are UTC.

Of samples, features and forecasts, which grow by the second, the newest 256 MiB of the log are read unless --since, \
--from or --records-max say otherwise; a warning on standard error says from when on, where that leaves older ones out. \
All other topics are read whole.

Example:
  foreshadow sql \"select workload, count(*), avg(cpu_used_cores) from samples group by workload\"";

/// What the command takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Sql {
    /// The statement, or several with `;` between; without it, a prompt, or the statements that standard input holds.
    pub(crate) statement: Option<String>,
    /// Prints one JSON object a row and line instead of tables.
    #[arg(long)]
    json: bool,
    /// Reads history from this folder too; without it, from the one that the settings name.
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
    /// Reads history alone: no log is needed.
    #[arg(long)]
    history_only: bool,
    /// Reads rows of this span before now, such as `6h`.
    #[arg(long, value_name = "SPAN", conflicts_with = "from")]
    since: Option<Span>,
    /// Reads rows from this time on, such as `2026-03-02T09:30:00Z`.
    #[arg(long, value_name = "TIME", value_parser = instant::time)]
    from: Option<EventTime>,
    /// Reads rows before this time.
    #[arg(long, value_name = "TIME", value_parser = instant::time)]
    to: Option<EventTime>,
    /// Reads at most so many of the newest records of each topic; a record of samples holds many rows.
    #[arg(long, value_name = "N")]
    records_max: Option<usize>,
    /// Most bytes of memory for each of: the rows of one scan, the work on a statement, an answer.
    #[arg(long, value_name = "N", default_value_t = Catalog::default().memory_bytes_max)]
    memory_bytes_max: usize,
}

/// `sql`: statements over the topics and the history, one-shot or interactive.
pub(crate) fn run(arguments: &Sql, settings: &Settings) -> anyhow::Result<()> {
    let catalog = arguments.catalog(settings)?;
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().context("the engine")?;
    let session = runtime.block_on(Session::new(catalog))?;
    let desk = Desk { runtime: &runtime, session: &session, json: arguments.json, interruptible: false };
    let ended = match &arguments.statement {
        Some(statements) => output::to_stdout(|out| desk.answer_all(statements, out)),
        None if io::stdin().is_terminal() => output::to_stdout(|out| desk.talk(out)),
        None => output::to_stdout(|out| desk.answer_lines(io::stdin().lock(), out)),
    };
    // A read that was interrupted may still wait for its broker: nobody waits for it.
    runtime.shutdown_background();
    ended
}

impl Sql {
    fn bounds(&self) -> Bounds {
        let since = self.since.map(|since| instant::now().minus(since.millis()));
        Bounds { from: self.from.or(since), to: self.to, records_max: self.records_max }
    }

    fn catalog(&self, settings: &Settings) -> anyhow::Result<Catalog> {
        let history = self.history.clone().or_else(|| settings.history.folder.clone());
        let bounds = self.bounds();
        let memory_bytes_max = self.memory_bytes_max;
        if self.history_only {
            anyhow::ensure!(history.is_some(), "--history-only needs a folder: name it with --history DIR");
            return Ok(Catalog { live: None, history, bounds, memory_bytes_max });
        }
        let log = connect::connect_to_read(settings).map_err(|error| match &history {
            Some(folder) => {
                anyhow::anyhow!("{}; or read {} alone with --history-only", telling::told(&error), folder.display())
            }
            None => error,
        })?;
        let mut live = Live::new(log, &settings.engine, memory_bytes_max);
        live.details_whole = bounds.from.is_some();
        let live: Arc<dyn Source> = Arc::new(live);
        Ok(Catalog { live: Some(live), history, bounds, memory_bytes_max })
    }
}

/// Where statements are answered.
struct Desk<'a> {
    runtime: &'a Runtime,
    session: &'a Session,
    json: bool,
    /// Whether Ctrl-C ends a statement instead of the process.
    interruptible: bool,
}

impl Desk<'_> {
    /// Answers statements one after the other, up to the first that fails.
    fn answer_all(&self, text: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut statements = Statements::default();
        statements.add(text);
        let mut none = true;
        while let Some(statement) = statements.next().or_else(|| statements.rest()) {
            self.answer(&Asked::Statement(statement), out)?;
            none = false;
        }
        anyhow::ensure!(!none, "no statement: write one such as \"select * from latest_decisions\"");
        Ok(())
    }

    /// Answers the statements of a pipe or file; those that fail are told at once, and again as a count at the end.
    fn answer_lines(&self, lines: impl BufRead, out: &mut dyn Write) -> anyhow::Result<()> {
        let failed = converse(&mut Piped(lines), out, |asked, out| self.answer(asked, out), &mut telling::complain)?;
        anyhow::ensure!(failed == 0, "{failed} of the statements failed");
        Ok(())
    }

    fn talk(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let desk = Desk { interruptible: true, ..self };
        let mut typed = Typed::new()?;
        writeln!(out, "Statements end with ; and may span lines. {}", prompt::COMMANDS)?;
        converse(&mut typed, out, |asked, out| desk.answer(asked, out), &mut telling::complain)?;
        Ok(())
    }

    fn answer(&self, asked: &Asked, out: &mut dyn Write) -> anyhow::Result<()> {
        match asked {
            Asked::Tables => {
                for name in self.session.tables() {
                    writeln!(out, "{name:<18} {}", about(&name))?;
                }
                Ok(())
            }
            Asked::Columns(table) => self.select(&format!("DESCRIBE {table}"), out),
            Asked::Statement(statement) => self.select(statement, out),
        }
    }

    fn select(&self, statement: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let rows = self.runtime.block_on(async {
            tokio::select! {
                rows = self.session.sql(statement) => Ok(rows?),
                _ = tokio::signal::ctrl_c(), if self.interruptible => Err(anyhow::anyhow!("interrupted")),
            }
        })?;
        if self.json {
            return Ok(out.write_all(print::json_lines(&rows)?.as_bytes())?);
        }
        let count: usize = rows.iter().map(|batch| batch.num_rows()).sum();
        let plural = if count == 1 { "" } else { "s" };
        Ok(writeln!(out, "{}\n({count} row{plural})", print::table(&rows)?)?)
    }
}

/// What a row of a table or view is.
fn about(table: &str) -> &'static str {
    match table {
        "samples" => "a reading of an instance",
        "features" => "a metric of a workload's role over a window, at a tick",
        "forecasts" => "quantiles of a workload's demand over a horizon",
        "anomalies" => "an alert",
        "decisions" => "a decision, with its evidence",
        "outcomes" => "what an adapter did with a decision",
        "rejects" => "a record that could not be used, and why",
        "workloads" => "a workload as it is now: bounds, prices, mode",
        "pools" => "a pool as it is now: capacity and offers",
        "models" => "a model in the registry",
        "progress" => "how far a worker group has published",
        "latest_decisions" => "the newest decision of a workload (view)",
        "shadow_vs_primary" => "a metric of a primary beside its shadow's, at a tick (view)",
        "forecast_error" => "a forecast beside the peak that came (view)",
        "cost_by_workload" => "what a workload costs as decided, its shadow included (view)",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
