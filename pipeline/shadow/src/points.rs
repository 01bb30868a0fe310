//! What latency was at which utilisation and size: the points that laws are fitted to.
//!
//! Each role has up to [`SIZES_MAX`] sizes (the least lately seen one makes room), each size [`BINS`] bins of
//! utilisation, narrower where latency bends. A bin holds running means, each tick weighing at least
//! 1/[`MEMORY`], so that drift shows. What a bin has not seen for [`STALE_MS`] no longer counts.
//!
//! State: at most 2 × 3 × 41 bins of 48 bytes, 12 kB; a workload and a shadow that stay within ten points of utilisation
//! take less than 1 kB. Cost: a search among 6 sizes and 41 bins a tick and role.

use schemas::Role;
use serde::{Deserialize, Serialize};

/// Sizes that are kept of a role: the one in force, the one before, and another that a probe tries.
const SIZES_MAX: usize = 3;

/// Sizes that differ by less are one; each bin keeps its own mean size.
const SAME_SIZE: f64 = 0.12;

/// Bins of a size: two and a half points of utilisation wide up to 0.8, two from there to 0.98.
const BINS: usize = 41;

/// Ticks that a bin remembers: five minutes of seconds.
const MEMORY: f64 = 300.0;

/// Ticks from which a bin is a point.
const TICKS_MIN: f64 = 10.0;

/// Ticks of a bin beyond which it weighs no more: neighbouring ticks say nearly the same.
const WEIGHT_MAX: f64 = 60.0;

/// A day: the code, the requests and the host of yesterday are others.
const STALE_MS: u64 = 86_400_000;

/// Binned latencies of both roles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Points {
    sizes: Vec<Size>,
}

/// A bin as a fit sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// Which size of which role it is of: an index below [`Points::SERIES_MAX`].
    pub(crate) series: usize,
    pub(crate) role: Role,
    pub(crate) cores: f64,
    pub(crate) utilisation: f64,
    /// Seconds.
    pub(crate) latency: f64,
    pub(crate) weight: f64,
}

/// One role at one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Size {
    role: Role,
    cores: f64,
    seen_ms: u64,
    bins: Vec<Bin>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bin {
    place: u8,
    seen_ms: u64,
    ticks: f64,
    cores: f64,
    /// Mean of 1 / (1-ρ), which latency follows more nearly than ρ.
    scarcity: f64,
    latency: f64,
}

impl Points {
    /// Series of points at most: sizes of both roles.
    pub(crate) const SERIES_MAX: usize = 2 * SIZES_MAX;

    /// Takes in a tick of a role whose queue is in balance: its limit in cores, its utilisation below 1, its latency in
    /// seconds.
    pub(crate) fn observe(&mut self, now_ms: u64, role: Role, cores: f64, utilisation: f64, latency: f64) {
        // A latency of zero was not measured, and relative errors would be divided by it.
        let Some(place) = place(utilisation).filter(|_| latency > 0.0) else { return };
        let size = self.size(now_ms, role, cores);
        let at = size.bins.partition_point(|bin| bin.place < place);
        if size.bins.get(at).is_none_or(|bin| bin.place != place) {
            size.bins.insert(at, Bin { place, seen_ms: now_ms, ticks: 0.0, cores, scarcity: 0.0, latency: 0.0 });
        }
        size.bins[at].observe(now_ms, cores, 1.0 / (1.0 - utilisation), latency);
    }

    /// The points of now, size by size, by utilisation.
    pub(crate) fn of(&self, now_ms: u64, wanted: impl Fn(Role) -> bool) -> Vec<Point> {
        let sizes = self.sizes.iter().enumerate().filter(|(_, size)| wanted(size.role));
        let counts = move |bin: &&Bin| bin.ticks >= TICKS_MIN && now_ms.saturating_sub(bin.seen_ms) < STALE_MS;
        let points = sizes.flat_map(|(series, size)| {
            size.bins.iter().filter(counts).map(move |bin| Point {
                series,
                role: size.role,
                cores: bin.cores,
                utilisation: 1.0 - 1.0 / bin.scarcity,
                latency: bin.latency,
                weight: bin.ticks.min(WEIGHT_MAX),
            })
        });
        points.collect()
    }

    /// Latency at rest of a role at the size that it had last: that of the lowest utilisation seen.
    pub(crate) fn rest(&self, role: Role) -> Option<f64> {
        let sizes = self.sizes.iter().filter(|size| size.role == role);
        let newest = sizes.max_by_key(|size| size.seen_ms)?;
        let fresh = |bin: &&Bin| newest.seen_ms.saturating_sub(bin.seen_ms) < STALE_MS;
        newest.bins.iter().filter(fresh).find(|bin| bin.ticks >= TICKS_MIN).map(|bin| bin.latency)
    }

    fn size(&mut self, now_ms: u64, role: Role, cores: f64) -> &mut Size {
        let same = |size: &Size| size.role == role && (cores / size.cores - 1.0).abs() < SAME_SIZE;
        let at = self.sizes.iter().position(same).unwrap_or_else(|| {
            self.make_room(role);
            self.sizes.push(Size { role, cores, seen_ms: now_ms, bins: Vec::new() });
            self.sizes.len() - 1
        });
        let size = &mut self.sizes[at];
        size.seen_ms = now_ms;
        size
    }

    /// The least lately seen size of a role goes where there are as many as may be.
    fn make_room(&mut self, role: Role) {
        let of_role = || self.sizes.iter().enumerate().filter(|(_, size)| size.role == role);
        if of_role().count() < SIZES_MAX {
            return;
        }
        let oldest = of_role().min_by_key(|(_, size)| size.seen_ms).map(|(at, _)| at);
        oldest.map(|at| self.sizes.remove(at));
    }
}

impl Bin {
    fn observe(&mut self, now_ms: u64, cores: f64, scarcity: f64, latency: f64) {
        // After a day's absence it begins anew.
        let stale = now_ms.saturating_sub(self.seen_ms) >= STALE_MS;
        self.ticks = if stale { 1.0 } else { (self.ticks + 1.0).min(MEMORY) };
        self.seen_ms = now_ms;
        let share = 1.0 / self.ticks;
        self.cores += share * (cores - self.cores);
        self.scarcity += share * (scarcity - self.scarcity);
        self.latency += share * (latency - self.latency);
    }
}

/// The bin of a utilisation; none above 0.98, where no queue settles within a bin's memory.
fn place(utilisation: f64) -> Option<u8> {
    let place = if utilisation < 0.8 { 40.0 * utilisation } else { 32.0 + 50.0 * (utilisation - 0.8) };
    (0.0..BINS as f64).contains(&place).then_some(place as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_is_a_point_once_enough_ticks_stand_behind_it() {
        let mut points = Points::default();
        for tick in 0..10 {
            points.observe(tick, Role::Primary, 4.0, 0.5 + 0.001 * tick as f64, 0.1);
            points.observe(tick, Role::Shadow, 1.0, 0.9, 0.3);
        }
        points.observe(10, Role::Primary, 4.0, 0.2, 0.1);
        (0..20).for_each(|tick| points.observe(tick, Role::Primary, 4.0, 0.1, 0.0));
        let seen = points.of(10, |_| true);
        // The bin at 0.2 has one tick, that at 0.1 no latency; that at 0.5 the mean of its ten ticks, 0.5045 but for the curve.
        assert_eq!(seen.len(), 2);
        assert!((seen[0].utilisation - 0.5045).abs() < 1e-3, "{}", seen[0].utilisation);
        assert_eq!((seen[1].role, seen[1].cores, seen[1].latency), (Role::Shadow, 1.0, 0.3));
        assert_eq!(points.of(10, |role| role == Role::Primary).len(), 1);
    }

    #[test]
    fn a_day_later_nothing_counts_and_a_fourth_size_displaces_the_oldest() {
        let mut points = Points::default();
        for (hour, cores) in [(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0)] {
            (0..10).for_each(|_| points.observe(hour * 3_600_000, Role::Primary, cores, 0.5, 0.1));
        }
        let sizes = |now_ms: u64| points.of(now_ms, |_| true).iter().map(|point| point.cores).collect::<Vec<_>>();
        assert_eq!(sizes(3 * 3_600_000), [2.0, 4.0, 8.0]);
        assert_eq!(sizes(26 * 3_600_000), [8.0]);
        assert!(points.sizes.len() <= Points::SERIES_MAX);
    }

    #[test]
    fn bins_cover_what_settles_and_nothing_else() {
        assert_eq!([place(0.0), place(0.799), place(0.8), place(0.979)], [Some(0), Some(31), Some(32), Some(40)]);
        assert_eq!([place(0.985), place(1.2), place(-0.1), place(f64::NAN)], [None; 4]);
    }
}
