//! Messages of made samples, encoded once and sent again and again at later times.
//!
//! A generator that encodes anew would cost as much as what it feeds. So the bytes of a message stand, and each sending
//! writes the times of its rows into them: eight bytes a row in the native lane, thirteen digits in JSON.
//!
//! An agent has its own instances and reads them in turn; its name is chosen so that agents spread evenly over partitions.

use clap::ValueEnum;
use schemas::{EventTime, Sample, SourceId, Topic};
use serde::{Deserialize, Serialize};
use topics::{Outgoing, partition_of};

use super::load::{Draw, Who, instances};

/// In which form samples travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lane {
    /// Columns, many samples a message.
    Native,
    /// One JSON object a message, as foreign producers write.
    Json,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Mix {
    pub(super) lane: Lane,
    /// Samples of a message.
    pub(super) rows: usize,
    pub(super) workloads: usize,
    pub(super) partitions: u32,
    /// After how many milliseconds the load of a workload has risen and fallen once; none keeps it level.
    pub(super) swing_ms: Option<u64>,
}

/// Messages in the order of sending, over and over.
pub(super) struct Messages {
    outgoing: Vec<Outgoing>,
    forms: Vec<Form>,
    mix: Mix,
    agents: usize,
    next: usize,
}

/// How a message is made anew.
struct Form {
    /// Where the first row's time stands.
    times_at: usize,
    /// The same message under the other load.
    other: Option<Vec<u8>>,
    is_high: bool,
}

/// Any instant: it is overwritten.
const TIME_MS: u64 = 1_767_225_600_000;

/// Digits of an instant in JSON, until the year 2286.
const DIGITS: usize = 13;

/// Messages of an agent that differ, at least.
const DISTINCT: usize = 8;

/// Agents: enough to spread over partitions, few enough to have several instances each.
const AGENTS_MAX: usize = 1024;
const AGENTS_PER_PARTITION: usize = 2;

/// Share of the usual load in a trough: low enough that an allocation is lowered.
const TROUGH: f64 = 0.3;

/// Longest span that the rows of one message are spread over: within the lateness that is allowed by default.
const SPREAD_MAX_MS: f64 = 1_000.0;

impl Messages {
    /// Encodes what is to be sent.
    pub(super) fn new(mix: Mix) -> Self {
        let mut draw = Draw(0x2545_f491_4f6c_dd1d);
        let instances = instances(mix.workloads, &mut draw);
        let least = AGENTS_PER_PARTITION * mix.partitions as usize;
        let agents = instances.len().div_ceil(mix.rows).max(least).min(AGENTS_MAX).min(instances.len());
        let owned = |agent: usize| &instances[agent * instances.len() / agents..(agent + 1) * instances.len() / agents];
        let rounds = instances.len().div_ceil(agents * mix.rows).max(DISTINCT);
        let (mut outgoing, mut forms) = (Vec::new(), Vec::new());
        let sources: Vec<SourceId> = (0..agents).map(|agent| source(agent, mix.partitions)).collect();
        for round in 0..rounds {
            for (agent, source) in sources.iter().enumerate() {
                let (message, form) = encode(&mix, source, owned(agent), round, &mut draw);
                outgoing.push(message);
                forms.push(form);
            }
        }
        Self { outgoing, forms, mix, agents, next: 0 }
    }

    /// The next messages, at most `most`: the first due at `due_ms`, each other `step_ms` after the one before.
    pub(super) fn next(&mut self, most: usize, due_ms: f64, step_ms: f64) -> &[Outgoing] {
        let first = self.next;
        let end = self.outgoing.len().min(first + most);
        let spread_ms = (self.agents as f64 * step_ms).min(SPREAD_MAX_MS);
        for (count, at) in (first..end).enumerate() {
            self.set(at, due_ms + count as f64 * step_ms, spread_ms);
        }
        self.next = end % self.outgoing.len();
        &self.outgoing[first..end]
    }

    /// Puts a message's rows at the times at which its agent took them since its message before.
    fn set(&mut self, at: usize, due_ms: f64, spread_ms: f64) {
        let (message, form) = (&mut self.outgoing[at], &mut self.forms[at]);
        let value = message.value.as_mut().expect("every message has one");
        if let (Some(swing_ms), Some(other)) = (self.mix.swing_ms, &mut form.other) {
            let shift_ms = swing_ms * (at % self.agents) as u64 / self.agents as u64;
            let is_high = (due_ms as u64 + shift_ms) % swing_ms < swing_ms / 2;
            if is_high != form.is_high {
                std::mem::swap(value, other);
                form.is_high = is_high;
            }
        }
        message.time = EventTime::from_millis(due_ms as u64);
        let rows = self.mix.rows;
        for row in 0..rows {
            let time_ms = due_ms - spread_ms * (rows - 1 - row) as f64 / rows as f64;
            self.mix.lane.write_time(&mut value[form.times_at..], row, time_ms as u64);
        }
    }
}

impl Lane {
    fn bytes(self, samples: &[Sample]) -> Vec<u8> {
        match self {
            Self::Native => schemas::batch::encode(samples),
            Self::Json => serde_json::to_vec(&samples[0]).expect("a sample is plain data"),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Native => schemas::decode::ARROW_STREAM,
            Self::Json => schemas::decode::JSON,
        }
    }

    fn write_time(self, bytes: &mut [u8], row: usize, time_ms: u64) {
        match self {
            Self::Native => bytes[8 * row..8 * row + 8].copy_from_slice(&time_ms.to_le_bytes()),
            Self::Json => {
                let mut rest = time_ms;
                for digit in bytes[..DIGITS].iter_mut().rev() {
                    *digit = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
            }
        }
    }
}

fn encode(mix: &Mix, source: &SourceId, owned: &[Who], round: usize, draw: &mut Draw) -> (Outgoing, Form) {
    let mut read = |load: f64| {
        let who = |row: usize| &owned[(round * mix.rows + row) % owned.len()];
        let samples: Vec<Sample> =
            (0..mix.rows).map(|row| who(row).read_at(load, TIME_MS + row as u64, draw)).collect();
        mix.lane.bytes(&samples)
    };
    let value = read(1.0);
    let other = mix.swing_ms.map(|_| read(TROUGH));
    let times_at = times_at(mix, &value);
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let mut headers = vec![header("content-type", mix.lane.content_type())];
    if mix.lane == Lane::Native {
        headers.push(header("foreshadow.version", "1"));
        headers.push(header("foreshadow.rows", &mix.rows.to_string()));
    }
    let key = source.as_str().as_bytes().to_vec();
    let time = EventTime::from_millis(TIME_MS);
    let message = Outgoing { topic: Topic::Samples, time, key, value: Some(value), headers };
    (message, Form { times_at, other, is_high: true })
}

/// Where the times of a message stand: the rows' own are a pattern that nothing else in it has.
fn times_at(mix: &Mix, value: &[u8]) -> usize {
    let times = (0..mix.rows as u64).map(|row| TIME_MS + row);
    let pattern: Vec<u8> = match mix.lane {
        Lane::Native => times.flat_map(u64::to_le_bytes).collect(),
        Lane::Json => TIME_MS.to_string().into_bytes(),
    };
    let mut found = value.windows(pattern.len()).enumerate().filter(|(_, bytes)| *bytes == pattern);
    let (at, _) = found.next().expect("the times were written");
    assert!(found.next().is_none(), "the times stand in two places");
    at
}

/// An agent's name, such that the agents take turns over the partitions.
fn source(agent: usize, partitions: u32) -> SourceId {
    let wanted = agent as u32 % partitions;
    let mut names = (0_u32..).map(|salt| format!("agent-{agent:04}-{salt}"));
    let name = names.find(|name| partition_of(name.as_bytes(), partitions) as u32 == wanted);
    SourceId::new(&name.expect("there are names without end")).expect("a name")
}

#[cfg(test)]
mod tests {
    use schemas::{Role, decode};

    use super::*;

    fn mix(lane: Lane, rows: usize) -> Mix {
        Mix { lane, rows, workloads: 40, partitions: 4, swing_ms: None }
    }

    fn rows(message: &Outgoing) -> Vec<Sample> {
        let value = message.value.as_deref().expect("a value");
        let content_type = std::str::from_utf8(&message.headers[0].1).expect("text");
        let rows = decode::samples(Some(content_type), value, message.time).expect("a message");
        rows.into_iter().map(|row| row.expect("a sample")).collect()
    }

    #[test]
    fn a_message_that_is_sent_again_has_its_new_times() {
        // 80 instances: 8 agents, two a partition, with 10 instances each; a message of 20 rows has each of them twice.
        for (lane, rows_per_message) in [(Lane::Native, 20), (Lane::Native, 1), (Lane::Json, 1)] {
            let mut messages = Messages::new(mix(lane, rows_per_message));
            let first_ms = 1_800_000_000_000.0;
            let message = messages.next(1, first_ms, 5.0)[0].clone();
            let samples = rows(&message);
            assert_eq!(samples.len(), rows_per_message);
            let (last, first) = (samples[samples.len() - 1].time.millis(), samples[0].time.millis());
            assert_eq!((last, message.time.millis()), (1_800_000_000_000, 1_800_000_000_000));
            assert!(first <= last && last - first <= 1000);
            assert_eq!(samples[0].role, Role::Primary);
        }
    }

    #[test]
    fn every_instance_is_read_alike_and_every_partition_gets_alike() {
        let mut messages = Messages::new(mix(Lane::Native, 20));
        let (mut of, mut partitions) = (std::collections::BTreeMap::new(), [0; 4]);
        for _ in 0..64 {
            let message = messages.next(1, 1.8e12, 1.0)[0].clone();
            partitions[partition_of(&message.key, 4) as usize] += 1;
            for sample in rows(&message) {
                *of.entry((sample.workload.clone(), sample.role)).or_insert(0) += 1;
            }
        }
        // 64 messages of 20 rows over 80 instances: 16 each.
        assert_eq!(of.len(), 80);
        assert!(of.values().all(|count| *count == 16), "{of:?}");
        assert_eq!(partitions, [16; 4]);
    }

    #[test]
    fn the_load_rises_and_falls() {
        let mut messages = Messages::new(Mix { swing_ms: Some(1000), ..mix(Lane::Native, 20) });
        let mut cpu = |due_ms: f64| {
            // The first agent's message comes again after all others'.
            let message = loop {
                let message = messages.next(1, due_ms, 1.0)[0].clone();
                if message.key.starts_with(b"agent-0000-") {
                    break message;
                }
            };
            rows(&message)[0].cpu_used_cores.expect("a reading").get()
        };
        // In the trough it is 0.3 of the usual, and each reading is off by a fifth at most: 0.36 < 0.8.
        let (high, low, again) = (cpu(1.8e12), cpu(1.8e12 + 500.0), cpu(1.8e12 + 1000.0));
        assert!(low < 0.5 * high && low < 0.5 * again, "{high} {low} {again}");
    }
}
