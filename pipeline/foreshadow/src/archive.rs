//! Beside the way: what goes in and what comes out, kept as history.
//!
//! A thread of its own decodes and writes, behind a bounded channel. A disk that fails costs history and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use dataflow::OutputRecord;
use query::{History, Value, batch_of};
use schemas::{EventTime, Topic};
use topics::Record;
use wire::Archived;

/// Values that may wait for the archive; the pipeline waits while it is full. A second of a busy cell.
const WAITING_MAX: usize = 4096;

/// Values that are decoded at once: enough to make columns of, few enough to hold.
const BATCH_MAX: usize = 1024;

/// The way into the archive.
struct Archive {
    entries: Sender<Entry>,
}

enum Entry {
    Keep(Topic, Kept),
    Close(EventTime),
}

struct Kept {
    bytes: Vec<u8>,
    content_type: Option<String>,
    log_time: EventTime,
}

/// Starts the thread that writes.
///
/// # Errors
/// When history's folder cannot be read, or the thread cannot be started.
pub(crate) fn start(history: History) -> anyhow::Result<Archived> {
    let (slot_ms, written) = (history.slot_ms(), history.written()?.unwrap_or_default());
    let (entries, waiting) = bounded(WAITING_MAX);
    let thread = std::thread::Builder::new().name("archive".to_owned()).spawn(move || write(history, &waiting))?;
    Ok(Archived { archive: Arc::new(Archive { entries }), slot_ms, written, thread })
}

impl wire::Archive for Archive {
    fn keep_input(&self, record: &Record) {
        let Some(bytes) = record.value.clone() else { return };
        let content_type = record.header("content-type").map(str::to_owned);
        self.send(Entry::Keep(record.topic, Kept { bytes, content_type, log_time: record.time }));
    }

    fn keep_output(&self, topic: Topic, record: &OutputRecord) {
        let log_time = EventTime::from_millis(record.tick);
        self.send(Entry::Keep(topic, Kept { bytes: record.value.clone(), content_type: None, log_time }));
    }

    fn close(&self, frontier: EventTime) {
        self.send(Entry::Close(frontier));
    }
}

impl Archive {
    fn send(&self, entry: Entry) {
        // The thread ends only after the last sender: a failed send means that it panicked, which its join tells.
        let _ = self.entries.send(entry);
    }
}

fn write(mut history: History, waiting: &Receiver<Entry>) {
    let (mut kept, mut dropped) = (Waiting::default(), 0);
    for entry in waiting {
        match entry {
            Entry::Keep(topic, value) => kept.add(topic, value, &mut history),
            Entry::Close(frontier) => {
                kept.flush(&mut history);
                if let Err(error) = history.close(frontier) {
                    tracing::error!(%error, "history is tried again later; the pipeline goes on without it");
                }
                let so_far = history.counts().slots_dropped;
                if so_far > dropped {
                    dropped = so_far;
                    tracing::warn!(
                        dropped,
                        "slots of history are lost: raise history.buffered_bytes_max or features_every"
                    );
                }
            }
        }
    }
    kept.flush(&mut history);
    match history.finish() {
        Ok(counts) => tracing::info!(?counts, "history is written"),
        Err(error) => tracing::error!(%error, "the end of history is not written"),
    }
}

/// Values that are decoded together.
#[derive(Default)]
struct Waiting {
    values: BTreeMap<Topic, Vec<Kept>>,
    count: usize,
}

impl Waiting {
    fn add(&mut self, topic: Topic, value: Kept, history: &mut History) {
        self.values.entry(topic).or_default().push(value);
        self.count += 1;
        if self.count >= BATCH_MAX {
            self.flush(history);
        }
    }

    fn flush(&mut self, history: &mut History) {
        self.count = 0;
        for (topic, values) in std::mem::take(&mut self.values) {
            let values = values.iter().map(|kept| Value {
                bytes: &kept.bytes,
                content_type: kept.content_type.as_deref(),
                log_time: kept.log_time,
            });
            // What cannot be read is a dead letter already: the pipeline has seen it too.
            let (rows, _) = batch_of(topic, values);
            history.append(topic, &rows);
        }
    }
}
