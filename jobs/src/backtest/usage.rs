//! What a metrics server would report of an instance since it was last asked.

use plant::Reading;

/// Readings since the last [`take`](Self::take). An instance that was killed or is starting reports nothing, and nothing
/// is not zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    cpu_cores_sum: f64,
    readings: u32,
    cpu_limit_cores: f64,
    memory_peak_bytes: f64,
}

/// The usage of one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Used {
    /// Mean CPU, cores.
    pub(crate) cpu_cores: f64,
    /// The CPU limit at the interval's end, cores.
    pub(crate) cpu_limit_cores: f64,
    /// Largest working set, bytes.
    pub(crate) memory_peak_bytes: f64,
}

impl Usage {
    /// Adds a reading; all are taken to cover the same span.
    pub(crate) fn add(&mut self, reading: &Reading) {
        if reading.oom || reading.restarting {
            return;
        }
        self.cpu_cores_sum += reading.cpu_used_cores;
        self.readings += 1;
        self.cpu_limit_cores = reading.cpu_limit_cores;
        self.memory_peak_bytes = self.memory_peak_bytes.max(reading.memory_working_set_bytes);
    }

    /// Ends the interval; none when it held no reading.
    pub(crate) fn take(&mut self) -> Option<Used> {
        let usage = std::mem::take(self);
        (usage.readings > 0).then(|| Used {
            cpu_cores: usage.cpu_cores_sum / f64::from(usage.readings),
            cpu_limit_cores: usage.cpu_limit_cores,
            memory_peak_bytes: usage.memory_peak_bytes,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A reading of a healthy instance; what is not named is idle.
    pub(crate) fn reading(cpu_used_cores: f64, cpu_limit_cores: f64, memory_working_set_bytes: f64) -> Reading {
        Reading {
            cpu_used_cores,
            cpu_limit_cores,
            throttled_ratio: 0.0,
            memory_working_set_bytes,
            memory_limit_bytes: 1_073_741_824.0,
            disk_read_bytes_per_second: 0.0,
            disk_write_bytes_per_second: 0.0,
            network_receive_bytes_per_second: 0.0,
            network_transmit_bytes_per_second: 0.0,
            cpu_pressure_ratio: 0.0,
            memory_pressure_ratio: 0.0,
            io_pressure_ratio: 0.0,
            requests_per_second: 0.0,
            errors_per_second: 0.0,
            late_per_second: 0.0,
            latency_p99_seconds: None,
            oom: false,
            restarting: false,
            violated: false,
        }
    }

    #[test]
    fn an_interval_is_a_mean_and_a_peak_and_empty_is_none() {
        let mut usage = Usage::default();
        assert_eq!(usage.take(), None);
        usage.add(&reading(1.0, 4.0, 500.0));
        usage.add(&reading(2.0, 5.0, 300.0));
        usage.add(&Reading { restarting: true, ..reading(0.0, 5.0, 900.0) });
        assert_eq!(usage.take(), Some(Used { cpu_cores: 1.5, cpu_limit_cores: 5.0, memory_peak_bytes: 500.0 }));
        assert_eq!(usage.take(), None);
    }
}
