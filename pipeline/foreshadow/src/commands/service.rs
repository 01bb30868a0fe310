//! `service`: the small CPU-bound service that the live demonstration puts load on.
//!
//! It reads no settings: its environment is its adapter's to give, and holds names that are no settings.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use services::{Cpu, Server};

/// What the service takes.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Where it listens.
    #[arg(long, env = "LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Rounds of hashing a request; the default takes some 1.2 ms of a core.
    #[arg(long, default_value_t = 300_000)]
    pub(crate) rounds: u64,
}

/// Threads that work: requests of a burst do not wait for one another.
const THREADS: NonZero<usize> = NonZero::new(4).expect("not zero");

/// Serves until the process is ended.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (listen, cpu) = (arguments.listen, Cpu::new(arguments.rounds));
    let server = Server::start(listen, THREADS, Arc::new(cpu)).with_context(|| listen.to_string())?;
    server.run();
    Ok(())
}
