//! Laws of latency over utilisation, between which the pair's points decide.
//!
//! A law says how latency rises with the utilisation ρ of an instance of c cores above a base, which each size has for
//! itself (a quota below one core stretches even a lone request):
//!
//! | law | latency less base | whose |
//! |---|---|---|
//! | Erlang | `s ln(100 C) / (c (1-ρ))`, 0 while the chance to wait C(c, ρ) is below 1 % | M/M/c, the wait's 99th percentile |
//! | queue | `s x`, with x = 1 / (c^e (1-ρ)) | M/G/1-PS at e = 1 |
//! | hockey stick | `s max(0, x - bend)` | a quota that cuts nobody short until it is nearly used up |
//! | scalability | `s n + t n²`, with n = ρ × latency in flight | Gunther's USL, with throughput as ρ |
//!
//! e says how much a larger instance pools chance: at 0 not at all, the knee is one utilisation for all sizes; at 1/2
//! the idle cores that are needed grow with the root of the work (Halfin and Whitt's staffing, and the law of throttled
//! quota periods); at 1 they are the same number at any work. So e is what carries a small shadow's knee over to a
//! large primary where late requests are not counted, and it is the points of both that choose it.
//!
//! Only operations that IEEE 754 fixes to the bit are used, so that all machines fit the same law.

use elementary::ln;
use schemas::LatencyLaw;
use serde::{Deserialize, Serialize};

/// The largest utilisation that a knee may have: beyond it no queue settles.
pub(crate) const UTILISATION_MAX: f64 = 0.98;

/// Halvings of a utilisation or an amount: they leave a millionth of it.
pub(crate) const HALVINGS: u32 = 20;

/// Chance to wait below which the 99th percentile of the wait is zero.
const WAITS_MIN: f64 = 0.01;

/// Most servers of the Erlang law: it costs one division each, and from some dozens on the knee hardly moves.
const SERVERS_MAX: f64 = 64.0;

/// How a larger instance pools chance: the exponent e.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pooling {
    /// e = 0.
    None,
    /// e = 1/2.
    Root,
    /// e = 1.
    Full,
}

/// One candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Law {
    Erlang,
    Queue(Pooling),
    HockeyStick(Pooling, f64),
    Scalability,
}

/// A law with its figures: latency at any size and utilisation, for one base.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) law: Law,
    /// Seconds.
    pub(crate) base: f64,
    /// What the law's terms weigh; the second one is zero but for scalability.
    pub(crate) slopes: [f64; 2],
}

impl Pooling {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::Root, Self::None];

    /// x = 1 / (c^e (1-ρ)).
    pub(crate) fn scarcity(self, cores: f64, utilisation: f64) -> f64 {
        let pooled = match self {
            Self::None => 1.0,
            Self::Root => cores.sqrt(),
            Self::Full => cores,
        };
        1.0 / (pooled * (1.0 - utilisation))
    }
}

impl Law {
    /// The terms that latency is a line in; `latency` counts only where it is what is in flight.
    pub(crate) fn terms(self, cores: f64, utilisation: f64, latency: f64) -> [f64; 2] {
        match self {
            Self::Erlang => [erlang_wait(cores, utilisation), 0.0],
            Self::Queue(pooling) => [pooling.scarcity(cores, utilisation), 0.0],
            Self::HockeyStick(pooling, bend) => [(pooling.scarcity(cores, utilisation) - bend).max(0.0), 0.0],
            Self::Scalability => {
                let in_flight = utilisation * latency;
                [in_flight, in_flight * in_flight]
            }
        }
    }

    /// Whether a smaller instance needs a larger share idle.
    pub(crate) const fn pools(self) -> bool {
        !matches!(self, Self::Scalability | Self::Queue(Pooling::None) | Self::HockeyStick(Pooling::None, _))
    }

    pub(crate) const fn name(self) -> LatencyLaw {
        match self {
            Self::Erlang => LatencyLaw::Erlang,
            Self::Queue(_) => LatencyLaw::Queue,
            Self::HockeyStick(..) => LatencyLaw::HockeyStick,
            Self::Scalability => LatencyLaw::Scalability,
        }
    }
}

impl Latency {
    /// Seconds at a utilisation below 1; infinite where the law knows no steady state.
    pub(crate) fn at(&self, cores: f64, utilisation: f64) -> f64 {
        let [one, two] = self.slopes;
        if self.law != Law::Scalability {
            return self.base + one * self.law.terms(cores, utilisation, 0.0)[0];
        }
        // r = base + one ρ r + two (ρ r)², the smaller root, in the form that does not cancel.
        let linear = 1.0 - one * utilisation;
        let root = linear * linear - 4.0 * self.base * two * utilisation * utilisation;
        if linear <= 0.0 || root < 0.0 {
            return f64::INFINITY;
        }
        2.0 * self.base / (linear + root.sqrt())
    }
}

/// ln(100 C) / (c (1-ρ)): the 99th percentile of the wait, in service times.
fn erlang_wait(cores: f64, utilisation: f64) -> f64 {
    let waits = waiting_chance(cores, utilisation);
    if waits <= WAITS_MIN { 0.0 } else { ln(waits / WAITS_MIN) / (cores * (1.0 - utilisation)) }
}

/// Erlang's C at `cores` servers, linear between whole numbers of them; below one core, one slower server.
///
/// From the loss formula's recurrence, B(n) = a B(n-1) / (n + a B(n-1)) with a = n ρ, and C = B / (1 - ρ (1 - B)).
pub(crate) fn waiting_chance(cores: f64, utilisation: f64) -> f64 {
    let cores = cores.clamp(1.0, SERVERS_MAX);
    let whole = cores.floor();
    let of = |servers: f64| {
        let offered = servers * utilisation;
        let lost = (1..=servers as u32).fold(1.0, |lost, n| offered * lost / (f64::from(n) + offered * lost));
        lost / (1.0 - utilisation * (1.0 - lost))
    };
    let fewer = of(whole);
    if cores > whole { fewer + (cores - whole) * (of(whole + 1.0) - fewer) } else { fewer }
}

/// Where, between two figures, what holds below ceases to.
pub(crate) fn halve(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(high) {
        return high;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        (low, high) = if holds(middle) { (middle, high) } else { (low, middle) };
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_have_their_worked_values() {
        // C(2, ρ) = 2ρ² / (1+ρ): a third at one half; ln(33.3) / (2 × 0.5) = 3.507.
        assert!((waiting_chance(2.0, 0.5) - 1.0 / 3.0).abs() < 1e-12);
        assert!((erlang_wait(2.0, 0.5) - 3.5066).abs() < 1e-4);
        // Below one core it is one server: C = ρ; at a chance of 1 % nobody in the slowest hundredth waits.
        assert_eq!(waiting_chance(0.25, 0.4), 0.4);
        assert_eq!(erlang_wait(0.25, 0.01), 0.0);
    }

    #[test]
    fn pooling_says_what_a_size_is_worth() {
        // At ρ = 0.75 a quarter is idle: 4 of 1; four cores halve it by the root, and quarter it in full.
        let at = |pooling: Pooling| pooling.scarcity(4.0, 0.75);
        assert_eq!([at(Pooling::None), at(Pooling::Root), at(Pooling::Full)], [4.0, 2.0, 1.0]);
    }

    #[test]
    fn scalability_is_the_root_of_its_own_line() {
        let law = Latency { law: Law::Scalability, base: 0.02, slopes: [0.5, 3.0] };
        let latency = law.at(1.0, 0.8);
        let terms = law.law.terms(1.0, 0.8, latency);
        assert!((latency - (0.02 + 0.5 * terms[0] + 3.0 * terms[1])).abs() < 1e-12);
        // 1 - 0.5 ρ falls short of the root of 4 × 0.02 × 3 × ρ² at ρ = 1 / (0.5 + 0.49) = 1.01; a steeper law earlier.
        assert_eq!(Latency { slopes: [1.5, 0.0], ..law }.at(1.0, 0.7), f64::INFINITY);
    }
}
