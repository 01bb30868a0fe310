//! `services`: a CPU-bound service, a memory-bound one, and an open-loop load generator, as processes.
#![allow(clippy::print_stdout, reason = "what a command prints is its result")]

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use services::{Arrivals, Cpu, Load, Memory, Server, Shape, Spacing, Work, load};

/// Real services under real load.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves `/work`, so many rounds of hashing each; `/work?rounds=N` says how many.
    Cpu {
        #[command(flatten)]
        at: At,
        /// Rounds of hashing a request; a million takes some 4 ms of a core.
        #[arg(long, default_value_t = 1_000_000)]
        rounds: u64,
    },
    /// Serves `/work`, a read of one entry of its data each; `/work?key=K` says which.
    Memory {
        #[command(flatten)]
        at: At,
        /// Mebibytes of data.
        #[arg(long, default_value_t = 256)]
        data_mib: u64,
        /// Mebibytes of data that are held; what is not held is made anew, at about a millisecond of a core.
        #[arg(long, default_value_t = 256)]
        cache_mib: u64,
    },
    /// Sends requests at their instants, however slow the answers are, and tells of each second.
    Load(Sending),
}

#[derive(Args, Debug)]
struct At {
    /// Where to listen; with port 0, at any that is free. What it is gets printed.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Threads that work.
    #[arg(long, default_value_t = NonZero::<usize>::MIN)]
    threads: NonZero<usize>,
}

#[derive(Args, Debug)]
struct Sending {
    /// The server.
    target: SocketAddr,
    /// What is asked.
    #[arg(long, default_value = "/work")]
    path: String,
    /// Requests per second: `500` stays, `100..2000` climbs, `100,200,400` goes in steps of equal length.
    #[arg(long, default_value = "100")]
    rate: Shape,
    /// Over how long, all steps together.
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    lasting: Duration,
    /// Sends at random instants, as many users do; the same seed gives the same ones. Without it, at equal distances.
    #[arg(long)]
    seed: Option<u64>,
    /// Requests under way at most; those due beyond it are not sent, and counted.
    #[arg(long, default_value_t = 1_024)]
    in_flight_max: usize,
}

fn main() -> io::Result<()> {
    match Cli::parse().command {
        Command::Cpu { at, rounds } => at.serve(Cpu::new(rounds)),
        Command::Memory { at, data_mib, cache_mib } => at.serve(Memory::new(data_mib << 20, cache_mib << 20)),
        Command::Load(sending) => sending.run(),
    }
}

impl At {
    fn serve(&self, work: impl Work) -> io::Result<()> {
        let server = Server::start(self.listen, self.threads, Arc::new(work))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.listen)))?;
        println!("{}", server.address());
        server.run();
        Ok(())
    }
}

impl Sending {
    fn run(&self) -> io::Result<()> {
        let spacing = self.seed.map_or(Spacing::Even, |seed| Spacing::Poisson { seed });
        let mut load = Load::new(self.target, &self.path).map_err(io::Error::other)?;
        load.in_flight_max = self.in_flight_max;
        let arrivals = Arrivals::new(&self.rate, self.lasting, spacing);
        let outcome = load::run(&load, arrivals, |second| println!("{second}"))?;
        let load::Failures { unsent, timed_out, broken, refused } = outcome.failures;
        println!("whole: {}", outcome.whole);
        println!("failed: {unsent} unsent, {timed_out} timed out, {broken} broken, {refused} refused");
        println!("sent late by at most {:.2} ms", outcome.sent_late_max.as_secs_f64() * 1e3);
        Ok(())
    }
}
