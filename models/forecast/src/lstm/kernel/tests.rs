//! The kernel against the book, burn, and itself in other company.

use burn::tensor::{Device, Tensor, TensorData};
use pulp::Scalar;

use super::super::input::{CHANNELS, CONTEXT, OUTPUTS, STEPS};
use super::super::model::Model;
use super::super::net::Net;
use super::super::weights::{Dense, LAYERS, WIDE, Weights};
use super::*;
use crate::noise::Noise;

const HIDDEN: usize = 20;

fn noisy(numbers: usize, seed: u64) -> Vec<f32> {
    let mut noise = Noise::new(seed);
    (0..numbers).map(|_| noise.normal() as f32).collect()
}

/// The forward pass by the book, in f64.
fn reference(layers: &[Dense<'_>; LAYERS.len()], sequence: &[f32], context: &[f32]) -> Vec<f64> {
    let dense = |layer: Dense<'_>, inputs: &[f64]| -> Vec<f64> {
        let outputs = layer.bias.len();
        let of = |output: usize| {
            let terms = inputs.iter().enumerate().map(|(at, x)| x * f64::from(layer.matrix[at * outputs + output]));
            f64::from(layer.bias[output]) + terms.sum::<f64>()
        };
        (0..outputs).map(of).collect()
    };
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (mut hidden, mut cell) = (vec![0.0; HIDDEN], vec![0.0; HIDDEN]);
    for inputs in sequence.chunks_exact(CHANNELS) {
        let inputs: Vec<f64> = inputs.iter().map(|x| f64::from(*x)).collect();
        let gate = |gate: usize| -> Vec<f64> {
            let (a, b) = (dense(layers[2 * gate], &inputs), dense(layers[2 * gate + 1], &hidden));
            a.iter().zip(b).map(|(a, b)| a + b).collect()
        };
        let [input, forget, candidate, output] = [gate(0), gate(1), gate(2), gate(3)];
        for unit in 0..HIDDEN {
            cell[unit] = sigmoid(forget[unit]) * cell[unit] + sigmoid(input[unit]) * candidate[unit].tanh();
            hidden[unit] = sigmoid(output[unit]) * cell[unit].tanh();
        }
    }
    hidden.extend(context.iter().map(|x| f64::from(*x)));
    let between: Vec<f64> = dense(layers[8], &hidden).into_iter().map(|x| x.max(0.0)).collect();
    dense(layers[9], &between)
}

/// A step rounds some 10² times by up to 2⁻²⁴ of numbers about 1, and forgets what it got wrong before by a sigmoid's
/// worth: errors stay near 10² × 6·10⁻⁸. The head adds up as many such numbers again.
const TOLERANCE: f64 = 5e-5;

#[test]
fn agrees_with_the_book_and_with_burn() {
    const SEQUENCES: usize = 37; // a full tile and a part of one, at any width
    let weights = Weights::random(HIDDEN, 3);
    let sequences = noisy(SEQUENCES * STEPS * CHANNELS, 1);
    let context = noisy(SEQUENCES * CONTEXT, 2);
    let found = Model::new(&weights).outputs(&sequences, &context, 0..SEQUENCES);
    let device = Device::flex();
    let net = Net::of(&weights, &device);
    let burns: Vec<f32> = net
        .outputs(
            Tensor::from_data(TensorData::new(sequences.clone(), [SEQUENCES, STEPS, CHANNELS]), &device),
            Tensor::from_data(TensorData::new(context.clone(), [SEQUENCES, CONTEXT]), &device),
        )
        .into_data()
        .try_into_vec()
        .expect("outputs are f32");
    let layers = weights.layers();
    let each = sequences.chunks_exact(STEPS * CHANNELS).zip(context.chunks_exact(CONTEXT));
    for (at, (sequence, context)) in each.enumerate() {
        let by_the_book = reference(&layers, sequence, context);
        let row = &found[at * OUTPUTS.next_multiple_of(4)..];
        for (output, wanted) in by_the_book.iter().enumerate() {
            assert!((f64::from(row[output]) - wanted).abs() < TOLERANCE, "kernel, {at}: {} {wanted}", row[output]);
            let burn = burns[at * OUTPUTS + output];
            assert!((f64::from(burn) - wanted).abs() < TOLERANCE, "burn, {at}: {burn} {wanted}");
        }
    }
}

#[test]
fn the_same_bits_in_any_company_and_at_any_width() {
    const ROWS: usize = 70;
    let weights = Weights::random(HIDDEN, 5);
    let layers = weights.layers();
    let gates = Sums::dense(CHANNELS + HIDDEN, &noisy(4 * HIDDEN, 6), &noisy((CHANNELS + HIDDEN) * 4 * HIDDEN, 7));
    // Numbers far outside what a window gives, too: the exponentials are held within bounds.
    let sequences: Vec<f32> = noisy(ROWS * 5 * CHANNELS, 8).into_iter().map(|x| x * x * x * 10.0).collect();
    let together = recur(&gates, CHANNELS, &sequences, 5);
    assert!(together.iter().all(|state| state.abs() <= 1.0), "hidden states are within ±1");
    let alone: Vec<f32> =
        sequences.chunks(5 * CHANNELS).flat_map(|sequence| recur(&gates, CHANNELS, sequence, 5)).collect();
    assert_eq!(together, alone);
    let mut one_lane = vec![0.0; together.len()];
    let scalar = Recur { gates: &gates, channels: CHANNELS, sequences: &sequences, steps: 5, out: &mut one_lane };
    Simd::vectorize(Scalar, scalar);
    assert_eq!(together, one_lane);

    let first = Sums::dense(HIDDEN + CONTEXT, layers[8].bias, layers[8].matrix);
    let second = Sums::dense(WIDE, layers[9].bias, layers[9].matrix);
    let rows = noisy(ROWS * (HIDDEN + CONTEXT), 9);
    let together = perceive((&first, &second), &rows);
    let mut one_lane = vec![0.0; together.len()];
    Simd::vectorize(Scalar, Perceive { first: &first, second: &second, rows: &rows, out: &mut one_lane });
    assert_eq!(together, one_lane);
}
