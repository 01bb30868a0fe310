//! How long a pipeline that was killed takes until its next decision.
//!
//! `foreshadow run` as a process of its own, with snapshots, under a steady load whose decisions do not cease. It is killed
//! between two snapshots, wherever it is, and started again at once.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use schemas::{Decision, Progress};
use serde::Serialize;
use topics::Start;

use super::Rows;
use super::ground::Ground;
use super::latency::{Case, follow_at_once};
use super::load::METRICS;
use super::produce::{Producer, now_ms};
use crate::following::Following;
use crate::settings::Settings;
use crate::stop::{self, Stop};

/// What `bench recovery` takes.
#[derive(Args, Debug)]
pub(super) struct Recovery {
    /// One JSON object with `rows`.
    #[arg(long)]
    json: bool,
    /// Workloads, each with a primary and a shadow that are read.
    #[arg(long, default_value_t = 10_000)]
    workloads: usize,
    /// Samples a second of each.
    #[arg(long, default_value_t = 1)]
    hz: u32,
    /// How often it is killed.
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// Processes of the cell.
    #[arg(long, default_value_t = 1)]
    processes: u16,
}

#[derive(Serialize)]
struct Row {
    workloads: usize,
    processes: u16,
    offered_points_per_second: f64,
    snapshot_every_ms: u64,
    snapshot_bytes: u64,
    /// From the kill to a consumer's next decision.
    next_decision_ms: f64,
    /// From the kill until nothing is behind any more.
    caught_up_ms: f64,
}

/// Longest wait for a pipeline to be up to date.
const WAIT_MAX: Duration = Duration::from_secs(240);

/// How far behind it may be and count as up to date: a poll, a commit, and what the consumer adds.
const BEHIND_MS: f64 = 1_000.0;

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(5);

/// Measures.
///
/// # Errors
/// When there is no broker, or the load is not kept up with.
pub(super) fn run(arguments: &Recovery, settings: &Settings) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    let settings = follow_at_once(settings);
    let case = Case { workloads: arguments.workloads, hz: arguments.hz, span: Duration::ZERO };
    let ground = Ground::new(&settings, case.workloads)?;
    let folder = std::env::temp_dir().join(format!("foreshadow-bench-{}", std::process::id()));
    let outcome = measure(arguments, case, &settings, (&ground, &folder), &stop);
    std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let rows = outcome?;
    if arguments.json {
        println!("{}", serde_json::to_string(&Rows { rows })?);
    } else {
        rows.iter().for_each(print);
    }
    Ok(())
}

fn measure(
    arguments: &Recovery,
    case: Case,
    settings: &Settings,
    (ground, folder): (&Ground, &Path),
    stop: &Stop,
) -> anyhow::Result<Vec<Row>> {
    let subject = Subject::new(settings, ground, folder, arguments.processes)?;
    let mut watch = Watch::new(ground, settings)?;
    let mut life = subject.begin()?;
    let mut producer = Producer::start(&case.plan(ground))?;
    producer.go(case.samples_per_second())?;
    let mut rows = Vec::new();
    for _ in 0..arguments.kills {
        watch.until_up_to_date(stop, &mut life)?;
        // Half-way between two snapshots, on average: the second of them is there by then.
        let every = settings.engine.snapshot_every.duration();
        anyhow::ensure!(!stop.wait(every * 5 / 2), "stopped");
        producer.told()?;
        let killed = Instant::now();
        drop(life);
        watch.forget()?;
        life = subject.begin()?;
        let next_decision = watch.until_decision(stop, &mut life, killed)?;
        let caught_up = watch.until_up_to_date(stop, &mut life).map(|()| killed.elapsed())?;
        rows.push(Row {
            workloads: case.workloads,
            processes: arguments.processes,
            offered_points_per_second: case.samples_per_second() * METRICS.len() as f64,
            snapshot_every_ms: settings.engine.snapshot_every.millis(),
            snapshot_bytes: largest(&folder.join("snapshots")),
            next_decision_ms: 1e3 * next_decision.as_secs_f64(),
            caught_up_ms: 1e3 * caught_up.as_secs_f64(),
        });
    }
    Ok(rows)
}

/// What is started, again and again.
struct Subject {
    settings: PathBuf,
    processes: u16,
}

/// A running pipeline, killed when it is dropped.
struct Life(Child);

impl Subject {
    fn new(settings: &Settings, ground: &Ground, folder: &Path, processes: u16) -> anyhow::Result<Self> {
        let mut settings = settings.clone();
        settings.kafka = ground.kafka.clone();
        settings.snapshots.folder = Some(folder.join("snapshots"));
        // What is measured is nobody's history.
        (settings.history.folder, settings.embedded.folder) = (None, None);
        let (file, text) = (folder.join("settings.toml"), toml::to_string(&settings)?);
        // It may hold a password, and the place is everybody's.
        let made = DirBuilder::new().mode(0o700).create(folder);
        let written = made.and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file));
        written.and_then(|mut out| out.write_all(text.as_bytes())).with_context(|| file.display().to_string())?;
        Ok(Self { settings: file, processes })
    }

    fn begin(&self) -> anyhow::Result<Life> {
        let mut command = Command::new(std::env::current_exe().context("this program's own file")?);
        // The environment would win over the file.
        let ours = std::env::vars_os().map(|(name, _)| name);
        ours.filter(|name| name.as_encoded_bytes().starts_with(b"FORESHADOW_"))
            .for_each(|name| _ = command.env_remove(name));
        command.arg("--settings").arg(&self.settings).arg("run").arg(format!("--processes={}", self.processes));
        Ok(Life(command.stdin(Stdio::null()).spawn().context("the pipeline")?))
    }
}

impl Life {
    fn goes_on(&mut self) -> anyhow::Result<()> {
        let ended = self.0.try_wait()?;
        ended.map_or(Ok(()), |status| anyhow::bail!("the pipeline ended by itself: {status}"))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Consumers of what the pipeline says.
struct Watch {
    decisions: Following<Decision>,
    progress: Following<Progress>,
    /// By how much it is behind by its settings.
    inherent_ms: u64,
}

impl Watch {
    fn new(ground: &Ground, settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            decisions: Following::new(&ground.log, Start::Latest)?,
            progress: Following::new(&ground.log, Start::Latest)?,
            inherent_ms: settings.engine.lateness.millis() + settings.engine.tick.millis(),
        })
    }

    /// Lets go of what a life that is over has said.
    fn forget(&mut self) -> anyhow::Result<()> {
        while !self.decisions.poll(POLL)?.is_empty() || !self.progress.poll(POLL)?.is_empty() {}
        Ok(())
    }

    fn until_decision(&mut self, stop: &Stop, life: &mut Life, since: Instant) -> anyhow::Result<Duration> {
        while self.decisions.poll(POLL)?.is_empty() {
            look(stop, life, since)?;
        }
        Ok(since.elapsed())
    }

    fn until_up_to_date(&mut self, stop: &Stop, life: &mut Life) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            let said = self.progress.poll(POLL)?.into_iter().filter_map(|(_, progress)| progress);
            let reached = said.filter(|progress| !progress.is_of_features()).map(|progress| progress.frontier).max();
            let behind_ms = reached.map(|reached| now_ms() - (reached.millis() + self.inherent_ms) as f64);
            if behind_ms.is_some_and(|behind_ms| behind_ms < BEHIND_MS) {
                return Ok(());
            }
            look(stop, life, since)?;
        }
    }
}

fn look(stop: &Stop, life: &mut Life, since: Instant) -> anyhow::Result<()> {
    life.goes_on()?;
    anyhow::ensure!(!stop.requested(), "stopped");
    anyhow::ensure!(since.elapsed() < WAIT_MAX, "not kept up with within {WAIT_MAX:?}: ask for fewer with --workloads");
    Ok(())
}

/// Bytes of the largest snapshot.
fn largest(folder: &Path) -> u64 {
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = folders.filter_map(|snapshot| Some(snapshot.path().join("pieces").metadata().ok()?.len()));
    sizes.max().unwrap_or_default()
}

fn print(row: &Row) {
    println!(
        "{} workloads, {} process(es), {:.2} M points/s, snapshots of {:.0} MB each {:.0} s: killed, the next decision after \
         {:.1} s, nothing behind after {:.1} s",
        row.workloads,
        row.processes,
        row.offered_points_per_second / 1e6,
        row.snapshot_bytes as f64 / 1e6,
        row.snapshot_every_ms as f64 / 1e3,
        row.next_decision_ms / 1e3,
        row.caught_up_ms / 1e3
    );
}
