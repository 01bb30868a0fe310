//! A mirror between real sockets: what the primary and its clients see, what followers see, and what they never do.
#![allow(clippy::disallowed_methods, reason = "shares expire, and servers are killed, in real time")]
#![allow(clippy::print_stdout, reason = "the soak tells what it went through")]

#[path = "real/bed.rs"]
mod bed;
#[path = "real/client.rs"]
mod client;
#[path = "real/forwarding.rs"]
mod forwarding;
#[path = "real/mirroring.rs"]
mod mirroring;
#[path = "real/safety.rs"]
mod safety;
#[path = "real/soak.rs"]
mod soak;
#[path = "real/streams.rs"]
mod streams;
