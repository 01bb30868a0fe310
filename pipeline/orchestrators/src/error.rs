//! Why an adapter on this machine cannot start, or could not do what it was asked to.

use std::io;
use std::path::PathBuf;

/// What went wrong; only a person can mend what keeps an adapter from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of services that cannot be used: every fault, with its mend.
    #[error("services of {}: {}", path.display(), faults.join("; "))]
    Services {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        faults: Vec<String>,
    },
    /// The system refused to read or write.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file of the kernel that says something else than it should.
    #[error("{} says \"{text}\": {expected}", path.display())]
    Says {
        /// The file.
        path: PathBuf,
        /// What it says.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A control group that cannot be made.
    #[error("{}: {source}: control groups need root, or a folder of groups that this user owns", path.display())]
    Make {
        /// Its folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No control groups for CPU and memory.
    #[error("no control groups for cpu and memory are mounted: mount them, or use another orchestrator")]
    NoGroups,
    /// Another adapter has the same groups.
    #[error("{}: another adapter has these groups: stop it first, or give this one another suffix", .0.display())]
    Taken(PathBuf),
    /// An engine of containers that refused, or did not answer.
    #[error("{call} {what}: {reason}")]
    Engine {
        /// What it was asked for.
        call: &'static str,
        /// Of which container, workload or socket.
        what: String,
        /// What it said.
        reason: String,
    },
    /// A program that could not be started.
    #[error("{workload}: {}: {source}; is its directory there?", program.display())]
    Start {
        /// Its workload.
        workload: String,
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
