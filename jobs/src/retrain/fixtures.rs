//! Series for tests.

use forecast::lstm::Measure;

use crate::traces::Series;

/// A series of ones, at 1 min.
pub(crate) fn flat(name: &str, steps: usize) -> Series {
    Series {
        trace: "test".to_owned(),
        name: name.to_owned(),
        tenant: "us".to_owned(),
        measure: Measure::Cpu,
        step_ms: 60_000,
        first_step: 0,
        values: vec![Some(1.0); steps],
        shadow: Vec::new(),
        limit: None,
    }
}
