//! Synthetic workloads: traces from a seed, to train on where there is no licence for real ones.
//!
//! ```text
//! seed ─► tenant, step, span ─► load (a family) ─┬─► CPU ─► limit ─► flaws ─► series (and its shadow's)
//!                                                ├─► requests or bytes a second ─► …
//!                                                └─► memory that lags ─► …
//! ```
//!
//! Families of loads: [`load`]; of memory: [`memory`]; a twelfth are primaries and shadows of `plant`'s queueing model
//! ([`pair`]). Every parameter is drawn over a range of octaves rather than fitted: a network that has seen the whole range
//! has to read from the window which kind of workload it looks at. What they leave out, and so must not be claimed from a
//! score on them: how often each kind occurs anywhere, and everything that nobody has thought of.
//!
//! The same seed gives the same bits everywhere, and the first n of more workloads are the same n. **Cost**: 0.1 to 0.3 µs a
//! value, and 16 bytes.

mod calendar;
mod dice;
mod events;
mod flaws;
mod load;
mod memory;
mod pair;
mod workload;

use serde::{Deserialize, Serialize};

use crate::traces::Series;
use dice::Dice;
use workload::{Named, workload};

/// Most workloads: a few gigabytes of values.
pub const WORKLOADS_MAX: usize = 10_000;

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Synthesis {
    /// Everything follows from it.
    pub seed: u64,
    /// How many workloads, at most [`WORKLOADS_MAX`]; each has one to three series.
    pub workloads: usize,
    /// How many tenants own them, in turn.
    pub tenants: usize,
}

impl Default for Synthesis {
    fn default() -> Self {
        Self { seed: 1, workloads: 360, tenants: 12 }
    }
}

/// The series of all workloads, one workload after the other.
pub fn synthesize(what: &Synthesis) -> Vec<Series> {
    let dice = Dice::new(what.seed);
    let numbers = 0..what.workloads.min(WORKLOADS_MAX);
    let all = numbers.flat_map(|at| {
        let name = format!("workload-{at:04}");
        let tenant = format!("tenant-{:02}", at % what.tenants.max(1));
        let dice = dice.apart(&name);
        workload(&Named { name, tenant }, dice)
    });
    all.collect()
}

#[cfg(test)]
mod tests;
