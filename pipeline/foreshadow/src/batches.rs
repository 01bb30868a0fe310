//! Samples gathered into messages of the native lane: messages, not samples, are what a log charges for.

use std::time::{Duration, Instant};

use schemas::{Sample, SourceId};
use topics::Outgoing;

/// Most samples of one message: half of what the native lane may carry, some 700 kB.
pub(crate) const SAMPLES_MAX: usize = 4096;

/// How long the first sample of a message waits for company: a quarter of the default lateness, so that gathering delays
/// no decision.
const AGE_MAX: Duration = Duration::from_millis(500);

/// Samples on their way into a message. Bound: [`SAMPLES_MAX`] and one reading of all instances.
pub(crate) struct Batches {
    source: SourceId,
    gathered: Vec<Sample>,
    since: Option<Instant>,
}

impl Batches {
    /// Nothing yet, of `source`.
    pub(crate) fn new(source: SourceId) -> Self {
        Self { source, gathered: Vec::new(), since: None }
    }

    /// Takes in the samples of a tick at `now`; the messages that are due, oldest first.
    pub(crate) fn add(&mut self, samples: Vec<Sample>, now: Instant) -> Vec<Outgoing> {
        self.gathered.extend(samples);
        let since = *self.since.get_or_insert(now);
        let is_due = now.saturating_duration_since(since) >= AGE_MAX || self.gathered.len() >= SAMPLES_MAX;
        if is_due { self.take() } else { Vec::new() }
    }

    /// The messages of all that is gathered.
    pub(crate) fn take(&mut self) -> Vec<Outgoing> {
        self.since = None;
        messages(&self.source, &std::mem::take(&mut self.gathered))
    }
}

/// Samples of one source as messages, each with the time of its newest sample; none for no samples.
pub(crate) fn messages(source: &SourceId, samples: &[Sample]) -> Vec<Outgoing> {
    let message = |samples: &[Sample]| {
        let newest = samples.iter().map(|sample| sample.time).max().unwrap_or_default();
        Outgoing::samples(source, newest, samples)
    };
    samples.chunks(SAMPLES_MAX).map(message).collect()
}

#[cfg(test)]
mod tests {
    use schemas::{EventTime, WorkloadId};

    use super::*;

    fn samples(count: u64) -> Vec<Sample> {
        let workload = WorkloadId::new("web").expect("a plain name");
        (0..count).map(|at| Sample::new(EventTime::from_millis(at), workload.clone())).collect()
    }

    fn batches() -> Batches {
        Batches::new(SourceId::new("machine").expect("a plain name"))
    }

    fn rows(messages: &[Outgoing]) -> Vec<&str> {
        let rows = messages.iter().flat_map(|message| &message.headers).filter(|(name, _)| name == "foreshadow.rows");
        rows.map(|(_, value)| std::str::from_utf8(value).expect("a number")).collect()
    }

    #[test]
    fn a_message_leaves_when_its_first_sample_is_old_enough() {
        let (mut batches, start) = (batches(), Instant::now());
        for tick in 0..5 {
            assert_eq!(batches.add(samples(2), start + Duration::from_millis(tick * 100)), []);
        }
        // Six ticks of two samples, 500 ms after the first.
        assert_eq!(rows(&batches.add(samples(2), start + AGE_MAX)), ["12"]);
        assert_eq!(batches.add(samples(1), start + AGE_MAX), [], "the next one's first sample is new");
        assert_eq!(rows(&batches.take()), ["1"]);
        assert_eq!(batches.take(), []);
    }

    #[test]
    fn a_full_message_leaves_at_once_and_a_larger_tick_is_split() {
        let (mut batches, now) = (batches(), Instant::now());
        let messages = batches.add(samples(10_000), now);
        assert_eq!(rows(&messages), ["4096", "4096", "1808"]);
        // Sample i was taken at i ms.
        assert_eq!(messages.iter().map(|message| message.time.millis()).collect::<Vec<_>>(), [4095, 8191, 9999]);
    }

    #[test]
    fn ticks_without_samples_make_no_message() {
        let (mut batches, start) = (batches(), Instant::now());
        assert_eq!(batches.add(Vec::new(), start), []);
        assert_eq!(batches.add(Vec::new(), start + AGE_MAX), []);
    }
}
