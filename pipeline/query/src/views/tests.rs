//! Each view over a handful of rows whose answer is worked out by hand.

use schemas::Topic;

use crate::fixtures::{self, Memory};
use crate::{Session, print};

async fn lines(topics: Vec<(Topic, Vec<String>)>, statement: &str) -> Vec<String> {
    let batches = topics.iter().map(|(topic, records)| (*topic, fixtures::batch(*topic, records)));
    let (_, catalog) = fixtures::live(Memory::of(batches));
    let session = Session::new(catalog).await.expect("an open catalogue");
    let rows = session.sql(statement).await.expect(statement);
    print::json_lines(&rows).expect("plain types").lines().map(str::to_owned).collect()
}

fn decision(workload: &str, hour: u64, price: f64) -> String {
    let time = hour * 3_600_000;
    fixtures::json(Topic::Decisions)
        .replace("\"workload\":\"w\"", &format!("\"workload\":\"{workload}\""))
        .replace("\"time\":1000,\"sequence\":1000", &format!("\"time\":{time},\"sequence\":{time}"))
        .replace("\"price_after\":2", &format!("\"price_after\":{price}"))
}

fn feature(role: &str, second: u64, mean: f64) -> String {
    fixtures::json(Topic::Features)
        .replace("\"time\":1000", &format!("\"time\":{}", second * 1000))
        .replace("\"role\":\"primary\"", &format!("\"role\":\"{role}\""))
        .replace("\"mean\":0.5", &format!("\"mean\":{mean}"))
        .replace("\"max\":0.5", &format!("\"max\":{mean}"))
}

#[tokio::test]
async fn the_latest_decision_of_each_workload() {
    // Out of order, as a log of several partitions is read.
    let decisions = vec![decision("a", 2, 3.0), decision("a", 1, 1.0), decision("b", 1, 2.0)];
    let statement = "SELECT workload, evidence_price_after AS price FROM latest_decisions ORDER BY workload";
    let expected = [r#"{"workload":"a","price":3.0}"#, r#"{"workload":"b","price":2.0}"#];
    assert_eq!(lines(vec![(Topic::Decisions, decisions)], statement).await, expected);
}

#[tokio::test]
async fn a_shadow_stands_beside_its_primary() {
    // At second 2 the shadow was not read, at second 3 the primary is idle.
    let features = vec![
        feature("primary", 1, 4.0),
        feature("shadow", 1, 1.0),
        feature("primary", 2, 4.0),
        feature("primary", 3, 0.0),
        feature("shadow", 3, 1.0),
    ];
    let statement = "SELECT time, primary_mean, shadow_mean, shadow_over_primary FROM shadow_vs_primary ORDER BY time";
    let expected = [
        r#"{"time":"1970-01-01T00:00:01Z","primary_mean":4.0,"shadow_mean":1.0,"shadow_over_primary":0.25}"#,
        r#"{"time":"1970-01-01T00:00:03Z","primary_mean":0.0,"shadow_mean":1.0,"shadow_over_primary":null}"#,
    ];
    assert_eq!(lines(vec![(Topic::Features, features)], statement).await, expected);
}

#[tokio::test]
async fn a_forecast_is_measured_once_its_horizon_is_over() {
    // Made at second 1 for the two seconds after: the peak of seconds 2 and 3. The one of second 3 ends at 5, unseen.
    let forecast =
        |second: u64| fixtures::json(Topic::Forecasts).replace("1000,\"tenant", &format!("{second}000,\"tenant"));
    let used = [(1, 9.0), (2, 0.25), (3, 1.0), (4, 9.0)];
    let mut features: Vec<_> = used.map(|(second, mean)| feature("primary", second, mean)).into();
    features.push(feature("shadow", 2, 9.0));
    let topics = vec![(Topic::Forecasts, vec![forecast(1), forecast(3)]), (Topic::Features, features)];
    let statement = "SELECT time, resource, base, calibrated, peak, error, covered FROM forecast_error";
    // Base 0.5 less the peak 1.0; the calibrated 0.75 was not enough.
    let expected = r#"{"time":"1970-01-01T00:00:01Z","resource":"cpu","base":0.5,"calibrated":0.75,"peak":1.0,"error":-0.5,"covered":false}"#;
    assert_eq!(lines(topics, statement).await, [expected]);
}

#[tokio::test]
async fn a_price_counts_until_the_next_decision() {
    // a: 1.0 for two hours, then 3.0 and 0.5 for its shadow for one hour until the newest decision of all; b: 2.0 for no time
    // yet.
    let shadowed = decision("a", 3, 3.0).replace("\"price_before\"", "\"price_shadow\":0.5,\"price_before\"");
    let decisions = vec![decision("a", 1, 1.0), decision("b", 4, 2.0), shadowed];
    let statement = "SELECT * FROM cost_by_workload ORDER BY workload";
    let expected = [
        r#"{"tenant":"t","workload":"a","decisions":2,"hours":3.0,"cost":5.5,"shadow_cost":0.5,"price_per_hour":3.5}"#,
        r#"{"tenant":"t","workload":"b","decisions":1,"hours":0.0,"cost":0.0,"shadow_cost":0.0,"price_per_hour":2.0}"#,
    ];
    assert_eq!(lines(vec![(Topic::Decisions, decisions)], statement).await, expected);
}
