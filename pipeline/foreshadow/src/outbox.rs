//! What waits to be written, and the thread that writes it: whoever measures or acts never waits for a broker.
//!
//! Records are written one by one, in order. While the log cannot be reached they wait here, up to a bound in bytes;
//! past it the oldest are dropped, as the newest tell most, and counted. A record whose append failed is written
//! again, and may then be on the log twice: readers of samples and outcomes drop what they have.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use topics::{Action, Error, Outgoing, Writer};

/// Bytes that wait at most. Two hours of the demo fleet; six minutes of a hundred instances read ten times a second.
pub(crate) const BYTES_MAX: usize = 64 << 20;

/// How long a command that ends waits for what is still to be written.
pub(crate) const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Between two tries while the log cannot be reached. The client below tries for half a minute on its own.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What a record holds beside its value: key, headers and their places, in bytes.
const RECORD_BYTES: usize = 512;

/// A queue of records with its writing thread.
pub(crate) struct Outbox {
    shared: Arc<Shared>,
}

/// What became of the rows that were put in: samples, or records of other nouns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// On the log.
    pub(crate) written: u64,
    /// Dropped at the bound, or refused by the log.
    pub(crate) dropped: u64,
    /// Not written yet.
    pub(crate) waiting: u64,
}

struct Shared {
    /// What the rows are, in messages to people.
    what: &'static str,
    bytes_max: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Invariant: `bytes` of records, at most `bytes_max` unless it is one record alone.
    records: VecDeque<Outgoing>,
    bytes: usize,
    counts: Counts,
    closed: bool,
    /// Set when the thread ends, with the reason if it failed.
    ended: bool,
    failure: Option<Error>,
}

/// A time in which the log could not be reached.
struct Outage {
    since: Instant,
    dropped_before: u64,
}

impl Outbox {
    /// An empty queue of `what` (such as `samples`) over `writer`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(what: &'static str, writer: Box<dyn Writer>, bytes_max: usize) -> io::Result<Self> {
        let shared = Shared { what, bytes_max, queue: Mutex::default(), changed: Condvar::new() };
        let shared = Arc::new(shared);
        let thread = Arc::clone(&shared);
        thread::Builder::new().name(format!("{what}-outbox")).spawn(move || thread.write(writer))?;
        Ok(Self { shared })
    }

    /// Adds a record; drops the oldest while there are too many.
    pub(crate) fn put(&self, record: Outgoing) {
        let mut queue = self.shared.lock();
        queue.counts.waiting += rows(&record);
        queue.bytes += bytes(&record);
        queue.records.push_back(record);
        queue.trim(self.shared.bytes_max);
        self.shared.changed.notify_all();
    }

    /// What became of the rows so far.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Fails once the thread has failed for good, once.
    ///
    /// # Errors
    /// An [`Error`] that the caller can only stop at.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.shared.lock().failure.take().map_or(Ok(()), Err)
    }

    /// Writes what waits, for at most `at_most`; a log that cannot be reached now is not tried again.
    ///
    /// # Errors
    /// As [`Outbox::check`].
    pub(crate) fn finish(self, at_most: Duration) -> Result<Counts, Error> {
        let mut queue = self.shared.lock();
        queue.closed = true;
        self.shared.changed.notify_all();
        let waited = self.shared.changed.wait_timeout_while(queue, at_most, |queue| !queue.ended);
        let (mut queue, _) = waited.expect("no holder of the lock panics");
        let Counts { waiting, .. } = queue.counts;
        if waiting > 0 {
            tracing::warn!(lost = waiting, "{} could not be written before the end", self.shared.what);
        }
        queue.failure.take().map_or(Ok(queue.counts), Err)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of the lock panics")
    }

    fn write(&self, mut writer: Box<dyn Writer>) {
        let mut outage = None;
        while let Some(record) = self.next() {
            let (rows, began) = (rows(&record), Instant::now());
            match writer.append(std::slice::from_ref(&record)) {
                Ok(()) => {
                    self.settle(|counts| counts.written += rows, rows);
                    self.tell_recovery(&mut outage);
                }
                Err(error) if error.action() == Action::Retry => {
                    self.put_back(record);
                    self.tell_outage(&mut outage, began, &error);
                    if self.pause() {
                        break;
                    }
                }
                Err(error) if error.action() == Action::Skip => {
                    tracing::warn!(%error, rows, "{} left out", self.what);
                    self.settle(|counts| counts.dropped += rows, rows);
                }
                Err(error) => {
                    self.lock().failure = Some(error);
                    break;
                }
            }
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits for the next record; none when the queue is closed and empty.
    fn next(&self) -> Option<Outgoing> {
        let waited = self.changed.wait_while(self.lock(), |queue| queue.records.is_empty() && !queue.closed);
        waited.expect("no holder of the lock panics").pop()
    }

    /// Counts rows that no longer wait.
    fn settle(&self, count: impl FnOnce(&mut Counts), rows: u64) {
        let mut queue = self.lock();
        count(&mut queue.counts);
        queue.counts.waiting -= rows;
    }

    /// A record that was not written is the oldest again, and the first to be dropped.
    fn put_back(&self, record: Outgoing) {
        let mut queue = self.lock();
        queue.bytes += bytes(&record);
        queue.records.push_front(record);
        queue.trim(self.bytes_max);
    }

    /// Waits before the next try; true when the queue was closed.
    fn pause(&self) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), RETRY_PAUSE, |queue| !queue.closed);
        waited.expect("no holder of the lock panics").0.closed
    }

    /// Tells an outage once. It `began` with the first append that failed, half a minute ago where the client tried on.
    fn tell_outage(&self, outage: &mut Option<Outage>, began: Instant, error: &Error) {
        if outage.is_none() {
            *outage = Some(Outage { since: began, dropped_before: self.lock().counts.dropped });
            tracing::warn!(%error, bytes_max = self.bytes_max, "{} wait here until the log is back", self.what);
        }
    }

    fn tell_recovery(&self, outage: &mut Option<Outage>) {
        if let Some(outage) = outage.take() {
            let Counts { waiting, dropped, .. } = self.lock().counts;
            let (away_s, dropped) = (outage.since.elapsed().as_secs(), dropped - outage.dropped_before);
            tracing::warn!(away_s, dropped, waiting, "the log is back: {} are written again", self.what);
        }
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Outgoing> {
        let record = self.records.pop_front()?;
        self.bytes -= bytes(&record);
        Some(record)
    }

    fn trim(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max && self.records.len() > 1 {
            let rows = self.pop().as_ref().map_or(0, rows);
            self.counts.waiting -= rows;
            self.counts.dropped += rows;
        }
    }
}

/// How many samples a message of the native lane holds; one for a record of any other noun.
fn rows(record: &Outgoing) -> u64 {
    let header = record.headers.iter().find(|(name, _)| name == "foreshadow.rows");
    header.and_then(|(_, rows)| std::str::from_utf8(rows).ok()?.parse().ok()).unwrap_or(1)
}

fn bytes(record: &Outgoing) -> usize {
    record.value.as_ref().map_or(0, Vec::len) + RECORD_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use schemas::{EventTime, Pool, Span, Topic};
    use topics::{Delivery, Embedded, EmbeddedSettings, Log, Start, read_all};

    use super::*;

    /// A writer whose log can go away, refuses empty keys, and has one key that breaks it.
    struct Fickle {
        writer: Box<dyn Writer>,
        away: Arc<AtomicBool>,
    }

    impl Writer for Fickle {
        fn append(&mut self, records: &[Outgoing]) -> Result<(), Error> {
            let (topic, place, reason) = (String::new(), String::new(), String::new());
            if self.away.load(Ordering::Relaxed) {
                return Err(Error::Unreachable { place, waited: Span::from_secs(1), reason });
            }
            match records[0].key.as_slice() {
                b"" => Err(Error::Refused { topic, source_id: String::new(), place, reason }),
                b"broken" => Err(Error::Fenced { id: String::new(), place }),
                _ => self.writer.append(records),
            }
        }
    }

    fn start(bytes_max: usize) -> (Embedded, Arc<AtomicBool>, Outbox) {
        let log = Embedded::in_memory(EmbeddedSettings::default());
        log.ensure(&[Topic::Pools], 1).expect("a new topic");
        let away = Arc::new(AtomicBool::new(false));
        let writer = log.writer(Delivery::Idempotent).expect("a writer");
        let writer = Fickle { writer, away: Arc::clone(&away) };
        let outbox = Outbox::start("records", Box::new(writer), bytes_max).expect("a thread");
        (log, away, outbox)
    }

    fn record(key: &str) -> Outgoing {
        Outgoing::tombstone::<Pool>(key, EventTime::from_millis(1))
    }

    fn keys(log: &Embedded) -> Vec<String> {
        let records = read_all(log, Topic::Pools, Start::Earliest).expect("a topic in memory");
        records.iter().map(topics::Record::source).collect()
    }

    /// Waits until the thread has counted as expected.
    fn settles(outbox: &Outbox, counts: Counts) -> bool {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            outbox.counts() == counts
        })
    }

    #[test]
    fn what_is_put_in_is_written_in_order_before_the_end() {
        let (log, _, outbox) = start(BYTES_MAX);
        ["a", "b", "c"].into_iter().for_each(|key| outbox.put(record(key)));
        let counts = outbox.finish(FLUSH_MAX).expect("all is well");
        assert_eq!(counts, Counts { written: 3, dropped: 0, waiting: 0 });
        assert_eq!(keys(&log), ["a", "b", "c"]);
    }

    #[test]
    fn an_outage_drops_the_oldest_past_the_bound_and_the_rest_is_written_after_it() {
        // Room for three records without a value.
        let (log, away, outbox) = start(3 * RECORD_BYTES);
        away.store(true, Ordering::Relaxed);
        ["a", "b", "c", "d", "e"].into_iter().for_each(|key| outbox.put(record(key)));
        assert!(settles(&outbox, Counts { written: 0, dropped: 2, waiting: 3 }), "{:?}", outbox.counts());
        away.store(false, Ordering::Relaxed);
        assert!(settles(&outbox, Counts { written: 3, dropped: 2, waiting: 0 }), "{:?}", outbox.counts());
        assert_eq!(keys(&log), ["c", "d", "e"]);
    }

    #[test]
    fn the_end_does_not_wait_for_a_log_that_is_away() {
        let (_, away, outbox) = start(BYTES_MAX);
        away.store(true, Ordering::Relaxed);
        outbox.put(record("a"));
        let counts = outbox.finish(Duration::from_secs(60)).expect("no failure for good");
        assert_eq!(counts, Counts { written: 0, dropped: 0, waiting: 1 });
    }

    #[test]
    fn a_record_that_is_refused_is_left_out() {
        let (log, _, outbox) = start(BYTES_MAX);
        ["a", "", "b"].into_iter().for_each(|key| outbox.put(record(key)));
        let counts = outbox.finish(FLUSH_MAX).expect("all is well");
        assert_eq!(counts, Counts { written: 2, dropped: 1, waiting: 0 });
        assert_eq!(keys(&log), ["a", "b"]);
    }

    #[test]
    fn a_failure_for_good_is_told_once() {
        let (_, _, outbox) = start(BYTES_MAX);
        outbox.put(record("broken"));
        let failed = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            outbox.check().is_err()
        });
        assert!(failed);
        outbox.check().expect("told before");
    }

    #[test]
    fn samples_count_one_by_one() {
        let mut message = record("machine");
        message.headers.push(("foreshadow.rows".to_owned(), b"12".to_vec()));
        assert_eq!((rows(&message), rows(&record("pool"))), (12, 1));
    }
}
