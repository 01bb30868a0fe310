//! Reads this machine for real: what each instance uses, many times a second, at next to no cost.
//!
//! ```text
//! workloads ─► discover ─► instances: files kept open ─► readings ─► counters to rates ─► samples
//!              (each 5 s)              (each tick)
//! ```
//!
//! [`Profiler`] is the way in. An instance is a control group (version 1, version 2, or a hybrid of both), a process,
//! or the machine itself; a workload's selector says which. Readings come from the kernel's files, which stay open
//! and are read again from their start into one buffer. A reading that the kernel does not give is `None`: missing is
//! never zero. The profiler measures what it costs, see [`Cost`].
//!
//! ```no_run
//! use profiler::{Profiler, ProfilerSettings};
//! use schemas::EventTime;
//!
//! let settings = ProfilerSettings { host: true, ..ProfilerSettings::default() };
//! let mut profiler = Profiler::new(settings, &[])?;
//! profiler.sample(EventTime::from_millis(1_767_225_600_000)); // gauges: rates need a second reading
//! let samples = profiler.sample(EventTime::from_millis(1_767_225_601_000));
//! # Ok::<(), profiler::Error>(())
//! ```
#![allow(clippy::disallowed_methods, reason = "an edge crate: rates are measured by the machine's clock")]

mod cgroup;
mod cgroup_v1;
mod cgroup_v2;
mod clock;
mod cost;
mod counter;
mod discover;
mod disk;
mod error;
mod host;
mod instance;
mod kernel_file;
mod meter;
mod mounts;
mod network;
mod open_files;
mod parse;
mod pressure;
mod process;
mod reading;
mod sampler;
mod settings;
mod surroundings;
mod working_set;

pub use cost::Cost;
pub use error::Error;
pub use sampler::Profiler;
pub use settings::ProfilerSettings;
