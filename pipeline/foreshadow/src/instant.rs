//! Instants as people write them: RFC 3339, a date, milliseconds, or so long ago.

use std::time::{SystemTime, UNIX_EPOCH};

use schemas::{EventTime, Span};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer, U64Deserializer};
use topics::Start;

/// Reads `2026-03-02T09:30:00Z`, the same without seconds or zone (UTC then), a date, or milliseconds since the epoch.
///
/// # Errors
/// What is expected, for a text that is none of them.
pub(crate) fn time(text: &str) -> Result<EventTime, String> {
    if let Ok(millis) = text.parse() {
        return EventTime::deserialize(U64Deserializer::<Error>::new(millis)).map_err(|error| error.to_string());
    }
    let spellings = [text.to_owned(), format!("{text}Z"), format!("{text}T00:00Z")];
    let read = |text: &String| EventTime::deserialize(StrDeserializer::<Error>::new(text)).ok();
    spellings.iter().find_map(read).ok_or_else(|| {
        format!("\"{text}\" is no time: write 2026-03-02T09:30:00Z, 2026-03-02, or milliseconds since the epoch")
    })
}

/// Reads where a reader starts: `earliest`, `latest`, a time, or so long ago, such as `10m`.
///
/// # Errors
/// What is expected, for a text that is none of them.
pub(crate) fn start(text: &str) -> Result<Start, String> {
    match text {
        "earliest" => return Ok(Start::Earliest),
        "latest" => return Ok(Start::Latest),
        _ => {}
    }
    if let Ok(ago) = text.trim_end_matches("ago").trim_end_matches(['-', ' ']).parse::<Span>() {
        return Ok(Start::Time(now().minus(ago.millis())));
    }
    time(text).map(Start::Time).map_err(|_| {
        format!("\"{text}\" is no start: write earliest, latest, a time such as 2026-03-02T09:30:00Z, or 10m for ten minutes ago")
    })
}

/// The time of day; the epoch on a machine whose clock is before it.
pub(crate) fn now() -> EventTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime::default().plus(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_every_spelling() {
        // 2026-03-02 is day 20 514 after the epoch; half past nine is 34 200 s later.
        let midnight = 20_514 * 86_400_000;
        let morning = midnight + 34_200_000;
        for (text, millis) in [
            ("2026-03-02T09:30:00Z", morning),
            ("2026-03-02T10:30:00+01:00", morning),
            ("2026-03-02T09:30", morning),
            ("2026-03-02 09:30:00.250", morning + 250),
            ("2026-03-02", midnight),
            ("1772443800000", morning),
        ] {
            assert_eq!(time(text), Ok(EventTime::from_millis(millis)), "{text}");
        }
        assert!(time("yesterday").expect_err("no time").contains("2026-03-02"));
        assert!(time("1767225600000000000").expect_err("nanoseconds").contains("milliseconds are expected"));
    }

    #[test]
    fn a_start_is_a_word_a_time_or_a_span() {
        assert_eq!(start("earliest"), Ok(Start::Earliest));
        assert_eq!(start("latest"), Ok(Start::Latest));
        assert_eq!(start("2026-03-02"), Ok(Start::Time(EventTime::from_millis(20_514 * 86_400_000))));
        for text in ["10m", "10m ago", "10m-ago"] {
            let Ok(Start::Time(then)) = start(text) else { panic!("{text} is a time") };
            let ago_ms = now().millis() - then.millis();
            // The two readings of the clock lie less than a minute apart.
            assert!((600_000..660_000).contains(&ago_ms), "{text}: {ago_ms}");
        }
        assert!(start("soon").expect_err("no start").contains("earliest"));
    }
}
