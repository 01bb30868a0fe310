//! `mirror`: serves a workload's primary, and lets its shadow see a share of the same requests.
//!
//! ```text
//! workloads, decisions ─► the shares, each second ─► mirror ─► readings by role ─► batches ─► outbox ─► samples
//! ```

mod share;

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, TrySendError};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use mirror::{Audience, Counts, Mirror, Report, Stage, Upstream};
use schemas::{InstanceId, Ratio, SourceId, WorkloadId};
use topics::{Delivery, Log};

use crate::batches::Batches;
use crate::connect::connect_with_topics;
use crate::instant;
use crate::outbox::{self, Outbox};
use crate::pace::Pace;
use crate::settings::Settings;
use crate::stop::{self, Stop};
use share::Share;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The workload that is served; its record on the topic of workloads says which share of requests is mirrored.
    #[arg(long, value_parser = WorkloadId::new)]
    pub(crate) workload: WorkloadId,
    /// Where it listens for clients: an IP address and a port, such as 0.0.0.0:80.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Who answers: 127.0.0.1:8080, or h2c://127.0.0.1:8080 where it speaks HTTP/2 without TLS.
    #[arg(long, value_name = "UPSTREAM")]
    pub(crate) primary: Upstream,
    /// Who sees a share of the requests, and whose answers are dropped.
    #[arg(long, value_name = "UPSTREAM")]
    pub(crate) shadow: Option<Upstream>,
    /// A new version, which sees the same requests as its baseline.
    #[arg(long, value_name = "UPSTREAM", requires = "baseline")]
    pub(crate) canary: Option<Upstream>,
    /// The running version beside a canary, of the same size.
    #[arg(long, value_name = "UPSTREAM", requires = "canary")]
    pub(crate) baseline: Option<Upstream>,
    /// One of several mirrors at the same address of this machine. Each of them needs this flag, with a name of its own: those
    /// who come to one that is gone come to the others when they ask again.
    #[arg(long, value_name = "NAME", value_parser = InstanceId::new)]
    pub(crate) replica: Option<InstanceId>,
}

/// Between two turns of the loop that hands readings on: half of what the first of a message waits for company.
const TURN: Duration = Duration::from_millis(250);

/// Between two looks at the topic of workloads.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// How long a share holds without being renewed: ten looks, so that a command that hangs ends its own mirroring.
const RENEWED_FOR_MS: u64 = 10_000;

/// Between two lines about what became of the copies.
const COUNTS_EVERY: Duration = Duration::from_secs(60);

/// Reports that wait for a turn: a minute's, at the default interval.
const REPORTS_MAX: usize = 64;

/// `mirror`: serves a workload's primary, and lets its shadow see a share of the same requests.
pub(crate) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let stop = stop::on_signals()?;
    let log = connect_with_topics(settings)?;
    serve(arguments, log.as_ref(), settings, &stop)
}

/// Serves until it is asked to stop.
pub(crate) fn serve(arguments: &Arguments, log: &dyn Log, settings: &Settings, stop: &Stop) -> anyhow::Result<()> {
    let mut serving = Serving::start(arguments, log, settings)?;
    let ran = serving.run(stop);
    ran.and(serving.finish())
}

/// A mirror, with its order on one side and its readings on the other.
struct Serving {
    mirror: Mirror,
    share: Share,
    reports: Receiver<Report>,
    batches: Batches,
    outbox: Outbox,
    /// Whether it was told that readings cannot be published.
    is_told: bool,
}

impl Serving {
    fn start(arguments: &Arguments, log: &dyn Log, settings: &Settings) -> anyhow::Result<Self> {
        let share = Share::read(log, arguments.workload.clone(), arguments.canary.is_some(), instant::now())?;
        let name = arguments.replica.as_ref().map(|replica| format!("-{replica}")).unwrap_or_default();
        let source = SourceId::new(&format!("mirror-{}{name}", arguments.workload))
            .context("the name of the samples' source")?;
        let outbox = Outbox::start("samples", log.writer(Delivery::Idempotent)?, outbox::BYTES_MAX)?;
        let (sender, reports) = mpsc::sync_channel(REPORTS_MAX);
        let tell = move |report| {
            if let Err(TrySendError::Full(_)) = sender.try_send(report) {
                tracing::warn!("readings of an interval are lost: the loop that publishes them hangs");
            }
        };
        let stage = stage(arguments, &share);
        let mirror = Mirror::start(settings.mirror.clone(), stage, tell)?;
        let (workload, listen, primary) = (&arguments.workload, mirror.address(), arguments.primary);
        tracing::info!(%workload, %listen, %primary, "serving");
        if arguments.shadow.is_some() && share.ratio(instant::now()).is_none() {
            tracing::warn!(%workload, "nothing is mirrored yet: its record on the topic of workloads has no shadow");
        }
        Ok(Self { mirror, share, reports, batches: Batches::new(source), outbox, is_told: false })
    }

    /// Serves until it is asked to stop.
    fn run(&mut self, stop: &Stop) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut refreshing = Pace::new(REFRESH_EVERY, began);
        let mut telling = Pace::new(COUNTS_EVERY, began + COUNTS_EVERY);
        while !stop.wait(TURN) {
            let now = Instant::now();
            if refreshing.take(now) {
                // Whatever becomes of the log, the primary is served: a share that is not renewed expires.
                match self.share.refresh() {
                    Ok(()) => self.renew(),
                    Err(error) => tracing::error!(%error, "nothing is mirrored any more: mend the log and start again"),
                }
            }
            self.publish(now);
            if let Err(error) = self.outbox.check()
                && !std::mem::replace(&mut self.is_told, true)
            {
                tracing::error!(%error, "readings are published no more: mend the log and start again");
            }
            if telling.take(now) {
                self.tell();
            }
        }
        Ok(())
    }

    /// Puts the promise and the shares in force, these for a little longer, for whoever is there; no record, no roll-out: no
    /// share.
    fn renew(&self) {
        let now = instant::now();
        let until = now.plus(RENEWED_FOR_MS);
        self.mirror.handle().set_promise(self.share.promise());
        for (audience, share) in [(Audience::Shadow, self.share.ratio(now)), (Audience::Pair, self.share.on_trial(now))]
        {
            let share = share.unwrap_or(Ratio::new(0.0));
            // Nobody there to mirror to is what the command was asked for; other faults are the record's.
            match self.mirror.handle().set_share(audience, share, until) {
                Ok(_) | Err(mirror::ShareFault::Nobody) => {}
                Err(fault) => tracing::warn!(%fault, "the share before stays until it expires"),
            }
        }
    }

    fn publish(&mut self, now: Instant) {
        for report in self.reports.try_iter() {
            self.batches.add(report.samples, now).into_iter().for_each(|message| self.outbox.put(message));
        }
    }

    fn tell(&self) {
        for (role, audience) in [("shadow", Audience::Shadow), ("pair", Audience::Pair)] {
            let Some(counts) = self.mirror.handle().counts(audience) else { continue };
            let Counts { answered, unsampled, excluded, .. } = counts;
            let (dropped, failed) = (counts.dropped(), counts.failed());
            tracing::info!(role, answered, dropped, failed, unsampled, excluded, "copies");
        }
    }

    /// Serves the requests under way, and writes what was read.
    fn finish(mut self) -> anyhow::Result<()> {
        self.tell();
        self.mirror.finish();
        let last = self.reports.try_iter().flat_map(|report| report.samples).collect();
        self.batches.add(last, Instant::now()).into_iter().for_each(|message| self.outbox.put(message));
        self.batches.take().into_iter().for_each(|message| self.outbox.put(message));
        let outbox::Counts { written, dropped, .. } = self.outbox.finish(outbox::FLUSH_MAX)?;
        tracing::info!(written, dropped, "samples");
        Ok(())
    }
}

fn stage(arguments: &Arguments, share: &Share) -> Stage {
    let mut stage = Stage::new(arguments.workload.clone(), arguments.listen, arguments.primary);
    stage.tenant = share.tenant();
    stage.shadow = arguments.shadow;
    stage.pair = arguments.canary.zip(arguments.baseline);
    if let Some(replica) = &arguments.replica {
        stage.is_replica = true;
        stage.instance = replica.clone();
    }
    stage
}
