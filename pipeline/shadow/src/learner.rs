//! One workload's pair: readings in, work and what it takes to serve it out.
//!
//! A tick is judged first (is the shadow to be believed, is the tick clean), then learnt from. What the primary teaches
//! by itself and what the pair teaches are kept apart, so that the shadow's part in every figure can be told, and taken
//! back.
//!
//! State: the points of latency, at most 12 kB and mostly a tenth of that, and some 200 numbers. Cost: under a
//! microsecond a tick; every [`REFIT_MS`] two fits of the laws, some tenths of a millisecond each, both by estimate.

use schemas::{DemandSource, Ratio, Role, ShadowEvidence, ShadowTrust};
use serde::{Deserialize, Serialize};

use crate::amplification::Amplification;
use crate::dirt::Mix;
use crate::fit::Fitted;
use crate::points::Points;
use crate::sizing::Lessons;
use crate::trust::Trust;
use crate::uncensored::Carried;
use crate::{Curve, Dirt, Discarded, Headroom, Knee, Lead, PairTick, RoleTick, Seen, Sizing};

/// Ticks without saturation after which no backlog is left to speak of.
const CALM_AFTER: u32 = 5;

/// Growth per tick that is tried while demand is hidden and nothing tells how much there is: a quarter more each
/// time doubles the allocation in about three decisions.
const PROBE: f64 = 1.25;

/// A minute: latency's points move little in less, and ten thousand workloads then take a tenth of a core, by estimate.
const REFIT_MS: u64 = 60_000;

/// How far beyond the primary's room a shadow is let: points on both sides of the crossing tell where it is.
const BREACH: f64 = 1.5;

/// The work of a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// CPU that the tick's load takes, cores; none when it cannot be told.
    pub cores: Option<f64>,
    /// Whether usage hid it.
    pub censored: bool,
    /// Where the figure is from; none when there is none.
    pub source: Option<DemandSource>,
    /// Its relative standard error; none where it is read, or tried.
    pub error: Option<f64>,
    /// The figure had there been no shadow.
    pub alone: Option<f64>,
}

/// What one workload's pair has taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    prior: f64,
    generation: String,
    trust: Trust,
    mix: Mix,
    discarded: Discarded,
    lead: Lead,
    points: Points,
    headroom: Headroom,
    /// By the primary alone, and by both.
    knees: [Knee; 2],
    fitted: [Option<Fitted>; 2],
    fitted_ms: u64,
    calm: [Calm; 2],
    curve: Curve,
    carried: Carried,
    amplification: Amplification,
    /// Whether a shadow has run under this generation.
    has_shadow: bool,
}

/// Ticks since a role was last saturated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Calm(u32);

impl Learner {
    /// Nothing learnt yet.
    #[must_use]
    pub fn new(knee_prior: Ratio) -> Self {
        Self {
            prior: knee_prior.get(),
            generation: String::new(),
            trust: Trust::default(),
            mix: Mix::default(),
            discarded: Discarded::default(),
            lead: Lead::default(),
            points: Points::default(),
            headroom: Headroom::default(),
            knees: [Knee::new(knee_prior), Knee::new(knee_prior)],
            fitted: [None; 2],
            fitted_ms: 0,
            calm: [Calm::default(); 2],
            curve: Curve::default(),
            carried: Carried::default(),
            amplification: Amplification::default(),
            has_shadow: false,
        }
    }

    /// Takes in one tick of the pair, and says what its load takes.
    pub fn observe(&mut self, tick: &PairTick<'_>) -> Work {
        self.follow_generation(tick.generation);
        self.carried.pass();
        self.has_shadow |= tick.has_shadow();
        let shadow = self.believed(tick);
        let late = tick.late();
        if let Some(dirt) = tick.host.dirt() {
            self.discarded.count(dirt);
        } else {
            self.learn_primary(tick, late);
            if let Some(shadow) = shadow.filter(|shadow| self.is_clean(shadow)) {
                self.learn_shadow(tick, shadow);
            }
        }
        let suffers = |role: &RoleTick| role.saturated() || role.throttles();
        // A busy host slows the shadow first, which says nothing of the load.
        let undisturbed = shadow.as_ref().filter(|_| tick.host.dirt().is_none());
        self.lead.observe(tick.now_ms, late || suffers(&tick.primary), undisturbed.map(suffers));
        self.refit(tick);
        self.work(&tick.primary)
    }

    /// How work becomes demand under a latency target; by the knee where there is none or it has not been learnt.
    #[must_use]
    pub fn sizing(&self, slo_latency: Option<f64>) -> Sizing {
        let [alone, paired] = [0, 1].map(|at| Lessons {
            knee: self.knees[at].safe(),
            headroom: slo_latency
                .and_then(|slo| if at == 0 { self.headroom.cores_alone(slo) } else { self.headroom.cores(slo) }),
            // Without a promise a rise of latency is news, and nothing that anybody pays for.
            fitted: slo_latency.and(self.fitted[at]),
        });
        Sizing { alone, paired: self.has_shadow.then_some(paired), trusted: self.is_trusted() }
    }

    /// What the shadow contributes to a decision that rests on `work`; none without a shadow.
    #[must_use]
    pub fn evidence(&self, work: &Work, sizing: &Sizing) -> Option<ShadowEvidence> {
        self.has_shadow.then(|| ShadowEvidence {
            trust: self.trust.state(),
            amplification: self.amplification(),
            knee: self.fitted[usize::from(self.is_trusted())].map(|fitted| fitted.knee),
            demand_source: work.source,
            demand_error: work.error,
            demand_without: work.alone.map(|cores| sizing.demand_alone(cores)),
            lead_ms: self.lead.median_ms(),
            discarded_ticks: self.discarded.total(),
        })
    }

    /// What a probe goes by. A primary that breaks its promise disturbs it, as one that is saturated and a busy host do: more
    /// load on the machine is then nobody's to ask for.
    #[must_use]
    pub fn seen(&self, tick: &PairTick<'_>) -> Seen {
        let PairTick { primary, shadow, host, .. } = tick;
        Seen {
            primary: primary.utilisation(),
            shadow: shadow.and_then(|shadow| shadow.utilisation()),
            breach: self.breaches(tick),
            disturbed: tick.late() || primary.saturated() || host.dirt().is_some(),
        }
    }

    /// Whether a shadow breaches; none when it was not read.
    ///
    /// A small quota stretches every request, so it is not the promise itself that counts but the room that the primary
    /// has below it: a shadow breaches where its latency has risen by half as much again over its own at rest. Without
    /// latencies it breaches where it is throttled.
    fn breaches(&self, tick: &PairTick<'_>) -> Option<bool> {
        let shadow = tick.shadow.filter(RoleTick::is_alive)?;
        let [primary_rest, shadow_rest] = [Role::Primary, Role::Shadow].map(|role| self.points.rest(role));
        let room = primary_rest.map(|rest| tick.slo_latency.map_or(rest, |slo| (slo - rest).max(0.0)));
        let rise = shadow.latency.zip(shadow_rest).map(|(latency, rest)| latency - rest);
        let rose = rise.zip(room).map(|(rise, room)| rise > BREACH * room);
        Some(shadow.saturated() || rose.unwrap_or_else(|| shadow.throttles()))
    }

    /// Whether the shadow is believed.
    #[must_use]
    pub const fn trust(&self) -> ShadowTrust {
        self.trust.state()
    }

    /// Ticks that were not learnt from, by reason.
    #[must_use]
    pub const fn discarded(&self) -> Discarded {
        self.discarded
    }

    /// The amplification k as read: the shadow's requests per core over the primary's; none while unread.
    #[must_use]
    pub fn amplification(&self) -> Option<f64> {
        self.amplification.known()
    }

    fn is_trusted(&self) -> bool {
        self.trust.state() == ShadowTrust::Trusted
    }

    /// New code is a new workload: its latency is forgotten, and the cost of a request soon outweighed.
    fn follow_generation(&mut self, generation: &str) {
        if self.generation == generation {
            return;
        }
        let mut curve = self.curve.clone();
        curve.fade();
        let fresh = Self::new(Ratio::new(self.prior));
        *self = Self { generation: generation.to_owned(), curve, discarded: self.discarded, ..fresh };
    }

    /// The shadow's readings where it is believed, or on its way to be.
    fn believed(&mut self, tick: &PairTick<'_>) -> Option<RoleTick> {
        // At rest by plan it is neither silent nor proven anew: what it taught is worth what it was.
        if !tick.has_shadow() {
            return None;
        }
        let shadow = tick.shadow.as_ref();
        // Read whether or not it is believed: a shadow whose cost was another could never be believed again.
        if let Some(shadow) = shadow.filter(|_| tick.host.dirt().is_none()) {
            self.compare(shadow);
        }
        let trust = self.trust.observe(&tick.primary, shadow, tick.mirrored_share, self.mix.usual());
        let hopeful = matches!(trust, ShadowTrust::Trusted | ShadowTrust::Unproven);
        tick.shadow.filter(|shadow| hopeful && shadow.is_alive())
    }

    /// What a request costs the shadow, over what it costs the primary.
    fn compare(&mut self, shadow: &RoleTick) {
        // A saturated shadow's cost is its limit's, not its requests'.
        let expected = shadow.requests.and_then(|requests| self.curve.cores(requests));
        if let (false, Some(cores), Some(expected)) = (shadow.saturated(), shadow.cores, expected) {
            self.mix.observe(cores, expected);
        }
    }

    /// Whether the tick says something of the shadow under its share of the load; counted where it does not.
    fn is_clean(&mut self, shadow: &RoleTick) -> bool {
        if shadow.limit_cores.is_none() || shadow.cores.is_none() {
            self.discarded.count(Dirt::MissingReading);
            return false;
        }
        let unequal = self.mix.is_unequal();
        if unequal {
            self.discarded.count(Dirt::UnequalMix);
        }
        !unequal
    }

    fn learn_primary(&mut self, tick: &PairTick<'_>, late: bool) {
        let primary = &tick.primary;
        if let Some(utilisation) = primary.utilisation() {
            self.knees.iter_mut().for_each(|knee| knee.observe(utilisation, primary.throttles() || late));
        }
        if let Some((limit, cores, latency)) = self.calm[0].point(primary) {
            self.headroom.observe_primary(limit - cores, latency, tick.slo_latency);
            self.points.observe(tick.now_ms, Role::Primary, limit, cores / limit, latency);
        }
        if let (false, Some(requests), Some(cores)) = (primary.saturated(), primary.requests, primary.cores) {
            self.curve.observe(requests, cores);
        }
    }

    fn learn_shadow(&mut self, tick: &PairTick<'_>, shadow: RoleTick) {
        // Here the shadow is judged by throttling alone: a small copy misses the latency target even in health.
        if let Some(utilisation) = shadow.utilisation() {
            self.knees[1].observe(utilisation, shadow.throttles());
        }
        if let Some((limit, cores, latency)) = self.calm[1].point(&shadow) {
            self.headroom.observe_shadow(limit - cores, latency);
            self.points.observe(tick.now_ms, Role::Shadow, limit, cores / limit, latency);
        }
        if let Some(share) = tick.mirrored_share.filter(|share| *share > 0.0) {
            self.carried.observe(&shadow, share);
        }
        self.amplification.observe(&tick.primary, &shadow);
    }

    fn refit(&mut self, tick: &PairTick<'_>) {
        let turn = |at_ms: u64| (at_ms + tick.phase_ms) / REFIT_MS;
        let due = turn(tick.now_ms) != turn(self.fitted_ms);
        let Some(cores) = tick.primary.limit_cores.filter(|cores| due && *cores > 0.0) else { return };
        self.fitted_ms = tick.now_ms;
        let fit = |points: Vec<_>| Fitted::of(&points, cores, tick.slo_latency);
        let alone = fit(self.points.of(tick.now_ms, |role| role == Role::Primary));
        let paired = self.has_shadow.then(|| fit(self.points.of(tick.now_ms, |_| true))).flatten();
        self.fitted = [alone, paired];
    }

    fn work(&self, primary: &RoleTick) -> Work {
        if !primary.saturated() {
            let source = primary.cores.map(|_| DemandSource::Usage);
            return Work { cores: primary.cores, censored: false, source, error: None, alone: primary.cores };
        }
        // Behind a saturated limit it is what the load takes, or a probe upwards, and no less than what is used.
        let used = primary.cores;
        let told = |carried: &Carried, cost| carried.estimate(&self.curve, primary.requests, cost);
        let alone = told(&Carried::default(), None);
        let best = if self.is_trusted() { told(&self.carried, self.mix.usual()) } else { alone };
        let above = |cores: f64| used.map(|used| cores.max(used));
        let probe = used.map(|used| PROBE * used);
        Work {
            cores: best.map_or(probe, |best| above(best.cores)),
            censored: true,
            source: best.map(|best| best.source).or_else(|| used.map(|_| DemandSource::Probe)),
            error: best.map(|best| best.error),
            alone: alone.map_or(probe, |alone| above(alone.cores)),
        }
    }
}

impl Calm {
    /// Limit, usage and latency of a tick whose queue is in balance: while a backlog drains, latency is the backlog's.
    fn point(&mut self, tick: &RoleTick) -> Option<(f64, f64, f64)> {
        self.0 = if tick.saturated() { 0 } else { self.0.saturating_add(1) };
        let (limit, cores) = (tick.limit_cores?, tick.cores?);
        (self.0 > CALM_AFTER && limit > cores).then_some((limit, cores, tick.latency?))
    }
}

#[cfg(test)]
mod tests;
