//! Temporary.
#![allow(clippy::print_stdout)]
use std::time::Instant;
fn main() {
    for (series, per_tick) in [(1usize, 10u64), (1, 1), (5_000, 10), (5_000, 1)] {
        let mut all: Vec<_> = (0..series).map(|_| features::SeriesWindows::new(1000).expect("ok")).collect();
        let mut seed = 1u64;
        let ticks: u64 = if series == 1 { 200_000 } else { 1000 };
        let (mut fold, mut read) = (0u128, 0u128);
        let mut total = 0.0;
        for tick in 0..ticks {
            let values: Vec<_> = (0..per_tick).map(|i| { seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); (tick*1000 + i*1000/per_tick, 1.0 + (seed>>11) as f64 / (1u64<<53) as f64 * 0.3) }).collect();
            let t = Instant::now();
            for s in &mut all { s.fold(tick*1000, &values); }
            fold += t.elapsed().as_nanos();
            let t = Instant::now();
            for s in &all { for f in s.features(tick*1000).into_iter().flatten() { total += f.p95; } }
            read += t.elapsed().as_nanos();
        }
        let n = (series as u128) * ticks as u128;
        println!("series {series} per_tick {per_tick}: fold {} ns read {} ns {total}", fold/n, read/n);
    }
}
