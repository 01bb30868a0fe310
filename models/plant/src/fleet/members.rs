//! The members of the demo fleet, each with the reason for its figures.

use crate::load::{BatchBursts, Burst, Daily, Erratic, FlashCrowd, LoadShape, Pattern, Ramp};
use crate::{Allocation, FleetMember, PerRequestBytes, PlantSpec, ScaleDown, ShadowShape};

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;
const POOL: &str = "main";

/// List price of an on-demand core-hour, currency units: what idle costs for all of them.
const CORE_HOUR_PRICE: f64 = 0.04;

/// A tenth of the primary at a quarter more load per core, k = 1.25: as it is always on, its size is what it costs, and a
/// quota that small has little headroom whatever the amplification, which is what it is to show. At k = 1.5 it would be
/// saturated, and show nothing, whenever the primary's utilisation is above two thirds.
const SHADOW: Option<ShadowShape> = Some(ShadowShape { size_ratio: 0.1, mirrored_share: 0.125 });

/// A shop's front end: people's days, and a crowd at 13:00 that more than doubles lunch within three minutes. A lost
/// sale costs 19 times an idle core, so q* = 0.95.
pub(super) fn web() -> FleetMember {
    FleetMember {
        workload: "web",
        tenant: "shop",
        profile: "daily",
        pool: POOL,
        spec: PlantSpec {
            cpu_seconds_per_request: 0.004,
            burstiness: 3.0,
            slo_latency_seconds: 0.08,
            base_latency_seconds: 0.04,
            memory_per_request_rate_bytes: 1.25 * MIB,
            actuation_delay_ms: 60_000,
            ..service()
        },
        shape: LoadShape {
            pattern: Pattern::Daily(Daily {
                trough_requests_per_second: 240.0,
                peak_requests_per_second: 1_200.0,
                lunch_ratio: 0.75,
                weekend_ratio: 0.8,
            }),
            noise_ratio: 0.05,
            flash_crowd: Some(FlashCrowd {
                start_minute: 780.0,
                ramp_minutes: 3.0,
                hold_minutes: 6.0,
                decay_minutes: 10.0,
                peak_multiple: 2.8,
                chance_per_day: 1.0,
            }),
        },
        initial: allocation(5.0, 6.0),
        min: allocation(0.5, 1.0),
        max: allocation(14.0, 12.0),
        shadow: SHADOW,
        cost_of_idle_per_core_hour: CORE_HOUR_PRICE,
        cost_of_unmet_per_core_hour: 19.0 * CORE_HOUR_PRICE,
    }
}

/// A payment API: cheap calls, many, and a tight promise. Unmet demand costs 49 times an idle core: q* = 0.98.
pub(super) fn api() -> FleetMember {
    FleetMember {
        workload: "api",
        tenant: "payments",
        profile: "daily",
        pool: POOL,
        spec: PlantSpec {
            cpu_seconds_per_request: 0.003,
            burstiness: 2.0,
            slo_latency_seconds: 0.06,
            base_latency_seconds: 0.03,
            memory_fixed_bytes: 2.0 * GIB,
            memory_per_request_rate_bytes: 1.5 * MIB,
            actuation_delay_ms: 45_000,
            ..service()
        },
        shape: LoadShape {
            pattern: Pattern::Daily(Daily {
                trough_requests_per_second: 500.0,
                peak_requests_per_second: 1_200.0,
                lunch_ratio: 0.9,
                weekend_ratio: 0.7,
            }),
            noise_ratio: 0.03,
            flash_crowd: None,
        },
        initial: allocation(5.0, 6.0),
        min: allocation(1.0, 2.5),
        max: allocation(10.0, 12.0),
        shadow: SHADOW,
        cost_of_idle_per_core_hour: CORE_HOUR_PRICE,
        cost_of_unmet_per_core_hour: 49.0 * CORE_HOUR_PRICE,
    }
}

/// A small service that leaks: two thirds of a GiB in use at first, so the 2 GiB it starts with are gone after four and a half
/// hours.
pub(super) fn leaker() -> FleetMember {
    FleetMember {
        workload: "leaker",
        tenant: "shop",
        profile: "steady",
        pool: POOL,
        spec: PlantSpec {
            burstiness: 2.0,
            memory_fixed_bytes: 0.5 * GIB,
            leak_bytes_per_hour: 300.0 * MIB,
            memory_oom_restart_seconds: 30.0,
            ..service()
        },
        shape: LoadShape { pattern: Pattern::Steady(80.0), noise_ratio: 0.05, flash_crowd: None },
        initial: allocation(1.2, 2.0),
        min: allocation(0.25, 0.75),
        max: allocation(3.0, 8.0),
        shadow: SHADOW,
        cost_of_idle_per_core_hour: CORE_HOUR_PRICE,
        cost_of_unmet_per_core_hour: 9.0 * CORE_HOUR_PRICE,
    }
}

/// Reports: items of one core-second, by the clock, with half a minute of patience. Unmet demand costs three times
/// an idle core (q* = 0.75). Mirroring would do the work twice, so it has no shadow.
pub(super) fn batch() -> FleetMember {
    let job =
        |start_minute, length_minutes, requests_per_second| Burst { start_minute, length_minutes, requests_per_second };
    FleetMember {
        workload: "batch",
        tenant: "reports",
        profile: "batch",
        pool: POOL,
        spec: PlantSpec {
            cpu_seconds_per_request: 1.0,
            burstiness: 1.0,
            slo_latency_seconds: 30.0,
            base_latency_seconds: 8.0,
            memory_per_request_rate_bytes: 128.0 * MIB,
            queue_limit_requests: 4_000.0,
            bytes: PerRequestBytes {
                disk_read: 24.0 * MIB,
                disk_write: 4.0 * MIB,
                network_receive: 1.0 * MIB,
                network_transmit: 1.0 * MIB,
            },
            actuation_delay_ms: 120_000,
            scale_down: ScaleDown::Delayed,
            ..service()
        },
        shape: LoadShape {
            pattern: Pattern::Batch(BatchBursts {
                idle_requests_per_second: 0.05,
                bursts: vec![job(120.0, 45.0, 5.0), job(770.0, 25.0, 4.0)],
                length_jitter_ratio: 0.15,
            }),
            noise_ratio: 0.02,
            flash_crowd: None,
        },
        initial: allocation(0.5, 2.0),
        min: allocation(0.25, 1.5),
        max: allocation(8.0, 8.0),
        shadow: None,
        cost_of_idle_per_core_hour: CORE_HOUR_PRICE,
        cost_of_unmet_per_core_hour: 3.0 * CORE_HOUR_PRICE,
    }
}

/// A tenant's experiment: regimes, bursts, nothing to forecast. The honest answer to it is a wide interval.
pub(super) fn noisy() -> FleetMember {
    FleetMember {
        workload: "noisy",
        tenant: "lab",
        profile: "erratic",
        pool: POOL,
        spec: PlantSpec {
            cpu_seconds_per_request: 0.01,
            burstiness: 3.0,
            slo_latency_seconds: 0.25,
            base_latency_seconds: 0.06,
            memory_per_request_rate_bytes: 4.0 * MIB,
            ..service()
        },
        shape: LoadShape {
            pattern: Pattern::Erratic(Erratic {
                levels_requests_per_second: vec![20.0, 60.0, 140.0],
                regime_minutes: 20,
                burst_chance_per_minute: 0.05,
                burst_multiple_max: 3.0,
            }),
            noise_ratio: 0.15,
            flash_crowd: None,
        },
        initial: allocation(2.0, 3.5),
        min: allocation(0.25, 1.0),
        max: allocation(6.0, 5.0),
        shadow: SHADOW,
        cost_of_idle_per_core_hour: CORE_HOUR_PRICE,
        cost_of_unmet_per_core_hour: 9.0 * CORE_HOUR_PRICE,
    }
}

/// Consumers of an order queue that fills from nine until two. Few threads: past eight cores, CPU does not help.
pub(super) fn queue_worker() -> FleetMember {
    FleetMember {
        workload: "queue-worker",
        tenant: "shop",
        profile: "ramp",
        pool: POOL,
        spec: PlantSpec {
            cpu_seconds_per_request: 0.05,
            max_parallelism: 8,
            burstiness: 1.5,
            slo_latency_seconds: 2.0,
            base_latency_seconds: 0.3,
            memory_per_request_rate_bytes: 16.0 * MIB,
            actuation_delay_ms: 90_000,
            scale_down: ScaleDown::Delayed,
            ..service()
        },
        shape: LoadShape {
            pattern: Pattern::Ramp(Ramp {
                low_requests_per_second: 8.0,
                high_requests_per_second: 60.0,
                start_minute: 540.0,
                rise_minutes: 240.0,
                hold_minutes: 60.0,
                fall_minutes: 60.0,
            }),
            noise_ratio: 0.06,
            flash_crowd: None,
        },
        initial: allocation(1.0, 3.0),
        min: allocation(0.25, 1.0),
        max: allocation(8.0, 4.0),
        shadow: SHADOW,
        cost_of_idle_per_core_hour: CORE_HOUR_PRICE,
        cost_of_unmet_per_core_hour: 9.0 * CORE_HOUR_PRICE,
    }
}

/// A small network service; the members above state where they differ.
fn service() -> PlantSpec {
    PlantSpec {
        cpu_seconds_per_request: 0.005,
        cpu_fixed_cores: 0.05,
        max_parallelism: 32,
        burstiness: 1.0,
        memory_fixed_bytes: 0.75 * GIB,
        memory_per_request_rate_bytes: 2.0 * MIB,
        memory_per_queued_request_bytes: 0.125 * MIB,
        leak_bytes_per_hour: 0.0,
        memory_oom_restart_seconds: 20.0,
        slo_latency_seconds: 0.1,
        base_latency_seconds: 0.03,
        queue_limit_requests: 2_000.0,
        bytes: PerRequestBytes {
            disk_read: 1_000.0,
            disk_write: 4_000.0,
            network_receive: 2_000.0,
            network_transmit: 10_000.0,
        },
        disk_bytes_per_second_max: 200.0 * MIB,
        actuation_delay_ms: 30_000,
        scale_down: ScaleDown::Immediate,
    }
}

fn allocation(cpu_cores: f64, memory_gib: f64) -> Allocation {
    Allocation { cpu_cores, memory_bytes: memory_gib * GIB }
}
