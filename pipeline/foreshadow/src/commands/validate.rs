//! `validate`: every fault of a settings file at once.

use clap::Args;

use crate::cli::Common;
use crate::settings::Loaded;

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Validate {
    /// The settings file; the environment is left out of account.
    pub(crate) file: std::path::PathBuf,
}

/// Checks the file by itself.
///
/// # Errors
/// Every fault of the file.
pub(crate) fn run(arguments: &Validate) -> anyhow::Result<()> {
    Loaded::of(&Common { settings: Some(arguments.file.clone()), ..Common::default() }, [])?;
    println!("{}: no faults", arguments.file.display());
    Ok(())
}
