//! The forward pass, for many series at once.
//!
//! A tile holds as many sequences as two vector registers have lanes, one lane each; weights are broadcast. So the sums of
//! a sequence are made in the same order and with the same roundings whatever stands in the other lanes and however wide
//! the registers are: the answer is the same to the bit in any batch, with AVX-512, with AVX2 and without either.
//!
//! One unit's four gates are summed together: eight sums under way hide the latency of a fused multiply-add, and each
//! weight that is loaded serves a whole tile. The gates then cost two divisions a unit instead of five, because
//!
//! ```text
//! σ(f)·c + σ(i)·tanh(g) = (c·I·G + (1 - e⁻²ᵍ)·F) / (F·I·G)    with F = 1 + e⁻ᶠ, I = 1 + e⁻ⁱ, G = 1 + e⁻²ᵍ
//! σ(o)·tanh(c)          = (1 - e⁻²ᶜ) / ((1 + e⁻ᵒ)·(1 + e⁻²ᶜ))
//! ```
//!
//! Arguments of `exp` are held within ±20, where a sigmoid is 2·10⁻⁹ from its end and no product leaves f32.

use pulp::{Arch, Simd, WithSimd};

/// Vectors abreast in a tile: eight sums for four gates, which two multipliers with a latency of four keep busy.
const ABREAST: usize = 2;

/// Sums that are made together: the gates of a unit, or four units of a plain layer.
const GROUP: usize = 4;

/// One number of each sequence of a tile.
type Across<S> = [<S as Simd>::f32s; ABREAST];

/// Weighted sums over inputs, four at a time.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    inputs: usize,
    bias: Vec<[f32; GROUP]>,
    /// By group, then by input.
    weights: Vec<[f32; GROUP]>,
}

impl Sums {
    /// `weight(input, group, one of four)` and the bias likewise.
    pub(super) fn new(
        (inputs, groups): (usize, usize),
        bias: impl Fn(usize, usize) -> f32,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let four = |of: &dyn Fn(usize) -> f32| [of(0), of(1), of(2), of(3)];
        let bias = (0..groups).map(|group| four(&|one| bias(group, one))).collect();
        let pairs = (0..groups).flat_map(|group| (0..inputs).map(move |input| (group, input)));
        let weights = pairs.map(|(group, input)| four(&|one| weight(input, group, one))).collect();
        Self { inputs, bias, weights }
    }

    /// A plain layer from a matrix of `inputs` rows; outputs beyond its columns are zero.
    pub(super) fn dense(inputs: usize, bias: &[f32], matrix: &[f32]) -> Self {
        let outputs = bias.len();
        let at = |group: usize, one: usize| Some(group * GROUP + one).filter(|output| *output < outputs);
        Self::new(
            (inputs, outputs.div_ceil(GROUP)),
            |group, one| at(group, one).map_or(0.0, |output| bias[output]),
            |input, group, one| at(group, one).map_or(0.0, |output| matrix[input * outputs + output]),
        )
    }

    /// Numbers a row of answers.
    pub(super) fn outputs(&self) -> usize {
        GROUP * self.bias.len()
    }

    #[inline(always)]
    fn each(&self) -> impl Iterator<Item = (&[f32; GROUP], &[[f32; GROUP]])> {
        self.bias.iter().zip(self.weights.chunks_exact(self.inputs))
    }
}

/// Runs sequences, rows of `steps` times as many numbers as there are channels, and gives each one's last hidden state:
/// rows of as many numbers as there are units.
pub(super) fn recur(gates: &Sums, channels: usize, sequences: &[f32], steps: usize) -> Vec<f32> {
    let mut out = vec![0.0; sequences.len() / (steps * channels) * gates.bias.len()];
    Arch::new().dispatch(Recur { gates, channels, sequences, steps, out: &mut out });
    out
}

/// Runs rows through two layers, the first of which is rectified: rows of as many numbers as the second has outputs.
pub(super) fn perceive((first, second): (&Sums, &Sums), rows: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; rows.len() / first.inputs * second.outputs()];
    Arch::new().dispatch(Perceive { first, second, rows, out: &mut out });
    out
}

struct Recur<'a> {
    gates: &'a Sums,
    channels: usize,
    sequences: &'a [f32],
    steps: usize,
    out: &'a mut [f32],
}

impl WithSimd for Recur<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let units = self.gates.bias.len();
        let mut tile = Tile::new::<S>(self.steps * self.channels);
        let mut end = Tile::new::<S>(units);
        let zero = [simd.splat_f32s(0.0); ABREAST];
        let (mut hidden, mut next, mut cell) = (vec![zero; units], vec![zero; units], vec![zero; units]);
        let rows = self.sequences.chunks(tile.numbers_of_rows());
        for (rows, out) in rows.zip(self.out.chunks_mut(end.numbers_of_rows())) {
            tile.fill(rows);
            hidden.fill(zero);
            cell.fill(zero);
            for inputs in tile.across::<S>().chunks_exact(self.channels) {
                let groups = self.gates.each();
                for (((bias, weights), cell), next) in groups.zip(&mut cell).zip(&mut next) {
                    let sums = sum(simd, bias, weights, [inputs, &hidden]);
                    for at in 0..ABREAST {
                        let gates = [sums[0][at], sums[1][at], sums[2][at], sums[3][at]];
                        (cell[at], next[at]) = step(simd, gates, cell[at]);
                    }
                }
                std::mem::swap(&mut hidden, &mut next);
            }
            end.across_mut::<S>().copy_from_slice(&hidden);
            end.empty(out);
        }
    }
}

struct Perceive<'a> {
    first: &'a Sums,
    second: &'a Sums,
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Perceive<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut tile = Tile::new::<S>(self.first.inputs);
        let mut end = Tile::new::<S>(self.second.outputs());
        let zero = simd.splat_f32s(0.0);
        let mut between = vec![[zero; ABREAST]; self.first.outputs()];
        let rows = self.rows.chunks(tile.numbers_of_rows());
        for (rows, out) in rows.zip(self.out.chunks_mut(end.numbers_of_rows())) {
            tile.fill(rows);
            let layer = between.as_chunks_mut::<GROUP>().0;
            for ((bias, weights), four) in self.first.each().zip(layer) {
                let sums = sum(simd, bias, weights, [tile.across::<S>(), &[]]);
                *four = sums.map(|sums| sums.map(|sum| simd.max_f32s(sum, zero)));
            }
            let layer = end.across_mut::<S>().as_chunks_mut::<GROUP>().0;
            for ((bias, weights), four) in self.second.each().zip(layer) {
                *four = sum(simd, bias, weights, [&between, &[]]);
            }
            end.empty(out);
        }
    }
}

/// Four sums over the inputs and what follows them.
#[inline(always)]
fn sum<S: Simd>(
    simd: S,
    bias: &[f32; GROUP],
    weights: &[[f32; GROUP]],
    [inputs, rest]: [&[Across<S>]; 2],
) -> [Across<S>; GROUP] {
    let mut sums = bias.map(|bias| [simd.splat_f32s(bias); ABREAST]);
    let (of_inputs, of_rest) = weights.split_at(inputs.len());
    for (weights, values) in of_inputs.iter().zip(inputs) {
        add(simd, &mut sums, weights, values);
    }
    for (weights, values) in of_rest.iter().zip(rest) {
        add(simd, &mut sums, weights, values);
    }
    sums
}

#[inline(always)]
fn add<S: Simd>(simd: S, sums: &mut [Across<S>; GROUP], weights: &[f32; GROUP], values: &Across<S>) {
    for one in 0..GROUP {
        let weight = simd.splat_f32s(weights[one]);
        for at in 0..ABREAST {
            sums[one][at] = simd.mul_add_f32s(weight, values[at], sums[one][at]);
        }
    }
}

/// A unit's cell and hidden state from its gates (input, forget, cell, output) and its former cell.
#[inline(always)]
fn step<S: Simd>(simd: S, [i, f, g, o]: [S::f32s; GROUP], cell: S::f32s) -> (S::f32s, S::f32s) {
    let one = simd.splat_f32s(1.0);
    let minus = |x| simd.neg_f32s(x);
    let twice = |x| simd.add_f32s(x, x);
    let (input, forget) = (exp(simd, minus(i)), exp(simd, minus(f)));
    let (candidate, output) = (exp(simd, minus(twice(g))), exp(simd, minus(o)));
    let plus_one = |x| simd.add_f32s(one, x);
    let both = simd.mul_f32s(plus_one(input), plus_one(candidate));
    let gained = simd.mul_f32s(simd.sub_f32s(one, candidate), plus_one(forget));
    let cell = simd.div_f32s(simd.mul_add_f32s(cell, both, gained), simd.mul_f32s(both, plus_one(forget)));
    let spent = exp(simd, minus(twice(cell)));
    let hidden = simd.div_f32s(simd.sub_f32s(one, spent), simd.mul_f32s(plus_one(output), plus_one(spent)));
    (cell, hidden)
}

/// `e^x` of `x` within ±20, by `2ⁿ·eʳ` with |r| up to ½·ln 2; the Taylor polynomial's next term is below 2·10⁻⁷ of it.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Adding it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, so that `n·ln 2` is exact enough to subtract.
    const LN_2: [f32; 2] = [0.693_145_75, 1.428_606_8e-6];
    const TAYLOR: [f32; 5] = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    const MANTISSA_BITS: u32 = 23;
    let splat = |value| simd.splat_f32s(value);
    let x = simd.min_f32s(simd.max_f32s(x, splat(-20.0)), splat(20.0));
    let shifted = simd.mul_add_f32s(x, splat(std::f32::consts::LOG2_E), splat(ROUND));
    let whole = simd.sub_f32s(shifted, splat(ROUND));
    let [high, low] = LN_2.map(|part| splat(-part));
    let rest = simd.mul_add_f32s(whole, low, simd.mul_add_f32s(whole, high, x));
    let mut power = splat(1.0 / 720.0);
    for coefficient in TAYLOR {
        power = simd.mul_add_f32s(power, rest, splat(coefficient));
    }
    let power = simd.mul_add_f32s(power, rest, splat(1.0));
    let bits = simd.transmute_u32s_f32s(shifted);
    let exponent = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(MANTISSA_BITS));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(power), exponent))
}

/// A tile's numbers as they lie in memory: by their place in a row, then by row.
struct Tile {
    rows: usize,
    numbers: Vec<f32>,
}

impl Tile {
    #[inline(always)]
    fn new<S: Simd>(row: usize) -> Self {
        let rows = ABREAST * S::F32_LANES;
        Self { rows, numbers: vec![0.0; row * rows] }
    }

    fn numbers_of_rows(&self) -> usize {
        self.numbers.len()
    }

    /// Takes rows in, at most as many as it has; the others keep what they held, which nobody reads.
    fn fill(&mut self, rows: &[f32]) {
        let row = self.numbers.len() / self.rows;
        for (at, values) in rows.chunks_exact(row).enumerate() {
            for (numbers, value) in self.numbers.chunks_exact_mut(self.rows).zip(values) {
                numbers[at] = *value;
            }
        }
    }

    /// Gives rows out, as many as are asked for.
    fn empty(&self, rows: &mut [f32]) {
        let row = self.numbers.len() / self.rows;
        for (at, values) in rows.chunks_exact_mut(row).enumerate() {
            for (numbers, value) in self.numbers.chunks_exact(self.rows).zip(values) {
                *value = numbers[at];
            }
        }
    }

    #[inline(always)]
    fn across<S: Simd>(&self) -> &[Across<S>] {
        S::as_simd_f32s(&self.numbers).0.as_chunks().0
    }

    #[inline(always)]
    fn across_mut<S: Simd>(&mut self) -> &mut [Across<S>] {
        S::as_mut_simd_f32s(&mut self.numbers).0.as_chunks_mut().0
    }
}

#[cfg(test)]
mod tests;
