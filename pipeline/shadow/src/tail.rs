//! The share of requests that are late, over the cores that are idle: where it crosses one in a hundred is the knee.
//!
//! In a queue that is busy but not saturated the tail of the wait falls off exponentially, at the rate of the idle capacity
//! (Kingman's heavy-traffic bound). So of the requests under a promise the share
//!
//! ```text
//! L = C(c, ρ) exp(-κ c (1-ρ))
//! ```
//!
//! is late, with Erlang's chance C to wait, and one figure κ, which is the service's and its promise's, and hardly the size's: the
//! promise less the latency at rest, over the CPU time of a request and its burstiness. That is what carries a small shadow's late
//! requests over to a large primary; and counts, other than percentiles, add up over any number of ticks.
//!
//! **Counts.** Ticks are taken together to blocks of [`BLOCK_TICKS`], since a tick of few requests has as much load as it has by
//! chance. A block beyond [`SETTLED_MAX`] is no steady state, nor is the one after it, or the first of another size: a backlog
//! drains in them. What is left falls into bins by idle cores, six to the octave, whose sums fade so that drift shows.
//!
//! **κ** is that of the greatest likelihood, which has one summit. Late requests come in bursts, so the counts say less than as many
//! independent ones would: by how much, the scatter of the blocks tells (the sandwich estimate). The band is where the likelihood,
//! so weakened, stays within 90 %.
//!
//! State: an open block, and up to [`BINS_MAX`] bins of 88 bytes, mostly a dozen. Cost: some additions a tick; a fit is
//! three bisections, each of [`HALVINGS`] passes over the bins, a tenth of a millisecond by estimate.

use elementary::{exp, ln};
use serde::{Deserialize, Serialize};

use crate::RoleTick;
use crate::lateness::SHARE;
use crate::law::waiting_chance;

/// Ten seconds.
const BLOCK_TICKS: f64 = 10.0;

/// Utilisation from which a block is none of a steady state.
const SETTLED_MAX: f64 = 0.95;

/// Sizes that differ by more are two instances.
const SAME_SIZE: f64 = 0.12;

/// Bins to the octave of idle cores: each an eighth wider than the one before.
const BINS_PER_OCTAVE: f64 = 6.0;

/// Ten octaves: the least lately seen bin makes room.
const BINS_MAX: usize = 60;

/// Blocks that a bin remembers: twenty minutes.
const MEMORY: f64 = 120.0;

/// A day: the code, the requests and the host of yesterday are others.
const STALE_MS: u64 = 86_400_000;

/// Late requests from which their share is one.
const LATE_MIN: f64 = 5.0;

/// Where nearly all are late they tell of a backlog, and the logarithm of the rest means nothing.
const LATE_SHARE_MAX: f64 = 0.99;

/// The loss of logarithmic likelihood at the ends of a band of 90 %: half of 1.645².
const BAND: f64 = 1.353;

/// What κ is off by, from one size to another and where bursts are rarer than a probe lasts: a fourth each way, by simulation of
/// quotas (`tests/quota`), is what bands then cover the truth with.
const MISFIT: f64 = 0.25;

/// Between these, per core, lies every κ: of a request of minutes and of one of a microsecond.
const RATES: [f64; 2] = [1e-3, 1e6];

/// Halvings of what is looked for: they leave less than a millionth.
const HALVINGS: u32 = 30;

/// The largest utilisation that a knee may have: beyond it no queue settles.
const UTILISATION_MAX: f64 = 0.98;

/// Late requests of a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tail {
    open: Block,
    /// The limit of the last tick, cores.
    limit: f64,
    /// Whether the block before this one was of a steady state at this size.
    settled: bool,
    bins: Vec<Bin>,
}

/// How fast late requests become rare: κ per core, and the ends of its band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rarity {
    pub(crate) rate: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Relative standard error.
    pub(crate) error: f64,
}

/// Sums over ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    ticks: f64,
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
    /// A tick that was disturbed: it is in no block, and whatever it delayed is not in the next one.
    pub(crate) fn begin_anew(&mut self) {
        (self.open, self.settled) = (Block::default(), false);
    }

    /// The instance is no more, or another one: what it has shown counts.
    pub(crate) fn end(&mut self, now_ms: u64) {
        self.close(now_ms);
        self.settled = false;
    }

    /// Takes in a tick.
    pub(crate) fn observe(&mut self, now_ms: u64, tick: &RoleTick) {
        let RoleTick {
            limit_cores: Some(limit), cores: Some(cores), requests: Some(requests), late: Some(late), ..
        } = *tick
        else {
            return;
        };
        if (limit - self.limit).abs() > SAME_SIZE * self.limit {
            self.end(now_ms);
        }
        self.limit = limit;
        let open = &mut self.open;
        open.ticks += 1.0;
        open.limit += limit;
        open.cores += cores;
        open.requests += requests;
        open.late += late.min(requests);
        if open.ticks >= BLOCK_TICKS {
            self.close(now_ms);
        }
    }

    fn close(&mut self, now_ms: u64) {
        let block = std::mem::take(&mut self.open);
        let is_steady = block.cores < SETTLED_MAX * block.limit;
        if is_steady && self.settled && block.requests > 0.0 {
            self.count(now_ms, &block);
        }
        self.settled = is_steady;
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
}

impl Block {
    fn idle(&self) -> f64 {
        (self.limit - self.cores) / self.ticks
    }
}

impl Bin {
    fn count(&mut self, now_ms: u64, block: &Block) {
        let Block { ticks, limit, cores, requests, late } = *block;
        let stale = now_ms.saturating_sub(self.seen_ms) >= STALE_MS;
        let keep = match self.blocks {
            _ if stale => 0.0,
            blocks if blocks >= MEMORY => 1.0 - 1.0 / MEMORY,
            _ => 1.0,
        };
        let weighed = |value: f64| requests * value;
        let adds = [1.0, requests, late, weighed(block.idle()), weighed(waiting_chance(limit / ticks, cores / limit))];
        let sums = [&mut self.blocks, &mut self.requests, &mut self.late, &mut self.idle, &mut self.waits];
        sums.into_iter().zip(adds).for_each(|(sum, add)| *sum = *sum * keep + add);
        let adds = [requests * requests, requests * late, late * late];
        self.squares.iter_mut().zip(adds).for_each(|(sum, add)| *sum = *sum * keep + add);
        self.seen_ms = now_ms;
    }

    fn late_share(&self, rate: f64) -> f64 {
        (self.waits / self.requests * exp(-rate * self.idle_mean())).min(LATE_SHARE_MAX)
    }

    fn idle_mean(&self) -> f64 {
        self.idle / self.requests
    }

    /// The slope of its logarithmic likelihood over κ.
    fn score(&self, rate: f64) -> f64 {
        let share = self.late_share(rate);
        self.idle_mean() * (self.requests * share - self.late) / (1.0 - share)
    }

    fn likelihood(&self, rate: f64) -> f64 {
        let share = self.late_share(rate);
        // The share itself may be less than any number.
        let ln_share = ln(self.waits / self.requests) - rate * self.idle_mean();
        self.late * ln_share + (self.requests - self.late) * ln(1.0 - share)
    }

    /// By how much its likelihood tells κ, and by how much its blocks scatter, in the same measure.
    fn information(&self, rate: f64) -> [f64; 2] {
        let share = self.late_share(rate);
        let [all, both, late] = self.squares;
        let scatter = (late - 2.0 * share * both + share * share * all).max(0.0);
        let slope = self.idle_mean() / (1.0 - share);
        [slope * self.idle_mean() * self.requests * share, slope * slope * scatter]
    }
}

impl Rarity {
    /// By the counts of some roles; none while hardly a request was late, or as many were however many cores were idle: then
    /// something else makes them late, and more CPU would not mend it.
    pub(crate) fn of(now_ms: u64, tails: &[Tail]) -> Option<Self> {
        let fresh = |bin: &&Bin| now_ms.saturating_sub(bin.seen_ms) < STALE_MS;
        let bins = || tails.iter().flat_map(|tail| &tail.bins).filter(fresh);
        let [requests, late] =
            bins().fold([0.0; 2], |[requests, late], bin| [requests + bin.requests, late + bin.late]);
        if late < LATE_MIN {
            return None;
        }
        let likelihood = |rate: f64| bins().map(|bin| bin.likelihood(rate)).sum::<f64>();
        // By the logarithm, since it may be of any magnitude.
        let crossing =
            |from: f64, to: f64, holds: &dyn Fn(f64) -> bool| exp(halve(ln(from), ln(to), |x| holds(exp(x))));
        let [least, most] = RATES;
        let rate = crossing(least, most, &|rate| bins().map(|bin| bin.score(rate)).sum::<f64>() > 0.0);
        let [told, scatter] =
            bins().map(|bin| bin.information(rate)).fold([0.0; 2], |sum, bin| [sum[0] + bin[0], sum[1] + bin[1]]);
        let bursts = (scatter / told).max(1.0);
        let steady =
            late * ln(late / requests) + (requests - late) * ln((1.0 - late / requests).max(1.0 - LATE_SHARE_MAX));
        if steady > likelihood(rate) + BAND * bursts {
            return None;
        }
        let within = likelihood(rate) - BAND * bursts;
        let low = crossing(least, rate, &|rate| likelihood(rate) < within);
        let high = crossing(rate, most, &|rate| likelihood(rate) >= within);
        let [low, high] = [low.min(rate * (1.0 - MISFIT)), high.max(rate * (1.0 + MISFIT))];
        Some(Self { rate, low, high, error: (bursts / told).sqrt() / rate })
    }
}

/// The largest utilisation of an instance of `cores` at which no more than one request in a hundred is late.
pub(crate) fn knee(rate: f64, cores: f64) -> f64 {
    halve(0.0, UTILISATION_MAX, |utilisation| keeps(rate, cores, utilisation))
}

/// The least cores on which no more than one request in a hundred is late under `work` cores of work.
pub(crate) fn least_cores(rate: f64, work: f64) -> f64 {
    let least = work / UTILISATION_MAX;
    // Were everybody to wait, so many idle cores would do.
    let most = least.max(work + ln(1.0 / SHARE) / rate);
    halve(least, most, |cores| !keeps(rate, cores, work / cores))
}

fn keeps(rate: f64, cores: f64, utilisation: f64) -> bool {
    waiting_chance(cores, utilisation) * exp(-rate * cores * (1.0 - utilisation)) <= SHARE
}

/// Where, between two figures, what holds below ceases to.
fn halve(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
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

    const RATE: f64 = 4.0;

    /// Requests per second: so many that a hundredth of a late one hardly counts.
    const REQUESTS: f64 = 1_000.0;

    fn tick(limit: f64, utilisation: f64, late_share: f64) -> RoleTick {
        RoleTick {
            limit_cores: Some(limit),
            cores: Some(utilisation * limit),
            requests: Some(REQUESTS),
            late: Some(late_share * REQUESTS),
            ..RoleTick::default()
        }
    }

    fn share(limit: f64, utilisation: f64) -> f64 {
        waiting_chance(limit, utilisation) * exp(-RATE * limit * (1.0 - utilisation))
    }

    /// A minute at each of these utilisations, of an instance of so many cores; a time later than others.
    fn watched(tail: &mut Tail, now_ms: u64, limit: f64, utilisations: &[f64], late_share: impl Fn(f64, f64) -> f64) {
        for utilisation in utilisations {
            (0..60).for_each(|_| tail.observe(now_ms, &tick(limit, *utilisation, late_share(limit, *utilisation))));
        }
        tail.end(now_ms);
    }

    #[test]
    fn a_small_shadow_tells_the_knee_of_a_large_primary() {
        let mut tails = [Tail::default(), Tail::default()];
        // The primary at four cores is idle enough that none is late.
        watched(&mut tails[0], 0, 4.0, &[0.2, 0.3], |_, _| 0.0);
        assert_eq!(Rarity::of(0, &tails[..1]), None);
        watched(&mut tails[1], 0, 0.5, &[0.4, 0.6, 0.8], share);
        let rarity = Rarity::of(0, &tails).expect("late requests");
        assert!((rarity.rate / RATE - 1.0).abs() < 1e-3, "{rarity:?}");
        assert!(rarity.low <= (1.0 - MISFIT) * rarity.rate && (1.0 + MISFIT) * rarity.rate <= rarity.high);
        // C(4, 0.72) = 0.53, and 0.53 exp(-4 × 4 × 0.25) is a hundredth; with twice the idle cores half the rate would do.
        let knee = knee(rarity.rate, 4.0);
        assert!((share(4.0, knee) / SHARE - 1.0).abs() < 1e-3 && (knee - 0.75).abs() < 0.01, "{knee}");
        let cores = least_cores(rarity.rate, 4.0 * knee);
        assert!((cores - 4.0).abs() < 1e-3, "{cores}");
    }

    #[test]
    fn requests_that_are_late_at_any_load_are_not_mended_with_cpu() {
        let mut tail = Tail::default();
        watched(&mut tail, 0, 1.0, &[0.2, 0.4, 0.6, 0.8], |_, _| 0.02);
        assert_eq!(Rarity::of(0, &[tail]), None);
    }

    #[test]
    fn late_requests_that_come_in_bursts_tell_less() {
        let rarity = |burst: u64| {
            let mut tail = Tail::default();
            for second in 0..4_000_u64 {
                let utilisation = [0.5, 0.7][(second / 2_000) as usize];
                let late = if second / 10 % burst == 0 { burst as f64 } else { 0.0 };
                tail.observe(0, &tick(1.0, utilisation, late * share(1.0, utilisation)));
            }
            Rarity::of(0, &[tail]).expect("late requests")
        };
        let [even, bursts] = [1, 5].map(rarity);
        assert!((bursts.rate / even.rate - 1.0).abs() < 0.05, "{even:?} {bursts:?}");
        assert!(bursts.error > 2.0 * even.error, "{even:?} {bursts:?}");
    }

    #[test]
    fn what_was_disturbed_or_drains_a_backlog_is_not_counted() {
        let counted = |before: fn(&mut Tail)| {
            let mut tail = Tail::default();
            (0..20).for_each(|_| tail.observe(0, &tick(1.0, 0.5, 0.0)));
            before(&mut tail);
            (0..10).for_each(|_| tail.observe(0, &tick(1.0, 0.5, 0.5)));
            tail.bins.iter().map(|bin| bin.late).sum::<f64>()
        };
        assert_eq!(counted(|_| ()), 5_000.0);
        assert_eq!(counted(Tail::begin_anew), 0.0);
        assert_eq!(counted(|tail| (0..10).for_each(|_| tail.observe(0, &tick(1.0, 0.99, 0.9)))), 0.0);
        // Another size: a block of its own, which begins with what the one before left behind.
        assert_eq!(counted(|tail| tail.observe(0, &tick(2.0, 0.5, 0.5))), 0.0);
    }

    #[test]
    fn what_is_a_day_old_is_forgotten_and_bins_are_bounded() {
        const DAY_MS: u64 = 86_400_000;
        let mut tail = Tail::default();
        watched(&mut tail, 0, 0.5, &[0.4, 0.6, 0.8], share);
        assert!(Rarity::of(DAY_MS - 1, std::slice::from_ref(&tail)).is_some());
        assert_eq!(Rarity::of(DAY_MS, std::slice::from_ref(&tail)), None);
        (0..100).for_each(|power| watched(&mut tail, DAY_MS, 1.15_f64.powi(power), &[0.5], |_, _| 0.0));
        assert_eq!(tail.bins.len(), BINS_MAX);
        assert!(tail.bins.is_sorted_by_key(|bin| bin.place));
    }
}
