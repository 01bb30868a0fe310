//! A decision, explained: the page is read like code.

use schemas::{
    Action, DemandSource, Evidence, KneeEvidence, LatencyLaw, Mode, Money, Noun, PoolId, PoolLevel, QuantileValue,
    Ratio, Reason, Remediation, Remedy, Resource, ResourceEvidence, ShadowEvidence, ShadowTrust, Status, TenantId, V1,
    WorkloadId,
};
use schemas::{Allocation, DecisionId, EventTime};

use super::*;

const GIB: f64 = (1_u64 << 30) as f64;

/// A workload rises from 2 to 3.25 cores on a forecast; the pool had no more.
pub(super) fn decision(workload: &str, tick: u64) -> Decision {
    let workload = WorkloadId::new(workload).expect("a name");
    let time = EventTime::from_millis(tick);
    let held = Allocation::new(2.0, 4.0 * GIB);
    Decision {
        version: V1,
        decision: Decision::id(&workload, time).expect("a short name"),
        time,
        sequence: tick,
        expires: time.plus(60_000),
        tenant: TenantId::new("shop").expect("a name"),
        workload,
        orchestrator: "kubernetes".to_owned(),
        pool: PoolId::new("frankfurt").expect("a name"),
        mode: Mode::Act,
        action: Action::ScaleUp,
        reason: Reason::Shortfall,
        because: "pool frankfurt is short: 3.50 cores of cpu wanted, 3.25 cores granted, 0.25 cores missing".to_owned(),
        current: held,
        wanted: Allocation::new(3.5, 4.0 * GIB),
        granted: Allocation::new(3.25, 4.0 * GIB),
        shortfall: Allocation::new(0.25, 0.0),
        offer: Some("general-8".to_owned()),
        evidence: evidence(),
        rollout: None,
        probe: None,
    }
}

fn evidence() -> Evidence {
    let level = |cores: f64| PoolLevel {
        capacity: Allocation::new(160.0, 640.0 * GIB),
        free: Allocation::new(cores, 200.0 * GIB),
    };
    Evidence {
        target_level: 0.9,
        horizon_ms: 90_000,
        actuation_delay_ms: Some(42_000),
        knee: Ratio::new(0.7),
        knee_from_shadow: true,
        amplification: Some(2.0),
        resources: vec![
            ResourceEvidence {
                resource: Resource::Cpu,
                usage: Some(1.5),
                demand: Some(2.75),
                censored: true,
                reactive_floor: Some(2.75),
                forecast: Some(3.4),
                quantiles: quantiles(&[(0.5, 2.6), (0.9, 3.1), (0.9, 3.1), (0.95, 3.6)], 1.0),
                expert: Some("holt".to_owned()),
                raw: Some(3.4),
            },
            ResourceEvidence {
                resource: Resource::Memory,
                usage: Some(2.5 * GIB),
                demand: Some(2.5 * GIB),
                censored: false,
                reactive_floor: Some(3.0 * GIB),
                forecast: None,
                quantiles: Vec::new(),
                expert: None,
                raw: Some(3.0 * GIB),
            },
        ],
        pool_before: level(1.25),
        pool_after: level(0.0),
        price_before: Money::new(0.086),
        price_after: Money::new(0.1285),
        price_shadow: Some(Money::new(0.0321)),
        remedies: Vec::new(),
        shadow: None,
    }
}

fn quantiles(levels: &[(f64, f64)], unit: f64) -> Vec<QuantileValue> {
    levels.iter().map(|&(level, value)| QuantileValue { level, value: value * unit }).collect()
}

fn explained() -> Explained {
    let decision = decision("checkout", 1_772_443_800_000);
    let outcome = Outcome {
        version: V1,
        time: decision.time.plus(1500),
        decision: DecisionId::new("checkout@1772443800000").expect("an id"),
        decided: decision.time,
        workload: decision.workload.clone(),
        adapter: "kubernetes".to_owned(),
        status: Status::Refused,
        in_force: decision.current,
        message: "local policy: one step may add at most 1.00 core, 1.25 were granted".to_owned(),
    };
    let record = br#"{"workload":"checkout","orchestrator":"kubernetes","pool":"frankfurt","time":1772443800001,
        "allocation":{"cpu_cores":2,"memory_bytes":4294967296},"min":{"cpu_cores":0.5,"memory_bytes":1073741824},
        "max":{"cpu_cores":8,"memory_bytes":17179869184},"step":{"cpu_cores":0.25,"memory_bytes":268435456},
        "unmet_cost":9,"idle_cost":1}"#;
    let workload = Workload::from_json(record).expect("a workload");
    Explained { decision, outcomes: vec![outcome], workload: Some(workload) }
}

#[test]
fn the_page_tells_what_when_why_and_what_else() {
    let page = page::page(&explained());
    assert_eq!(page, include_str!("tests/page.txt"), "\n{page}");
}

#[test]
fn what_is_done_about_anomalies_is_told() {
    let mut explained = explained();
    assert!(!page::page(&explained).contains("Against anomalies"));
    let decided = explained.decision.time;
    let remedy = |remediation, until| Remedy {
        remediation,
        detector: "leak".to_owned(),
        since: decided.minus(60_000),
        until,
        evidence: "floor rose by 1.00e9 an hour".to_owned(),
    };
    explained.decision.evidence.remedies =
        vec![remedy(Remediation::RaiseMemory, decided.plus(540_000)), remedy(Remediation::HoldUp, decided)];
    let page = page::page(&explained);
    let expected = "\
Against anomalies
  raise memory  since 2026-03-02T09:29:00.000Z, until 2026-03-02T09:39:00.000Z, for critical leak: floor rose by 1.00e9 an hour
  hold up       since 2026-03-02T09:29:00.000Z, over since 2026-03-02T09:30:00.000Z, for critical leak: floor rose by 1.00e9 an hour

Pool frankfurt";
    assert!(page.contains(expected), "{page}");
}

#[test]
fn what_the_shadow_has_taught_is_told_and_what_would_have_been_without_it() {
    let mut explained = explained();
    let [utilisation, low, high] = [0.7, 0.62, 0.76].map(Ratio::new);
    let law = LatencyLaw::Tail;
    let mut page = |demand_without: f64| {
        explained.decision.evidence.shadow = Some(ShadowEvidence {
            trust: ShadowTrust::Trusted,
            amplification: Some(2.0),
            knee: Some(KneeEvidence { utilisation, low, high, law, error: 0.05, shown: true }),
            demand_source: Some(DemandSource::MirroredRequests),
            demand_error: Some(0.06),
            demand_without: Some(demand_without),
            lead_ms: Some(40_000),
            discarded_ticks: 0,
        });
        page::page(&explained)
    };
    let less = page(2.25);
    let taught = "\
  shadow        the shadow is believed; it runs at 2.00 times the primary's load per core; the knee is 0.70 of the limit (0.62 to \
                  0.76, seen); demand is from the requests mirrored to the shadow and what one costs, give or take 6 %; without \
                  the shadow it would be 2.250 cores; it suffers 40s before the primary
";
    assert!(less.contains(taught), "{less}");
    // Of 2.75 cores 0.7 are filled: 1.925, which is 0.856 of 2.25.
    let expected = "\
  cpu: without the shadow 2.25 cores would have passed for what this load takes, 0.50 cores less: it would fill 0.86 of them, \
                    where 0.70 is safe
";
    assert!(less.ends_with(expected), "{less}");
    let more = page(3.0);
    assert!(more.contains("without the shadow this load would have been given 3.00 cores, 0.25 cores more"), "{more}");
    assert!(page(2.75).contains("without the shadow this load would have been given 2.75 cores as well"));
}

#[test]
fn a_hold_of_an_unread_workload_says_what_is_not_known() {
    let mut explained = explained();
    explained.outcomes.clear();
    explained.workload = None;
    let decision = &mut explained.decision;
    decision.action = Action::Hold;
    decision.mode = Mode::Observe;
    decision.wanted = decision.current;
    decision.granted = decision.current;
    decision.evidence.price_after = decision.evidence.price_before;
    decision.evidence.price_shadow = None;
    decision.shortfall = Allocation::ZERO;
    decision.because = "no reading for more than 30s: nothing is lowered".to_owned();
    decision.offer = None;
    decision.evidence.actuation_delay_ms = None;
    decision.evidence.knee_from_shadow = false;
    decision.evidence.amplification = None;
    for evidence in &mut decision.evidence.resources {
        let resource = evidence.resource;
        *evidence = ResourceEvidence {
            resource,
            usage: None,
            demand: None,
            censored: false,
            reactive_floor: None,
            forecast: None,
            quantiles: Vec::new(),
            expert: None,
            raw: None,
        };
    }
    let page = page::page(&explained);
    assert_eq!(page, include_str!("tests/hold.txt"), "\n{page}");
}

#[test]
fn programs_get_one_object() {
    let explained = explained();
    let value: serde_json::Value = serde_json::from_str(&json(&explained)).expect("JSON");
    assert_eq!(value["decision"]["decision"], "checkout@1772443800000");
    assert_eq!(value["outcomes"][0]["status"], "refused");
    assert_eq!(value["workload"]["max"]["cpu_cores"], 8.0);
    assert_eq!(value["what_if"].as_array().map(Vec::len), Some(4), "three of the CPU, one of memory");
}
