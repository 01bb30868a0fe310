//! What the end-to-end tests stand on: real processes, started once and gone with the test, and what they share besides.

#![allow(clippy::disallowed_methods, reason = "an edge crate: it waits for real processes on the machine's clock")]

pub mod binary;
pub mod broker;
pub mod by_hand;
pub mod fixtures;
pub mod replay;
pub mod stand;
pub mod town;
pub mod unsteady;
pub mod verdict;
