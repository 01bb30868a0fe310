//! The commands, one file each: its arguments and what it does.

pub(crate) mod actuate;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod mirror;
pub(crate) mod models;
pub(crate) mod predictability;
pub(crate) mod profile;
pub(crate) mod retrain;
pub(crate) mod run;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod sql;
pub(crate) mod tap;
pub(crate) mod validate;
