//! Why a mirror cannot start. Once it runs, nothing is an error: what fails is answered or counted.

use std::io;
use std::net::SocketAddr;

/// Why a mirror cannot start; only a person can mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings that cannot be used: every fault, with its mend.
    #[error("settings of the mirror: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// Who would see copies is the primary, or the mirror itself.
    #[error("{0} is to see copies, and is where {1}: a follower is another server than the one that answers clients")]
    Follower(SocketAddr, &'static str),
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
