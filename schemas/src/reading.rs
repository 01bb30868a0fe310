//! The readings of a sample: one table from which the metrics, the columns and the OpenTelemetry mapping come.

use crate::{Bytes, BytesPerSecond, Cores, PerSecond, Ratio, Sample, Seconds};

/// Why a reading cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ReadingFault {
    /// Not a number, or infinite.
    #[error("{0} is not a finite number: send null for a reading that was not taken")]
    NotFinite(&'static str),
    /// Below zero.
    #[error("{0} is {1}: usage is never negative; after a counter's reset send null")]
    Negative(&'static str, f64),
    /// Beyond [`READING_MAX`].
    #[error("{0} is {1:e}: no machine has more than {READING_MAX:e}, check the unit")]
    Beyond(&'static str, f64),
    /// A share above one.
    #[error("{0} is {1}: a ratio lies between 0 and 1, not in percent")]
    AboveOne(&'static str, f64),
}

/// Largest reading that is believed, in any unit: a petabyte, or as many a second.
pub const READING_MAX: f64 = 1e15;

/// Rounding may lift a share a little above one; more than this is a wrong unit.
const RATIO_MAX: f64 = 1.001;

macro_rules! readings {
    ($($(#[$doc:meta])* $variant:ident, $field:ident: $unit:ident, $otel:expr;)*) => {
        /// One kind of reading; in records it goes by its column's name.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
            schemars::JsonSchema,
        )]
        #[serde(into = "&'static str", try_from = "String")]
        #[schemars(with = "String")]
        pub enum Metric { $(#[doc = concat!("`", stringify!($field), "`")] $variant,)* }

        impl Metric {
            /// Every metric, in column order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The column's name, with its unit last.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field),)* }
            }

            /// The metric of a column's name.
            #[must_use]
            pub fn of_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($field) => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The unit's symbol in OpenTelemetry's notation.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit::SYMBOL,)* }
            }

            /// The metric's name in OpenTelemetry's semantic conventions, and the attribute that selects it.
            ///
            /// Names under `foreshadow.` are ours: the conventions have none for them.
            #[must_use]
            pub const fn otel(self) -> (&'static str, Option<(&'static str, &'static str)>) {
                match self { $(Self::$variant => $otel,)* }
            }
        }

        impl Sample {
            /// A reading as a bare number; `None` when it was not taken.
            #[must_use]
            pub fn reading(&self, metric: Metric) -> Option<f64> {
                match metric { $(Metric::$variant => self.$field.map($unit::get),)* }
            }

            /// Replaces a reading.
            pub fn set(&mut self, metric: Metric, value: Option<f64>) {
                match metric { $(Metric::$variant => self.$field = value.map($unit::new),)* }
            }
        }
    };
}

// The mapping follows OpenTelemetry's semantic conventions 1.44.
readings! {
    CpuUsed, cpu_used_cores: Cores, ("container.cpu.usage", None);
    CpuLimit, cpu_limit_cores: Cores, ("k8s.container.cpu.limit.current", None);
    CpuThrottled, cpu_throttled_ratio: Ratio, ("foreshadow.container.cpu.throttled", None);
    MemoryWorkingSet, memory_working_set_bytes: Bytes, ("container.memory.working_set", None);
    MemoryLimit, memory_limit_bytes: Bytes, ("k8s.container.memory.limit.current", None);
    DiskRead, disk_read_bytes_per_second: BytesPerSecond, ("container.disk.io", Some(("disk.io.direction", "read")));
    DiskWrite, disk_write_bytes_per_second: BytesPerSecond, ("container.disk.io", Some(("disk.io.direction", "write")));
    NetworkReceive, network_receive_bytes_per_second: BytesPerSecond, ("container.network.io", Some(("network.io.direction", "receive")));
    NetworkTransmit, network_transmit_bytes_per_second: BytesPerSecond, ("container.network.io", Some(("network.io.direction", "transmit")));
    CpuPressure, cpu_pressure_ratio: Ratio, ("foreshadow.container.pressure", Some(("foreshadow.resource", "cpu")));
    MemoryPressure, memory_pressure_ratio: Ratio, ("foreshadow.container.pressure", Some(("foreshadow.resource", "memory")));
    IoPressure, io_pressure_ratio: Ratio, ("foreshadow.container.pressure", Some(("foreshadow.resource", "io")));
    Requests, requests_per_second: PerSecond, ("foreshadow.server.requests", None);
    Errors, errors_per_second: PerSecond, ("foreshadow.server.errors", None);
    Late, late_per_second: PerSecond, ("foreshadow.server.late", None);
    Mirrorable, mirrorable_per_second: PerSecond, ("foreshadow.server.mirrorable", None);
    LatencyP99, latency_p99_seconds: Seconds, ("foreshadow.server.latency.p99", None);
    HostCpuUsed, host_cpu_used_ratio: Ratio, ("foreshadow.host.cpu.used", None);
    HostCpuStolen, host_cpu_stolen_ratio: Ratio, ("system.cpu.utilization", Some(("cpu.mode", "steal")));
}

impl From<Metric> for &'static str {
    fn from(metric: Metric) -> Self {
        metric.name()
    }
}

impl TryFrom<String> for Metric {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::of_name(&name).ok_or_else(|| format!("unknown metric {name}"))
    }
}

impl Metric {
    /// How many metrics there are: the points of one whole sample.
    pub const COUNT: usize = Self::ALL.len();

    /// The metric's place in column order.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether every one of many values would pass [`Metric::check`].
    #[must_use]
    pub fn all_good(self, values: &[f64]) -> bool {
        let most = if self.unit() == Ratio::SYMBOL { RATIO_MAX } else { READING_MAX };
        values.iter().fold(true, |good, value| good & (*value >= 0.0) & (*value <= most))
    }

    /// Checks a value of this metric.
    ///
    /// # Errors
    /// [`ReadingFault`] when the value is not finite, negative, beyond [`READING_MAX`], or a ratio above one.
    pub fn check(self, value: f64) -> Result<(), ReadingFault> {
        if !value.is_finite() {
            return Err(ReadingFault::NotFinite(self.name()));
        }
        if value < 0.0 {
            return Err(ReadingFault::Negative(self.name(), value));
        }
        if value > READING_MAX {
            return Err(ReadingFault::Beyond(self.name(), value));
        }
        if self.unit() == Ratio::SYMBOL && value > RATIO_MAX {
            return Err(ReadingFault::AboveOne(self.name(), value));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_maps_to_one_otel_series_of_its_own() {
        let mut series: Vec<_> = Metric::ALL.iter().map(|metric| metric.otel()).collect();
        series.sort();
        series.dedup();
        assert_eq!(series.len(), Metric::COUNT);
    }

    #[test]
    fn units_stand_last_in_names() {
        for metric in Metric::ALL {
            let expected = match metric.unit() {
                "{cpu}" => "_cores",
                "By" => "_bytes",
                "By/s" => "_bytes_per_second",
                "1" => "_ratio",
                "1/s" => "_per_second",
                "s" => "_seconds",
                other => panic!("unit {other} has no suffix"),
            };
            assert!(metric.name().ends_with(expected), "{}", metric.name());
        }
    }

    #[test]
    fn impossible_readings_are_named() {
        assert_eq!(Metric::CpuUsed.check(-0.5), Err(ReadingFault::Negative("cpu_used_cores", -0.5)));
        assert!(matches!(Metric::CpuUsed.check(f64::NAN), Err(ReadingFault::NotFinite(_))));
        assert_eq!(Metric::CpuPressure.check(35.0), Err(ReadingFault::AboveOne("cpu_pressure_ratio", 35.0)));
        assert!(matches!(Metric::MemoryLimit.check(1e16), Err(ReadingFault::Beyond(..))));
        assert_eq!(Metric::CpuPressure.check(1.0), Ok(()));
    }

    #[test]
    fn all_are_good_when_each_is() {
        for bad in [f64::NAN, f64::INFINITY, -0.5, 35.0] {
            assert_eq!(Metric::CpuPressure.all_good(&[0.0, 0.5, 1.0, bad]), Metric::CpuPressure.check(bad).is_ok());
        }
        assert!(Metric::CpuPressure.all_good(&[0.0, 1.0]));
    }
}
