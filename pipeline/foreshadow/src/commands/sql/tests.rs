//! Statements over a log in memory and history in a folder, as the command answers them.

use query::{History, HistorySettings, Value, batch_of};
use schemas::{Cores, Sample, SourceId, Topic, WorkloadId};
use topics::{Delivery, Embedded, EmbeddedSettings, Log, Outgoing};

use super::*;

const QUESTION: &str = "select workload, count(*), avg(cpu_used_cores) from samples group by workload";

fn samples() -> Outgoing {
    let sample = |second: u64, cores: Option<f64>| Sample {
        cpu_used_cores: cores.map(Cores::new),
        ..Sample::new(EventTime::from_millis(second * 1000), WorkloadId::new("web").expect("a name"))
    };
    // The reading that was not taken is not zero: the mean of 1 and 2 is 1.5.
    let samples = [sample(1, Some(1.0)), sample(2, None), sample(3, Some(2.0))];
    Outgoing::samples(&SourceId::new("agent").expect("a name"), EventTime::from_millis(3000), &samples)
}

fn catalog() -> Catalog {
    let log = Embedded::in_memory(EmbeddedSettings::default());
    log.ensure(Topic::ALL, 2).expect("new topics");
    log.writer(Delivery::Idempotent).expect("a writer").append(&[samples()]).expect("room");
    let live: Arc<dyn Source> = Arc::new(Live::new(Arc::new(log), &Settings::default().engine, 1 << 30));
    Catalog { live: Some(live), ..Catalog::default() }
}

fn with_desk(catalog: Catalog, json: bool, ask: impl FnOnce(&Desk<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).build()?;
    let session = runtime.block_on(Session::new(catalog))?;
    ask(&Desk { runtime: &runtime, session: &session, json, interruptible: false })
}

fn answer(catalog: Catalog, json: bool, statements: &str) -> anyhow::Result<String> {
    let mut out = Vec::new();
    with_desk(catalog, json, |desk| desk.answer_all(statements, &mut out))?;
    Ok(String::from_utf8(out)?)
}

#[test]
fn people_get_a_table_and_a_count_of_rows() {
    let expected = "\
+----------+----------+-----------------------------+
| workload | count(*) | avg(samples.cpu_used_cores) |
+----------+----------+-----------------------------+
| web      | 3        | 1.5                         |
+----------+----------+-----------------------------+
(1 row)
";
    assert_eq!(answer(catalog(), false, QUESTION).expect("an answer"), expected);
}

#[test]
fn programs_get_json_lines() {
    let expected = "{\"workload\":\"web\",\"count(*)\":3,\"avg(samples.cpu_used_cores)\":1.5}\n{\"n\":0}\n";
    let two = format!("{QUESTION}; select count(*) as n from decisions");
    assert_eq!(answer(catalog(), true, &two).expect("two answers"), expected);
}

#[test]
fn a_wrong_statement_tells_the_mend() {
    let told = |statement: &str| answer(catalog(), false, statement).expect_err(statement).to_string();
    assert!(told("select * from sample").contains("Did you mean samples?"));
    assert!(told("select cpu_used_core from samples").contains("cpu_used_cores"));
    assert!(told("drop table samples").contains("only reads"));
    assert!(told(" -- nothing").contains("no statement"));
}

#[test]
fn a_pipe_goes_on_after_a_fault_and_tells_at_the_end() {
    let mut out = Vec::new();
    let lines = "\\d\nselekt 1;\n\\d progress\n\\d nothing\nselect 1 as one;";
    let ended = with_desk(catalog(), false, |desk| desk.answer_lines(lines.as_bytes(), &mut out));
    assert_eq!(ended.expect_err("two are wrong").to_string(), "2 of the statements failed");
    let out = String::from_utf8(out).expect("text");
    for part in ["samples            a reading of an instance\n", "| frontier", "| one |"] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
}

#[test]
fn every_table_is_described() {
    let ended = with_desk(Catalog::default(), false, |desk| {
        desk.session.tables().iter().for_each(|table| assert!(!about(table).is_empty(), "{table}"));
        Ok(())
    });
    ended.expect("no statement is asked");
}

#[test]
fn history_alone_needs_no_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = HistorySettings { slot_ms: 10_000, ..HistorySettings::default() };
    let mut history = History::open(folder.path(), &settings).expect("a writable folder");
    let sent = samples();
    let bytes = sent.value.expect("a batch");
    let value = Value { bytes: &bytes, content_type: None, log_time: sent.time };
    history.append(Topic::Samples, &batch_of(Topic::Samples, [value]).0);
    history.finish().expect("a writable folder");

    let arguments = |history: Option<PathBuf>| Sql {
        statement: None,
        json: true,
        history,
        history_only: true,
        since: None,
        from: None,
        to: None,
        records_max: None,
        memory_bytes_max: 1 << 30,
    };
    let catalog = arguments(Some(folder.path().to_owned())).catalog(&Settings::default()).expect("no log is needed");
    let expected = "{\"workload\":\"web\",\"count(*)\":3,\"avg(samples.cpu_used_cores)\":1.5}\n";
    assert_eq!(answer(catalog, true, QUESTION).expect("an answer"), expected);
    let error = arguments(None).catalog(&Settings::default()).expect_err("no folder");
    assert!(error.to_string().contains("--history DIR"), "{error}");
}
