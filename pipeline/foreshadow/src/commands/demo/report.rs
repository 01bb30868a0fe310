//! How the day ended: Foreshadow beside the laws that others run, on the same demand.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use jobs::backtest::Scorecard;
use serde_json::{Map, Value, json};

use super::lockstep::Lockstep;

/// One JSON object: counts, and each law's figures as a whole and by workload.
pub(super) fn json(lockstep: &Lockstep) -> Value {
    let mut report = serde_json::to_value(lockstep.counts()).unwrap_or_default();
    report["simulated_seconds"] = (lockstep.simulated_ms() / 1000).into();
    let policies: Map<String, Value> = lockstep
        .scores()
        .iter()
        .map(|(name, scores)| {
            let workloads = scores.workloads().map(|(workload, score)| (workload.to_owned(), figures(score)));
            let mut policy = figures(&scores.total());
            policy["workloads"] = workloads.collect::<Map<_, _>>().into();
            ((*name).to_owned(), policy)
        })
        .collect();
    report["policies"] = policies.into();
    report
}

/// A table for people, with what its columns mean.
pub(super) fn text(lockstep: &Lockstep) -> String {
    let counts = lockstep.counts();
    let hours = lockstep.simulated_ms() as f64 / 3_600_000.0;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["law", "violations", "slack", "cost", "changes", "OOM kills"]);
    for (name, scores) in lockstep.scores() {
        let score = scores.total();
        table.add_row([
            title(name).to_owned(),
            percent(score.violation_share()),
            percent(score.slack()),
            format!("{:.2}", score.cost()),
            score.changes().to_string(),
            score.oom_kills().to_string(),
        ]);
    }
    table.column_iter_mut().skip(1).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    format!(
        "\n{hours:.1} simulated hours: {} samples, {} decisions ({} up, {} down, {} short of the pool), {} anomalies\n\
         {table}\n\
         violations: share of workload-time in which the SLO was missed. slack: share of the allocated cores that were \
         not needed.\ncost: at one list price for all, Foreshadow's shadows included. Same demand and actuation delay \
         for each law.",
        counts.samples, counts.decisions, counts.scale_ups, counts.scale_downs, counts.shortfalls, counts.anomalies
    )
}

fn title(name: &str) -> &str {
    match name {
        "foreshadow" => "Foreshadow",
        "hpa" => "threshold (HPA law)",
        "vpa" => "percentile (VPA law)",
        "static" => "never changed",
        other => other,
    }
}

fn figures(score: &Scorecard) -> Value {
    json!({
        "violation_share": score.violation_share(),
        "slack": score.slack(),
        "cost": score.cost(),
        "changes": score.changes(),
        "oom_kills": score.oom_kills(),
    })
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "not known".to_owned(), |share| format!("{:.2} %", share * 100.0))
}
