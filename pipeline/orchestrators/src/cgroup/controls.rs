//! What is read and written of one control group, whatever its version; and the files behind it.

use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::limits::Limits;

/// One control group's controllers.
pub(crate) trait Controls: Send + Debug {
    /// The group's folders, one in the tree of each controller. A process is in the group once it is in all of them.
    fn folders(&self) -> &[PathBuf];

    /// Makes the group ready to be written where it is not there: its folders, and those above it.
    fn create(&self) -> Result<(), Error>;

    /// Writes the CPU limit.
    fn set_cpu(&self, limits: &Limits) -> Result<(), Error>;

    /// Writes the memory limit; swap does not add to it.
    ///
    /// # Errors
    /// Where the kernel cannot free enough for a lower one (version 1), and the old one stays.
    fn set_memory(&self, bytes: u64) -> Result<(), Error>;

    /// The limits in force, read from the kernel; none when either is unlimited.
    fn limits(&self) -> Result<Option<Limits>, Error>;

    /// Gives the group, and all below it, the lowest weight that there is.
    fn make_lowest(&self) -> Result<(), Error>;

    /// CPU time used so far by the group and what is below it, in nanoseconds; none when it is not told.
    fn cpu_used_ns(&self) -> Option<u64>;

    /// Memory in use that the kernel cannot simply drop, in bytes: usage less inactive file pages. None when it is not
    /// told.
    fn working_set_bytes(&self) -> Option<u64>;
}

/// Reads a file of the kernel.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::File { path: path.into(), source })
}

/// Writes a file of the kernel that is there. Nothing is created: a missing control is a fault.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let written =
        OpenOptions::new().write(true).truncate(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| Error::File { path: path.into(), source })
}

/// Makes a folder of groups, and those above it.
pub(crate) fn make(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::Make { path: folder.into(), source })
}

/// A whole number.
pub(crate) fn number(path: &Path) -> Result<u64, Error> {
    let text = read(path)?;
    text.trim().parse().map_err(|_| says(path, &text, "a whole number is expected"))
}

/// The number on the line that begins with `key` and a blank; none when it is not there.
pub(crate) fn keyed(path: &Path, key: &str) -> Option<u64> {
    let text = read(path).ok()?;
    let after = |line: &'_ str| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(after)
}

/// A file that says something else than it should.
pub(crate) fn says(path: &Path, text: &str, expected: &'static str) -> Error {
    Error::Says { path: path.into(), text: text.trim().to_owned(), expected }
}
