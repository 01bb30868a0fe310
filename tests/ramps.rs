//! Ramps of a real load, with a shadow and without: whether more is in force before the primary first breaks its promise.
//!
//! Each is a run of `foreshadow demo --live`, whose load climbs from 40 to 320 requests a second over a service that begins
//! with a quarter of a core; the same seed gives both the same arrivals. `make ramps`, `make ramps RAMPS=3 LASTING=60s`: as
//! long as twice the ramps, on a machine that does nothing else.

#![allow(clippy::disallowed_methods, reason = "how much is run stands in the environment")]
#![allow(clippy::print_stdout, reason = "it tells what was measured")]

use serde_json::Value;

/// The first raise and the first second beyond the promise, if any, in seconds since the beginning.
struct Ramp {
    raised: Option<f64>,
    broke: Option<f64>,
    late_seconds: u64,
}

#[test]
#[ignore = "as long as twice the ramps, on a machine that does nothing else: make ramps"]
fn more_ramps_are_met_with_a_shadow_than_without() {
    let asked =
        |name: &str, usual: &str| std::env::var(name).ok().filter(|text| !text.is_empty()).unwrap_or(usual.into());
    let (ramps, lasting) = (asked("RAMPS", "10").parse::<u64>().expect("RAMPS is a number"), asked("LASTING", "60s"));
    let mut met = [0, 0];
    for seed in 1..=ramps {
        for (with, met) in met.iter_mut().enumerate() {
            let ramp = run(seed, &lasting, with == 1);
            *met += u64::from(ramp.is_met());
            let shadow = ["without a shadow", "with a shadow"][with];
            let Ramp { raised, broke, late_seconds } = ramp;
            println!(
                "seed {seed}, {shadow}: raised after {raised:?} s, promise broken after {broke:?} s, for {late_seconds} s"
            );
        }
    }
    println!("of {ramps} ramps over {lasting}: {} met without a shadow, {} with one", met[0], met[1]);
    assert!(met[1] * 10 >= ramps * 8 && met[1] > met[0], "{met:?} of {ramps}");
}

impl Ramp {
    /// A decision is in force some milliseconds after it.
    fn is_met(&self) -> bool {
        match (self.raised, self.broke) {
            (_, None) => true,
            (Some(raised), Some(broke)) => raised < broke,
            (None, Some(_)) => false,
        }
    }
}

fn run(seed: u64, lasting: &str, shadow: bool) -> Ramp {
    let mut command = end_to_end::binary::foreshadow();
    command.args(["demo", "--live", "--json", "--duration", lasting, "--seed", &seed.to_string()]);
    if !shadow {
        command.arg("--without-shadow");
    }
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let seconds = |name: &str| told[name].as_f64();
    Ramp {
        raised: seconds("raised_after_seconds"),
        broke: seconds("broke_slo_after_seconds"),
        late_seconds: told["primary_seconds_beyond_slo"].as_u64().expect("a count"),
    }
}
