//! A decision as a page for a person.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use schemas::{Action, Allocation, Decision, Mode, Remedy, Resource, ResourceEvidence, Span, Workload};

use super::Explained;
use super::what_if::sentences;
use crate::amount::{amount, both, change};
use crate::words::words;

/// What stands where nothing is known.
const UNKNOWN: &str = "not known";
/// Levels that differ by less are one.
const LEVEL_TOLERANCE: f64 = 1e-9;

/// The page.
pub(super) fn page(explained: &Explained) -> String {
    let decision = &explained.decision;
    let sections = [
        Some(headline(decision)),
        Some(section("Allocation", &allocation(explained))),
        Some(section("Evidence", &evidence(decision))),
        quantiles(decision).map(|table| section("Quantiles of the forecast, before calibration", &table)),
        Some(section("Law", &law(explained))),
        remedies(decision).map(|table| section("Against anomalies", &table)),
        Some(section(&format!("Pool {}", decision.pool), &pool(decision)) + &price(decision)),
        Some(outcomes(explained)),
        Some(what_if(decision)),
    ];
    sections.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// What, when and why.
fn headline(decision: &Decision) -> String {
    let change = |resource: Resource| {
        let stays = || format!("{} stays {}", resource.name(), amount(resource, decision.granted.get(resource)));
        change(resource, &decision.current, &decision.granted).unwrap_or_else(stays)
    };
    let what = match decision.action {
        Action::Hold => format!("hold at {}", both(&decision.granted)),
        action => format!("{} {}", words(&action), Resource::ALL.map(change).join(", ")),
    };
    let short = if decision.short() { ", less than was wanted" } else { "" };
    format!("{} at {}: {what}{short}\nbecause {}\n", decision.workload, decision.time, decision.because)
}

fn allocation(explained: &Explained) -> Table {
    let Explained { decision, workload, .. } = explained;
    let mut table = columns(&["", "held", "wanted", "granted", "short", "least", "most", "step"]);
    for resource in Resource::ALL {
        let shown = |of: &Allocation| amount(resource, of.get(resource));
        let bound = |of: fn(&Workload) -> &Allocation| workload.as_ref().map_or(UNKNOWN.to_owned(), |w| shown(of(w)));
        let missing = decision.shortfall.get(resource);
        table.add_row([
            resource.name().to_owned(),
            shown(&decision.current),
            shown(&decision.wanted),
            shown(&decision.granted),
            if missing > 0.0 { amount(resource, missing) } else { "nothing".to_owned() },
            bound(|workload| &workload.min),
            bound(|workload| &workload.max),
            bound(|workload| &workload.step),
        ]);
    }
    table
}

fn evidence(decision: &Decision) -> Table {
    let mut table = columns(&["", "usage", "demand", "reactive floor", "forecast", "asked for", "expert"]);
    for evidence in &decision.evidence.resources {
        let shown = |value: Option<f64>| value.map_or(UNKNOWN.to_owned(), |value| amount(evidence.resource, value));
        let censored = if evidence.censored { " (saturated)" } else { "" };
        table.add_row([
            evidence.resource.name().to_owned(),
            shown(evidence.usage) + censored,
            shown(evidence.demand),
            shown(evidence.reactive_floor),
            shown(evidence.forecast),
            shown(evidence.raw),
            evidence.expert.clone().unwrap_or_else(|| "none yet".to_owned()),
        ]);
    }
    table
}

/// A column a level; none without any.
fn quantiles(decision: &Decision) -> Option<Table> {
    let known = || decision.evidence.resources.iter().filter(|of| !of.quantiles.is_empty());
    let mut levels: Vec<f64> = known().flat_map(|of| of.quantiles.iter().map(|one| one.level)).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup_by(|a, b| (*a - *b).abs() < LEVEL_TOLERANCE);
    let target = decision.evidence.target_level;
    let title = |level: &f64| {
        let mark = if (level - target).abs() < LEVEL_TOLERANCE { " = q*" } else { "" };
        format!("{level:.2}{mark}")
    };
    let titles: Vec<String> = std::iter::once(String::new()).chain(levels.iter().map(title)).collect();
    let mut table = columns(&titles);
    for evidence in known() {
        let values = levels.iter().map(|level| quantile(evidence, *level));
        table.add_row(std::iter::once(evidence.resource.name().to_owned()).chain(values));
    }
    (!levels.is_empty()).then_some(table)
}

fn quantile(evidence: &ResourceEvidence, level: f64) -> String {
    let found = evidence.quantiles.iter().find(|one| (one.level - level).abs() < LEVEL_TOLERANCE);
    found.map_or(UNKNOWN.to_owned(), |one| amount(evidence.resource, one.value))
}

/// What the law went by, beside the evidence of single resources.
fn law(explained: &Explained) -> Table {
    let decision = &explained.decision;
    let evidence = &decision.evidence;
    let delay = evidence.actuation_delay_ms.map_or("no outcome has shown an actuation delay yet".to_owned(), |delay| {
        format!("the actuation delay that outcomes have shown is {}", Span::from_millis(delay))
    });
    let knee =
        if evidence.knee_from_shadow { "shown by the shadow" } else { "the primary's own, or the profile's prior" };
    let shadow = evidence.amplification.map_or("no shadow".to_owned(), |k| {
        format!("the shadow runs at k = {k:.2} times the primary's load per unit of resource")
    });
    let bounds = match &explained.workload {
        None => "not known: the workload's record is gone",
        Some(workload) if workload.time > decision.time => "of the workload's record now, which is younger than this",
        Some(_) => "of the workload's record",
    };
    let left = Span::from_millis(decision.expires.millis().saturating_sub(decision.time.millis()));
    let mut table = Table::new();
    table.load_style(NOTHING);
    let rows = [
        ("target level", format!("q* = {:.2}, from the prices of unmet demand and of idle", evidence.target_level)),
        ("horizon", format!("{}; {delay}", Span::from_millis(evidence.horizon_ms))),
        ("knee", format!("{:.2} of the limit, {knee}; {shadow}", evidence.knee.get())),
        ("bounds", bounds.to_owned()),
        ("mode", format!("{}; {} of tenant {}", mode(decision.mode), decision.orchestrator, decision.tenant)),
        ("decision", format!("{}, sequence {}", decision.decision, decision.sequence)),
        ("expires", format!("{}, {left} after it was taken", decision.expires)),
    ];
    let taught = evidence.shadow.as_ref().map(|shadow| ("shadow", shadow.to_string()));
    let rollout = decision.rollout.as_ref().map(|turn| ("roll-out", turn.because.clone()));
    let probe = decision.probe.as_ref().map(|turn| ("probe", format!("{}; until {}", turn.because, turn.until)));
    for (name, text) in rows.into_iter().chain(taught).chain(rollout).chain(probe) {
        table.add_row([name, text.as_str()]);
    }
    table
}

/// What is in force against anomalies, or has just ended; none without any.
fn remedies(decision: &Decision) -> Option<Table> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    for remedy in &decision.evidence.remedies {
        let Remedy { remediation, detector, since, until, evidence } = remedy;
        let state = if *until <= decision.time { "over since" } else { "until" };
        table.add_row([
            words(remediation),
            format!("since {since}, {state} {until}, for critical {detector}: {evidence}"),
        ]);
    }
    (!decision.evidence.remedies.is_empty()).then_some(table)
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe: recorded only, no adapter acts on it",
        Mode::Recommend => "recommend: a proposal, adapters say what they would do",
        Mode::Act => "act: adapters carry it out",
    }
}

fn pool(decision: &Decision) -> Table {
    let (before, after) = (decision.evidence.pool_before, decision.evidence.pool_after);
    let mut table = columns(&["", "capacity", "free before the tick", "free after it"]);
    for resource in Resource::ALL {
        let shown = |of: Allocation| amount(resource, of.get(resource));
        table.add_row([resource.name().to_owned(), shown(after.capacity), shown(before.free), shown(after.free)]);
    }
    table
}

fn price(decision: &Decision) -> String {
    let (before, after) = (decision.evidence.price_before.get(), decision.evidence.price_after.get());
    let offer = decision.offer.as_ref().map_or(String::new(), |offer| format!(", most of it for {offer}"));
    let shadow = decision.evidence.price_shadow.map(|price| format!("; its shadow {:.4} more", price.get()));
    let shadow = shadow.unwrap_or_default();
    if before == after {
        return format!("  price per hour stays {after:.4}{offer}{shadow}\n");
    }
    format!("  price per hour {before:.4} -> {after:.4} ({:+.4}){offer}{shadow}\n", after - before)
}

fn outcomes(explained: &Explained) -> String {
    if explained.outcomes.is_empty() {
        let why = match explained.decision {
            Decision { action: Action::Hold, .. } => "a hold asks nothing of an adapter",
            Decision { mode: Mode::Observe, .. } => "no adapter acts in mode observe",
            _ => "no adapter has reported one",
        };
        return format!("Outcomes\n  none: {why}\n");
    }
    let mut table = columns(&["after", "status", "in force", "adapter", "message"]);
    for outcome in &explained.outcomes {
        let after = Span::from_millis(outcome.time.millis().saturating_sub(explained.decision.time.millis()));
        table.add_row([
            after.to_string(),
            words(&outcome.status),
            both(&outcome.in_force),
            outcome.adapter.clone(),
            outcome.message.clone(),
        ]);
    }
    section("Outcomes", &table)
}

fn what_if(decision: &Decision) -> String {
    format!(
        "What if\n{}",
        sentences(decision).into_iter().map(|sentence| format!("  {sentence}\n")).collect::<String>()
    )
}

/// A table without lines.
fn columns<T: ToString>(titles: &[T]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(titles.iter().map(ToString::to_string));
    table
}

fn section(title: &str, table: &Table) -> String {
    format!("{title}\n{}", lines(table))
}

/// The table's lines, set in by two with the table's own blank.
fn lines(table: &Table) -> String {
    table.lines().map(|line| format!(" {}\n", line.trim_end())).collect()
}
