//! One workload: its load, and the readings of it, which go up and down together.

use forecast::lstm::Measure;

use super::calendar::DAY_MS;
use super::dice::Dice;
use super::flaws::Flaws;
use super::load::{Bursty, Cluster, Load, Machine, People, Scheduled, Trickle, Walk};
use super::memory::Memory;
use super::pair;
use crate::traces::Series;

/// What all of them are of; the reading follows.
const TRACE: &str = "synthetic";

/// Steps, how many workloads have each, and for how many days a workload of it is drawn.
const STEPS: [(u64, f64, [f64; 2]); 3] =
    [(300_000, 0.5, [8.0, 17.0]), (60_000, 0.33, [2.5, 9.0]), (10_000, 0.17, [0.5, 1.4])];

/// How many workloads of each step have a load of each family, in the order of [`family`]; the last is a plant.
const FAMILIES: [[f64; 8]; 3] = [
    [0.15, 0.03, 0.30, 0.10, 0.15, 0.10, 0.15, 0.02],
    [0.42, 0.08, 0.10, 0.10, 0.08, 0.04, 0.10, 0.08],
    [0.20, 0.36, 0.05, 0.05, 0.10, 0.02, 0.07, 0.15],
];

/// The place of [`Trickle`] among the families.
const TRICKLE: usize = 5;

/// Workloads begin within so many days after 2024-01-01, a Monday.
const BEGIN: (u64, f64) = (19_723, 600.0);

/// The day on which a workload's readings begin, and how they go on.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) step_ms: u64,
    pub(super) first_step: u64,
    pub(super) steps: usize,
}

/// Which workload it is.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) tenant: String,
}

/// All series of a workload.
pub(super) fn workload(named: &Named, mut dice: Dice) -> Vec<Series> {
    let row = dice.weighted(&STEPS.map(|(_, share, _)| share));
    let (step_ms, _, [shortest, longest]) = STEPS[row];
    let begin_ms = BEGIN.0 * DAY_MS + (dice.uniform() * BEGIN.1 * DAY_MS as f64) as u64;
    let days = dice.between(shortest, longest);
    let span =
        Span { step_ms, first_step: begin_ms / step_ms, steps: (days * DAY_MS as f64 / step_ms as f64) as usize };
    let chosen = dice.weighted(&FAMILIES[row]);
    match family(chosen, step_ms, &mut dice) {
        Some(load) => readings(named, &span, chosen == TRICKLE, load, &mut dice),
        None => pair::readings(named, &span, &mut dice),
    }
}

fn family(chosen: usize, step_ms: u64, dice: &mut Dice) -> Option<Box<dyn Load>> {
    Some(match chosen {
        0 => Box::new(People::drawn(step_ms, dice)),
        1 => Box::new(Cluster::drawn(step_ms, dice)),
        2 => Box::new(Machine::drawn(step_ms, dice)),
        3 => Box::new(Scheduled::drawn(step_ms, dice)),
        4 => Box::new(Walk::drawn(step_ms, dice)),
        5 => Box::new(Trickle::drawn(step_ms, dice)),
        6 => Box::new(Bursty::drawn(step_ms, dice)),
        _ => return None,
    })
}

/// CPU, and for some of them memory and a rate beside it; what trickles is seldom CPU.
fn readings(named: &Named, span: &Span, trickles: bool, mut load: Box<dyn Load>, dice: &mut Dice) -> Vec<Series> {
    let time_ms = |step: usize| (span.first_step + step as u64) * span.step_ms;
    let course: Vec<f64> = (0..span.steps).map(|step| load.next(time_ms(step), dice)).collect();
    let mut all = Vec::new();
    let rate_only = dice.chance(if trickles { 0.7 } else { 0.12 });
    if !rate_only {
        all.push(cpu(named, span, &course, dice));
    }
    if rate_only || dice.chance(0.35) {
        all.push(rate(named, span, &course, dice));
    }
    if !rate_only && dice.chance(0.4) {
        all.push(memory(named, span, &course, dice));
    }
    all
}

/// A fixed part and the load's, up to a limit where there is one; where there is a shadow, its share of the load on less.
fn cpu(named: &Named, span: &Span, course: &[f64], dice: &mut Dice) -> Series {
    let cores = dice.octaves(0.05, 8.0);
    let fixed = if dice.chance(0.5) { 0.0 } else { dice.octaves(0.01, 5.0) };
    let limit = dice.chance(0.6).then(|| dice.octaves(1.2, 3.5));
    let shadow = dice.chance(0.25).then(|| (dice.between(0.08, 0.3), dice.between(1.1, 3.0)));
    let mut flaws = Flaws::drawn(span.step_ms, limit.unwrap_or(f64::MAX), dice);
    let scaled = |value: Option<f64>| value.map(|value| value * cores);
    let values = course.iter().map(|load| scaled(flaws.read(fixed + load, dice))).collect();
    let mut of_shadow = Vec::new();
    if let Some((share, amplified)) = shadow {
        // A shadow that is k times as loaded for what it has runs into its own limit first.
        let ceiling = limit.unwrap_or(3.0) * share / amplified;
        let mut flaws = Flaws::drawn(span.step_ms, fixed + ceiling, dice);
        let noise = dice.octaves(0.01, 3.0);
        let mirrored = course.iter().map(|load| fixed + share * load * (1.0 + noise * dice.normal()).max(0.0));
        let mirrored: Vec<f64> = mirrored.collect();
        of_shadow = mirrored.into_iter().map(|value| scaled(flaws.read(value, dice))).collect();
    }
    let limit = limit.map(|limit| limit * cores);
    Series { shadow: of_shadow, limit, ..series(named, span, (Measure::Cpu, "cpu_cores"), values) }
}

/// Requests that come one by one, or bytes.
fn rate(named: &Named, span: &Span, course: &[f64], dice: &mut Dice) -> Series {
    let seconds = span.step_ms as f64 / 1_000.0;
    let counted = dice.chance(0.6);
    let scale = if counted { dice.octaves(0.02, 14.0) } else { dice.octaves(1e3, 14.0) };
    let unlike = dice.octaves(0.005, 6.0);
    let mut flaws = Flaws::drawn(span.step_ms, f64::MAX, dice);
    let mut next = |load: &f64| {
        let rate = scale * load;
        let value = if counted {
            dice.poisson(rate * seconds) / seconds
        } else {
            rate * (1.0 + unlike * dice.normal()).max(0.0)
        };
        flaws.read(value / scale, dice).map(|value| value * scale)
    };
    let values = course.iter().map(&mut next).collect();
    let column = if counted { "requests_per_second" } else { "network_receive_bytes_per_second" };
    series(named, span, (Measure::Rate, column), values)
}

fn memory(named: &Named, span: &Span, course: &[f64], dice: &mut Dice) -> Series {
    let bytes = dice.octaves(64e6, 9.0);
    let limit = dice.chance(0.6).then(|| dice.octaves(1.3, 2.5));
    let mut memory = Memory::drawn(span.step_ms, dice);
    let mut flaws = Flaws::drawn(span.step_ms, limit.unwrap_or(f64::MAX), dice);
    let mut next = |load: &f64| {
        let held = memory.next(*load, dice);
        flaws.read(held, dice).map(|held| held * bytes)
    };
    let values = course.iter().map(&mut next).collect();
    let limit = limit.map(|limit| limit * bytes);
    Series { limit, ..series(named, span, (Measure::Memory, "memory_bytes"), values) }
}

pub(super) fn series(
    named: &Named,
    span: &Span,
    (measure, column): (Measure, &str),
    values: Vec<Option<f64>>,
) -> Series {
    Series {
        trace: format!("{TRACE}.{column}"),
        name: named.name.clone(),
        tenant: named.tenant.clone(),
        profile: None,
        measure,
        step_ms: span.step_ms,
        first_step: span.first_step,
        values,
        shadow: Vec::new(),
        limit: None,
    }
}
