//! Whether the shadow is what it should be: a smaller copy under a share of the same requests.
//!
//! | it is | when | after |
//! |---|---|---|
//! | silent | it gives no reading while the primary does | [`SILENT_TICKS`] |
//! | frozen | what it uses repeats to the bit while the primary's readings change | [`FROZEN_TICKS`] |
//! | under another load | its requests are not the mirrored share, by a factor of [`LOAD_FACTOR`], or 2 too few while it has CPU left | [`LOAD_TICKS`] |
//! | of another cost | a request costs it [`COST_FACTOR`] times as much as the primary, or as little | the mix is known |
//! | failing | [`FAILING`] more of its requests fail than of the primary's, while it has CPU left | [`REQUESTS_MIN`] requests |
//!
//! Anything of these is believed at once; belief takes [`PROVEN_TICKS`] clean ticks in a row. A distrusted shadow
//! teaches nothing, and what it has taught no longer lowers anything (see [`Sizing`](crate::Sizing)). Under more load than is
//! mirrored, or of another cost, it was another workload all along, and what it has taught is forgotten.
//!
//! State: some twenty numbers.

use schemas::ShadowTrust;
use serde::{Deserialize, Serialize};

use crate::RoleTick;

/// Half a minute of seconds: longer than any agent's interval.
const SILENT_TICKS: u32 = 30;

/// A reading of CPU has more than 20 random bits: twice the same is rare, ten times is a lie.
const FROZEN_TICKS: u32 = 10;

/// Clean ticks after which a shadow is believed: a minute of seconds.
const PROVEN_TICKS: u32 = 60;

/// Ticks before the load is judged.
const LOAD_TICKS: f64 = 30.0;

/// Ticks of another share that are not counted: an adapter takes some seconds to set it, and the mirror to follow.
const SETTLE_TICKS: u32 = 10;

/// Ticks that sums of requests remember, or as many as hold half as many requests again as are needed.
const LOAD_MEMORY: f64 = 60.0;

/// Share of its requests that fails beyond the primary's share of failures: what it teaches then is what failing costs.
const FAILING: f64 = 0.1;

/// Requests that must have been expected before load or failures are judged: chance then moves them by 10 %.
const REQUESTS_MIN: f64 = 100.0;

/// How many times the mirrored share is too much.
const LOAD_FACTOR: f64 = 1.5;

/// What share of the mirrored requests is too little for a shadow that has CPU left: a mirror may drop some.
const LOAD_LEAST: f64 = 0.5;

/// How many times the primary's cost of a request is another program's.
const COST_FACTOR: f64 = 3.0;

/// Requests per second that a shadow should get from which standing still is no rest.
const BUSY: f64 = 1.0;

/// What the shadow's readings are worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trust {
    state: ShadowTrust,
    silent_ticks: u32,
    frozen_ticks: u32,
    clean_ticks: u32,
    /// The last readings of primary and shadow.
    last: [RoleTick; 2],
    share: Option<f64>,
    settling_ticks: u32,
    load: Load,
    /// Of primary and shadow.
    failures: [Failures; 2],
}

/// Decayed sums of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Load {
    ticks: f64,
    got: f64,
    expected: f64,
}

/// Decayed sums of requests and of those that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Failures {
    asked: f64,
    failed: f64,
}

impl Trust {
    /// Takes in a tick; `share` is the mirrored share and `cost` what a request costs over what it should, where known.
    pub(crate) fn observe(
        &mut self,
        primary: &RoleTick,
        shadow: Option<&RoleTick>,
        share: Option<f64>,
        cost: Option<f64>,
    ) -> ShadowTrust {
        if !primary.is_read() {
            return self.state;
        }
        self.follow_share(share);
        match shadow.filter(|shadow| shadow.is_alive()) {
            None => self.silent_ticks = self.silent_ticks.saturating_add(1),
            Some(shadow) => self.hear(primary, shadow),
        }
        let saturated = shadow.is_some_and(RoleTick::saturated);
        self.state = match self.fault(saturated, cost) {
            Some(fault) => {
                self.clean_ticks = 0;
                fault
            }
            None if self.clean_ticks >= PROVEN_TICKS => ShadowTrust::Trusted,
            None => ShadowTrust::Unproven,
        };
        self.state
    }

    /// Its newest answer.
    pub(crate) const fn state(&self) -> ShadowTrust {
        self.state
    }

    /// Whether it was never a copy of this workload under its requests.
    pub(crate) fn is_another(&self) -> bool {
        match self.state {
            ShadowTrust::OtherCost => true,
            ShadowTrust::OtherLoad => self.load.is_too_much(),
            _ => false,
        }
    }

    /// What was expected is counted under the share of its tick, so that the sums hold under another one too.
    fn follow_share(&mut self, share: Option<f64>) {
        self.settling_ticks = if share == self.share { self.settling_ticks.saturating_sub(1) } else { SETTLE_TICKS };
        self.share = share;
    }

    fn hear(&mut self, primary: &RoleTick, shadow: &RoleTick) {
        self.silent_ticks = 0;
        self.clean_ticks = self.clean_ticks.saturating_add(1);
        let expected = primary.offered().zip(self.share).map(|(requests, share)| requests * share);
        let [of_primary, of_shadow] = self.last;
        if !stands_still(shadow, &of_shadow) {
            self.frozen_ticks = 0;
        } else if *primary != of_primary && expected.is_none_or(|requests| requests >= BUSY) {
            self.frozen_ticks = self.frozen_ticks.saturating_add(1);
        }
        self.last = [*primary, *shadow];
        // A saturated primary may count only what it completes: its share is no measure then.
        if let (Some(expected), Some(got), false, 0) =
            (expected, shadow.requests, primary.saturated(), self.settling_ticks)
        {
            self.load.observe(got, expected);
        }
        // One that cannot keep up fails for want of CPU, which is what it is there for.
        if !(shadow.saturated() || shadow.throttles()) {
            self.failures.iter_mut().zip([primary, shadow]).for_each(|(failures, role)| failures.observe(role));
        }
    }

    fn fault(&self, saturated: bool, cost: Option<f64>) -> Option<ShadowTrust> {
        let other_cost = cost.is_some_and(|cost| !(1.0 / COST_FACTOR..=COST_FACTOR).contains(&cost));
        let faults = [
            (self.silent_ticks >= SILENT_TICKS, ShadowTrust::Silent),
            (self.frozen_ticks >= FROZEN_TICKS, ShadowTrust::Frozen),
            (self.load.is_other(saturated), ShadowTrust::OtherLoad),
            (other_cost, ShadowTrust::OtherCost),
            (self.failures[1].exceed(&self.failures[0]), ShadowTrust::Failing),
        ];
        faults.into_iter().find(|(holds, _)| *holds).map(|(_, fault)| fault)
    }
}

/// Whether its readings repeat: what it uses, since its requests are counted by who sends them. At its limit that is the limit.
fn stands_still(shadow: &RoleTick, before: &RoleTick) -> bool {
    if shadow.cores.is_some() && !shadow.saturated() { shadow.cores == before.cores } else { shadow == before }
}

/// What is kept of a sum of requests in a tick of so many.
fn kept(requests: f64) -> f64 {
    1.0 - 1.0 / LOAD_MEMORY.max(1.5 * REQUESTS_MIN / requests.max(f64::MIN_POSITIVE))
}

impl Load {
    fn observe(&mut self, got: f64, expected: f64) {
        let keep = kept(expected);
        self.ticks += 1.0;
        self.got = self.got * keep + got;
        self.expected = self.expected * keep + expected;
    }

    /// A saturated shadow answers fewer than it was sent, which is no lie.
    fn is_other(&self, saturated: bool) -> bool {
        let judged = self.ticks >= LOAD_TICKS && self.expected >= REQUESTS_MIN;
        judged && (self.is_too_much() || (!saturated && self.got < LOAD_LEAST * self.expected))
    }

    fn is_too_much(&self) -> bool {
        self.got > LOAD_FACTOR * self.expected
    }
}

impl Failures {
    fn observe(&mut self, role: &RoleTick) {
        let Some((requests, errors)) = role.requests.zip(role.errors) else { return };
        let keep = kept(requests);
        self.asked = self.asked * keep + requests;
        self.failed = self.failed * keep + errors.min(requests);
    }

    /// Whether clearly more fail here than there; where nobody has counted there, none has failed.
    fn exceed(&self, other: &Self) -> bool {
        let usual = if other.asked > 0.0 { other.failed / other.asked } else { 0.0 };
        self.asked >= REQUESTS_MIN && self.failed / self.asked > usual + FAILING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A primary under 100 requests/s, and its shadow under a tenth of them; CPU varies from tick to tick.
    fn pair(tick: u32) -> (RoleTick, RoleTick) {
        let jitter = 1.0 + 0.001 * f64::from(tick % 7);
        let role = |cores: f64, limit: f64, requests: f64| RoleTick {
            cores: Some(cores * jitter),
            limit_cores: Some(limit),
            requests: Some(requests),
            ..RoleTick::default()
        };
        (role(1.0, 2.0, 100.0), role(0.1, 0.2, 10.0))
    }

    fn watched(trust: &mut Trust, ticks: u32, shadow: impl Fn(RoleTick) -> Option<RoleTick>) -> ShadowTrust {
        for tick in 0..ticks {
            let (primary, own) = pair(tick);
            trust.observe(&primary, shadow(own).as_ref(), Some(0.1), None);
        }
        trust.state()
    }

    #[test]
    fn a_shadow_is_believed_after_a_minute_and_distrusted_at_once() {
        let mut trust = Trust::default();
        assert_eq!(watched(&mut trust, 59, Some), ShadowTrust::Unproven);
        assert_eq!(watched(&mut trust, 1, Some), ShadowTrust::Trusted);
        assert_eq!(watched(&mut trust, 29, |_| None), ShadowTrust::Trusted);
        assert_eq!(watched(&mut trust, 1, |_| None), ShadowTrust::Silent);
        assert_eq!(watched(&mut trust, 59, Some), ShadowTrust::Unproven);
        assert_eq!(watched(&mut trust, 1, Some), ShadowTrust::Trusted);
    }

    #[test]
    fn a_frozen_shadow_is_found_within_ten_ticks_and_a_pair_that_rests_is_not_one() {
        let mut trust = Trust::default();
        watched(&mut trust, 100, Some);
        let frozen = pair(3).1;
        assert_eq!(watched(&mut trust, 12, |_| Some(frozen)), ShadowTrust::Frozen);
        // The mirror goes on counting what it sends.
        let mut heard_of = Trust::default();
        for tick in 0..100 {
            let (primary, own) = pair(tick);
            let own = RoleTick { cores: frozen.cores, requests: Some(10.0 + f64::from(tick % 3)), ..own };
            heard_of.observe(&primary, Some(&own), Some(0.1), None);
        }
        assert_eq!(heard_of.state(), ShadowTrust::Frozen);
        // Both stand still: then nobody can tell.
        let mut still = Trust::default();
        let (primary, shadow) = pair(0);
        for _ in 0..100 {
            still.observe(&primary, Some(&shadow), Some(0.1), None);
        }
        assert_eq!(still.state(), ShadowTrust::Trusted);
    }

    #[test]
    fn another_load_is_found_unless_the_shadow_cannot_keep_up() {
        let with = |requests: f64, cores: f64| {
            move |own: RoleTick| Some(RoleTick { requests: Some(requests), cores: own.cores.map(|_| cores), ..own })
        };
        let varied = |requests: f64| move |own: RoleTick| Some(RoleTick { requests: Some(requests), ..own });
        assert_eq!(watched(&mut Trust::default(), 60, varied(25.0)), ShadowTrust::OtherLoad);
        assert_eq!(watched(&mut Trust::default(), 60, varied(3.0)), ShadowTrust::OtherLoad);
        assert_eq!(watched(&mut Trust::default(), 60, varied(8.0)), ShadowTrust::Trusted);
        // 0.199 of 0.2 cores: saturated, so 3 of 10 requests/s is what it can; but it stands still, so let it jitter.
        let busy = |own: RoleTick| with(3.0, 0.199 + own.cores.expect("read") * 1e-3)(own);
        assert_eq!(watched(&mut Trust::default(), 60, busy), ShadowTrust::Trusted);
    }

    #[test]
    fn a_shadow_that_only_its_mirror_speaks_of_is_silent() {
        let mut trust = Trust::default();
        watched(&mut trust, 100, Some);
        let dead = |own: RoleTick| Some(RoleTick { cores: None, errors: own.requests, ..own });
        assert_eq!(watched(&mut trust, 30, dead), ShadowTrust::Silent);
    }

    #[test]
    fn a_shadow_that_fails_is_found_unless_the_primary_fails_as_well_or_it_cannot_keep_up() {
        let failing = |share: f64| {
            move |own: RoleTick| Some(RoleTick { errors: own.requests.map(|requests| share * requests), ..own })
        };
        // 10 requests/s: after ten seconds there are enough.
        assert_eq!(watched(&mut Trust::default(), 12, failing(0.2)), ShadowTrust::Failing);
        assert_eq!(watched(&mut Trust::default(), 60, failing(0.05)), ShadowTrust::Trusted);
        let mut alike = Trust::default();
        for tick in 0..60 {
            let (primary, own) = pair(tick);
            let primary = RoleTick { errors: Some(20.0), ..primary };
            alike.observe(&primary, failing(0.2)(own).as_ref(), Some(0.1), None);
        }
        assert_eq!(alike.state(), ShadowTrust::Trusted);
        let throttled = |own: RoleTick| failing(0.9)(RoleTick { throttled: Some(0.5), ..own });
        assert_eq!(watched(&mut Trust::default(), 60, throttled), ShadowTrust::Trusted);
    }

    #[test]
    fn another_load_is_found_while_the_share_changes_every_half_minute() {
        // The mirror passes only a fifth of what it should.
        let mut trust = Trust::default();
        for tick in 0..90 {
            let (primary, own) = pair(tick);
            let share = 0.1 + 0.02 * f64::from(tick / 30);
            let own = RoleTick { requests: Some(0.2 * share * 100.0), ..own };
            trust.observe(&primary, Some(&own), Some(share), None);
        }
        assert_eq!(trust.state(), ShadowTrust::OtherLoad);
    }

    #[test]
    fn another_load_is_found_where_requests_are_few() {
        // One request/s is expected, and three come: a hundred are needed to tell.
        let state_after = |ticks: u32| {
            let mut trust = Trust::default();
            for tick in 0..ticks {
                let (primary, own) = pair(tick);
                let [primary, own] =
                    [(primary, 10.0), (own, 3.0)].map(|(role, requests)| RoleTick { requests: Some(requests), ..role });
                trust.observe(&primary, Some(&own), Some(0.1), None);
            }
            trust.state()
        };
        assert_eq!([state_after(100), state_after(200)], [ShadowTrust::Trusted, ShadowTrust::OtherLoad]);
    }

    #[test]
    fn another_program_is_found_by_its_cost() {
        let mut trust = Trust::default();
        let (primary, shadow) = pair(1);
        assert_eq!(trust.observe(&primary, Some(&shadow), None, Some(3.5)), ShadowTrust::OtherCost);
        assert_eq!(trust.observe(&primary, Some(&shadow), None, Some(0.2)), ShadowTrust::OtherCost);
        assert_eq!(trust.observe(&primary, Some(&shadow), None, Some(1.4)), ShadowTrust::Unproven);
    }
}
