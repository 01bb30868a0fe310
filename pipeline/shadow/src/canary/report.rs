//! What a canary has shown so far: the verdict, criterion by criterion, and one sentence.

use elementary::ln;
use schemas::{Criterion, Finding, Verdict};
use serde::{Deserialize, Serialize};

use super::settings::CanarySettings;
use super::wager::ln_sum_exp;

/// A canary's report after a tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What is known.
    pub verdict: Verdict,
    /// Logarithm of the evidence for a regression, over all criteria; at ln(1/alpha) it is one.
    pub ln_evidence: f64,
    /// Requests that both have answered; of a split, that either has.
    pub requests: u64,
    /// About as many more until the verdict is known, if all goes on as so far; none while that cannot be told.
    pub more_requests: Option<u64>,
    /// All criteria, in the order of [`Criterion::ALL`].
    pub findings: Vec<Finding>,
    /// The verdict as one sentence with figures.
    pub because: String,
}

/// Evidence of all criteria, worse and within, in the order of [`Criterion::ALL`].
pub(super) type Evidence = [(f64, f64); Criterion::ALL.len()];

/// Logarithm of the evidence for a regression.
///
/// The mean of the criteria's capitals by weight. It is fair whatever hangs together with what, is never less than the
/// Bonferroni correction (where the greatest capital times its weight counts) and more where several suffer a little.
/// What has been shown to be within its margin is left out: with enough requests any difference is proven.
pub(super) fn ln_evidence(evidence: &Evidence, settings: &CanarySettings) -> f64 {
    let sure = ln_sure(settings);
    let terms = Criterion::ALL.into_iter().zip(evidence);
    let open = terms.filter(|(_, (_, within))| *within < sure);
    ln_sum_exp(open.map(|(criterion, (worse, _))| ln(settings.part(criterion)) + worse))
}

/// Whether all that is needed has been shown to be within its margin.
///
/// No correction is due: one that is beyond its margin passes with a chance of alpha at most, and then all must.
pub(super) fn passes(evidence: &Evidence, settings: &CanarySettings) -> bool {
    let needed = Criterion::ALL.into_iter().zip(evidence).filter(|(criterion, _)| settings.rule(*criterion).needed);
    let mut within = needed.map(|(_, (_, within))| *within >= ln_sure(settings)).peekable();
    within.peek().is_some() && within.all(|within| within)
}

/// About as many more requests as evidence needs that has grown as now: of each needed criterion the nearer end, of all of
/// them the farthest.
pub(super) fn more_requests(evidence: &Evidence, requests: u64, settings: &CanarySettings) -> Option<u64> {
    let more = |ln_now: f64, ln_goal: f64| (ln_now > 0.0).then(|| requests as f64 * (ln_goal / ln_now - 1.0));
    let mut farthest = 0.0f64;
    for (criterion, (worse, within)) in Criterion::ALL.into_iter().zip(evidence) {
        let sure = ln_sure(settings);
        if settings.rule(criterion).needed && *within < sure {
            let harm = more(*worse, sure - ln(settings.part(criterion)));
            let pass = more(*within, sure);
            farthest = farthest.max([harm, pass].into_iter().flatten().reduce(f64::min)?);
        }
    }
    Some(farthest.ceil() as u64)
}

/// The verdict as one sentence; `unread` is what was not read, if that is why.
pub(super) fn because(report: &Report, unread: Option<&str>, settings: &CanarySettings) -> String {
    match report.verdict {
        Verdict::Pass => format!("nothing is worse by its margin, after {} requests", report.requests),
        Verdict::NoData => {
            let unread = unread.unwrap_or("what is needed");
            format!(
                "{unread} of one side or both missing for {} ticks: see that requests reach both",
                settings.silent_ticks
            )
        }
        Verdict::Regress => {
            let harms: Vec<String> = harmed(report, settings).into_iter().map(harm).collect();
            format!("{}, after {} requests", harms.join("; "), report.requests)
        }
        Verdict::Continue => {
            let open: Vec<&str> = open(report, settings).map(|finding| finding.criterion.name()).collect();
            let more =
                report.more_requests.map_or("a number not yet known of".to_owned(), |more| format!("about {more}"));
            format!("not known yet: {}; {more} more requests are needed", open.join(", "))
        }
    }
}

/// Evidence from which something is proven.
pub(super) fn ln_sure(settings: &CanarySettings) -> f64 {
    -ln(settings.alpha)
}

/// Needed criteria that are not shown to be within their margin.
fn open<'a>(report: &'a Report, settings: &'a CanarySettings) -> impl Iterator<Item = &'a Finding> {
    let needed = report.findings.iter().filter(|finding| settings.rule(finding.criterion).needed);
    needed.filter(|finding| finding.ln_within < ln_sure(settings))
}

/// What carries a regression: all that would be enough by itself, or else what has the most evidence.
fn harmed<'a>(report: &'a Report, settings: &CanarySettings) -> Vec<&'a Finding> {
    let weight = |finding: &Finding| ln(settings.part(finding.criterion)) + finding.ln_worse;
    let enough: Vec<&Finding> = report.findings.iter().filter(|finding| weight(finding) >= ln_sure(settings)).collect();
    let most = || report.findings.iter().max_by(|one, other| weight(one).total_cmp(&weight(other)));
    if enough.is_empty() { most().into_iter().collect() } else { enough }
}

fn harm(finding: &Finding) -> String {
    let figure = |value: Option<f64>, unknown: &str| value.map_or(unknown.to_owned(), |value| percent(finding, value));
    format!(
        "{} is worse by {} (above {}, below {})",
        finding.criterion.name(),
        figure(finding.effect, "more than can be told"),
        figure(finding.lower, "nothing sure"),
        figure(finding.upper, "nothing sure")
    )
}

fn percent(finding: &Finding, value: f64) -> String {
    let unit = match finding.criterion {
        Criterion::Errors => "points",
        Criterion::MemoryGrowth => "% an hour",
        _ => "%",
    };
    format!("{:.2} {unit}", 100.0 * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Evidence = [(0.0, 0.0); 6];

    #[test]
    fn evidence_is_the_weighted_mean_of_what_is_open() {
        let settings = CanarySettings::default();
        // All capitals are 1, so is their mean.
        assert!(ln_evidence(&NOTHING, &settings).abs() < 1e-12);
        // Errors weigh a quarter: a capital of 100 there and 1 elsewhere make 25.75; shown to be within, only 0.75 is left.
        let mut harmed = NOTHING;
        harmed[3] = (100f64.ln(), 0.0);
        assert!((ln_evidence(&harmed, &settings).exp() - 25.75).abs() < 1e-9);
        harmed[3].1 = 4.0;
        assert!((ln_evidence(&harmed, &settings).exp() - 0.75).abs() < 1e-9);
    }

    #[test]
    fn all_that_is_needed_must_be_within_to_pass() {
        let settings = CanarySettings::default();
        let mut within = [(0.0, 3.0); 6];
        // ln 20 = 2.996; memory, the last one, is not needed.
        within[5].1 = 0.0;
        assert!(passes(&within, &settings));
        within[4].1 = 2.9;
        assert!(!passes(&within, &settings));
        let none = crate::Rule { needed: false, ..settings.errors };
        let shown = CanarySettings { latency_p50: none, latency_p95: none, latency_p99: none, ..settings };
        assert!(!passes(&NOTHING, &CanarySettings { errors: none, cpu: none, ..shown }), "nothing to pass by");
    }

    #[test]
    fn what_is_still_needed_follows_the_slowest_of_the_needed() {
        let settings = CanarySettings::default();
        let mut evidence = [(0.0, 3.0); 6];
        // Half the evidence took 1000 requests: as many again.
        evidence[2].1 = 20f64.ln() / 2.0;
        assert_eq!(more_requests(&evidence, 1_000, &settings), Some(1_000));
        evidence[2].1 = -1.0;
        assert_eq!(more_requests(&evidence, 1_000, &settings), None);
    }
}
