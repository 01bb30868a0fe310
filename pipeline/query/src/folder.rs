//! A folder of history: which file holds which slot.
//!
//! `<folder>/<noun>/date=2026-11-24/20261124T001000Z.parquet` holds the rows of one noun whose tick lies in the slot
//! that starts at 00:10, and the rows of a slot that is not whole yet end in `.part.parquet`. The date folder follows
//! Hive's convention, so that other tools find the days. `<folder>/slot_ms` fixes the length of a slot for good: with
//! another length the same name would mean other rows.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use schemas::{EventTime, Topic};
use serde::Deserialize;
use serde::de::value::{Error as TimeError, StrDeserializer};

use crate::Error;

const WHOLE: &str = ".parquet";
const PART: &str = ".part.parquet";
const SLOT_MS: &str = "slot_ms";

/// A folder of history and the length of its slots.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    slot_ms: u64,
}

/// One file of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotFile {
    /// Start of the slot.
    pub(crate) start: EventTime,
    /// Whether every row of the slot is in the file.
    pub(crate) whole: bool,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

impl Folder {
    /// A folder that was written before.
    ///
    /// # Errors
    /// [`Error::History`] when it is not there, [`Error::Slots`] when it holds no history.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let slots = |fault: &str| Error::Slots { path: path.to_owned(), fault: fault.to_owned() };
        fs::read_dir(path).map_err(|error| Error::history(path, error))?;
        let text = fs::read_to_string(path.join(SLOT_MS)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => slots("the file slot_ms is missing: give the folder that history is written to"),
            _ => Error::history(path, error),
        })?;
        let slot_ms = text.trim().parse().ok().filter(|&slot_ms| slot_ms > 0);
        let slot_ms = slot_ms.ok_or_else(|| slots("the file slot_ms holds no length in milliseconds"))?;
        Ok(Self { path: path.to_owned(), slot_ms })
    }

    /// A folder to write slots of one length to; made if it is not there.
    ///
    /// # Errors
    /// [`Error::History`] when it cannot be written, [`Error::Slots`] when it holds slots of another length.
    pub(crate) fn claim(path: &Path, slot_ms: u64) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::history(path, error);
        fs::create_dir_all(path).map_err(failed)?;
        let marker = path.join(SLOT_MS);
        if !marker.try_exists().map_err(failed)? {
            let temporary = path.join("slot_ms.tmp");
            fs::write(&temporary, format!("{slot_ms}\n")).map_err(failed)?;
            fs::rename(&temporary, &marker).map_err(failed)?;
        }
        let folder = Self::open(path)?;
        if folder.slot_ms != slot_ms {
            let found = folder.slot_ms;
            let fault = format!("its slots are {found} ms long, not {slot_ms} ms: keep {found} or use another folder");
            return Err(Error::Slots { path: path.to_owned(), fault });
        }
        Ok(folder)
    }

    /// Start of the slot that holds an instant.
    pub(crate) fn slot(&self, time: EventTime) -> EventTime {
        time.tick(self.slot_ms)
    }

    /// The first instant after a slot.
    pub(crate) fn end(&self, start: EventTime) -> EventTime {
        start.plus(self.slot_ms)
    }

    /// Length of a slot in milliseconds.
    pub(crate) const fn slot_ms(&self) -> u64 {
        self.slot_ms
    }

    /// The file of a slot.
    pub(crate) fn file(&self, topic: Topic, start: EventTime, whole: bool) -> PathBuf {
        // RFC 3339 with milliseconds, 2026-11-24T00:10:00.000Z: ten characters of date, nineteen down to the second.
        let text = start.to_string();
        let name = text[..19].replace(['-', ':'], "") + "Z" + if whole { WHOLE } else { PART };
        self.path.join(topic.noun()).join(format!("date={}", &text[..10])).join(name)
    }

    /// The files of a topic by slot; where a slot has two, the whole one. Other files are passed over.
    ///
    /// # Errors
    /// [`Error::History`] when a folder cannot be read.
    pub(crate) fn files(&self, topic: Topic) -> Result<Vec<SlotFile>, Error> {
        let root = self.path.join(topic.noun());
        let mut slots: BTreeMap<EventTime, SlotFile> = BTreeMap::new();
        for date in entries(&root)? {
            for path in if date.is_dir() { entries(&date)? } else { Vec::new() } {
                let Some(file) = recognise(path) else { continue };
                if file.whole || !slots.contains_key(&file.start) {
                    slots.insert(file.start, file);
                }
            }
        }
        Ok(slots.into_values().collect())
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: io::Error| Error::history(folder, error);
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|e| e.path()).map_err(failed)).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

fn recognise(path: PathBuf) -> Option<SlotFile> {
    let name = path.file_name()?.to_str()?;
    let whole = !name.ends_with(PART);
    let start = instant(name.strip_suffix(if whole { WHOLE } else { PART })?)?;
    Some(SlotFile { start, whole, path })
}

/// Reads `20261124T001000Z`.
fn instant(stem: &str) -> Option<EventTime> {
    let (date, time) = (stem.get(..8)?, stem.get(8..)?);
    let (hour, minute, second) = (time.get(..3)?, time.get(3..5)?, time.get(5..)?);
    let text = format!("{}-{}-{}{hour}:{minute}:{second}", date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    EventTime::deserialize(StrDeserializer::<TimeError>::new(&text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::MIDNIGHT;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::claim(dir.path(), 600_000).expect("an empty folder");
        (dir, folder)
    }

    #[test]
    fn a_file_is_named_after_its_slot_and_found_by_its_name() {
        let (dir, folder) = folder();
        // Ten minutes and one second after midnight: the slot starts at 00:10.
        let start = folder.slot(EventTime::from_millis(MIDNIGHT + 601_000));
        let path = folder.file(Topic::Samples, start, true);
        assert_eq!(path, dir.path().join("samples/date=2026-11-24/20261124T001000Z.parquet"));
        assert_eq!(recognise(path.clone()), Some(SlotFile { start, whole: true, path }));
        assert_eq!(folder.end(start), EventTime::from_millis(MIDNIGHT + 1_200_000));
    }

    #[test]
    fn a_whole_file_hides_the_part_and_strangers_are_passed_over() {
        let (_dir, folder) = folder();
        let first = EventTime::from_millis(MIDNIGHT);
        let second = folder.end(first);
        let stranger = folder.file(Topic::Samples, first, true).with_file_name("notes.parquet");
        let temporary = folder.file(Topic::Samples, first, true).with_extension("parquet.tmp");
        let part = |start| folder.file(Topic::Samples, start, false);
        let whole = folder.file(Topic::Samples, first, true);
        fs::create_dir_all(whole.parent().expect("a date folder")).expect("a writable folder");
        for path in [&part(first), &whole, &part(second), &stranger, &temporary] {
            fs::write(path, "").expect("a writable folder");
        }
        let expected = [
            SlotFile { start: first, whole: true, path: whole },
            SlotFile { start: second, whole: false, path: part(second) },
        ];
        assert_eq!(folder.files(Topic::Samples).expect("a readable folder"), expected);
        assert_eq!(folder.files(Topic::Decisions).expect("no folder yet"), []);
    }

    #[test]
    fn the_length_of_a_slot_is_fixed_for_good() {
        let (dir, _folder) = folder();
        let error = Folder::claim(dir.path(), 60_000).expect_err("another length");
        assert!(error.to_string().contains("keep 600000 or use another folder"), "{error}");
        let stranger = tempfile::tempdir().expect("a temporary folder");
        let error = Folder::open(stranger.path()).expect_err("no history");
        assert!(error.to_string().contains("slot_ms is missing"), "{error}");
    }
}
