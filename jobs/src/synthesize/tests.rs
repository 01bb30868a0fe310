//! Synthetic workloads are what they say they are.

use forecast::lstm::Measure;

use super::*;

fn some() -> Vec<Series> {
    synthesize(&Synthesis { workloads: 120, ..Synthesis::default() })
}

#[test]
fn the_same_seed_gives_the_same_series_and_more_workloads_the_same_first_ones() {
    let what = Synthesis { workloads: 6, ..Synthesis::default() };
    let few = synthesize(&what);
    assert_eq!(few, synthesize(&what));
    let more = synthesize(&Synthesis { workloads: 8, ..what });
    assert_eq!(few[..], more[..few.len()]);
    assert_ne!(few, synthesize(&Synthesis { seed: 2, ..what }));
}

#[test]
fn every_value_can_be_a_reading() {
    for series in some() {
        let values = || series.values.iter().chain(&series.shadow).flatten();
        let place = format!("{} {}", series.name, series.trace);
        assert!(values().all(|value| value.is_finite() && *value >= 0.0), "{place}");
        assert!(values().any(|value| *value > 0.0), "{place} is always idle");
        assert!(series.shadow.is_empty() || series.shadow.len() == series.values.len(), "{place}");
        // Three hours at 1 % each would be a dead agent; half of all readings are there in any case.
        let read = series.values.iter().flatten().count();
        assert!(2 * read > series.values.len(), "{place}: {read} of {}", series.values.len());
        // A reading error of the plant may pass its limit, so a hundredth over it is let through.
        let above = series.limit.map(|limit| series.values.iter().flatten().filter(|v| **v > 1.01 * limit).count());
        assert_eq!(above.unwrap_or(0), 0, "{place} is above its limit");
    }
}

#[test]
fn there_is_some_of_everything() {
    let all = some();
    let count = |of: &dyn Fn(&Series) -> bool| all.iter().filter(|series| of(series)).count();
    for measure in [Measure::Cpu, Measure::Memory, Measure::Rate] {
        assert!(count(&|series| series.measure == measure) >= 20, "{measure:?}");
    }
    for step_ms in [10_000, 60_000, 300_000] {
        assert!(count(&|series| series.step_ms == step_ms) >= 15, "{step_ms}");
    }
    assert!(count(&|series| !series.shadow.is_empty()) >= 10);
    assert!(count(&|series| series.limit.is_some()) >= 40);
    assert!(count(&|series| series.values.contains(&None)) >= 40);
}

/// The correlation of a series with itself so many steps later.
fn echo(series: &Series, lag: usize) -> Option<f64> {
    let pairs = series.values.iter().zip(&series.values[lag.min(series.values.len())..]);
    let pairs: Vec<(f64, f64)> = pairs.filter_map(|(a, b)| Some(((*a)?, (*b)?))).collect();
    let count = pairs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (first, second) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
    let both = mean(&|pair| (pair.0 - first) * (pair.1 - second));
    let spread = mean(&|pair| (pair.0 - first).powi(2)) * mean(&|pair| (pair.1 - second).powi(2));
    (spread > 0.0).then(|| both / spread.sqrt())
}

#[test]
fn days_repeat_themselves_for_services_more_than_for_machines() {
    let all = some();
    let median = |step_ms: u64| {
        let of_step = all.iter().filter(|series| series.step_ms == step_ms && series.measure == Measure::Cpu);
        let mut echoes: Vec<f64> = of_step.filter_map(|series| echo(series, (86_400_000 / step_ms) as usize)).collect();
        echoes.sort_by(f64::total_cmp);
        echoes[echoes.len() / 2]
    };
    // Public traces: 0.15 to 0.17 for machines at 5 min; above 0.9 for five of sixteen services at 1 min.
    let (machines, services) = (median(300_000), median(60_000));
    assert!((0.0..0.5).contains(&machines), "{machines}");
    assert!(services > machines, "{services} {machines}");
}
