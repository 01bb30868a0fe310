//! Identifiers: short, printable, cheap to clone.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest identifier, in bytes: the longest DNS name, so that every orchestrator's names fit.
pub const ID_BYTES_MAX: usize = 253;

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has no characters.
    #[error("an empty {0}: give it a name")]
    Empty(&'static str),
    /// The text is longer than [`ID_BYTES_MAX`].
    #[error("a {0} of {1} bytes: at most {ID_BYTES_MAX} are allowed")]
    Long(&'static str, usize),
    /// The text holds a control character, which would break logs and tables.
    #[error("a {0} with a control character: use printable text")]
    Control(&'static str),
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps a text.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long or holds a control character.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check($what, text).map(|()| Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

id! {
    /// Who owns a workload; part of every key.
    TenantId, "tenant";
    /// A deployed program that is scaled as one.
    WorkloadId, "workload";
    /// One running copy of a workload.
    InstanceId, "instance";
    /// A dynamic resource pool.
    PoolId, "pool";
    /// The agent or producer that wrote a record.
    SourceId, "source";
    /// A trained model.
    ModelId, "model";
    /// A decision: its workload and the tick that it was taken at.
    DecisionId, "decision";
}

impl TenantId {
    /// The tenant of whoever names none.
    pub const DEFAULT: &str = "default";
}

impl Default for TenantId {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

fn check(what: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty(what));
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::Long(what, text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::Control(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        assert_eq!(WorkloadId::new(""), Err(IdError::Empty("workload")));
        assert_eq!(WorkloadId::new("a\nb"), Err(IdError::Control("workload")));
        assert_eq!(PoolId::new(&"x".repeat(254)), Err(IdError::Long("pool", 254)));
        assert!(serde_json::from_str::<TenantId>("\"\"").is_err(), "JSON takes the same way");
    }
}
