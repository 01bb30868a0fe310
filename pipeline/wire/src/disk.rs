//! The disk as snapshots need it: what is durable, and when.
//!
//! A written file is durable once it was synced, its name once the folder was.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Folders and files.
pub trait Disk: Debug + Send + Sync {
    /// Makes a folder and those above it, where they are missing.
    ///
    /// # Errors
    /// The disk's own.
    fn make_folder(&self, folder: &Path) -> Result<()>;

    /// The names in a folder, in no order; none where it is missing.
    fn names(&self, folder: &Path) -> Vec<String>;

    /// Whether a file is there.
    fn holds(&self, file: &Path) -> bool;

    /// Begins a file, in place of what may be there.
    ///
    /// # Errors
    /// The disk's own.
    fn create(&self, file: &Path) -> Result<Box<dyn DiskFile>>;

    /// Reads a file's bytes from an offset on, at most so many: fewer where it ends before.
    ///
    /// # Errors
    /// The disk's own.
    fn read(&self, file: &Path, offset: u64, length: u64) -> Result<Vec<u8>>;

    /// Gives a file another name, in place of what may be there.
    ///
    /// # Errors
    /// The disk's own.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The disk's own.
    fn sync_folder(&self, folder: &Path) -> Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The disk's own.
    fn remove_file(&self, file: &Path) -> Result<()>;

    /// Removes a folder and all in it; nothing where it is missing.
    ///
    /// # Errors
    /// The disk's own.
    fn remove_folder(&self, folder: &Path) -> Result<()>;
}

/// A file while it is written.
pub trait DiskFile: Write + Send {
    /// Makes what was written durable.
    ///
    /// # Errors
    /// The disk's own.
    fn sync(&mut self) -> Result<()>;
}

/// The machine's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn make_folder(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn holds(&self, file: &Path) -> bool {
        file.is_file()
    }

    fn create(&self, file: &Path) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(BufWriter::with_capacity(BUFFER_BYTES, File::create(file)?)))
    }

    fn read(&self, file: &Path, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut file = File::open(file)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        File::open(folder)?.sync_all()
    }

    fn remove_file(&self, file: &Path) -> Result<()> {
        fs::remove_file(file)
    }

    fn remove_folder(&self, folder: &Path) -> Result<()> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

impl DiskFile for BufWriter<File> {
    fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.get_ref().sync_all()
    }
}
