//! One instance: a control group, and the process in it that is started again when it ends.

use std::process::Child;
use std::time::Instant;

use schemas::EventTime;

use super::backoff::Backoff;
use super::group::{GONE_MAX, Group, LOOK_EVERY};
use super::process::{Part, start};
use crate::Error;
use crate::services::ServiceSpec;

/// A group and what runs in it.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) group: Group,
    /// None for one that a predecessor started.
    child: Option<Child>,
    backoff: Backoff,
}

impl Instance {
    /// The instance of a group, with whatever runs in it.
    pub(super) fn new(group: Group) -> Self {
        Self { group, child: None, backoff: Backoff::default() }
    }

    /// Starts its process.
    pub(super) fn start(&mut self, service: &ServiceSpec, part: Part, now: EventTime) -> Result<(), Error> {
        self.child = Some(start(service, part, &self.group)?);
        self.backoff.start(now);
        Ok(())
    }

    /// Whether it runs. What the program leaves behind when it ends is killed: the program is the instance. Of one that a
    /// predecessor started nobody tells the end, so it runs while anything is in its group.
    pub(super) fn is_running(&mut self) -> bool {
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => true,
            Some(ended) => {
                tracing::info!(?ended, group = ?self.group.doors().next(), "a process ended");
                self.child = None;
                self.group.end();
                false
            }
            None => !self.group.is_empty(),
        }
    }

    /// Starts its process again when it has ended and may be. Returns whether it did.
    pub(super) fn keep_up(&mut self, service: &ServiceSpec, part: Part, now: EventTime) -> bool {
        if self.is_running() || !self.backoff.is_due(now) {
            return false;
        }
        // It waits after the first start, too: that it runs is seen at the next look.
        let delay_ms = self.backoff.fail(now);
        let started = self.start(service, part, now);
        let workload = service.name();
        match &started {
            Ok(()) => {
                tracing::warn!(workload, instance = part.index, next_ms = delay_ms, "ended, and was started again")
            }
            Err(error) => {
                tracing::error!(workload, instance = part.index, %error, next_ms = delay_ms, "cannot be started")
            }
        }
        started.is_ok()
    }

    /// Ends what runs, at once. False when it could not be ended.
    pub(super) fn end(&mut self) -> bool {
        if let Some(mut child) = self.child.take() {
            // It may not be in its group yet. A killed process ends soon, unless its disk hangs.
            let _ended = child.kill();
            let began = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && began.elapsed() < GONE_MAX {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        self.group.end()
    }
}
