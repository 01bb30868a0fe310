//! `run`: the pipeline between the topics.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use query::History;

use crate::archive;
use crate::connect::connect_with_topics;
use crate::settings::Settings;
use crate::stop;
use wire::{LocalDisk, Parts, Pipeline, Shelf};

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Writes history as Parquet into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) history: Option<PathBuf>,
    /// Keeps snapshots in this folder, so that a restart need not read everything again.
    #[arg(long, value_name = "DIR")]
    pub(crate) snapshots: Option<PathBuf>,
    /// Timely workers; the number never changes a decision.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
}

/// Runs the pipeline until a signal, or until the log refuses to go on.
pub(crate) fn run(arguments: &Run, settings: &Settings) -> anyhow::Result<()> {
    let mut settings = settings.clone();
    settings.engine.workers = arguments.workers.unwrap_or(settings.engine.workers);
    settings.check(&[("engine.workers", "--workers")])?;
    let folder = arguments.history.as_ref().or(settings.history.folder.as_ref());
    let history = folder.map(|folder| History::open(folder, &settings.history.cut)).transpose()?;
    let folder = arguments.snapshots.as_ref().or(settings.snapshots.folder.as_ref());
    let shelf =
        folder.map(|folder| Shelf::open(Arc::new(LocalDisk), folder, &settings.group, &settings.engine)).transpose()?;
    let log = connect_with_topics(&settings)?;
    let parts = Parts {
        history: history.map(archive::start).transpose()?,
        shelf,
        ..Parts::new(&settings.group, &settings.engine, settings.idle_after.duration())
    };
    let pipeline = Pipeline::start(log.as_ref(), parts, stop::on_signals()?)?;
    tracing::info!(group = settings.group, workers = settings.engine.workers, "the pipeline runs; Ctrl-C stops it");
    pipeline.join()
}
