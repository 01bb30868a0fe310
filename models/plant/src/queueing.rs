//! Latency under utilisation, and its inverse, demand.
//!
//! Requests arrive at λ per second and need D core-seconds each; the CPU left for them is c cores, so the
//! utilisation is ρ = λD / c. The queue is M/M/c with Erlang's chance C(c, ρ) that an arrival waits, and the time
//! waited beyond that is exponential with rate c (1-ρ) / D:
//!
//! ```text
//! wait99  = v · D · ln(100 C) / (c (1-ρ))     0 while C <= 1 %
//! stretch = max(ln 100 · D - c T, 0) · (1/c - 1)     0 from one core up
//! p99     = base + stretch + wait99
//! ```
//!
//! v is the burstiness (Allen and Cunneen's correction of M/M/c towards G/G/c). Below one core even a lone request
//! is cut short, once it has used the c T of one quota period T; ln 100 · D is the p99 of its CPU time. Adding p99s
//! overstates the p99 of the sum a little: the model errs on the side of alarm.
//!
//! Two departures from the textbook. A quota may hold a fraction of a core: between whole cores C is interpolated
//! linearly at the same ρ: above the analytic continuation of Erlang's formula by at most 0.021 (near c = 1.4, ρ = 0.2),
//! 0.007 from two cores up. And ρ
//! is held at [`UTILISATION_CEILING`]: beyond it the fluid backlog carries the delay.
//!
//! | c | ρ | C | wait99 / D at v = 1 |
//! |---|---|---|---|
//! | 1 | 0.50 | 0.5000 | 7.82 |
//! | 2 | 0.50 | 0.3333 | 3.51 |
//! | 4 | 0.50 | 0.1739 | 1.43 |
//! | 4 | 0.75 | 0.5094 | 3.93 |
//! | 10 | 0.80 | 0.4092 | 1.86 |
//!
//! Cost: O(c), about 5 ns a core, for one latency; [`demand_cores`] takes at most [`BISECTIONS`] of them.

use elementary::{exp, ln};

use crate::PlantSpec;

/// The highest utilisation at which the steady state is a fair picture of an interval of seconds.
///
/// A queue settles within about D / (c (1-√ρ)²): at c = 4, D = 20 ms that is 1 s at ρ = 0.86, 50 s at 0.98. Past
/// it arrivals have changed before the formula's long waits have had time to form.
pub const UTILISATION_CEILING: f64 = 0.98;

/// Halvings in [`demand_cores`]: of 64 cores they leave a millionth of a core.
pub const BISECTIONS: u32 = 26;

/// The kernel's default bandwidth period (`cpu.cfs_period_us`), seconds.
pub(crate) const QUOTA_PERIOD_SECONDS: f64 = 0.1;

/// ln 100: the p99 of an exponential time over its mean.
pub(crate) const SERVICE_P99_FACTOR: f64 = 4.605_170_185_988_092;

/// Chance that an arrival waits at `servers` servers, each busy the share `utilisation` (0..=1) of the time.
///
/// By the recurrence of Erlang's loss formula, B(k) = a B(k-1) / (k + a B(k-1)), which neither overflows nor
/// cancels; then C = B / (1 - ρ (1-B)).
///
/// ```
/// // C(2, ρ) = 2ρ² / (1+ρ): a third at one half.
/// assert!((plant::queueing::erlang_c(2, 0.5) - 1.0 / 3.0).abs() < 1e-15);
/// ```
pub fn erlang_c(servers: u32, utilisation: f64) -> f64 {
    let offered = f64::from(servers) * utilisation;
    let blocked = (1..=servers).fold(1.0, |blocked, busy| offered * blocked / (f64::from(busy) + offered * blocked));
    blocked / (1.0 - utilisation * (1.0 - blocked))
}

/// [`erlang_c`] for a quota with a fraction of a core; below one core, one slower server.
pub fn waiting_probability(cores: f64, utilisation: f64) -> f64 {
    let whole = cores.max(1.0).floor();
    let fraction = cores.max(1.0) - whole;
    let fewer = erlang_c(whole as u32, utilisation);
    if fraction == 0.0 {
        return fewer;
    }
    fewer + fraction * (erlang_c(whole as u32 + 1, utilisation) - fewer)
}

/// Cores left for requests under a limit: without the fixed part, and no more than there are threads.
pub fn service_cores(spec: &PlantSpec, cpu_limit_cores: f64) -> f64 {
    (cpu_limit_cores - spec.cpu_fixed_cores).clamp(0.0, f64::from(spec.max_parallelism))
}

/// Steady-state p99 latency in seconds at `service_cores` (above zero) and `utilisation`, held to
/// [`UTILISATION_CEILING`]. Rises with utilisation, falls with cores.
pub fn p99_latency_seconds(spec: &PlantSpec, service_cores: f64, utilisation: f64) -> f64 {
    latency_seconds(spec, service_cores, utilisation, SERVICE_P99_FACTOR)
}

/// Latency in seconds that the share exp(-`surprise`) of requests exceeds.
pub(crate) fn latency_seconds(spec: &PlantSpec, service_cores: f64, utilisation: f64, surprise: f64) -> f64 {
    let [stretch, wait] = bends(spec, service_cores, utilisation);
    let beyond = |(from, slope): (f64, f64)| slope * (surprise - from).max(0.0);
    spec.base_latency_seconds + beyond(stretch) + beyond(wait)
}

/// Share of requests that take longer than the SLO at `service_cores` (above zero) and `utilisation`, where all wait
/// `behind_seconds` for a backlog: the inverse of [`latency_seconds`].
pub(crate) fn late_share(spec: &PlantSpec, service_cores: f64, utilisation: f64, behind_seconds: f64) -> f64 {
    let room = spec.slo_latency_seconds - spec.base_latency_seconds - behind_seconds;
    if room <= 0.0 {
        return 1.0;
    }
    let [mut first, mut second] = bends(spec, service_cores, utilisation);
    if second.0 < first.0 {
        (first, second) = (second, first);
    }
    let before = (second.0 - first.0) * first.1;
    let at = if before >= room { first.0 + room / first.1 } else { second.0 + (room - before) / (first.1 + second.1) };
    exp(-at)
}

/// Over ln 1/x the latency that the share x exceeds is a line with two bends, where requests are cut short and where they wait:
/// from where on, and how much steeper in seconds. At a utilisation held to [`UTILISATION_CEILING`].
fn bends(spec: &PlantSpec, service_cores: f64, utilisation: f64) -> [(f64, f64); 2] {
    let (utilisation, cpu_seconds) = (utilisation.min(UTILISATION_CEILING), spec.cpu_seconds_per_request);
    let stretch = cpu_seconds * (1.0 / service_cores - 1.0).max(0.0);
    // Without load nobody waits: so rarely is never.
    let waiting = waiting_probability(service_cores, utilisation).max(1e-12);
    let wait = spec.burstiness * cpu_seconds / (service_cores * (1.0 - utilisation));
    [(service_cores * QUOTA_PERIOD_SECONDS / cpu_seconds, stretch), (-ln(waiting), wait)]
}

/// The least CPU limit, in cores, whose steady state meets the SLO at `load` requests/s.
///
/// Without load that is the fixed part alone. A load that the threads cannot carry at any limit yields the largest
/// limit that still helps: fixed cores plus one for each thread.
///
/// Worked, for D = 10 ms, base 50 ms, SLO 100 ms, v = 1, nothing fixed:
///
/// | load /s | busy cores | demand | utilisation |
/// |---|---|---|---|
/// | 50 | 0.5 | 1.22 | 0.41 |
/// | 200 | 2 | 2.79 | 0.72 |
/// | 800 | 8 | 8.85 | 0.90 |
pub fn demand_cores(spec: &PlantSpec, load: f64) -> f64 {
    if load <= 0.0 {
        return spec.cpu_fixed_cores;
    }
    let busy_cores = load * spec.cpu_seconds_per_request;
    let mut low = spec.cpu_fixed_cores + busy_cores;
    let mut high = spec.cpu_fixed_cores + f64::from(spec.max_parallelism);
    if !meets_slo(spec, high, load) {
        return high;
    }
    // Invariant: `high` meets the SLO and `low`, at a utilisation of 1, does not.
    for _ in 0..BISECTIONS {
        let middle = low + (high - low) / 2.0;
        if meets_slo(spec, middle, load) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

fn meets_slo(spec: &PlantSpec, cpu_limit_cores: f64, load: f64) -> bool {
    let cores = service_cores(spec, cpu_limit_cores);
    let busy_cores = load * spec.cpu_seconds_per_request;
    busy_cores <= UTILISATION_CEILING * cores
        && p99_latency_seconds(spec, cores, busy_cores / cores) <= spec.slo_latency_seconds
}

#[cfg(test)]
mod tests;
