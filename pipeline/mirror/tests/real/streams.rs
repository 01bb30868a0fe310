//! Bodies that come piece by piece, `100-continue`, and tunnels: by hand, over bare sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mirror::Audience;

use crate::bed::{Bed, Manner, Witness, eventually, with_search};

/// A primary by hand, which has one connection.
fn primary(talk: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (address, thread::spawn(move || talk(patient(listener.accept().expect("the mirror").0))))
}

fn patient(stream: TcpStream) -> TcpStream {
    // What hangs fails instead.
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream
}

fn before(primary: SocketAddr, shadow: &Witness) -> (Bed, TcpStream) {
    let stage = mirror::Stage { shadow: Some(shadow.address.into()), ..crate::bed::stage(primary.into()) };
    let bed = Bed::start(with_search(), stage);
    bed.share(Audience::Shadow, 1.0);
    let client = TcpStream::connect(bed.mirror.address()).expect("the mirror listens");
    (bed, patient(client))
}

/// Reads until a text has come; all that has.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        let mut some = [0; 4_096];
        let count = stream.read(&mut some).expect("it comes");
        assert_ne!(count, 0, "closed before {end:?} came: {:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&some[..count]);
    }
    String::from_utf8(read).expect("text")
}

fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).expect("it is read");
}

#[test]
fn a_body_goes_on_as_it_comes_in_both_directions() {
    let shadow = Witness::start("shadow", Manner::Echo);
    let (address, primary) = primary(|mut stream| {
        // The first half of the request is here before the second is sent.
        read_until(&mut stream, "first");
        write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n");
        read_until(&mut stream, "second");
        write(&mut stream, "4\r\nlate\r\n0\r\n\r\n");
    });
    let (bed, mut client) = before(address, &shadow);
    write(&mut client, "POST /search HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    read_until(&mut client, "early");
    assert_eq!(shadow.count(), 0, "a copy leaves once the request is whole");
    write(&mut client, "6\r\nsecond\r\n0\r\n\r\n");
    read_until(&mut client, "late");
    primary.join().expect("no panic");
    assert!(bed.comes_to(|counts| counts.answered == 1));
    assert_eq!(shadow.seen()[0].body, "firstsecond");
}

#[test]
fn a_request_that_breaks_off_is_not_copied() {
    let shadow = Witness::start("shadow", Manner::Echo);
    let (address, primary) = primary(|mut stream| _ = read_until(&mut stream, "first"));
    let (bed, mut client) = before(address, &shadow);
    write(&mut client, "POST /search HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nfirst");
    primary.join().expect("no panic");
    drop(client);
    assert!(bed.comes_to(|counts| counts.cut_off == 1));
    assert_eq!((bed.handle.copies_under_way(Audience::Shadow), shadow.count()), (0, 0));
}

#[test]
fn a_client_that_waits_to_continue_is_told_so() {
    let shadow = Witness::start("shadow", Manner::Echo);
    let (address, primary) = primary(|mut stream| {
        let head = read_until(&mut stream, "body");
        assert!(!head.to_lowercase().contains("expect:"), "met by the mirror: {head}");
        write(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n");
    });
    let (_bed, mut client) = before(address, &shadow);
    write(&mut client, "POST /search HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    read_until(&mut client, "100 Continue");
    write(&mut client, "body");
    read_until(&mut client, "204 No Content");
    primary.join().expect("no panic");
}

#[test]
fn an_upgrade_is_a_tunnel_that_no_follower_sees() {
    let shadow = Witness::start("shadow", Manner::Echo);
    let (address, primary) = primary(|mut stream| {
        let head = read_until(&mut stream, "\r\n\r\n").to_lowercase();
        assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
        write(&mut stream, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        read_until(&mut stream, "ping");
        write(&mut stream, "pong");
    });
    let (bed, mut client) = before(address, &shadow);
    write(&mut client, "GET /live HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
    let head = read_until(&mut client, "\r\n\r\n").to_lowercase();
    assert!(head.contains("101 switching") && head.contains("upgrade: websocket"), "{head}");
    write(&mut client, "ping");
    read_until(&mut client, "pong");
    primary.join().expect("no panic");
    assert!(bed.comes_to(|counts| counts.excluded == 1));
    assert_eq!(shadow.count(), 0);
}

#[test]
fn http2_by_upgrade_is_left_unanswered_since_it_would_go_past_the_mirror() {
    let shadow = Witness::start("shadow", Manner::Echo);
    let (address, primary) = primary(|mut stream| {
        let head = read_until(&mut stream, "\r\n\r\n").to_lowercase();
        assert!(!head.contains("upgrade"), "{head}");
        write(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n");
    });
    let (_bed, mut client) = before(address, &shadow);
    write(&mut client, "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n");
    read_until(&mut client, "204 No Content");
    primary.join().expect("no panic");
    assert!(eventually(|| shadow.count() == 1), "an ordinary request, and mirrored as such");
}

#[test]
fn what_a_reverse_proxy_cannot_do_is_refused() {
    let (primary, shadow) = (Witness::start("primary", Manner::Echo), Witness::start("shadow", Manner::Echo));
    let (_bed, mut client) = before(primary.address, &shadow);
    write(&mut client, "CONNECT elsewhere:443 HTTP/1.1\r\nhost: elsewhere:443\r\n\r\n");
    let answer = read_until(&mut client, "reverse proxy");
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
}
