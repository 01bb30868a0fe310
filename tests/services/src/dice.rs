//! Numbers that look random and are a function of a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

/// A seeded sequence.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Exponentially distributed with mean 1: the gap between two arrivals of a Poisson process of rate 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        // 53 bits fill a double's fraction: in [0, 1), so that the logarithm's argument is never zero.
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        -(1.0 - share).ln()
    }
}

/// Spreads every bit of the input over all bits of the output; about a nanosecond.
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
