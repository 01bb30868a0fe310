//! What a user may tune about a mirror. The caps in it are the local policy: nothing that comes over a topic exceeds them.

use hyper::header::HeaderName;
use schemars::JsonSchema;
use schemas::{Ratio, Span};
use serde::{Deserialize, Serialize};

use crate::list::List;
use crate::route::Route;

/// Settings of a mirror.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MirrorSettings {
    /// The largest share of requests that may be mirrored, whoever asks. Default 1: the shadow's own size bounds what it
    /// costs. From 0, which mirrors nothing, to 1.
    pub share_max: Ratio,
    /// For how long a share holds at most before it has to be renewed. Default 5m: a mirror that was forgotten ends by
    /// itself. Safe range 1s to 1h.
    pub lasting_max: Span,
    /// Which requests may be mirrored, methods and paths with commas between; `*` at the end stands for all paths that
    /// begin so. Default `GET /*, HEAD /*, OPTIONS /*`, which change nothing by HTTP's rules; add `POST /search` only where
    /// you know that it changes nothing.
    pub routes: List<Route>,
    /// Which of them may not after all, such as `GET /logout, GET /export/*`. Default none.
    pub except: List<Route>,
    /// Headers that copies go without, with commas between. Default `authorization`, `proxy-authorization`, `cookie`,
    /// `set-cookie` and the usual names of keys and tokens: a follower must not act for a user.
    pub credentials: List<HeaderName>,
    /// The largest body of a request that is mirrored, in bytes; larger ones go to the primary only. Default 262144. From 0
    /// to 67108864.
    pub body_bytes_max: usize,
    /// How many copies may be under way to one audience. Default 256: a shadow that answers in 100 ms gets 2560 a second;
    /// one that hangs holds no more than this. 1 to 65536.
    pub copies_max: usize,
    /// How many bytes of bodies the copies under way to one audience may hold. Default 16777216. From 0 to 1073741824.
    pub copies_bytes_max: usize,
    /// How long a follower may take for an exchange as a whole. Default 5s. Safe range 100ms to 1m.
    pub follower_timeout: Span,
    /// How long a request may take until the head of its answer, its upload included; then the client gets 504. Default 1m. Safe range 100ms
    /// to 1h.
    pub primary_timeout: Span,
    /// How long a connection may take to be made. Default 2s. Safe range 10ms to 1m.
    pub connect_timeout: Span,
    /// How long a connection that is not in use is kept. Default 4s: below the 5s after which common servers close theirs,
    /// since a request that meets the closing is lost. Safe range 100ms to 1m.
    pub idle_connection_max: Span,
    /// How many clients may be connected, and again how many tunnels may be open; further clients wait. Default 10000. 1
    /// to 1000000.
    pub connections_max: usize,
    /// How long requests under way may take to end when the mirror is stopped. Default 10s. Safe range 0s to 5m.
    pub drain_max: Span,
    /// How often readings are published, at whole multiples of it by the clock. Default 1s, the tick. Safe range 100ms to 1m.
    pub interval: Span,
    /// Threads that serve the primary; copies have one of their own. Default 2. 1 to 64.
    pub threads: usize,
    /// Whether the primary is told the client's address, in `x-forwarded-for`. Default true; nothing else is added.
    pub forwarded_for: bool,
}

impl Default for MirrorSettings {
    fn default() -> Self {
        Self {
            share_max: Ratio::new(1.0),
            lasting_max: Span::from_secs(300),
            routes: "GET /*, HEAD /*, OPTIONS /*".parse().expect("routes"),
            except: Vec::new().into(),
            credentials: CREDENTIALS.map(HeaderName::from_static).to_vec().into(),
            body_bytes_max: 256 << 10,
            copies_max: 256,
            copies_bytes_max: 16 << 20,
            follower_timeout: Span::from_secs(5),
            primary_timeout: Span::from_secs(60),
            connect_timeout: Span::from_secs(2),
            idle_connection_max: Span::from_secs(4),
            connections_max: 10_000,
            drain_max: Span::from_secs(10),
            interval: Span::from_secs(1),
            threads: 2,
            forwarded_for: true,
        }
    }
}

impl MirrorSettings {
    /// What is wrong with the settings: every fault, which begins with the setting's name, and its mend. Empty when they
    /// can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let within = |span: Span, least: u64, most: u64| (least..=most).contains(&span.millis());
        let checks = [
            ((0.0..=1.0).contains(&self.share_max.get()), "share_max must lie in 0 to 1"),
            (within(self.lasting_max, 1_000, 3_600_000), "lasting_max must lie in 1s to 1h, such as \"5m\""),
            (self.body_bytes_max <= 64 << 20, "body_bytes_max must lie in 0 to 67108864"),
            ((1..=65_536).contains(&self.copies_max), "copies_max must lie in 1 to 65536"),
            (self.copies_bytes_max <= 1 << 30, "copies_bytes_max must lie in 0 to 1073741824"),
            (within(self.follower_timeout, 100, 60_000), "follower_timeout must lie in 100ms to 1m"),
            (within(self.primary_timeout, 100, 3_600_000), "primary_timeout must lie in 100ms to 1h"),
            (within(self.connect_timeout, 10, 60_000), "connect_timeout must lie in 10ms to 1m"),
            (within(self.idle_connection_max, 100, 60_000), "idle_connection_max must lie in 100ms to 1m"),
            ((1..=1_000_000).contains(&self.connections_max), "connections_max must lie in 1 to 1000000"),
            (within(self.drain_max, 0, 300_000), "drain_max must lie in 0s to 5m"),
            (within(self.interval, 100, 60_000), "interval must lie in 100ms to 1m"),
            ((1..=64).contains(&self.threads), "threads must lie in 1 to 64"),
        ];
        checks.iter().filter(|(holds, _)| !holds).map(|(_, fault)| (*fault).to_owned()).collect()
    }
}

/// Headers by which a request speaks for a user or a program.
const CREDENTIALS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-amz-security-token",
    "x-goog-iap-jwt-assertion",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used_and_are_read_as_they_are_written() {
        let settings = MirrorSettings::default();
        assert_eq!(settings.faults(), Vec::<String>::new());
        let json = serde_json::to_string(&settings).expect("settings");
        assert_eq!(serde_json::from_str::<MirrorSettings>(&json).expect("what was written"), settings);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let settings = MirrorSettings {
            share_max: Ratio::new(f64::NAN),
            lasting_max: Span::from_secs(3_601),
            copies_max: 0,
            ..MirrorSettings::default()
        };
        let faults = settings.faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].starts_with("share_max"), "{faults:?}");
    }

    #[test]
    fn a_wrong_route_is_named_with_the_mend() {
        let error = serde_json::from_str::<MirrorSettings>(r#"{"routes": "GET /*, search"}"#).expect_err("no route");
        assert!(error.to_string().contains("search: no route"), "{error}");
    }
}
