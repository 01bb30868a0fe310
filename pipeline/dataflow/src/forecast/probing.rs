//! A workload's knee, looked for on purpose: what its shadow is to be, told by decisions.
//!
//! ```text
//! pair ─► what is seen ─► Probe ─► turn ─► decision ─► adapter: another shadow ─► record: its share ─► mirror, and here
//! ```
//!
//! A turn is told when the shadow is to be another one, and holds until it is over by itself: a pipeline that is gone leaves
//! no shadow behind. What the shadow really is stands in the workload's record, by its adapter. State: some thirty numbers.

use schemas::{EventTime, ProbePolicy, ProbeTurn, Ratio, ShadowSettings};
use serde::{Deserialize, Serialize};
use shadow::{Probe, Seen};

/// How long the word that there is to be no shadow holds: adapters leave alone what is over.
const END_HOLDS_MS: u64 = 60_000;

/// A workload's probes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Probing {
    probe: Probe,
    /// What runs: another program has another knee.
    generation: String,
    /// The shadow that was told last.
    told: Option<ShadowSettings>,
}

impl Probing {
    /// Probes of which none has begun.
    pub(super) fn new(policy: ProbePolicy, generation: &str) -> Self {
        Self { probe: Probe::new(policy), generation: generation.to_owned(), told: None }
    }

    /// Follows policy and program: where one is another, probes begin anew with what those before have cost and told.
    pub(super) fn follow(&mut self, policy: ProbePolicy, generation: &str) {
        if *self.probe.policy() != policy || self.generation != generation {
            self.probe.begin_anew(policy);
            generation.clone_into(&mut self.generation);
        }
    }

    /// Ends them; the turn that says so, where there is a shadow.
    pub(super) fn end(self, now: EventTime) -> Option<ProbeTurn> {
        self.told.map(|_| ProbeTurn {
            mirrored_share: Ratio::new(0.0),
            size_ratio: Ratio::new(0.0),
            until: now.plus(END_HOLDS_MS),
            because: "no knee is looked for any more".to_owned(),
        })
    }

    /// Takes in a tick that starts at `now`; what the shadow is to be, where that is something else than before.
    pub(super) fn observe(&mut self, now: EventTime, seen: Seen) -> Option<ProbeTurn> {
        let setting = self.probe.next(now.millis(), seen);
        let mut turn = ProbeTurn {
            mirrored_share: Ratio::new(setting.mirrored_share),
            size_ratio: Ratio::new(setting.size_ratio),
            until: EventTime::from_millis(setting.until_ms),
            because: String::new(),
        };
        let shadow = turn.shadow();
        if shadow == self.told {
            return None;
        }
        self.told = shadow;
        turn.because = match (shadow, self.probe.last()) {
            (Some(shadow), _) => format!(
                "looks for the knee: a shadow of {:.3} of its primary takes {:.3} of its requests",
                shadow.size_ratio.get(),
                shadow.mirrored_share.get()
            ),
            (None, Some(found)) => found.to_string(),
            (None, None) => "no probe is under way".to_owned(),
        };
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of eleven minutes of a primary at 0.4 of its limit, whose shadow breaches from 0.65 on.
    fn turns(probing: &mut Probing) -> Vec<(u64, ProbeTurn)> {
        let mut now = None;
        let tick = |second: u64| {
            let of = |shadow: ShadowSettings| 0.4 * shadow.amplification();
            let offered = now.map(of);
            let seen = Seen {
                primary: Some(0.4),
                shadow: offered,
                breach: offered.map(|offered| offered > 0.65),
                ..Seen::default()
            };
            let turn = probing.observe(EventTime::from_millis(second * 1_000), seen);
            now = turn.as_ref().map_or(now, ProbeTurn::shadow);
            Some((second, turn?))
        };
        (0..660).filter_map(tick).collect()
    }

    fn at(second: u64) -> EventTime {
        EventTime::from_millis(second * 1_000)
    }

    /// The turn with which it begins, after half a minute.
    fn begun(probing: &mut Probing, seen: Seen) -> ProbeTurn {
        let turns: Vec<_> = (0..30).map(|second| probing.observe(at(second), seen)).collect();
        assert!(turns[..29].iter().all(Option::is_none));
        turns[29].clone().expect("it begins")
    }

    #[test]
    fn a_turn_is_told_once_and_the_last_says_what_was_found() {
        let policy = ProbePolicy::default();
        let turns = turns(&mut Probing::new(policy, "one"));
        let (last, rungs) = turns.split_last().expect("a probe has ended");
        assert_eq!((rungs[0].0, last.1.shadow()), (29, None), "it looks for half a minute first");
        assert!(rungs.len() > 3 && rungs.iter().all(|(_, turn)| policy.objection(turn).is_none()), "{rungs:?}");
        assert!(rungs.windows(2).all(|pair| pair[0].1.shadow() != pair[1].1.shadow()), "{rungs:?}");
        // Each holds for longer than it takes until the next.
        assert!(rungs.windows(2).all(|pair| pair[1].0 * 1_000 < pair[0].1.until.millis()), "{rungs:?}");
        assert_eq!(
            (rungs[0].1.because.as_str(), last.1.because.split(':').next()),
            (
                "looks for the knee: a shadow of 0.250 of its primary takes 0.187 of its requests",
                Some("the knee was found")
            )
        );
    }

    #[test]
    fn another_program_or_policy_ends_the_probe_under_way_and_what_it_has_cost_counts_on() {
        let policy = ProbePolicy::default();
        let seen = Seen { primary: Some(0.4), ..Seen::default() };
        for (policy, generation) in [(policy, "two"), (ProbePolicy { share_max: Ratio::new(0.5), ..policy }, "one")] {
            let mut probing = Probing::new(ProbePolicy::default(), "one");
            let begun = begun(&mut probing, seen);
            assert!(begun.shadow().is_some() && probing.observe(at(54), seen).is_none());
            probing.follow(policy, generation);
            let over = probing.observe(at(55), seen).expect("there is another plan");
            assert_eq!((over.shadow(), over.because.as_str()), (None, "no probe is under way"));
            // 25 s of a quarter are a twentieth of 125 s.
            assert!((56..154).all(|second| probing.observe(at(second), seen).is_none()));
            assert!(probing.observe(at(154), seen).is_some_and(|turn| turn.shadow().is_some()));
        }
    }

    #[test]
    fn probes_that_are_no_longer_wanted_end_their_shadow() {
        let seen = Seen { primary: Some(0.4), ..Seen::default() };
        let mut probing = Probing::new(ProbePolicy::default(), "one");
        assert_eq!(probing.clone().end(EventTime::default()), None);
        begun(&mut probing, seen);
        let end = probing.end(EventTime::default()).expect("there is one");
        assert!(end.shadow().is_none() && end.until > EventTime::default(), "{end:?}");
    }
}
