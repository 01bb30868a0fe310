//! The load generator against servers that answer, stall, refuse and are not there.
#![allow(clippy::disallowed_methods, reason = "a slow server is one that sleeps")]

use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use services::{Arrivals, Cpu, Load, Memory, Outcome, Server, Spacing, Work, load};

/// Keeps its only thread busy for as long as it says.
struct Stall(Duration);

impl Work for Stall {
    fn answer(&self, _query: &str) -> Result<String, String> {
        std::thread::sleep(self.0);
        Ok(String::new())
    }
}

fn serve(work: impl Work) -> Server {
    Server::start(([127, 0, 0, 1], 0).into(), NonZero::<usize>::MIN, Arc::new(work)).expect("a free port")
}

fn arrivals(rate: &str, lasting: Duration) -> Arrivals {
    Arrivals::new(&rate.parse().expect("a rate"), lasting, Spacing::Even)
}

fn send(address: SocketAddr, path: &str, rate: &str) -> Outcome {
    let load = Load::new(address, path).expect("a path");
    load::run(&load, arrivals(rate, Duration::from_millis(500)), |_| {}).expect("sockets")
}

#[test]
fn every_request_is_sent_once_and_answered() {
    for server in [serve(Cpu::new(1_000)), serve(Memory::new(1 << 20, 1 << 20))] {
        let outcome = send(server.address(), "/work", "200");
        // 200 a second over half a second.
        assert_eq!((outcome.whole.due, outcome.whole.answered, outcome.failures.total()), (100, 100, 0));
    }
}

#[test]
fn a_stalled_server_is_charged_with_every_request_that_waited() {
    let server = serve(Stall(Duration::from_millis(50)));
    let outcome = send(server.address(), "/work", "100");
    // 50 requests, due each 10 ms, are done one each 50 ms: the n-th waits n · 40 ms. A generator that waits for answers
    // would see 50 ms at the median; from when they were due it is 25 · 40 ms + 50 ms.
    let median = outcome.whole.latency(0.5).expect("answers");
    assert!(median >= Duration::from_millis(950), "{median:?}");
    assert_eq!(outcome.whole.answered, 50);
}

#[test]
fn what_cannot_be_under_way_is_not_sent_and_counted() {
    let server = serve(Stall(Duration::from_secs(2)));
    let mut load = Load::new(server.address(), "/work").expect("a path");
    (load.in_flight_max, load.timeout) = (3, Duration::from_millis(500));
    let outcome = load::run(&load, arrivals("100", Duration::from_millis(200)), |_| {}).expect("sockets");
    // Of 20 requests within 200 ms three are under way until their time is out.
    assert_eq!((outcome.failures.unsent, outcome.failures.timed_out, outcome.whole.answered), (17, 3, 0));
}

#[test]
fn failures_have_their_reason() {
    let server = serve(Cpu::new(1));
    let outcome = send(server.address(), "/elsewhere", "20");
    assert_eq!((outcome.failures.refused, outcome.failures.total()), (10, 10));
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let outcome = send(gone, "/healthz", "20");
    assert_eq!((outcome.failures.broken, outcome.failures.total()), (10, 10));
    assert_eq!(outcome.whole.latency(0.5), None, "no answer has no latency");
}

#[test]
fn each_second_is_told_as_it_ends() {
    let server = serve(Cpu::new(1));
    let load = Load::new(server.address(), "/healthz").expect("a path");
    let mut seconds = Vec::new();
    load::run(&load, arrivals("40", Duration::from_millis(2_200)), |second| seconds.push(second.due)).expect("sockets");
    assert_eq!(seconds.len(), 2);
    // 40 due a second; the last may be named a moment after the second has ended.
    assert!(seconds.iter().all(|due| (38..=42).contains(due)), "{seconds:?}");
}
