//! The embedded log behind its lock: partitions, the file, and who owns which transactional id.

use std::collections::BTreeMap;
use std::iter;
use std::path::Path;
use std::sync::Arc;

use schemas::Topic;

use super::EmbeddedSettings;
use super::frame::{self, Entry};
use super::journal::Journal;
use super::partition::{Partition, cost};
use crate::{Error, Outgoing, Record, partition_of};

/// Bytes of records in one frame of a rewritten file.
const CHUNK_BYTES: usize = 1 << 20;
/// The file is rewritten once it is longer than this and than twice the records that are kept: rewriting then costs
/// each byte at most once more.
const REWRITE_BYTES_MIN: u64 = 16 << 20;

/// Everything that one lock guards.
pub(super) struct State {
    settings: EmbeddedSettings,
    place: String,
    topics: BTreeMap<Topic, Vec<Partition>>,
    journal: Option<Journal>,
    /// Length of the file at which the next rewriting is tried.
    rewrite_at: u64,
    /// The term of each transactional id's owner. Ids name worker groups, so there are few.
    owners: BTreeMap<String, u64>,
}

impl State {
    pub(super) fn in_memory(settings: EmbeddedSettings) -> Self {
        Self {
            settings,
            place: "memory".to_owned(),
            topics: BTreeMap::new(),
            journal: None,
            rewrite_at: REWRITE_BYTES_MIN,
            owners: BTreeMap::new(),
        }
    }

    /// Reads the file's records, applying retention and compaction on the way.
    pub(super) fn on_disk(folder: &Path, settings: EmbeddedSettings) -> Result<Self, Error> {
        let mut state = Self { place: folder.display().to_string(), ..Self::in_memory(settings) };
        let sync = state.settings.sync;
        let journal = Journal::open(folder, sync, &mut |entry| state.load(entry))?;
        state.journal = Some(journal);
        state.rewrite_if_long();
        Ok(state)
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn torn_bytes(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::torn_bytes)
    }

    pub(super) fn ensure(&mut self, topics: &[Topic], partitions: u32) -> Result<(), Error> {
        Error::check_partitions(partitions)?;
        let missing: Vec<Topic> = topics.iter().copied().filter(|topic| !self.topics.contains_key(topic)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut payload = Vec::new();
        for &topic in &missing {
            frame::put_topic(&mut payload, topic, partitions);
        }
        if let Some(journal) = &mut self.journal {
            journal.append(&payload)?;
        }
        for topic in missing {
            self.create(topic, partitions);
        }
        Ok(())
    }

    pub(super) fn partitions(&self, topic: Topic) -> Result<&[Partition], Error> {
        let unknown = || Error::UnknownTopic { topic: topic.name().to_owned(), place: self.place.clone() };
        self.topics.get(&topic).map(Vec::as_slice).ok_or_else(unknown)
    }

    pub(super) fn partition(&self, topic: Topic, partition: i32) -> Result<&Partition, Error> {
        let found = usize::try_from(partition).ok().and_then(|index| self.topics.get(&topic)?.get(index));
        if found.is_none() {
            self.partitions(topic)?;
        }
        found.ok_or_else(|| Error::UnknownPartition {
            topic: topic.name().to_owned(),
            partition,
            place: self.place.clone(),
        })
    }

    /// Makes the caller the owner of a transactional id; returns its term.
    pub(super) fn take_over(&mut self, id: &str) -> u64 {
        let term = self.owners.entry(id.to_owned()).or_insert(0);
        *term += 1;
        *term
    }

    pub(super) fn owns(&self, id: &str, term: u64) -> bool {
        self.owners.get(id) == Some(&term)
    }

    /// Writes all records or none: first checked, then on the disk, then seen.
    pub(super) fn append(&mut self, records: &[Outgoing]) -> Result<(), Error> {
        let placed = self.place_records(records)?;
        self.check_room(&placed)?;
        if let Some(journal) = &mut self.journal {
            journal.append(&payload(&placed, &self.place)?)?;
        }
        for record in placed {
            let partition = self.partition_mut(&record).expect("the record was placed in it");
            partition.push(Arc::new(record)).expect("placed at its next offset");
        }
        self.rewrite_if_long();
        Ok(())
    }

    fn place_records(&self, records: &[Outgoing]) -> Result<Vec<Record>, Error> {
        let mut nexts: BTreeMap<(Topic, i32), i64> = BTreeMap::new();
        let mut placed = Vec::with_capacity(records.len());
        for outgoing in records {
            outgoing.check(&self.place)?;
            let Outgoing { topic, time, key, value, headers } = outgoing.clone();
            let partitions = self.partitions(topic)?;
            let partition = partition_of(&key, u32::try_from(partitions.len()).expect("counted by a u32"));
            let next = nexts.entry((topic, partition)).or_insert_with(|| partitions[index(partition)].watermarks().1);
            placed.push(Record { topic, partition, offset: *next, time, key: Some(key), value, headers });
            *next += 1;
        }
        Ok(placed)
    }

    fn check_room(&mut self, placed: &[Record]) -> Result<(), Error> {
        let mut incoming: BTreeMap<(Topic, i32), u64> = BTreeMap::new();
        for record in placed {
            *incoming.entry((record.topic, record.partition)).or_insert(0) += cost(record);
        }
        let limit_bytes = self.settings.partition_bytes_max;
        for ((topic, partition), bytes) in incoming {
            let partitions = self.topics.get_mut(&topic).expect("the records were placed in it");
            if !partitions[index(partition)].has_room(bytes) {
                return Err(Error::Full { topic: topic.name().to_owned(), partition, limit_bytes });
            }
        }
        Ok(())
    }

    /// Keeps the file within about twice its records. A failure costs disk, not records: the old file stays in use.
    fn rewrite_if_long(&mut self) {
        let Some(journal) = self.journal.as_mut().filter(|journal| journal.length() > self.rewrite_at) else {
            return;
        };
        if let Err(error) = journal.rewrite(payloads(&self.topics)) {
            tracing::warn!(%error, "could not rewrite the log's file; trying again when it has doubled");
        }
        self.rewrite_at = REWRITE_BYTES_MIN.max(2 * journal.length());
    }

    fn load(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Topic(topic, partitions) => self.create(topic, partitions),
            Entry::Mark(topic, partition, low, next) => {
                let found = self.topics.get_mut(&topic).and_then(|all| all.get_mut(usize::try_from(partition).ok()?));
                found.ok_or("a mark of a partition that was not created")?.stand_at(low, next);
            }
            Entry::Record(record) => {
                let partition = self.partition_mut(&record).ok_or("a record of a partition that was not created")?;
                partition.push(Arc::new(record))?;
            }
        }
        Ok(())
    }

    fn create(&mut self, topic: Topic, partitions: u32) {
        let bytes_max = self.settings.partition_bytes_max;
        self.topics.insert(topic, (0..partitions).map(|_| Partition::new(topic.cleanup(), bytes_max)).collect());
    }

    fn partition_mut(&mut self, record: &Record) -> Option<&mut Partition> {
        self.topics.get_mut(&record.topic)?.get_mut(usize::try_from(record.partition).ok()?)
    }
}

fn payload(placed: &[Record], place: &str) -> Result<Vec<u8>, Error> {
    let mut payload = Vec::new();
    for record in placed {
        frame::put_record(&mut payload, record);
        if payload.len() > frame::PAYLOAD_BYTES_MAX {
            return Err(Error::TooLarge {
                topic: record.topic.name().to_owned(),
                source_id: record.source(),
                bytes: payload.len(),
                limit: format!("appends of at most {} bytes", frame::PAYLOAD_BYTES_MAX),
                place: place.to_owned(),
            });
        }
    }
    Ok(payload)
}

/// The whole state as payloads: topics, records in order, and last where each partition stands, since its oldest and
/// newest offsets may be without records.
fn payloads(topics: &BTreeMap<Topic, Vec<Partition>>) -> impl Iterator<Item = Vec<u8>> {
    let (mut head, mut marks) = (Vec::new(), Vec::new());
    for (&topic, partitions) in topics {
        frame::put_topic(&mut head, topic, u32::try_from(partitions.len()).expect("counted by a u32"));
        for (index, partition) in (0..).zip(partitions) {
            let (low, next) = partition.watermarks();
            frame::put_mark(&mut marks, topic, index, low, next);
        }
    }
    let mut records = topics.values().flatten().flat_map(Partition::records).peekable();
    let chunks = iter::from_fn(move || {
        records.peek()?;
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES
            && let Some(record) = records.next()
        {
            frame::put_record(&mut chunk, record);
        }
        Some(chunk)
    });
    iter::once(head).chain(chunks).chain(iter::once(marks))
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("partitions are numbered from 0")
}
