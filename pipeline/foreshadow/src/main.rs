//! The one binary of Foreshadow.
#![allow(clippy::disallowed_methods, reason = "the edge: the demonstration is paced by the clock")]
#![allow(clippy::print_stdout, reason = "what a command prints is its result")]

mod cli;
mod demo;

use clap::Parser;

fn main() -> anyhow::Result<()> {
    match cli::Cli::parse().command {
        cli::Command::Demo(arguments) => demo::run(&arguments),
    }
}
