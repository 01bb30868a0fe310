//! What is told while a training runs and in its end, and the series that it reads.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use forecast::lstm::TrainSettings;
use indicatif::{ProgressBar, ProgressStyle};
use jobs::history;
use jobs::retrain::Progress;
use jobs::retrain::record::Record;
use jobs::traces::Series;
use schemas::Span;

/// Bars for people, lines for files.
pub(super) struct Bars {
    bar: Option<ProgressBar>,
    steps: u64,
    walking: bool,
}

impl Bars {
    pub(super) fn new(settings: &TrainSettings) -> Self {
        let style = ProgressStyle::with_template("{prefix:>9} [{bar:40}] {pos}/{len} {eta} {msg}");
        let style = style.expect("the template is sound").progress_chars("=> ");
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::no_length().with_style(style));
        Self { bar, steps: settings.steps as u64, walking: true }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, progress: Progress) {
        match (progress, &self.bar) {
            (Progress::Walked(walked, series), Some(bar)) => {
                bar.set_prefix("series");
                bar.set_length(series as u64);
                bar.set_position(walked as u64);
            }
            (Progress::Walked(walked, series), None) if walked == series => {
                tracing::info!(series, "walked all series");
            }
            (Progress::Walked(..), None) => {}
            (Progress::Looked(look), Some(bar)) => {
                if std::mem::take(&mut self.walking) {
                    bar.set_prefix("training");
                    bar.set_length(self.steps);
                    bar.reset_eta();
                }
                bar.set_position(look.step as u64);
                bar.set_message(format!("loss {:.5}, best {:.5}", look.validation, look.best));
            }
            (Progress::Looked(look), None) => {
                tracing::info!(
                    step = look.step,
                    training = format_args!("{:.5}", look.training),
                    validation = format_args!("{:.5}", look.validation),
                    best = format_args!("{:.5}", look.best),
                    "trained"
                );
            }
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The series of trace files, or of a folder of history those that may be learnt from. A file names no tenants: its series belong to one of its name.
///
/// # Errors
/// What cannot be read.
pub(super) fn series(traces: &[PathBuf], history: Option<&Path>, step: Option<Span>) -> anyhow::Result<Vec<Series>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let step_ms = step.map(Span::millis);
    if let Some(folder) = history {
        return Ok(runtime.block_on(history::read_shared(folder, step_ms.unwrap_or(history::STEP_MS)))?);
    }
    let mut series = runtime.block_on(jobs::traces::read(traces, step_ms))?;
    for one in &mut series {
        one.tenant = one.trace.split('.').next().unwrap_or_default().to_owned();
    }
    Ok(series)
}

/// The verdict, and what was trained.
pub(super) fn report(record: &Record, out: &Path) -> String {
    let score = |name: &str| record.scores.get(name).copied().unwrap_or(f64::NAN);
    format!(
        "{}\n\n{} series, {} examples to learn from, {} to say when to stop.\nheld out: loss {:.5}, the blend of the other experts {:.5}; \
         q90 covers {:.1} %, q95 {:.1} %\n{} {}",
        record.verdict,
        record.data.series,
        record.data.examples,
        record.data.validation,
        score("loss"),
        score("loss_of_blend"),
        100.0 * score("coverage_90"),
        100.0 * score("coverage_95"),
        out.display(),
        record.sha256,
    )
}
