//! The line to one audience: its share, its budget, its counts, and who is at its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Method, Uri};
use schemas::Role;
use tokio::sync::mpsc;

use crate::budget::{Budget, Lease};
use crate::counts::{Counters, Fate};
use crate::dial::Dial;
use crate::gauge::Gauge;
use crate::pool::Pool;
use crate::report::{PAIRS_MAX, PairedExchange};
use crate::settings::MirrorSettings;
use crate::stage::{Audience, Upstream};

/// Everything that concerns one audience.
pub(crate) struct Line {
    pub(crate) audience: Audience,
    pub(crate) dial: Dial,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counters: Counters,
    /// One, or canary and baseline.
    pub(crate) followers: Vec<Follower>,
    pairs: Mutex<Vec<PairedExchange>>,
    queue: mpsc::Sender<Posted>,
}

/// One that sees copies.
pub(crate) struct Follower {
    pub(crate) role: Role,
    pub(crate) pool: Arc<Pool<Full<Bytes>>>,
    pub(crate) gauge: Gauge,
}

/// A request without its body, as it came, less what stays here.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

/// A place in the line, which one copy will take.
pub(crate) struct Place {
    line: Arc<Line>,
    lease: Lease,
}

/// A copy on its way. Its lease is given back when it is dropped.
pub(crate) struct Posted {
    pub(crate) line: Arc<Line>,
    pub(crate) head: Arc<Head>,
    pub(crate) body: Bytes,
    _lease: Lease,
}

impl Line {
    /// A line to those at its end, whose copies go into the courier's queue. Nothing is mirrored at first.
    pub(crate) fn new(
        audience: Audience,
        followers: Vec<(Role, Upstream)>,
        settings: &MirrorSettings,
        queue: mpsc::Sender<Posted>,
    ) -> Arc<Self> {
        let follower = |(role, upstream)| Follower { role, pool: Pool::new(upstream, settings), gauge: Gauge::new() };
        Arc::new(Self {
            audience,
            dial: Dial::new(settings.share_max, settings.lasting_max.duration()),
            budget: Budget::new(settings.copies_max, settings.copies_bytes_max),
            counters: Counters::default(),
            followers: followers.into_iter().map(follower).collect(),
            pairs: Mutex::default(),
            queue,
        })
    }

    /// A place for a copy of a request with this point and at most so many bytes; none, and counted, if it is not in the
    /// share or there is no room.
    pub(crate) fn place(self: &Arc<Self>, point: f64, bytes: usize, now: Instant) -> Option<Place> {
        if point >= self.dial.share(now) {
            self.counters.add(Fate::Unsampled);
            return None;
        }
        let lease = self.budget.take(bytes).map_err(|short| self.counters.add(short.into())).ok()?;
        Some(Place { line: Arc::clone(self), lease })
    }

    /// Takes in how both of a pair answered.
    pub(crate) fn add_pair(&self, pair: PairedExchange) {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() < PAIRS_MAX {
            pairs.push(pair);
        }
    }

    /// The pairs since the last call.
    pub(crate) fn take_pairs(&self) -> Vec<PairedExchange> {
        std::mem::take(&mut self.pairs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Place {
    /// Hands a whole request to the courier. Invariant: it never waits. The queue has room for as many copies as there are
    /// leases, so that it is only full, or closed, when the mirror ends.
    pub(crate) fn post(self, head: Arc<Head>, body: Bytes) {
        let Self { line, lease } = self;
        let queue = line.queue.clone();
        if let Err(unsent) = queue.try_send(Posted { line, head, body, _lease: lease }) {
            unsent.into_inner().line.counters.add(Fate::Busy);
        }
    }

    /// Gives the place up.
    pub(crate) fn give_up(self, fate: Fate) {
        self.line.counters.add(fate);
    }
}
