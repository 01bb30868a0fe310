//! A workload under an allocation, one step at a time.
//!
//! A step covers [now, now + dt) with the allocation usable at `now` and one load throughout. CPU serves what fits;
//! the rest waits ([`crate::queueing`], fluid backlog). Memory is
//!
//! ```text
//! working set = fixed + per request/s · arrivals + per waiting request · backlog + leaked
//! ```
//!
//! and a working set above the limit is an OOM kill: the step's requests and the backlog are lost, nobody is served
//! until the restart is over, and the leak starts again from zero.
//!
//! A shadow is a second plant of the same specification with its own seed, a share of the load and less of
//! everything; see [`crate::ShadowShape`].
//!
//! Whether the SLO is missed goes by the p99 of the steady state. What is read of latency is an interval's own, in which
//! the slowest come by chance ([`crate::slowest`]).
//!
//! dt matters little: the backlog is solved exactly within a step. What depends on it is bounded by one dt: landings,
//! kills and restarts take effect at the next step, and a load that changes within a step is seen at its start.

use elementary::ln;

use crate::backlog::{self, Flow};
use crate::queueing::{UTILISATION_CEILING, late_share, latency_seconds, p99_latency_seconds, service_cores};
use crate::slowest::Slowest;
use crate::stress::{cpu_pressure_ratio, io_pressure_ratio, is_cpu_bound, memory_pressure_ratio, throttled_ratio};
use crate::{Actuation, Allocation, PlantSpec, Reading, demand, noise};

/// Share of an interval that must be backlogged before its p99 is that of the backlogged requests.
const P99_TAIL: f64 = 0.01;

/// Standard error of one CPU, disk or network reading: counters and the clock are read a few ms apart.
const READING_ERROR: f64 = 0.01;

/// Most that a working set lies below its peak when read: the allocator gives pages back between peaks.
const MEMORY_DIP: f64 = 0.01;

/// One instance of a workload.
#[derive(Clone, Debug)]
pub struct Plant {
    spec: PlantSpec,
    seed: u64,
    actuation: Actuation,
    backlog_requests: f64,
    leaked_bytes: f64,
    restart_until_ms: u64,
}

/// The circumstances of one step.
struct Interval {
    now_ms: u64,
    seconds: f64,
    arrivals: f64,
    limit: Allocation,
}

/// Latency of one step: what is seen of its requests, and whether the steady state misses the SLO.
#[derive(Clone, Copy)]
struct Latency {
    late: f64,
    p99_seconds: Option<f64>,
    is_slow: bool,
}

impl Plant {
    /// A freshly started instance with `initial` in force. Each instance needs its own `seed`.
    ///
    /// # Panics
    /// When the specification has [`PlantSpec::faults`].
    pub fn new(spec: PlantSpec, seed: u64, initial: Allocation) -> Self {
        let faults = spec.faults();
        assert!(faults.is_empty(), "unsound plant: {}", faults.join("; "));
        let actuation = Actuation::new(spec.actuation_delay_ms, spec.scale_down, initial);
        Self { spec, seed, actuation, backlog_requests: 0.0, leaked_bytes: 0.0, restart_until_ms: 0 }
    }

    /// Asks for another allocation; see [`Actuation::request`].
    pub fn request(&mut self, target: Allocation, now_ms: u64) -> Option<u64> {
        self.actuation.request(target, now_ms)
    }

    /// The allocation in force as of the last request or step.
    pub fn allocation(&self) -> Allocation {
        self.actuation.in_force()
    }

    /// The least allocation that meets the SLO at a steady `load` requests/s with what this instance has leaked.
    pub fn demand(&self, load: f64) -> Allocation {
        let fresh = demand(&self.spec, load);
        Allocation { memory_bytes: fresh.memory_bytes + self.leaked_bytes, ..fresh }
    }

    /// Serves `load_share` (1 for a primary, p for a shadow) of `load` requests/s over [now, now + dt).
    ///
    /// A leak follows the share, as it comes from the requests.
    ///
    /// # Panics
    /// When `dt_ms` is zero, or the load or its share is negative or not finite.
    pub fn step(&mut self, now_ms: u64, dt_ms: u64, load_share: f64, load: f64) -> Reading {
        let arrivals = load * load_share;
        assert!(dt_ms > 0 && load_share >= 0.0 && (0.0..f64::INFINITY).contains(&arrivals), "unsound step");
        let limit = self.actuation.advance(now_ms);
        let step = Interval { now_ms, seconds: dt_ms as f64 / 1_000.0, arrivals, limit };
        if now_ms < self.restart_until_ms {
            return self.restart_reading(&step);
        }
        let capacity = service_cores(&self.spec, limit.cpu_cores) / self.spec.cpu_seconds_per_request;
        let waiting = self.backlog_requests;
        let flow = backlog::advance(waiting, arrivals, capacity, self.spec.queue_limit_requests, step.seconds);
        self.leaked_bytes += self.spec.leak_bytes_per_hour * load_share * step.seconds / 3_600.0;
        self.backlog_requests = flow.backlog_after;
        let working_set_bytes = self.working_set_bytes(arrivals);
        if working_set_bytes > limit.memory_bytes {
            return self.oom_reading(&step, waiting, now_ms + dt_ms);
        }
        self.serving_reading(&step, &flow, working_set_bytes)
    }

    fn working_set_bytes(&self, arrivals: f64) -> f64 {
        let waiting_bytes = self.spec.memory_per_queued_request_bytes * self.backlog_requests;
        self.spec.memory_bytes(arrivals) + self.leaked_bytes + waiting_bytes
    }

    fn serving_reading(&self, step: &Interval, flow: &Flow, working_set_bytes: f64) -> Reading {
        let served_per_second = flow.served / step.seconds;
        let cpu_cores = self.spec.cpu_fixed_cores + served_per_second * self.spec.cpu_seconds_per_request;
        let read_bytes = self.dip(working_set_bytes, step.now_ms);
        let latency = (flow.served > 0.0).then(|| self.latency(step, flow));
        let mut reading = Reading {
            cpu_used_cores: self.blur(cpu_cores, noise::CPU_READING, step.now_ms).min(step.limit.cpu_cores),
            throttled_ratio: self.throttled(step, flow),
            cpu_pressure_ratio: self.cpu_pressure(step, flow),
            memory_working_set_bytes: read_bytes,
            memory_pressure_ratio: memory_pressure_ratio(read_bytes, step.limit.memory_bytes),
            errors_per_second: flow.dropped / step.seconds,
            late_per_second: latency.map_or(0.0, |latency| latency.late / step.seconds),
            latency_p99_seconds: latency.and_then(|latency| latency.p99_seconds),
            restarting: false,
            violated: latency.is_some_and(|latency| latency.is_slow) || flow.growing || flow.dropped > 0.0,
            ..self.restart_reading(step)
        };
        self.add_traffic(&mut reading, self.blur(served_per_second, noise::TRAFFIC_READING, step.now_ms));
        reading
    }

    /// Ends the instance: what it was doing and what was waiting is lost with it.
    fn oom_reading(&mut self, step: &Interval, waiting: f64, end_ms: u64) -> Reading {
        self.backlog_requests = 0.0;
        self.leaked_bytes = 0.0;
        self.restart_until_ms = end_ms + (self.spec.memory_oom_restart_seconds * 1_000.0) as u64;
        Reading {
            memory_working_set_bytes: step.limit.memory_bytes,
            memory_pressure_ratio: 1.0,
            errors_per_second: step.arrivals + waiting / step.seconds,
            oom: true,
            restarting: false,
            ..self.restart_reading(step)
        }
    }

    /// An instance that starts: it runs its fixed part and fails every request. The other readings differ from it.
    fn restart_reading(&self, step: &Interval) -> Reading {
        Reading {
            cpu_used_cores: self.spec.cpu_fixed_cores.min(step.limit.cpu_cores),
            cpu_limit_cores: step.limit.cpu_cores,
            throttled_ratio: 0.0,
            memory_working_set_bytes: self.spec.memory_fixed_bytes.min(step.limit.memory_bytes),
            memory_limit_bytes: step.limit.memory_bytes,
            disk_read_bytes_per_second: 0.0,
            disk_write_bytes_per_second: 0.0,
            network_receive_bytes_per_second: 0.0,
            network_transmit_bytes_per_second: 0.0,
            cpu_pressure_ratio: 0.0,
            memory_pressure_ratio: 0.0,
            io_pressure_ratio: 0.0,
            requests_per_second: step.arrivals,
            errors_per_second: step.arrivals,
            late_per_second: 0.0,
            latency_p99_seconds: None,
            oom: false,
            restarting: true,
            violated: true,
        }
    }

    /// Needs a flow that served someone, so with cores to serve on.
    fn latency(&self, step: &Interval, flow: &Flow) -> Latency {
        let cores = service_cores(&self.spec, step.limit.cpu_cores);
        let (behind_seconds, utilisation) = self.queue(step, flow);
        let late_share = late_share(&self.spec, cores, utilisation, behind_seconds);
        let uniform = |drawn| noise::uniform(self.seed, noise::SLOWEST + drawn, step.now_ms);
        let normal = || noise::normal(self.seed, noise::SLOWEST_REST, step.now_ms);
        let Slowest { late, rarity } = Slowest::of(flow.served, late_share, uniform, normal);
        let seconds = |rarity: f64| latency_seconds(&self.spec, cores, utilisation, -ln(rarity));
        let steady_seconds = p99_latency_seconds(&self.spec, cores, utilisation);
        Latency {
            late,
            p99_seconds: rarity.map(|rarity| behind_seconds + seconds(rarity)),
            is_slow: behind_seconds + steady_seconds > self.spec.slo_latency_seconds,
        }
    }

    /// How long requests wait for the backlog, in seconds, and the utilisation beside it.
    fn queue(&self, step: &Interval, flow: &Flow) -> (f64, f64) {
        if flow.saturated_share <= P99_TAIL {
            return (0.0, self.utilisation(step));
        }
        let cores = service_cores(&self.spec, step.limit.cpu_cores);
        (flow.backlog_peak * self.spec.cpu_seconds_per_request / cores, UTILISATION_CEILING)
    }

    fn utilisation(&self, step: &Interval) -> f64 {
        step.arrivals * self.spec.cpu_seconds_per_request / service_cores(&self.spec, step.limit.cpu_cores)
    }

    /// Every period is cut short while a backlog waits for CPU; the rest follows the law of [`crate::stress`].
    fn throttled(&self, step: &Interval, flow: &Flow) -> f64 {
        self.over_step(step, flow, throttled_ratio(&self.spec, step.limit.cpu_cores, step.arrivals))
    }

    fn cpu_pressure(&self, step: &Interval, flow: &Flow) -> f64 {
        if step.arrivals == 0.0 {
            return self.over_step(step, flow, 0.0);
        }
        self.over_step(step, flow, cpu_pressure_ratio(&self.spec, step.limit.cpu_cores, self.utilisation(step)))
    }

    /// The mean over the step of a CPU ratio that is 1 while backlogged and `otherwise` for the rest.
    fn over_step(&self, step: &Interval, flow: &Flow, otherwise: f64) -> f64 {
        let is_bound = is_cpu_bound(&self.spec, step.limit.cpu_cores);
        let backlogged = if is_bound { flow.saturated_share } else { 0.0 };
        backlogged + (1.0 - backlogged) * otherwise
    }

    fn add_traffic(&self, reading: &mut Reading, served_per_second: f64) {
        let bytes = self.spec.bytes;
        reading.disk_read_bytes_per_second = bytes.disk_read * served_per_second;
        reading.disk_write_bytes_per_second = bytes.disk_write * served_per_second;
        reading.network_receive_bytes_per_second = bytes.network_receive * served_per_second;
        reading.network_transmit_bytes_per_second = bytes.network_transmit * served_per_second;
        let disk_bytes_per_second = (bytes.disk_read + bytes.disk_write) * served_per_second;
        reading.io_pressure_ratio = io_pressure_ratio(&self.spec, disk_bytes_per_second);
    }

    fn blur(&self, value: f64, stream: u64, now_ms: u64) -> f64 {
        value * (1.0 + READING_ERROR * noise::normal(self.seed, stream, now_ms))
    }

    fn dip(&self, peak_bytes: f64, now_ms: u64) -> f64 {
        peak_bytes * (1.0 - MEMORY_DIP * noise::uniform(self.seed, noise::MEMORY_READING, now_ms))
    }
}

#[cfg(test)]
mod tests;
