//! Where a key goes: a hash that is the same in every process and release.

/// Key ranges: the grain in which state is kept and handed to another number of workers.
pub(crate) const RANGES: u64 = 64;

/// The range that a key lies in. The worker that has the range has the key: the range modulo the number of workers.
pub(crate) fn range(key: &str) -> u64 {
    hash(key) % RANGES
}

/// How long before the others' a key's steps begin, in milliseconds: whole ticks, so that what is done once a step is spread
/// evenly over the step's ticks. It says nothing of the range: every worker has keys of every phase.
pub(crate) fn phase_ms(key: &str, step_ms: u64, tick_ms: u64) -> u64 {
    hash(key) / RANGES % (step_ms / tick_ms) * tick_ms
}

/// FNV-1a, 64 bits. Short keys, no secret: speed and stability are what count.
fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_spread_over_their_ticks_with_every_worker() {
        let mut keys = [[0_u32; 10]; 2];
        for number in 0..10_000 {
            let key = format!("workload-{number}");
            let phase = phase_ms(&key, 10_000, 1_000);
            assert!(phase < 10_000 && phase.is_multiple_of(1_000), "{phase}");
            keys[range(&key) as usize % 2][phase as usize / 1_000] += 1;
        }
        // 500 of 10 000 are expected of each of 20; five standard deviations, of 22 each, are 110.
        assert!(keys.iter().flatten().all(|count| count.abs_diff(500) < 110), "{keys:?}");
        assert_eq!(phase_ms("w", 1_000, 1_000), 0, "a step of one tick has one phase");
    }
}
