//! What is set, layer over layer. Each value is checked by itself, so that every fault of every layer is told at once,
//! with its place.

mod environment;
mod file;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::Deserialize;
use toml::{Table, Value};

use super::Settings;
use super::fault::{Fault, Place, refuse};
use super::known::{Known, Section, join};
use crate::cli::Common;

/// Settings, and where each was set that was.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// By the setting's path.
    pub(crate) places: BTreeMap<String, Place>,
}

impl Loaded {
    /// The defaults, then the file, then the environment, then flags.
    ///
    /// # Errors
    /// Every fault of every layer.
    pub(crate) fn of(
        common: &Common,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> anyhow::Result<Self> {
        let known = Known::new();
        let mut layers = Layers { known: &known, leaves: BTreeMap::new(), faults: Vec::new() };
        if let Some(path) = &common.settings {
            layers.add_file(path);
        }
        layers.add_environment(environment);
        layers.settle(common)
    }
}

/// What has been set so far.
struct Layers<'k> {
    known: &'k Known,
    /// By the setting's path; a later layer replaces what an earlier one set.
    leaves: BTreeMap<String, Leaf>,
    faults: Vec<Fault>,
}

/// One value that is set.
struct Leaf {
    /// Path of the section.
    section: String,
    name: String,
    value: Value,
    place: Place,
}

impl Layers<'_> {
    /// Adds a value of a known key, if it is one that the settings take.
    fn add(&mut self, section: &Section, leaf: Leaf) {
        let mut alone = Table::new();
        leaf.put_into(&mut alone);
        let Err(error) = Settings::deserialize(alone) else { return self.put(leaf) };
        let key = section.keys.iter().find(|key| key.name == leaf.name).expect("the key is known");
        let mend = match &leaf.value {
            Value::String(_) if key.kind.quoted() => error.message().to_owned(),
            _ => format!("write {}, such as {}", key.kind.words(), key.sample),
        };
        self.fault(leaf.place, format!("{} is {}: {mend}", key.path, shown(&leaf.value)));
    }

    fn put(&mut self, leaf: Leaf) {
        self.leaves.insert(join(&leaf.section, &leaf.name), leaf);
    }

    fn fault(&mut self, place: Place, text: String) {
        self.faults.push(Fault { place, text });
    }

    fn settle(mut self, common: &Common) -> anyhow::Result<Loaded> {
        let mut table = Table::new();
        self.leaves.values().for_each(|leaf| leaf.put_into(&mut table));
        let mut settings = Settings::deserialize(table).expect("every value was read by itself");
        let mut places: BTreeMap<String, Place> =
            self.leaves.into_iter().map(|(path, leaf)| (path, leaf.place)).collect();
        if let Some(brokers) = &common.brokers {
            settings.kafka.brokers.clone_from(brokers);
            places.insert("kafka.brokers".to_owned(), Place::Flag("--brokers"));
            // Who names brokers wants Kafka, whatever a file says.
            settings.embedded.folder = None;
            places.remove("embedded.folder");
        }
        if let Some(folder) = &common.embedded {
            settings.embedded.folder = Some(folder.clone());
            places.insert("embedded.folder".to_owned(), Place::Flag("--embedded"));
        }
        self.faults.extend(settings.faults_at(|key| places.get(key).cloned()));
        refuse(self.faults)?;
        Ok(Loaded { settings, places })
    }
}

impl Leaf {
    fn put_into(&self, table: &mut Table) {
        let mut inner = table;
        for word in self.section.split('.').filter(|word| !word.is_empty()) {
            let section = inner.entry(word).or_insert_with(|| Table::new().into());
            inner = section.as_table_mut().expect("sections are tables");
        }
        inner.insert(self.name.clone(), self.value.clone());
    }
}

/// A value on one line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        scalar => scalar.to_string(),
    }
}
