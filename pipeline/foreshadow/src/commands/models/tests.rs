//! The commands over an embedded log.

use super::*;
use std::collections::BTreeMap;

use forecast::lstm::input::INPUT_VERSION;
use forecast::lstm::{Data, TrainSettings};
use schemas::Topic;
use topics::{Embedded, EmbeddedSettings};

fn log() -> Embedded {
    let log = Embedded::in_memory(EmbeddedSettings::default());
    log.ensure(Topic::ALL, 1).expect("memory takes topics");
    log
}

fn artifact(seed: u64) -> Vec<u8> {
    let card = Card {
        input_version: INPUT_VERSION,
        hidden: 4,
        trained_on: "nothing".to_owned(),
        seed,
        settings: TrainSettings::default(),
        data: Data::default(),
        scores: BTreeMap::from([("loss".to_owned(), 0.25)]),
    };
    Weights::random(4, seed).to_bytes(&card)
}

fn file(folder: &Path, seed: u64) -> PathBuf {
    let path = folder.join(format!("{seed}.safetensors"));
    fs::write(&path, artifact(seed)).expect("the folder can be written");
    path
}

fn serving(log: &Embedded) -> Option<String> {
    Registry::read(log).expect("memory can be read").serving().map(|model| model.artifact.clone())
}

#[test]
fn promotion_and_rollback_swap_back_and_forth_and_in_the_end_to_the_shipped_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = log();
    let [first, second] = [1, 2].map(|seed| file(folder.path(), seed));
    let promote = |path: &Path| Artifact::read(path).expect("it is sound").promote(&log, None);
    promote(&first).expect("nothing serves yet");
    let error = promote(&first).expect_err("it serves");
    assert!(error.to_string().contains("serves already"), "{error}");
    promote(&second).expect("it is another");
    assert_eq!(serving(&log), Some(second.display().to_string()));
    rollback(&log, None).expect("the first was there before");
    assert_eq!(serving(&log), Some(first.display().to_string()));
    let champion = Registry::read(&log).expect("memory can be read").serving().cloned().expect("one serves");
    assert_eq!(champion.carried(), Ok(artifact(1)), "it carries its bytes still");
    rollback(&log, None).expect("the second was there before");
    assert_eq!(serving(&log), Some(second.display().to_string()));
}

#[test]
fn the_only_champion_is_rolled_back_to_the_shipped_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = log();
    let error = rollback(&log, None).expect_err("nothing was published");
    assert!(error.to_string().contains("the shipped one serves"), "{error}");
    Artifact::read(&file(folder.path(), 1)).expect("it is sound").promote(&log, None).expect("nothing serves yet");
    assert!(table(&Registry::read(&log).expect("memory can be read")).contains("champion"));
    let said = rollback(&log, None).expect("one serves");
    assert!(said.starts_with("the shipped champion serves from"), "{said}");
    assert_eq!(serving(&log), None);
}

#[test]
fn what_cannot_serve_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |path: &Path| crate::telling::told(&Artifact::read(path).err().expect("it is unsound"));
    let path = file(folder.path(), 1);
    assert!(refused(&folder.path().join("none")).contains("cannot be read"));
    let sound = artifact(1);
    fs::write(&path, &sound[..sound.len() - 1]).expect("the folder can be written");
    assert!(
        refused(&path).contains("1.safetensors cannot serve: it is not a whole safetensors file"),
        "{}",
        refused(&path)
    );
    // One of the card's digits: the version that it was trained for.
    let text = format!("input_version\\\":{INPUT_VERSION}");
    let at = sound.windows(text.len()).position(|window| window == text.as_bytes()).expect("the card says it");
    let mut future = sound.clone();
    future[at + text.len() - 1] = b'9';
    fs::write(&path, &future).expect("the folder can be written");
    assert!(refused(&path).contains("version 9 of the inputs"), "{}", refused(&path));
    fs::write(&path, &sound).expect("the folder can be written");
    fs::write(path.with_extension("json"), "{}").expect("the folder can be written");
    assert!(refused(&path).contains("no record of a training"), "{}", refused(&path));
}
