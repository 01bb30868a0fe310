//! Serves a primary and lets its shadow see a share of the same requests.
//!
//! ```text
//! clients ─► mirror ─► primary            the answer goes back; headers and body as they came
//!              │ a copy, once the request is whole, if its id is in the share
//!              └─► courier, a thread of its own ─► shadow, or canary and baseline      answers are dropped
//! ```
//!
//! [`Mirror::start`] is the way in, [`Handle::set_share`] the one thing to turn. What never happens, whatever a shadow
//! does: the primary's request waits for a copy, a shadow's answer reaches a client, a credential leaves with a copy, a
//! request that changes something is mirrored unasked, a mirror is forgotten. Each has its guard and its test.
//!
//! ```no_run
//! use mirror::{Audience, Mirror, MirrorSettings, Stage};
//! use schemas::{EventTime, Ratio, WorkloadId};
//!
//! let mut stage = Stage::new(WorkloadId::new("web")?, "0.0.0.0:80".parse()?, "127.0.0.1:8080".parse()?);
//! stage.shadow = Some("127.0.0.1:8081".parse()?);
//! let mirror = Mirror::start(MirrorSettings::default(), stage, |report| drop(report.samples))?;
//! let until = EventTime::from_millis(1_767_225_660_000);
//! let granted = mirror.handle().set_share(Audience::Shadow, Ratio::new(0.25), until)?; // again before `granted.until`
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Bounds: copies under way and the bytes that they hold, for each [`Audience`]; connections; tunnels; time for each step
//! of an exchange. A copy beyond a bound is dropped, and counted by its reason in [`Counts`].
#![allow(clippy::disallowed_methods, reason = "an edge crate: shares expire, and latency is measured, in real time")]

mod budget;
mod counts;
mod courier;
mod dial;
mod error;
mod forward;
mod gauge;
mod handle;
mod headers;
mod line;
mod list;
mod mirror;
mod pool;
mod report;
mod route;
mod sampling;
mod server;
mod settings;
mod stage;
mod tee;
mod tunnel;

pub use counts::Counts;
pub use dial::{Granted, ShareFault};
pub use error::Error;
pub use handle::Handle;
pub use list::List;
pub use mirror::Mirror;
pub use report::{Answer, PAIRS_MAX, PairedExchange, Report};
pub use route::Route;
pub use settings::MirrorSettings;
pub use stage::{Audience, Protocol, Stage, Upstream};
