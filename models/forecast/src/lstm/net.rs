//! The network in burn: what is trained, and what the kernel is held to.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig, Lstm, LstmConfig, LstmState};
use burn::optim::GradientsParams;
use burn::tensor::activation::{relu, softmax, softplus};
use burn::tensor::{Device, Tensor, TensorData};

use super::input::{BASES, CHANNELS, CONTEXT, LEVELS, OUTPUTS, WIDTH_BIAS};
use super::weights::{LAYERS, WIDE, Weights};

/// What a silent expert's score is lowered by: e⁻³⁰ of the mixture.
const SILENT: f32 = -30.0;

/// The network.
#[derive(Module, Debug)]
pub(super) struct Net {
    pub(super) lstm: Lstm,
    pub(super) wide: Linear,
    pub(super) narrow: Linear,
}

/// A batch of questions, one a sequence, with their truths.
pub(super) struct Batch {
    /// Sequences, steps, channels.
    pub(super) sequences: Tensor<3>,
    /// Questions by context.
    pub(super) context: Tensor<2>,
    /// Questions by base, in units; 0 where silent.
    pub(super) bases: Tensor<2>,
    /// Questions by base: 1 where the expert speaks.
    pub(super) heard: Tensor<2>,
    /// Questions by width.
    pub(super) widths: Tensor<2>,
    /// A column of truths, in units.
    pub(super) truths: Tensor<2>,
    /// A column of what each counts.
    pub(super) weights: Tensor<2>,
}

impl Net {
    /// With these weights.
    pub(super) fn of(weights: &Weights, device: &Device) -> Self {
        let hidden = weights.hidden();
        let mut net = Self {
            lstm: LstmConfig::new(CHANNELS, hidden, true).init(device),
            wide: LinearConfig::new(hidden + CONTEXT, WIDE).init(device),
            narrow: LinearConfig::new(WIDE, OUTPUTS).init(device),
        };
        for (layer, dense) in net.layers().into_iter().zip(weights.layers()) {
            let matrix =
                TensorData::new(dense.matrix.to_vec(), [dense.matrix.len() / dense.bias.len(), dense.bias.len()]);
            let bias = TensorData::new(dense.bias.to_vec(), [dense.bias.len()]);
            layer.weight = Param::from_data(matrix, device);
            layer.bias = Some(Param::from_data(bias, device));
        }
        net
    }

    /// Its weights.
    pub(super) fn weights(mut self) -> Weights {
        let hidden = self.lstm.d_hidden;
        let numbers = |tensor: TensorData| tensor.try_into_vec::<f32>().expect("weights are f32");
        let layers = self.layers().map(|layer| {
            let bias = layer.bias.as_ref().expect("layers are made with a bias");
            (numbers(layer.weight.val().into_data()), numbers(bias.val().into_data()))
        });
        Weights::new(hidden, layers)
    }

    /// The gradients of all its weights in a row, in the order of its layers.
    pub(super) fn flat(&self, gradients: &GradientsParams) -> Vec<f32> {
        let numbers = |tensor: TensorData| tensor.try_into_vec::<f32>().expect("gradients are f32");
        let mut flat = Vec::new();
        for layer in self.clone().layers() {
            let bias = layer.bias.as_ref().expect("layers are made with a bias");
            let matrix = gradients.get::<2>(layer.weight.id).expect("every layer is used");
            flat.extend(numbers(matrix.into_data()));
            flat.extend(numbers(gradients.get::<1>(bias.id).expect("every layer is used").into_data()));
        }
        flat
    }

    /// Gradients from such a row.
    pub(super) fn unflat(&self, flat: &[f32]) -> GradientsParams {
        let device = Device::flex();
        let mut gradients = GradientsParams::new();
        let mut rest = flat;
        for layer in self.clone().layers() {
            let bias = layer.bias.as_ref().expect("layers are made with a bias");
            let [inputs, outputs] = layer.weight.dims();
            let (matrix, after) = rest.split_at(inputs * outputs);
            let (row, after) = after.split_at(outputs);
            rest = after;
            let matrix = Tensor::<2>::from_data(TensorData::new(matrix.to_vec(), [inputs, outputs]), &device);
            gradients.register(layer.weight.id, matrix);
            gradients.register(bias.id, Tensor::<1>::from_data(TensorData::new(row.to_vec(), [outputs]), &device));
        }
        gradients
    }

    /// All layers, in the order of [`LAYERS`](super::weights::LAYERS).
    fn layers(&mut self) -> [&mut Linear; LAYERS.len()] {
        let lstm = &mut self.lstm;
        let forget = lstm.forget_gate.as_mut().expect("gates are not coupled");
        [
            &mut lstm.input_gate.input_transform,
            &mut lstm.input_gate.hidden_transform,
            &mut forget.input_transform,
            &mut forget.hidden_transform,
            &mut lstm.cell_gate.input_transform,
            &mut lstm.cell_gate.hidden_transform,
            &mut lstm.output_gate.input_transform,
            &mut lstm.output_gate.hidden_transform,
            &mut self.wide,
            &mut self.narrow,
        ]
    }

    /// The last hidden state of each sequence, step by step: `Lstm::forward` over the whole would copy all states at each
    /// step.
    pub(super) fn hidden(&self, sequences: Tensor<3>) -> Tensor<2> {
        let mut state: Option<LstmState<2>> = None;
        for inputs in sequences.iter_dim(1) {
            state = Some(self.lstm.forward(inputs, state).1);
        }
        state.expect("a window has steps").hidden
    }

    /// The outputs for each question.
    pub(super) fn outputs(&self, sequences: Tensor<3>, context: Tensor<2>) -> Tensor<2> {
        let hidden = self.hidden(sequences);
        self.narrow.forward(relu(self.wide.forward(Tensor::cat(vec![hidden, context], 1))))
    }

    /// The mean over questions and levels of the pinball loss, each question counting by its weight.
    pub(super) fn loss(&self, batch: Batch) -> Tensor<1> {
        let questions = batch.context.dims()[0];
        let outputs = self.outputs(batch.sequences, batch.context);
        let column = |from: usize, to: usize| outputs.clone().slice([0..questions, from..to]);
        let silence = batch.heard.sub_scalar(1.0).mul_scalar(-SILENT);
        let mix = softmax(column(0, BASES).add(silence), 1);
        let mut quantile = mix.mul(batch.bases).sum_dim(1).add(column(BASES, BASES + 1));
        let widths = softplus(column(BASES + 1, OUTPUTS).add_scalar(WIDTH_BIAS), 1.0).mul(batch.widths);
        let mut loss = pinball(LEVELS[0], batch.truths.clone().sub(quantile.clone()));
        for (at, level) in LEVELS.iter().enumerate().skip(1) {
            quantile = quantile.add(widths.clone().slice([0..questions, at - 1..at]));
            loss = loss.add(pinball(*level, batch.truths.clone().sub(quantile.clone())));
        }
        loss.mul(batch.weights).mean().div_scalar(LEVELS.len() as f32)
    }
}

fn pinball(level: f64, miss: Tensor<2>) -> Tensor<2> {
    miss.clone().clamp_min(0.0).mul_scalar(level).add((-miss).clamp_min(0.0).mul_scalar(1.0 - level))
}
