//! Kafka's own console tools against the pipeline, with every part in a process of its own.

#![allow(clippy::disallowed_methods, reason = "an edge test: it waits for real processes on the machine's clock")]

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use end_to_end::binary::{Process, foreshadow};
use end_to_end::broker::{self, Broker};
use schemas::{Decision, FeatureRecord, Noun, Reject, RejectReason, Topic};

/// Longest wait for something to be readable: a console tool alone takes 2 to 5 s to start on two busy cores.
const WAIT_MAX: Duration = Duration::from_secs(90);

#[test]
fn console_tools_read_decisions_and_write_samples() {
    let broker = broker::shared();
    let folder = tempfile::tempdir().expect("the temporary folder can be written");
    let namespace = format!("console-{}.", std::process::id());
    let settings = folder.path().join("settings.toml");
    let text = format!("[kafka]\nbrokers = \"{}\"\nnamespace = \"{namespace}\"\n", broker.brokers());
    std::fs::write(&settings, text).expect("the folder can be written");
    let start = |arguments: &[&str]| {
        let mut command = foreshadow();
        command.arg("--settings").arg(&settings).args(arguments);
        Process::start(command, &folder.path().join(format!("{}.log", arguments[0])))
    };
    let mut processes =
        [start(&["run"]), start(&["actuate", "--orchestrator", "simulated"]), start(&["profile", "--host"])];
    let topic = |topic: Topic| format!("{namespace}{}", topic.name());

    // Whatever the fleet's hour of the day: once all is up, one workload needs far more than it has.
    consume(broker, &topic(Topic::Features), |line| FeatureRecord::from_json(line).is_ok());
    let now = now_ms();
    let hot = |step: u128| {
        let time = now + 250 * step;
        format!(r#"{{"time": {time}, "workload": "web", "instance": "by-hand", "cpu_used_cores": 40}}"#)
    };
    let hot: Vec<String> = (0..32).map(hot).collect();
    produce(broker, &topic(Topic::Samples), &hot.iter().map(String::as_str).collect::<Vec<_>>());
    let decisions = consume(broker, &topic(Topic::Decisions), |line| Decision::from_json(line).is_ok());
    let decision = Decision::from_json(decisions.as_bytes()).expect("the line was found by it");
    assert_eq!(decision.orchestrator, "simulated");

    // The tool takes some seconds to start: by then it must not be late beside the others of its partition.
    let time = now_ms() + 6_000;
    let sample = format!(r#"{{"time": {time}, "workload": "by-hand", "cpu_used_cores": 0.25}}"#);
    produce(broker, &topic(Topic::Samples), &[&sample, "this is no sample"]);
    let features = consume(broker, &topic(Topic::Features), |line| {
        FeatureRecord::from_json(line).is_ok_and(|record| record.workload.as_str() == "by-hand")
    });
    let features = FeatureRecord::from_json(features.as_bytes()).expect("the line was found by it");
    assert!(features.rows.iter().all(|row| row.mean == 0.25 && row.count == 1), "{features:?}");

    let reject = consume(broker, &topic(Topic::Rejects), |line| {
        Reject::from_json(line).is_ok_and(|reject| reject.reason == RejectReason::Undecodable)
    });
    let reject = Reject::from_json(reject.as_bytes()).expect("the line was found by it");
    assert_eq!(reject.topic, Topic::Samples.name());
    assert_eq!(reject.length_bytes, "this is no sample".len() as u64);

    for process in &mut processes {
        assert!(process.runs(), "a process ended:\n{}", process.told());
        assert!(process.terminate(Duration::from_secs(10)), "it ends when it is asked to:\n{}", process.told());
    }
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch").as_millis()
}

/// Writes lines with the console producer: no key, no headers.
fn produce(broker: &Broker, topic: &str, lines: &[&str]) {
    let mut tool = broker.tool("console-producer");
    let mut child = tool
        .args(["--topic", topic])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tools come with the broker");
    let mut input = child.stdin.take().expect("it is piped");
    lines.iter().for_each(|line| writeln!(input, "{line}").expect("the tool reads"));
    drop(input);
    let output = child.wait_with_output().expect("a child can be waited for");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The first line of a topic that is wanted, as the console consumer prints it.
fn consume(broker: &Broker, topic: &str, wanted: impl Fn(&[u8]) -> bool) -> String {
    let mut tool = broker.tool("console-consumer");
    tool.args(["--topic", topic, "--from-beginning", "--isolation-level", "read_committed"]);
    // Without records for so long the tool gives up, and its lines end.
    tool.args(["--timeout-ms", &WAIT_MAX.as_millis().to_string()]);
    let mut child = tool.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the tools come with the broker");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).split(b'\n');
    let begun = Instant::now();
    let line = lines
        .map(|line| line.expect("the tool writes"))
        .take_while(|_| begun.elapsed() < WAIT_MAX)
        .find(|line| wanted(line));
    child.kill().expect("it has not been waited for");
    child.wait().expect("a child can be waited for");
    let line = line.unwrap_or_else(|| panic!("{topic} brings nothing that is wanted within {WAIT_MAX:?}"));
    String::from_utf8(line).expect("JSON is UTF-8")
}
