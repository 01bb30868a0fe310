//! Whatever dies, the primary serves: mirrors, the shadow and the pipeline are killed at random instants under an open-loop
//! load, and every request is answered with success.
//!
//! Two replicas of the mirror stand at one address, and one is only killed while the other serves. What it had under way
//! breaks off, as connections do, and is asked again, as HTTP's clients do with what may be repeated: a few times, for a
//! client's other connections to it are broken too, and it may take one of them before it sees that.
//!
//! Ten minutes: `make outages`, `make outages SECONDS=60 SEED=7`.

#![allow(clippy::print_stdout, reason = "it tells what was measured")]
#![allow(clippy::disallowed_methods, reason = "it kills real processes by the machine's clock")]

use std::thread;
use std::time::{Duration, Instant};

use end_to_end::binary::{self, Process};
use end_to_end::stand::{Cast, Stand, wait_for};

/// Requests a second, a quarter of what the primary can do.
const RATE: f64 = 100.0;

const LASTING_S: u64 = 600;

/// How often a request that broke off is asked again.
const RETRIES_MAX: u32 = 3;

/// Between two kills: so long at least, and at most three times as long.
const PAUSE_MIN: Duration = Duration::from_millis(700);

const VICTIMS: [Victim; 4] = [Victim::Mirror(0), Victim::Mirror(1), Victim::Pipeline, Victim::Shadow];

/// Who may be killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// One of the two.
    Mirror(usize),
    Pipeline,
    Shadow,
}

#[test]
#[ignore = "ten minutes: make outages"]
fn no_request_of_the_primary_is_lost_whatever_is_killed() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (lasting, seed) = (Duration::from_secs(asked("SECONDS").unwrap_or(LASTING_S)), asked("SEED").unwrap_or(1));
    let stand = Stand::new(
        "outages",
        &Cast {
            command: vec![binary::path().display().to_string(), "service".to_owned()],
            cores: [0.5; 2],
            slo_s: 0.25,
            shadow: "shadow = { size_ratio = 0.25, mirrored_share = 0.25 }",
        },
    );
    let _services = stand.adapter();
    wait_for(stand.primary);
    let mut parts = Parts::start(&stand);
    let mut kills = [0; VICTIMS.len()];
    let outcome = thread::scope(|scope| {
        let load = scope.spawn(|| stand.send(stand.front, RATE, lasting, RETRIES_MAX));
        for turn in 0.. {
            let [pause, whom] = [0, 1].map(|stream| plant::noise::uniform(seed, stream, turn));
            thread::sleep(PAUSE_MIN.mul_f64(1.0 + 2.0 * pause));
            if load.is_finished() {
                break;
            }
            let index = (whom * VICTIMS.len() as f64) as usize;
            kills[index] += u64::from(parts.kill(VICTIMS[index], &stand));
        }
        load.join().expect("the load does not panic")
    });
    let (due, answered) = (outcome.whole.due, outcome.whole.answered);
    println!("SEED={seed}: {due} requests, {answered} answered; {VICTIMS:?} killed {kills:?} times");
    assert_eq!((answered, outcome.failures.total()), (due, 0), "{:?}", outcome.failures);
    assert!(kills.iter().all(|kills| *kills > 0), "a run in which all were killed");
}

/// What stands before and behind the service, begun again whenever it dies.
struct Parts {
    mirrors: [Process; 2],
    /// How many mirrors were begun.
    begun: usize,
    pipeline: Process,
    _profiler: Process,
}

const REPLICAS: [&str; 2] = ["one", "two"];

impl Parts {
    fn start(stand: &Stand) -> Self {
        let mirrors = REPLICAS.map(|name| stand.mirror(Some(name)));
        let parts = Self {
            mirrors,
            begun: REPLICAS.len(),
            pipeline: stand.start("run", &[]),
            _profiler: stand.start("profile", &[]),
        };
        let began = Instant::now();
        while !parts.all_serve() {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", parts.mirrors[0].told());
            thread::sleep(Duration::from_millis(50));
        }
        parts
    }

    /// Whether every mirror that was begun has come to serve: both tell into one file.
    fn all_serve(&self) -> bool {
        self.mirrors[0].told().matches(" serving ").count() >= self.begun
    }

    /// Kills one and begins it again; whether there was one that may be killed.
    fn kill(&mut self, victim: Victim, stand: &Stand) -> bool {
        match victim {
            Victim::Mirror(index) => {
                let may_be = self.all_serve();
                if may_be {
                    self.mirrors[index].kill();
                    self.mirrors[index] = stand.mirror(Some(REPLICAS[index]));
                    self.begun += 1;
                }
                may_be
            }
            Victim::Pipeline => {
                self.pipeline.kill();
                self.pipeline = stand.start("run", &[]);
                true
            }
            // Its adapter begins it again.
            Victim::Shadow => stand.kill_shadow(),
        }
    }
}
