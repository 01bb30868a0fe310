//! What is on disk after appending, closing, crashing and finishing.

use std::os::unix::fs::symlink;

use super::*;
use crate::fixtures::{self, MIDNIGHT};

const SLOT_MS: u64 = 10_000;

fn at(offset_ms: u64) -> EventTime {
    EventTime::from_millis(MIDNIGHT + offset_ms)
}

fn open(folder: &Path) -> History {
    let settings = HistorySettings { slot_ms: SLOT_MS, ..HistorySettings::default() };
    History::open(folder, &settings).expect("a writable folder")
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Appends a sample a second, from the first to before the last, in batches of `batch` rows that lie in one slot.
fn append(history: &mut History, seconds: std::ops::Range<u64>, batch: u64) {
    let mut second = seconds.start;
    while second < seconds.end {
        let next = (second + batch).min(seconds.end).min((second / 10 + 1) * 10);
        let rows = fixtures::samples((second..next).map(|s| MIDNIGHT + s * 1000));
        history.append(Topic::Samples, &rows);
        second = next;
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let date = folder.join("samples/date=2026-11-24");
    let entries = fs::read_dir(date).into_iter().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .map(|path| (path.file_name().expect("a file").to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, fs::read(path).expect("a readable file")))
        .collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_slot_is_written_once_the_frontier_has_passed_its_end() {
    let folder = temporary();
    let mut history = open(folder.path());
    append(&mut history, 0..20, 10);
    history.close(at(9_999)).expect("a writable folder");
    assert!(names(folder.path()).is_empty(), "a row at 9 999 ms may still come");
    history.close(at(10_000)).expect("a writable folder");
    assert_eq!(names(folder.path()), ["20261124T000000Z.parquet"]);
    assert_eq!(history.resume_from(Topic::Samples).expect("a readable folder"), Some(at(10_000)));
    assert_eq!(history.resume_from(Topic::Decisions).expect("a readable folder"), None);
}

#[test]
fn bytes_depend_on_the_rows_alone() {
    let folders = [1, 7].map(|batch| {
        let folder = temporary();
        let mut history = open(folder.path());
        append(&mut history, 0..30, batch);
        history.close(at(30_000)).expect("a writable folder");
        folder
    });
    let [single, sevens] = folders.each_ref().map(|folder| files(folder.path()));
    assert_eq!(single.len(), 3);
    assert!(single == sevens, "row by row and in sevens give the same files");
}

#[test]
fn a_replay_after_a_crash_writes_nothing_twice_and_ends_with_the_same_files() {
    let (crashed, whole) = (temporary(), temporary());
    let mut history = open(crashed.path());
    append(&mut history, 0..25, 5);
    history.close(at(20_000)).expect("a writable folder");
    let before = files(crashed.path());
    drop(history);

    let mut history = open(crashed.path());
    append(&mut history, 0..40, 5);
    history.close(at(40_000)).expect("a writable folder");
    let counts = history.finish().expect("nothing is left");
    assert_eq!(counts, HistoryCounts { slots_written: 2, slots_present: 2, ..HistoryCounts::default() });
    assert!(files(crashed.path())[..2] == before[..], "the first two files are as they were");

    let mut history = open(whole.path());
    append(&mut history, 0..40, 5);
    history.close(at(40_000)).expect("a writable folder");
    assert!(files(whole.path()) == files(crashed.path()), "as without the crash");
}

#[test]
fn a_part_stands_in_until_its_slot_is_whole() {
    let folder = temporary();
    let mut history = open(folder.path());
    append(&mut history, 0..15, 5);
    history.close(at(10_000)).expect("a writable folder");
    history.finish().expect("a writable folder");
    assert_eq!(names(folder.path()), ["20261124T000000Z.parquet", "20261124T000010Z.part.parquet"]);

    let mut history = open(folder.path());
    assert_eq!(history.resume_from(Topic::Samples).expect("a readable folder"), Some(at(10_000)));
    append(&mut history, 10..20, 5);
    history.close(at(20_000)).expect("a writable folder");
    assert_eq!(names(folder.path()), ["20261124T000000Z.parquet", "20261124T000010Z.parquet"]);
}

#[test]
fn a_full_disk_delays_the_slot_and_costs_no_row() {
    let folder = temporary();
    let mut history = open(folder.path());
    append(&mut history, 0..10, 10);
    // The kernel answers every write to /dev/full with "no space left on device", as a full disk does.
    let path = history.folder.file(Topic::Samples, at(0), true);
    fs::create_dir_all(path.parent().expect("a date folder")).expect("a writable folder");
    symlink("/dev/full", path.with_extension("parquet.tmp")).expect("a writable folder");

    let error = history.close(at(10_000)).expect_err("no space").to_string();
    assert!(error.contains("20261124T000000Z.parquet") && error.contains("has space"), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    assert!(history.buffered_bytes > 0);
    assert!(names(folder.path()).is_empty(), "nothing half written stays behind");

    // A tenth of a slot later it is tried again, not before.
    history.close(at(10_999)).expect("not tried");
    assert!(names(folder.path()).is_empty());
    history.close(at(11_000)).expect("space again");
    assert_eq!(names(folder.path()), ["20261124T000000Z.parquet"]);
    assert_eq!(history.buffered_bytes, 0);
}

#[test]
fn past_the_bound_the_oldest_slot_goes_whole() {
    let folder = temporary();
    let slot_bytes = fixtures::samples((0..10).map(|s| MIDNIGHT + s * 1000)).get_array_memory_size();
    let settings = HistorySettings { slot_ms: SLOT_MS, buffered_bytes_max: 2 * slot_bytes };
    let mut history = History::open(folder.path(), &settings).expect("a writable folder");
    // A file where the noun's folder belongs: nothing can be written, whoever runs the test.
    fs::write(folder.path().join("samples"), "").expect("a writable folder");
    for slot in 0..3 {
        append(&mut history, slot * 10..slot * 10 + 10, 10);
        let outcome = history.close(at((slot + 1) * SLOT_MS));
        assert!(matches!(outcome, Err(Error::History { .. })), "{outcome:?}");
    }
    // Three slots of ten rows against room for two.
    assert_eq!(history.counts(), HistoryCounts { slots_dropped: 1, rows_dropped: 10, ..HistoryCounts::default() });
    append(&mut history, 0..5, 5);
    assert_eq!(history.counts().rows_dropped, 15, "half a slot must not pass for the whole");

    fs::remove_file(folder.path().join("samples")).expect("a writable folder");
    history.close(at(4 * SLOT_MS)).expect("a writable folder");
    assert_eq!(names(folder.path()), ["20261124T000010Z.parquet", "20261124T000020Z.parquet"]);
}

#[test]
fn a_wrong_clock_costs_its_own_rows_and_none_that_are_true() {
    let folder = temporary();
    let slot_bytes = fixtures::samples((0..10).map(|s| MIDNIGHT + s * 1000)).get_array_memory_size();
    let settings = HistorySettings { slot_ms: SLOT_MS, buffered_bytes_max: 2 * slot_bytes };
    let mut history = History::open(folder.path(), &settings).expect("a writable folder");
    history.close(at(1_000)).expect("nothing is due");
    // An hour ahead, twice as much as there is room for, beside what is true.
    append(&mut history, 3_600..3_610, 10);
    append(&mut history, 0..10, 10);
    append(&mut history, 3_610..3_620, 10);
    history.close(at(SLOT_MS)).expect("a writable folder");
    assert_eq!((history.counts().slots_written, history.counts().slots_dropped), (1, 1));
    history.finish().expect("a writable folder");
    assert_eq!(names(folder.path()), ["20261124T000000Z.parquet"], "what is far ahead is the log's");
}

#[test]
fn slots_of_broken_seconds_are_refused() {
    for slot_ms in [0, 1_500] {
        let settings = HistorySettings { slot_ms, ..HistorySettings::default() };
        let error = History::open(temporary().path(), &settings).expect_err("no name for such slots");
        assert!(error.to_string().contains("multiple of 1000"), "{error}");
    }
}
