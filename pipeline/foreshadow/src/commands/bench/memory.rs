//! Bytes that the windows of a series take, once all of them are full.

use std::fs;

use anyhow::Context;
use clap::Args;
use features::Bank;
use serde::Serialize;

use super::Rows;
use super::load::TICK_MS;

/// What the command takes.
#[derive(Args, Debug)]
pub(super) struct Memory {
    /// One JSON object with `rows`.
    #[arg(long)]
    json: bool,
    /// Series to fill.
    #[arg(long, default_value_t = 10_000)]
    series: usize,
    /// Samples a second of each.
    #[arg(long, default_value_t = 10)]
    samples_per_second: u64,
    /// Values lie between 1 and 1 + this.
    #[arg(long, default_value_t = 0.5)]
    spread: f64,
}

#[derive(Serialize)]
struct Row {
    series: usize,
    samples_per_second: u64,
    spread: f64,
    /// By how much the process grew, a series.
    bytes_per_series: f64,
    /// What the windows themselves count.
    counted_bytes_per_series: f64,
}

/// Longer than the longest window, which is then full.
const TICKS: u64 = 960;

/// Fills windows: one case a process, since memory that was given back would hide the next case's growth.
pub(super) fn run(arguments: &Memory) -> anyhow::Result<()> {
    let Memory { series, samples_per_second, spread, .. } = *arguments;
    let before = resident_bytes()?;
    let bank = fill(series, samples_per_second, spread)?;
    let grown = resident_bytes()?.saturating_sub(before) as f64;
    let counted: usize = (0..series).map(|series| bank.memory_bytes(series)).sum();
    let row = Row {
        series,
        samples_per_second,
        spread,
        bytes_per_series: grown / series as f64,
        counted_bytes_per_series: counted as f64 / series as f64,
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&Rows { rows: vec![row] })?);
    } else {
        println!(
            "{samples_per_second} Hz, values from 1 to {}: {:.0} bytes a series, {:.0} by their own count",
            1.0 + spread,
            row.bytes_per_series,
            row.counted_bytes_per_series
        );
    }
    Ok(())
}

/// Values from 1 to 1 + `spread`, series by series.
fn fill(series: usize, samples_per_second: u64, spread: f64) -> anyhow::Result<Bank> {
    let mut bank = Bank::new(TICK_MS)?;
    let numbers: Vec<usize> = (0..series).map(|_| bank.add()).collect();
    let (mut times_ms, mut values) = (Vec::new(), Vec::new());
    let mut seed = 1u64;
    for tick in 0..TICKS {
        times_ms.clear();
        times_ms.extend((0..samples_per_second).map(|at| (tick * TICK_MS) + at * TICK_MS / samples_per_second));
        for &number in &numbers {
            values.clear();
            values.extend(times_ms.iter().map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                1.0 + spread * (seed >> 11) as f64 / (1u64 << 53) as f64
            }));
            bank.fold(number, tick * TICK_MS, &times_ms, &values);
        }
    }
    Ok(bank)
}

/// Memory of this process that is in use.
fn resident_bytes() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/self/statm").context("/proc/self/statm")?;
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).context("/proc/self/statm")?;
    Ok(pages * rustix::param::page_size() as u64)
}
