//! Series for tests.

use forecast::lstm::Measure;

use crate::traces::Series;

/// A processor's series.
pub(crate) fn series(step_ms: u64, values: Vec<Option<f64>>) -> Series {
    Series {
        trace: "test".to_owned(),
        name: "a".to_owned(),
        tenant: "us".to_owned(),
        profile: None,
        measure: Measure::Cpu,
        step_ms,
        first_step: 0,
        values,
        shadow: Vec::new(),
        limit: None,
    }
}

/// A series of ones, at 1 min.
pub(crate) fn flat(name: &str, steps: usize) -> Series {
    Series { name: name.to_owned(), ..series(60_000, vec![Some(1.0); steps]) }
}
