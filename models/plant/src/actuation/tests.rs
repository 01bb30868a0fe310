//! Tests of `actuation.rs`.

use proptest::prelude::*;

use super::*;
use crate::{Plant, PlantSpec, demand, demo_fleet};

fn cores(cpu_cores: f64) -> Allocation {
    Allocation { cpu_cores, memory_bytes: 64e9 }
}

#[test]
fn each_request_keeps_its_own_landing() {
    let mut actuation = Actuation::new(60_000, ScaleDown::Delayed, cores(2.0));
    assert_eq!(actuation.request(cores(4.0), 0), Some(60_000));
    assert_eq!(actuation.request(cores(6.0), 30_000), Some(90_000));
    // Asked again, it is still on its way for the same time.
    assert_eq!(actuation.request(cores(6.0), 40_000), Some(90_000));
    assert_eq!(actuation.advance(59_999), cores(2.0));
    assert_eq!(actuation.advance(60_000), cores(4.0));
    assert_eq!(actuation.advance(90_000), cores(6.0));
}

#[test]
fn lowering_at_once_cuts_what_is_on_its_way() {
    let mut actuation = Actuation::new(60_000, ScaleDown::Immediate, cores(4.0));
    actuation.request(cores(8.0), 0);
    // 5 is above what is in force and below what comes: the raise arrives at its own time, smaller.
    assert_eq!(actuation.request(cores(5.0), 10_000), Some(60_000));
    assert_eq!(actuation.in_force(), cores(4.0));
    assert_eq!(actuation.advance(60_000), cores(5.0));
    assert_eq!(actuation.request(cores(3.0), 61_000), Some(61_000));
    assert_eq!(actuation.in_force(), cores(3.0));
    assert_eq!(actuation.advance(200_000), cores(3.0));
}

#[test]
fn lowering_one_part_does_not_hasten_the_other() {
    let mut actuation = Actuation::new(60_000, ScaleDown::Immediate, cores(4.0));
    let target = Allocation { cpu_cores: 8.0, memory_bytes: 32e9 };
    assert_eq!(actuation.request(target, 0), Some(60_000));
    assert_eq!(actuation.in_force(), Allocation { cpu_cores: 4.0, memory_bytes: 32e9 });
    assert_eq!(actuation.advance(60_000), target);
}

#[test]
fn a_full_queue_refuses_and_still_lands() {
    let mut actuation = Actuation::new(1_000_000, ScaleDown::Delayed, cores(0.0));
    for second in 0..MAX_IN_FLIGHT as u64 {
        assert!(actuation.request(cores(1.0 + second as f64), second * 1_000).is_some());
    }
    assert_eq!(actuation.request(cores(999.0), 500_000), None);
    assert_eq!(actuation.advance(1_000_000), cores(1.0));
    assert_eq!(actuation.request(cores(999.0), 1_000_000), Some(2_000_000));
}

/// Violated seconds while load climbs from 300 to 300 + `climb` requests/s and each second asks for what it needs.
fn violated_seconds(delay_seconds: u64, climb: f64, margin: f64) -> usize {
    let spec = PlantSpec { actuation_delay_ms: delay_seconds * 1_000, ..demo_fleet()[0].spec.clone() };
    let memory_bytes = 256e9;
    let asked = |load: f64| Allocation { cpu_cores: demand(&spec, load).cpu_cores * margin, memory_bytes };
    let mut plant = Plant::new(spec.clone(), 1, asked(300.0));
    (0..600u64)
        .filter(|&second| {
            let load = 300.0 + climb * (second as f64 / 300.0).min(1.0);
            plant.request(asked(load), second * 1_000);
            plant.step(second * 1_000, 1_000, 1.0, load).violated
        })
        .count()
}

#[test]
fn a_long_delay_does_hurt() {
    // With 2 % of margin and 1 200 more requests/s in 300 s, two minutes late cannot keep up; at once can.
    assert_eq!(violated_seconds(0, 1_200.0, 1.02), 0);
    assert!(violated_seconds(120, 1_200.0, 1.02) > 120);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_rising_request_always_lands(delay in 1u64..=120, raises in prop::collection::vec(0.01..2.0, 250)) {
        let mut actuation = Actuation::new(delay * 1_000, ScaleDown::Immediate, cores(1.0));
        let mut asked = vec![1.0];
        for (second, raise) in raises.iter().enumerate() {
            asked.push(asked[second] + raise);
            prop_assert!(actuation.request(cores(asked[second + 1]), second as u64 * 1_000).is_some());
            // In force now: what was asked exactly one delay ago.
            let landed = (second + 1).saturating_sub(delay as usize);
            prop_assert_eq!(actuation.in_force(), cores(asked[landed]));
        }
    }

    #[test]
    fn a_longer_delay_never_helps(
        short in 0u64..120, longer in 1u64..60, climb in 0.0..2_400.0, margin in 1.0..1.5,
    ) {
        let long = (short + longer).min(120);
        prop_assert!(violated_seconds(short, climb, margin) <= violated_seconds(long, climb, margin));
    }
}
