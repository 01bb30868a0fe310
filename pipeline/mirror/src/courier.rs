//! Carries copies to their followers, on a thread of its own, and drops what they answer.
//!
//! Whatever a follower does, it does to this thread: the threads that serve the primary only put copies into a queue.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use schemas::Seconds;
use tokio::sync::{mpsc, oneshot};

use crate::counts::Fate;
use crate::headers;
use crate::line::{Follower, Posted};
use crate::pool::Lost;
use crate::report::{Answer, PairedExchange};

/// Starts the thread; it ends, with all copies under way, when `stop` is dropped.
pub(crate) fn start(
    mut queue: mpsc::Receiver<Posted>,
    timeout: Duration,
    stop: oneshot::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("courier".to_owned()).spawn(move || {
        let carry = async {
            while let Some(posted) = queue.recv().await {
                tokio::spawn(deliver(posted, timeout));
            }
        };
        runtime.block_on(async {
            tokio::select! { () = carry => {}, _ = stop => {} }
        });
    })
}

/// Brings a copy to everyone at the end of its line, at the same time.
async fn deliver(posted: Posted, timeout: Duration) {
    let line = Arc::clone(&posted.line);
    let answers = join_all(line.followers.iter().map(|follower| follower.see(&posted, timeout))).await;
    let lost = answers.iter().find_map(|answer| answer.as_ref().err());
    line.counters.add(lost.copied().unwrap_or(Fate::Answered));
    if let [canary, baseline] = answers[..] {
        line.add_pair(PairedExchange { canary: canary.ok(), baseline: baseline.ok() });
    }
}

impl Follower {
    /// Sends a copy and reads the answer to its end, so that the connection can be used again.
    async fn see(&self, posted: &Posted, timeout: Duration) -> Result<Answer, Fate> {
        let began = Instant::now();
        let mut head = None;
        let exchange = async {
            let mut response = self.send(posted).await?;
            let latency = began.elapsed();
            head = Some((latency, response.status().as_u16()));
            while let Some(frame) = response.body_mut().frame().await {
                frame.map_err(|_| Fate::Broken)?;
            }
            Ok(())
        };
        let ended = tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(Fate::TimedOut));
        let error = ended.is_err() || head.is_none_or(|(_, status)| fails(status));
        // What was given up after so long took at least that: to leave it out would make a role that hangs look fast.
        let given_up = matches!(ended, Err(Fate::TimedOut)).then(|| began.elapsed());
        self.gauge.count();
        self.gauge.record(head.map(|(latency, _)| latency).or(given_up), error);
        ended?;
        let (latency, status) = head.ok_or(Fate::Broken)?;
        Ok(Answer { status, latency: Seconds::new(latency.as_secs_f64()) })
    }

    async fn send(&self, posted: &Posted) -> Result<Response<hyper::body::Incoming>, Fate> {
        let mut request = Request::new(Full::new(posted.body.clone()));
        *request.method_mut() = posted.head.method.clone();
        let mut of = posted.head.headers.clone();
        headers::mark(&mut of, self.role);
        // What HTTP/2 cannot carry was no use to a follower of HTTP/2.
        *request.uri_mut() =
            headers::aim(&posted.head.uri, &mut of, self.pool.upstream).map_err(|_| Fate::Unreachable)?;
        *request.headers_mut() = of;
        self.pool.send(request).await.map_err(|lost| match lost {
            Lost::Unreachable(..) => Fate::Unreachable,
            Lost::Broken(..) => Fate::Broken,
        })
    }
}

/// Whether an answer tells of a failure. A copy goes without credentials: who is refused for that does not do the work that the
/// primary does.
fn fails(status: u16) -> bool {
    status >= 500 || matches!(status, 401 | 403)
}
