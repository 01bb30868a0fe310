//! `retrain`: a challenger from history, trace files or synthetic workloads, and its verdict.

mod reproduce;
mod telling;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use forecast::lstm::{TrainSettings, Weights};
use jobs::retrain::gather::Sizes;
use jobs::retrain::record::Record;
use jobs::retrain::{Champion, Origin, RetrainSettings, Retrained, retrain};
use jobs::synthesize::{Synthesis, synthesize};
use jobs::traces::Series;
use schemas::{EventTime, Span};

use super::models::Artifact;
use super::models::registry::Registry;
use crate::settings::Settings;
use crate::{connect, instant, output};
use telling::Bars;

/// What stands below the options.
const AFTER_HELP: &str = "\
A challenger takes the champion's place only if it has less loss on data that neither was trained on, and no tenant, profile, \
measure, step or unseen workload is worse off by more than 5 %. The artifact and its record (JSON, beside it) are written in any case.

Examples:
  foreshadow retrain --history ./history --publish
  foreshadow retrain --traces a.parquet b.parquet --without-tenant acme
  foreshadow retrain --synthetic 1 --out champion.safetensors
  foreshadow retrain --reproduce champion.safetensors";

/// What the command takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Retrain {
    #[command(flatten)]
    source: Sources,
    /// Length of a step [default: 10s for history; as far as a trace's readings lie apart].
    #[arg(long, value_name = "SPAN", conflicts_with = "synthetic")]
    step: Option<Span>,
    /// Where the artifact goes; its record goes beside it, with the ending `json`.
    #[arg(long, value_name = "FILE", default_value = "lstm.safetensors")]
    out: PathBuf,
    /// The champion that the challenger is judged beside: a file, or `none` for the blend of the other experts [default: with --publish the one
    /// that serves, else the one that ships with the product].
    #[arg(long, value_name = "FILE")]
    champion: Option<PathBuf>,
    /// Leaves a tenant out, beside workloads of history whose record says `learning = "own"`; may be given more than once.
    #[arg(long, value_name = "TENANT")]
    without_tenant: Vec<String>,
    #[command(flatten)]
    how: How,
    /// Publishes it: as the champion if it wins, else on record.
    #[arg(long)]
    publish: bool,
    /// The tick from which it serves [default: 10 s from now].
    #[arg(long, value_name = "TIME", value_parser = instant::time, requires = "publish")]
    at: Option<EventTime>,
    /// Prints the record as one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

/// What is trained on.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Sources {
    /// Trace files (Parquet): `series`, `time` and columns of readings.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    traces: Vec<PathBuf>,
    /// A folder of history that `foreshadow run --history` writes.
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
    /// Synthetic workloads of this seed.
    #[arg(long, value_name = "SEED")]
    synthetic: Option<u64>,
    /// Trains again what this artifact's record says, and compares; needs no other option.
    #[arg(long, value_name = "FILE")]
    reproduce: Option<PathBuf>,
}

/// How it is trained.
#[derive(Args, Debug)]
struct How {
    /// How many synthetic workloads.
    #[arg(long, value_name = "N", default_value_t = Synthesis::default().workloads, requires = "synthetic")]
    workloads: usize,
    /// Units of the LSTM.
    #[arg(long, value_name = "N", default_value_t = TrainSettings::default().hidden)]
    hidden: usize,
    /// Steps at most; training ends before where nothing gets better.
    #[arg(long, value_name = "N", default_value_t = TrainSettings::default().steps)]
    steps: usize,
    /// Examples a step.
    #[arg(long, value_name = "N", default_value_t = TrainSettings::default().batch)]
    batch: usize,
    /// The highest learning rate.
    #[arg(long, value_name = "RATE", default_value_t = TrainSettings::default().learning_rate)]
    learning_rate: f64,
    /// Everything random follows from it.
    #[arg(long, default_value_t = TrainSettings::default().seed)]
    seed: u64,
    /// Examples to learn from at most, 2 kB of memory each.
    #[arg(long, value_name = "N", default_value_t = Sizes::default().training)]
    examples: usize,
    /// Lets every example count alike, whoever sent it: for data that one trusts.
    #[arg(long)]
    unguarded: bool,
}

/// `retrain`: a challenger from history, trace files or synthetic workloads, and its verdict.
pub(crate) fn run(arguments: &Retrain, settings: &Settings) -> anyhow::Result<()> {
    if let Some(artifact) = &arguments.source.reproduce {
        return reproduce::run(artifact);
    }
    let how = arguments.settings()?;
    let champion = arguments.champion(settings)?;
    let (series, origin) = arguments.source.read(arguments.how.workloads, arguments.step)?;
    let retrained = train(series, &origin, champion.as_ref(), &how)?;
    write(&arguments.out, &retrained)?;
    let mut said = if arguments.json {
        serde_json::to_string(&retrained.record).expect("a record is plain data")
    } else {
        telling::report(&retrained.record, &arguments.out)
    };
    if arguments.publish {
        let told = publish(arguments, settings, retrained)?;
        if !arguments.json {
            said = format!("{said}\n{told}");
        }
    }
    output::to_stdout(|out| Ok(writeln!(out, "{said}")?))
}

/// Trains, and tells how far it is.
fn train(
    series: Vec<Series>,
    origin: &Origin,
    champion: Option<&Champion>,
    how: &RetrainSettings,
) -> anyhow::Result<Retrained> {
    let mut bars = Bars::new(&how.train);
    let retrained = retrain(series, origin, champion, how, |progress| bars.show(progress))?;
    bars.end();
    Ok(retrained)
}

impl Retrain {
    fn settings(&self) -> anyhow::Result<RetrainSettings> {
        let How { hidden, steps, batch, learning_rate, seed, examples, unguarded, .. } = self.how;
        let hidden_max = forecast::lstm::weights::HIDDEN_MAX;
        anyhow::ensure!((1..=hidden_max).contains(&hidden), "--hidden {hidden}: 1 to {hidden_max} units are taken");
        for (flag, value) in [("--steps", steps), ("--batch", batch), ("--examples", examples)] {
            anyhow::ensure!(value > 0, "{flag} 0: at least 1 is needed");
        }
        let ending = self.out.extension();
        anyhow::ensure!(
            ending.is_none_or(|ending| ending != "json" && ending != "new"),
            "--out {}: its record goes to that ending, name another, such as .safetensors",
            self.out.display()
        );
        anyhow::ensure!(self.step.is_none_or(|step| step.millis() > 0), "--step must be at least 1ms");
        anyhow::ensure!(
            learning_rate > 0.0 && learning_rate < 1.0,
            "--learning-rate {learning_rate}: 0 to 1 is sensible, such as 0.003"
        );
        let train =
            TrainSettings { hidden, steps, batch, learning_rate, seed, guarded: !unguarded, ..Default::default() };
        let sizes = Sizes { training: examples, ..Sizes::default() };
        Ok(RetrainSettings { train, sizes, without_tenants: self.without_tenant.clone() })
    }

    /// Whom the challenger is judged beside; none is the blend of the other experts.
    fn champion(&self, settings: &Settings) -> anyhow::Result<Option<Champion>> {
        let serving = match self.publish {
            true => Registry::read(connect::connect_with_topics(settings)?.as_ref())?.serving().cloned(),
            false => None,
        };
        if let Some(path) = &self.champion {
            let is_none = path.as_os_str() == "none";
            if let Some(serving) = &serving {
                // Whoever wins beside another has not won beside the one that it would replace.
                let is_named = !is_none && Artifact::read(path)?.is(serving);
                let mend = "leave --champion out, or --publish, and promote it with `foreshadow models promote`";
                anyhow::ensure!(is_named, "--champion {}: {} serves: {mend}", path.display(), serving.model);
            }
            if is_none {
                return Ok(None);
            }
            let weights = Artifact::read(path)?.weights;
            return Ok(Some(Champion { name: path.display().to_string(), weights }));
        }
        if let Some(serving) = serving {
            let mend = "name its file with --champion, or `foreshadow models rollback`";
            let fault = || format!("{}, which serves, cannot be judged beside: {mend}", serving.model);
            let (weights, _) = Weights::from_bytes(&serving.carried().with_context(fault)?).with_context(fault)?;
            return Ok(Some(Champion { name: serving.model.to_string(), weights }));
        }
        match forecast::lstm::shipped() {
            Ok((weights, _)) => Ok(Some(Champion { name: "the shipped champion".to_owned(), weights })),
            Err(error) => {
                tracing::warn!("the shipped champion cannot serve, so that nobody holds the place: {error}");
                Ok(None)
            }
        }
    }
}

impl Sources {
    fn read(&self, workloads: usize, step: Option<Span>) -> anyhow::Result<(Vec<Series>, Origin)> {
        if let Some(seed) = self.synthetic {
            let made = Synthesis { seed, workloads, ..Synthesis::default() };
            return Ok((synthesize(&made), Origin { synthetic: Some(made), read: Vec::new() }));
        }
        let named = |path: &PathBuf| path.display().to_string();
        let read = self.traces.iter().chain(&self.history).map(named).collect();
        Ok((telling::series(&self.traces, self.history.as_deref(), step)?, Origin { synthetic: None, read }))
    }
}

/// The artifact and its record, each whole or not at all.
fn write(path: &Path, retrained: &Retrained) -> anyhow::Result<()> {
    let mut record = serde_json::to_vec_pretty(&retrained.record).expect("a record is plain data");
    record.push(b'\n');
    for (path, bytes) in [(path.to_owned(), &retrained.artifact), (path.with_extension("json"), &record)] {
        let new = path.with_extension("new");
        let failed = || format!("{} cannot be written: name another place with --out", path.display());
        fs::write(&new, bytes).with_context(failed)?;
        fs::rename(&new, &path).with_context(failed)?;
    }
    Ok(())
}

fn publish(arguments: &Retrain, settings: &Settings, retrained: Retrained) -> anyhow::Result<String> {
    let Retrained { artifact, record } = retrained;
    let wins = record.verdict.wins;
    let artifact = Artifact::of(&arguments.out, artifact, record)?;
    let log = connect::connect_with_topics(settings)?;
    if wins { artifact.promote(log.as_ref(), arguments.at) } else { artifact.put_on_record(log.as_ref()) }
}

/// Reads an artifact's record.
fn record_of(artifact: &Path) -> anyhow::Result<Record> {
    let path = artifact.with_extension("json");
    let place = path.display();
    let text =
        fs::read(&path).with_context(|| format!("{place} cannot be read: the record lies beside its artifact"))?;
    serde_json::from_slice(&text).with_context(|| format!("{place} is no record of a training"))
}
