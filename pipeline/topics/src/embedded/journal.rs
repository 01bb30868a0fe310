//! The embedded log's file: frames appended, each flushed to the disk before it counts.
//!
//! A crash may leave the last frame unfinished. At opening that torn tail is cut off, counted and warned of; nobody
//! was ever told that it was written. Damage anywhere else is an error, since cutting there would lose records that
//! somebody was told of.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::frame::{self, Entry, HEADER_BYTES};
use crate::Error;

/// First bytes of the file: what it is, and the version of its layout.
const MAGIC: &[u8; 8] = b"fslog\0v1";
const NAME: &str = "topics.log";
const NAME_WHILE_WRITING: &str = "topics.new";
const NAME_OF_LOCK: &str = "topics.lock";

/// The file of one log, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole frames and the magic; what lies behind them does not count.
    length: u64,
    /// Whether a failed append may have left bytes behind `length`.
    dirty: bool,
    sync: bool,
    torn_bytes: u64,
    /// Held for as long as the journal lives: one process at a time.
    _lock: File,
}

impl Journal {
    /// Opens or creates the file in `folder` and hands every entry to `apply`, in the order of writing.
    pub(super) fn open(
        folder: &Path,
        sync: bool,
        apply: &mut dyn FnMut(Entry) -> Result<(), String>,
    ) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        let lock = lock(folder)?;
        let path = folder.join(NAME);
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| Error::io(&path, source))?;
        let mut journal = Self { path, file, length: 0, dirty: true, sync, torn_bytes: 0, _lock: lock };
        journal.load(apply)?;
        Ok(journal)
    }

    /// Bytes of a torn tail that opening cut off.
    pub(super) const fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Bytes of the file.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Appends one frame: on the disk when this returns, or not there at all.
    pub(super) fn append(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.try_append(payload).map_err(|source| {
            // Gives the space back at once; if even that fails, the next append tries again before it writes.
            let _ = self.cut();
            Error::io(&self.path, source)
        })
    }

    /// Replaces the whole file by these payloads; a crash leaves the old file or the new one.
    pub(super) fn rewrite(&mut self, payloads: impl Iterator<Item = Vec<u8>>) -> Result<(), Error> {
        let temporary = self.path.with_file_name(NAME_WHILE_WRITING);
        let written = self.try_rewrite(&temporary, payloads).map_err(|source| Error::io(&temporary, source));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn try_append(&mut self, payload: &[u8]) -> io::Result<()> {
        if self.dirty {
            self.cut()?;
        }
        self.dirty = true;
        let frame = frame::frame(payload);
        self.file.write_all(&frame)?;
        if self.sync {
            self.file.sync_data()?;
        }
        self.length += frame.len() as u64;
        self.dirty = false;
        Ok(())
    }

    fn try_rewrite(&mut self, temporary: &Path, payloads: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(temporary)?;
        let mut length = MAGIC.len() as u64;
        file.write_all(MAGIC)?;
        for payload in payloads {
            let frame = frame::frame(&payload);
            file.write_all(&frame)?;
            length += frame.len() as u64;
        }
        file.sync_all()?;
        fs::rename(temporary, &self.path)?;
        // From here on the old file is nobody's, whatever becomes of the folder.
        (self.file, self.length, self.dirty) = (file, length, false);
        sync_folder(&self.path)
    }

    /// Brings the file back to its whole frames.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.dirty = false;
        Ok(())
    }

    fn load(&mut self, apply: &mut dyn FnMut(Entry) -> Result<(), String>) -> Result<(), Error> {
        let io = |source| Error::io(&self.path, source);
        let end = self.file.metadata().map_err(io)?.len();
        if end < MAGIC.len() as u64 {
            // New, or the crash came while the very first bytes were written.
            self.rewrite(std::iter::empty())?;
            self.torn_bytes = end;
            return Ok(());
        }
        let mut frames = Frames { reader: BufReader::new(&self.file), path: &self.path, at: 0, end };
        frames.magic()?;
        while let Some(payload) = frames.next()? {
            let entries = frame::entries(&payload).map_err(|reason| frames.corrupt(reason))?;
            entries.into_iter().try_for_each(&mut *apply).map_err(|reason| frames.corrupt(reason))?;
            frames.at += (HEADER_BYTES + payload.len()) as u64;
        }
        (self.length, self.torn_bytes) = (frames.at, end - frames.at);
        if self.torn_bytes > 0 {
            tracing::warn!(path = %self.path.display(), bytes = self.torn_bytes, "cut a torn tail: a crash interrupted an append");
        }
        self.cut().and_then(|()| self.file.sync_all()).map_err(|source| Error::io(&self.path, source))
    }
}

/// The frames of a file, one after the other; `at` is where the next one starts.
struct Frames<'a> {
    reader: BufReader<&'a File>,
    path: &'a Path,
    at: u64,
    end: u64,
}

impl Frames<'_> {
    fn magic(&mut self) -> Result<(), Error> {
        let mut magic = [0; MAGIC.len()];
        self.read(&mut magic)?;
        if &magic != MAGIC {
            return Err(self.corrupt("not a log of this version".to_owned()));
        }
        self.at = MAGIC.len() as u64;
        Ok(())
    }

    /// The next payload; none at the end and at a torn tail.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let left = self.end - self.at;
        if left < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut head = [0; HEADER_BYTES];
        self.read(&mut head)?;
        let Some((length, sum)) = frame::header(head) else {
            // Zeros are space that the file system had granted and not yet filled when the machine stopped.
            let granted = head == [0; HEADER_BYTES];
            return if granted { Ok(None) } else { Err(self.corrupt("a frame's header".to_owned())) };
        };
        let left = left - HEADER_BYTES as u64;
        if length as u64 > left {
            return Ok(None);
        }
        let mut payload = vec![0; length];
        self.read(&mut payload)?;
        if crc32fast::hash(&payload) == sum {
            return Ok(Some(payload));
        }
        let last = length as u64 == left;
        if last { Ok(None) } else { Err(self.corrupt("a frame's content".to_owned())) }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.reader.read_exact(bytes).map_err(|source| Error::io(self.path, source))
    }

    fn corrupt(&self, reason: String) -> Error {
        Error::Corrupt { path: self.path.to_owned(), at: self.at, reason }
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(NAME_OF_LOCK);
    let file = File::create(&path).map_err(|source| Error::io(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Error::io(&path, source)),
    }
}

/// Makes a rename last: the name is in the folder, which has its own place on the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().expect("the file lies in a folder");
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
