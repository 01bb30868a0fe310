//! What an answer costs, in the kernel and in burn. `make bench-inference` runs it beside ONNX Runtime, on the same weights and
//! questions, which it leaves in the folder that PEERS_FOLDER names.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "a measurement tells what it measured")]

use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};

use super::super::net::Net;
use super::*;
use crate::noise::Noise;

/// Units of the LSTM: the shape at which other runtimes were measured.
const HIDDEN: usize = 64;

/// Questions at once, one a sequence.
const SEQUENCES: usize = 512;

/// Runs, of which the quickest counts.
const RUNS: usize = 30;

#[test]
#[ignore = "a measurement: its figures depend on the machine"]
fn an_answer() {
    let weights = Weights::random(HIDDEN, 3);
    let (sequences, context) = (noisy(SEQUENCES * STEPS * CHANNELS, 1), noisy(SEQUENCES * CONTEXT, 2));
    let model = Model::new(&weights);
    let (kernel_us, outputs) = told(|| model.outputs(&sequences, &context, 0..SEQUENCES));
    let device = Device::flex();
    let net = Net::of(&weights, &device);
    let tensor = |numbers: &[f32], shape: &[usize]| TensorData::new(numbers.to_vec(), shape.to_vec());
    let (burn_us, _) = told(|| {
        let sequences = Tensor::from_data(tensor(&sequences, &[SEQUENCES, STEPS, CHANNELS]), &device);
        net.outputs(sequences, Tensor::from_data(tensor(&context, &[SEQUENCES, CONTEXT]), &device)).into_data()
    });
    let shape = serde_json::json!({
        "sequences": SEQUENCES, "steps": STEPS, "channels": CHANNELS, "hidden": HIDDEN, "context": CONTEXT, "wide": WIDE,
        "outputs": OUTPUTS, "kernel_us": kernel_us, "burn_us": burn_us,
    });
    println!("{shape}");
    if let Some(folder) = std::env::var_os("PEERS_FOLDER") {
        let folder = Path::new(&folder);
        let layers = weights.layers();
        let numbers = layers.iter().flat_map(|layer| layer.matrix.iter().chain(layer.bias)).copied();
        let outputs = outputs.chunks_exact(model.second.outputs()).flat_map(|row| row[..OUTPUTS].to_vec());
        write(&folder.join("weights.f32"), numbers);
        write(&folder.join("sequences.f32"), sequences.into_iter());
        write(&folder.join("context.f32"), context.into_iter());
        write(&folder.join("outputs.f32"), outputs);
        std::fs::write(folder.join("shape.json"), shape.to_string()).expect("the folder can be written");
    }
}

/// Microseconds a sequence, of the quickest run, and what came of it.
fn told<T>(mut answer: impl FnMut() -> T) -> (f64, T) {
    let mut quickest = f64::INFINITY;
    let mut answered = answer();
    for _ in 0..RUNS {
        let begin = Instant::now();
        answered = answer();
        quickest = quickest.min(begin.elapsed().as_secs_f64());
    }
    (1e6 * quickest / SEQUENCES as f64, answered)
}

fn noisy(numbers: usize, seed: u64) -> Vec<f32> {
    let mut noise = Noise::new(seed);
    (0..numbers).map(|_| noise.normal() as f32).collect()
}

fn write(file: &Path, numbers: impl Iterator<Item = f32>) {
    let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
    std::fs::write(file, bytes).expect("the folder can be written");
}
