//! How likely counts of late requests are.

use elementary::{exp, ln};

use super::counts::Bin;

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

/// The likelihood of the counts under rising κ, each with the floor that suits it best.
pub(super) struct Ladder<'a> {
    bins: &'a [&'a Bin],
    /// Logarithms of the lowest κ and the highest.
    ends: [f64; 2],
    /// Likelihoods and floors.
    pub(super) rungs: Vec<[f64; 2]>,
}

impl<'a> Ladder<'a> {
    pub(super) fn over(bins: &'a [&'a Bin]) -> Self {
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

    pub(super) fn rate(&self, rung: f64) -> f64 {
        let [lowest, highest] = self.ends;
        exp(lowest + rung / (RUNGS - 1) as f64 * (highest - lowest))
    }

    pub(super) fn likelihood(&self, rate: f64, floor: f64) -> f64 {
        self.bins.iter().map(|bin| bin.likelihood(rate, floor)).sum()
    }

    /// The highest rung that is not an end.
    pub(super) fn highest(&self) -> Option<usize> {
        (1..RUNGS - 1).max_by(|a, b| self.rungs[*a][0].total_cmp(&self.rungs[*b][0]))
    }

    /// Where the summit of a parabola through a rung and its neighbours lies, in rungs from it; none where it is not the highest.
    pub(super) fn summit_from(&self, rung: usize) -> Option<f64> {
        let [before, at, after] = [rung - 1, rung, rung + 1].map(|rung| self.rungs[rung][0]);
        let bend = before - 2.0 * at + after;
        (at >= before.max(after)).then(|| if bend < 0.0 { 0.5 * (before - after) / bend } else { 0.0 })
    }

    /// Between which κ, about this rung, the likelihood stays above the least.
    pub(super) fn band(&self, rung: usize, least: f64) -> [f64; 2] {
        let within = |rung: &usize| self.rungs[*rung][0] >= least;
        let below = (0..=rung).take_while(|rung| !within(rung)).count() as f64 - 1.0;
        let above = rung as f64 + (rung..RUNGS).take_while(within).count() as f64;
        [self.rate(below), self.rate(above)]
    }
}

impl Bin {
    fn idle_mean(&self) -> f64 {
        self.idle / self.requests
    }

    /// The share of requests that waits long enough, for want of idle cores.
    pub(super) fn share_by_wait(&self, rate: f64) -> f64 {
        self.waits / self.requests * exp(-rate * self.idle_mean())
    }

    fn likelihood(&self, rate: f64, floor: f64) -> f64 {
        likelihood(self.requests, self.late, floor + (1.0 - floor) * self.share_by_wait(rate))
    }

    /// By how much its likelihood tells κ, and by how much its blocks scatter, in the same measure.
    pub(super) fn information(&self, rate: f64, floor: f64) -> [f64; 2] {
        let by_wait = (1.0 - floor) * self.share_by_wait(rate);
        let share = clamped(floor + by_wait);
        let [all, both, late] = self.squares;
        let scatter = (late - 2.0 * share * both + share * share * all).max(0.0);
        let slope = self.idle_mean() * by_wait / (share * (1.0 - share));
        [slope * slope * self.requests * share * (1.0 - share), slope * slope * scatter]
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
pub(super) fn in_proportion<'a>(bins: impl Iterator<Item = &'a Bin> + Clone, share: impl Fn(&Bin) -> f64) -> f64 {
    let sums = bins.clone().fold([0.0; 2], |[late, of], bin| [late + bin.late, of + bin.requests * share(bin)]);
    let factor = if sums[1] > 0.0 { sums[0] / sums[1] } else { 0.0 };
    bins.map(|bin| likelihood(bin.requests, bin.late, factor * share(bin))).sum()
}
