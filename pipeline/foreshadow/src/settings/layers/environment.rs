//! The environment: `FORESHADOW_ENGINE__SCALING__STALE_AFTER` is `engine.scaling.stale_after`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use toml::Value;

use super::{Layers, Leaf};
use crate::settings::fault::Place;
use crate::settings::known::{Key, Known, Section};

/// What every variable of ours begins with.
const PREFIX: &str = "FORESHADOW_";

/// Variables that begin so and are no settings: the command line's own, and where the recipes keep what they fetch.
const NOT_SETTINGS: [&str; 3] = ["FORESHADOW_SETTINGS", "FORESHADOW_TRACE", "FORESHADOW_CACHE"];

/// What a variable names.
enum Named<'k> {
    Key(&'k Section, &'k Key),
    /// A key of an open section; `_` stands for the dots that variables cannot have.
    Text(&'k Section, String),
    Section(&'k Section),
}

impl Layers<'_> {
    /// Adds the variables that are ours, in the order of their names.
    pub(super) fn add_environment(&mut self, environment: impl IntoIterator<Item = (OsString, OsString)>) {
        let named = environment.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let ours: BTreeMap<String, OsString> = named.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        for (name, value) in ours {
            match value.into_string() {
                _ if NOT_SETTINGS.contains(&name.as_str()) => {}
                Ok(text) if of_a_service(&name, &text) => {}
                Ok(text) => self.add_variable(name, text),
                Err(_) => {
                    let text = "holds bytes that are no UTF-8: write a text".to_owned();
                    self.fault(Place::Variable(name), text);
                }
            }
        }
    }

    fn add_variable(&mut self, variable: String, text: String) {
        match named(self.known, &variable) {
            Some(Named::Key(section, key)) => {
                let bare = if key.kind.quoted() { None } else { text.parse::<Value>().ok() };
                let value = bare.unwrap_or(Value::String(text));
                let place = Place::Variable(variable);
                self.add(section, Leaf { section: section.path.clone(), name: key.name.clone(), value, place });
            }
            Some(Named::Text(section, name)) => {
                let (value, place) = (Value::String(text), Place::Variable(variable));
                self.put(Leaf { section: section.path.clone(), name, value, place });
            }
            Some(Named::Section(section)) => {
                let key = section.keys.first().map(|key| variable_of(&key.path)).unwrap_or_default();
                let text = format!("{} is a section: set its keys one by one, such as {key}", section.path);
                self.fault(Place::Variable(variable), text);
            }
            None => {
                let path = variable[PREFIX.len()..].to_lowercase().replace("__", ".");
                let mend = match self.known.nearest_key(&path) {
                    Some(nearest) => format!("did you mean {}?", variable_of(nearest)),
                    None => "`foreshadow settings` prints every key, and how its variable is called".to_owned(),
                };
                self.fault(Place::Variable(variable), format!("no such setting: {mend}"));
            }
        }
    }
}

/// What a variable is about; none for a name that is not known.
fn named<'k>(known: &'k Known, variable: &str) -> Option<Named<'k>> {
    known.sections.iter().find_map(|section| {
        let rest = match section.path.as_str() {
            "" => variable.strip_prefix(PREFIX),
            path if variable == variable_of(path) => return Some(Named::Section(section)),
            path => variable.strip_prefix(&variable_of(path)).and_then(|rest| rest.strip_prefix("__")),
        }?;
        if section.open {
            return Some(Named::Text(section, rest.to_lowercase().replace('_', ".")));
        }
        let key = section.keys.iter().find(|key| key.name.to_uppercase() == rest)?;
        Some(Named::Key(section, key))
    })
}

/// The variable of a path.
fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

/// Whether Kubernetes made the variable up for a service that is called foreshadow or foreshadow-something: it hands
/// every pod `FORESHADOW_SERVICE_HOST`, `FORESHADOW_PORT=tcp://…`, `FORESHADOW_PORT_9090_TCP_ADDR` and the like.
fn of_a_service(name: &str, value: &str) -> bool {
    let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split("_PORT_").skip(1).any(numbered)
        || (name.ends_with("_PORT") && value.contains("://"))
}
