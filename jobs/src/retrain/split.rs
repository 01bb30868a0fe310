//! What is trained on, and what a model is judged by: apart by time and by workload.
//!
//! ```text
//! of a trace's span       0 ──────────── 65 % ───── 80 % ───── 100 %
//! four workloads of five  │   training   │ validation │  held out │
//! every fifth workload    │      –       │     –      │  held out │  "unseen"
//! ```
//!
//! The cuts are the trace's, not the series': what befell all workloads at one time is trained on for none of them if it is
//! held out for one. An answer that is trained on lies before the cut whole, with its horizon. Which workloads are kept
//! follows from their names, so that a retraining next week keeps the same ones.

use std::collections::BTreeMap;

use crate::traces::Series;

/// Training ends at this share of a trace's span, and validation, which says when to stop, at the other.
const CUTS: [f64; 2] = [0.65, 0.80];

/// Of so many workloads one is never trained on.
pub const KEPT_OF: usize = 5;

/// What an example is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To learn from.
    Training,
    /// To see when to stop.
    Validation,
    /// To be judged by.
    HeldOut,
}

/// The cuts of all traces, and the workloads that are kept.
#[derive(Clone, Debug)]
pub struct Split {
    /// By source, milliseconds.
    cuts_ms: BTreeMap<String, [u64; 2]>,
    /// By source and workload.
    kept: BTreeMap<(String, String), bool>,
}

impl Split {
    /// The split of these series.
    pub fn of(series: &[Series]) -> Self {
        let mut spans: BTreeMap<String, [u64; 2]> = BTreeMap::new();
        let mut workloads: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
        for one in series {
            let [from, to] = span_ms(one);
            let span = spans.entry(source(one).to_owned()).or_insert([from, to]);
            *span = [span[0].min(from), span[1].max(to)];
            let key = plant::noise::workload_seed(0, &one.name);
            workloads.entry(source(one).to_owned()).or_default().insert(key, one.name.clone());
        }
        let cut = |[from, to]: [u64; 2]| CUTS.map(|share| from + (share * (to - from) as f64) as u64);
        let keep = |(source, names): (String, BTreeMap<u64, String>)| {
            // In the order of a hash: names that count up, or begin alike, are not neighbours in it.
            let numbered = names.into_values().enumerate();
            numbered.map(move |(at, name)| ((source.clone(), name), at % KEPT_OF == KEPT_OF - 1))
        };
        Self {
            cuts_ms: spans.into_iter().map(|(trace, span)| (trace, cut(span))).collect(),
            kept: workloads.into_iter().flat_map(keep).collect(),
        }
    }

    /// The cuts of one series.
    pub fn cuts(&self, series: &Series) -> Cuts {
        let [training_ms, validation_ms] = self.cuts_ms.get(source(series)).copied().unwrap_or_default();
        // The first step that begins at a cut or later.
        let step = |cut_ms: u64| cut_ms.div_ceil(series.step_ms);
        let kept = self.kept.get(&(source(series).to_owned(), series.name.clone())).copied().unwrap_or(true);
        Cuts { training: step(training_ms), validation: step(validation_ms), kept }
    }
}

/// Where training and validation end in a series, in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cuts {
    training: u64,
    validation: u64,
    /// Whether its workload is never trained on.
    pub kept: bool,
}

impl Cuts {
    /// What a question is for that is asked at one step and answered by another, if for anything: one whose answer lies
    /// beyond a cut is for nothing.
    pub fn part(&self, asked: u64, answered: u64) -> Option<Part> {
        if asked >= self.validation {
            return Some(Part::HeldOut);
        }
        let in_training = asked < self.training;
        let (part, end) =
            if in_training { (Part::Training, self.training) } else { (Part::Validation, self.validation) };
        (answered < end && !self.kept).then_some(part)
    }

    /// How many of these steps may be asked at for this part.
    pub fn steps(&self, part: Part, steps: std::ops::Range<u64>) -> u64 {
        let within = |from: u64, to: u64| to.min(steps.end).saturating_sub(from.max(steps.start));
        match part {
            Part::HeldOut => within(self.validation, u64::MAX),
            _ if self.kept => 0,
            Part::Training => within(0, self.training),
            Part::Validation => within(self.training, self.validation),
        }
    }
}

/// Where a series is from, whichever of its readings it is: all readings of a workload are kept, or none.
fn source(series: &Series) -> &str {
    series.trace.split('.').next().unwrap_or_default()
}

/// When a series begins and ends, milliseconds.
pub fn span_ms(series: &Series) -> [u64; 2] {
    [series.first_step, series.first_step + series.values.len() as u64].map(|step| step * series.step_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::flat;

    #[test]
    fn no_answer_that_is_trained_on_lies_beyond_the_cut_or_is_of_a_kept_workload() {
        let series: Vec<Series> = (0..10).map(|at| flat(&format!("w{at}"), 100)).collect();
        let split = Split::of(&series);
        assert_eq!(series.iter().filter(|series| split.cuts(series).kept).count(), 2);
        for one in &series {
            let cuts = split.cuts(one);
            let known = |part| (!cuts.kept).then_some(part);
            // 100 steps: the cuts are at 65 and 80.
            assert_eq!(cuts.part(50, 64), known(Part::Training));
            assert_eq!(cuts.part(60, 65), None);
            assert_eq!(cuts.part(65, 79), known(Part::Validation));
            assert_eq!(cuts.part(70, 80), None);
            assert_eq!(cuts.part(80, 99), Some(Part::HeldOut));
            let steps = [Part::Training, Part::Validation, Part::HeldOut].map(|part| cuts.steps(part, 0..100));
            assert_eq!(steps, if cuts.kept { [0, 0, 20] } else { [65, 15, 20] });
        }
    }

    #[test]
    fn a_trace_is_cut_as_a_whole() {
        let late = Series { first_step: 70, ..flat("late", 30) };
        let cuts = Split::of(&[flat("early", 100), late.clone()]).cuts(&late);
        assert_eq!(cuts.part(90, 99), Some(Part::HeldOut));
        assert_eq!(cuts.steps(Part::Training, 70..100), 0);
    }

    #[test]
    fn the_same_workloads_are_kept_when_others_come_after_them_in_time() {
        let names = ["api", "web", "batch", "mail", "shop"];
        let kept = |steps| {
            let series: Vec<Series> = names.iter().map(|name| flat(name, steps)).collect();
            let split = Split::of(&series);
            series.iter().map(|one| split.cuts(one).kept).collect::<Vec<_>>()
        };
        assert_eq!(kept(100), kept(500));
    }
}
