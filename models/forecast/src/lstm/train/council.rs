//! Tenants as a council: how often each is asked which way the weights should go, and what of its answer is heard.
//!
//! A step asks one tenant for the gradient over a batch of its own examples: by its share of the examples, but by no more
//! than a cap. The weights then go where the newest answers of eight different tenants point, of which for each weight the
//! highest and the lowest quarter are left out and the mean is taken of the rest (Yin et al., ICML 2018): while fewer than a
//! quarter of those heard lie, every weight moves within what honest tenants ask for. An answer is cut at a norm of one, and is
//! at most a few steps old, as in Le Roux, Schmidt and Bach's average gradient (NIPS 2012), so that a guarded step costs no
//! more than an open one. It takes a whole batch, because with few examples a rare event looks like a lie, and what it teaches
//! of the high quantiles would be left out.
//!
//! | heard | left out at either end |
//! |---|---|
//! | 1 to 3 | 0: nothing is guarded |
//! | 4 to 7 | 1 |
//! | 8 | 2 |
//!
//! State: the places of the examples, and eight gradients of 100 kB at 48 units. Beyond [`TENANTS_MAX`] tenants share a seat.

use std::collections::VecDeque;

use burn::optim::GradientsParams;
use burn::tensor::Device;

use super::{Deck, Examples, descent};
use crate::lstm::net::Net;
use crate::noise::Noise;

/// Most seats.
pub const TENANTS_MAX: usize = 64;

/// Heard at a step: enough to leave a quarter out at either end, few enough that none is long out of date.
pub const HEARD: usize = 8;

/// A tenant is asked by at most this share, or by an equal share where there are fewer than five.
pub const SHARE_MAX: f64 = 0.2;

/// What is left out at either end.
const TRIMMED: f64 = 0.25;

/// One tenant, or several that share a seat.
struct Seat {
    /// Places of its examples.
    examples: Vec<usize>,
    deck: Deck,
    share: f64,
}

/// All of them.
pub(super) struct Council {
    seats: Vec<Seat>,
    /// The newest answers, of different seats, oldest first.
    answers: VecDeque<(usize, Vec<f32>)>,
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
        });
        Self { seats: seats.collect(), answers: VecDeque::new(), noise: Noise::new(seed ^ 0x5eed) }
    }

    /// Asks one of them, and before the first step as many as are heard: the mean loss of who was asked, and where the weights
    /// should go.
    pub(super) fn ask(
        &mut self,
        net: &Net,
        examples: &Examples,
        batch: usize,
        device: &Device,
    ) -> (f64, GradientsParams) {
        let heard = self.seats.len().min(HEARD);
        let questions = (heard - self.answers.len()).max(1);
        let mut losses = 0.0;
        for _ in 0..questions {
            if self.answers.len() == heard {
                self.answers.pop_front();
            }
            let asked = self.choose();
            let seat = &mut self.seats[asked];
            let dealt = seat.deck.deal(batch.min(seat.examples.len()));
            let chosen: Vec<usize> = dealt.into_iter().map(|card| seat.examples[card]).collect();
            let (loss, gradients) = descent(net, examples.batch(&chosen, device));
            losses += loss;
            self.answers.push_back((asked, cut(net.flat(&gradients))));
        }
        // Where all are heard at all times, their shares weigh; else by them they were asked.
        let all = heard == self.seats.len();
        let share = |seat: usize| if all { self.seats[seat].share as f32 } else { 1.0 };
        let answers: Vec<(&[f32], f32)> =
            self.answers.iter().map(|(seat, answer)| (&answer[..], share(*seat))).collect();
        (losses / questions as f64, net.unflat(&trimmed_mean(&answers)))
    }

    /// Whom to ask: one by the shares of those who are not heard already.
    fn choose(&mut self) -> usize {
        let heard = |seat: usize| self.answers.iter().any(|(by, _)| *by == seat);
        let open: Vec<usize> = (0..self.seats.len()).filter(|seat| !heard(*seat)).collect();
        let mut at = self.noise.uniform() * open.iter().map(|seat| self.seats[*seat].share).sum::<f64>();
        let chosen = open.iter().find(|seat| {
            at -= self.seats[**seat].share;
            at < 0.0
        });
        *chosen.or(open.last()).expect("the oldest answer has just made room")
    }
}

/// The gradient, at a norm of one at most.
fn cut(mut gradient: Vec<f32>) -> Vec<f32> {
    let norm = gradient.iter().map(|part| part * part).sum::<f32>().sqrt();
    if norm > 1.0 {
        gradient.iter_mut().for_each(|part| *part /= norm);
    }
    gradient
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
    let mut means: Vec<(f64, f64)> =
        sums.iter().zip(shares).map(|((sum, n), share)| (sum / *n as f64, share)).collect();
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
        let (sum, shares) =
            heard.iter().fold((0.0, 0.0), |(sum, all), (part, share)| (sum + part * share, all + share));
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
        assert!(
            shares.iter().zip([0.4, 0.4, 0.2]).all(|(share, expected)| (share - expected).abs() < 1e-12),
            "{shares:?}"
        );
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
