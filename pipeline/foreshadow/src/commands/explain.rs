//! `explain`: one decision with everything that led to it.

mod find;
mod page;
mod what_if;

use clap::Args;
use schemas::{Decision, Outcome, Workload};

use crate::settings::Settings;
use crate::{connect, output};

/// What stands below the options.
const AFTER_HELP: &str = "\
Shows what was decided, when and why; the evidence; what adapters did with it; and what the record itself says about \
other ways it could have gone.

Examples:
  foreshadow explain checkout
  foreshadow explain checkout@1772443800000 --json";

/// What the command takes.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Explain {
    /// A decision's id, such as `checkout@1772443800000`, or a workload for its newest decision.
    #[arg(value_name = "DECISION or WORKLOAD")]
    pub(crate) decision: String,
    /// Prints one JSON object instead.
    #[arg(long)]
    json: bool,
}

/// A decision, and what stands around it on the log.
struct Explained {
    decision: Decision,
    /// What adapters did with it, in the order of time.
    outcomes: Vec<Outcome>,
    /// The workload's newest record, which may be younger than the decision; none once the workload is gone.
    workload: Option<Workload>,
}

/// `explain`: one decision with everything that led to it.
pub(crate) fn run(arguments: &Explain, settings: &Settings) -> anyhow::Result<()> {
    let log = connect::connect_to_read(settings)?;
    let explained = find::explained(log.as_ref(), &arguments.decision)?;
    output::to_stdout(|out| {
        let text = if arguments.json { json(&explained) } else { page::page(&explained) };
        Ok(writeln!(out, "{}", text.trim_end())?)
    })
}

fn json(explained: &Explained) -> String {
    let Explained { decision, outcomes, workload } = explained;
    let what_if = what_if::sentences(decision);
    serde_json::json!({
        "decision": decision,
        "outcomes": outcomes,
        "workload": workload,
        "what_if": what_if,
    })
    .to_string()
}

#[cfg(test)]
mod tests;
