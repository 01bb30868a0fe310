//! From settings to a log with its topics.

use std::sync::Arc;

use schemas::Topic;
use topics::{Embedded, Error, Kafka, Log};

use crate::settings::Settings;

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
