//! Where live rows come from.

use std::fmt::Debug;

use arrow::record_batch::RecordBatch;
use schemas::{EventTime, Topic};
use serde::{Deserialize, Serialize};

/// Why a source could not be read; its text names what, where and the mend.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Which records of a topic are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// The first instant that counts, inclusive; none for the topic's beginning.
    pub from: Option<EventTime>,
    /// The first instant that no longer counts; none for the topic's end.
    pub to: Option<EventTime>,
    /// Most records of the log that are read, the newest ones; none for all of them.
    pub records_max: Option<usize>,
}

impl Bounds {
    /// Whether no instant lies within.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.to.is_some_and(|to| self.from.unwrap_or_default() >= to)
    }

    /// The instants that lie within both; the lesser `records_max` counts.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let least = |a: Option<_>, b: Option<_>| a.into_iter().chain(b).min();
        Self {
            from: self.from.max(other.from),
            to: least(self.to, other.to),
            records_max: self.records_max.into_iter().chain(other.records_max).min(),
        }
    }
}

/// Reads a bounded snapshot of a topic as record batches with the columns of [`crate::schema_of`].
///
/// A read ends at the end that the log had when it began. Topics that are compacted give the newest record of each
/// key, without those removed by a tombstone; they are read without bounds, for an old record may be the newest. Rows
/// outside the bounds may be among the answer, since a log finds times by the record and not by the row: whoever
/// asked drops them. [`crate::batch_of`] turns values into a batch; records that it cannot decode are the source's to
/// count.
pub trait Source: Send + Sync + Debug {
    /// Reads the records of a topic within the bounds. Blocks; called on a thread where that is allowed.
    ///
    /// # Errors
    /// [`SourceError`] when the log cannot be read to the end.
    fn read(&self, topic: Topic, bounds: &Bounds) -> Result<Vec<RecordBatch>, SourceError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(from: Option<u64>, to: Option<u64>) -> Bounds {
        Bounds { from: from.map(EventTime::from_millis), to: to.map(EventTime::from_millis), records_max: None }
    }

    #[test]
    fn bounds_meet_in_the_narrower_of_each_end() {
        assert_eq!(bounds(Some(1), None).and(&bounds(None, Some(9))), bounds(Some(1), Some(9)));
        assert_eq!(bounds(Some(1), Some(9)).and(&bounds(Some(3), Some(5))), bounds(Some(3), Some(5)));
        assert_eq!(bounds(None, None).and(&bounds(None, None)), Bounds::default());
    }

    #[test]
    fn the_end_is_exclusive() {
        assert!(bounds(Some(5), Some(5)).empty());
        assert!(!bounds(Some(5), Some(6)).empty());
        assert!(!bounds(Some(5), None).empty());
        assert!(bounds(None, Some(0)).empty(), "nothing lies before the epoch");
    }

    #[test]
    fn settings_may_leave_all_out() {
        assert_eq!(serde_json::from_str::<Bounds>("{}").expect("all fields default"), Bounds::default());
        assert!(serde_json::from_str::<Bounds>("{\"since\": 1}").is_err(), "a misspelt bound must not vanish");
    }
}
