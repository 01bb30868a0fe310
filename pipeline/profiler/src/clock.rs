//! The two clocks of the profiler: one for rates, one for its own cost.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the monotonic clock: what rates are measured by. A system call is not needed, about 20 ns.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Nanoseconds of CPU that the calling thread has used, in user and kernel mode.
pub(crate) fn thread_cpu_ns() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).expect("both clocks start at zero");
    let rest = u64::try_from(time.tv_nsec).expect("a part of a second is not negative");
    seconds * 1_000_000_000 + rest
}
