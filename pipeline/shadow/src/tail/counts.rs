//! Late requests, counted.

use elementary::ln;
use serde::{Deserialize, Serialize};

use crate::RoleTick;
use crate::law::waiting_chance;
use crate::points::{SAME_SIZE, STALE_MS};

/// Length of a block; a part of it that an end leaves over counts from half of it on.
const BLOCK_S: f64 = 10.0;

/// Ticks this far apart have others between them that were not read.
const GAP_MS: u64 = 10_000;

/// Utilisation from which a block is of no equilibrium.
const SETTLED_MAX: f64 = 0.98;

/// Bins to the octave of idle cores: each an eighth wider than the one before.
const BINS_PER_OCTAVE: f64 = 6.0;

/// Ten octaves: the least lately seen bin makes room.
pub(super) const BINS_MAX: usize = 60;

/// Blocks that a bin remembers: twenty minutes.
const MEMORY: f64 = 120.0;

/// Late requests of a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tail {
    open: Block,
    /// What the open block began with: the limit in cores, and the mirrored share.
    setting: [f64; 2],
    seen_ms: u64,
    /// Whether the block before this one was in equilibrium at this size.
    settled: bool,
    pub(super) bins: Vec<Bin>,
}

/// Sums over seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    seconds: f64,
    limit: f64,
    cores: f64,
    requests: f64,
    late: f64,
}

/// Fading sums over blocks with nearly the same idle cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Bin {
    pub(super) place: i32,
    seen_ms: u64,
    blocks: f64,
    pub(super) requests: f64,
    pub(super) late: f64,
    /// Idle cores and chances to wait, each times its requests.
    pub(super) idle: f64,
    pub(super) waits: f64,
    /// Squares of requests, products of both, squares of late ones.
    pub(super) squares: [f64; 3],
}

impl Tail {
    /// A tick that was disturbed, or not read: it is in no block, and what it delayed is not in the next one.
    pub(crate) fn begin_anew(&mut self, now_ms: u64) {
        (self.open, self.settled, self.seen_ms) = (Block::default(), false, now_ms);
    }

    /// The instance is no more, or another one: what it has shown counts.
    pub(crate) fn end(&mut self, now_ms: u64) {
        self.close(now_ms);
        self.settled = false;
    }

    /// Takes in a tick under this mirrored share.
    pub(crate) fn observe(&mut self, now_ms: u64, tick: &RoleTick, mirrored_share: f64) {
        let past_ms = now_ms.saturating_sub(self.seen_ms);
        self.seen_ms = now_ms;
        let RoleTick {
            limit_cores: Some(limit), cores: Some(cores), requests: Some(requests), late: Some(late), ..
        } = *tick
        else {
            return self.begin_anew(now_ms);
        };
        if past_ms > GAP_MS {
            // From here on time is told, of which this tick is none.
            return self.begin_anew(now_ms);
        }
        let [limit_before, share_before] = self.setting;
        if (limit - limit_before).abs() > SAME_SIZE * limit_before {
            self.end(now_ms);
        } else if mirrored_share != share_before {
            self.close(now_ms);
        }
        if self.open.seconds == 0.0 {
            self.setting = [limit, mirrored_share];
        }
        self.open.add(past_ms as f64 / 1e3, [limit, cores, requests, late.min(requests)]);
        if self.open.seconds >= BLOCK_S {
            self.close(now_ms);
        }
    }

    fn close(&mut self, now_ms: u64) {
        let block = std::mem::take(&mut self.open);
        if block.seconds == 0.0 {
            return;
        }
        let in_equilibrium = block.cores < SETTLED_MAX * block.limit;
        let is_long = block.seconds >= BLOCK_S / 2.0;
        if is_long && in_equilibrium && self.settled && block.requests > 0.0 && block.cores > 0.0 {
            self.count(now_ms, &block);
        }
        self.settled = in_equilibrium && (is_long || self.settled);
    }

    fn count(&mut self, now_ms: u64, block: &Block) {
        let place = (BINS_PER_OCTAVE / std::f64::consts::LN_2 * ln(block.idle())).floor() as i32;
        let at = self.bins.partition_point(|bin| bin.place < place);
        if self.bins.get(at).is_none_or(|bin| bin.place != place) {
            self.bins.insert(at, Bin { place, ..Bin::default() });
        }
        self.bins[at].count(now_ms, block);
        if self.bins.len() > BINS_MAX {
            let oldest = (0..self.bins.len()).min_by_key(|at| self.bins[*at].seen_ms);
            oldest.map(|at| self.bins.remove(at));
        }
    }

    pub(super) fn fresh(&self, now_ms: u64) -> impl Iterator<Item = &Bin> + Clone {
        self.bins.iter().filter(move |bin| now_ms.saturating_sub(bin.seen_ms) < STALE_MS)
    }
}

impl Block {
    fn add(&mut self, seconds: f64, [limit, cores, requests, late]: [f64; 4]) {
        self.seconds += seconds;
        self.limit += seconds * limit;
        self.cores += seconds * cores;
        self.requests += seconds * requests;
        self.late += seconds * late;
    }

    fn idle(&self) -> f64 {
        (self.limit - self.cores) / self.seconds
    }

    fn waits(&self) -> f64 {
        waiting_chance(self.limit / self.seconds, self.cores / self.limit)
    }
}

impl Bin {
    fn count(&mut self, now_ms: u64, block: &Block) {
        let Block { requests, late, .. } = *block;
        let keep = match self.blocks {
            _ if now_ms.saturating_sub(self.seen_ms) >= STALE_MS => 0.0,
            blocks if blocks >= MEMORY => 1.0 - 1.0 / MEMORY,
            _ => 1.0,
        };
        self.seen_ms = now_ms;
        let adds = [1.0, requests, late, requests * block.idle(), requests * block.waits()];
        let sums = [&mut self.blocks, &mut self.requests, &mut self.late, &mut self.idle, &mut self.waits];
        sums.into_iter().zip(adds).for_each(|(sum, add)| *sum = *sum * keep + add);
        let adds = [requests * requests, requests * late, late * late];
        self.squares.iter_mut().zip(adds).for_each(|(sum, add)| *sum = *sum * keep * keep + add);
    }
}
