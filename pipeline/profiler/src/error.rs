//! Why a profiler cannot start. Once it runs, nothing is an error: what cannot be read is missing, and counted.

use std::io;
use std::path::PathBuf;

/// Why a profiler cannot start; only a person can mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that cannot be used: every fault, with its mend.
    #[error("settings of the profiler: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// The machine's processes cannot be read.
    #[error("{path}: {source}; the profiler reads Linux: is proc_root where procfs is mounted?")]
    Proc {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
