//! What can go wrong with a log, and what the caller does about it.

use std::io;
use std::path::{Path, PathBuf};

use schemas::Span;

/// What the caller of a failed call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call again after a pause: nothing is lost.
    Retry,
    /// Leave out what the error names, count it, and go on.
    Skip,
    /// Give up this reader, writer or log: only a person or a restart can mend it.
    Stop,
}

/// Why a call to a log failed. Each message says what is wrong, where, and the mend.
///
/// `place` is where the log is: the broker's address, `memory`, or a folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the address.
    #[error(
        "no broker answers at {place} within {waited} ({reason}): start one with `make kafka`, or correct \
         the brokers' address"
    )]
    Unreachable {
        /// The addresses that were tried.
        place: String,
        /// How long the call waited.
        waited: Span,
        /// The client's reason.
        reason: String,
    },
    /// The connection would be readable for everyone on the way.
    #[error(
        "broker {broker} is on another machine and would be spoken to in plaintext: set option security.protocol \
         to SSL or SASL_SSL, or insecure = true if the network is trusted"
    )]
    Plaintext {
        /// The address.
        broker: String,
    },
    /// A setting that cannot be.
    #[error("setting {name}: {reason}")]
    Setting {
        /// Name of the setting or of the librdkafka option.
        name: String,
        /// What is wrong with it, and the mend.
        reason: String,
    },
    /// The credentials do not suffice.
    #[error("{place} refuses to {doing} ({reason}): correct the credentials or the access list")]
    Denied {
        /// Where.
        place: String,
        /// What was tried.
        doing: String,
        /// The broker's reason.
        reason: String,
    },
    /// The topic does not exist.
    #[error("topic {topic} does not exist at {place}: create it first, as `Log::ensure` does")]
    UnknownTopic {
        /// Full name of the topic.
        topic: String,
        /// Where.
        place: String,
    },
    /// The topic has no such partition, or the reader was not assigned it.
    #[error("partition {partition} of {topic} is not there or not assigned at {place}: ask for the partitions first")]
    UnknownPartition {
        /// Full name of the topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where.
        place: String,
    },
    /// A record is larger than the log takes.
    #[error("a record of {bytes} bytes for {topic} from \"{source_id}\": {place} takes {limit}, split the batch")]
    TooLarge {
        /// Full name of the topic.
        topic: String,
        /// The record's key, lossy.
        source_id: String,
        /// Key, value and headers of the record, in bytes.
        bytes: usize,
        /// The most that is taken, in words.
        limit: String,
        /// Where.
        place: String,
    },
    /// The broker refuses a record whatever its size, such as one whose time is far ahead of the broker's clock.
    #[error("{place} refuses a record for {topic} from \"{source_id}\" ({reason}): correct it or leave it out")]
    Refused {
        /// Full name of the topic.
        topic: String,
        /// The record's key, lossy.
        source_id: String,
        /// Where.
        place: String,
        /// The broker's reason.
        reason: String,
    },
    /// A compacted partition holds more live keys than its bound allows.
    #[error(
        "partition {partition} of {topic} would hold more than {limit_bytes} bytes of live keys: remove keys, or raise \
         partition_bytes_max"
    )]
    Full {
        /// Full name of the topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The bound, in bytes.
        limit_bytes: u64,
    },
    /// Records that the reader had not read are gone: retention was faster.
    #[error(
        "offsets {position} to {low} of {topic} partition {partition} are gone before they were read: the reader goes \
         on at {low}; read faster or keep more"
    )]
    Overrun {
        /// Full name of the topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset that was to be read next.
        position: i64,
        /// The oldest offset that is left, where the reader goes on.
        low: i64,
    },
    /// A start beyond the end: the log was replaced, or the offset is of another log.
    #[error(
        "offset {offset} of {topic} partition {partition} is beyond the end {high} at {place}: this is another log, or \
         it lost its end; start from a snapshot of this log"
    )]
    Beyond {
        /// Full name of the topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset that was asked for.
        offset: i64,
        /// The next offset that will be written.
        high: i64,
        /// Where.
        place: String,
    },
    /// A read stands still before the end that was seen at its start.
    #[error("{topic} partition {partition} stands at {position} of {high}: is the broker overloaded?")]
    Stalled {
        /// Full name of the topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the read stands.
        position: i64,
        /// Where it should end.
        high: i64,
    },
    /// The broker could not do it now.
    #[error("{place} could not {doing}: {reason}")]
    Broker {
        /// Where.
        place: String,
        /// What was tried.
        doing: String,
        /// The client's reason.
        reason: String,
    },
    /// A transaction was rolled back: no record of it is seen by anyone.
    #[error("transaction of {id} at {place} was rolled back ({reason}): append the records again")]
    Aborted {
        /// The transactional id.
        id: String,
        /// Where.
        place: String,
        /// The client's reason.
        reason: String,
    },
    /// A newer writer with the same id took over.
    #[error("a newer writer took over id {id} at {place}: this one must end")]
    Fenced {
        /// The transactional id.
        id: String,
        /// Where.
        place: String,
    },
    /// The writer cannot go on, and what became of its last append is unknown.
    #[error("writer {id} at {place} failed for good ({reason}): restart and read how far the outputs reach")]
    Unsettled {
        /// The transactional id, or `idempotent`.
        id: String,
        /// Where.
        place: String,
        /// The client's reason.
        reason: String,
    },
    /// The disk has no space left. Nothing of the append is kept.
    #[error("no space left on the disk of {path}: free some, nothing of this append was kept")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process has the log open.
    #[error("{path} is open in another process: a log on disk has one owner at a time")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The file is damaged other than by a crash at its end.
    #[error(
        "{path} is damaged at byte {at} ({reason}): restore a copy, or cut the file there with `truncate -s {at}` and \
         lose what follows"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damage starts, in bytes from the file's start.
        at: u64,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// What the caller does now.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Unreachable { .. }
            | Self::Stalled { .. }
            | Self::Broker { .. }
            | Self::Aborted { .. }
            | Self::DiskFull { .. } => Action::Retry,
            Self::TooLarge { .. } | Self::Refused { .. } | Self::Overrun { .. } => Action::Skip,
            Self::Plaintext { .. }
            | Self::Setting { .. }
            | Self::Denied { .. }
            | Self::UnknownTopic { .. }
            | Self::UnknownPartition { .. }
            | Self::Full { .. }
            | Self::Beyond { .. }
            | Self::Fenced { .. }
            | Self::Unsettled { .. }
            | Self::Io { .. }
            | Self::Locked { .. }
            | Self::Corrupt { .. } => Action::Stop,
        }
    }

    /// Refuses a number of partitions that no topic has, on both logs alike.
    pub(crate) fn check_partitions(partitions: u32) -> Result<i32, Self> {
        i32::try_from(partitions).ok().filter(|&partitions| partitions > 0).ok_or_else(|| Self::Setting {
            name: "partitions".to_owned(),
            reason: format!("{partitions}: a topic has at least one, and fewer than 2^31"),
        })
    }

    /// A failed call to the file system.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull { path: path.to_owned() };
        }
        Self::Io { path: path.to_owned(), source }
    }
}
