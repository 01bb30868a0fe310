//! `settings`: the documented reference of every setting, or what is in effect.

use std::io::Write;

use clap::Args;

use crate::cli::Common;
use crate::settings::{Loaded, effective, masked, reference, schema};

/// What the command takes.
#[derive(Args, Debug)]
pub(crate) struct Reference {
    /// Prints the settings in effect instead, and where each was set: file, environment and flags applied, secrets
    /// masked.
    #[arg(long)]
    pub(crate) effective: bool,
    /// Prints JSON: the settings in effect, or the JSON Schema of a settings file.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints the reference or what is in effect.
///
/// # Errors
/// Faults of the settings in effect; a closed output.
pub(crate) fn run(arguments: &Reference, common: &Common) -> anyhow::Result<()> {
    let text = match arguments {
        Reference { effective: false, json: false } => reference(),
        Reference { effective: false, json: true } => format!("{:#}\n", schema()),
        Reference { effective: true, json } => {
            let loaded = Loaded::of(common, std::env::vars_os())?;
            match json {
                false => effective(&loaded),
                true => format!("{:#}\n", serde_json::to_value(masked(&loaded.settings))?),
            }
        }
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
