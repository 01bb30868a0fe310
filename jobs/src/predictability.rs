//! Whether prediction would pay for a workload: what its forecasts idle beside what a percentile of its past would, both short for the
//! same share of time.
//!
//! Slack at equal violation is the fair comparison: a law that is short more often idles less, and says nothing by that. For each
//! horizon, capacities of either law are scaled by one factor until 5 % of the test's steps are short ([`Scored`]).
//!
//! | slack of the forecast beside the percentile's | verdict |
//! |---|---|
//! | at least a tenth less at some horizon | prediction pays |
//! | within a tenth | it does not matter |
//! | more at every horizon | stay with the percentile |

use forecast::SettingsError;
use forecast::lstm::Model;
use serde::Serialize;

use crate::evaluate::forecast::{Evaluation, Row, evaluate};
use crate::evaluate::scores::Scored;
use crate::traces::Series;

/// What a forecast must save of the slack to be worth its trouble.
const WORTH: f64 = 0.1;

/// What is said of one series.
#[derive(Clone, Debug, Serialize)]
pub struct Predictability {
    /// The trace.
    pub trace: String,
    /// The series.
    pub series: String,
    /// The verdict.
    pub verdict: Verdict,
    /// By horizon; empty where the series could not be judged.
    pub horizons: Vec<Horizon>,
    /// In a sentence.
    pub sentence: String,
}

/// Whether prediction pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It saves.
    Pays,
    /// It neither saves nor costs much.
    Indifferent,
    /// A percentile of the past idles less.
    Percentile,
    /// The series idles, hardly varies, or has too many gaps.
    Unknown,
}

/// One horizon.
#[derive(Clone, Debug, Serialize)]
pub struct Horizon {
    /// How far ahead, in seconds.
    pub horizon_s: f64,
    /// The single expert with the least loss at 0.95.
    pub expert: String,
    /// Slack of the forecast at 5 % of steps short.
    pub slack: f64,
    /// Slack of the percentile at the same.
    pub slack_of_percentile: f64,
    /// Share of truths that the forecast's 0.95 quantile covered.
    pub coverage95: f64,
}

impl Horizon {
    /// The share of the percentile's slack that the forecast saves.
    fn saved(&self) -> f64 {
        1.0 - self.slack / self.slack_of_percentile
    }
}

/// Judges one series.
///
/// # Errors
/// Settings that are out of range.
pub fn judge(series: &Series, model: Option<&Model>) -> Result<Predictability, SettingsError> {
    let rows = evaluate(std::slice::from_ref(series), &Evaluation::default(), model)?;
    let horizons: Vec<Horizon> = rows
        .chunk_by(|a, b| a.expert == b.expert)
        .next()
        .map_or_else(Vec::new, |first| first.iter().filter_map(|row| horizon(&rows, row.horizon_s)).collect());
    let best = horizons.iter().max_by(|a, b| a.saved().total_cmp(&b.saved()));
    let verdict = match best.map(Horizon::saved) {
        None => Verdict::Unknown,
        Some(saved) if saved >= WORTH => Verdict::Pays,
        Some(saved) if saved >= 0.0 => Verdict::Indifferent,
        Some(_) => Verdict::Percentile,
    };
    let sentence = sentence(verdict, best);
    Ok(Predictability { trace: series.trace.clone(), series: series.name.clone(), verdict, sentence, horizons })
}

fn horizon(rows: &[Row], horizon_s: f64) -> Option<Horizon> {
    let at: Vec<&Row> = rows.iter().filter(|row| row.horizon_s == horizon_s).collect();
    let of = |expert: &str| at.iter().find(|row| row.expert == expert).map(|row| &row.scored);
    let whole: &Scored = of("ensemble")?;
    let single = at.iter().filter(|row| !row.expert.starts_with("ensemble") && row.scored.origins == whole.origins);
    let best = single.min_by(|a, b| a.scored.wql95.total_cmp(&b.scored.wql95))?;
    Some(Horizon {
        horizon_s,
        expert: best.expert.clone(),
        slack: whole.slack_at_5?,
        slack_of_percentile: of("percentile")?.slack_at_5?,
        coverage95: whole.coverage95,
    })
}

fn sentence(verdict: Verdict, best: Option<&Horizon>) -> String {
    let Some(best) = best else {
        return "cannot be judged: it idles, hardly varies, is short, or has too many gaps".to_owned();
    };
    let (minutes, saved) = (best.horizon_s / 60.0, 100.0 * best.saved());
    let figures = format!(
        "with 5 % of the time short, forecasts {minutes} min ahead idle {:.0} % of demand where a percentile of the past idles {:.0} %",
        100.0 * best.slack,
        100.0 * best.slack_of_percentile
    );
    let alone = format!("best by itself: {}", best.expert);
    match verdict {
        Verdict::Pays => format!("prediction pays: {figures}, {saved:.0} % less; {alone}"),
        Verdict::Indifferent => format!("prediction does not matter much: {figures}; {alone}"),
        _ => format!("stay with the percentile: {figures}; {alone}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn judged(value: impl Fn(u32) -> f64) -> Predictability {
        let series = fixtures::series(300_000, (0..2880).map(|step| Some(value(step))).collect());
        judge(&series, None).expect("settings are in range")
    }

    #[test]
    fn what_comes_every_day_pays_and_what_nobody_knows_does_not() {
        // A busy hour in the middle of each day.
        let busy = judged(|step| if step % 288 / 12 == 12 { 10.0 } else { 1.0 + f64::from(step % 2) });
        assert_eq!(busy.verdict, Verdict::Pays, "{busy:?}");
        // Every step by itself: the percentile of the past is all that can be known.
        let mut state = 9_u64;
        let noise: Vec<f64> = (0..2880)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                5.0 + (state >> 40) as f64 / f64::from(1 << 24)
            })
            .collect();
        let blind = judged(|step| noise[step as usize]);
        assert_ne!(blind.verdict, Verdict::Pays, "{blind:?}");
    }

    #[test]
    fn what_stands_still_is_not_judged() {
        assert_eq!(judged(|_| 3.0).verdict, Verdict::Unknown);
    }
}
