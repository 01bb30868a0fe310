//! How long a decision takes to be in force: the time from handing it to the adapter until its limits have been read back
//! from the kernel, over a thousand resizes of a busy workload of two instances and its shadow.
//!
//! `make resizes`, as root.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program that measures and tells")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use orchestrators::{Adapter, Cgroups, HostLimits, Services};
use schemas::{
    Action, Allocation, Decision, EventTime, Evidence, Mode, Money, Outcome, PoolLevel, Ratio, Reason, Status,
    TenantId, V1, Workload,
};

const SERVICES: &str = r#"
[[service]]
command = ["/bin/sh", "-c", "while :; do :; done"]
shadow_environment = { PORT = "9080" }
instances = 2
[service.workload]
workload = "spin"
orchestrator = "cgroup"
pool = "machine"
mode = "act"
allocation = { cpu_cores = 0.5, memory_bytes = 67108864 }
min = { cpu_cores = 0.1, memory_bytes = 33554432 }
max = { cpu_cores = 2.0, memory_bytes = 268435456 }
step = { cpu_cores = 0.05, memory_bytes = 4194304 }
unmet_cost = 0.95
idle_cost = 0.05
shadow = { size_ratio = 0.25, mirrored_share = 0.5 }
"#;

const RESIZES: u64 = 1_000;

/// Long enough for the shadow to begin: the host is looked at twice, a second apart.
const WARM_UP: Duration = Duration::from_millis(2_500);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let services = Services::parse(SERVICES, "cgroup").map_err(|faults| faults.join("; "))?;
    let host = HostLimits { stop_busy_ratio: 2.0, ..HostLimits::default() };
    let mut adapter = Cgroups::new(services, &format!("-resize-{}", std::process::id()), host)?;
    adapter.start(now())?;
    let began = Instant::now();
    while began.elapsed() < WARM_UP {
        adapter.poll(now());
        std::thread::sleep(Duration::from_millis(50));
    }
    let workload = adapter.inventory(now()).0.remove(0);
    let delays: Result<Vec<Duration>, _> = (0..RESIZES).map(|at| resize(&mut adapter, &workload, at)).collect();
    let counts = adapter.counts();
    adapter.stop();
    let mut delays = delays?;
    delays.sort_unstable();
    let at = |share: f64| delays[(share * (delays.len() - 1) as f64).round() as usize];
    println!("{RESIZES} resizes in force: p50 {:?}, p99 {:?}, max {:?}; {counts:?}", at(0.5), at(0.99), at(1.0));
    Ok(())
}

/// One resize; every second one is larger than the one before it.
fn resize(adapter: &mut Cgroups, workload: &Workload, at: u64) -> Result<Duration, String> {
    let granted = if at.is_multiple_of(2) { Allocation::new(1.0, 134_217_728.0) } else { workload.allocation };
    let decision = decision(workload, at, granted);
    let began = Instant::now();
    let accepted = adapter.apply(&decision, decision.time);
    let delay = began.elapsed();
    let in_force = |outcome: &Outcome| outcome.status == Status::InForce && outcome.in_force == granted;
    match adapter.poll(decision.time).first() {
        Some(outcome) if in_force(outcome) => Ok(delay),
        landed => Err(format!("{accepted:?}, then {landed:?}")),
    }
}

fn decision(workload: &Workload, at: u64, granted: Allocation) -> Decision {
    let time = now().plus(at);
    Decision {
        version: V1,
        decision: Decision::id(&workload.workload, time).expect("a short name"),
        time,
        sequence: time.millis(),
        expires: time.plus(60_000),
        tenant: TenantId::default(),
        workload: workload.workload.clone(),
        orchestrator: workload.orchestrator.clone(),
        pool: workload.pool.clone(),
        mode: Mode::Act,
        action: Action::Reshape,
        reason: Reason::Forecast,
        because: String::new(),
        current: workload.allocation,
        wanted: granted,
        granted,
        shortfall: Allocation::ZERO,
        offer: None,
        evidence: Evidence {
            target_level: 0.95,
            horizon_ms: 0,
            actuation_delay_ms: None,
            knee: Ratio::new(0.7),
            knee_from_shadow: false,
            amplification: None,
            resources: Vec::new(),
            pool_before: PoolLevel::default(),
            pool_after: PoolLevel::default(),
            price_before: Money::new(0.0),
            price_after: Money::new(0.0),
            price_shadow: None,
            remedies: Vec::new(),
            shadow: None,
        },
        rollout: None,
        probe: None,
    }
}

fn now() -> EventTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime::from_millis(since_epoch.as_millis() as u64)
}
