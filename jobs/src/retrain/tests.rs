//! Retraining from end to end, on synthetic workloads.

use forecast::lstm::input::{BASES, OUTPUTS};

use super::*;
use crate::retrain::gather::Sizes;
use crate::synthesize::{Synthesis, synthesize};

/// Where the blend's share of the mixture stands among a network's outputs.
const BLEND: usize = 1;

/// Ten tenants with three workloads each.
const MADE: Synthesis = Synthesis { seed: 3, workloads: 30, tenants: 10 };

fn settings() -> RetrainSettings {
    RetrainSettings {
        train: TrainSettings {
            hidden: 8,
            batch: 32,
            steps: 120,
            look_every: 30,
            learning_rate: 1e-2,
            ..TrainSettings::default()
        },
        sizes: Sizes { training: 6_000, validation: 1_000, held_out: 3_000 },
        ..RetrainSettings::default()
    }
}

fn go(series: Vec<Series>, champion: Option<&Champion>, settings: &RetrainSettings) -> Retrained {
    let origin = Origin { synthetic: Some(MADE), read: Vec::new() };
    retrain(series, &origin, champion, settings, |_| ()).expect("there is enough to train on")
}

#[test]
fn the_same_seed_gives_the_same_artifact() {
    let series = synthesize(&MADE);
    let first = go(series.clone(), None, &settings());
    let again = go(series.clone(), None, &settings());
    assert_eq!(first.artifact, again.artifact);
    assert_eq!(first.record, again.record);
    let mut other = settings();
    other.train.seed = 2;
    assert_ne!(go(series, None, &other).record.sha256, first.record.sha256);
    // What the card says is what the record says.
    let (_, card) = Weights::from_bytes(&first.artifact).expect("it was just written");
    assert_eq!(card.scores, first.record.scores);
    assert_eq!(card.data, first.record.data);
}

#[test]
fn a_poisoned_challenger_is_refused() {
    // What training makes of lies, and how far the guard keeps them out, the trainer's own tests show: here the network has
    // learnt that everything comes three spreads higher than the experts say.
    const LIE: f32 = 3.0;
    let series = synthesize(&MADE);
    let split = Split::of(&series);
    let gathered = gather(&series, &split, &settings().sizes, 1, |_| ()).expect("steps divide a day");
    let champion = Champion { name: "the champion".to_owned(), weights: Weights::random(8, 1) };
    let mut outputs = [0.0; OUTPUTS];
    (outputs[BLEND], outputs[BASES]) = (5.0, LIE);
    let (_, _, verdict) = judge(&gathered, &Weights::constant(8, outputs), Some(&champion));
    assert!(!verdict.wins && verdict.sentence.starts_with("refused: "), "{verdict}");
    // A champion that is poisoned, in turn, loses its place to one that is not.
    let poisoned = Champion { name: "the poisoned".to_owned(), weights: Weights::constant(8, outputs) };
    let (_, _, verdict) = judge(&gathered, &champion.weights, Some(&poisoned));
    assert!(verdict.wins, "{verdict}");
}

#[test]
fn who_opts_out_is_neither_trained_on_nor_judged_by() {
    let series = synthesize(&MADE);
    let without = RetrainSettings { without_tenants: vec!["tenant-03".to_owned()], ..settings() };
    let retrained = go(series.clone(), None, &without);
    let others: Vec<Series> = series.into_iter().filter(|series| series.tenant != "tenant-03").collect();
    // The same bytes as if the tenant had never been there.
    assert_eq!(retrained.artifact, go(others, None, &settings()).artifact);
    assert!(retrained.record.verdict.groups.iter().all(|group| group.name != "tenant tenant-03"));
}

#[test]
fn nothing_to_train_on_is_told() {
    let error = retrain(Vec::new(), &Origin::default(), None, &settings(), |_| ()).expect_err("there is nothing");
    assert!(error.to_string().contains("0 series gave no training examples"), "{error}");
}
