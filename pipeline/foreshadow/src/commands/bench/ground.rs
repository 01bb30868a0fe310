//! Where a case is measured: topics of its own on a real broker, removed when it ends.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use schemas::{Allocation, EventTime, Money, Offer, OfferKind, Pool, PoolId, Topic, V1, Workload};
use topics::{Delivery, Kafka, KafkaSettings, Log, Outgoing};

use super::load::records;
use crate::instant;
use crate::settings::Settings;

/// Topics of one case. Dropping it removes them.
pub(super) struct Ground {
    pub(super) log: Kafka,
    pub(super) kafka: KafkaSettings,
    pub(super) partitions: u32,
}

/// Records of the control plane that are written at once.
const APPEND_MAX: usize = 1024;

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
        let log = Kafka::connect(kafka.clone()).context(none)?;
        let ground = Self { log, kafka, partitions: settings.partitions };
        ground.log.ensure(Topic::ALL, settings.partitions)?;
        ground.register(workloads)?;
        Ok(ground)
    }

    fn register(&self, workloads: usize) -> anyhow::Result<()> {
        let now = instant::now();
        // What is idle costs most, so that allocations follow the load down as well as up and decisions do not cease.
        let costs = (Money::new(1.0), Money::new(19.0));
        let of = |workload: Workload| {
            Outgoing::of(&Workload { time: now, unmet_cost: costs.0, idle_cost: costs.1, ..workload })
        };
        let mut records: Vec<Outgoing> = records(workloads).into_iter().map(of).collect();
        records.push(Outgoing::of(&pool(workloads, now)));
        let mut writer = self.log.writer(Delivery::Idempotent)?;
        Ok(records.chunks(APPEND_MAX).try_for_each(|records| writer.append(records))?)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = self.log.remove(Topic::ALL) {
            tracing::warn!(%error, namespace = self.kafka.namespace, "topics of the bench are left on the broker");
        }
    }
}

/// A pool that is never short.
fn pool(workloads: usize, time: EventTime) -> Pool {
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
        time,
        pool: PoolId::new("main").expect("a name"),
        offers: vec![offer],
        quotas: Default::default(),
    }
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
    fn a_listener_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("an address").to_string();
        let found = BrokerProcess::find(&address).expect("this process listens");
        assert_eq!(found.0, std::process::id());
        assert!(found.cpu_seconds().is_some());
    }
}
