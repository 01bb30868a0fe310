//! Noise without state: a number that depends on (seed, stream, time) and on nothing else.
//!
//! The three are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), whose every input bit
//! flips each output bit with a chance near one half. Any time may be asked in any order: a replay, a
//! shuffle or a longer step sees the same noise. A *stream* is one independent use of noise under one seed.
//!
//! Normal deviates are sums of twelve uniforms less six (Irwin-Hall): mean 0, variance 12/12 = 1, never beyond ±6.
//! Box-Muller would need a logarithm and a sine, and has tails that no reading should have.
//!
//! Cost: about 4 ns a uniform, 25 ns a normal.

/// Fast and slow wobble of a load.
pub(crate) const LOAD_FAST: u64 = 1;
/// See [`LOAD_FAST`].
pub(crate) const LOAD_SLOW: u64 = 2;
/// Whether a day has its flash crowd.
pub(crate) const FLASH_CROWD: u64 = 3;
/// How much work a batch burst finds.
pub(crate) const BATCH_LENGTH: u64 = 4;
/// When a regime begins.
pub(crate) const REGIME_START: u64 = 5;
/// Which level a regime has.
pub(crate) const REGIME_LEVEL: u64 = 6;
/// Whether a minute holds a burst.
pub(crate) const BURST_CHANCE: u64 = 7;
/// When within its minute a burst begins.
pub(crate) const BURST_START: u64 = 8;
/// How high a burst is.
pub(crate) const BURST_HEIGHT: u64 = 9;
/// Error of a CPU reading.
pub(crate) const CPU_READING: u64 = 10;
/// Error of a memory reading.
pub(crate) const MEMORY_READING: u64 = 11;
/// Error of disk and network readings.
pub(crate) const TRAFFIC_READING: u64 = 12;
/// The slowest requests, beyond those that are drawn one by one.
pub(crate) const SLOWEST_REST: u64 = 13;
/// The slowest requests, one stream each from here on.
pub(crate) const SLOWEST: u64 = 14;

/// 2^64 over the golden ratio, made odd: the increment of SplitMix64.
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Uniforms in one normal deviate: their sum has variance twelve twelfths.
const NORMAL_TERMS: u32 = 12;

/// The seed of one workload within a run, so that no two workloads share their noise.
///
/// ```
/// assert_ne!(plant::noise::workload_seed(1, "web"), plant::noise::workload_seed(1, "api"));
/// ```
pub fn workload_seed(seed: u64, workload: &str) -> u64 {
    workload.bytes().fold(mix(seed), |key, byte| mix(key ^ u64::from(byte)))
}

/// A uniform number in [0, 1), a multiple of 2^-53.
pub fn uniform(seed: u64, stream: u64, time: u64) -> f64 {
    unit(mix(key(seed, stream, time)))
}

/// A number with mean 0 and variance 1, within ±6, near enough to normal for readings.
pub fn normal(seed: u64, stream: u64, time: u64) -> f64 {
    let mut state = key(seed, stream, time);
    let mut sum = 0.0;
    for _ in 0..NORMAL_TERMS {
        sum += unit(mix(state));
        state = state.wrapping_add(GOLDEN_GAMMA);
    }
    sum - f64::from(NORMAL_TERMS) / 2.0
}

/// [`normal`] drawn every `knot_ms` and continuous between: what a load does, rather than white noise.
///
/// Between the knots a and b at fraction x the value is (a (1-x) + b x) / sqrt((1-x)² + x²); the root keeps the
/// variance at 1 everywhere, where plain interpolation would halve it midway.
///
/// # Panics
/// When `knot_ms` is zero.
pub fn smooth_normal(seed: u64, stream: u64, time_ms: u64, knot_ms: u64) -> f64 {
    let knot = time_ms / knot_ms;
    let x = (time_ms % knot_ms) as f64 / knot_ms as f64;
    let from = normal(seed, stream, knot);
    let to = normal(seed, stream, knot + 1);
    (from * (1.0 - x) + to * x) / ((1.0 - x) * (1.0 - x) + x * x).sqrt()
}

fn key(seed: u64, stream: u64, time: u64) -> u64 {
    mix(mix(mix(seed) ^ stream) ^ time)
}

/// One step of SplitMix64: a bijection of the 64-bit words.
fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(GOLDEN_GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_is_splitmix64() {
        // The generator's published first output for the state 0.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn moments_are_those_of_the_named_distributions() {
        let n = 20_000u64;
        let mean_of = |f: &dyn Fn(u64) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        // Standard errors: uniform 0.289/141 = 0.002, normal 1/141 = 0.007, its square 1.4/141 = 0.01; four of each.
        assert!((mean_of(&|t| uniform(5, 1, t)) - 0.5).abs() < 0.008);
        assert!(mean_of(&|t| normal(5, 1, t)).abs() < 0.03);
        assert!((mean_of(&|t| normal(5, 1, t).powi(2)) - 1.0).abs() < 0.04);
        // Time 7 of a 10 ms knot: the variance must be 1 between the knots too.
        assert!((mean_of(&|t| smooth_normal(5, 1, 10 * t + 7, 10).powi(2)) - 1.0).abs() < 0.05);
    }

    #[test]
    fn seeds_streams_and_times_are_independent() {
        let n = 20_000u64;
        let correlation = |f: &dyn Fn(u64) -> f64| (0..n).map(|t| normal(5, 1, t) * f(t)).sum::<f64>() / n as f64;
        assert!(correlation(&|t| normal(6, 1, t)).abs() < 0.03);
        assert!(correlation(&|t| normal(5, 2, t)).abs() < 0.03);
        assert!(correlation(&|t| normal(5, 1, t + 1)).abs() < 0.03);
    }
}
