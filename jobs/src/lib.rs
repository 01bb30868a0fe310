//! Jobs beside the stream: what is run on demand rather than at every tick.
//!
//! [`backtest`] scores scaling laws against each other over the same load.

pub mod backtest;
