//! Every noun on the wire: start here.
//!
//! A noun is one kind of record on one topic: a Rust type, its JSON form, its Arrow schema, a version and a
//! golden file. [`Topic`] lists the topics, [`Noun`] is what all records share, and [`Sample`] is the one noun
//! that also travels as whole Arrow batches ([`batch`]) and lives as columns ([`Samples`]), since samples are counted in
//! millions.
//!
//! | noun | topic | file |
//! |---|---|---|
//! | [`Sample`] | `foreshadow.samples.v1` | `sample.rs`, columns in `reading.rs` |
//! | [`Workload`] | `foreshadow.workloads.v1` | `workload.rs` |
//! | [`Pool`] | `foreshadow.pools.v1` | `pool.rs` |
//! | [`FeatureRecord`] | `foreshadow.features.v1` | `feature.rs` |
//! | [`ForecastRecord`] | `foreshadow.forecasts.v1` | `forecast.rs` |
//! | [`Anomaly`] | `foreshadow.anomalies.v1` | `anomaly.rs` |
//! | [`Decision`] | `foreshadow.decisions.v1` | `decision.rs` |
//! | [`Outcome`] | `foreshadow.outcomes.v1` | `outcome.rs` |
//! | [`Model`] | `foreshadow.models.v1` | `model.rs` |
//! | [`Reject`] | `foreshadow.rejects.v1` | `reject.rs` |
//! | [`Progress`] | `foreshadow.progress.v1` | `progress.rs` |
//!
//! Units are newtypes ([`Cores`], [`Bytes`], …) and base SI units, never milli-anything. A reading that was not
//! taken is `None`, from the wire to the decision: missing is not zero.

mod allocation;
mod anomaly;
pub mod as_json;
pub mod batch;
mod caught;
pub mod columns;
mod decision;
pub mod decode;
mod feature;
mod forecast;
mod ids;
mod model;
mod noun;
mod outcome;
mod pool;
mod probe;
mod progress;
mod reading;
mod reject;
mod remediation;
mod rollout;
mod sample;
pub mod samples;
mod shadow;
mod span;
mod topic;
mod units;
mod version;
mod workload;

pub use allocation::{Allocation, Resource};
pub use anomaly::{Anomaly, Severity};
pub use caught::{caught, is_catching};
pub use decision::{Action, Decision, Evidence, PoolLevel, Reason, ResourceEvidence};
pub use feature::{FeatureRecord, FeatureRow};
pub use forecast::{ForecastRecord, QuantileValue};
pub use ids::{DecisionId, ID_BYTES_MAX, IdError, InstanceId, ModelId, PoolId, SourceId, TenantId, WorkloadId};
pub use model::{ARTIFACT_BYTES_MAX, ArtifactFault, Model, model_name, sha256};
pub use noun::{Header, Noun, NounError};
pub use outcome::{Outcome, Status};
pub use pool::{Offer, OfferKind, Pool};
pub use probe::{ProbePolicy, ProbeTurn};
pub use progress::{LateChange, Progress, TakenIn};
pub use reading::{Metric, READING_MAX, ReadingFault};
pub use reject::{EXCERPT_BYTES_MAX, Reject, RejectReason};
pub use remediation::{Remediation, RemediationPolicy, Remedy};
pub use rollout::{Criterion, Finding, RolloutAction, RolloutTurn, Verdict};
pub use sample::{Role, Sample};
pub use samples::{Identity, Samples};
pub use shadow::{DemandSource, KneeEvidence, LatencyLaw, ShadowEvidence, ShadowTrust};
pub use span::Span;
pub use topic::{Cleanup, Topic};
pub use units::{Bytes, BytesPerSecond, Cores, EventTime, Money, PerSecond, Ratio, Seconds};
pub use version::V1;
pub use workload::{Learning, Mode, Pause, Profile, Selector, ShadowSettings, Workload};
