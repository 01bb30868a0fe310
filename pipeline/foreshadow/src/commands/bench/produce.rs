//! The generator: a process of its own, which sends samples at the rate that it is told, whatever becomes of them.
//!
//! ```text
//! measure ─ plan, then rates, as lines of JSON ─► generator ─► samples
//!         ◄───── what was sent, likewise ─────────┘
//! ```
//!
//! Open loop: each message is due at an instant, which is also the event time of its last row. One that goes out late
//! keeps it, so that a slow generator counts as backlog like everything behind it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use topics::{Delivery, Kafka, KafkaSettings, Log, Writer};

use super::cpu_seconds;
use super::messages::{Messages, Mix};

/// What a generator is started with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) kafka: KafkaSettings,
    pub(super) mix: Mix,
    /// How long what is due is gathered, so that it goes out together.
    pub(super) linger_ms: f64,
}

/// How fast it goes from now on.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    samples_per_second: f64,
}

/// What it has done since it began.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// Samples that the broker has.
    pub(super) samples: u64,
    /// By how much it is behind the schedule.
    pub(super) late_ms: f64,
    pub(super) cpu_seconds: f64,
}

/// Messages of one append at most, and their samples: bounds how long a new rate waits.
const APPEND_MESSAGES_MAX: usize = 4096;
const APPEND_SAMPLES_MAX: usize = 32_768;

/// How often it tells what it has done.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Longest sleep: as late as a new rate is seen at most.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// How long a generator may take to encode its messages.
const START_MAX: Duration = Duration::from_secs(120);

/// The generator's side, until its standard input ends.
///
/// # Errors
/// When the log takes no samples.
pub(super) fn generate() -> anyhow::Result<()> {
    let mut lines = BufReader::new(std::io::stdin()).lines();
    let plan = lines.next().context("a plan comes first")??;
    let Plan { kafka, mix, linger_ms } = serde_json::from_str(&plan).context("the plan")?;
    let log = Kafka::connect(kafka)?;
    let generator = Generator {
        writer: log.writer(Delivery::Idempotent)?,
        messages: Messages::new(mix),
        rows: mix.rows as f64,
        linger_ms,
        told: Told::default(),
        due_ms: 0.0,
    };
    let (orders, ordered) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let Ok(order) = serde_json::from_str::<Order>(&line) else { return };
            if orders.send(order.samples_per_second).is_err() {
                return;
            }
        }
    });
    generator.run(&ordered)
}

struct Generator {
    writer: Box<dyn Writer>,
    messages: Messages,
    rows: f64,
    linger_ms: f64,
    told: Told,
    /// When the next message is due.
    due_ms: f64,
}

impl Generator {
    fn run(mut self, ordered: &mpsc::Receiver<f64>) -> anyhow::Result<()> {
        let (mut rate, mut told) = (0.0, None::<Instant>);
        loop {
            match ordered.try_recv() {
                Ok(ordered) => (rate, self.due_ms) = (ordered, now_ms()),
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
                Err(mpsc::TryRecvError::Empty) => {}
            }
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                self.tell(rate)?;
            }
            let until_due = if rate > 0.0 { self.send(1_000.0 * self.rows / rate)? } else { SLEEP_MAX };
            std::thread::sleep(until_due.min(SLEEP_MAX));
        }
    }

    /// Sends what is due, once the oldest of it was gathered for long enough; how long it is until that is so.
    fn send(&mut self, step_ms: f64) -> anyhow::Result<Duration> {
        let behind_ms = now_ms() - self.due_ms;
        if behind_ms < self.linger_ms {
            return Ok(Duration::from_secs_f64((self.linger_ms - behind_ms) / 1_000.0));
        }
        let most = APPEND_MESSAGES_MAX.min((APPEND_SAMPLES_MAX as f64 / self.rows) as usize);
        let due = (behind_ms / step_ms) as usize + 1;
        let messages = self.messages.next(due.min(most), self.due_ms, step_ms);
        self.writer.append(messages).context("samples cannot be sent")?;
        self.told.samples += (messages.len() as f64 * self.rows) as u64;
        self.due_ms += messages.len() as f64 * step_ms;
        Ok(Duration::ZERO)
    }

    fn tell(&mut self, rate: f64) -> anyhow::Result<()> {
        self.told.late_ms = if rate > 0.0 { (now_ms() - self.due_ms).max(0.0) } else { 0.0 };
        self.told.cpu_seconds = cpu_seconds();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&self.told)?)?;
        Ok(out.flush()?)
    }
}

/// The time of day in milliseconds, with their fractions.
pub(super) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// A running generator. Dropping it ends it.
pub(super) struct Producer {
    child: Child,
    orders: Option<ChildStdin>,
    told: Arc<Mutex<Told>>,
}

impl Producer {
    /// Starts this program once more, as a generator, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, or cannot reach the log.
    pub(super) fn start(plan: &Plan) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program's own file")?;
        let mut command = Command::new(program);
        command.args(["bench", "generate"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("the generator does not start")?;
        let out = child.stdout.take().context("the generator's output")?;
        let told = Arc::new(Mutex::new(Told::default()));
        let ready = listen(out, Arc::clone(&told));
        let orders = child.stdin.take();
        let mut producer = Self { child, orders, told };
        producer.say(plan)?;
        ready.recv_timeout(START_MAX).context("the generator does not become ready: see above")?;
        Ok(producer)
    }

    /// How fast it goes from now on; what was due and not sent is dropped.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn go(&mut self, samples_per_second: f64) -> anyhow::Result<()> {
        self.say(&Order { samples_per_second })
    }

    /// What it has done.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn told(&mut self) -> anyhow::Result<Told> {
        if let Some(status) = self.child.try_wait()? {
            anyhow::bail!("the generator has ended: {status}");
        }
        Ok(*self.told.lock().expect("no holder panics"))
    }

    fn say(&mut self, what: &impl Serialize) -> anyhow::Result<()> {
        let orders = self.orders.as_mut().context("the generator's input")?;
        writeln!(orders, "{}", serde_json::to_string(what)?).context("the generator has ended")
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.orders = None;
        // It ends by itself within one append; one that has ended already cannot be waited for, which is as good.
        let _ = self.child.wait();
    }
}

/// Keeps what the generator tells; the first word says that it is ready.
fn listen(out: ChildStdout, told: Arc<Mutex<Told>>) -> mpsc::Receiver<()> {
    let (ready, becomes_ready) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if let Ok(new) = serde_json::from_str(&line) {
                *told.lock().expect("no holder panics") = new;
                // Only the first is waited for.
                let _ = ready.send(());
            }
        }
    });
    becomes_ready
}
