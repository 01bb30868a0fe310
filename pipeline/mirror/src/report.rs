//! What a mirror tells of an interval.

use schemas::{Sample, Seconds};

/// Paired exchanges of an interval at most: what tests need within a second. Further ones are not in the report, though
/// in the samples.
pub const PAIRS_MAX: usize = 10_000;

/// What a mirror tells at the end of each interval.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests, errors, lateness and latency: one sample for the primary, and one for each role that saw requests, or might have.
    pub samples: Vec<Sample>,
    /// The same requests at canary and baseline.
    pub pairs: Vec<PairedExchange>,
}

/// One request, as canary and baseline answered it; none where no answer came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedExchange {
    /// The new version's answer.
    pub canary: Option<Answer>,
    /// The running version's.
    pub baseline: Option<Answer>,
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// How long it took to come.
    pub latency: Seconds,
}
