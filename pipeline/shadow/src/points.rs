//! What latency was at which utilisation and size: the points that laws are fitted to.
//!
//! **A tick's percentile is not that of all.** Of ten requests the 99th percentile is the slowest, on the average two thirds of the
//! way. The k-th slowest of n requests of which the share C has to wait (Erlang's), with waits that fall off exponentially, lies on
//! the average ln(n C) - ψ(k) mean waits above the latency at rest, and the 99th percentile of all ln(100 C).
//!
//! Each role has up to [`SIZES_MAX`] sizes (the least lately seen one makes room), each size [`BINS`] bins of
//! utilisation, narrower where latency bends. A bin holds running means, each tick weighing at least
//! 1/[`MEMORY`], so that drift shows. What a bin has not seen for [`STALE_MS`] no longer counts.
//!
//! State: at most 2 × 3 × 41 bins of 56 bytes, 14 kB; a workload and a shadow that stay within ten points of utilisation
//! take less than 1 kB. Cost: a search among 6 sizes and 41 bins a tick and role.

use elementary::ln;
use schemas::Role;
use serde::{Deserialize, Serialize};

use crate::lateness;
use crate::law::waiting_chance;

/// Sizes that are kept of a role: the one in force, the one before, and another that a probe tries.
const SIZES_MAX: usize = 3;

/// Sizes that differ by less are one; each bin keeps its own mean size.
pub(crate) const SAME_SIZE: f64 = 0.12;

/// Bins of a size: two and a half points of utilisation wide up to 0.8, two from there to 0.98.
const BINS: usize = 41;

/// Ticks that a bin remembers: five minutes of seconds.
const MEMORY: f64 = 300.0;

/// Ticks from which a bin is a point.
const TICKS_MIN: f64 = 10.0;

/// Requests of a bin from which more is made of them than the mean of its ticks.
const REQUESTS_MIN: f64 = 100.0;

/// Ticks of a bin beyond which it weighs no more: neighbouring ticks say nearly the same.
const WEIGHT_MAX: f64 = 60.0;

/// A day: the code, the requests and the host of yesterday are others.
pub(crate) const STALE_MS: u64 = 86_400_000;

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

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bin {
    place: u8,
    seen_ms: u64,
    ticks: f64,
    cores: f64,
    /// Mean of 1 / (1-ρ), which latency follows more nearly than ρ.
    scarcity: f64,
    /// Mean of the ticks' 99th percentiles, seconds.
    latency: f64,
    /// Mean of the requests per second.
    requests: f64,
}

/// What a role has shown in a tick in which its queue was in balance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shown {
    /// CPU limit, cores.
    pub(crate) limit: f64,
    /// CPU used, cores; less than the limit.
    pub(crate) cores: f64,
    /// The 99th percentile, seconds.
    pub(crate) latency: f64,
    /// Requests per second; zero where they are not counted.
    pub(crate) requests: f64,
}

impl Points {
    /// Series of points at most: sizes of both roles.
    pub(crate) const SERIES_MAX: usize = 2 * SIZES_MAX;

    /// Takes in what a role has shown in a tick.
    pub(crate) fn observe(&mut self, now_ms: u64, role: Role, shown: &Shown) {
        let utilisation = shown.cores / shown.limit;
        // A latency of zero was not measured, and relative errors would be divided by it.
        let Some(place) = place(utilisation).filter(|_| shown.latency > 0.0) else { return };
        let size = self.size(now_ms, role, shown.limit);
        let at = size.bins.partition_point(|bin| bin.place < place);
        if size.bins.get(at).is_none_or(|bin| bin.place != place) {
            size.bins.insert(at, Bin { place, seen_ms: now_ms, ..Bin::default() });
        }
        size.bins[at].observe(now_ms, shown);
    }

    /// Forgets what a role has shown.
    pub(crate) fn forget(&mut self, role: Role) {
        self.sizes.retain(|size| size.role != role);
    }

    /// The points of now of these roles, size by size, by utilisation.
    pub(crate) fn of(&self, now_ms: u64, roles: &[Role]) -> Vec<Point> {
        let rest = self.least();
        let sizes = self.sizes.iter().enumerate().filter(|(_, size)| roles.contains(&size.role));
        let counts = move |bin: &&Bin| bin.ticks >= TICKS_MIN && now_ms.saturating_sub(bin.seen_ms) < STALE_MS;
        let points = sizes.flat_map(|(series, size)| {
            size.bins.iter().filter(counts).map(move |bin| Point {
                series,
                role: size.role,
                cores: bin.cores,
                utilisation: 1.0 - 1.0 / bin.scarcity,
                latency: bin.percentile(rest),
                weight: bin.ticks.min(WEIGHT_MAX),
            })
        });
        points.collect()
    }

    /// The 99th percentile of all requests under the load of a tick, as far as that tick tells.
    pub(crate) fn of_all(&self, shown: &Shown) -> f64 {
        let waits = waiting_chance(shown.limit, shown.cores / shown.limit);
        of_all(shown.latency, self.least(), shown.requests, waits)
    }

    /// Latency at rest of a role at the size that it had last: that of the lowest utilisations seen, in as many ticks as make a point.
    pub(crate) fn rest(&self, role: Role) -> Option<f64> {
        let sizes = self.sizes.iter().filter(|size| size.role == role);
        let newest = sizes.max_by_key(|size| size.seen_ms)?;
        let (mut ticks, mut latency) = (0.0, 0.0);
        for bin in newest.bins.iter().filter(|bin| newest.seen_ms.saturating_sub(bin.seen_ms) < STALE_MS) {
            let more = bin.ticks.min(TICKS_MIN - ticks);
            ticks += more;
            latency += (bin.latency - latency) * more / ticks;
            if ticks >= TICKS_MIN {
                return Some(latency);
            }
        }
        None
    }

    /// The least latency that any size of the primary has shown: above what an idle one takes, but nothing tells by how much.
    fn least(&self) -> f64 {
        let primary = self.sizes.iter().filter(|size| size.role == Role::Primary);
        let bins = primary.flat_map(|size| &size.bins).filter(|bin| bin.ticks >= TICKS_MIN);
        bins.map(|bin| bin.latency).fold(f64::INFINITY, f64::min)
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
    fn observe(&mut self, now_ms: u64, shown: &Shown) {
        // After a day's absence it begins anew.
        let stale = now_ms.saturating_sub(self.seen_ms) >= STALE_MS;
        self.ticks = if stale { 1.0 } else { (self.ticks + 1.0).min(MEMORY) };
        self.seen_ms = now_ms;
        let share = 1.0 / self.ticks;
        self.cores += share * (shown.limit - self.cores);
        self.scarcity += share * (shown.limit / (shown.limit - shown.cores) - self.scarcity);
        self.latency += share * (shown.latency - self.latency);
        self.requests += share * (shown.requests - self.requests);
    }

    /// The 99th percentile of all its requests, where an idle instance takes `rest`.
    fn percentile(&self, rest: f64) -> f64 {
        let waits = waiting_chance(self.cores, 1.0 - 1.0 / self.scarcity);
        if self.requests * self.ticks < REQUESTS_MIN || waits <= lateness::SHARE {
            return self.latency;
        }
        of_all(self.latency, rest, self.requests, waits)
    }
}

/// The 99th percentile of all requests, from the mean of that of ticks of so many, of which the share `waits` has to wait.
fn of_all(latency: f64, rest: f64, requests: f64, waits: f64) -> f64 {
    let whole = ln((waits / lateness::SHARE).max(1.0));
    let of_tick = ln((requests * waits).max(1.0)) - digamma((lateness::SHARE * requests + 0.5).max(1.0));
    latency + (latency - rest).max(0.0) * (whole / of_tick - 1.0).max(0.0)
}

/// The logarithmic derivative of the gamma function from one on, to a hundredth.
fn digamma(x: f64) -> f64 {
    ln(x) - 0.5 / x - 1.0 / (12.0 * x * x)
}

/// The bin of a utilisation; none above 0.98, where no queue settles within a bin's memory.
fn place(utilisation: f64) -> Option<u8> {
    let place = if utilisation < 0.8 { 40.0 * utilisation } else { 32.0 + 50.0 * (utilisation - 0.8) };
    (0.0..BINS as f64).contains(&place).then_some(place as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(limit: f64, utilisation: f64, latency: f64) -> Shown {
        Shown { limit, cores: utilisation * limit, latency, requests: 0.0 }
    }

    #[test]
    fn a_bin_is_a_point_once_enough_ticks_stand_behind_it() {
        let mut points = Points::default();
        for tick in 0..10 {
            points.observe(tick, Role::Primary, &shown(4.0, 0.5 + 0.001 * tick as f64, 0.1));
            points.observe(tick, Role::Shadow, &shown(1.0, 0.9, 0.3));
        }
        points.observe(10, Role::Primary, &shown(4.0, 0.2, 0.1));
        (0..20).for_each(|tick| points.observe(tick, Role::Primary, &shown(4.0, 0.1, 0.0)));
        let seen = points.of(10, &[Role::Primary, Role::Shadow]);
        // The bin at 0.2 has one tick, that at 0.1 no latency; that at 0.5 the mean of its ten ticks, 0.5045 but for the curve.
        assert_eq!(seen.len(), 2);
        assert!((seen[0].utilisation - 0.5045).abs() < 1e-3, "{}", seen[0].utilisation);
        assert_eq!((seen[1].role, seen[1].cores, seen[1].latency), (Role::Shadow, 1.0, 0.3));
        assert_eq!(points.of(10, &[Role::Primary]).len(), 1);
    }

    #[test]
    fn of_few_requests_the_slowest_is_not_the_percentile_of_all() {
        let mut points = Points::default();
        for _ in 0..100 {
            points.observe(0, Role::Primary, &shown(4.0, 0.1, 0.02));
            points.observe(0, Role::Primary, &Shown { requests: 20.0, ..shown(4.0, 0.5, 0.033) });
        }
        // C = 0.1739: of all it is 20 ms + 13 ms × ln 17.39 / (ln 3.48 + γ) = 40.3 ms.
        assert!((points.of(0, &[Role::Primary])[1].latency - 0.0403).abs() < 1e-4);
    }

    #[test]
    fn a_day_later_nothing_counts_and_a_fourth_size_displaces_the_oldest() {
        let mut points = Points::default();
        for (hour, cores) in [(0, 1.0), (1, 2.0), (2, 4.0), (3, 8.0)] {
            (0..10).for_each(|_| points.observe(hour * 3_600_000, Role::Primary, &shown(cores, 0.5, 0.1)));
        }
        let sizes =
            |now_ms: u64| points.of(now_ms, &[Role::Primary]).iter().map(|point| point.cores).collect::<Vec<_>>();
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
