//! Which rows a table holds: live, history, both, within bounds.

use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::*;
use crate::fixtures::{self, MIDNIGHT, Memory};
use crate::{Catalog, History, HistorySettings, Session as Sql};

const SLOT_MS: u64 = 10_000;

fn at(offset_ms: u64) -> EventTime {
    EventTime::from_millis(MIDNIGHT + offset_ms)
}

fn seconds(range: std::ops::Range<u64>) -> RecordBatch {
    fixtures::samples(range.map(|second| MIDNIGHT + second * 1000))
}

/// Writes samples of the first 25 seconds: two whole slots, and with `finish` half of the third as a part.
fn history(folder: &Path, finish: bool) {
    let settings = HistorySettings { slot_ms: SLOT_MS, ..HistorySettings::default() };
    let mut history = History::open(folder, &settings).expect("a writable folder");
    for slot in 0..3_u64 {
        history.append(Topic::Samples, &seconds(slot * 10..(slot * 10 + 10).min(25)));
    }
    history.close(at(2 * SLOT_MS)).expect("a writable folder");
    if finish {
        history.finish().expect("a writable folder");
    }
}

async fn numbers(catalog: &Catalog, statement: &str) -> Vec<i64> {
    let session = Sql::new(catalog.clone()).await.expect("a readable catalogue");
    let batches = session.sql(statement).await.expect(statement);
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[tokio::test]
async fn every_noun_comes_back_from_history_as_it_went_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = HistorySettings { slot_ms: SLOT_MS, ..HistorySettings::default() };
    let mut history = History::open(folder.path(), &settings).expect("a writable folder");
    for &topic in Topic::ALL {
        let rows = fixtures::batch(topic, &[fixtures::json(topic)]);
        history.append(topic, &rows);
    }
    history.close(EventTime::from_millis(SLOT_MS)).expect("a writable folder");

    let catalog = Catalog { history: Some(folder.path().to_owned()), ..Catalog::default() };
    let session = Sql::new(catalog).await.expect("a readable catalogue");
    let (_, catalog) = fixtures::live(Memory::of_all());
    let live = Sql::new(catalog).await.expect("an open catalogue");
    for &topic in Topic::ALL {
        let expected = fixtures::batch(topic, &[fixtures::json(topic)]);
        let statement = format!("SELECT * FROM {}", topic.noun());
        for (place, session) in [("history", &session), ("live", &live)] {
            let found = session.sql(&statement).await.expect(&statement);
            let [found] = found.as_slice() else { panic!("{place} of {}: {} batches", topic.noun(), found.len()) };
            assert_eq!(found.columns(), expected.columns(), "{place} of {}", topic.noun());
            assert_eq!(found.schema().fields(), expected.schema().fields(), "{place} of {}", topic.noun());
        }
    }
}

#[tokio::test]
async fn live_rows_begin_where_whole_history_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    history(folder.path(), true);
    // The log still holds the last five seconds of history, and goes on to second 40.
    let (memory, catalog) = fixtures::live(Memory::of([(Topic::Samples, seconds(15..40))]));
    let both = Catalog { history: Some(folder.path().to_owned()), ..catalog };

    let count = "SELECT count(*), count(DISTINCT time) FROM samples";
    assert_eq!(numbers(&both, count).await, [40], "seconds 0 to 39, none twice");
    assert_eq!(numbers(&both, "SELECT count(DISTINCT time) FROM samples").await, [40]);
    let asked = memory.asked(Topic::Samples).expect("the source was read");
    assert_eq!(asked.from, Some(at(2 * SLOT_MS)), "the part is read live");

    let history_alone = Catalog { live: None, ..both };
    assert_eq!(numbers(&history_alone, count).await, [25], "the part counts where there is no log");
}

#[tokio::test]
async fn compacted_topics_are_read_live_and_without_bounds() {
    let (memory, catalog) = fixtures::live(Memory::of_all());
    let catalog = Catalog { bounds: Bounds { from: Some(at(0)), ..Bounds::default() }, ..catalog };
    assert_eq!(numbers(&catalog, "SELECT count(*) FROM workloads").await, [1], "older than the bounds, and the newest");
    assert_eq!(memory.asked(Topic::Workloads), Some(Bounds::default()));
    assert_eq!(numbers(&catalog, "SELECT count(*) FROM decisions").await, [0]);
}

#[tokio::test]
async fn the_catalogues_bounds_hide_rows_on_both_sides() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    history(folder.path(), false);
    let (memory, catalog) = fixtures::live(Memory::of([(Topic::Samples, seconds(0..40))]));
    let bounds = Bounds { from: Some(at(5_000)), to: Some(at(30_000)), records_max: Some(7) };
    let catalog = Catalog { history: Some(folder.path().to_owned()), bounds, ..catalog };
    // Seconds 5 to 19 from history, 20 to 29 live.
    assert_eq!(numbers(&catalog, "SELECT count(*) FROM samples").await, [25]);
    let asked = memory.asked(Topic::Samples).expect("the source was read");
    assert_eq!(asked.from, Some(at(20_000)));
    assert_eq!(asked.records_max, Some(7));
}

#[tokio::test]
async fn filters_on_time_reach_the_source() {
    let (memory, catalog) = fixtures::live(Memory::of([(Topic::Samples, seconds(0..40))]));
    let asked = |statement: &'static str, from: u64, to: Option<u64>| {
        let (memory, catalog) = (Arc::clone(&memory), catalog.clone());
        async move {
            let session = Sql::new(catalog).await.expect("an open catalogue");
            session.sql(statement).await.expect(statement);
            let asked = memory.asked(Topic::Samples).expect("the source was read");
            let expected = Bounds { from: Some(at(from)), to: to.map(at), records_max: None };
            assert_eq!(asked, expected, "{statement}");
        }
    };
    asked("SELECT count(*) FROM samples WHERE time >= '2026-11-24T00:00:05Z'", 5_000, None).await;
    asked("SELECT workload FROM samples WHERE time > TIMESTAMP '2026-11-24 00:00:05'", 5_000, None).await;
    // The upper end is the millisecond after.
    let between = "SELECT * FROM samples
        WHERE workload = 'w' AND time BETWEEN '2026-11-24T00:00:05Z' AND '2026-11-24T00:00:09Z'";
    asked(between, 5_000, Some(9_001)).await;

    assert_eq!(numbers(&catalog, "SELECT count(*) FROM samples WHERE time < '2026-11-24T00:00:05Z'").await, [5]);
    numbers(&catalog, "SELECT count(*) FROM samples WHERE time > now() - INTERVAL '5 minutes'").await;
    assert!(memory.asked(Topic::Samples).expect("the source was read").from > Some(EventTime::default()));
}

#[tokio::test]
async fn files_outside_the_filter_are_not_opened() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    history(folder.path(), false);
    let first = folder.path().join("samples/date=2026-11-24/20261124T000000Z.parquet");
    fs::write(first, "no Parquet").expect("a writable folder");
    let catalog = Catalog { history: Some(folder.path().to_owned()), ..Catalog::default() };
    let statement = "SELECT count(*) FROM samples WHERE time >= '2026-11-24T00:00:10Z'";
    assert_eq!(numbers(&catalog, statement).await, [10], "the broken file lies before the filter");
    let session = Sql::new(catalog).await.expect("a readable catalogue");
    session.sql("SELECT count(*) FROM samples").await.expect_err("the broken file is read");
}

#[tokio::test]
async fn a_source_that_fails_or_gives_too_much_is_named() {
    #[derive(Debug)]
    struct Down;
    impl Source for Down {
        fn read(&self, _: Topic, _: &Bounds) -> std::result::Result<Vec<RecordBatch>, crate::SourceError> {
            Err("no broker answers at localhost:9092: start it or set --brokers".into())
        }
    }
    let session =
        Sql::new(Catalog { live: Some(Arc::new(Down)), ..Catalog::default() }).await.expect("nothing is read");
    let error = session.sql("SELECT * FROM decisions").await.expect_err("the broker is down");
    let expected =
        "cannot read topic foreshadow.decisions.v1: no broker answers at localhost:9092: start it or set --brokers";
    assert_eq!(error.to_string(), expected);

    let (_, catalog) = fixtures::live(Memory::of([(Topic::Samples, seconds(0..1000))]));
    let session = Sql::new(Catalog { memory_bytes_max: 10_000, ..catalog }).await.expect("an open catalogue");
    // A thousand samples hold twenty columns of eight bytes each.
    let error = session.sql("SELECT count(*) FROM samples").await.expect_err("160 000 bytes");
    assert!(matches!(error, Error::Large { bytes_max: 10_000, .. }), "{error}");
}
