//! Many requests, with bodies that are checked byte for byte, while shadows die and come back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hyper::StatusCode;
use mirror::Audience;

use crate::bed::{Bed, Manner, Witness, with_search};
use crate::client::Client;

/// Clients that ask at the same time.
const CLIENTS: u64 = 4;

/// A seeded sequence: SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Sends requests whose primary gives their bodies back; how many of the answers were not what had been sent.
fn wrong_answers(address: SocketAddr, seed: u64, requests: u64) -> u64 {
    let (mut client, mut dice) = (Client::http1(address), Dice(seed));
    let mut right = || {
        // One in four has a body, of up to 4 kB.
        let length = if dice.next().is_multiple_of(4) { dice.next() % 4_096 } else { 0 };
        let body: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
        let (method, path) = if body.is_empty() { ("GET", "/") } else { ("POST", "/search") };
        client
            .try_ask(method, path, &[], body.clone())
            .is_ok_and(|reply| reply.status == StatusCode::OK && reply.witness() == "primary" && reply.body == body)
    };
    (0..requests).filter(|_| !right()).count() as u64
}

/// Asks so often, from several clients, while `beside` runs.
fn soak(bed: &Bed, requests: u64, beside: impl FnOnce(&AtomicBool) + Send) -> u64 {
    let (address, over) = (bed.mirror.address(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| beside(&over));
        let clients: Vec<_> =
            (0..CLIENTS).map(|seed| scope.spawn(move || wrong_answers(address, seed, requests / CLIENTS))).collect();
        let wrong = clients.into_iter().map(|client| client.join().expect("no panic")).sum();
        over.store(true, Ordering::Relaxed);
        wrong
    })
}

/// Kills the shadow at random instants, and starts another in its place.
fn kill_at_random(mut shadow: Witness, over: &AtomicBool) -> u64 {
    let (address, mut dice, mut kills) = (shadow.address, Dice(1), 0);
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(dice.next() % 60));
        drop(shadow);
        kills += 1;
        thread::sleep(Duration::from_millis(dice.next() % 60));
        let manner = if dice.next().is_multiple_of(4) { Manner::Hang } else { Manner::Echo };
        shadow = Witness::start_at(address, "shadow", manner);
    }
    kills
}

fn no_request_is_lost_or_changed(requests: u64) {
    let (primary, shadow) = (Witness::start("primary", Manner::Forget), Witness::start("shadow", Manner::Echo));
    let bed = Bed::of(&primary, &shadow, with_search());
    let mut kills = 0;
    let wrong = soak(&bed, requests, |over| kills = kill_at_random(shadow, over));
    let counts = bed.handle.counts(Audience::Shadow).expect("a shadow");
    println!("{requests} requests, {wrong} wrong, {kills} kills of the shadow, {counts:?}");
    assert_eq!(wrong, 0);
    assert!(kills > 0 && counts.answered > 0 && counts.failed() > 0, "the shadow lived and died: {counts:?}");
}

#[test]
fn no_request_is_lost_or_changed_while_shadows_die() {
    no_request_is_lost_or_changed(8_000);
}

#[test]
#[ignore = "takes minutes"]
fn no_request_of_a_million_is_lost_or_changed_while_shadows_die() {
    no_request_is_lost_or_changed(1_000_000);
}
