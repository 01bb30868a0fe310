//! The share that is mirrored: capped by the local policy, and only for a while.
//!
//! A mirror that nobody renews ends by itself. The policy's caps hold whoever asks, so that a decision, however well
//! signed, never mirrors more or longer than the machine's owner allows.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::{EventTime, Ratio};

/// What came into force, which may be less than what was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Granted {
    /// The share of requests.
    pub share: Ratio,
    /// When it ends unless it is renewed.
    pub until: EventTime,
}

/// Why a share did not come into force; the one before stays.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ShareFault {
    /// Not a share.
    #[error("a mirrored share of {0}: it must lie in 0 to 1")]
    NotAShare(f64),
    /// It would have ended before now.
    #[error("a mirrored share until {0}, which is past: give a later time, or a share of 0 to stop")]
    Past(EventTime),
    /// Nobody is there to mirror to.
    #[error("a mirrored share for a role that this mirror was started without: name its address at the start")]
    Nobody,
}

/// The share of one audience.
#[derive(Debug)]
pub(crate) struct Dial {
    share_max: f64,
    lasting_max: Duration,
    setting: Mutex<Option<Setting>>,
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    share: f64,
    until: Instant,
}

impl Dial {
    /// Nothing is mirrored, and at most so much, for at most so long at a time.
    pub(crate) fn new(share_max: Ratio, lasting_max: Duration) -> Self {
        Self { share_max: share_max.get(), lasting_max, setting: Mutex::new(None) }
    }

    /// Sets the share for so long from `now` on; what came into force.
    pub(crate) fn set(&self, share: f64, lasting: Duration, now: Instant) -> Result<(f64, Duration), ShareFault> {
        if !(0.0..=1.0).contains(&share) {
            return Err(ShareFault::NotAShare(share));
        }
        let (share, lasting) = (share.min(self.share_max), lasting.min(self.lasting_max));
        *self.lock() = Some(Setting { share, until: now + lasting });
        Ok((share, lasting))
    }

    /// The share in force; zero once it has expired.
    pub(crate) fn share(&self, now: Instant) -> f64 {
        self.lock().filter(|setting| now < setting.until).map_or(0.0, |setting| setting.share)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Setting>> {
        // A setting is replaced as a whole: a panic elsewhere leaves no half of it.
        self.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn dial() -> Dial {
        Dial::new(Ratio::new(0.5), MINUTE)
    }

    #[test]
    fn nothing_is_mirrored_before_it_is_asked_for() {
        assert_eq!(dial().share(Instant::now()), 0.0);
    }

    #[test]
    fn a_share_expires_unless_it_is_renewed() {
        let (dial, now) = (dial(), Instant::now());
        dial.set(0.2, MINUTE / 2, now).expect("a share");
        assert_eq!(dial.share(now + MINUTE / 2 - Duration::from_nanos(1)), 0.2);
        assert_eq!(dial.share(now + MINUTE / 2), 0.0);
        dial.set(0.2, MINUTE, now + MINUTE / 2).expect("a share");
        assert_eq!(dial.share(now + MINUTE), 0.2);
    }

    #[test]
    fn the_policy_caps_the_share_and_its_time() {
        let (dial, now) = (dial(), Instant::now());
        assert_eq!(dial.set(0.9, 10 * MINUTE, now), Ok((0.5, MINUTE)));
        assert_eq!((dial.share(now), dial.share(now + MINUTE)), (0.5, 0.0));
    }

    #[test]
    fn what_is_no_share_changes_nothing() {
        let (dial, now) = (dial(), Instant::now());
        dial.set(0.1, MINUTE, now).expect("a share");
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(dial.set(wrong, MINUTE, now), Err(ShareFault::NotAShare(_))));
        }
        assert_eq!(dial.share(now), 0.1);
    }
}
