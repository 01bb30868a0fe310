//! How many files this process may keep open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that one instance keeps open at most: 7 of version 1, 3 of pressure, 1 of interfaces, 1 to spare.
const FILES_PER_INSTANCE: u64 = 12;

/// Files left to the rest of the process: sockets, logs, libraries.
const FILES_RESERVED: u64 = 256;

/// How many instances' files fit, after the limit of this process was raised as far as it is allowed to raise it.
///
/// Common limits are 1,024 (64 instances) and, after raising, 524,288.
pub(crate) fn instances_that_fit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    files.map_or(usize::MAX, fit)
}

fn fit(files: u64) -> usize {
    usize::try_from(files.saturating_sub(FILES_RESERVED) / FILES_PER_INSTANCE).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dozen_files_are_an_instance() {
        assert_eq!(fit(1_024), 64, "(1024 − 256) / 12");
        assert_eq!(fit(20_000), 1_645);
        assert_eq!(fit(10), 1, "one is always tried");
    }
}
