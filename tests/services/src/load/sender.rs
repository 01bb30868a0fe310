//! Sends what is due over connections that are kept open.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::sync::{Semaphore, mpsc};

use super::Load;
use super::tally::{Failure, Tally};

pub(super) struct Sender {
    client: Client<HttpConnector, Empty<Bytes>>,
    load: Load,
    tally: Arc<Tally>,
}

impl Sender {
    pub(super) fn new(load: &Load, tally: Arc<Tally>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, load: load.clone(), tally }
    }

    /// Sends each request as it is named, and waits for the last answers.
    pub(super) async fn send_all(self, mut due: mpsc::Receiver<Instant>) {
        let places = Arc::new(Semaphore::new(self.load.in_flight_max));
        let sender = Arc::new(self);
        while let Some(due) = due.recv().await {
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                sender.tally.failed(Failure::Unsent);
                continue;
            };
            let sender = Arc::clone(&sender);
            tokio::spawn(async move {
                sender.send(due).await;
                drop(place);
            });
        }
        let all = u32::try_from(sender.load.in_flight_max).unwrap_or(u32::MAX);
        _ = places.acquire_many(all).await;
    }

    async fn send(&self, due: Instant) {
        self.tally.sent(due.elapsed());
        match tokio::time::timeout(self.load.timeout, self.exchanges()).await {
            Ok(Ok(())) => self.tally.answered(due.elapsed()),
            Ok(Err(failure)) => self.tally.failed(failure),
            Err(_) => self.tally.failed(Failure::TimedOut),
        }
    }

    async fn exchanges(&self) -> Result<(), Failure> {
        for _ in 0..self.load.retries_max {
            match self.exchange().await {
                Err(Failure::Broken) => {}
                ended => return ended,
            }
        }
        self.exchange().await
    }

    async fn exchange(&self) -> Result<(), Failure> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.load.target.clone();
        *request.headers_mut() = self.load.headers.clone();
        let response = self.client.request(request).await.map_err(|_| Failure::Broken)?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|_| Failure::Broken)?;
        }
        if status.is_success() { Ok(()) } else { Err(Failure::Refused) }
    }
}
