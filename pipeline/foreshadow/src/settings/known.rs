//! Every key that may be set: its meaning, kind and default, read from the structs' JSON Schema.

use std::path::Path;

use schemars::generate::SchemaSettings;
use serde_json::Value as Json;
use strsim::osa_distance;
use toml::{Table, Value};

use super::Settings;

/// Every section, in the order of the structs; the first is the top of the file, whose path is empty.
pub(crate) struct Known {
    pub(crate) sections: Vec<Section>,
}

/// One section of the file.
pub(crate) struct Section {
    /// Its path, such as `engine.scaling`.
    pub(crate) path: String,
    /// What it is about.
    pub(crate) doc: String,
    /// Whether it takes any key, each with a text; its keys are then examples.
    pub(crate) open: bool,
    pub(crate) keys: Vec<Key>,
}

/// One setting.
pub(crate) struct Key {
    pub(crate) name: String,
    /// Its path, such as `engine.scaling.stale_after`.
    pub(crate) path: String,
    /// What it says, its default, its effect and its safe range.
    pub(crate) doc: String,
    pub(crate) kind: Kind,
    /// The default, or an example where there is none.
    pub(crate) sample: Value,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    Span,
    Whole,
    Number,
    Truth,
}

impl Known {
    pub(crate) fn new() -> Self {
        let sample = Table::try_from(sample()).expect("settings are a table");
        let mut known = Self { sections: Vec::new() };
        let doc = String::new();
        known.gather(Section { path: String::new(), doc, open: false, keys: Vec::new() }, &sample, &schema());
        known
    }

    /// The section at a path.
    pub(crate) fn section(&self, path: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.path == path)
    }

    /// The section right below that takes any key.
    pub(crate) fn open_below(&self, section: &Section) -> Option<&Section> {
        let below = |open: &&Section| open.path.rsplit_once('.').is_some_and(|(above, _)| above == section.path);
        self.sections.iter().filter(|section| section.open).find(below)
    }

    /// Every key, without the examples of open sections.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.sections.iter().filter(|section| !section.open).flat_map(|section| &section.keys)
    }

    /// The key that a wrong path most likely meant.
    pub(crate) fn nearest_key(&self, path: &str) -> Option<&str> {
        nearest(path, self.keys().map(|key| key.path.as_str()))
    }

    /// The section that a wrong path most likely meant.
    pub(crate) fn nearest_section(&self, path: &str) -> Option<&str> {
        nearest(path, self.sections.iter().skip(1).map(|section| section.path.as_str()))
    }

    fn gather(&mut self, section: Section, sample: &Table, schema: &Json) {
        let at = self.sections.len();
        self.sections.push(section);
        for (name, sample) in sample {
            let schema = &schema["properties"][name];
            let path = join(&self.sections[at].path, name);
            let doc = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
            if let Value::Table(inner) = sample {
                let open = schema.get("properties").is_none();
                self.gather(Section { path, doc, open, keys: Vec::new() }, inner, schema);
            } else {
                let key = Key { name: name.clone(), path, doc, kind: Kind::of(schema), sample: sample.clone() };
                self.sections[at].keys.push(key);
            }
        }
    }
}

impl Kind {
    fn of(schema: &Json) -> Self {
        // A setting that may be left out has the types `["string", "null"]`.
        let kind = &schema["type"];
        match kind.as_str().or_else(|| kind[0].as_str()) {
            Some("integer") => Self::Whole,
            Some("number") => Self::Number,
            Some("boolean") => Self::Truth,
            _ if schema["format"] == "span" => Self::Span,
            _ => Self::Text,
        }
    }

    /// Whether values of this kind are written in quotes.
    pub(crate) const fn quoted(self) -> bool {
        matches!(self, Self::Text | Self::Span)
    }

    /// What to write.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Span => "a span of time in quotes",
            Self::Whole => "a whole number from 0",
            Self::Number => "a number",
            Self::Truth => "true or false",
        }
    }
}

/// The JSON Schema of a settings file.
pub(crate) fn schema() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Settings>().to_value()
}

/// The path of a name in a section.
pub(crate) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// A key as TOML takes it: names with dots stand in quotes.
pub(crate) fn quoted(name: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) && !name.is_empty();
    if bare { name.to_owned() } else { format!("{name:?}") }
}

/// The defaults, and examples where there is none: so every key that may be set stands in it.
fn sample() -> Settings {
    let mut sample = Settings::default();
    let folder = |name| Some(Path::new("/var/lib/foreshadow").join(name));
    sample.embedded.folder = folder("log");
    sample.history.folder = folder("history");
    sample.snapshots.folder = folder("snapshots");
    sample.kafka.replicas = Some(3);
    sample.profiler.source = schemas::SourceId::new("node-7").ok();
    let options =
        [("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.username", "foreshadow")];
    sample.kafka.options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    sample
}

/// The candidate with the same or nearly the same last word, wherever it stands; of several, the nearest as a whole.
fn nearest<'k>(path: &str, candidates: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |known: &str| (osa_distance(last(known), last(path)), osa_distance(known, path));
    let (known, (slips, _)) = candidates.map(|known| (known, distance(known))).min_by_key(|(_, distance)| *distance)?;
    // One slip in a word of four letters, two in one of five: more is another word.
    (slips <= 1.max((last(path).len() + 1) / 3)).then_some(known)
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every property of a schema, by its path.
    fn properties(path: &str, schema: &Json) -> Vec<String> {
        let Some(inner) = schema["properties"].as_object() else { return vec![path.to_owned()] };
        inner.iter().flat_map(|(name, schema)| properties(&join(path, name), schema)).collect()
    }

    #[test]
    fn every_field_of_the_structs_is_known() {
        let known = Known::new();
        let open = known.sections.iter().filter(|section| section.open).map(|section| section.path.clone());
        let mut paths: Vec<String> = known.keys().map(|key| key.path.clone()).chain(open).collect();
        paths.sort();
        let mut fields = properties("", &schema());
        fields.sort();
        assert_eq!(paths, fields, "a setting that may be left out needs an example in `sample`");
        assert!(paths.contains(&"embedded.partition_bytes_max".to_owned()), "flattened fields count too");
    }

    #[test]
    fn every_key_and_section_has_its_meaning() {
        let known = Known::new();
        let keys = known.keys().filter(|key| !key.doc.ends_with('.')).map(|key| &key.path);
        let sections = known.sections.iter().skip(1).filter(|section| !section.doc.ends_with('.'));
        let bare: Vec<&String> = keys.chain(sections.map(|section| &section.path)).collect();
        assert!(bare.is_empty(), "no doc comment: {bare:?}");
    }

    #[test]
    fn sections_come_in_the_order_of_the_structs() {
        let paths: Vec<String> = Known::new().sections.into_iter().map(|section| section.path).take(6).collect();
        assert_eq!(paths, ["", "kafka", "kafka.options", "embedded", "engine", "engine.anomaly"]);
    }

    #[test]
    fn the_nearest_name_is_found_in_its_own_section_or_another() {
        let known = Known::new();
        assert_eq!(known.nearest_section("kafak"), Some("kafka"));
        assert_eq!(known.nearest_section("scaling"), Some("engine.scaling"));
        for (wrong, meant) in [
            ("engine.worker", Some("engine.workers")),
            ("engine.stale_after", Some("engine.scaling.stale_after")),
            // Two detectors have the same last word: the rest of the path decides.
            ("engine.anomaly.latncy.window_tick", Some("engine.anomaly.latency.window_ticks")),
            ("engine.parallelism", None),
            // A section is no key.
            ("engine.anomaly.latency", None),
            // Two letters of four are another word: not `host`.
            ("port", None),
        ] {
            assert_eq!(known.nearest_key(wrong), meant, "{wrong}");
        }
    }

    #[test]
    fn kinds_follow_the_types() {
        let known = Known::new();
        let kind = |path: &str| known.keys().find(|key| key.path == path).map(|key| key.kind);
        assert_eq!(kind("engine.tick"), Some(Kind::Span));
        assert_eq!(kind("engine.workers"), Some(Kind::Whole));
        assert_eq!(kind("engine.scaling.memory_margin"), Some(Kind::Number));
        assert_eq!(kind("kafka.insecure"), Some(Kind::Truth));
        assert_eq!(kind("history.folder"), Some(Kind::Text));
    }
}
