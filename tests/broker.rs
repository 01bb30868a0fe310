//! The broker of the tests itself: it keeps its data over a crash, and dies with the process that started it.

#![allow(clippy::disallowed_methods, reason = "it waits for real processes on the machine's clock")]

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use end_to_end::broker::{self, Broker};

#[test]
fn a_record_survives_a_crash_of_the_broker() {
    let mut broker = Broker::start();
    produce(&broker, "survives", "kept");
    broker.stop();
    broker.restart();
    assert_eq!(consume(&broker, "survives"), "kept\n");
}

#[test]
fn a_broker_dies_with_its_test_process() {
    let itself = std::env::current_exe().expect("a test has a file");
    let mut child = Command::new(itself)
        .args(["--exact", "a_child_holds_a_broker", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let brokers = output
        .lines()
        .find_map(|line| Some(line.expect("text").split_once("BROKERS ")?.1.to_owned()))
        .expect("the child names its broker");
    assert!(TcpStream::connect(&brokers).is_ok(), "it serves while the child lives");
    child.kill().expect("the child runs");
    child.wait().expect("the child ends");
    // The kernel kills at once, but closes the broker's socket only when the process is torn down: well below 5 s.
    let gone = (0..50).any(|_| {
        thread::sleep(Duration::from_millis(100));
        TcpStream::connect(&brokers).is_err()
    });
    assert!(gone, "the broker at {brokers} outlives the process that started it");
}

#[test]
#[ignore = "the child that the test above kills"]
fn a_child_holds_a_broker() {
    // From a thread that ends, as every test's does: the shared broker must outlive it.
    let starter = thread::spawn(|| broker::shared().brokers());
    let brokers = starter.join().expect("a broker starts");
    thread::sleep(Duration::from_millis(200));
    writeln!(io::stdout(), "BROKERS {brokers}").expect("the parent reads");
    // Longer than the parent waits; the end of an orphan.
    thread::sleep(Duration::from_secs(60));
}

fn produce(broker: &Broker, topic: &str, line: &str) {
    let mut tool = broker.tool("console-producer");
    let mut child = tool.args(["--topic", topic]).stdin(Stdio::piped()).spawn().expect("the tool starts");
    writeln!(child.stdin.take().expect("stdin is piped"), "{line}").expect("the tool reads");
    assert!(child.wait().expect("the tool ends").success());
}

fn consume(broker: &Broker, topic: &str) -> String {
    let mut tool = broker.tool("console-consumer");
    let bounds = ["--from-beginning", "--max-messages", "1", "--timeout-ms", "20000"];
    let output = tool.args(["--topic", topic]).args(bounds).output().expect("the tool runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
