//! What can be turned and read while a mirror runs.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schemas::{EventTime, Ratio, Seconds};

use crate::counts::Counts;
use crate::dial::{Granted, ShareFault};
use crate::forward::Proxy;
use crate::line::Line;
use crate::stage::Audience;

/// A running mirror's controls; clones control the same one.
#[derive(Clone)]
pub struct Handle {
    proxy: Arc<Proxy>,
}

impl Handle {
    pub(crate) fn new(proxy: Arc<Proxy>) -> Self {
        Self { proxy }
    }

    /// Mirrors a share of the requests until an instant; what came into force, as the local policy caps both. The next call
    /// takes the place of this one, and a share of 0 ends the mirroring at once.
    ///
    /// # Errors
    /// [`ShareFault`]; the share before then stays in force, and expires in its time.
    pub fn set_share(&self, audience: Audience, share: Ratio, until: EventTime) -> Result<Granted, ShareFault> {
        let line = self.line(audience).ok_or(ShareFault::Nobody)?;
        let now = event_time();
        if until <= now && share.get() != 0.0 {
            return Err(ShareFault::Past(until));
        }
        let lasting = Duration::from_millis(until.millis().saturating_sub(now.millis()));
        let (share, lasting) = line.dial.set(share.get(), lasting, Instant::now())?;
        let lasting_ms = u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
        Ok(Granted { share: Ratio::new(share), until: now.plus(lasting_ms) })
    }

    /// Says which latency the workload promises, so that late requests are counted from this interval on; none where it
    /// promises none.
    pub fn set_promise(&self, latency: Option<Seconds>) {
        let promise = latency.and_then(|latency| Duration::try_from_secs_f64(latency.get()).ok());
        *self.proxy.promise.lock().unwrap_or_else(PoisonError::into_inner) = promise;
    }

    /// The share that is in force now; none where the audience is nobody.
    #[must_use]
    pub fn share(&self, audience: Audience) -> Option<Ratio> {
        self.line(audience).map(|line| Ratio::new(line.dial.share(Instant::now())))
    }

    /// What became of the requests so far; none where the audience is nobody.
    #[must_use]
    pub fn counts(&self, audience: Audience) -> Option<Counts> {
        self.line(audience).map(|line| line.counters.read())
    }

    /// Copies that are under way to an audience.
    #[must_use]
    pub fn copies_under_way(&self, audience: Audience) -> usize {
        self.line(audience).map_or(0, |line| line.budget.copies())
    }

    fn line(&self, audience: Audience) -> Option<&Arc<Line>> {
        self.proxy.lines.iter().find(|line| line.audience == audience)
    }
}

/// Now, as samples tell it.
pub(crate) fn event_time() -> EventTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock shows a time after 1970");
    EventTime::from_millis(u64::try_from(since.as_millis()).expect("milliseconds fit for ages"))
}
