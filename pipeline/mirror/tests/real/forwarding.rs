//! What goes to the primary and comes back, over both versions of HTTP, and when the primary fails.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use hyper::{StatusCode, Version};
use mirror::{MirrorSettings, Upstream};
use schemas::Span;

use crate::bed::{Bed, Manner, Witness, eventually, http2, stage};
use crate::client::Client;

/// Bytes of every value, more than any buffer on the way holds at once.
fn body() -> Vec<u8> {
    (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn before(primary: Upstream) -> Bed {
    Bed::start(MirrorSettings::default(), stage(primary))
}

#[test]
fn requests_and_answers_pass_unchanged_over_every_mix_of_versions() {
    for (client_speaks_2, primary_speaks_2) in [(false, false), (false, true), (true, false), (true, true)] {
        let primary = Witness::start("primary", Manner::Echo);
        let upstream = if primary_speaks_2 { http2(primary.address) } else { primary.address.into() };
        let bed = before(upstream);
        let connect = if client_speaks_2 { Client::http2 } else { Client::http1 };
        let mut client = connect(bed.mirror.address());
        let reply = client.ask("POST", "/a%20b?c=d&e", &[("authorization", "Bearer 1"), ("cookie", "a=1")], body());
        assert_eq!((reply.status, reply.witness()), (StatusCode::OK, "primary"));
        assert!(reply.body == body(), "the answer's body");
        let seen = primary.seen().pop().expect("the request");
        assert!(seen.body == body(), "the request's body");
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/a%20b?c=d&e"));
        assert_eq!((seen.header("authorization"), seen.header("cookie")), (Some("Bearer 1"), Some("a=1")));
        assert_eq!(seen.header("content-length"), Some("3000000"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.version, if primary_speaks_2 { Version::HTTP_2 } else { Version::HTTP_11 });
        let host = if primary_speaks_2 { None } else { Some("shop.example") };
        assert_eq!(seen.header("host"), host, "with HTTP/2 it is part of the target");
    }
}

#[test]
fn what_concerns_the_clients_connection_stays_there() {
    let primary = Witness::start("primary", Manner::Echo);
    let bed = before(primary.address.into());
    let of_the_connection = [("connection", "x-private"), ("x-private", "1"), ("keep-alive", "timeout=9")];
    Client::http1(bed.mirror.address()).ask("GET", "/", &of_the_connection, "");
    let seen = primary.seen().pop().expect("the request");
    assert_eq!((seen.header("x-private"), seen.header("keep-alive")), (None, None));
}

#[test]
fn head_and_empty_answers_keep_their_form() {
    let primary = Witness::start("primary", Manner::Echo);
    let bed = before(primary.address.into());
    let mut client = Client::http1(bed.mirror.address());
    let reply = client.ask("HEAD", "/", &[], "");
    assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
    assert_eq!(client.get("/after").status, StatusCode::OK, "the connection is in step");
    let seen = primary.seen();
    assert_eq!(seen.iter().map(|seen| seen.header("transfer-encoding")).collect::<Vec<_>>(), [None, None]);
}

#[test]
fn connections_to_the_primary_are_used_again_until_it_closes_them() {
    let primary = Witness::start("primary", Manner::Echo);
    let (bed, address) = (before(primary.address.into()), primary.address);
    let mut client = Client::http1(bed.mirror.address());
    (0..50).for_each(|_| assert_eq!(client.get("/").status, StatusCode::OK));
    // A request that comes before the connection of the last one is back takes another: not one each, though.
    assert!(primary.connections() < 25, "{}", primary.connections());
    drop(primary);
    assert_eq!(client.get("/").status, StatusCode::BAD_GATEWAY);
    let _primary = Witness::start_at(address, "again", Manner::Echo);
    assert_eq!(client.get("/").witness(), "again", "a new connection after a lost one");
}

#[test]
fn a_primary_that_is_down_is_told_with_the_reason() {
    let bed = before(free_address().into());
    let reply = Client::http1(bed.mirror.address()).get("/");
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert!(reply.text().contains("cannot be reached: Connection refused"), "{}", reply.text());
}

#[test]
fn a_primary_that_hangs_is_told_in_time_and_refusals_are_passed_on() {
    let settings = MirrorSettings { primary_timeout: Span::from_millis(200), ..MirrorSettings::default() };
    let primary = Witness::start("primary", Manner::Hang);
    let bed = Bed::start(settings, stage(primary.address.into()));
    let reply = Client::http1(bed.mirror.address()).get("/");
    assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(reply.text().contains("did not answer within 200ms"), "{}", reply.text());
    let primary = Witness::start("primary", Manner::Refuse);
    let bed = before(primary.address.into());
    let reply = Client::http1(bed.mirror.address()).get("/");
    assert_eq!((reply.status, reply.witness()), (StatusCode::SERVICE_UNAVAILABLE, "primary"));
}

#[test]
fn a_request_is_sent_once_even_if_the_primary_breaks_it_off() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let bed = before(listener.local_addr().expect("bound").into());
    let taken = thread::spawn(move || {
        // Reads something of the first request and breaks off; whoever comes again within a while is a repetition.
        let (mut first, _) = listener.accept().expect("the request");
        std::io::Read::read(&mut first, &mut [0; 16]).expect("its head");
        drop(first);
        listener.set_nonblocking(true).expect("a socket");
        thread::sleep(Duration::from_millis(200));
        listener.accept().is_ok()
    });
    let reply = Client::http1(bed.mirror.address()).get("/");
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert!(reply.text().contains("broke the connection off"), "{}", reply.text());
    assert!(!taken.join().expect("no panic"), "no second attempt");
}

#[test]
fn the_end_waits_for_requests_under_way() {
    let primary = Witness::start("primary", Manner::Hang);
    let settings = MirrorSettings { primary_timeout: Span::from_millis(500), ..MirrorSettings::default() };
    let bed = Bed::start(settings, stage(primary.address.into()));
    let address = bed.mirror.address();
    let asked = thread::spawn(move || Client::http1(address).get("/").status);
    assert!(eventually(|| primary.count() == 1));
    bed.mirror.finish();
    assert_eq!(asked.join().expect("no panic"), StatusCode::GATEWAY_TIMEOUT, "answered, not cut off");
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}

/// An address where nobody listens.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}
