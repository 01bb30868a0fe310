//! One workload's pair: readings in, work and what it takes to serve it out.
//!
//! A tick is judged first (is the shadow to be believed, is the tick clean), then learnt from. What the primary teaches
//! by itself and what the pair teaches are kept apart, so that the shadow's part in every figure can be told, and taken
//! back.
//!
//! State: the points of latency and the counts of late requests, at most 14 and 10 kB and mostly a tenth of that, and some 200
//! numbers. Cost: under a microsecond a tick; every [`REFIT_MS`] two fits of the laws, some tenths of a millisecond each, both
//! by estimate.

use schemas::{DemandSource, Ratio, Role, ShadowEvidence, ShadowTrust};
use serde::{Deserialize, Serialize};

use crate::amplification::Amplification;
use crate::dirt::Mix;
use crate::fit::Fitted;
use crate::knee::suffering;
use crate::lateness::Lateness;
use crate::points::{Points, Shown};
use crate::sizing::Lessons;
use crate::tail::{Rarity, Tail};
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
    /// The promise under which late requests were counted.
    promise: Option<f64>,
    lateness: Lateness,
    trust: Trust,
    mix: Mix,
    discarded: Discarded,
    lead: Lead,
    points: Points,
    /// By the primary, and by the shadow.
    tails: [Tail; 2],
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
            promise: None,
            lateness: Lateness::default(),
            trust: Trust::default(),
            mix: Mix::default(),
            discarded: Discarded::default(),
            lead: Lead::default(),
            points: Points::default(),
            tails: Default::default(),
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
        self.follow_promise(tick.slo_latency);
        self.carried.pass();
        self.has_shadow |= tick.has_shadow();
        let shadow = self.believed(tick);
        self.lateness.observe(&tick.primary);
        let late = self.is_late(tick);
        if let Some(dirt) = tick.host.dirt() {
            self.discarded.count(dirt);
            self.tails.iter_mut().for_each(|tail| tail.begin_anew(tick.now_ms));
        } else {
            self.learn_primary(tick, late);
            match shadow.filter(|shadow| self.is_clean(shadow)) {
                Some(shadow) => self.learn_shadow(tick, shadow),
                None if tick.shadow.is_none() => self.tails[1].end(tick.now_ms),
                None => self.tails[1].begin_anew(tick.now_ms),
            }
        }
        let suffers = |role: &RoleTick| role.saturated() || role.throttles();
        // A busy host slows the shadow first, which says nothing of the load.
        let undisturbed = shadow.as_ref().filter(|_| tick.host.dirt().is_none());
        self.lead.observe(tick.now_ms, late || suffers(&tick.primary), undisturbed.map(suffers));
        self.refit(tick);
        self.work(&tick.primary)
    }

    /// Fits the laws to what has been seen so far: once a minute by itself, and from outside at each turn of a probe. What the open
    /// blocks hold, ten seconds at most, is not in it.
    pub fn fit(&mut self, tick: &PairTick<'_>) {
        let Some(cores) = tick.primary.limit_cores.filter(|cores| *cores > 0.0) else { return };
        self.fitted_ms = tick.now_ms;
        let fit = |tails: &[Tail], roles: &[Role]| {
            let late = Rarity::of(tick.now_ms, tails).map(|rarity| Fitted::of_late(&rarity, cores));
            late.or_else(|| Fitted::of(&self.points.of(tick.now_ms, roles), cores, tick.slo_latency))
        };
        let alone = fit(&self.tails[..1], &[Role::Primary]);
        let paired = self.has_shadow.then(|| fit(&self.tails, &[Role::Primary, Role::Shadow])).flatten();
        self.fitted = [alone, paired];
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
    /// load on the machine is then nobody's to ask for. In a tick in which the hypervisor took time, only the breach is unknown.
    #[must_use]
    pub fn seen(&self, tick: &PairTick<'_>) -> Seen {
        let PairTick { primary, shadow, host, .. } = tick;
        let judged = shadow.filter(|shadow| shadow.is_alive() && host.dirt().is_none());
        let reachable = judged.filter(|_| self.keeps_at_rest(tick.slo_latency));
        let counts = reachable.and_then(|shadow| shadow.requests.filter(|requests| *requests > 0.0).zip(shadow.late));
        Seen {
            primary: primary.utilisation(),
            shadow: shadow.and_then(|shadow| shadow.utilisation()),
            breach: judged.map(|shadow| counts.is_none() && self.breaches(tick.slo_latency, &shadow)),
            counts: counts.map(|(requests, late)| [requests, late]),
            disturbed: self.is_late(tick) || primary.saturated() || host.dirt() == Some(Dirt::BusyHost),
        }
    }

    /// Whether a shadow breaches whose late requests tell nothing. Without latencies it does where it is throttled.
    fn breaches(&self, slo: Option<f64>, shadow: &RoleTick) -> bool {
        let rose = shadow.latency.and_then(|latency| self.rose(slo, latency, BREACH));
        shadow.saturated() || rose.unwrap_or_else(|| shadow.throttles())
    }

    /// Whether the promise is within the shadow's reach: a small quota may break it with a lone request.
    fn keeps_at_rest(&self, slo: Option<f64>) -> bool {
        slo.zip(self.points.rest(Role::Shadow)).is_some_and(|(slo, rest)| rest < slo)
    }

    /// Whether the shadow's latency has risen over its own at rest by so many times the room that the primary has at rest; none
    /// while those are unknown. A small quota stretches every request, so the promise itself would be too strict.
    fn rose(&self, slo: Option<f64>, latency: f64, times: f64) -> Option<bool> {
        let (primary, shadow) = (self.points.rest(Role::Primary)?, self.points.rest(Role::Shadow)?);
        let room = slo.map_or(primary, |slo| (slo - primary).max(0.0));
        Some(latency - shadow > times * room)
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

    /// Whether the primary breaks its promise; by the tick's percentile where nobody counts late requests.
    fn is_late(&self, tick: &PairTick<'_>) -> bool {
        let Some((slo, latency)) = tick.slo_latency.zip(tick.primary.latency) else { return false };
        self.lateness.is_broken().unwrap_or(latency > slo)
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

    /// Under another promise other requests are late, and another utilisation is safe.
    fn follow_promise(&mut self, promise: Option<f64>) {
        if self.promise != promise {
            self.promise = promise;
            self.lateness = Lateness::default();
            self.tails = Default::default();
            self.fitted = [None; 2];
            self.knees = [Knee::new(Ratio::new(self.prior)), Knee::new(Ratio::new(self.prior))];
        }
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
        let was_another = self.trust.is_another();
        let trust = self.trust.observe(&tick.primary, shadow, tick.mirrored_share, self.mix.usual());
        if self.trust.is_another() && !was_another {
            self.forget_shadow();
        }
        let hopeful = matches!(trust, ShadowTrust::Trusted | ShadowTrust::Unproven);
        tick.shadow.filter(|shadow| hopeful && shadow.is_alive())
    }

    /// What was taken for the shadow is another workload's: what it taught was never true here.
    fn forget_shadow(&mut self) {
        // What the primary taught is in both.
        self.knees[1] = self.knees[0].clone();
        self.fitted[1] = self.fitted[0];
        self.tails[1] = Tail::default();
        self.headroom.forget_shadow();
        self.points.forget(Role::Shadow);
        self.amplification = Amplification::default();
        self.carried = Carried::default();
        self.lead = Lead::default();
    }

    /// What a request costs the shadow, over what it costs the primary.
    fn compare(&mut self, shadow: &RoleTick) {
        // A saturated shadow's cost is its limit's, not its requests'.
        let (false, Some(cores), Some(requests)) = (shadow.saturated(), shadow.cores, shadow.requests) else { return };
        if let Some(expected) = self.curve.cores(requests) {
            self.mix.observe(requests, cores, expected);
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
            let by_latency = tick.slo_latency.and_then(|_| primary.late_share()).map_or(f64::from(late), suffering);
            let suffering = if primary.throttles() { 1.0 } else { by_latency };
            self.knees.iter_mut().for_each(|knee| knee.observe(utilisation, suffering));
        }
        if let Some(shown) = self.calm[0].shown(primary) {
            self.headroom.observe_primary(shown.limit - shown.cores, self.points.of_all(&shown), tick.slo_latency);
            self.points.observe(tick.now_ms, Role::Primary, &shown);
        }
        self.tails[0].observe(tick.now_ms, primary, 1.0);
        // While a backlog drains more is worked off than comes.
        if let (true, Some(requests), Some(cores)) = (self.calm[0].is_settled(), primary.requests, primary.cores) {
            self.curve.observe(requests, cores);
        }
    }

    fn learn_shadow(&mut self, tick: &PairTick<'_>, shadow: RoleTick) {
        if let Some((utilisation, suffering)) = shadow.utilisation().zip(self.suffering(tick.slo_latency, &shadow)) {
            self.knees[1].observe(utilisation, suffering);
        }
        if let Some(shown) = self.calm[1].shown(&shadow) {
            self.headroom.observe_shadow(shown.limit - shown.cores, self.points.of_all(&shown));
            self.points.observe(tick.now_ms, Role::Shadow, &shown);
        }
        if let Some(share) = tick.mirrored_share.filter(|share| *share > 0.0) {
            self.carried.observe(&shadow, share);
            if let Some(part) = tick.primary.mirrorable_part() {
                self.carried.observe_part(part);
            }
            self.tails[1].observe(tick.now_ms, &shadow, share);
        }
        self.amplification.observe(&tick.primary, &shadow);
    }

    /// How much a shadow suffers; none while that cannot be told. Under a promise it is no proof of health that it is not
    /// throttled: it must keep the promise, or where that is out of its reach even at rest, the room below it.
    fn suffering(&self, slo: Option<f64>, shadow: &RoleTick) -> Option<f64> {
        let Some(slo) = slo.filter(|_| !shadow.throttles()) else { return Some(f64::from(shadow.throttles())) };
        let late_share = shadow.late_share().filter(|_| self.keeps_at_rest(Some(slo)));
        late_share.map(suffering).or_else(|| self.rose(Some(slo), shadow.latency?, 1.0).map(f64::from))
    }

    fn refit(&mut self, tick: &PairTick<'_>) {
        let turn = |at_ms: u64| (at_ms + tick.phase_ms) / REFIT_MS;
        if turn(tick.now_ms) != turn(self.fitted_ms) {
            self.fit(tick);
        }
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
    /// Whether no backlog is left to speak of.
    const fn is_settled(self) -> bool {
        self.0 > CALM_AFTER
    }

    /// What a tick shows whose queue is in balance: while a backlog drains, latency is the backlog's.
    fn shown(&mut self, tick: &RoleTick) -> Option<Shown> {
        self.0 = if tick.saturated() { 0 } else { self.0.saturating_add(1) };
        let (limit, cores) = (tick.limit_cores?, tick.cores?);
        let requests = tick.requests.unwrap_or_default();
        (self.is_settled() && limit > cores).then_some(Shown { limit, cores, latency: tick.latency?, requests })
    }
}

#[cfg(test)]
mod tests;
