//! Tests of `journal.rs`.

use proptest::prelude::*;

use super::*;

fn open(folder: &Path) -> Result<(Journal, Vec<Entry>), Error> {
    let mut entries = Vec::new();
    let journal = Journal::open(folder, false, &mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    Ok((journal, entries))
}

fn mark(next: i64) -> Vec<u8> {
    let mut payload = Vec::new();
    frame::put_mark(&mut payload, schemas::Topic::Pools, 0, 0, next);
    payload
}

/// A file of three frames with one mark each: its bytes, and the folder that holds it.
fn three_frames() -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut journal, _) = open(folder.path()).expect("a new file");
    for next in 1..=3 {
        journal.append(&mark(next)).expect("space on the disk");
    }
    drop(journal);
    let bytes = fs::read(folder.path().join(NAME)).expect("the file");
    (folder, bytes)
}

/// Bytes of a frame with one mark: 12 of header, 1 of kind, 4 + 5 of "pools", 4 + 8 + 8 of numbers.
const FRAME_BYTES: usize = 42;

proptest! {
    #[test]
    fn wherever_a_crash_cuts_the_file_whole_frames_are_read_and_the_rest_is_counted(cut in 0usize..=134) {
        let (folder, bytes) = three_frames();
        prop_assert_eq!(bytes.len(), 8 + 3 * FRAME_BYTES);
        fs::write(folder.path().join(NAME), &bytes[..cut]).expect("a writable file");
        let (mut journal, entries) = open(folder.path()).expect("a torn tail is no error");
        let whole = cut.saturating_sub(8) / FRAME_BYTES;
        prop_assert_eq!(entries.len(), whole);
        let torn = if cut < 8 { cut } else { (cut - 8) % FRAME_BYTES };
        prop_assert_eq!(journal.torn_bytes(), torn as u64);
        journal.append(&mark(9)).expect("space on the disk");
        drop(journal);
        prop_assert_eq!(open(folder.path()).expect("a whole file").1.len(), whole + 1);
    }

    #[test]
    fn a_flipped_bit_never_passes_for_a_record(at in 8usize..134, bit in 0u8..8) {
        let (folder, mut bytes) = three_frames();
        bytes[at] ^= 1 << bit;
        fs::write(folder.path().join(NAME), &bytes).expect("a writable file");
        let content_of_last = at >= 8 + 2 * FRAME_BYTES + HEADER_BYTES;
        match open(folder.path()) {
            // The last frame's content may be half written; all else was whole once.
            Ok((journal, entries)) => {
                prop_assert!(content_of_last);
                prop_assert_eq!((entries.len(), journal.torn_bytes()), (2, FRAME_BYTES as u64));
            }
            Err(Error::Corrupt { at: damage, .. }) => {
                prop_assert!(!content_of_last);
                prop_assert_eq!(damage, (8 + (at - 8) / FRAME_BYTES * FRAME_BYTES) as u64);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn zeros_at_the_end_are_a_torn_tail() {
    let (folder, mut bytes) = three_frames();
    bytes.extend([0; 100]);
    fs::write(folder.path().join(NAME), &bytes).expect("a writable file");
    let (journal, entries) = open(folder.path()).expect("granted space is no damage");
    assert_eq!((entries.len(), journal.torn_bytes()), (3, 100));
}

#[test]
fn a_full_disk_is_named_and_leaves_the_file_as_it_was() {
    let (folder, bytes) = three_frames();
    let (mut journal, _) = open(folder.path()).expect("a whole file");
    // The device that has no space, in place of the file; it cannot be cut back either.
    let file = std::mem::replace(&mut journal.file, File::options().write(true).open("/dev/full").expect("Linux"));
    let error = journal.append(&mark(4)).expect_err("no space");
    assert!(matches!(&error, Error::DiskFull { path } if path.ends_with(NAME)), "{error}");
    journal.file = file;
    journal.append(&mark(5)).expect("space again");
    drop(journal);
    let now = fs::read(folder.path().join(NAME)).expect("the file");
    assert_eq!((&now[..bytes.len()], now.len()), (&bytes[..], bytes.len() + FRAME_BYTES));
}

#[test]
fn rewriting_replaces_the_frames_and_appends_follow_them() {
    let (folder, _) = three_frames();
    let (mut journal, _) = open(folder.path()).expect("a whole file");
    journal.rewrite([mark(7)].into_iter()).expect("space on the disk");
    journal.append(&mark(8)).expect("space on the disk");
    assert_eq!(journal.length() as usize, 8 + 2 * FRAME_BYTES);
    drop(journal);
    let (_, entries) = open(folder.path()).expect("a whole file");
    let mark = |next| Entry::Mark(schemas::Topic::Pools, 0, 0, next);
    assert_eq!(entries, [mark(7), mark(8)]);
}

#[test]
fn one_owner_at_a_time_and_only_of_a_log() {
    let (folder, _) = three_frames();
    let (held, _) = open(folder.path()).expect("a whole file");
    assert!(matches!(open(folder.path()), Err(Error::Locked { .. })));
    drop(held);
    fs::write(folder.path().join(NAME), "not a log at all").expect("a writable file");
    let error = open(folder.path()).expect_err("another file");
    assert!(error.to_string().contains("not a log of this version"), "{error}");
}
