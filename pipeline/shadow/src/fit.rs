//! Fits each law of latency to the points, and lets points that a law has not seen choose between them. Where late requests are
//! counted, and enough of them have come, `tail.rs` tells instead.
//!
//! A fit is least squares of the relative error, with a base for each series (a role at a size) and slopes that all share:
//! the shadow's points say how steep, the primary's own where from. The points are cut into [`BLOCKS`] runs of
//! neighbouring utilisations; each law is fitted without each run and judged by the run (so it is judged by how it carries
//! beyond what it saw), and the law with the least error is chosen. The knee is where that law crosses the target.
//!
//! **Band.** Leaving runs out gives [`BLOCKS`] knees, whose spread is the jackknife's standard error. Laws that predict
//! nearly as well might as well be true: their knees' distance from the chosen one is added. So the band is wide where
//! only a law, and not a point, says where the crossing lies.
//!
//! **Sizes.** Demand at other work than now's is the law's, but for one case: a law that pools nothing would have an instance
//! shrink in proportion to its work. Where that is wrong the promise breaks, so on the way down the idle cores of now are
//! kept, until points at the smaller size tell.
//!
//! Cost: 29 laws times six fits over at most 246 points, mostly 20 to 40, 0.1 to 0.5 ms; it is asked for once a minute, and at
//! each turn of a probe.

mod candidate;

use schemas::{KneeEvidence, LatencyLaw, Ratio, Role};
use serde::{Deserialize, Serialize};

use self::candidate::{Candidate, Line, best_fit, families};
use crate::law::{HALVINGS, Latency, UTILISATION_MAX, halve};
use crate::points::Point;
use crate::tail::Rarity;

/// Runs that the points are cut into.
const BLOCKS: usize = 5;

/// Points from which laws are fitted: one a run.
const POINTS_MIN: usize = BLOCKS;

/// Points this many times above the target say nothing of where latency crosses it.
const FAR: f64 = 4.0;

/// Without a promise the knee is where latency is this many times that of an idle instance.
const RISE: f64 = 2.0;

/// Latency of one series must rise by so many times for its rise to be one.
const RISE_MIN: f64 = 1.1;

/// Relative errors that differ by less are the readings', not the laws'.
const READING_ERROR: f64 = 0.01;

/// A law whose error is at most so many times the least, and [`READING_ERROR`], might as well be true.
const PLAUSIBLE: f64 = 1.3;

/// Standard errors on each side of the knee: 90 % of Student's t with the four degrees of freedom of five runs.
const BAND: f64 = 2.132;

/// The band is never narrower than this on each side: utilisation itself is read no better.
const BAND_MIN: f64 = 0.01;

/// Never more than so many times the idle cores of the likeliest rate, however wide its band.
const CAUTION_MAX: f64 = 2.0;

/// Latency that was seen from this share of the target on shows the crossing.
const SHOWN: f64 = 0.9;

/// Works at which the headroom is tabulated, over the primary's size.
const WORKS: [f64; 5] = [0.125, 0.25, 0.5, 1.0, 2.0];

/// What points of latency, or counts of late requests, have shown: where latency crosses the target, and the idle cores that this
/// takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fitted {
    pub(crate) knee: KneeEvidence,
    /// Cores of work, rising, and idle cores that keep the target at them, towards the lower end of the band.
    works: [f64; 5],
    headrooms: [f64; 5],
}

/// A family's fit to all points, its error at points left out, and the knees without each run.
struct Judged {
    line: Line,
    error: f64,
    knee: f64,
    without: Vec<f64>,
}

/// The primary as it stands, and what is asked of it.
#[derive(Clone, Copy)]
struct Aim {
    series: Option<usize>,
    cores: f64,
    slo: Option<f64>,
}

impl Fitted {
    /// Fits `points` for a primary of `cores`; none while they are too few, or show no rise.
    pub(crate) fn of(points: &[Point], cores: f64, slo: Option<f64>) -> Option<Self> {
        let least = points.iter().map(|point| point.latency).fold(f64::INFINITY, f64::min);
        let far = FAR * slo.unwrap_or(RISE * least);
        let near: Vec<Point> = points.iter().filter(|point| point.latency <= far).copied().collect();
        if near.len() < POINTS_MIN || !rises(&near) {
            return None;
        }
        let off = |point: &&Point| (point.cores / cores - 1.0).abs();
        let primary = near.iter().filter(|point| point.role == Role::Primary);
        let own = primary.min_by(|a, b| off(a).total_cmp(&off(b)));
        let aim = Aim { series: own.map(|point| point.series), cores, slo };
        let judged: Vec<Judged> = families(&near).iter().filter_map(|family| judge(family, &near, aim)).collect();
        let best = judged.iter().min_by(|a, b| a.error.total_cmp(&b.error))?;
        Some(aim.fitted(&near, best, half_band(best, &judged)))
    }

    /// What the counts of late requests say of a primary of `cores`.
    pub(crate) fn of_late(rarity: &Rarity, cores: f64) -> Self {
        let Rarity { rate, low: rate_low, high: rate_high, error, .. } = *rarity;
        let [utilisation, low, high] = ends([rate, rate_low, rate_high].map(|rate| rarity.at(rate).knee(cores)));
        let works = WORKS.map(|share| share * cores);
        let cautious = rarity.at(rate_low.max(rate / CAUTION_MAX));
        let headrooms = works.map(|work| cautious.least_cores(work) - work);
        let knee = KneeEvidence { utilisation, low, high, law: LatencyLaw::Tail, error, shown: true };
        Self { knee, works, headrooms }
    }

    /// Idle cores that keep the target at `work` cores of work: between the works of the table on a line, below them as at
    /// the least, and beyond them on the line of the last two.
    pub(crate) fn headroom(&self, work: f64) -> f64 {
        let right = self.works.partition_point(|of| *of < work).clamp(1, WORKS.len() - 1);
        let [from, to] = [right - 1, right].map(|at| (self.works[at], self.headrooms[at]));
        let along = ((work - from.0) / (to.0 - from.0)).max(0.0);
        (from.1 + along * (to.1 - from.1)).max(0.0)
    }
}

impl Aim {
    fn base(&self, line: &Line) -> f64 {
        self.series.map_or_else(|| line.bases.into_iter().fold(f64::INFINITY, f64::min), |series| line.bases[series])
    }

    fn latency(&self, line: &Line) -> Latency {
        Latency { law: line.law, base: self.base(line), slopes: line.slopes }
    }

    fn target(&self, latency: &Latency) -> f64 {
        self.slo.unwrap_or_else(|| RISE * latency.at(self.cores, 0.0))
    }

    /// The largest utilisation at which the primary keeps the target; zero where even an idle one does not.
    fn knee(&self, line: &Line) -> f64 {
        let latency = self.latency(line);
        let target = self.target(&latency);
        let keeps = |utilisation: f64| latency.at(self.cores, utilisation) <= target;
        halve(0.0, UTILISATION_MAX, keeps)
    }

    fn fitted(&self, points: &[Point], best: &Judged, half: f64) -> Fitted {
        let latency = self.latency(&best.line);
        let target = self.target(&latency);
        let as_primary = |point: &Point| point.latency - best.line.bases[point.series] + latency.base;
        let [utilisation, low, high] = ends([best.knee, best.knee - half, best.knee + half]);
        let shown = points.iter().any(|point| as_primary(point) >= SHOWN * target);
        let law = best.line.law.name();
        let works = WORKS.map(|share| share * self.cores);
        let margin = utilisation.get() / low.get();
        let now = low.get() * self.cores;
        let headrooms = works.map(|work| {
            let headroom = margin * least_cores(&latency, target, work) - work;
            // That an instance may shrink in proportion to its work is not believed of a law before it has been seen.
            if work < now && !latency.law.pools() { headroom.max(self.cores - now) } else { headroom }
        });
        Fitted { knee: KneeEvidence { utilisation, low, high, law, error: best.error, shown }, works, headrooms }
    }
}

/// A knee and the ends of its band.
fn ends([knee, low, high]: [f64; 3]) -> [Ratio; 3] {
    [knee, low.min(knee - BAND_MIN), high.max(knee + BAND_MIN)].map(|at| Ratio::new(at.clamp(0.01, UTILISATION_MAX)))
}

/// The least cores on which `work` cores of work keep the target.
fn least_cores(latency: &Latency, target: f64, work: f64) -> f64 {
    let keeps = |cores: f64| latency.at(cores, work / cores) <= target;
    let (mut low, mut high) = (work / UTILISATION_MAX, work / UTILISATION_MAX);
    for _ in 0..HALVINGS {
        if keeps(high) {
            break;
        }
        (low, high) = (high, 1.5 * high);
    }
    // Invariant: `high` keeps the target, or is so many times the work that its knee is too low for anyone to size by.
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2.0;
        (low, high) = if keeps(middle) { (low, middle) } else { (middle, high) };
    }
    high
}

/// Whether latency differs within a series: between series it may for other reasons.
fn rises(points: &[Point]) -> bool {
    let above = |one: &Point, other: &Point| one.series == other.series && one.latency >= RISE_MIN * other.latency;
    points.iter().any(|point| points.iter().any(|other| above(other, point)))
}

/// A family's fit, and how it fares at what it has not seen.
fn judge(family: &[Candidate], points: &[Point], aim: Aim) -> Option<Judged> {
    let block = |at: usize| at * BLOCKS / points.len();
    let line = best_fit(family, points, |_| true)?;
    let (mut squares, mut weight, mut without) = (0.0, 0.0, Vec::with_capacity(BLOCKS));
    for left_out in 0..BLOCKS {
        let fit = best_fit(family, points, |at| block(at) != left_out)?;
        let latencies = |point: &Point| Latency { law: fit.law, base: fit.bases[point.series], slopes: fit.slopes };
        for point in points.iter().enumerate().filter(|(at, _)| block(*at) == left_out).map(|(_, point)| point) {
            let miss = latencies(point).at(point.cores, point.utilisation) / point.latency - 1.0;
            // A law without a steady state where there was one is as wrong as can be: it missed by the whole.
            squares += point.weight * if miss.is_finite() { miss * miss } else { 1.0 };
            weight += point.weight;
        }
        without.push(aim.knee(&fit));
    }
    Some(Judged { knee: aim.knee(&line), line, error: (squares / weight).sqrt(), without })
}

/// Half the width of the band about the best law's knee.
fn half_band(best: &Judged, judged: &[Judged]) -> f64 {
    let plausible = judged.iter().filter(|other| other.error <= PLAUSIBLE * best.error + READING_ERROR);
    let distances = plausible.map(|other| (other.knee - best.knee) * (other.knee - best.knee));
    let (sum, count) = distances.fold((0.0, 0.0), |(sum, count), square| (sum + square, count + 1.0));
    let mean = best.without.iter().sum::<f64>() / BLOCKS as f64;
    let spread: f64 = best.without.iter().map(|knee| (knee - mean) * (knee - mean)).sum();
    let jackknife = spread * (BLOCKS - 1) as f64 / BLOCKS as f64;
    BAND * (jackknife + sum / count).sqrt()
}

#[cfg(test)]
mod tests;
