//! The share of requests that are late, over the cores that are idle: where it crosses one in a hundred is the knee.
//!
//! In a queue that is busy but not saturated the tail of the wait falls off exponentially, at the rate of the idle capacity
//! (Kingman's heavy-traffic bound). So of the requests under a promise the share
//!
//! ```text
//! L = ε + (1-ε) C(c, ρ) exp(-κ c (1-ρ))
//! ```
//!
//! is late, with Erlang's chance C to wait, a floor ε of those that are late for other reasons, and one figure κ, which is the
//! service's and its promise's, and hardly the size's: the promise less the latency at rest, over the CPU time of a request and its
//! burstiness. That is what carries a small shadow's late requests over to a large primary; and counts, other than percentiles, add
//! up over any number of ticks.
//!
//! **Counts.** Ticks are taken together to blocks of ten seconds, since a tick of few requests has as much load as it has by chance.
//! A block beyond .98 of its limit is of no equilibrium, nor is the one after it, or the first after a disturbance or of another
//! size: a backlog drains in them. What is left falls into bins by idle cores, six to the octave, whose sums fade so that drift shows.
//!
//! **κ** is that of the greatest likelihood, over a ladder and a few floors. Late requests come in bursts, so the counts say
//! less than as many independent ones would: by how much, the scatter of the blocks tells (the sandwich estimate). The band is where
//! the likelihood, so weakened, stays within 90 %, and [`MISFIT`].
//!
//! **Only where CPU helps.** The law must tell the counts clearly better than one share that is the same at any load, and within each
//! role not much worse than one such share of the role's: by how much roles differ, sizes and chance may be off, so each role's
//! shares are the law's times a factor there. So a primary under one load alone shows nothing, and it takes a second load of a
//! shadow to find out one that is late whatever it does: under a single one the law is believed of it.
//!
//! State: an open block, and up to sixty bins of 80 bytes, mostly a dozen. Cost: some additions a tick. A fit is sixty times four
//! looks at each bin, and eight bisections of Erlang's formula: some tenths of a millisecond, by estimate.

mod counts;
mod ladder;

use elementary::{exp, ln};

use self::counts::Bin;
pub(crate) use self::counts::Tail;
use self::ladder::{Ladder, in_proportion};
use crate::lateness::SHARE;
use crate::law::{UTILISATION_MAX, halve, waiting_chance};

/// Fewer late requests tell no share: that of three is known to six tenths of it.
const LATE_MIN: f64 = 3.0;

/// The loss of logarithmic likelihood at the ends of a band of 90 %: half of 1.645².
const BAND: f64 = 1.353;

/// Losses of a band's ends by which one share for each role must tell its counts better: few bursts over a narrow range of idle
/// cores look flat.
const WORSE: f64 = 3.0;

/// By how much ln κ differs between sizes, and between minutes that have seen few bursts and days that have seen many: with it bands
/// cover four fifths of the truths of `tests/quota`.
const MISFIT: f64 = 0.25;

/// How fast late requests become rare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rarity {
    /// κ per core, and the ends of its band.
    pub(crate) rate: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// ε.
    pub(crate) floor: f64,
    /// Relative standard error of κ.
    pub(crate) error: f64,
}

impl Rarity {
    /// By the counts of some roles; none while hardly a request was late, or while it is not clear that idle cores make them rare.
    pub(crate) fn of(now_ms: u64, tails: &[Tail]) -> Option<Self> {
        let bins: Vec<&Bin> = tails.iter().flat_map(|tail| tail.fresh(now_ms)).collect();
        if bins.iter().map(|bin| bin.late).sum::<f64>() < LATE_MIN {
            return None;
        }
        let ladder = Ladder::over(&bins);
        let best = ladder.highest()?;
        let [reached, floor] = ladder.rungs[best];
        let rate = ladder.rate(best as f64 + ladder.summit_from(best)?);
        let reached = reached.max(ladder.likelihood(rate, floor));
        let [information, scatter] = bins
            .iter()
            .map(|bin| bin.information(rate, floor))
            .fold([0.0; 2], |sum, bin| [sum[0] + bin[0], sum[1] + bin[1]]);
        let bursts = (scatter / information).max(1.0);
        let margin = BAND * bursts;
        let within_roles = tails.iter().map(|tail| {
            let bins = || tail.fresh(now_ms);
            in_proportion(bins(), |bin| floor + (1.0 - floor) * bin.share_by_wait(rate))
                - in_proportion(bins(), |_| 1.0)
        });
        if reached < in_proportion(bins.iter().copied(), |_| 1.0) + margin
            || within_roles.sum::<f64>() < -WORSE * margin
        {
            return None;
        }
        let [low, high] = ladder.band(best, reached - margin);
        let misfit = |ratio: f64| exp((ln(ratio) * ln(ratio) + MISFIT * MISFIT).sqrt());
        let [low, high] = [rate / misfit(rate / low), rate * misfit(high / rate)];
        Some(Self { rate, low, high, floor, error: (bursts / information).sqrt() / rate })
    }

    /// The law with another κ.
    pub(crate) const fn at(self, rate: f64) -> Self {
        Self { rate, ..self }
    }

    /// The largest utilisation of an instance of `cores` at which no more than one request in a hundred is late.
    pub(crate) fn knee(&self, cores: f64) -> f64 {
        halve(0.0, UTILISATION_MAX, |utilisation| self.keeps(cores, utilisation))
    }

    /// The least cores on which no more than one request in a hundred is late under `work` cores of work.
    pub(crate) fn least_cores(&self, work: f64) -> f64 {
        let least = work / UTILISATION_MAX;
        // Were everybody to wait, so many idle cores would do.
        let most = least.max(work - ln(self.may_wait()) / self.rate);
        halve(least, most, |cores| !self.keeps(cores, work / cores))
    }

    fn keeps(&self, cores: f64, utilisation: f64) -> bool {
        let idle = cores * (1.0 - utilisation);
        waiting_chance(cores, utilisation) * exp(-self.rate * idle) <= self.may_wait()
    }

    /// The share that may be late for want of idle cores.
    fn may_wait(&self) -> f64 {
        (SHARE - self.floor) / (1.0 - self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::counts::BINS_MAX;
    use super::*;
    use crate::RoleTick;
    use crate::points::STALE_MS;

    const RATE: f64 = 4.0;

    const SECOND_MS: u64 = 1_000;

    /// A tail and its clock.
    #[derive(Default)]
    struct Watched {
        tail: Tail,
        now_ms: u64,
        share: f64,
    }

    impl Watched {
        /// So many seconds at a utilisation, with a thousand requests in each.
        fn pass(&mut self, seconds: u64, limit: f64, utilisation: f64, late_share: f64) {
            for _ in 0..seconds {
                self.now_ms += SECOND_MS;
                let tick = RoleTick {
                    limit_cores: Some(limit),
                    cores: Some(utilisation * limit),
                    requests: Some(1_000.0),
                    late: Some(1_000.0 * late_share),
                    ..RoleTick::default()
                };
                self.tail.observe(self.now_ms, &tick, self.share);
            }
        }

        /// A minute at each utilisation, and the end.
        fn rungs(&mut self, limit: f64, utilisations: &[f64], late_share: impl Fn(f64, f64) -> f64) {
            for utilisation in utilisations {
                self.pass(60, limit, *utilisation, late_share(limit, *utilisation));
            }
            self.tail.end(self.now_ms);
        }

        fn late(&self) -> f64 {
            self.tail.bins.iter().map(|bin| bin.late).sum()
        }
    }

    /// The law itself.
    fn by_wait(limit: f64, utilisation: f64) -> f64 {
        waiting_chance(limit, utilisation) * exp(-RATE * limit * (1.0 - utilisation))
    }

    fn watched(limit: f64, utilisations: &[f64], late_share: impl Fn(f64, f64) -> f64) -> Tail {
        let mut watched = Watched::default();
        watched.rungs(limit, utilisations, late_share);
        watched.tail
    }

    fn rarity(tails: &[Tail]) -> Option<Rarity> {
        Rarity::of(600 * SECOND_MS, tails)
    }

    #[test]
    fn a_small_shadow_tells_the_knee_of_a_large_primary() {
        // The primary at four cores is idle enough that none is late.
        let primary = watched(4.0, &[0.2, 0.3], |_, _| 0.0);
        assert_eq!(rarity(std::slice::from_ref(&primary)), None);
        let found = rarity(&[primary, watched(0.5, &[0.4, 0.6, 0.8], by_wait)]).expect("late requests");
        assert!((found.rate / RATE - 1.0).abs() < 0.01 && found.floor == 0.0, "{found:?}");
        // C(4, 0.754) = 0.515, and 0.515 exp(-4 × 4 × 0.246) is a hundredth.
        let knee = found.at(RATE).knee(4.0);
        assert!((by_wait(4.0, knee) / SHARE - 1.0).abs() < 1e-3 && (knee - 0.754).abs() < 0.003, "{knee}");
        let cores = found.at(RATE).least_cores(4.0 * knee);
        assert!((cores - 4.0).abs() < 1e-3, "{cores}");
    }

    #[test]
    fn requests_that_are_late_for_other_reasons_do_not_hide_it() {
        let stray = |of: f64| move |limit: f64, utilisation: f64| of + (1.0 - of) * by_wait(limit, utilisation);
        for (of, cores) in [(0.000_5, 4.0), (0.002, 4.0), (0.001, 16.0), (0.002, 16.0), (0.000_5, 40.0)] {
            let tails = [watched(cores, &[0.2, 0.35], stray(of)), watched(0.5, &[0.4, 0.6, 0.8], stray(of))];
            let found = rarity(&tails).expect("late requests");
            assert!((found.rate / RATE - 1.0).abs() < 0.1, "{of} of {cores}: {found:?}");
        }
    }

    #[test]
    fn what_is_late_at_any_load_is_not_mended_with_cpu() {
        let idle = || watched(4.0, &[0.2, 0.3], |_, _| 0.0);
        let steps = [0.2, 0.4, 0.6, 0.8];
        assert_eq!(rarity(&[watched(1.0, &steps, |_, _| 0.02)]), None);
        // Nor is it proof that the primary has none of it, or one load alone.
        assert_eq!(rarity(&[idle(), watched(1.0, &steps, |_, _| 0.02)]), None);
        assert_eq!(rarity(&[idle(), watched(1.0, &steps, |_, _| 1.0)]), None);
        assert_eq!(rarity(&[watched(1.0, &[0.6], |_, _| 0.02)]), None);
        // Of a shadow under a single load the law is believed.
        assert!(rarity(&[idle(), watched(1.0, &[0.6], |_, _| 0.02)]).is_some());
    }

    #[test]
    fn what_follows_the_law_is_found_wherever_it_lies_on_the_ladder() {
        for step in 0..20 {
            let rate = RATE * 1.01_f64.powi(step);
            let by_wait = |limit: f64, rho: f64| waiting_chance(limit, rho) * exp(-rate * limit * (1.0 - rho));
            let found =
                rarity(&[watched(4.0, &[0.3], by_wait), watched(1.0, &[0.6], by_wait)]).expect("the law itself");
            assert!((found.rate / rate - 1.0).abs() < 0.01, "{rate}: {found:?}");
        }
    }

    #[test]
    fn another_share_of_the_load_is_another_block_of_the_same_instance() {
        // Rungs of whole blocks, and of blocks and three seconds: none is lost but the first.
        for rung in [30, 33] {
            let mut watched = Watched::default();
            for (number, utilisation) in [0.3, 0.5, 0.4].into_iter().enumerate() {
                watched.share = number as f64;
                watched.pass(rung, 1.0, utilisation, 0.1);
            }
            // Eight blocks of ten seconds with a hundred late requests in each.
            assert_eq!(watched.late(), 8_000.0, "{rung}");
        }
    }

    #[test]
    fn late_requests_that_come_in_bursts_tell_less() {
        let rarity = |burst: u64| {
            let mut watched = Watched::default();
            for ten in 0..60 {
                let utilisation = if ten < 30 { 0.4 } else { 0.6 };
                let of_block = if ten % burst == 0 { burst as f64 } else { 0.0 };
                watched.pass(10, 1.0, utilisation, of_block * by_wait(1.0, utilisation));
            }
            rarity(&[watched.tail]).expect("late requests")
        };
        let [even, bursts] = [1, 5].map(rarity);
        assert!((bursts.rate / even.rate - 1.0).abs() < 0.1, "{even:?} {bursts:?}");
        // Even blocks do not scatter, so single requests are all the error. With five blocks' late requests in each fifth the variance
        // of a block is 4 m² in place of m (1 - share), with m late requests in a block: at m = 363, some 1500 times, a standard error
        // 39 times as large; at 0.6 more.
        assert!(bursts.error > 30.0 * even.error, "{even:?} {bursts:?}");
    }

    #[test]
    fn what_was_disturbed_or_drains_a_backlog_is_not_counted() {
        let late_after = |happens: fn(&mut Watched)| {
            let mut watched = Watched::default();
            watched.pass(40, 1.0, 0.5, 0.0);
            happens(&mut watched);
            watched.pass(15, 1.0, 0.5, 0.5);
            watched.late()
        };
        assert_eq!(late_after(|_| ()), 5_000.0);
        assert_eq!(late_after(|watched| watched.tail.begin_anew(watched.now_ms)), 0.0);
        assert_eq!(late_after(|watched| watched.pass(10, 1.0, 0.99, 0.9)), 0.0);
        assert_eq!(late_after(|watched| watched.now_ms += 60 * SECOND_MS), 0.0);
        // Another size: its first block drains what the one before it left behind.
        assert_eq!(late_after(|watched| watched.pass(10, 2.0, 0.5, 0.5)), 0.0);
    }

    #[test]
    fn a_block_that_an_end_cuts_short_counts_from_half_of_it_on() {
        let late_after = |seconds: u64| {
            let mut watched = Watched::default();
            watched.pass(40, 1.0, 0.5, 0.0);
            watched.pass(seconds, 1.0, 0.5, 0.1);
            watched.tail.end(watched.now_ms);
            watched.late()
        };
        assert_eq!([late_after(4), late_after(5)], [0.0, 500.0]);
    }

    #[test]
    fn what_is_a_day_old_is_forgotten_and_bins_are_bounded() {
        let mut watched = Watched::default();
        watched.rungs(0.5, &[0.4, 0.6, 0.8], by_wait);
        let tail = std::slice::from_ref(&watched.tail);
        assert!(Rarity::of(STALE_MS, tail).is_some());
        assert_eq!(Rarity::of(STALE_MS + 180 * SECOND_MS, tail), None);
        (0..100).for_each(|power| watched.rungs(1.15_f64.powi(power), &[0.5], |_, _| 0.0));
        assert_eq!(watched.tail.bins.len(), BINS_MAX);
        assert!(watched.tail.bins.is_sorted_by_key(|bin| bin.place));
    }
}
