//! What a decision's own record says about other ways it could have gone: nothing beyond it is assumed.

use schemas::{Decision, QuantileValue, Resource, ResourceEvidence};

use crate::amount::amount;

/// Levels that differ by less are one: they went through JSON and back.
const LEVEL_TOLERANCE: f64 = 1e-9;
/// Relative difference of amounts that are called equal.
const AMOUNT_TOLERANCE: f64 = 1e-9;

/// The sentences, resource by resource, and that of the shadow.
pub(super) fn sentences(decision: &Decision) -> Vec<String> {
    let level = decision.evidence.target_level;
    let of_resource = |evidence: &ResourceEvidence| {
        let name = evidence.resource.name();
        let others = [below(evidence, level), above(evidence, level)].into_iter().flatten();
        let others = others.filter_map(|other| at_another_level(evidence, level, other));
        std::iter::once(without_forecast(evidence)).chain(others).map(|text| format!("{name}: {text}")).collect()
    };
    let of_resources = decision.evidence.resources.iter().flat_map(|evidence| -> Vec<String> { of_resource(evidence) });
    of_resources.chain(without_shadow(decision)).collect()
}

/// What the tick's load would have been given without what the shadow has taught; none where there is no shadow, or the demand
/// is not known.
fn without_shadow(decision: &Decision) -> Option<String> {
    let cpu = decision.evidence.resources.iter().find(|evidence| evidence.resource == Resource::Cpu)?;
    let (with, without) = (cpu.demand?, decision.evidence.shadow.as_ref()?.demand_without?);
    let safe = decision.evidence.knee.get();
    let shown = |cores| amount(Resource::Cpu, cores);
    Some(if above_by_more(with, without) {
        format!(
            "cpu: without the shadow {} would have passed for what this load takes, {} less: it would fill {:.2} of them, where \
             {safe:.2} is safe",
            shown(without),
            shown(with - without),
            safe * with / without
        )
    } else if above_by_more(without, with) {
        format!(
            "cpu: without the shadow this load would have been given {}, {} more: that it may fill {safe:.2} of less was not known",
            shown(without),
            shown(without - with)
        )
    } else {
        format!("cpu: without the shadow this load would have been given {} as well", shown(without))
    })
}

/// What the floor alone would have asked for, and what the forecast added.
fn without_forecast(evidence: &ResourceEvidence) -> String {
    let shown = |value| amount(evidence.resource, value);
    let Some(asked) = evidence.raw else {
        return "nothing was known of it, so that it stayed as it was".to_owned();
    };
    match (evidence.reactive_floor, evidence.forecast) {
        (Some(floor), Some(_)) if above_by_more(asked, floor) => format!(
            "without the forecast the reactive floor would have asked for {}; the forecast added {}",
            shown(floor),
            shown(asked - floor)
        ),
        (Some(floor), Some(forecast)) => format!(
            "the reactive floor of {} decided alone: the forecast of {} is not above it",
            shown(floor),
            shown(forecast)
        ),
        (Some(floor), None) => {
            format!("the reactive floor of {} decided alone: there was no forecast yet", shown(floor))
        }
        (None, _) => format!("no reactive floor was known: the forecast alone asked for {}", shown(asked)),
    }
}

/// What the law would have asked for, had prices set another level at which a quantile stands in the record.
fn at_another_level(evidence: &ResourceEvidence, level: f64, other: QuantileValue) -> Option<String> {
    let shown = |value| amount(evidence.resource, value);
    let here = evidence.quantiles.iter().find(|quantile| (quantile.level - level).abs() < LEVEL_TOLERANCE)?;
    let change = match other.value - here.value {
        more if more > 0.0 => format!("{} more", shown(more)),
        less if less < 0.0 => format!("{} less", shown(-less)),
        _ => "no other".to_owned(),
    };
    let quantile =
        format!("at level {:.2} the quantile is {}, {change} than at {level:.2}", other.level, shown(other.value));
    // Only where the record shows that the larger of floor and forecast was asked for may that be said of another level.
    let (asked, forecast) = (evidence.raw?, evidence.forecast?);
    let floor = evidence.reactive_floor.unwrap_or(0.0);
    if above_by_more(asked, floor.max(forecast)) || above_by_more(floor.max(forecast), asked) {
        return Some(quantile);
    }
    Some(if other.value > floor {
        format!("{quantile}: before calibration, {} would have been asked for", shown(other.value))
    } else {
        format!("{quantile}: the reactive floor of {} would have decided", shown(floor))
    })
}

fn below(evidence: &ResourceEvidence, level: f64) -> Option<QuantileValue> {
    evidence.quantiles.iter().rev().find(|quantile| quantile.level < level - LEVEL_TOLERANCE).copied()
}

fn above(evidence: &ResourceEvidence, level: f64) -> Option<QuantileValue> {
    evidence.quantiles.iter().find(|quantile| quantile.level > level + LEVEL_TOLERANCE).copied()
}

fn above_by_more(amount: f64, other: f64) -> bool {
    amount > other * (1.0 + AMOUNT_TOLERANCE)
}

#[cfg(test)]
mod tests {
    use schemas::Resource;

    use super::*;

    /// Quantiles 1.6 at 0.5, 2.0 at 0.9 and 2.6 at 0.99; the target is 0.9 and calibration made 2.2 of it.
    fn evidence(floor: Option<f64>, forecast: Option<f64>) -> ResourceEvidence {
        let quantiles = [(0.5, 1.6), (0.9, 2.0), (0.99, 2.6)];
        let raw = floor.into_iter().chain(forecast).reduce(f64::max);
        ResourceEvidence {
            resource: Resource::Cpu,
            usage: Some(1.0),
            demand: Some(1.0),
            censored: false,
            reactive_floor: floor,
            forecast,
            quantiles: quantiles.map(|(level, value)| QuantileValue { level, value }).into(),
            expert: Some("holt".to_owned()),
            raw,
        }
    }

    fn at_levels(evidence: &ResourceEvidence) -> Vec<String> {
        let others = [below(evidence, 0.9), above(evidence, 0.9)].into_iter().flatten();
        others.filter_map(|other| at_another_level(evidence, 0.9, other)).collect()
    }

    #[test]
    fn the_forecasts_part_is_what_lies_above_the_floor() {
        let told = |floor, forecast| without_forecast(&evidence(floor, forecast));
        // 2.2 - 1.5 = 0.7
        assert!(told(Some(1.5), Some(2.2)).ends_with("asked for 1.50 cores; the forecast added 0.70 cores"));
        assert!(told(Some(2.5), Some(2.2)).contains("2.50 cores decided alone: the forecast of 2.20 cores"));
        assert!(told(Some(2.5), None).ends_with("there was no forecast yet"));
        assert!(told(None, Some(2.2)).ends_with("the forecast alone asked for 2.20 cores"));
        assert!(told(None, None).contains("stayed as it was"));
    }

    #[test]
    fn other_levels_are_told_from_the_recorded_quantiles() {
        // 2.0 - 1.6 = 0.4 and 2.6 - 2.0 = 0.6; at the lower level the floor of 1.8 is more.
        let expected = [
            "at level 0.50 the quantile is 1.60 cores, 0.40 cores less than at 0.90: the reactive floor of 1.80 cores \
             would have decided",
            "at level 0.99 the quantile is 2.60 cores, 0.60 cores more than at 0.90: before calibration, 2.60 cores \
             would have been asked for",
        ];
        assert_eq!(at_levels(&evidence(Some(1.8), Some(2.2))), expected);
    }

    #[test]
    fn nothing_is_said_that_the_record_does_not_bear() {
        let mut under_another_law = evidence(Some(1.8), Some(2.2));
        under_another_law.raw = Some(3.0);
        let told = at_levels(&under_another_law);
        assert!(told.iter().all(|text| !text.contains("would have")), "{told:?}");
        let mut unlevelled = evidence(Some(1.8), Some(2.2));
        unlevelled.quantiles.remove(1);
        assert!(at_levels(&unlevelled).is_empty(), "no quantile at the target to compare with");
    }
}
