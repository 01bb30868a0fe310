//! The one binary of Foreshadow.
#![allow(clippy::disallowed_methods, reason = "the edge: brokers, the machine and people are met in real time")]
#![allow(clippy::print_stdout, reason = "what a command prints is its result")]

mod amount;
mod archive;
mod batches;
mod cli;
mod commands;
mod connect;
mod extent;
mod following;
mod instant;
mod live;
mod outbox;
mod output;
mod pace;
mod settings;
mod stop;
mod telling;
mod words;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use settings::Settings;

/// A tick of many workloads makes and drops many small things on one thread: the engine is a quarter faster than with the
/// system's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telling::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    telling::trace(cli.common.trace.as_deref().unwrap_or(cli.command.told()))?;
    let settings = || Settings::load(&cli.common);
    match &cli.command {
        Command::Demo(arguments) => commands::demo::run(arguments, &settings()?),
        Command::Run(arguments) => commands::run::run(arguments, &settings()?),
        Command::Profile(arguments) => commands::profile::run(arguments, &settings()?),
        Command::Mirror(arguments) => commands::mirror::run(arguments, &settings()?),
        Command::Actuate(arguments) => commands::actuate::run(arguments, &settings()?),
        Command::Sql(arguments) => commands::sql::run(arguments, &settings()?),
        Command::Explain(arguments) => commands::explain::run(arguments, &settings()?),
        Command::Tap(arguments) => commands::tap::run(arguments, &settings()?),
        Command::Validate(arguments) => commands::validate::run(arguments),
        Command::Settings(arguments) => commands::settings::run(arguments, &cli.common),
        Command::Bench(arguments) => commands::bench::run(arguments, &settings()?),
        Command::Evaluate(arguments) => commands::evaluate::run(arguments),
        Command::Predictability(arguments) => commands::predictability::run(arguments),
        Command::Retrain(arguments) => commands::retrain::run(arguments, &settings()?),
        Command::Models(arguments) => commands::models::run(arguments, &settings()?),
        Command::Service(arguments) => commands::service::run(arguments),
        Command::Completions(arguments) => commands::completions::run(arguments),
    }
}
