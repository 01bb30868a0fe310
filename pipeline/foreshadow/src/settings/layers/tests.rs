//! Files and environments that people write, and what they are told.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A folder with a settings file `s.toml`, and the command line that names it.
fn written(text: &str) -> (TempDir, Common) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.toml");
    std::fs::write(&path, text).expect("a file");
    (folder, Common { settings: Some(path), ..Common::default() })
}

fn load(text: &str, environment: &[(&str, &str)]) -> anyhow::Result<Loaded> {
    let (_folder, common) = written(text);
    Loaded::of(&common, variables(environment))
}

fn variables(environment: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    environment.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// The faults of a file and an environment, one each, without the file's folder.
fn faults(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let (folder, common) = written(text);
    let error = Loaded::of(&common, variables(environment)).expect_err("faults").to_string();
    let error = error.replace(&format!("{}/", folder.path().display()), "");
    let lines: Vec<String> = error.lines().map(|line| line.trim().to_owned()).collect();
    if lines.len() > 1 {
        assert_eq!(lines[0], format!("{} faults in the settings", lines.len() - 1));
    }
    lines[lines.len().min(2) - 1..].to_vec()
}

#[test]
fn each_layer_overrides_the_one_before() {
    let text = "group = \"file\"\npartitions = 8\n[kafka]\nbrokers = \"localhost:1\"\n[engine]\nworkers = 2\n";
    let (_folder, mut common) = written(text);
    common.brokers = Some("localhost:3".to_owned());
    let environment = [("FORESHADOW_KAFKA__BROKERS", "localhost:2"), ("FORESHADOW_ENGINE__WORKERS", "3")];
    let loaded = Loaded::of(&common, variables(&environment)).expect("no faults");
    let settings = &loaded.settings;
    assert_eq!((settings.group.as_str(), settings.partitions), ("file", 8));
    assert_eq!(settings.engine.workers, 3, "the environment wins over the file");
    assert_eq!(settings.kafka.brokers, "localhost:3", "the flag wins over both");
    assert_eq!(settings.engine.tick, Settings::default().engine.tick, "what nobody sets keeps its default");
    assert_eq!(loaded.places["engine.workers"], Place::Variable("FORESHADOW_ENGINE__WORKERS".to_owned()));
    assert_eq!(loaded.places["kafka.brokers"], Place::Flag("--brokers"));
    assert!(matches!(loaded.places["group"], Place::File { line: 1, .. }), "{:?}", loaded.places);
}

#[test]
fn brokers_on_the_command_line_mean_kafka() {
    let (_folder, mut common) = written("[embedded]\nfolder = \"/log\"\nsync = false\n");
    let loaded = Loaded::of(&common, []).expect("no faults");
    assert_eq!(loaded.settings.embedded.folder, Some(PathBuf::from("/log")));
    assert!(!loaded.settings.embedded.log.sync, "a flattened key is read");
    common.brokers = Some("localhost:9092".to_owned());
    assert_eq!(Loaded::of(&common, []).expect("no faults").settings.embedded.folder, None);
}

#[test]
fn every_fault_is_told_at_once_with_its_place_and_mend() {
    let text = "\
grupp = \"x\"
[engine]
workers = \"two\"
tick = 5
lateness = \"soon\"
stale_after = \"1s\"
deliveries_max = -1
commits_max = 0
[engine.scaling]
memory_margin = -0.5
[history]
slot_ms = 1500
[kafka]
insecure = \"no\"
options.acks = 1
";
    let environment =
        [("FORESHADOW_PROFILER__INTERVAL", "1ms"), ("FORESHADOW_PROFILER__HOST", "yes"), ("FORESHADOW_TICK", "1s")];
    let expected = [
        "s.toml:1: grupp is unknown: did you mean group?",
        "s.toml:3: engine.workers is \"two\": write a whole number from 0, such as 1",
        "s.toml:4: engine.tick is 5: write a span of time in quotes, such as \"1s\"",
        "s.toml:5: engine.lateness is \"soon\": expected number at 0: write it as \"250ms\" or \"5m\"",
        "s.toml:6: engine.stale_after is unknown: did you mean engine.scaling.stale_after?",
        "s.toml:7: engine.deliveries_max is -1: write a whole number from 0, such as 1024",
        "s.toml:8: engine.commits_max must lie in 1 to 65536",
        "s.toml:10: engine.scaling.memory_margin must be 0 or more, such as 0.15",
        "s.toml:12: history.slot_ms is 1500: give a multiple of 1000 above zero",
        "s.toml:14: kafka.insecure is \"no\": write true or false, such as false",
        "s.toml:15: kafka.options.acks is not yours to set: guarantees rest on it, leave it out",
        "FORESHADOW_PROFILER__HOST: profiler.host is \"yes\": write true or false, such as false",
        "FORESHADOW_PROFILER__INTERVAL: profiler.interval must lie in 50ms to 1m, such as \"100ms\"",
        "FORESHADOW_TICK: no such setting: did you mean FORESHADOW_ENGINE__TICK?",
    ];
    assert_eq!(faults(text, &environment), expected);
}

#[test]
fn unknown_keys_are_refused_in_every_section() {
    let known = Known::new();
    for section in known.sections.iter().filter(|section| !section.open && known.open_below(section).is_none()) {
        let heading = if section.path.is_empty() { String::new() } else { format!("[{}]\n", section.path) };
        let path = join(&section.path, "zzzzzzzz");
        let line = 1 + usize::from(!section.path.is_empty());
        let expected = format!("s.toml:{line}: {path} is unknown: `foreshadow settings` prints every key");
        assert_eq!(faults(&format!("{heading}zzzzzzzz = 1\n"), &[]), [expected]);
    }
}

#[test]
fn an_option_outside_its_section_is_told_where_it_belongs() {
    let expected = "s.toml:2: kafka.sasl is unknown: does it belong into [kafka.options]?";
    assert_eq!(faults("[kafka]\nsasl.password = \"hunter2\"\n", &[]), [expected]);
}

#[test]
fn a_path_as_one_quoted_key_is_unknown() {
    let found = faults("\"engine.workers\" = 2\n", &[]);
    assert!(found[0].starts_with("s.toml:1: \"engine.workers\" is unknown"), "{found:?}");
}

#[test]
fn a_section_is_not_a_value() {
    assert_eq!(faults("engine = 3\n", &[]), ["s.toml:1: engine is a section: write [engine] and its keys below"]);
    let expected =
        "FORESHADOW_ENGINE: engine is a section: set its keys one by one, such as FORESHADOW_ENGINE__WORKERS";
    assert_eq!(faults("", &[("FORESHADOW_ENGINE", "3")]), [expected]);
}

#[test]
fn what_is_no_toml_is_told_by_line_and_column() {
    // The value is missing where line 2 ends, behind its eight characters "workers=".
    let found = faults("[engine]\nworkers=\n", &[("FORESHADOW_TICK", "1s")]);
    assert!(found[0].starts_with("s.toml:2: no TOML at column 9: "), "{found:?}");
    assert_eq!(found.len(), 2, "the environment is told about too: {found:?}");
}

#[test]
fn a_file_that_is_not_there_is_named_with_the_mend() {
    let common = Common { settings: Some("/nowhere/s.toml".into()), ..Common::default() };
    let error = Loaded::of(&common, []).expect_err("no file").to_string();
    let mend = "correct the path, or write one with `foreshadow settings > /nowhere/s.toml`";
    assert_eq!(error, format!("/nowhere/s.toml: no such file: {mend}"));
}

#[test]
fn options_take_dots_numbers_and_variables() {
    let text = "[kafka.options]\nsasl.mechanism = \"PLAIN\"\n\"linger.ms\" = 50\n";
    let environment = [("FORESHADOW_KAFKA__OPTIONS__SASL_PASSWORD", "1234")];
    let options = load(text, &environment).expect("no faults").settings.kafka.options;
    let expected = [("linger.ms", "50"), ("sasl.mechanism", "PLAIN"), ("sasl.password", "1234")];
    assert_eq!(options, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let found = faults("[kafka.options]\nsasl.password = [\"hunter2\"]\n", &[]);
    assert_eq!(found, ["s.toml:2: kafka.options.sasl.password is an array: write a text in quotes"]);
}

#[test]
fn variables_of_others_are_left_alone() {
    let environment = [
        ("PATH", "/bin"),
        ("FORESHADOW_SETTINGS", "elsewhere.toml"),
        ("FORESHADOW_TRACE", "debug"),
        ("FORESHADOW_SERVICE_HOST", "10.0.0.7"),
        ("FORESHADOW_SERVICE_PORT_METRICS", "9090"),
        ("FORESHADOW_PORT", "tcp://10.0.0.7:9090"),
        ("FORESHADOW_METRICS_PORT_9090_TCP_ADDR", "10.0.0.7"),
    ];
    assert_eq!(load("", &environment).expect("no faults").settings, Settings::default());
    assert_eq!(
        faults("", &[("FORESHADOW_PORT", "9090")]),
        ["FORESHADOW_PORT: no such setting: `foreshadow settings` prints every key, and how its variable is called"]
    );
}

#[test]
fn a_variable_is_read_as_its_settings_kind() {
    let environment = [
        ("FORESHADOW_GROUP", "7"),
        ("FORESHADOW_IDLE_AFTER", "2s"),
        ("FORESHADOW_ENGINE__SCALING__MEMORY_MARGIN", "1"),
        ("FORESHADOW_PROFILER__HOST", "true"),
        ("FORESHADOW_HISTORY__FOLDER", "/var/history"),
    ];
    let settings = load("", &environment).expect("no faults").settings;
    assert_eq!((settings.group.as_str(), settings.idle_after.millis()), ("7", 2000));
    assert_eq!((settings.engine.scaling.memory_margin, settings.profiler.host), (1.0, true));
    assert_eq!(settings.history.folder, Some(PathBuf::from("/var/history")));
}

#[test]
fn a_fault_of_a_default_says_that_it_was_not_set() {
    // 1s, the default of features_every, is no multiple of 2s.
    let expected = "not set: engine.features_every must be whole ticks, at least one";
    assert_eq!(faults("[engine]\ntick = \"2s\"\n", &[]), [expected]);
}
