//! The verdict: whether a challenger takes the champion's place.
//!
//! A model's *loss* is its mean pinball loss over [`LEVELS`](forecast::lstm::LEVELS), as a share of the level of the series
//! that it is about. Of all held-out examples each tenant's count by its share of them, but by no more than
//! [`SHARE_MAX`](forecast::lstm::SHARE_MAX): who sends most does not decide alone.
//!
//! A challenger wins if its loss is below the champion's, and in no group more than [`REGRESSION_MAX`] above it. Groups are:
//! each tenant, each profile, each measure, each step, and the workloads that nobody has trained on. One of fewer than
//! [`JUDGED_LEAST`] examples is shown and decides nothing.

use std::collections::BTreeMap;
use std::fmt;

use forecast::lstm::{SHARE_MAX, Score, capped};
use serde::{Deserialize, Serialize};

/// How much worse a challenger may be for a group, as a share of the champion's loss. On 100 examples of tails this heavy the
/// loss of one model differs by some percent from sample to sample; less would refuse by chance.
pub const REGRESSION_MAX: f64 = 0.05;

/// A group of fewer examples is no ground for a verdict.
pub const JUDGED_LEAST: usize = 100;

/// What an example is about, as far as the verdict asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Whose it is.
    pub tenant: String,
    /// What kind of program it is, where that is known.
    pub profile: Option<String>,
    /// `cpu`, `memory` or `rate`.
    pub measure: &'static str,
    /// Length of the series' steps.
    pub step_ms: u64,
    /// Whether its workload was never trained on.
    pub unseen: bool,
}

/// One group under two models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Which it is, such as `tenant shop`.
    pub name: String,
    /// How many examples.
    pub examples: usize,
    /// The challenger's mean loss.
    pub challenger: f64,
    /// The champion's.
    pub champion: f64,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Whether the challenger takes the champion's place.
    pub wins: bool,
    /// Why, in a sentence.
    pub sentence: String,
    /// All examples together, tenants capped.
    pub all: Group,
    /// The groups.
    pub groups: Vec<Group>,
}

impl Group {
    /// By which share of the champion's loss the challenger's is above it; negative where it is better. Who does not even have a
    /// loss is worse than anybody.
    pub fn worse_by(&self) -> f64 {
        if !(self.challenger.is_finite() && self.champion.is_finite()) {
            return f64::INFINITY;
        }
        if self.champion > 0.0 { self.challenger / self.champion - 1.0 } else { 0.0 }
    }

    fn is_judged(&self) -> bool {
        self.examples >= JUDGED_LEAST
    }
}

impl Verdict {
    /// Judges a challenger beside whoever holds the place, `against`: each scored on the same examples.
    pub fn of(about: &[About], challenger: &[Score], champion: &[Score], against: &str) -> Self {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, about) in about.iter().enumerate() {
            let mut add = |name: String| groups.entry(name).or_default().push(at);
            add(format!("measure {}", about.measure));
            add(format!("step {} s", about.step_ms / 1_000));
            add(format!("tenant {}", about.tenant));
            about.profile.iter().for_each(|profile| add(format!("profile {profile}")));
            if about.unseen {
                add("unseen workloads".to_owned());
            }
        }
        let mean =
            |scores: &[Score], of: &[usize]| of.iter().map(|at| scores[*at].loss).sum::<f64>() / of.len().max(1) as f64;
        let group = |name: String, of: &[usize]| Group {
            examples: of.len(),
            challenger: mean(challenger, of),
            champion: mean(champion, of),
            name,
        };
        let groups: Vec<Group> = groups.into_iter().map(|(name, of)| group(name, &of)).collect();
        let all = together(&groups, about.len());
        let sentence = sentence(&all, &groups, against);
        Self { wins: sentence.is_ok(), sentence: sentence.unwrap_or_else(|refused| refused), all, groups }
    }
}

/// The tenants' means, each by its capped share.
fn together(groups: &[Group], examples: usize) -> Group {
    let tenants: Vec<&Group> = groups.iter().filter(|group| group.name.starts_with("tenant ")).collect();
    let counts: Vec<usize> = tenants.iter().map(|group| group.examples).collect();
    let shares = capped(&counts, SHARE_MAX);
    let mean = |of: &dyn Fn(&Group) -> f64| tenants.iter().zip(&shares).map(|(group, share)| of(group) * share).sum();
    Group {
        name: "all".to_owned(),
        examples,
        challenger: mean(&|group| group.challenger),
        champion: mean(&|group| group.champion),
    }
}

/// Why it wins, or why not.
fn sentence(all: &Group, groups: &[Group], against: &str) -> Result<String, String> {
    let better =
        format!("{:.2} % less loss than {against} on {} held-out examples", -100.0 * all.worse_by(), all.examples);
    if !all.is_judged() {
        return Err(format!(
            "refused: {} held-out examples are too few to judge by, {JUDGED_LEAST} are needed: retrain on a longer history",
            all.examples
        ));
    }
    let better_than_champion = all.challenger < all.champion;
    if !better_than_champion {
        let worse = 100.0 * all.worse_by();
        return Err(format!("refused: {worse:.2} % more loss than {against} on {} held-out examples", all.examples));
    }
    let judged = groups.iter().filter(|group| group.is_judged());
    let worst = judged.max_by(|a, b| a.worse_by().total_cmp(&b.worse_by()));
    match worst.filter(|worst| worst.worse_by() > REGRESSION_MAX) {
        Some(worst) => Err(format!(
            "refused: {better}, but {:.1} % more for {}, where at most {:.0} % is allowed",
            100.0 * worst.worse_by(),
            worst.name,
            100.0 * REGRESSION_MAX
        )),
        None => Ok(format!("wins: {better}, and no group is worse by more than {:.0} %", 100.0 * REGRESSION_MAX)),
    }
}

impl fmt::Display for Verdict {
    /// A table of the groups and the sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<28}{:>9}{:>12}{:>12}{:>10}",
            "loss on held-out data", "examples", "challenger", "champion", "worse by"
        )?;
        for group in std::iter::once(&self.all).chain(&self.groups) {
            let note = if group.is_judged() { "" } else { "  too few to judge" };
            writeln!(
                f,
                "{:<28}{:>9}{:>12.5}{:>12.5}{:>8.1} %{note}",
                group.name,
                group.examples,
                group.challenger,
                group.champion,
                100.0 * group.worse_by()
            )?;
        }
        write!(f, "{}", self.sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tenants with so many examples each, of CPU at 1 min.
    fn about(counts: [usize; 2]) -> Vec<About> {
        let of = |tenant: &str| About {
            tenant: tenant.to_owned(),
            profile: None,
            measure: "cpu",
            step_ms: 60_000,
            unseen: false,
        };
        let tenants = ["a", "b"].into_iter().zip(counts);
        tenants.flat_map(|(tenant, count)| vec![of(tenant); count]).collect()
    }

    fn scores(losses: [f64; 2], counts: [usize; 2]) -> Vec<Score> {
        let of = |(loss, count): (f64, usize)| vec![Score { loss, ..Score::default() }; count];
        losses.into_iter().zip(counts).flat_map(of).collect()
    }

    fn judge(challenger: [f64; 2], counts: [usize; 2]) -> Verdict {
        Verdict::of(&about(counts), &scores(challenger, counts), &scores([1.0, 1.0], counts), "the champion")
    }

    #[test]
    fn wins_with_less_loss_and_no_group_far_worse() {
        let verdict = judge([0.8, 1.04], [200, 200]);
        assert!(verdict.wins, "{verdict}");
        // (0.8 + 1.04)/2 = 0.92.
        assert_eq!(
            verdict.sentence,
            "wins: 8.00 % less loss than the champion on 400 held-out examples, and no group is worse by more than 5 %"
        );
    }

    #[test]
    fn a_tenant_that_is_far_worse_off_refuses() {
        let verdict = judge([0.5, 1.06], [200, 200]);
        assert!(!verdict.wins);
        assert!(verdict.sentence.ends_with("but 6.0 % more for tenant b, where at most 5 % is allowed"), "{verdict}");
        // With fewer examples than count, nobody is judged by them.
        assert!(judge([0.5, 1.06], [200, 99]).wins);
    }

    #[test]
    fn a_profile_that_is_far_worse_off_refuses() {
        // Both tenants alike: of each half are batch, where the challenger is worse.
        let counts = [200, 200];
        let mut about = about(counts);
        about.iter_mut().zip(0..).for_each(|(about, at)| {
            about.profile = Some(if at % 2 == 0 { "service" } else { "batch" }.to_owned());
        });
        let loss = |at: usize| if at.is_multiple_of(2) { 0.5 } else { 1.06 };
        let challenger: Vec<Score> = (0..about.len()).map(|at| Score { loss: loss(at), ..Score::default() }).collect();
        let verdict = Verdict::of(&about, &challenger, &scores([1.0, 1.0], counts), "the champion");
        assert!(!verdict.wins && verdict.sentence.contains("6.0 % more for profile batch"), "{verdict}");
    }

    #[test]
    fn whoever_has_no_loss_at_all_is_refused() {
        assert!(!judge([f64::NAN, f64::NAN], [200, 200]).wins);
        assert!(!judge([0.5, f64::NAN], [200, 200]).wins);
        assert!(!judge([0.5, f64::INFINITY], [200, 200]).wins);
    }

    #[test]
    fn more_loss_or_too_few_examples_refuse() {
        assert!(!judge([1.0, 1.0], [200, 200]).wins);
        assert!(judge([0.1, 0.1], [50, 49]).sentence.contains("too few"));
    }

    #[test]
    fn who_sends_most_does_not_decide_alone() {
        // By examples: (9·0.9 + 1.04)/10 < 1 would win; two tenants count half each: 0.985.
        let verdict = judge([0.93, 1.04], [1_800, 200]);
        assert!((verdict.all.challenger - 0.985).abs() < 1e-9, "{verdict}");
    }
}
