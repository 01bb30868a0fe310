//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    actuate, bench, completions, demo, evaluate, explain, mirror, models, predictability, profile, retrain, run,
    service, settings, sql, tap, validate,
};

/// Keeps every workload supplied with just enough resource, a little ahead of time.
///
/// Start with `foreshadow demo`: the whole pipeline on a simulated fleet, no broker needed. Against Kafka, `run` is the
/// pipeline, `profile` reads a machine, `mirror` feeds a shadow, `actuate` carries decisions out; `tap`, `sql` and
/// `explain` show what happens.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug, Default)]
pub(crate) struct Common {
    /// Settings file (TOML); see `foreshadow settings` for all that may stand in it.
    #[arg(long, global = true, value_name = "FILE", env = "FORESHADOW_SETTINGS")]
    pub(crate) settings: Option<PathBuf>,
    /// Kafka brokers, host:port with commas between [default: localhost:9092]. Those on other machines need encryption, or
    /// `kafka.insecure`.
    #[arg(long, global = true, value_name = "LIST")]
    pub(crate) brokers: Option<String>,
    /// Reads and writes the embedded log in this folder instead of Kafka. One process has it open at a time.
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "brokers")]
    pub(crate) embedded: Option<PathBuf>,
    /// What is told on standard error: `error`, `warn`, `info`, `debug`, or a filter such as `warn,topics=debug`.
    /// `info` for commands that run on, `warn` for those that answer.
    #[arg(long, global = true, value_name = "FILTER", env = "FORESHADOW_TRACE")]
    pub(crate) trace: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the pipeline on a simulated fleet: one simulated day in two minutes, and a table at the end.
    Demo(demo::Demo),
    /// Runs the pipeline: samples in, decisions out.
    Run(run::Run),
    /// Samples this machine's workloads and publishes their readings.
    Profile(profile::Profile),
    /// Serves a workload, and lets its shadow see a share of the same requests.
    Mirror(mirror::Arguments),
    /// Carries decisions out and reports the outcomes.
    Actuate(actuate::Actuate),
    /// Answers SQL over the topics and the history.
    Sql(sql::Sql),
    /// Explains a decision with its evidence.
    Explain(explain::Explain),
    /// Prints a topic live.
    Tap(tap::Tap),
    /// Checks a settings file and names every fault at once.
    Validate(validate::Validate),
    /// Prints every setting with its default and meaning, as a settings file.
    Settings(settings::Reference),
    /// Measures what this machine carries.
    Bench(bench::Bench),
    /// Shows how well forecasts and detectors do on data that they have not seen.
    Evaluate(evaluate::Evaluate),
    /// Says for which workloads prediction would pay, and by how much.
    Predictability(predictability::Arguments),
    /// Trains a challenger for the global model, and says whether it beats the champion.
    Retrain(retrain::Retrain),
    /// Lists models, promotes one, or rolls back to the former.
    Models(models::Models),
    /// The service of `demo --live`.
    #[command(hide = true)]
    Service(service::Arguments),
    /// Prints completions for a shell.
    Completions(completions::Completions),
}

impl Command {
    /// What is told unless the user says otherwise.
    pub(crate) const fn told(&self) -> &'static str {
        match self {
            Self::Run(_) | Self::Profile(_) | Self::Mirror(_) | Self::Actuate(_) | Self::Tap(_) | Self::Retrain(_) => {
                "info"
            }
            _ => "warn",
        }
    }
}
