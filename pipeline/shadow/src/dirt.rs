//! Dirty ticks: those in which something else than the load set what the pair showed.
//!
//! They teach nothing and are counted by reason. A shadow runs at the lowest priority, so a busy host slows it before
//! anybody else; what it shows then is the host's knee.
//!
//! **Unequal mix.** A shadow's requests are a sample of the primary's. While their cost, as read against the demand
//! curve, is off its usual by more than [`MIX_TOLERANCE`], the sample is of other requests, or something else runs there.
//! A usual cost that differs is fine (a small quota switches more); it is [`Mix::usual`].
//!
//! State: four counts and five numbers.

use serde::{Deserialize, Serialize};

/// Share of the host's CPU time in use from which the host, and not the load, is what is seen: where adapters end shadows.
/// The kernel's pressure would not do, since a saturated shadow under its quota waits nearly always.
const HOST_USED_MAX: f64 = 0.9;

/// Share of time that the hypervisor may take: two ticks of a hundred are its own bookkeeping.
const STEAL_MAX: f64 = 0.02;

/// How far the cost of the shadow's requests may be off its usual.
const MIX_TOLERANCE: f64 = 0.25;

/// Ticks that the present cost remembers, and the usual one; more, where they hold fewer than [`MIX_REQUESTS`].
const MIX_MEMORY: [f64; 2] = [10.0, 1_800.0];

/// Ticks after which the usual cost is known.
const MIX_TICKS_MIN: f64 = 60.0;

/// Requests behind a cost. One that is counted in this tick may have taken CPU in the one before: of thirty, that is little.
const MIX_REQUESTS: f64 = 30.0;

/// Why a tick is not learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Dirt {
    /// The host had hardly any CPU left.
    BusyHost,
    /// The hypervisor gave the host's CPU to others.
    Steal,
    /// The shadow's requests are not a fair sample of the primary's.
    UnequalMix,
    /// A reading that the pair is compared by is missing.
    MissingReading,
}

/// What the machine says of itself; none where it was not read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Host {
    /// Share of its CPU time that is used, 0..1.
    pub used: Option<f64>,
    /// Share of its CPU time that the hypervisor took, 0..1.
    pub stolen: Option<f64>,
}

/// Ticks that were discarded, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discarded {
    /// For [`Dirt::BusyHost`].
    pub busy_host: u64,
    /// For [`Dirt::Steal`].
    pub steal: u64,
    /// For [`Dirt::UnequalMix`].
    pub unequal_mix: u64,
    /// For [`Dirt::MissingReading`].
    pub missing_reading: u64,
}

/// What the shadow's requests cost, over what the demand curve says they should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mix {
    ticks: f64,
    requests: f64,
    now: Cost,
    usual: Cost,
}

/// Decayed sums of CPU, cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cost {
    taken: f64,
    expected: f64,
}

impl Host {
    /// What of the host disturbs both roles.
    pub(crate) fn dirt(&self) -> Option<Dirt> {
        let above = |reading: Option<f64>, most: f64| reading.is_some_and(|reading| reading > most);
        let busy = above(self.used, HOST_USED_MAX).then_some(Dirt::BusyHost);
        busy.or_else(|| above(self.stolen, STEAL_MAX).then_some(Dirt::Steal))
    }
}

impl Discarded {
    pub(crate) const fn count(&mut self, dirt: Dirt) {
        *match dirt {
            Dirt::BusyHost => &mut self.busy_host,
            Dirt::Steal => &mut self.steal,
            Dirt::UnequalMix => &mut self.unequal_mix,
            Dirt::MissingReading => &mut self.missing_reading,
        } += 1;
    }

    /// Ticks discarded for any reason.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.busy_host + self.steal + self.unequal_mix + self.missing_reading
    }
}

impl Mix {
    /// Takes in what a tick's requests cost and should.
    pub(crate) fn observe(&mut self, requests: f64, cores: f64, expected_cores: f64) {
        self.ticks += 1.0;
        self.requests += requests;
        for (cost, memory) in [&mut self.now, &mut self.usual].into_iter().zip(MIX_MEMORY) {
            let keep = 1.0 - (requests / MIX_REQUESTS).min(1.0 / memory);
            cost.taken = cost.taken * keep + cores;
            cost.expected = cost.expected * keep + expected_cores;
        }
    }

    /// The usual ratio, once it is known.
    pub(crate) fn usual(&self) -> Option<f64> {
        let is_known = self.ticks >= MIX_TICKS_MIN && self.requests >= MIX_REQUESTS && self.usual.expected > 0.0;
        is_known.then(|| self.usual.taken / self.usual.expected)
    }

    /// Whether the cost of now is off the usual one.
    pub(crate) fn is_unequal(&self) -> bool {
        let off = |usual: f64| (self.now.taken / self.now.expected / usual - 1.0).abs() > MIX_TOLERANCE;
        self.usual().is_some_and(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_does_not_disturb() {
        assert_eq!(Host::default().dirt(), None);
        let busy = Host { used: Some(0.95), stolen: Some(0.5) };
        assert_eq!(busy.dirt(), Some(Dirt::BusyHost));
        assert_eq!(Host { used: Some(0.1), ..busy }.dirt(), Some(Dirt::Steal));
        assert_eq!(Host { used: None, stolen: Some(0.01) }.dirt(), None);
    }

    #[test]
    fn a_mix_is_unequal_when_it_leaves_its_usual_cost_and_not_by_being_dearer() {
        let mut mix = Mix::default();
        (0..300).for_each(|_| mix.observe(100.0, 1.3, 1.0));
        assert!(!mix.is_unequal());
        assert!((mix.usual().expect("300 ticks are enough") - 1.3).abs() < 1e-9);
        // Twice the cost: after five ticks the present mean has gone 1 - 0.9^5 = 41 % of the way.
        (0..5).for_each(|_| mix.observe(100.0, 2.6, 1.0));
        assert!(mix.is_unequal());
    }

    #[test]
    fn a_request_may_take_its_cpu_in_another_tick_than_that_of_its_count() {
        let mut mix = Mix::default();
        // One each second tick, of 30 ms, half of which fell into the tick before it; and 1 ms of the program's own.
        let tick = |mix: &mut Mix, second: u32| {
            let requests = f64::from(second % 2);
            mix.observe(requests, 0.016, 0.001 + 0.03 * requests);
        };
        (0..59).for_each(|second| tick(&mut mix, second));
        assert_eq!(mix.usual(), None, "29 requests");
        for second in 59..600 {
            tick(&mut mix, second);
            assert!(!mix.is_unequal() && mix.usual().is_none_or(|usual| (usual - 1.0).abs() < 0.03));
        }
    }

    #[test]
    fn reasons_are_counted_apart() {
        let mut discarded = Discarded::default();
        [Dirt::Steal, Dirt::Steal, Dirt::UnequalMix].into_iter().for_each(|dirt| discarded.count(dirt));
        assert_eq!((discarded.steal, discarded.unequal_mix, discarded.total()), (2, 1, 3));
    }
}
