//! From settings to a log with its topics.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use schemas::Topic;
use topics::{Action, Embedded, Error, Kafka, Log};

use crate::settings::Settings;

/// How often a topic that is being made is looked at, and how often at most: 10 s in all, where half a second is usual.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS_MAX: usize = 100;

/// The log that the settings name.
///
/// # Errors
/// As [`Kafka::connect`] and [`Embedded::on_disk`].
pub(crate) fn connect(settings: &Settings) -> Result<Arc<dyn Log>, Error> {
    Ok(match &settings.embedded.folder {
        Some(folder) => Arc::new(Embedded::on_disk(folder, settings.embedded.log.clone())?),
        None => Arc::new(Kafka::connect(settings.kafka.clone())?),
    })
}

/// The same, with every topic there: for commands that write.
///
/// # Errors
/// As [`connect`] and [`Log::ensure`].
pub(crate) fn connect_with_topics(settings: &Settings) -> Result<Arc<dyn Log>, Error> {
    let log = connect(settings)?;
    log.ensure(Topic::ALL, settings.partitions)?;
    Topic::ALL.iter().try_for_each(|&topic| await_leaders(log.as_ref(), topic))?;
    Ok(log)
}

/// The same, for commands that only look: they do not make the folder of an embedded log.
///
/// # Errors
/// As [`connect`], and when the folder is not there.
pub(crate) fn connect_to_read(settings: &Settings) -> anyhow::Result<Arc<dyn Log>> {
    if let Some(folder) = &settings.embedded.folder {
        let place = folder.display();
        anyhow::ensure!(folder.is_dir(), "no embedded log at {place}: name the folder that `foreshadow run` writes to");
    }
    Ok(connect(settings)?)
}

/// A topic that another process is making right now exists, but cannot be read or written before it has its leaders.
fn await_leaders(log: &dyn Log, topic: Topic) -> Result<(), Error> {
    let partitions = i32::try_from(log.partitions(topic)?).expect("partitions are numbered by an i32");
    for partition in 0..partitions {
        let mut looks = 1;
        while let Err(error) = log.watermarks(topic, partition) {
            if error.action() != Action::Retry || looks == LOOKS_MAX {
                return Err(error);
            }
            looks += 1;
            thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}
