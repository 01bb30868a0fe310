//! How far the publishers and the keeper have come, as they tell each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use schemas::EventTime;

/// The two ways out, each with a publisher of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// What is acted on: decisions, anomalies, dead letters.
    ActedOn,
    /// What is read, which may come after: features, forecasts.
    Read,
}

/// Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    gathered: [AtomicU64; 2],
    published: [AtomicU64; 2],
    oldest: AtomicU64,
}

impl Marks {
    /// A way's outputs before the frontier were taken from the workers; up to where those of both were.
    pub(crate) fn gather(&self, way: Way, frontier: EventTime) -> EventTime {
        set(&self.0.gathered[way as usize], frontier);
        least(&self.0.gathered)
    }

    /// A way's outputs before the frontier are published.
    pub(crate) fn publish(&self, way: Way, frontier: EventTime) {
        set(&self.0.published[way as usize], frontier);
    }

    /// Up to where a way's outputs may be published: what is read never goes before what is acted on. Where a run after this
    /// one takes up the inputs is told with the latter; said before, the former could contradict that run.
    pub(crate) fn allowed(&self, way: Way) -> EventTime {
        match way {
            Way::ActedOn => EventTime::MAX,
            Way::Read => get(&self.0.published[Way::ActedOn as usize]),
        }
    }

    /// Up to where all outputs are published.
    pub(crate) fn published(&self) -> EventTime {
        least(&self.0.published)
    }

    /// The keeper holds no older snapshot that a restart may begin from.
    pub(crate) fn keep_from(&self, oldest: EventTime) {
        set(&self.0.oldest, oldest);
    }

    /// The oldest snapshot that a restart may begin from.
    pub(crate) fn oldest(&self) -> EventTime {
        get(&self.0.oldest)
    }
}

fn set(mark: &AtomicU64, at: EventTime) {
    mark.store(at.millis(), Ordering::Release);
}

fn get(mark: &AtomicU64) -> EventTime {
    EventTime::from_millis(mark.load(Ordering::Acquire))
}

fn least([one, other]: &[AtomicU64; 2]) -> EventTime {
    get(one).min(get(other))
}
