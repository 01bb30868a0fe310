//! Artifacts that are sound, and those that are not.

use super::*;

fn card() -> Card {
    Card {
        input_version: INPUT_VERSION,
        hidden: 8,
        trained_on: "nothing".to_owned(),
        seed: 4,
        settings: TrainSettings::default(),
        data: Data::default(),
        scores: BTreeMap::from([("loss".to_owned(), 0.125)]),
    }
}

#[test]
fn an_artifact_comes_back_whole() {
    let weights = Weights::random(8, 4);
    // 4 gates × 8 units × (8 channels + 8 units + 2 biases), then (8 + 36 + 1) × 64 and (64 + 1) × 14.
    assert_eq!(weights.parameters(), 576 + 2_880 + 910);
    let (back, read) = Weights::from_bytes(&weights.to_bytes(&card())).expect("it was just written");
    assert_eq!((back, read), (weights, card()));
}

#[test]
fn what_is_wrong_with_an_artifact_is_said() {
    let weights = Weights::random(8, 4);
    let refused = |bytes: &[u8]| Weights::from_bytes(bytes).expect_err("it is unsound").to_string();
    let bytes = weights.to_bytes(&card());
    assert!(refused(&bytes[..bytes.len() - 1]).contains("not a whole safetensors file"));
    assert!(refused(b"what is this?").contains("not a whole safetensors file"));
    let future = weights.to_bytes(&Card { input_version: 2, ..card() });
    assert_eq!(
        refused(&future),
        "it was trained for version 2 of the inputs, and this program has version 1: retrain it"
    );
    let other = weights.to_bytes(&Card { hidden: 9, ..card() });
    assert!(refused(&other).contains("lstm.input_gate.input_transform.weight is F32 [8, 8]: F32 [8, 9] is wanted"));
    let huge = weights.to_bytes(&Card { hidden: 1 << 40, ..card() });
    assert!(refused(&huge).contains("1 to 256 are taken"));
    let mut rotten = weights.clone();
    rotten.layers[9].0[3] = f32::NAN;
    assert_eq!(refused(&rotten.to_bytes(&card())), "its tensor narrow.weight is not a number at place 3");
    let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).expect("four bytes are one number");
    let strange = safetensors::serialize([("a", view)], None).expect("one tensor");
    assert!(refused(&strange).contains("it has no card"));
}
