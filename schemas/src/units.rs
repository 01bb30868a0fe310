//! Units as types: a number on the wire says what it counts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($($(#[$doc:meta])* $name:ident, $symbol:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(f64);

        impl $name {
            /// The unit's symbol, as it stands in column metadata.
            pub const SYMBOL: &'static str = $symbol;

            /// Wraps a number that is already in this unit.
            #[must_use]
            pub const fn new(value: f64) -> Self {
                Self(value)
            }

            /// The bare number.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:.3} {}", self.0, $symbol)
            }
        }
    )*};
}

unit! {
    /// CPU, in cores: one core busy all the time is 1.
    Cores, "{cpu}";
    /// Memory or data, in bytes.
    Bytes, "By";
    /// A flow of data, in bytes per second.
    BytesPerSecond, "By/s";
    /// A share between 0 and 1.
    Ratio, "1";
    /// A rate of events, per second.
    PerSecond, "1/s";
    /// A span of time, in seconds.
    Seconds, "s";
    /// Money, in the currency of the price table.
    Money, "{money}";
}

/// When something happened, in milliseconds since the Unix epoch (UTC).
///
/// Event time is the only time that logic sees. On the wire it is an integer; RFC 3339 text is read too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(u64);

impl EventTime {
    /// The latest instant that is accepted anywhere: the end of the year 9998.
    ///
    /// Later times have no RFC 3339 form of four digits, and a time near `u64::MAX` would overflow sums.
    pub const MAX: Self = Self(253_370_764_799_999);

    /// An instant from its milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The instant `millis` later, at most [`EventTime::MAX`].
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// The instant `millis` earlier, at least the epoch.
    #[must_use]
    pub const fn minus(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// The start of the tick of `tick_ms` that holds this instant.
    #[must_use]
    pub const fn tick(self, tick_ms: u64) -> Self {
        Self(self.0 - self.0 % tick_ms)
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.min(Self::MAX.0)).expect("the maximum fits in an i64");
        let instant = jiff::Timestamp::from_millisecond(millis).expect("the maximum is before the year 9999");
        write!(f, "{instant:.3}")
    }
}

impl Serialize for EventTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only a form that describes itself can say whether it holds an integer or text.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(TimeVisitor)
        } else {
            deserializer.deserialize_u64(TimeVisitor)
        }
    }
}

impl JsonSchema for EventTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EventTime".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Milliseconds since the Unix epoch, or RFC 3339 text.",
            "type": ["integer", "string"],
        })
    }
}

struct TimeVisitor;

impl serde::de::Visitor<'_> for TimeVisitor {
    type Value = EventTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("milliseconds since the epoch (1767225600000) or RFC 3339 text (\"2026-01-01T00:00:00Z\")")
    }

    fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<EventTime, E> {
        if millis > EventTime::MAX.0 {
            return Err(E::custom(format!("time {millis} is after the year 9998: milliseconds are expected")));
        }
        Ok(EventTime(millis))
    }

    fn visit_i64<E: serde::de::Error>(self, millis: i64) -> Result<EventTime, E> {
        u64::try_from(millis)
            .map_err(|_| E::custom(format!("time {millis} is before 1970")))
            .and_then(|m| self.visit_u64(m))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EventTime, E> {
        let instant: jiff::Timestamp = text.parse().map_err(|error| E::custom(format!("time \"{text}\": {error}")))?;
        self.visit_i64(instant.as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_time_are_read_alike() {
        // 2026-01-01T00:00:00Z is 20 454 days after the epoch: 20 454 × 86 400 000 ms.
        let millis: EventTime = serde_json::from_str("1767225600000").expect("an integer");
        let text: EventTime = serde_json::from_str("\"2026-01-01T00:00:00Z\"").expect("RFC 3339");
        assert_eq!(millis, text);
        assert_eq!(text.to_string(), "2026-01-01T00:00:00.000Z");
    }

    #[test]
    fn times_out_of_range_name_the_fault() {
        let nanoseconds = serde_json::from_str::<EventTime>("1767225600000000000").expect_err("not milliseconds");
        assert!(nanoseconds.to_string().contains("milliseconds are expected"), "{nanoseconds}");
        let negative = serde_json::from_str::<EventTime>("-5").expect_err("before the epoch");
        assert!(negative.to_string().contains("before 1970"), "{negative}");
    }

    #[test]
    fn a_tick_starts_at_a_multiple_of_its_length() {
        assert_eq!(EventTime::from_millis(1_999).tick(1_000), EventTime::from_millis(1_000));
        assert_eq!(EventTime::from_millis(2_000).tick(1_000), EventTime::from_millis(2_000));
    }
}
