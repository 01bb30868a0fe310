//! Making the topics that are missing, and removing topics.

use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use schemas::{Cleanup, Topic};

use super::Cluster;
use super::context::Context;
use super::settings::MESSAGE_BYTES_MAX;
use crate::{Action, Error};

/// Between two looks at whether new topics have their leaders.
const PAUSE: Duration = Duration::from_millis(50);
/// Decisions and outcomes are the record of what was done to whom: kept for 90 days rather than the broker's default.
const RECORD_RETENTION_MS: &str = "7776000000";
/// Asks for the brokers' own number of replicas.
const REPLICAS_OF_THE_BROKERS: i32 = -1;

/// Creates what is missing of these topics and waits until all can be used: what another process is making right now
/// exists, and cannot be read or written yet.
pub(super) fn ensure(cluster: &Cluster, topics: &[Topic], partitions: u32) -> Result<(), Error> {
    let partitions = Error::check_partitions(partitions)?;
    let metadata = cluster.metadata(None)?;
    let exists = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name && topic.error().is_none());
    let names = topics.iter().map(|&topic| (topic, cluster.name(topic)));
    let missing: Vec<(Topic, String)> = names.filter(|(_, name)| !exists(name)).collect();
    if !missing.is_empty() {
        create(cluster, &missing, partitions)?;
    }
    topics.iter().try_for_each(|&topic| wait_for_leaders(cluster, topic))
}

fn create(cluster: &Cluster, missing: &[(Topic, String)], partitions: i32) -> Result<(), Error> {
    let message_bytes_max = MESSAGE_BYTES_MAX.to_string();
    let replicas = cluster.settings.replicas;
    // More than half: what was acknowledged outlives a broker, and of three one may be missing while writing goes on.
    let in_sync_min = replicas.map(|replicas| (replicas / 2 + 1).to_string());
    let new = missing.iter().map(|(topic, name)| {
        let replication = TopicReplication::Fixed(replicas.map_or(REPLICAS_OF_THE_BROKERS, i32::from));
        let new = NewTopic::new(name, partitions, replication)
            .set("cleanup.policy", topic.cleanup().policy())
            .set("max.message.bytes", &message_bytes_max);
        let kept = matches!(topic, Topic::Decisions | Topic::Outcomes);
        let new = if kept { new.set("retention.ms", RECORD_RETENTION_MS) } else { new };
        // The segment that is written to is not compacted: a restart reads all of it.
        let compacted = topic.cleanup() == Cleanup::Compact;
        let new = if compacted { new.set("segment.bytes", "67108864").set("segment.ms", "3600000") } else { new };
        // Nor does a removal go before everybody has heard of it who was away for some time.
        let new = if compacted { new.set("delete.retention.ms", RECORD_RETENTION_MS) } else { new };
        in_sync_min.iter().fold(new, |new, min| new.set("min.insync.replicas", min))
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    let (admin, options) = admin(cluster)?;
    let results = wait(admin.create_topics(&new, &options));
    for result in cluster.answer("create topics", results)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return cluster.answer(&format!("create topic {name}"), Err(KafkaError::AdminOp(code)));
            }
        }
    }
    Ok(())
}

/// Removes topics with all that they hold; one that is not there is as good as removed.
pub(super) fn remove(cluster: &Cluster, topics: &[Topic]) -> Result<(), Error> {
    let names: Vec<String> = topics.iter().map(|&topic| cluster.name(topic)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (admin, options) = admin(cluster)?;
    let results = wait(admin.delete_topics(&names, &options));
    for result in cluster.answer("remove topics", results)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((name, code)) => {
                return cluster.answer(&format!("remove topic {name}"), Err(KafkaError::AdminOp(code)));
            }
        }
    }
    Ok(())
}

fn admin(cluster: &Cluster) -> Result<(AdminClient<Context>, AdminOptions), Error> {
    let admin = cluster.settings.create(&cluster.settings.asking(), Context::default())?;
    let timeout = Some(cluster.timeout());
    Ok((admin, AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)))
}

/// A new topic is known to a broker before its partitions have leaders, and before those lead; until then writes and
/// questions fail.
fn wait_for_leaders(cluster: &Cluster, topic: Topic) -> Result<(), Error> {
    let looks = 1 + cluster.settings.contact_timeout.millis() / PAUSE.as_millis() as u64;
    let mut asked = led(cluster, topic);
    for _ in 0..looks {
        match asked {
            Err(error) if error.action() == Action::Retry || matches!(error, Error::UnknownTopic { .. }) => {}
            asked => return asked,
        }
        thread::sleep(PAUSE);
        asked = led(cluster, topic);
    }
    asked
}

/// Asks the leader of each partition for something that only a leader answers.
fn led(cluster: &Cluster, topic: Topic) -> Result<(), Error> {
    let partitions = i32::try_from(cluster.partitions(topic)?).expect("partitions are numbered by an i32");
    (0..partitions).try_for_each(|partition| cluster.watermarks(topic, partition).map(|_| ()))
}

/// Blocks this thread on a future that another thread completes.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut task::Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
