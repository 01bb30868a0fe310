//! Where things connect: log → intake → engine → publisher → log, with snapshots and history beside them.
//!
//! ```text
//! log ─ Intake (merge) ─► Engine ┬ commits ─► Publisher ─► log: decisions, one transaction per closed ticks
//!          │                     ├ commits ─► Publisher ─► log: features, likewise, after them
//!          │                     └ pieces ──► Keeper ─► Shelf
//!          └──────────── Archive ◄───────────────┘
//! ```
//!
//! [`Machine`] is all of it at rest: each part takes one turn when it is told to, reads no clock and never waits, so that a
//! simulation can step it. [`Pipeline`] is the machine at work: one thread reads, two publish, one keeps
//! snapshots; the engine has its own. Every channel between them is bounded, so a slow end holds back the beginning. A fault
//! that cannot be tried again ends all of them.

mod archive;
mod disk;
mod intake;
mod keeper;
mod machine;
mod marks;
mod merge;
mod pipeline;
mod publish;
mod settled;
mod shelf;
mod stop;

pub use archive::{Archive, Archived};
pub use disk::{Disk, DiskFile, LocalDisk};
pub use intake::Intake;
pub use keeper::Keeper;
pub use machine::{Machine, Outlet, Parts};
pub use pipeline::Pipeline;
pub use publish::{Published, Publisher};
pub use shelf::Shelf;
pub use stop::Stop;
