//! Training learns, ends, and repeats itself.

use super::super::input::Measure;
use super::*;

const MINUTE_MS: u64 = 60_000;

/// A series that goes up and down by one every six steps, which persistence cannot know, with a little noise.
fn examples(seed: u64, number: usize) -> Examples {
    let mut examples = Examples::default();
    tell(&mut examples, seed, number, 0.0);
    examples
}

/// Adds such a series. What came is told with a lie, in the unit of the values.
fn tell(examples: &mut Examples, seed: u64, number: usize, lie: f64) {
    let mut noise = Noise::new(seed);
    let mut value = |step: u64| 3.0 + f64::from(u8::from((step / 6).is_multiple_of(2))) + 0.05 * noise.normal();
    let mut recent = Recent::default();
    for step in 0..60 + number as u64 {
        let newest = value(step);
        recent.observe(step, Some(newest), None);
        if step < 60 {
            continue;
        }
        let question = Question {
            horizon_steps: 6,
            peak: false,
            bases: [None; BASES - 1],
            spread: Some([0.0, 1.0, 1.0, 1.05, 1.1]),
            limit: None,
            measure: Measure::Cpu,
        };
        let truth = value(step + 6) + lie;
        assert!(examples.push(&recent, MINUTE_MS, &question, truth));
    }
}

fn settings() -> TrainSettings {
    TrainSettings { hidden: 8, batch: 32, steps: 200, look_every: 40, learning_rate: 1e-2, ..TrainSettings::default() }
}

#[test]
fn learns_what_persistence_cannot_know_and_the_same_from_the_same_seed() {
    let (known, kept) = (examples(1, 400), examples(2, 200));
    let mut looks = Vec::new();
    let weights = train(&known, &kept, &settings(), None, |look| {
        looks.push(*look);
        true
    });
    let before = kept.loss(&Model::new(&Weights::random(8, 1)));
    let after = kept.loss(&Model::new(&weights));
    assert!(after < 0.4 * before, "{before} before, {after} after: {looks:?}");
    assert_eq!(looks.last().map(|look| look.best), Some(after));
    // The loss that burn descends is the one that is looked at.
    let device = Device::flex();
    let all: Vec<usize> = (0..kept.len()).collect();
    let burns: f32 = Net::of(&weights, &device).loss(kept.batch(&all, &device)).into_scalar();
    assert!((f64::from(burns) - after).abs() < 1e-5, "{burns} {after}");

    let short = |seed| train(&known, &kept, &TrainSettings { seed, steps: 40, ..settings() }, None, |_| true);
    assert_eq!(short(1), short(1));
    assert_ne!(short(1), short(2));
}

#[test]
fn ends_when_told_to_or_when_nothing_gets_better() {
    let few = examples(3, 40);
    let mut looks = 0;
    let mut end_after = |most: usize, settings: &TrainSettings| {
        looks = 0;
        train(&few, &few, settings, None, |_| {
            looks += 1;
            looks < most
        });
        looks
    };
    assert_eq!(end_after(2, &settings()), 2);
    // At a rate of zero no look is better than the beginning.
    let idle = TrainSettings { learning_rate: 0.0, look_every: 1, patience: 3, ..settings() };
    assert_eq!(end_after(100, &idle), 3);
}

#[test]
fn two_of_ten_tenants_who_lie_and_flood_are_not_believed() {
    let honest = examples(99, 300);
    // Each liar sends ten times as much as anybody else, to train on and to validate with.
    let told = |seed: u64, lie: f64| {
        let mut all = Examples::default();
        for tenant in 0..10 {
            let lies = tenant < 2 && lie > 0.0;
            all.belong_to(tenant);
            tell(&mut all, seed + u64::from(tenant), if lies { 400 } else { 40 }, if lies { lie } else { 0.0 });
        }
        all
    };
    let loss = |lie: f64, guarded: bool| {
        let settings = TrainSettings { guarded, ..settings() };
        honest.loss(&Model::new(&train(&told(10, lie), &told(50, lie), &settings, None, |_| true)))
    };
    // The values go up and down by one: a lie of ten is five times their range.
    let (before, guarded, open) = (loss(0.0, true), loss(10.0, true), loss(10.0, false));
    assert!(guarded < 1.5 * before, "{before} without lies, {guarded} with the guard, {open} without");
    assert!(open > 3.0 * before, "{before} without lies, {guarded} with the guard, {open} without");
}
