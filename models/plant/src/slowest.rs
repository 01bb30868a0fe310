//! The slowest requests of an interval, by chance: which its 99th percentile is, and how many are late.
//!
//! Of n requests the k-th slowest is one that the share T(k) / n of all requests would exceed, where T(k) is a sum of k exponential
//! times with a mean of one. Both figures are read off the same times, so they agree: the percentile is beyond the SLO where
//! more than a hundredth of the interval's requests are late. After [`DRAWS`] times the rest is a normal deviate.
//!
//! Cost: a logarithm a time; mostly one or two of them, and one more for each hundred requests.

use elementary::ln;

/// Times that are drawn one by one.
pub(crate) const DRAWS: u64 = 16;

/// What chance made of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slowest {
    /// Requests that were late.
    pub(crate) late: f64,
    /// The share of all requests that is slower than the interval's 99th percentile; none where there was no request.
    pub(crate) rarity: Option<f64>,
}

impl Slowest {
    /// Of `requests`, of which this share is late in the long run. `uniform` draws by number, 0 to [`DRAWS`] - 1.
    pub(crate) fn of(requests: f64, late_share: f64, uniform: impl Fn(u64) -> f64, normal: impl Fn() -> f64) -> Self {
        let rank = (requests / 100.0) as u64 + 1;
        let due = requests * late_share;
        let (mut time, mut late, mut at_rank) = (0.0, 0.0, f64::INFINITY);
        for drawn in 1..=DRAWS {
            if drawn > rank && time > due {
                return Self::new(requests, late, at_rank);
            }
            time -= ln(1.0 - uniform(drawn - 1));
            if time <= due {
                late = drawn as f64;
            }
            if drawn == rank {
                at_rank = time;
            }
        }
        let deviate = normal();
        if rank > DRAWS {
            let rest = (rank - DRAWS) as f64;
            at_rank = time + (rest + deviate * rest.sqrt()).max(0.0);
        }
        let rest = (due - time).max(0.0);
        // What makes the slowest rarer makes fewer of them late.
        late += (rest - deviate * rest.sqrt()).max(0.0).floor();
        Self::new(requests, late, at_rank)
    }

    fn new(requests: f64, late: f64, at_rank: f64) -> Self {
        Self { late: late.min(requests), rarity: (at_rank < requests).then(|| at_rank / requests) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise;

    fn seconds(requests: f64, late_share: f64) -> impl Iterator<Item = Slowest> + Clone {
        let uniform = |second, drawn| noise::uniform(3, drawn, second);
        let normal = |second| noise::normal(3, DRAWS, second);
        (0..20_000)
            .map(move |second| Slowest::of(requests, late_share, |drawn| uniform(second, drawn), || normal(second)))
    }

    #[test]
    fn late_ones_come_at_their_rate() {
        // Standard errors of a count of 20 000 seconds: √(20 000 n s) / (20 000 n s).
        for (requests, share) in [(20.0, 0.01), (500.0, 0.01), (5_000.0, 0.02)] {
            let mean = seconds(requests, share).map(|slowest| slowest.late).sum::<f64>() / 20_000.0;
            let error = (mean / (requests * share) - 1.0).abs();
            assert!(error < 4.0 / (20_000.0 * requests * share).sqrt() + 0.5 / (requests * share + 16.0), "{error}");
        }
        assert!(seconds(30.0, 1.0).all(|slowest| slowest.late <= 30.0));
    }

    #[test]
    fn of_few_the_percentile_is_that_of_the_slowest() {
        // The rarest of twenty is that of one in twenty on the average, and of ten thousand the 101st that of one in a hundred.
        let mean = |requests| {
            let rarities = seconds(requests, 0.0).filter_map(|slowest| slowest.rarity);
            rarities.clone().sum::<f64>() / rarities.count() as f64
        };
        assert!((mean(20.0) / 0.05 - 1.0).abs() < 0.03);
        assert!((mean(10_000.0) / 0.010_1 - 1.0).abs() < 0.003);
    }

    #[test]
    fn the_percentile_is_late_where_more_than_a_hundredth_is() {
        for requests in [40.0, 150.0, 1_050.0] {
            for slowest in seconds(requests, 0.01) {
                let is_late = slowest.rarity.is_some_and(|rarity| rarity <= 0.01);
                assert_eq!(is_late, slowest.late >= (requests / 100.0).floor() + 1.0);
            }
        }
    }

    #[test]
    fn less_than_a_request_is_mostly_none() {
        // One exponential time is below a tenth with a chance of 9.5 %.
        let served = seconds(0.1, 0.0).filter(|slowest| slowest.rarity.is_some()).count();
        assert!((1_700..2_100).contains(&served), "{served}");
    }
}
