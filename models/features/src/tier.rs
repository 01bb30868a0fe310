//! Windows of different lengths over the same panes.
//!
//! Values go into the newest, open pane. When time moves on, the pane is closed: its sketch is packed and queued until
//! the longest window has let go of it. Panes without values are not queued, so the queue holds at most as many panes
//! as the longest window. Each window knows how many at the queue's end are its own.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::grid::Extent;
use crate::packed::PackedSketch;
use crate::sketch::Sketch;
use crate::summary::Summary;
use crate::window::{ClosedPane, PaneMean, Window};

/// Windows over panes of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tier {
    pane_ms: u64,
    /// Number of the open pane.
    pane: u64,
    open: Summary,
    open_sketch: Sketch,
    closed: VecDeque<ClosedPane>,
    windows: Vec<Window>,
}

impl Tier {
    /// One window per extent; the extents share one pane length.
    pub(crate) fn new(extents: &[Extent]) -> Self {
        let longest = extents.iter().map(|extent| extent.panes).max().unwrap_or(1);
        Self {
            pane_ms: extents[0].pane_ms,
            pane: 0,
            open: Summary::EMPTY,
            open_sketch: Sketch::default(),
            // A pane is queued before the one that it pushes out has left.
            closed: VecDeque::with_capacity(longest as usize + 1),
            windows: extents.iter().map(|extent| Window::new(extent.panes)).collect(),
        }
    }

    /// Moves on to the pane of `time_ms`, which is not before the open one.
    pub(crate) fn advance(&mut self, time_ms: u64) {
        let pane = time_ms / self.pane_ms;
        if pane == self.pane {
            return;
        }
        self.close();
        self.pane = pane;
        for window in &mut self.windows {
            window.advance(pane, &self.closed);
        }
        let needed = self.windows.iter().map(Window::live).max().unwrap_or(0);
        self.closed.drain(..self.closed.len() - needed);
    }

    /// Adds values, later than all before, to the open pane; `summary` is theirs.
    pub(crate) fn add(&mut self, values: &[(u64, f64)], summary: &Summary) {
        self.open = self.open.merge(summary);
        values.iter().for_each(|&(_, value)| self.open_sketch.insert(value));
        for window in &mut self.windows {
            window.add(values, summary);
        }
    }

    /// What the window at `index` holds; `None` when it holds nothing.
    pub(crate) fn features(&self, index: usize, ewma: f64) -> Option<Features> {
        let window = &self.windows[index];
        Features::assemble(&window.summary(), window.sketch(), self.rate_per_second(window), ewma)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let packed: usize = self.closed.iter().map(|pane| pane.sketch.heap_bytes()).sum();
        let windows: usize = self.windows.iter().map(Window::heap_bytes).sum();
        packed
            + windows
            + self.open_sketch.heap_bytes()
            + self.closed.capacity() * size_of::<ClosedPane>()
            + self.windows.capacity() * size_of::<Window>()
    }

    fn close(&mut self) {
        let Some(mean) = PaneMean::of(self.pane, self.pane_ms, &self.open) else {
            return;
        };
        self.closed.push_back(ClosedPane { mean, sketch: PackedSketch::of(&self.open_sketch) });
        self.windows.iter_mut().for_each(Window::close_pane);
        self.open = Summary::EMPTY;
        self.open_sketch.clear();
    }

    /// From the oldest to the newest pane with values; `None` when there is but one.
    fn rate_per_second(&self, window: &Window) -> Option<f64> {
        let open = PaneMean::of(self.pane, self.pane_ms, &self.open);
        let closed = self.closed.range(self.closed.len() - window.live()..);
        let mut panes = closed.map(|pane| pane.mean).chain(open);
        let oldest = panes.next()?;
        let newest = panes.next_back()?;
        Some(oldest.rate_per_second(&newest, self.pane_ms))
    }
}
