//! What an answer of the global model costs in its kernel, and what other runtimes need to answer the same questions.
//!
//! `inference FOLDER`: measures random weights at the shape at which other runtimes were measured, and leaves the artifact,
//! the questions and the answers in the folder.
#![allow(clippy::disallowed_methods, reason = "a measurement needs the clock")]

use std::path::Path;
use std::time::Instant;

use forecast::lstm::input::{CHANNELS, CONTEXT, INPUT_VERSION, OUTPUTS, STEPS};
use forecast::lstm::{Card, Data, Model, TrainSettings, Weights};

/// As the binary allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HIDDEN: usize = 64;

/// Questions at once, each about a sequence of its own.
const SEQUENCES: usize = 512;

/// Runs, of which the quickest counts.
const RUNS: usize = 30;

fn main() {
    let folder = std::env::args().nth(1).expect("usage: inference FOLDER");
    let folder = Path::new(&folder);
    let weights = Weights::random(HIDDEN, 3);
    let model = Model::new(&weights);
    let (sequences, context) = (noisy(1, SEQUENCES * STEPS * CHANNELS), noisy(2, SEQUENCES * CONTEXT));
    let (mut quickest, mut outputs) = (f64::INFINITY, Vec::new());
    for _ in 0..RUNS {
        let begin = Instant::now();
        outputs = model.outputs(&sequences, &context, 0..SEQUENCES);
        quickest = quickest.min(begin.elapsed().as_secs_f64());
    }
    // Rows are as wide as vectors are.
    let outputs = outputs.chunks_exact(outputs.len() / SEQUENCES).flat_map(|row| row[..OUTPUTS].to_vec());
    let card = Card {
        input_version: INPUT_VERSION,
        hidden: HIDDEN,
        trained_on: "nothing: weights by chance".to_owned(),
        seed: 3,
        settings: TrainSettings::default(),
        data: Data::default(),
        scores: Default::default(),
    };
    let measured = serde_json::json!({
        "sequences": SEQUENCES, "steps": STEPS, "channels": CHANNELS, "hidden": HIDDEN, "context": CONTEXT,
        "outputs": OUTPUTS, "kernel_us": 1e6 * quickest / SEQUENCES as f64,
    });
    let write =
        |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes).expect("the folder can be written");
    write("model.safetensors", weights.to_bytes(&card));
    write("sequences.f32", bytes(sequences.into_iter()));
    write("context.f32", bytes(context.into_iter()));
    write("outputs.f32", bytes(outputs));
    write("measured.json", measured.to_string().into_bytes());
}

/// Numbers between -2 and 2.
fn noisy(seed: u64, numbers: usize) -> Vec<f32> {
    (0..numbers as u64).map(|number| (4.0 * plant::noise::uniform(seed, 0, number) - 2.0) as f32).collect()
}

fn bytes(numbers: impl Iterator<Item = f32>) -> Vec<u8> {
    numbers.flat_map(f32::to_le_bytes).collect()
}
