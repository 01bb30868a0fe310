//! The candidates, and least squares of one of them.
//!
//! `latency = base of the series + slopes × terms`, where both sides are divided by the latency seen, so that it is the
//! relative error that is least. Bases fall out by taking each series about its own means; what is left are one or two
//! slopes, none of which may lower latency.

use crate::law::{Law, Pooling};
use crate::points::{Point, Points};

/// Bends of a hockey stick that are tried, evenly over what was seen.
const BENDS: usize = 8;

/// One law with its terms at every point.
pub(super) struct Candidate {
    law: Law,
    terms: Vec<[f64; 2]>,
}

/// A candidate's figures after a fit.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) slopes: [f64; 2],
    /// Seconds, by series; the mean of those that were seen stands for one that was not.
    pub(super) bases: [f64; Points::SERIES_MAX],
    squares: f64,
    pub(super) law: Law,
}

/// The candidates, those that differ by their bend alone together.
pub(super) fn families(points: &[Point]) -> Vec<Vec<Candidate>> {
    let candidate = |law: Law| {
        let terms = |point: &Point| law.terms(point.cores, point.utilisation, point.latency);
        Candidate { law, terms: points.iter().map(terms).collect() }
    };
    let alone = [Law::Erlang, Law::Scalability].into_iter().chain(Pooling::ALL.map(Law::Queue));
    let sticks = Pooling::ALL.map(|pooling| bends(points, pooling).map(|bend| Law::HockeyStick(pooling, bend)));
    let bent = sticks.into_iter().map(|laws| laws.into_iter().map(candidate).collect());
    alone.map(|law| vec![candidate(law)]).chain(bent).collect()
}

fn bends(points: &[Point], pooling: Pooling) -> [f64; BENDS] {
    let scarcities = || points.iter().map(|point| pooling.scarcity(point.cores, point.utilisation));
    let (least, most) = (scarcities().fold(f64::INFINITY, f64::min), scarcities().fold(0.0, f64::max));
    // Evenly over the reciprocal, as the idle share is what is spread evenly.
    let (from, to) = (1.0 / least, 1.0 / most);
    std::array::from_fn(|n| 1.0 / (from + (to - from) * (n as f64 + 0.5) / BENDS as f64))
}

/// The fit of a family to the points that are kept: its bend that misses them least; none where they do not rise.
pub(super) fn best_fit(family: &[Candidate], points: &[Point], keep: impl Fn(usize) -> bool) -> Option<Line> {
    let lines = family.iter().filter_map(|candidate| candidate.fit(points, &keep));
    lines.min_by(|a, b| a.squares.total_cmp(&b.squares))
}

impl Candidate {
    /// The fit to the points that are kept; none where they do not rise.
    fn fit(&self, points: &[Point], keep: &impl Fn(usize) -> bool) -> Option<Line> {
        let kept = || points.iter().zip(&self.terms).enumerate().filter(|(at, _)| keep(*at)).map(|(_, pair)| pair);
        let weight = |point: &Point| point.weight / (point.latency * point.latency);
        // By series: weight, and weighted sums of latency and terms.
        let mut sums = [[0.0; 4]; Points::SERIES_MAX];
        for (point, terms) in kept() {
            let adds = [1.0, point.latency, terms[0], terms[1]];
            sums[point.series].iter_mut().zip(adds).for_each(|(sum, add)| *sum += weight(point) * add);
        }
        let means = sums.map(|[weight, sums @ ..]| sums.map(|sum| if weight > 0.0 { sum / weight } else { 0.0 }));
        let (mut squares, mut products) = ([0.0; 3], [0.0; 2]);
        for (point, terms) in kept() {
            let [latency, one, two] = means[point.series];
            let (dy, dx, dz) = (point.latency - latency, terms[0] - one, terms[1] - two);
            let adds = [dx * dx, dx * dz, dz * dz];
            squares.iter_mut().zip(adds).for_each(|(sum, add)| *sum += weight(point) * add);
            products.iter_mut().zip([dx * dy, dz * dy]).for_each(|(sum, add)| *sum += weight(point) * add);
        }
        let slopes = slopes(squares, products)?;
        let seen: Vec<bool> = sums.iter().map(|sums| sums[0] > 0.0).collect();
        let base = |series: usize| means[series][0] - slopes[0] * means[series][1] - slopes[1] * means[series][2];
        let known = || (0..Points::SERIES_MAX).filter(|&series| seen[series]);
        let mean = known().map(|series| sums[series][0] * base(series)).sum::<f64>()
            / known().map(|series| sums[series][0]).sum::<f64>();
        let bases = std::array::from_fn(|series| if seen[series] { base(series) } else { mean });
        let missed = kept().map(|(point, terms)| {
            let miss = point.latency - bases[point.series] - slopes[0] * terms[0] - slopes[1] * terms[1];
            weight(point) * miss * miss
        });
        (mean > 0.0).then(|| Line { slopes, bases, squares: missed.sum(), law: self.law })
    }
}

/// Least squares in one or two terms, neither of which may lower latency; none where none raises it.
fn slopes([xx, xz, zz]: [f64; 3], [xy, zy]: [f64; 2]) -> Option<[f64; 2]> {
    let determinant = xx * zz - xz * xz;
    // Below a billionth of what it could be the two terms are one.
    if determinant > 1e-9 * xx * zz {
        let both = [(xy * zz - zy * xz) / determinant, (zy * xx - xy * xz) / determinant];
        if both.iter().all(|slope| *slope >= 0.0) {
            return Some(both);
        }
    }
    let gain = |square: f64, product: f64| if square > 0.0 { product.max(0.0) * product / square } else { 0.0 };
    let (first, second) = (gain(xx, xy), gain(zz, zy));
    (first.max(second) > 0.0).then(|| if first >= second { [xy / xx, 0.0] } else { [0.0, zy / zz] })
}
