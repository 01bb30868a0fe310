//! What a user tunes of the connection to Kafka, and the client configurations that follow from it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use schemars::JsonSchema;
use schemas::{Span, Topic};
use serde::{Deserialize, Serialize};

use super::fault;
use crate::{Error, RECORD_BYTES_MAX};

/// Most bytes of one message on the wire: the largest record, its framing and its header names.
pub(super) const MESSAGE_BYTES_MAX: usize = RECORD_BYTES_MAX + (64 << 10);
/// Longest topic name that Kafka takes, in bytes.
const TOPIC_BYTES_MAX: usize = 249;

/// Shortest timeout: below it a healthy broker on another machine seems dead.
const TIMEOUT_MIN: Span = Span::from_millis(100);
/// Longest timeout: brokers keep no transaction open for longer by default.
const TIMEOUT_MAX: Span = Span::from_secs(14 * 60);

/// Options that hold our guarantees; a user's value would break one.
const RESERVED: [&str; 15] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// What a user tunes of the connection to Kafka.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Addresses of some brokers of the cluster, `host:port` with commas between. Default `localhost:9092`.
    pub brokers: String,
    /// Put before every topic's name, so that installations can share a cluster. Default empty; letters, digits, `.`,
    /// `_` and `-`.
    pub namespace: String,
    /// How many brokers keep a copy of each topic that is made at the start; existing topics stay as they are. By default
    /// none, and the brokers' own defaults count, which are one copy where nobody has changed them. Where it is set, a
    /// record counts as written only once more than half of the copies have it: of 3 brokers one may be lost, and no
    /// record with it; the pipeline waits for the election of new leaders and goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u8>,
    /// Whether brokers on other machines may be spoken to in plaintext. Default false: set `security.protocol` in the
    /// options instead, unless the network is trusted.
    pub insecure: bool,
    /// How long a question to the cluster may take before it is called unreachable. Default 5s: a broker that is there
    /// answers in a thousandth, one that is being restarted deserves a retry. Safe range 1s to 1m.
    pub contact_timeout: Span,
    /// How long a record may be on its way before its append fails. Default 30s, longer than the election of a
    /// partition's leader. An unfinished transaction of a crashed writer holds readers back 10 s longer than this at
    /// most. Safe range 10s to 5m.
    pub delivery_timeout: Span,
    /// librdkafka's own options by name: TLS, SASL, tuning, and `debug`. Default none; those that hold the pipeline's
    /// guarantees are refused. Keep secrets out of files: the environment variable
    /// `FORESHADOW_KAFKA__OPTIONS__SASL_PASSWORD` is `sasl.password`.
    pub options: BTreeMap<String, String>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            namespace: String::new(),
            replicas: None,
            insecure: false,
            contact_timeout: Span::from_secs(5),
            delivery_timeout: Span::from_secs(30),
            options: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for KafkaSettings {
    /// Options by name only: their values may be passwords and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("namespace", &self.namespace)
            .field("replicas", &self.replicas)
            .field("insecure", &self.insecure)
            .field("contact_timeout", &self.contact_timeout)
            .field("delivery_timeout", &self.delivery_timeout)
            .field("options", &self.options.keys())
            .finish()
    }
}

impl KafkaSettings {
    /// What is wrong with the settings before the first contact: every fault, which begins with the setting's name, and
    /// its mend. Empty when they can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let words = |error: Error| match error {
            Error::Setting { name, reason } => format!("{name} {reason}"),
            error => format!("brokers: {error}"),
        };
        self.errors().into_iter().map(words).collect()
    }

    /// The first of what can be wrong before the first contact.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.errors().into_iter().next().map_or(Ok(()), Err)
    }

    fn errors(&self) -> Vec<Error> {
        let refuse = |name: &str, reason: String| Error::Setting { name: name.to_owned(), reason };
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let strange = self.namespace.chars().find(|&c| !legal(c));
        let strange =
            strange.map(|c| refuse("namespace", format!("holds {c:?}: use letters, digits, '.', '_' and '-'")));
        let room = TOPIC_BYTES_MAX - Topic::ALL.iter().map(|topic| topic.name().len()).max().unwrap_or_default();
        let long = self.namespace.len() > room;
        let long = long.then(|| refuse("namespace", format!("is too long: at most {room} bytes are allowed")));
        let none = self.replicas == Some(0);
        let none = none.then(|| refuse("replicas", "is 0: keep at least one copy, such as 3".into()));
        let reserved = RESERVED.iter().filter(|&&name| self.options.contains_key(name)).map(|name| {
            refuse(&format!("options.{name}"), "is not yours to set: guarantees rest on it, leave it out".into())
        });
        let timeouts = [("contact_timeout", self.contact_timeout), ("delivery_timeout", self.delivery_timeout)];
        let timeouts = timeouts
            .iter()
            .filter(|(_, span)| !(TIMEOUT_MIN..=TIMEOUT_MAX).contains(span))
            .map(|(name, span)| refuse(name, format!("is {span}: must lie between {TIMEOUT_MIN} and {TIMEOUT_MAX}")));
        let mut brokers = self.brokers.split(',').map(str::trim);
        let address = if brokers.clone().any(str::is_empty) {
            Some(refuse("brokers", "holds an empty address: write host:port, with commas between".into()))
        } else {
            brokers.find_map(|broker| self.check_host(host(broker)).err())
        };
        strange.into_iter().chain(long).chain(none).chain(reserved).chain(timeouts).chain(address).collect()
    }

    /// Refuses a broker on another machine unless the connection is encrypted or the user insists.
    pub(super) fn check_host(&self, host: &str) -> Result<(), Error> {
        let protocol = self.options.get("security.protocol").map_or("plaintext", String::as_str);
        let plaintext = ["plaintext", "sasl_plaintext"].iter().any(|plain| protocol.eq_ignore_ascii_case(plain));
        if plaintext && !self.insecure && !is_loopback(host) {
            return Err(Error::Plaintext { broker: host.to_owned() });
        }
        Ok(())
    }

    /// A client of a configuration.
    pub(super) fn create<C: ClientContext, T: FromClientConfigAndContext<C>>(
        &self,
        config: &ClientConfig,
        context: C,
    ) -> Result<T, Error> {
        config.create_with_context(context).map_err(|error| fault::of(self, "make a client", &error, None))
    }

    /// For metadata, watermarks and the making of topics.
    pub(super) fn asking(&self) -> ClientConfig {
        let tuning = [
            ("client.id", "foreshadow"),
            // Brokers close idle connections; that is no news.
            ("log.connection.close", "false"),
            // A broker that comes back is found within a second, not within the default of ten.
            ("reconnect.backoff.max.ms", "1000"),
        ];
        let mut config = self.config(&tuning);
        // The high watermark of a question is that of finished transactions.
        config.set("isolation.level", "read_committed").set("allow.auto.create.topics", "false");
        config
    }

    /// For one reader.
    pub(super) fn reading(&self) -> ClientConfig {
        static READERS: AtomicU64 = AtomicU64::new(0);
        let mut config = self.asking();
        let tuning = [
            ("check.crcs", "true"),
            // The broker answers at once when it has data; this bounds how long an empty answer is held back.
            ("fetch.wait.max.ms", "50"),
            // The default, a second, stalls a reader whose queue was full once.
            ("fetch.queue.backoff.ms", "5"),
        ];
        self.tune(&mut config, &tuning);
        // A group is asked for by the client's interface; nobody joins it and nothing is committed.
        let group = format!("foreshadow-{}-{}", std::process::id(), READERS.fetch_add(1, Ordering::Relaxed));
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error");
        config
    }

    /// For one writer.
    pub(super) fn writing(&self, transactional_id: Option<&str>) -> ClientConfig {
        let tuning = [
            ("client.id", "foreshadow"),
            ("log.connection.close", "false"),
            ("reconnect.backoff.max.ms", "1000"),
            ("compression.type", "lz4"),
            // An append hands over all of its records at once: waiting gathers no more. Against a local broker one small
            // record takes 0.3 ms so, and 1.5 ms with a linger of 1.
            ("linger.ms", "0"),
            // Keys choose the partition, the empty key too.
            ("sticky.partitioning.linger.ms", "0"),
        ];
        let mut config = self.config(&tuning);
        config
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", self.delivery_timeout.millis().to_string());
        if let Some(id) = transactional_id {
            let timeout_ms = self.delivery_timeout.millis() + 10_000;
            config
                .set("transactional.id", format!("{}{id}", self.namespace))
                .set("transaction.timeout.ms", timeout_ms.to_string());
        }
        config
    }

    fn config(&self, tuning: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Lines of debugging are made only for a user who asks for them.
        let debugging = self.options.contains_key("debug");
        config.set_log_level(if debugging { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        config.extend(self.options.clone());
        self.tune(&mut config, tuning);
        config.set("bootstrap.servers", &self.brokers).set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
        config
    }

    /// Sets what the user did not.
    fn tune(&self, config: &mut ClientConfig, tuning: &[(&str, &str)]) {
        for &(name, value) in tuning.iter().filter(|(name, _)| !self.options.contains_key(*name)) {
            config.set(name, value);
        }
    }
}

/// The host of `[PROTOCOL://]host[:port]`; an IPv6 address with a port stands in brackets.
fn host(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    if let Some((host, _)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => address,
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(brokers: &str, options: &[(&str, &str)]) -> KafkaSettings {
        let options = options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        KafkaSettings { brokers: brokers.to_owned(), options, ..KafkaSettings::default() }
    }

    #[test]
    fn plaintext_stays_on_this_machine() {
        for brokers in
            ["localhost", "LOCALHOST:9092", "127.0.0.1:1,127.9.9.9:2", "[::1]:9092", "PLAINTEXT://localhost:9"]
        {
            settings(brokers, &[]).check().expect(brokers);
        }
        for brokers in ["kafka:9092", "localhost:9092, 10.0.0.1:9092", "localhost.example:1", "[fe80::1]:1", "::"] {
            assert!(matches!(settings(brokers, &[]).check(), Err(Error::Plaintext { .. })), "{brokers}");
            settings(brokers, &[("security.protocol", "SASL_SSL")]).check().expect("encrypted");
            let error = settings(brokers, &[("security.protocol", "Sasl_Plaintext")]).check();
            assert!(matches!(error, Err(Error::Plaintext { .. })), "{brokers}");
            KafkaSettings { insecure: true, ..settings(brokers, &[]) }.check().expect("the user insists");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let namespace = |text: &str| KafkaSettings { namespace: text.to_owned(), ..KafkaSettings::default() };
        for (settings, name) in [
            (settings("a:1,,b:2", &[]), "brokers"),
            (settings("localhost", &[("acks", "1")]), "options.acks"),
            (KafkaSettings { delivery_timeout: Span::from_secs(900), ..KafkaSettings::default() }, "delivery_timeout"),
            (KafkaSettings { replicas: Some(0), ..KafkaSettings::default() }, "replicas"),
            (namespace("a b"), "namespace"),
            (namespace(&"n".repeat(230)), "namespace"),
        ] {
            let error = settings.check().expect_err(name);
            assert!(error.to_string().starts_with(&format!("setting {name}: ")), "{error}");
        }
    }

    #[test]
    fn every_fault_is_told_at_once_and_begins_with_its_setting() {
        let settings = KafkaSettings {
            namespace: "a b".to_owned(),
            contact_timeout: Span::from_millis(1),
            ..settings("localhost,kafka:9092", &[("acks", "1"), ("group.id", "mine")])
        };
        let faults = settings.faults();
        let keys: Vec<&str> = faults.iter().filter_map(|fault| fault.split([' ', ':']).next()).collect();
        assert_eq!(keys, ["namespace", "options.acks", "options.group.id", "contact_timeout", "brokers"]);
        assert_eq!(KafkaSettings::default().faults(), Vec::<String>::new());
    }

    #[test]
    fn options_tune_and_stay_secret() {
        let settings = settings("localhost", &[("linger.ms", "50"), ("sasl.password", "hunter2")]);
        let config = settings.writing(Some("id"));
        assert_eq!((config.get("linger.ms"), config.get("enable.idempotence")), (Some("50"), Some("true")));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn unknown_fields_are_refused_and_defaults_fill_in() {
        let read: KafkaSettings =
            serde_json::from_str(r#"{"brokers":"localhost:1","contact_timeout":"5s"}"#).expect("two fields");
        assert_eq!(read, settings("localhost:1", &[]));
        assert!(serde_json::from_str::<KafkaSettings>(r#"{"broker":"localhost:1"}"#).is_err());
    }
}
