//! Why a mirror cannot start. Once it runs, nothing is an error: what fails is answered or counted.

use std::io;
use std::net::SocketAddr;

/// Why a mirror cannot start; only a person can mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that cannot be used: every fault, with its mend.
    #[error("settings of the mirror: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// The address cannot be listened on.
    #[error("{address}: {source}; is another program listening there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("a thread of the mirror: {0}")]
    Thread(#[from] io::Error),
}
