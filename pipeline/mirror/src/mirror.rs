//! A running mirror: its threads, from the start to the end.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use schemas::{EventTime, Role, Sample};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use crate::courier;
use crate::error::Error;
use crate::forward::Proxy;
use crate::gauge::Gauge;
use crate::handle::{Handle, event_time};
use crate::line::Line;
use crate::report::Report;
use crate::server;
use crate::settings::MirrorSettings;
use crate::stage::{Audience, Stage};

/// A running mirror. Dropping it ends it as [`Mirror::finish`] does.
pub struct Mirror {
    address: SocketAddr,
    handle: Handle,
    /// Whoever is stopped, and its thread; the server first, so that requests under way are still copied.
    running: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Mirror {
    /// Serves the primary, and mirrors nothing until a share is set. At the end of each interval `on_report` gets what was
    /// read in it; it runs where requests are served and must not wait.
    ///
    /// # Errors
    /// [`Error`] when the settings have faults, the address cannot be listened on, or a thread not be started. Whether the
    /// primary answers is not asked: clients are told.
    pub fn start(
        settings: MirrorSettings,
        stage: Stage,
        on_report: impl FnMut(Report) + Send + 'static,
    ) -> Result<Self, Error> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(Error::Settings(faults));
        }
        stage.check_followers()?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(settings.threads).enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            listen(&stage).map_err(|source| Error::Listen { address: stage.listen, source })?
        };
        let address = listener.local_addr()?;

        let audiences = [Audience::Shadow, Audience::Pair].map(|audience| (audience, stage.followers(audience)));
        let (queue, posted) = mpsc::channel(settings.copies_max * audiences.len());
        let followed = audiences.into_iter().filter(|(_, followers)| !followers.is_empty());
        let line = |(audience, followers)| Line::new(audience, followers, &settings, queue.clone());
        let lines = followed.map(line).collect();
        let (stop_courier, stopped) = oneshot::channel();
        let courier = courier::start(posted, settings.follower_timeout.duration(), stopped)?;

        let proxy = Arc::new(Proxy::new(settings, stage, lines));
        let handle = Handle::new(Arc::clone(&proxy));
        let (stop_server, stopped) = oneshot::channel();
        let serve = move || serve(runtime, listener, &proxy, stopped, on_report);
        let server = thread::Builder::new().name("mirror".to_owned()).spawn(serve)?;
        Ok(Self { address, handle, running: vec![(stop_server, server), (stop_courier, courier)] })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What can be turned and read.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Accepts no more clients, waits for the requests under way, for at most `drain_max`, tells of the last interval and
    /// ends.
    pub fn finish(self) {}
}

impl Drop for Mirror {
    fn drop(&mut self) {
        for (stop, thread) in self.running.drain(..) {
            drop(stop);
            // A thread that panicked has told so.
            _ = thread.join();
        }
    }
}

/// Clients that may wait to be accepted.
const WAITING_MAX: u32 = 1_024;

/// Without waiting: the caller may itself be inside a runtime.
fn listen(stage: &Stage) -> io::Result<TcpListener> {
    let socket = if stage.listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // What clients of a predecessor have left must not keep the address.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(stage.is_replica)?;
    socket.bind(stage.listen)?;
    socket.listen(WAITING_MAX)
}

fn serve(
    runtime: Runtime,
    listener: TcpListener,
    proxy: &Arc<Proxy>,
    stop: oneshot::Receiver<()>,
    mut on_report: impl FnMut(Report),
) {
    let mut since = Instant::now();
    let mut report = |time| {
        let interval = std::mem::replace(&mut since, Instant::now()).elapsed();
        on_report(proxy.report(time, interval));
    };
    runtime.block_on(async {
        let serving = tokio::spawn(server::serve(listener, Arc::clone(proxy), stop));
        tokio::pin!(serving);
        loop {
            let now = event_time();
            let end = interval_end(now, proxy.settings.interval.millis());
            tokio::select! {
                _ = &mut serving => break,
                () = tokio::time::sleep(Duration::from_millis(end.millis() - now.millis())) => report(end.minus(1)),
            }
        }
    });
    report(event_time());
    runtime.shutdown_background();
}

/// When the interval ends that is under way. Intervals end with the clock's, as ticks do, and are told as of their last
/// millisecond: what a tick is told is then what it held, as it is with the CPU that is read beside it.
fn interval_end(now: EventTime, interval_ms: u64) -> EventTime {
    now.tick(interval_ms).plus(interval_ms)
}

impl Proxy {
    /// The readings of an interval of this length that ends now, told as of this time.
    fn report(&self, time: EventTime, interval: Duration) -> Report {
        let now = Instant::now();
        let promise = *self.promise.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = |role: Role, gauge: &Gauge| {
            let mut sample = Sample::new(time, self.stage.workload.clone());
            sample.tenant = self.stage.tenant.clone();
            (sample.instance, sample.role) = (Some(self.stage.instance.clone()), role);
            let asked = gauge.take(interval, promise, &mut sample);
            (sample, asked)
        };
        let mut primary = sample(Role::Primary, &self.gauge).0;
        // Where nobody is there to mirror to, it is nobody's question.
        primary.mirrorable_per_second = (!self.lines.is_empty()).then(|| self.gauge.take_mirrorable(interval));
        let mut report = Report { samples: vec![primary], pairs: Vec::new() };
        for line in &self.lines {
            // A follower that nothing is mirrored to has no readings: none is not zero.
            let mirrors = line.dial.share(now) > 0.0;
            let of = line.followers.iter().map(|follower| sample(follower.role, &follower.gauge));
            report.samples.extend(of.filter(|(_, asked)| mirrors || *asked).map(|(sample, _)| sample));
            report.pairs.extend(line.take_pairs());
        }
        report
    }
}
