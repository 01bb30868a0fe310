//! `tap`: a topic, printed live.

mod essence;
mod shown;

use std::io::Write;
use std::time::Duration;

use clap::Args;
use schemas::Topic;
use topics::{Action, Error, Log, Reader, Record, Start};

use crate::settings::Settings;
use crate::stop::{self, Stop};
use crate::{connect, instant, output};

/// Most records of a poll: what a person sees at once is fewer.
const RECORDS_MAX: usize = 512;
/// How long a poll waits: the longest that a signal goes unheard.
const POLL_TIMEOUT: Duration = Duration::from_millis(250);
/// How long it waits before it asks again for a topic or a broker that is not there.
const RETRY: Duration = Duration::from_secs(1);

/// What stands below the options.
const AFTER_HELP: &str = "\
People get a line a record, and of samples a line a sample; a record that cannot be read is told with its fault. An \
embedded log has one owner at a time, so that nothing is written while it is open here: it is printed to its end.

Examples:
  foreshadow tap decisions
  foreshadow tap samples --from 10m --json --count 100";

/// What the command takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Tap {
    /// The topic: its short name, such as `decisions`, or its name on the log.
    #[arg(value_parser = topic)]
    pub(crate) topic: Topic,
    /// Where it starts: `earliest`, `latest`, a time such as `2026-03-02T09:30:00Z`, or `10m` for ten minutes ago
    /// [default: latest, and earliest for an embedded log].
    #[arg(long, value_name = "START", value_parser = instant::start)]
    from: Option<Start>,
    /// Prints only records of this key: the workload, pool, model or worker group; for samples and rejects the source.
    #[arg(long)]
    key: Option<String>,
    /// Ends after so many records.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Prints one JSON object a record and line.
    #[arg(long)]
    json: bool,
}

/// `tap`: a topic, printed live.
pub(crate) fn run(arguments: &Tap, settings: &Settings) -> anyhow::Result<()> {
    let log = connect::connect_to_read(settings)?;
    let stop = stop::on_signals()?;
    let alone = settings.embedded.folder.is_some();
    let from = arguments.from.unwrap_or(if alone { Start::Earliest } else { Start::Latest });
    if from == Start::Latest {
        tracing::info!(
            "waiting for records of {}; --from earliest prints those that are there",
            arguments.topic.name()
        );
    }
    let Some(mut reader) = reader(log.as_ref(), arguments.topic, from, alone, &stop)? else { return Ok(()) };
    output::to_stdout(|out| arguments.print(reader.as_mut(), alone, &stop, out))
}

impl Tap {
    /// Prints records until it is stopped, has printed enough or, of a log that nobody else writes to, its end.
    fn print(&self, reader: &mut dyn Reader, alone: bool, stop: &Stop, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut left = self.count.unwrap_or(u64::MAX);
        let mut lost = false;
        while left > 0 && !stop.requested() {
            let mut records = match reader.poll(POLL_TIMEOUT, RECORDS_MAX) {
                Ok(records) => records,
                Err(error) if error.action() == Action::Stop => return Err(error.into()),
                Err(error) => {
                    // Told once, however long the broker is away.
                    if !std::mem::replace(&mut lost, error.action() == Action::Retry) {
                        tracing::warn!("{error}");
                    }
                    stop.wait(if lost { RETRY } else { Duration::ZERO });
                    continue;
                }
            };
            lost &= records.is_empty();
            if records.is_empty() && alone && reader.caught_up()? {
                return Ok(());
            }
            if !self.json {
                // Partitions come one after the other; people read by time.
                records.sort_by_key(|record| record.time);
            }
            for record in records.iter().filter(|record| self.wants(record)).take(usize::try_from(left)?) {
                self.write(record, out)?;
                left -= 1;
            }
            out.flush()?;
        }
        Ok(())
    }

    fn wants(&self, record: &Record) -> bool {
        // A log may begin before the time that it was asked for.
        if matches!(self.from, Some(Start::Time(from)) if record.time < from) {
            return false;
        }
        self.key.as_ref().is_none_or(|key| record.key.as_deref() == Some(key.as_bytes()))
    }

    fn write(&self, record: &Record, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.json {
            return Ok(writeln!(out, "{}", shown::object(record))?);
        }
        shown::lines(record).iter().try_for_each(|line| Ok(writeln!(out, "{line}")?))
    }
}

/// A reader of the topic. One that does not exist yet is waited for, unless nobody else can make it; none when stopped.
fn reader(
    log: &dyn Log,
    topic: Topic,
    from: Start,
    alone: bool,
    stop: &Stop,
) -> Result<Option<Box<dyn Reader>>, Error> {
    let mut from = from;
    loop {
        match log.partitions(topic) {
            Err(error @ Error::UnknownTopic { .. }) if alone => return Err(error),
            Err(Error::UnknownTopic { .. }) => {
                tracing::info!("{} does not exist yet; waiting for it", topic.name());
                // All that it will hold is new.
                from = Start::Earliest;
                if stop.wait(RETRY) {
                    return Ok(None);
                }
            }
            partitions => {
                let partitions = i32::try_from(partitions?).expect("partitions are numbered by an i32");
                let starts: Vec<_> = (0..partitions).map(|partition| (topic, partition, from)).collect();
                return log.reader(&starts).map(Some);
            }
        }
    }
}

/// The topic of a short or full name.
fn topic(name: &str) -> Result<Topic, String> {
    let full = || Topic::ALL.iter().copied().find(|topic| name.ends_with(topic.name()));
    Topic::of_noun(name).or_else(full).ok_or_else(|| {
        let names: Vec<&str> = Topic::ALL.iter().map(|topic| topic.noun()).collect();
        format!("no such topic: they are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests;
