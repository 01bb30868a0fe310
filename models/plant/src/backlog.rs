//! Work that does not fit: a fluid queue with a bound.
//!
//! Within one step arrivals λ and capacity μ are constant, so the backlog is b(t) = b0 + (λ - μ) t held to
//! [0, limit]. It is piecewise linear and solved exactly, so the length of the step does not change the result.

/// What one step did with its requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flow {
    /// Requests completed.
    pub(crate) served: f64,
    /// Requests refused because the backlog was full.
    pub(crate) dropped: f64,
    /// Requests waiting at the end.
    pub(crate) backlog_after: f64,
    /// Most requests waiting at any time in the step.
    pub(crate) backlog_peak: f64,
    /// Whether more wait at the end than at the start.
    pub(crate) growing: bool,
    /// Share of the step with a backlog, so with every core busy: 0..1.
    pub(crate) saturated_share: f64,
}

/// Serves `arrivals` requests/s at `capacity` requests/s for `seconds`, from `backlog` waiting requests, of which at
/// most `limit` may wait.
///
/// Invariant: served + dropped + backlog after = backlog before + arrived.
pub(crate) fn advance(backlog: f64, arrivals: f64, capacity: f64, limit: f64, seconds: f64) -> Flow {
    let net = arrivals - capacity;
    let unbounded = backlog + net * seconds;
    let dropped = (unbounded - limit).max(0.0);
    let backlog_after = unbounded.clamp(0.0, limit);
    Flow {
        served: (backlog + arrivals * seconds - backlog_after - dropped).max(0.0),
        dropped,
        backlog_after,
        backlog_peak: backlog.max(backlog_after),
        growing: backlog_after > backlog,
        saturated_share: saturated_share(backlog, net, seconds),
    }
}

fn saturated_share(backlog: f64, net: f64, seconds: f64) -> f64 {
    if net > 0.0 {
        1.0
    } else if backlog > 0.0 {
        // Drains after backlog / -net seconds; at net = 0 the quotient is infinite and the share is 1.
        (backlog / (-net * seconds)).min(1.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fills_drops_and_drains() {
        // 30/s in, 20/s out, 10 s: 100 more wait, of which 80 fit.
        let filled = advance(0.0, 30.0, 20.0, 80.0, 10.0);
        assert_eq!((filled.served, filled.dropped, filled.backlog_after), (200.0, 20.0, 80.0));
        assert!(filled.growing);
        assert_eq!(filled.saturated_share, 1.0);
        // 10/s in, 20/s out: 80 waiting drain in 8 s of the 10.
        let drained = advance(80.0, 10.0, 20.0, 80.0, 10.0);
        assert_eq!((drained.served, drained.dropped, drained.backlog_after), (180.0, 0.0, 0.0));
        assert!(!drained.growing);
        assert_eq!(drained.saturated_share, 0.8);
    }

    proptest! {
        #[test]
        fn no_request_is_lost_and_ten_short_steps_equal_a_long_one(
            backlog in 0.0..500.0, arrivals in 0.0..200.0, capacity in 0.0..200.0,
        ) {
            let limit = 500.0;
            let long = advance(backlog, arrivals, capacity, limit, 10.0);
            let accounted = long.served + long.dropped + long.backlog_after;
            prop_assert!((accounted - backlog - arrivals * 10.0).abs() < 1e-9);

            let (mut waiting, mut served, mut dropped) = (backlog, 0.0, 0.0);
            for _ in 0..10 {
                let short = advance(waiting, arrivals, capacity, limit, 1.0);
                waiting = short.backlog_after;
                served += short.served;
                dropped += short.dropped;
            }
            prop_assert!((served - long.served).abs() < 1e-9);
            prop_assert!((dropped - long.dropped).abs() < 1e-9);
            prop_assert!((waiting - long.backlog_after).abs() < 1e-9);
        }
    }
}
