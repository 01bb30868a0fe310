//! `models`: which models there are, which serves, and who takes its place.

pub(crate) mod registry;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets::NOTHING};
use forecast::lstm::{Card, Weights};
use jobs::retrain::record::Record;
use schemas::{EventTime, Model};
use topics::Log;

use crate::settings::Settings;
use crate::{connect, instant, output};
use registry::Registry;

/// What stands below the options.
const AFTER_HELP: &str = "\
A swap happens at a tick of event time that its record names, so that a replay swaps there, too. Where no champion is \
published, the one that ships with the product serves.

Examples:
  foreshadow models list
  foreshadow models promote lstm.safetensors
  foreshadow models rollback";

/// What the command takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Models {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists the models, newest first.
    List(List),
    /// Makes an artifact the champion, whatever its verdict was.
    Promote(Promote),
    /// Puts the former champion back.
    Rollback(When),
}

#[derive(Args, Debug)]
struct List {
    /// Prints one JSON object a model and line, without the artifact.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Promote {
    /// The artifact, as `foreshadow retrain` wrote it; its record is read from beside it.
    #[arg(value_name = "FILE")]
    artifact: PathBuf,
    #[command(flatten)]
    when: When,
}

/// When a swap is.
#[derive(Args, Debug)]
pub(crate) struct When {
    /// The tick from which it counts, such as `2026-03-02T09:30:00Z` [default: 10 s from now].
    #[arg(long, value_name = "TIME", value_parser = instant::time)]
    at: Option<EventTime>,
}

/// `models`: which models there are, which serves, and who takes its place.
pub(crate) fn run(arguments: &Models, settings: &Settings) -> anyhow::Result<()> {
    let said = match &arguments.verb {
        Verb::List(list) => {
            let registry = Registry::read(connect::connect_to_read(settings)?.as_ref())?;
            if list.json { lines(&registry) } else { table(&registry) }
        }
        Verb::Promote(promote) => {
            // Before a broker is asked for anything: a file that cannot serve needs none.
            let sound = Artifact::read(&promote.artifact)?;
            let log = connect::connect_with_topics(settings)?;
            sound.promote(log.as_ref(), promote.when.at)?
        }
        Verb::Rollback(when) => rollback(connect::connect_with_topics(settings)?.as_ref(), when.at)?,
    };
    output::to_stdout(|out| Ok(writeln!(out, "{}", said.trim_end())?))
}

/// An artifact that can serve.
pub(crate) struct Artifact {
    name: String,
    bytes: Vec<u8>,
    pub(crate) weights: Weights,
    card: Card,
    record: Option<Record>,
}

impl Artifact {
    /// Reads it, with its record where one lies beside it.
    ///
    /// # Errors
    /// What is wrong with the file, or with its record.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let place = path.display();
        let bytes = fs::read(path).with_context(|| format!("{place} cannot be read"))?;
        let (weights, card) = Weights::from_bytes(&bytes).with_context(|| format!("{place} cannot serve"))?;
        let beside = path.with_extension("json");
        let record = match fs::read(&beside) {
            Ok(text) => Some(read_record(&beside, &text, &bytes)?),
            Err(_) => None,
        };
        Ok(Self { name: place.to_string(), bytes, weights, card, record })
    }

    /// One that was just trained.
    pub(crate) fn of(path: &Path, bytes: Vec<u8>, record: Record) -> anyhow::Result<Self> {
        let (weights, card) = Weights::from_bytes(&bytes)?;
        Ok(Self { name: path.display().to_string(), bytes, weights, card, record: Some(record) })
    }

    /// Whether a model's record is of it.
    pub(crate) fn is(&self, model: &Model) -> bool {
        schemas::sha256(&self.bytes) == model.sha256
    }

    /// Makes it the champion; what to tell.
    ///
    /// # Errors
    /// When it serves already, or the log does not take it.
    pub(crate) fn promote(&self, log: &dyn Log, at: Option<EventTime>) -> anyhow::Result<String> {
        let registry = Registry::read(log)?;
        let time = registry.swap_time(at, instant::now())?;
        let model = registry::champion(&self.name, &self.bytes, &self.card, self.record.as_ref(), time)?;
        if let Some(serving) = registry.serving().filter(|serving| serving.sha256 == model.sha256) {
            anyhow::bail!("{} serves already, since {}", serving.model, serving.time);
        }
        let said = format!("{} serves from {time} on", model.model);
        registry::publish(log, model)?;
        Ok(said)
    }

    /// Publishes it as one that lost; what to tell.
    ///
    /// # Errors
    /// When the log does not take it.
    pub(crate) fn put_on_record(&self, log: &dyn Log) -> anyhow::Result<String> {
        let model = registry::challenger(&self.name, &self.bytes, &self.card, self.record.as_ref(), instant::now());
        if Registry::read(log)?.models().iter().any(|known| known.model == model.model) {
            return Ok(format!("{} is on record already, which stays as it is", model.model));
        }
        let said = format!("{} is on record; the champion stays", model.model);
        registry::publish(log, model)?;
        Ok(said)
    }
}

fn read_record(beside: &Path, text: &[u8], bytes: &[u8]) -> anyhow::Result<Record> {
    let place = beside.display();
    let record: Record = serde_json::from_slice(text)
        .with_context(|| format!("{place} is no record of a training: move it away, or retrain"))?;
    let found = schemas::sha256(bytes);
    anyhow::ensure!(
        record.sha256 == found,
        "{place} is the record of another artifact: it names {} and the file is {found}; the file was changed, or the two do not belong together",
        record.sha256
    );
    Ok(record)
}

/// Publishes the former champion again; where there is none, withdraws the one that serves, so that the shipped one does.
fn rollback(log: &dyn Log, at: Option<EventTime>) -> anyhow::Result<String> {
    let registry = Registry::read(log)?;
    let time = registry.swap_time(at, instant::now())?;
    let Some(serving) = registry.serving() else {
        anyhow::bail!("no champion is published: the shipped one serves, and nothing came before it");
    };
    let Some(former) = registry.former() else {
        let withdrawn = Model { time, champion: false, artifact_base64: None, ..serving.clone() };
        registry::publish(log, withdrawn)?;
        return Ok(format!("the shipped champion serves from {time} on, in place of {}", serving.model));
    };
    former.carried().with_context(|| format!("{} cannot serve again", former.model))?;
    registry::publish(log, Model { time, ..former.clone() })?;
    Ok(format!("{} serves from {time} on, in place of {}", former.model, serving.model))
}

fn lines(registry: &Registry) -> String {
    let bare = |model: &Model| Model { artifact_base64: None, ..model.clone() };
    let line = |model: &Model| serde_json::to_string(&bare(model)).expect("a record is plain data");
    registry.models().iter().map(line).collect::<Vec<_>>().join("\n")
}

fn table(registry: &Registry) -> String {
    if registry.models().is_empty() {
        return "no model is published: the shipped champion serves".to_owned();
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["model", "", "since", "trained on data until", "loss", "verdict"]);
    let serving = registry.serving().map(|model| model.model.clone());
    for model in registry.models() {
        let state = match (model.champion, serving.as_ref() == Some(&model.model)) {
            (true, true) => "champion",
            (true, false) => "former",
            (false, _) => "",
        };
        let loss = model.scores.get("loss").map(|loss| format!("{loss:.5}")).unwrap_or_default();
        table.add_row([
            model.model.to_string(),
            state.to_owned(),
            model.time.to_string(),
            model.trained_to.to_string(),
            loss,
            model.verdict.clone().unwrap_or_default(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests;
