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
//! A block beyond [`SETTLED_MAX`] is of no equilibrium, nor is the one after it, or the first after a disturbance or of another
//! size: a backlog drains in them. What is left falls into bins by idle cores, six to the octave, whose sums fade so that drift shows.
//!
//! **κ** is that of the greatest likelihood, over a ladder and the few [`FLOORS`]. Late requests come in bursts, so the counts say
//! less than as many independent ones would: by how much, the scatter of the blocks tells (the sandwich estimate). The band is where
//! the likelihood, so weakened, stays within 90 %, and [`MISFIT`].
//!
//! **Only where CPU helps.** The law must tell the counts clearly better than one share that is the same at any load, and within each
//! role not much worse than one such share of the role's: by how much roles differ, sizes and chance may be off, so each role's
//! shares are the law's times a factor there. So a primary under one load alone shows nothing, and it takes a second load of a
//! shadow to find out one that is late whatever it does: under a single one the law is believed of it.
//!
//! State: an open block, and up to [`BINS_MAX`] bins of 80 bytes, mostly a dozen. Cost: some additions a tick. A fit is
//! [`RUNGS`] times four looks at each bin, and eight bisections of Erlang's formula: some tenths of a millisecond, by estimate.

use elementary::{exp, ln};
use serde::{Deserialize, Serialize};

use crate::RoleTick;
use crate::lateness::SHARE;
use crate::law::{UTILISATION_MAX, halve, waiting_chance};
use crate::points::{SAME_SIZE, STALE_MS};

/// Length of a block; a part of it that an end leaves over counts from half of it on.
const BLOCK_S: f64 = 10.0;

/// Ticks this far apart have others between them that were not read.
const GAP_MS: u64 = 10_000;

/// Utilisation from which a block is of no equilibrium.
const SETTLED_MAX: f64 = 0.98;

/// Bins to the octave of idle cores: each an eighth wider than the one before.
const BINS_PER_OCTAVE: f64 = 6.0;

/// Ten octaves: the least lately seen bin makes room.
const BINS_MAX: usize = 60;

/// Blocks that a bin remembers: twenty minutes.
const MEMORY: f64 = 120.0;

/// Fewer late requests tell no share: that of three is known to six tenths of it.
const LATE_MIN: f64 = 3.0;

/// Bounds of a share whose logarithm is taken: beyond the upper one late requests tell only of a backlog; zero has none.
const SHARES: [f64; 2] = [1e-300, 0.99];

/// The shares that are tried for requests that are late for other reasons: none, and up to a third of what may be late.
const FLOORS: [f64; 4] = [0.0, 0.000_3, 0.001, 0.003];

/// Rungs of the ladder of κ.
const RUNGS: usize = 60;

/// Its lowest rung, times the most idle cores at which any request was late: nearly all that wait are late there.
const LOWEST: f64 = 0.05;

/// Its highest, times the least idle cores: e⁻¹⁵ of those that wait, which is none.
const HIGHEST: f64 = 15.0;

/// The loss of logarithmic likelihood at the ends of a band of 90 %: half of 1.645².
const BAND: f64 = 1.353;

/// Losses of a band's ends by which one share for each role must tell its counts better: few bursts over a narrow range of idle
/// cores look flat.
const WORSE: f64 = 3.0;

/// By how much ln κ differs between sizes, and between minutes that have seen few bursts and days that have seen many: with it bands
/// cover four fifths of the truths of `tests/quota`.
const MISFIT: f64 = 0.25;

/// Late requests of a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tail {
    open: Block,
    /// What the open block began with: the limit in cores, and the mirrored share.
    setting: [f64; 2],
    seen_ms: u64,
    /// Whether the block before this one was in equilibrium at this size.
    settled: bool,
    bins: Vec<Bin>,
}

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

/// The likelihood of the counts under rising κ, each with the floor that suits it best.
struct Ladder<'a> {
    bins: &'a [&'a Bin],
    /// Logarithms of the lowest κ and the highest.
    ends: [f64; 2],
    /// Likelihoods and floors.
    rungs: Vec<[f64; 2]>,
}

/// Sums over seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    seconds: f64,
    limit: f64,
    cores: f64,
    requests: f64,
    late: f64,
}

/// Fading sums over blocks with nearly the same idle cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bin {
    place: i32,
    seen_ms: u64,
    blocks: f64,
    requests: f64,
    late: f64,
    /// Idle cores and chances to wait, each times its requests.
    idle: f64,
    waits: f64,
    /// Squares of requests, products of both, squares of late ones.
    squares: [f64; 3],
}

impl Tail {
    /// A tick that was disturbed, or not read: it is in no block, and what it delayed is not in the next one.
    pub(crate) fn begin_anew(&mut self, now_ms: u64) {
        (self.open, self.settled, self.seen_ms) = (Block::default(), false, now_ms);
    }

    /// The instance is no more, or another one: what it has shown counts.
    pub(crate) fn end(&mut self, now_ms: u64) {
        self.close(now_ms);
        self.settled = false;
    }

    /// Takes in a tick under this mirrored share.
    pub(crate) fn observe(&mut self, now_ms: u64, tick: &RoleTick, mirrored_share: f64) {
        let past_ms = now_ms.saturating_sub(self.seen_ms);
        self.seen_ms = now_ms;
        let RoleTick {
            limit_cores: Some(limit), cores: Some(cores), requests: Some(requests), late: Some(late), ..
        } = *tick
        else {
            return self.begin_anew(now_ms);
        };
        if past_ms > GAP_MS {
            // From here on time is told, of which this tick is none.
            return self.begin_anew(now_ms);
        }
        let [limit_before, share_before] = self.setting;
        if (limit - limit_before).abs() > SAME_SIZE * limit_before {
            self.end(now_ms);
        } else if mirrored_share != share_before {
            self.close(now_ms);
        }
        if self.open.seconds == 0.0 {
            self.setting = [limit, mirrored_share];
        }
        self.open.add(past_ms as f64 / 1e3, [limit, cores, requests, late.min(requests)]);
        if self.open.seconds >= BLOCK_S {
            self.close(now_ms);
        }
    }

    fn close(&mut self, now_ms: u64) {
        let block = std::mem::take(&mut self.open);
        if block.seconds == 0.0 {
            return;
        }
        let in_equilibrium = block.cores < SETTLED_MAX * block.limit;
        let is_long = block.seconds >= BLOCK_S / 2.0;
        if is_long && in_equilibrium && self.settled && block.requests > 0.0 && block.cores > 0.0 {
            self.count(now_ms, &block);
        }
        self.settled = in_equilibrium && (is_long || self.settled);
    }

    fn count(&mut self, now_ms: u64, block: &Block) {
        let place = (BINS_PER_OCTAVE / std::f64::consts::LN_2 * ln(block.idle())).floor() as i32;
        let at = self.bins.partition_point(|bin| bin.place < place);
        if self.bins.get(at).is_none_or(|bin| bin.place != place) {
            self.bins.insert(at, Bin { place, ..Bin::default() });
        }
        self.bins[at].count(now_ms, block);
        if self.bins.len() > BINS_MAX {
            let oldest = (0..self.bins.len()).min_by_key(|at| self.bins[*at].seen_ms);
            oldest.map(|at| self.bins.remove(at));
        }
    }

    fn fresh(&self, now_ms: u64) -> impl Iterator<Item = &Bin> + Clone {
        self.bins.iter().filter(move |bin| now_ms.saturating_sub(bin.seen_ms) < STALE_MS)
    }
}

impl Block {
    fn add(&mut self, seconds: f64, [limit, cores, requests, late]: [f64; 4]) {
        self.seconds += seconds;
        self.limit += seconds * limit;
        self.cores += seconds * cores;
        self.requests += seconds * requests;
        self.late += seconds * late;
    }

    fn idle(&self) -> f64 {
        (self.limit - self.cores) / self.seconds
    }

    fn waits(&self) -> f64 {
        waiting_chance(self.limit / self.seconds, self.cores / self.limit)
    }
}

impl Bin {
    fn count(&mut self, now_ms: u64, block: &Block) {
        let Block { requests, late, .. } = *block;
        let keep = match self.blocks {
            _ if now_ms.saturating_sub(self.seen_ms) >= STALE_MS => 0.0,
            blocks if blocks >= MEMORY => 1.0 - 1.0 / MEMORY,
            _ => 1.0,
        };
        self.seen_ms = now_ms;
        let adds = [1.0, requests, late, requests * block.idle(), requests * block.waits()];
        let sums = [&mut self.blocks, &mut self.requests, &mut self.late, &mut self.idle, &mut self.waits];
        sums.into_iter().zip(adds).for_each(|(sum, add)| *sum = *sum * keep + add);
        let adds = [requests * requests, requests * late, late * late];
        self.squares.iter_mut().zip(adds).for_each(|(sum, add)| *sum = *sum * keep * keep + add);
    }

    fn idle_mean(&self) -> f64 {
        self.idle / self.requests
    }

    /// The share of requests that waits long enough, for want of idle cores.
    fn share_by_wait(&self, rate: f64) -> f64 {
        self.waits / self.requests * exp(-rate * self.idle_mean())
    }

    fn likelihood(&self, rate: f64, floor: f64) -> f64 {
        likelihood(self.requests, self.late, floor + (1.0 - floor) * self.share_by_wait(rate))
    }

    /// By how much its likelihood tells κ, and by how much its blocks scatter, in the same measure.
    fn information(&self, rate: f64, floor: f64) -> [f64; 2] {
        let by_wait = (1.0 - floor) * self.share_by_wait(rate);
        let share = clamped(floor + by_wait);
        let [all, both, late] = self.squares;
        let scatter = (late - 2.0 * share * both + share * share * all).max(0.0);
        let slope = self.idle_mean() * by_wait / (share * (1.0 - share));
        [slope * slope * self.requests * share * (1.0 - share), slope * slope * scatter]
    }
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

impl<'a> Ladder<'a> {
    fn over(bins: &'a [&'a Bin]) -> Self {
        let late_idle = bins.iter().filter(|bin| bin.late > 0.0).map(|bin| bin.idle_mean());
        let [least, most] =
            late_idle.fold([f64::INFINITY, 0.0], |[least, most], idle| [idle.min(least), idle.max(most)]);
        let mut ladder = Self { bins, ends: [ln(LOWEST / most), ln(HIGHEST / least)], rungs: Vec::new() };
        for rung in 0..RUNGS {
            let rate = ladder.rate(rung as f64);
            let of_floors = FLOORS.map(|floor| [ladder.likelihood(rate, floor), floor]);
            ladder.rungs.extend(of_floors.into_iter().max_by(|a, b| a[0].total_cmp(&b[0])));
        }
        ladder
    }

    fn rate(&self, rung: f64) -> f64 {
        let [lowest, highest] = self.ends;
        exp(lowest + rung / (RUNGS - 1) as f64 * (highest - lowest))
    }

    fn likelihood(&self, rate: f64, floor: f64) -> f64 {
        self.bins.iter().map(|bin| bin.likelihood(rate, floor)).sum()
    }

    /// The highest rung that is not an end.
    fn highest(&self) -> Option<usize> {
        (1..RUNGS - 1).max_by(|a, b| self.rungs[*a][0].total_cmp(&self.rungs[*b][0]))
    }

    /// Where the summit of a parabola through a rung and its neighbours lies, in rungs from it; none where it is not the highest.
    fn summit_from(&self, rung: usize) -> Option<f64> {
        let [before, at, after] = [rung - 1, rung, rung + 1].map(|rung| self.rungs[rung][0]);
        let bend = before - 2.0 * at + after;
        (at >= before.max(after)).then(|| if bend < 0.0 { 0.5 * (before - after) / bend } else { 0.0 })
    }

    /// Between which κ, about this rung, the likelihood stays above the least.
    fn band(&self, rung: usize, least: f64) -> [f64; 2] {
        let within = |rung: &usize| self.rungs[*rung][0] >= least;
        let below = (0..=rung).take_while(|rung| !within(rung)).count() as f64 - 1.0;
        let above = rung as f64 + (rung..RUNGS).take_while(within).count() as f64;
        [self.rate(below), self.rate(above)]
    }
}

/// How likely it is that so many of the requests are late, as a logarithm.
fn likelihood(requests: f64, late: f64, share: f64) -> f64 {
    let share = clamped(share);
    late * ln(share) + (requests - late) * ln(1.0 - share)
}

fn clamped(share: f64) -> f64 {
    let [least, most] = SHARES;
    share.clamp(least, most)
}

/// The likelihood of counts by shares in proportion to these, as many late requests in all as there were.
fn in_proportion<'a>(bins: impl Iterator<Item = &'a Bin> + Clone, share: impl Fn(&Bin) -> f64) -> f64 {
    let sums = bins.clone().fold([0.0; 2], |[late, of], bin| [late + bin.late, of + bin.requests * share(bin)]);
    let factor = if sums[1] > 0.0 { sums[0] / sums[1] } else { 0.0 };
    bins.map(|bin| likelihood(bin.requests, bin.late, factor * share(bin))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

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
