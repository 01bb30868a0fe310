//! Where a case is measured: topics of its own on a real broker, removed when it ends.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use schemas::{Allocation, Money, Offer, OfferKind, Pool, PoolId, Topic, V1, Workload};
use topics::{Delivery, Kafka, KafkaSettings, Log, Outgoing};

use super::load::records;
use crate::instant;
use crate::settings::Settings;

/// Topics of one case. Dropping it removes them.
pub(super) struct Ground {
    pub(super) log: Arc<dyn Log>,
    pub(super) kafka: KafkaSettings,
    pub(super) partitions: u32,
}

/// Records of the control plane that are written at once.
const APPEND_MAX: usize = 1024;

/// How long the broker may take over the removal.
const REMOVE_MAX: Duration = Duration::from_secs(10);

impl Ground {
    /// Makes the topics, with the workloads and their pool on them.
    ///
    /// # Errors
    /// When there is no broker.
    pub(super) fn new(settings: &Settings, workloads: usize) -> anyhow::Result<Self> {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let mut kafka = settings.kafka.clone();
        let case = CASES.fetch_add(1, Ordering::Relaxed);
        kafka.namespace = format!("{}bench-{}-{case}.", kafka.namespace, std::process::id());
        let none =
            "this measure needs a Kafka broker on this machine: start one with `make kafka`, or name it with --brokers";
        let log: Arc<dyn Log> = Arc::new(Kafka::connect(kafka.clone()).context(none)?);
        let ground = Self { log, kafka, partitions: settings.partitions };
        ground.log.ensure(Topic::ALL, settings.partitions)?;
        ground.register(workloads)?;
        Ok(ground)
    }

    fn register(&self, workloads: usize) -> anyhow::Result<()> {
        let now = instant::now();
        let of = |workload: Workload| Outgoing::of(&Workload { time: now, ..workload });
        let mut records: Vec<Outgoing> = records(workloads).into_iter().map(of).collect();
        records.push(Outgoing::of(&Pool { time: now, ..pool(workloads) }));
        let mut writer = self.log.writer(Delivery::Idempotent)?;
        Ok(records.chunks(APPEND_MAX).try_for_each(|records| writer.append(records))?)
    }

    /// Asks the broker for the removal of the topics in its own protocol, since the log's face has no such question.
    fn remove(&self) -> anyhow::Result<()> {
        let broker = self.kafka.brokers.split(',').next().unwrap_or_default().trim();
        let names: Vec<String> =
            Topic::ALL.iter().map(|topic| format!("{}{}", self.kafka.namespace, topic.name())).collect();
        let mut stream = TcpStream::connect(broker)?;
        stream.set_read_timeout(Some(REMOVE_MAX))?;
        stream.write_all(&delete_topics(&names))?;
        let mut length = [0; 4];
        Ok(stream.read_exact(&mut length)?)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, namespace = self.kafka.namespace, "topics of the bench are left on the broker");
        }
    }
}

/// A pool that is never short.
fn pool(workloads: usize) -> Pool {
    let capacity = Allocation::new(100.0 * workloads as f64, 1e11 * workloads as f64);
    let offer = Offer {
        offer: "all".to_owned(),
        kind: OfferKind::OnDemand,
        capacity,
        core_hour: Money::new(0.04),
        gib_hour: Money::new(0.005),
    };
    Pool {
        version: V1,
        time: instant::now(),
        pool: PoolId::new("main").expect("a name"),
        offers: vec![offer],
        quotas: Default::default(),
    }
}

/// Kafka's request DeleteTopics, version 1: key and version, a number, no client's name, the topics, a timeout.
fn delete_topics(names: &[String]) -> Vec<u8> {
    let mut request = Vec::new();
    for number in [20_i16, 1] {
        request.extend(number.to_be_bytes());
    }
    request.extend(1_i32.to_be_bytes());
    request.extend((-1_i16).to_be_bytes());
    request.extend((names.len() as i32).to_be_bytes());
    for name in names {
        request.extend((name.len() as i16).to_be_bytes());
        request.extend(name.as_bytes());
    }
    request.extend((REMOVE_MAX.as_millis() as i32).to_be_bytes());
    let mut framed = (request.len() as i32).to_be_bytes().to_vec();
    framed.extend(request);
    framed
}

/// The broker's process, where it runs on this machine and may be looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct BrokerProcess(u32);

impl BrokerProcess {
    /// The process that listens on the port of the first broker.
    pub(super) fn find(brokers: &str) -> Option<Self> {
        let port: u16 = brokers.split(',').next()?.rsplit(':').next()?.trim().parse().ok()?;
        let socket = format!("socket:[{}]", ["tcp", "tcp6"].iter().find_map(|table| listener(table, port))?);
        let ids = fs::read_dir("/proc").ok()?.flatten();
        let mut ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.find(|id| holds(*id, &socket)).map(Self)
    }

    /// CPU time that it has taken so far, in seconds.
    pub(super) fn cpu_seconds(self) -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // After the name, which ends with the last bracket, the 12th and the 13th field are user and system time.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

/// The number of the socket that listens on a port, from the kernel's table.
fn listener(table: &str, port: u16) -> Option<String> {
    const LISTENS: &str = "0A";
    let text = fs::read_to_string(format!("/proc/net/{table}")).ok()?;
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let own = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
        (own == port && fields.get(3) == Some(&LISTENS)).then(|| fields.get(9).map(|&number| number.to_owned()))?
    })
}

fn holds(id: u32, socket: &str) -> bool {
    let files = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|link| link.as_os_str() == socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_removal_is_asked_for_in_kafkas_own_words() {
        let request = delete_topics(&["ab".to_owned()]);
        // 4 length, 2 + 2 key and version, 4 number, 2 no name, 4 count, 2 + 2 the name, 4 timeout: 22 after the length.
        assert_eq!(request.len(), 26);
        assert_eq!(request[..8], [0, 0, 0, 22, 0, 20, 0, 1]);
        assert_eq!(request[12..22], [0xff, 0xff, 0, 0, 0, 1, 0, 2, b'a', b'b']);
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("an address").to_string();
        let found = BrokerProcess::find(&address).expect("this process listens");
        assert_eq!(found.0, std::process::id());
        assert!(found.cpu_seconds().is_some());
    }
}
