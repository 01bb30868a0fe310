//! The topics: names, keys and how they are cleaned up.

/// What a log does with old records of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// The oldest records go.
    Delete,
    /// The newest record of each key stays; a record without a value removes its key.
    Compact,
}

impl Cleanup {
    /// The value of Kafka's `cleanup.policy`.
    #[must_use]
    pub const fn policy(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
        }
    }
}

macro_rules! topics {
    ($($(#[$doc:meta])* $variant:ident, $noun:literal, $cleanup:ident;)*) => {
        /// A topic of Foreshadow. The variant's order is the order in which outputs are published.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Topic { $($(#[$doc])* $variant,)* }

        impl Topic {
            /// Every topic.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The short name, which is also the name of the SQL table: `samples`.
            #[must_use]
            pub const fn noun(self) -> &'static str {
                match self { $(Self::$variant => $noun,)* }
            }

            /// The full name on the log: `foreshadow.samples.v1`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => concat!("foreshadow.", $noun, ".v1"),)* }
            }

            /// How old records go.
            #[must_use]
            pub const fn cleanup(self) -> Cleanup {
                match self { $(Self::$variant => Cleanup::$cleanup,)* }
            }
        }
    };
}

topics! {
    /// Readings of instances; key: source.
    Samples, "samples", Delete;
    /// What runs; key: workload.
    Workloads, "workloads", Compact;
    /// Capacity and prices; key: pool.
    Pools, "pools", Compact;
    /// Rolling features; key: workload.
    Features, "features", Delete;
    /// Quantiles of demand; key: workload.
    Forecasts, "forecasts", Delete;
    /// Alerts; key: workload.
    Anomalies, "anomalies", Delete;
    /// The actuator topic; key: workload.
    Decisions, "decisions", Delete;
    /// What adapters did; key: workload.
    Outcomes, "outcomes", Delete;
    /// The model registry; key: model.
    Models, "models", Compact;
    /// Dead letters; key: source.
    Rejects, "rejects", Delete;
    /// How far the outputs reach; key: worker group.
    Progress, "progress", Compact;
}

impl Topic {
    /// The topic of a short name.
    #[must_use]
    pub fn of_noun(noun: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|topic| topic.noun() == noun)
    }
}
