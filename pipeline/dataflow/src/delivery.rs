//! What goes into the engine and what comes out.

use schemas::{EventTime, Topic};

/// A record of an input topic, as the log delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic: samples, or one of the control plane (workloads, pools, outcomes, models).
    pub topic: Topic,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The log's own time of the record.
    pub time: EventTime,
    /// The key: who wrote it, or what it is about.
    pub key: String,
    /// The content type, where a header gives it.
    pub content_type: Option<String>,
    /// The value; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// The first tick in which it may count, where that was settled before a restart.
    pub counts_from: Option<EventTime>,
    /// Whether a run before this one has said for good what became of it: then how far this run has come is no matter.
    pub settled: bool,
    /// Of samples: how their partition may rest after it.
    pub rest: Rest,
}

/// How a partition of the samples may rest before its next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Not at all: a run before this one did not let it rest there.
    Never,
    /// Until where that run had come when it read the next record.
    Until(EventTime),
    /// For as long as nothing comes.
    Free,
}

impl Rest {
    /// Until when it rests; `None` where it may not, and the end of that where nobody knows.
    #[must_use]
    pub(crate) const fn until(self) -> Option<Option<EventTime>> {
        match self {
            Self::Never => None,
            Self::Until(until) => Some(Some(until)),
            Self::Free => Some(None),
        }
    }
}

/// That the records of a partition up to an offset were taken in, and from when on the last of them counts.
///
/// A replay that is told so takes the same decisions, whenever the record arrives.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Receipt {
    /// The topic's short name.
    pub noun: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The tick from which it counts, where that depends on how far the others had come: a change whose own tick had closed, or
    /// samples of a partition after it had rested, or after a restart.
    pub late: Option<EventTime>,
}

/// A record for an output topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct OutputRecord {
    /// Start of the tick that it left with, in milliseconds.
    pub tick: u64,
    /// The topic's short name.
    pub noun: String,
    /// The key.
    pub key: String,
    /// The value: JSON.
    pub value: Vec<u8>,
    /// Headers, by name.
    pub headers: Vec<(String, String)>,
}

/// Everything that left a range of ticks: to be published as a whole, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The first tick that is not in it; [`EventTime::MAX`] when the input has ended.
    pub frontier: EventTime,
    /// The records, in canonical order.
    pub records: Vec<OutputRecord>,
    /// What was taken in while these ticks were open, in the order of each partition's offsets.
    pub receipts: Vec<Receipt>,
}
