//! Tenants as a council: how often each is asked which way the weights should go, and what of its answer is heard.
//!
//! Each step asks a few tenants, each for the gradient over examples of its own. A tenant is asked by its share of the
//! examples, but by no more than a cap. Its answer is cut at a norm of one and averaged with its former ones, so that what is
//! compared is what it stands for and not the luck of a batch (Karimireddy, He and Jaggi, ICML 2021: without history, robust
//! rules mistake rare events for lies). Then, for each weight, the highest and the lowest quarter of the answers are left out and
//! the mean is taken of the rest (Yin et al., ICML 2018): while fewer than a quarter of those asked lie, every weight moves
//! within what honest tenants ask for.
//!
//! | asked | left out at either end |
//! |---|---|
//! | 1 to 3 | 0: nothing is guarded |
//! | 4 to 7 | 1 |
//! | 8 | 2 |
//!
//! State: a gradient a tenant, at most [`TENANTS_MAX`] of them; beyond it tenants share a seat.

use burn::optim::GradientsParams;
use burn::tensor::Device;

use super::{Deck, Examples, descent};
use crate::lstm::net::Net;
use crate::noise::Noise;

/// Most seats: a gradient takes 100 kB at 48 units.
pub const TENANTS_MAX: usize = 64;

/// Asked a step: enough to leave a quarter out at either end, few enough that each has examples of all kinds.
pub const ASKED: usize = 8;

/// A tenant is asked by at most this share, or by an equal share where there are fewer than five.
pub const SHARE_MAX: f64 = 0.2;

/// What is left out at either end.
const TRIMMED: f64 = 0.25;

/// How much of its former answers a tenant keeps: about five steps' worth.
const KEPT: f32 = 0.8;

/// One tenant, or several that share a seat.
struct Seat {
    /// Places of its examples.
    examples: Vec<usize>,
    deck: Deck,
    share: f64,
    answer: Vec<f32>,
}

/// All of them.
pub(super) struct Council {
    seats: Vec<Seat>,
    noise: Noise,
}

impl Council {
    pub(super) fn new(examples: &Examples, seed: u64) -> Self {
        let mut places = vec![Vec::new(); TENANTS_MAX];
        for (at, tenant) in examples.tenants.iter().enumerate() {
            places[*tenant as usize % TENANTS_MAX].push(at);
        }
        places.retain(|places| !places.is_empty());
        let counts: Vec<usize> = places.iter().map(Vec::len).collect();
        let shares = capped(&counts, SHARE_MAX);
        let seats = places.into_iter().zip(shares).enumerate();
        let seats = seats.map(|(at, (examples, share))| Seat {
            deck: Deck::new(examples.len(), seed ^ (at as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d)),
            examples,
            share,
            answer: Vec::new(),
        });
        Self { seats: seats.collect(), noise: Noise::new(seed ^ 0x5eed) }
    }

    /// Asks some of them, `batch` examples in all: their mean loss, and where the weights should go.
    pub(super) fn ask(
        &mut self,
        net: &Net,
        examples: &Examples,
        batch: usize,
        device: &Device,
    ) -> (f64, GradientsParams) {
        let asked = self.choose();
        let each = (batch / asked.len()).max(1);
        let mut losses = 0.0;
        for seat in &asked {
            let seat = &mut self.seats[*seat];
            let dealt = seat.deck.deal(each.min(seat.examples.len()));
            let chosen: Vec<usize> = dealt.into_iter().map(|card| seat.examples[card]).collect();
            let (loss, gradients) = descent(net, examples.batch(&chosen, device));
            losses += loss;
            seat.hear(net.flat(&gradients));
        }
        let all = asked.len() == self.seats.len();
        let answers: Vec<(&[f32], f32)> = asked
            .iter()
            .map(|seat| (&self.seats[*seat].answer[..], if all { self.seats[*seat].share as f32 } else { 1.0 }))
            .collect();
        (losses / asked.len() as f64, net.unflat(&trimmed_mean(&answers)))
    }

    /// Whom to ask: all where there are few, else some by their shares, nobody twice.
    fn choose(&mut self) -> Vec<usize> {
        let mut left: Vec<usize> = (0..self.seats.len()).collect();
        if left.len() <= ASKED {
            return left;
        }
        let mut asked: Vec<usize> = (0..ASKED)
            .map(|_| {
                let mut at = self.noise.uniform() * left.iter().map(|seat| self.seats[*seat].share).sum::<f64>();
                let place = left.iter().position(|seat| {
                    at -= self.seats[*seat].share;
                    at < 0.0
                });
                left.swap_remove(place.unwrap_or(left.len() - 1))
            })
            .collect();
        asked.sort_unstable();
        asked
    }
}

impl Seat {
    fn hear(&mut self, mut gradient: Vec<f32>) {
        let norm = gradient.iter().map(|part| part * part).sum::<f32>().sqrt();
        let scale = if norm > 1.0 { 1.0 / norm } else { 1.0 };
        gradient.iter_mut().for_each(|part| *part *= scale);
        if self.answer.is_empty() {
            self.answer = gradient;
            return;
        }
        self.answer.iter_mut().zip(gradient).for_each(|(kept, new)| *kept = *kept * KEPT + new * (1.0 - KEPT));
    }
}

/// Shares of counts, none above `most` or, where there are too few for that, an equal share. What is cut off goes to the
/// others by their counts.
///
/// | counts | at most 0.5 |
/// |---|---|
/// | 8, 1, 1 | 0.5, 0.25, 0.25 |
/// | 9, 1 | 0.5, 0.5 |
pub fn capped(counts: &[usize], most: f64) -> Vec<f64> {
    let most = most.max(1.0 / counts.len().max(1) as f64);
    let mut capped = vec![false; counts.len()];
    loop {
        let held = capped.iter().filter(|capped| **capped).count() as f64 * most;
        let free: usize = counts.iter().zip(&capped).filter(|(_, capped)| !**capped).map(|(count, _)| *count).sum();
        let share = |count: usize| (1.0 - held).max(0.0) * count as f64 / free.max(1) as f64;
        let over = counts.iter().zip(&capped).position(|(count, capped)| !capped && share(*count) > most + 1e-12);
        match over {
            Some(at) => capped[at] = true,
            None => {
                let shares = counts.iter().zip(&capped);
                return shares.map(|(count, capped)| if *capped { most } else { share(*count) }).collect();
            }
        }
    }
}

/// The mean loss over tenants by their capped shares, without the worst and the best quarter of the tenants: validation
/// examples of a liar are lies, too.
pub(super) fn trimmed_loss(losses: &[f64], tenants: &[u32]) -> f64 {
    let mut sums = vec![(0.0, 0); TENANTS_MAX];
    for (loss, tenant) in losses.iter().zip(tenants) {
        let sum = &mut sums[*tenant as usize % TENANTS_MAX];
        *sum = (sum.0 + loss, sum.1 + 1);
    }
    sums.retain(|(_, count)| *count > 0);
    let counts: Vec<usize> = sums.iter().map(|(_, count)| *count).collect();
    let shares = capped(&counts, SHARE_MAX);
    let mut means: Vec<(f64, f64)> = sums.iter().zip(shares).map(|((sum, n), share)| (sum / *n as f64, share)).collect();
    means.sort_by(|a, b| a.0.total_cmp(&b.0));
    let out = (means.len() as f64 * TRIMMED) as usize;
    let heard = &means[out..means.len() - out];
    heard.iter().map(|(mean, share)| mean * share).sum::<f64>() / heard.iter().map(|(_, share)| share).sum::<f64>()
}

/// For each weight the mean of what the answers say, without the highest and the lowest quarter of them.
fn trimmed_mean(answers: &[(&[f32], f32)]) -> Vec<f32> {
    let out = (answers.len() as f64 * TRIMMED) as usize;
    let mut said: Vec<(f32, f32)> = Vec::with_capacity(answers.len());
    let weights = answers.first().map_or(0, |(answer, _)| answer.len());
    let mean = (0..weights).map(|at| {
        said.clear();
        said.extend(answers.iter().map(|(answer, share)| (answer[at], *share)));
        said.sort_by(|a, b| a.0.total_cmp(&b.0));
        let heard = &said[out..said.len() - out];
        let (sum, shares) = heard.iter().fold((0.0, 0.0), |(sum, all), (part, share)| (sum + part * share, all + share));
        sum / shares
    });
    mean.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_cap_goes_to_the_others() {
        assert_eq!(capped(&[8, 1, 1], 0.5), [0.5, 0.25, 0.25]);
        // 6 of 10 are cut to 0.4; of the 0.6 left, 3 of 4 would be 0.45 and are cut, too; the last has the rest.
        let shares = capped(&[6, 3, 1], 0.4);
        assert!(shares.iter().zip([0.4, 0.4, 0.2]).all(|(share, expected)| (share - expected).abs() < 1e-12), "{shares:?}");
        assert_eq!(capped(&[9, 1], 0.2), [0.5, 0.5]);
        assert_eq!(capped(&[7], 0.2), [1.0]);
    }

    #[test]
    fn the_worst_and_the_best_tenant_of_four_do_not_say_when_to_stop() {
        let losses = [9.0, 1.0, 3.0, 2.0, 4.0];
        // Means 9, 1, 2.5, 4 with shares capped at a quarter each: that of 2.5 and 4.
        assert_eq!(trimmed_loss(&losses, &[0, 1, 2, 2, 3]), 3.25);
    }

    #[test]
    fn two_liars_of_eight_move_no_weight_beyond_the_honest() {
        let honest: Vec<Vec<f32>> = (0..6).map(|at| vec![at as f32, -1.0]).collect();
        let lies = [vec![1e6, 1e6], vec![1e6, -1e6]];
        let answers: Vec<(&[f32], f32)> = honest.iter().chain(&lies).map(|answer| (&answer[..], 1.0)).collect();
        // 0, 1, 2, 3, 4, 5, 10⁶, 10⁶ without two at either end: the mean of 2, 3, 4, 5.
        assert_eq!(trimmed_mean(&answers), [3.5, -1.0]);
        // Of three nobody is left out.
        assert_eq!(trimmed_mean(&answers[..3]), [1.0, -1.0]);
    }
}
