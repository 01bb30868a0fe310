//! Statements that are answered, statements that are refused, and what a wrong one is told.

use super::*;
use crate::fixtures::{self, Memory};
use crate::print;

async fn session() -> Session {
    let (_, catalog) = fixtures::live(Memory::of_all());
    Session::new(catalog).await.expect("an open catalogue")
}

async fn lines(statement: &str) -> String {
    let rows = session().await.sql(statement).await.expect(statement);
    print::json_lines(&rows).expect("plain types")
}

#[tokio::test]
async fn the_first_question_is_answered() {
    let statement = "select workload, count(*), avg(cpu_used_cores) from samples group by workload";
    let expected = "{\"workload\":\"w\",\"count(*)\":1,\"avg(samples.cpu_used_cores)\":0.5}\n";
    assert_eq!(lines(statement).await, expected);
}

#[tokio::test]
async fn the_catalogue_tells_what_there_is() {
    let names = session().await.tables();
    assert_eq!(names.len(), Topic::ALL.len() + VIEWS.len());
    let shown = lines("SHOW TABLES").await;
    for name in names {
        assert!(shown.contains(&format!("\"table_name\":\"{name}\"")), "{name}");
    }
    let described = lines("DESCRIBE samples").await;
    assert!(described.contains("\"column_name\":\"cpu_used_cores\",\"data_type\":\"Float64\""), "{described}");
    let columns = "SELECT count(*) AS n FROM information_schema.columns WHERE table_name = 'progress'";
    assert_eq!(lines(columns).await, "{\"n\":6}\n");
    assert!(lines("EXPLAIN SELECT * FROM pools").await.contains("DataSourceExec"));
}

#[tokio::test]
async fn times_are_cut_into_buckets() {
    let statement = "SELECT date_bin(INTERVAL '10 seconds', time) AS bucket, count(*) AS n FROM samples GROUP BY 1";
    assert_eq!(lines(statement).await, "{\"bucket\":\"1970-01-01T00:00:00Z\",\"n\":1}\n");
}

#[tokio::test]
async fn statements_that_change_something_are_refused() {
    let session = session().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("out.parquet");
    let statements = [
        "DROP TABLE samples".to_owned(),
        "CREATE TABLE mine AS SELECT * FROM samples".to_owned(),
        "CREATE VIEW mine AS SELECT * FROM samples".to_owned(),
        "CREATE EXTERNAL TABLE mine STORED AS PARQUET LOCATION '/etc'".to_owned(),
        "INSERT INTO samples SELECT * FROM samples".to_owned(),
        "EXPLAIN ANALYZE INSERT INTO samples SELECT * FROM samples".to_owned(),
        "DELETE FROM samples".to_owned(),
        "UPDATE samples SET workload = 'other'".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        format!("COPY samples TO '{}'", file.display()),
    ];
    for statement in &statements {
        let error = session.sql(statement).await.expect_err(statement);
        assert!(matches!(error, Error::Refused(_)), "{statement}: {error}");
        assert!(error.to_string().contains("only reads"), "{statement}: {error}");
    }
    assert!(!file.exists());
    session.sql("SELECT * FROM samples; DROP TABLE samples").await.expect_err("one statement at a time");
    session.sql(&format!("SELECT * FROM '{}'", file.display())).await.expect_err("a file is no table");
}

#[tokio::test]
async fn a_misspelt_name_is_told_the_near_ones() {
    let session = session().await;
    let told = async |statement: &str| session.sql(statement).await.expect_err(statement).to_string();

    let table = told("SELECT * FROM sample").await;
    assert!(table.contains("sample' not found. Did you mean samples? The tables are: anomalies, "), "{table}");
    let far = told("SELECT * FROM metrics_of_everything").await;
    assert!(far.contains("The tables are: anomalies") && !far.contains("Did you mean"), "{far}");
    let column = told("SELECT cpu_used_core FROM samples").await;
    assert!(column.contains("Did you mean 'samples.cpu_used_cores'?"), "{column}");
    let column = told("SELECT nonsense FROM progress").await;
    assert!(column.contains("Valid fields are progress.frontier"), "{column}");
    let grammar = told("SELEKT 1").await;
    assert!(grammar.contains("SELEKT") && !grammar.contains("The tables are"), "{grammar}");
}

#[tokio::test]
async fn an_answer_without_rows_keeps_its_columns() {
    let rows = session().await.sql("SELECT workload FROM samples WHERE workload = 'nobody'").await.expect("valid");
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    assert_eq!(rows[0].schema().field(0).name(), "workload");
}

#[tokio::test]
async fn an_answer_beyond_memory_is_an_error_and_no_end_of_the_process() {
    let catalog = Catalog { memory_bytes_max: 1_000_000, ..Catalog::default() };
    let session = Session::new(catalog).await.expect("an open catalogue");
    // A million numbers of eight bytes: streamed they need little, kept they need 8 MB.
    let statement = "SELECT value FROM generate_series(1, 1000000)";
    let error = session.sql(statement).await.expect_err("too large");
    assert!(matches!(error, Error::Large { .. }), "{error}");
    let error = session.sql("SELECT value, count(*) FROM generate_series(1, 1000000) GROUP BY value LIMIT 1").await;
    let error = error.expect_err("the groups need more than a megabyte").to_string();
    assert!(error.contains("raise memory_bytes_max"), "{error}");
}

#[tokio::test]
async fn history_that_is_not_there_is_named() {
    let catalog = Catalog { history: Some("/nowhere/history".into()), ..Catalog::default() };
    let error = Session::new(catalog).await.err().expect("no such folder").to_string();
    assert!(error.starts_with("history at /nowhere/history: No such file or directory"), "{error}");
}
