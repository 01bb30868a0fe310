//! What goes into the engine and what comes out.

use schemas::{EventTime, Topic};

/// A record of an input topic, as the log delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic: samples, or one of the control plane (workloads, pools, outcomes).
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
    /// For the control plane: the first tick in which it may count, where that was settled before a restart.
    pub counts_from: Option<EventTime>,
}

/// That a record of the control plane was taken in, and from when on it counts.
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
    /// The tick from which it counts, where its own had closed before it came.
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
    /// What was taken in of the control plane while these ticks were open, in the order of each partition's offsets.
    pub receipts: Vec<Receipt>,
}
