//! From a workload's allocation to the limits of its instances, in the kernel's units.
//!
//! ```text
//! quota of all = round(cores × period)      memory of all = whole units of 64 KiB within the allocation
//! each instance = all ÷ instances           the first ones have one more, so that the sum is exact
//! ```
//!
//! | cores | instances | period | quotas |
//! |---|---|---|---|
//! | 0.5 | 1 | 100 ms | 50,000 µs |
//! | 1 | 3 | 100 ms | 33,334, 33,333, 33,333 µs |
//! | 0.01 | 1 | 1 s | 10,000 µs |

use schemas::Allocation;

/// The limits of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// CPU time in each period.
    pub(crate) quota_us: u64,
    /// Length of a period.
    pub(crate) period_us: u64,
    /// Most memory.
    pub(crate) memory_bytes: u64,
}

/// Least CPU of one instance, in cores: the kernel takes no quota below 1 ms, and no period above 1 s.
pub(crate) const CORES_MIN: f64 = 0.001;

/// The kernel's default, which container engines set too, so that throttled ratios compare. A shorter one would stall a
/// burst less, and lose more to the slices of 5 ms in which quota is handed to each processor.
const PERIOD_US: u64 = 100_000;

/// The kernel's longest, for quotas that would be near its least in the usual one.
const PERIOD_LONG_US: u64 = 1_000_000;

/// Below this quota, twice the kernel's least, the long period is used.
const QUOTA_SHORT_US: u64 = 2_000;

/// Memory is dealt in units that are whole pages on every processor; kernels round limits down to those.
const MEMORY_UNIT_BYTES: u64 = 65_536;

/// The limits of each instance that shares `allocation` with `instances` in all, at least one.
pub(crate) fn split(allocation: &Allocation, instances: usize) -> Vec<Limits> {
    let count = instances as u64;
    let quota = |period_us: u64| (allocation.cpu_cores.get() * period_us as f64).round() as u64;
    let is_short = quota(PERIOD_US) / count < QUOTA_SHORT_US;
    let period_us = if is_short { PERIOD_LONG_US } else { PERIOD_US };
    let (quota_us, units) = (quota(period_us), allocation.memory_bytes.get() as u64 / MEMORY_UNIT_BYTES);
    let limits = |index| Limits {
        quota_us: part(quota_us, count, index),
        period_us,
        memory_bytes: part(units, count, index) * MEMORY_UNIT_BYTES,
    };
    (0..count).map(limits).collect()
}

/// What the limits allow together.
pub(crate) fn sum<'a>(limits: impl IntoIterator<Item = &'a Limits>) -> Allocation {
    let allowed =
        |limits: &Limits| Allocation::new(limits.quota_us as f64 / limits.period_us as f64, limits.memory_bytes as f64);
    limits.into_iter().fold(Allocation::ZERO, |sum, limits| sum.plus(allowed(limits)))
}

fn part(whole: u64, count: u64, index: u64) -> u64 {
    whole / count + u64::from(index < whole % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1_048_576.0;

    #[test]
    fn the_parts_sum_to_the_allocation() {
        let limits = split(&Allocation::new(1.0, 100.0 * MIB), 3);
        assert_eq!(limits.iter().map(|limits| limits.quota_us).collect::<Vec<_>>(), [33_334, 33_333, 33_333]);
        // 1600 units of 64 KiB: 534 + 533 + 533.
        assert_eq!(limits.iter().map(|limits| limits.memory_bytes).sum::<u64>(), 100 << 20);
        let together = sum(&limits);
        assert!((together.cpu_cores.get() - 1.0).abs() < 1e-9, "{together:?}");
    }

    #[test]
    fn what_is_hardly_anything_has_a_long_period() {
        let small = split(&Allocation::new(0.01, MIB), 1)[0];
        assert_eq!((small.quota_us, small.period_us), (10_000, 1_000_000));
        // The kernel's least quota.
        assert_eq!(split(&Allocation::new(CORES_MIN, MIB), 1)[0].quota_us, 1_000);
        assert_eq!(split(&Allocation::new(0.02, MIB), 1)[0].period_us, 100_000);
    }

    #[test]
    fn memory_is_never_more_than_was_granted() {
        assert_eq!(split(&Allocation::new(1.0, MIB + 1.0), 1)[0].memory_bytes, 1 << 20);
        assert_eq!(split(&Allocation::new(1.0, MIB - 1.0), 1)[0].memory_bytes, (1 << 20) - 65_536);
    }
}
