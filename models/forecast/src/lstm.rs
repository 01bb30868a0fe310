//! The global LSTM: one network for many workloads and measures, which corrects what the cheap experts say.
//!
//! ```text
//! 60 steps × 8 channels ─► LSTM ─► last hidden state ┐
//! horizon, experts' bases, past misses, calendar ────┴─► two layers ─► mixture of bases, shift, widths ─► quantiles
//! ```
//!
//! - *Relative.* All is told in units of the window's own spread around its newest value ([`input`]).
//! - *Residual.* The median is a mixture of what the blend of the other experts, some of them, and the newest value say,
//!   shifted; the distances between quantiles are those of the blend, scaled. A beginner's answer is all but the blend,
//!   which is hard to beat; training moves it from there.
//! - *Direct.* The horizon is an input, so one network answers every horizon, for the peak up to it and for the value at it.
//! - *Monotone.* Quantiles are sums of widths that are never negative.
//! - *Masked.* What is missing is 0 with a mask of 0.
//!
//! It is defined and trained in burn ([`train()`]), saved with burn's names ([`weights`]), and run by a kernel of our own
//! ([`Model`]), which tests hold to burn's forward pass. The kernel's answers are the same to the bit in any batch and on
//! any width of vectors.

pub mod input;
pub mod train;
pub mod weights;

mod elementary;
mod kernel;
mod model;
mod net;
mod shipped;

pub use input::{About, LEVELS, Measure, Question, Recent};
pub use model::{Batch, Model};
pub use shipped::{SHIPPED, shipped};
pub use train::council::{SHARE_MAX, capped};
pub use train::{Examples, Look, Score, TrainSettings, train};
pub use weights::{ArtifactError, Card, Data, Weights};
