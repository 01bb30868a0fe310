//! What a workload's shadow contributed to a decision.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Ratio, Span};

/// Whether a shadow's readings are believed, or why not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShadowTrust {
    /// Its readings are those of a smaller copy under the same requests.
    Trusted,
    /// It has not been read long enough since it began, or since it was last distrusted.
    #[default]
    Unproven,
    /// It has given no reading while the primary gave some.
    Silent,
    /// Its readings repeat to the bit while the primary's change.
    Frozen,
    /// Its requests are not the mirrored share of the primary's.
    OtherLoad,
    /// A request costs it much more or less than the primary.
    OtherCost,
    /// It answers far more requests with errors than the primary.
    Failing,
}

/// Where the demand of a tick comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DemandSource {
    /// The primary's own usage: nothing hides demand.
    Usage,
    /// The primary's requests, times what a request costs.
    Requests,
    /// The requests that the shadow was sent, scaled up, times what a request costs.
    MirroredRequests,
    /// The shadow's usage, scaled up.
    ShadowUsage,
    /// Nothing tells: more than the usage is tried.
    Probe,
}

/// The law that a knee was found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LatencyLaw {
    /// The wait in a queue before several servers (Erlang C).
    Erlang,
    /// A line in the reciprocal of the idle share.
    Queue,
    /// Flat up to a bend, then a line in the reciprocal of the idle share.
    HockeyStick,
    /// The universal scalability law: contention and coherence over what is in flight.
    Scalability,
    /// The share of late requests falls exponentially with the idle cores.
    Tail,
}

/// A knee with its band.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KneeEvidence {
    /// The largest utilisation of the primary that keeps the promise.
    pub utilisation: Ratio,
    /// The lower end of the band.
    pub low: Ratio,
    /// The upper end of the band.
    pub high: Ratio,
    /// The law that it was found by.
    pub law: LatencyLaw,
    /// How far the law misses points that it was not fitted to: root mean square, relative. Of late requests, the relative standard
    /// error of the rate at which they become rare.
    pub error: f64,
    /// Whether late requests, or latency where it crosses the promise, have been seen; otherwise the law is carried beyond what was seen.
    pub shown: bool,
}

/// What the shadow contributed to a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowEvidence {
    /// Whether it is believed. What a distrusted shadow has taught lowers nothing.
    pub trust: ShadowTrust,
    /// Its amplification as read: its load per core over the primary's; none while unread.
    pub amplification: Option<f64>,
    /// The knee that it and the primary have shown; none before.
    pub knee: Option<KneeEvidence>,
    /// Where the demand of the tick comes from; none when there is none.
    pub demand_source: Option<DemandSource>,
    /// Relative standard error of that demand; none when it is not known.
    pub demand_error: Option<f64>,
    /// The demand in cores had there been no shadow; none when it is unknown.
    pub demand_without: Option<f64>,
    /// How long before the primary the shadow has suffered, the median, in milliseconds; none before it was seen.
    pub lead_ms: Option<u64>,
    /// Ticks of the pair that were not learnt from, because something else disturbed them.
    pub discarded_ticks: u64,
}

impl fmt::Display for ShadowTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trusted => "the shadow is believed",
            Self::Unproven => "the shadow is not believed yet: it has not been read for long enough",
            Self::Silent => "the shadow is not believed: it has given no reading of late",
            Self::Frozen => "the shadow is not believed: its readings stand still while the primary's change",
            Self::OtherLoad => "the shadow is not believed: its requests are not the mirrored share of the primary's",
            Self::OtherCost => "the shadow is not believed: a request does not cost it what it costs the primary",
            Self::Failing => "the shadow is not believed: it fails where the primary does not",
        })
    }
}

impl fmt::Display for DemandSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usage => "the primary's usage",
            Self::Requests => "the primary's requests and what one costs",
            Self::MirroredRequests => "the requests mirrored to the shadow and what one costs",
            Self::ShadowUsage => "the shadow's usage",
            Self::Probe => "a probe upwards, as nothing tells it",
        })
    }
}

impl fmt::Display for ShadowEvidence {
    /// One sentence with figures.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.trust)?;
        if let Some(k) = self.amplification {
            write!(f, "; it runs at {k:.2} times the primary's load per core")?;
        }
        if let Some(KneeEvidence { utilisation, low, high, shown, .. }) = &self.knee {
            let how = if *shown { "seen" } else { "carried beyond what was seen" };
            let [knee, low, high] = [utilisation, low, high].map(|ratio| ratio.get());
            write!(f, "; the knee is {knee:.2} of the limit ({low:.2} to {high:.2}, {how})")?;
        }
        if let Some(source) = self.demand_source {
            write!(f, "; demand is from {source}")?;
        }
        if let Some(error) = self.demand_error {
            write!(f, ", give or take {:.0} %", 100.0 * error)?;
        }
        if let Some(cores) = self.demand_without {
            write!(f, "; without the shadow it would be {cores:.3} cores")?;
        }
        if let Some(lead_ms) = self.lead_ms {
            write!(f, "; it suffers {} before the primary", Span::from_millis(lead_ms))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_is_known_and_nothing_else() {
        let mut evidence = ShadowEvidence { trust: ShadowTrust::Frozen, ..ShadowEvidence::default() };
        let frozen = "the shadow is not believed: its readings stand still while the primary's change";
        assert_eq!(evidence.to_string(), frozen);
        let [utilisation, low, high] = [0.62, 0.58, 0.67].map(Ratio::new);
        evidence = ShadowEvidence {
            trust: ShadowTrust::Trusted,
            amplification: Some(4.0),
            knee: Some(KneeEvidence { utilisation, low, high, law: LatencyLaw::Queue, error: 0.04, shown: true }),
            demand_source: Some(DemandSource::ShadowUsage),
            demand_error: Some(0.08),
            demand_without: Some(3.5),
            lead_ms: Some(42_000),
            discarded_ticks: 3,
        };
        assert_eq!(
            evidence.to_string(),
            "the shadow is believed; it runs at 4.00 times the primary's load per core; the knee is 0.62 of the limit \
             (0.58 to 0.67, seen); demand is from the shadow's usage, give or take 8 %; without the shadow it would be \
             3.500 cores; it suffers 42s before the primary"
        );
    }
}
