//! A file of the kernel's, kept open and read again and again.
//!
//! Files below `/proc` and `/sys` are written anew by the kernel at each read from their start, so one `pread` at
//! offset 0 is one consistent reading, without the cost of opening (about 3 µs). Once open, a file belongs to the
//! process or control group that it was opened for, even if its number or name is used again: a reading never comes
//! from a stranger.

use std::fs::File;
use std::path::Path;

use rustix::io::{Errno, pread};

/// Whoever the file tells about has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vanished;

/// What all files are read into. The longest are the tables of the machine's disks and network interfaces, with about
/// 100 bytes a line: 2,600 lines fit.
pub(crate) struct Buffer(Box<[u8]>);

impl Buffer {
    const BYTES: usize = 256 * 1024;

    pub(crate) fn new() -> Self {
        Self(vec![0; Self::BYTES].into())
    }
}

/// A file of the kernel's, or the place of one that is not there.
#[derive(Debug)]
pub(crate) struct KernelFile(Option<File>);

impl KernelFile {
    /// Opens a file; one that is not there or not allowed reads as missing.
    pub(crate) fn open(path: &Path) -> Self {
        Self(File::open(path).ok())
    }

    /// Opens a file in a folder, where there is one.
    pub(crate) fn open_in(folder: Option<&Path>, name: &str) -> Self {
        folder.map_or(Self(None), |folder| Self::open(&folder.join(name)))
    }

    /// This file, or `other` where it is not there.
    pub(crate) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.is_there() { self } else { other() }
    }

    /// Whether there is a file to read.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// The content, by one call; `None` when the kernel refuses, or says that it does not measure this.
    ///
    /// For files that the kernel writes in one piece. Cost: 0.5 to 7 µs by file, and 2 to 9 µs when a
    /// tenth of a second lies in between and the caches hold other things.
    pub(crate) fn read<'b>(&self, buffer: &'b mut Buffer) -> Result<Option<&'b [u8]>, Vanished> {
        let length = self.read_at(&mut buffer.0, 0)?;
        Ok(length.map(|length| &buffer.0[..length]))
    }

    /// The content of a table, of which the kernel gives a few records (at most a page) at each call; `None` also
    /// when it is longer than the buffer, as a part of a table would have a wrong sum.
    pub(crate) fn read_table<'b>(&self, buffer: &'b mut Buffer) -> Result<Option<&'b [u8]>, Vanished> {
        let mut length = 0;
        while length < buffer.0.len() {
            match self.read_at(&mut buffer.0[length..], length)? {
                None => return Ok(None),
                Some(0) => return Ok(Some(&buffer.0[..length])),
                Some(more) => length += more,
            }
        }
        Ok(None)
    }

    fn read_at(&self, buffer: &mut [u8], offset: usize) -> Result<Option<usize>, Vanished> {
        let Some(file) = &self.0 else { return Ok(None) };
        match pread(file, buffer, offset as u64) {
            Ok(length) => Ok(Some(length)),
            Err(Errno::NODEV | Errno::SRCH) => Err(Vanished),
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("memory.current");
        std::fs::write(&path, "1\n").expect("written");
        let (file, mut buffer) = (KernelFile::open(&path), Buffer::new());
        assert_eq!(file.read(&mut buffer), Ok(Some(&b"1\n"[..])));
        std::fs::write(&path, "22\n").expect("written");
        assert_eq!(file.read(&mut buffer), Ok(Some(&b"22\n"[..])));
    }

    #[test]
    fn an_absent_file_is_missing_not_empty() {
        let file = KernelFile::open(Path::new("/proc/no-such-file"));
        assert!(!file.is_there());
        assert_eq!(file.read(&mut Buffer::new()), Ok(None));
    }

    #[test]
    fn a_process_that_ended_is_told_apart() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
        let file = KernelFile::open(Path::new(&format!("/proc/{}/stat", child.id())));
        assert!(file.read(&mut Buffer::new()).expect("it runs").is_some());
        child.kill().expect("killed");
        child.wait().expect("waited for");
        assert_eq!(file.read(&mut Buffer::new()), Err(Vanished));
    }

    #[test]
    fn a_table_longer_than_the_buffer_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("diskstats");
        std::fs::write(&path, vec![b'x'; Buffer::BYTES - 1]).expect("written");
        let length = KernelFile::open(&path).read_table(&mut Buffer::new()).expect("there").map(<[u8]>::len);
        assert_eq!(length, Some(Buffer::BYTES - 1));
        std::fs::write(&path, vec![b'x'; Buffer::BYTES]).expect("written");
        assert_eq!(KernelFile::open(&path).read_table(&mut Buffer::new()), Ok(None));
    }
}
