//! `run`: the pipeline between the topics, in one process or in a cell of several.

mod cell;
mod supervisor;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use dataflow::Cell;
use query::History;
use rustix::process::Signal;
use wire::{LocalDisk, Parts, Pipeline, Shelf};

use crate::archive;
use crate::connect::connect_with_topics;
use crate::settings::Settings;
use crate::stop;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Writes history as Parquet into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) history: Option<PathBuf>,
    /// Keeps snapshots in this folder, so that a restart need not read everything again.
    #[arg(long, value_name = "DIR")]
    pub(crate) snapshots: Option<PathBuf>,
    /// Timely workers of each process; the number never changes a decision.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Runs a cell of so many processes on this machine: when one ends, all begin again.
    #[arg(long, value_name = "N", conflicts_with = "process", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) processes: Option<u16>,
    /// This process's number in a cell that something else supervises; only 0 needs the log and the folders.
    #[arg(long, value_name = "I", requires = "addresses")]
    pub(crate) process: Option<usize>,
    /// Where the processes of the cell listen, in the order of their numbers, in a trusted network.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',', requires = "process")]
    pub(crate) addresses: Vec<String>,
    /// Ends with the process that started it.
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}

/// Exit status of a process that has lost another of its cell.
const CELL_LOST: i32 = 3;

/// Runs the pipeline until a signal, or until the log refuses to go on.
pub(crate) fn run(arguments: &Run, settings: &Settings) -> anyhow::Result<()> {
    let mut settings = settings.clone();
    settings.engine.workers = arguments.workers.unwrap_or(settings.engine.workers);
    settings.check(&[("engine.workers", "--workers")])?;
    if let Some(processes) = arguments.processes.filter(|processes| *processes > 1) {
        return supervisor::supervise(usize::from(processes), &stop::on_signals()?);
    }
    let cell = arguments.process.map(|process| join(process, arguments, settings.engine.workers)).transpose()?;
    let cell = match cell {
        Some(cell) if cell.process > 0 => return Ok(dataflow::serve(cell, settings.engine.workers)?),
        cell => cell,
    };
    let folder = arguments.history.as_ref().or(settings.history.folder.as_ref());
    let history = folder.map(|folder| History::open(folder, &settings.history.cut)).transpose()?;
    let folder = arguments.snapshots.as_ref().or(settings.snapshots.folder.as_ref());
    let shelf =
        folder.map(|folder| Shelf::open(Arc::new(LocalDisk), folder, &settings.group, &settings.engine)).transpose()?;
    let log = connect_with_topics(&settings)?;
    let parts = Parts {
        history: history.map(archive::start).transpose()?,
        shelf,
        cell,
        ..Parts::new(&settings.group, &settings.engine, settings.idle_after.duration())
    };
    let pipeline = Pipeline::start(log.as_ref(), parts, stop::on_signals()?)?;
    tracing::info!(group = settings.group, workers = settings.engine.workers, "the pipeline runs; Ctrl-C stops it");
    pipeline.join()
}

/// Connects this process with the others of its cell; from now on it ends with them.
fn join(process: usize, arguments: &Run, workers: usize) -> anyhow::Result<Cell> {
    if arguments.supervised {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    std::panic::set_hook(Box::new(move |panic| {
        if schemas::is_catching() {
            return;
        }
        tracing::error!(process, "this process ends, and with it its cell: {panic}");
        std::process::exit(CELL_LOST);
    }));
    let cell = cell::connect(process, &arguments.addresses, workers)?;
    tracing::info!(process, processes = cell.sockets.len(), "the cell is connected");
    Ok(cell)
}
