//! A primary and its shadow as `plant` models them: queues, limits, throttling.

use forecast::lstm::Measure;
use plant::{Allocation, Plant, ShadowShape, demo_fleet};

use super::dice::Dice;
use super::flaws::Flaws;
use super::workload::{Named, Span, series};
use crate::traces::Series;

/// Most steps of a queueing model within one step of a series: what is read is their mean.
const WITHIN_MAX: u64 = 6;

/// Readings of a member of the demo's fleet, with another size, another load's scale and another shadow.
pub(super) fn readings(named: &Named, span: &Span, dice: &mut Dice) -> Vec<Series> {
    let fleet = demo_fleet();
    let member = &fleet[dice.weighted(&vec![1.0; fleet.len()])];
    let seed = (dice.uniform() * 2f64.powi(53)) as u64;
    let busy = dice.octaves(0.5, 1.5);
    let shape = ShadowShape { size_ratio: dice.between(0.08, 0.3), mirrored_share: 0.0 };
    let shape = ShadowShape { mirrored_share: shape.size_ratio * dice.between(1.1, 2.0), ..shape };
    let initial = Allocation {
        cpu_cores: member.initial.cpu_cores * dice.octaves(0.7, 1.8),
        memory_bytes: member.max.memory_bytes * 2.0,
    };
    let mut primary = Plant::new(member.spec.clone(), seed, initial);
    let mut shadow = Plant::new(member.spec.clone(), !seed, shape.allocation(&member.spec, initial));
    let within = (span.step_ms / 10_000).clamp(1, WITHIN_MAX);
    let dt_ms = span.step_ms / within;
    let mut flaws = Flaws::drawn(span.step_ms, f64::MAX, dice);
    let [mut cpu, mut memory, mut requests, mut of_shadow] = [const { Vec::new() }; 4];
    for step in 0..span.steps as u64 {
        let mut sums = [0.0; 4];
        for part in 0..within {
            let now_ms = (span.first_step + step) * span.step_ms + part * dt_ms;
            let load = busy * member.shape.load(now_ms, seed);
            let read = primary.step(now_ms, dt_ms, 1.0, load);
            let mirrored = shadow.step(now_ms, dt_ms, shape.mirrored_share, load);
            let all =
                [read.cpu_used_cores, read.memory_working_set_bytes, read.requests_per_second, mirrored.cpu_used_cores];
            sums.iter_mut().zip(all).for_each(|(sum, value)| *sum += value / within as f64);
        }
        // An agent that is away reads nothing at all.
        let there = flaws.read(1.0, dice).is_some();
        let lists = [&mut cpu, &mut memory, &mut requests, &mut of_shadow];
        lists.into_iter().zip(sums).for_each(|(list, value)| list.push(there.then_some(value)));
    }
    let limit = Some(initial.cpu_cores);
    vec![
        Series { shadow: of_shadow, limit, ..series(named, span, (Measure::Cpu, "cpu_cores"), cpu) },
        Series { limit: Some(initial.memory_bytes), ..series(named, span, (Measure::Memory, "memory_bytes"), memory) },
        series(named, span, (Measure::Rate, "requests_per_second"), requests),
    ]
}
