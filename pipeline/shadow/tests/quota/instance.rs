//! An instance in a control group whose CPU is limited by a quota, request by request.
//!
//! As the kernel's bandwidth control has it: in each period of 100 ms the group may take so much CPU, and then stands still until
//! the next. A service has [`THREADS`] threads over [`CPUS`] processors; requests wait for a thread in the order of their arrival.

use std::collections::VecDeque;

use shadow::RoleTick;

/// Seconds of a quota's period, as the kernel's default is.
const PERIOD: f64 = 0.1;

const THREADS: usize = 4;
const CPUS: f64 = 2.0;

/// Less than any instant or amount of work that matters: what is left of a request by rounding is no work.
const NOTHING: f64 = 1e-9;

/// A request: when it came, and the CPU seconds that it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) at: f64,
    pub(crate) work: f64,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    cores: f64,
    promise: f64,
    now: f64,
    /// CPU seconds left of this period's quota, and when the period ends.
    left: f64,
    ends: f64,
    /// Those under way first, with the work that is left.
    queue: VecDeque<Request>,
}

/// What happened in a stretch of time.
#[derive(Debug, Default)]
struct Stretch {
    latencies: Vec<f64>,
    cpu: f64,
    periods: f64,
    throttled: f64,
}

impl Instance {
    pub(crate) fn new(cores: f64, promise: f64, now: f64) -> Self {
        Self { cores, promise, now, left: 0.0, ends: now, queue: VecDeque::new() }
    }

    /// Serves what comes, in the order of its coming, until `until`.
    pub(crate) fn serve(&mut self, requests: &[Request], until: f64) -> RoleTick {
        let began = self.now;
        let mut stretch = Stretch::default();
        for request in requests {
            self.pass(request.at, &mut stretch);
            self.queue.push_back(*request);
        }
        self.pass(until, &mut stretch);
        let Stretch { mut latencies, cpu, periods, throttled } = stretch;
        latencies.sort_by(f64::total_cmp);
        let lasted = until - began;
        let late = latencies.iter().filter(|latency| **latency > self.promise).count();
        let slowest = latencies.len().checked_sub(latencies.len() / 100 + 1);
        RoleTick {
            cores: Some(cpu / lasted),
            limit_cores: Some(self.cores),
            throttled: (periods > 0.0).then(|| throttled / periods),
            requests: Some(latencies.len() as f64 / lasted),
            errors: None,
            late: Some(late as f64 / lasted),
            mirrorable: None,
            latency: slowest.map(|at| latencies[at]),
        }
    }

    fn pass(&mut self, until: f64, stretch: &mut Stretch) {
        while self.now < until {
            if self.now >= self.ends - NOTHING {
                self.begin_period(stretch);
            }
            let active = self.queue.len().min(THREADS);
            let busy = CPUS.min(active as f64);
            let most = self.ends.min(until) - self.now;
            if active == 0 || self.left <= NOTHING {
                self.now += most;
                continue;
            }
            let each = busy / active as f64;
            let least = self.queue.iter().take(active).map(|request| request.work).fold(f64::INFINITY, f64::min);
            let step = most.min(least / each).min(self.left / busy);
            self.now += step;
            self.left -= step * busy;
            stretch.cpu += step * busy;
            stretch.throttled += f64::from(u8::from(self.left <= NOTHING));
            self.queue.iter_mut().take(active).for_each(|request| request.work -= step * each);
            let now = self.now;
            self.queue.retain(|request| {
                let done = request.work <= NOTHING;
                if done {
                    stretch.latencies.push(now - request.at);
                }
                !done
            });
        }
    }

    fn begin_period(&mut self, stretch: &mut Stretch) {
        let passed = ((self.now - self.ends) / PERIOD + NOTHING).floor() + 1.0;
        self.ends += passed * PERIOD;
        self.left = self.cores * PERIOD;
        stretch.periods += 1.0;
    }
}
