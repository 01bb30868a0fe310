//! Real programs under real load: two small services, and an open-loop load generator.
//!
//! ```text
//! arrivals ─► pacer, a thread of its own ─► sender ─► a service: accept ─► queue ─► threads that work
//!                                             └─► tally: latency from the intended instant on
//! ```
//!
//! A [`Server`] does the [`Work`] of either [`Cpu`], whose limit is its threads, or [`Memory`], whose limit is how much of
//! its data its cache holds. [`load::run`] asks any HTTP/1.1 server at the instants that [`Arrivals`] names.
//!
//! ```
//! use std::{num::NonZero, sync::Arc, time::Duration};
//! use services::{Arrivals, Cpu, Load, Server, Shape, Spacing};
//!
//! let server = Server::start(([127, 0, 0, 1], 0).into(), NonZero::<usize>::MIN, Arc::new(Cpu::new(1_000)))?;
//! let shape: Shape = "200".parse()?;
//! let arrivals = Arrivals::new(&shape, Duration::from_millis(500), Spacing::Poisson { seed: 1 });
//! let outcome = services::load::run(&Load::new(server.address(), "/work")?, arrivals, |_| {})?;
//! assert_eq!(outcome.failures.total(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![allow(clippy::disallowed_methods, reason = "an edge crate: load is sent, and latency measured, in real time")]

mod arrivals;
mod cpu;
mod dice;
pub mod load;
mod memory;
mod server;

pub use arrivals::{Arrivals, Shape, Spacing};
pub use cpu::Cpu;
pub use load::{Load, Outcome, Second};
pub use memory::Memory;
pub use server::{Server, Work};
