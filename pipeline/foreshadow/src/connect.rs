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
