//! The settings file.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue, Error};
use toml::{Spanned, Value};

use super::{Layers, Leaf};
use crate::settings::fault::{Fault, Place};
use crate::settings::known::{Section, join, quoted};

/// A file that was read.
struct File<'t> {
    path: String,
    text: &'t str,
}

impl Layers<'_> {
    /// Adds what a file sets.
    pub(super) fn add_file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.faults.push(unreadable(path, &error)),
        };
        let file = File { path: path.display().to_string(), text: &text };
        let (table, errors) = DeTable::parse_recoverable(&text);
        if errors.is_empty() {
            self.add_table(&self.known.sections[0], table.get_ref(), &file);
        }
        self.faults.extend(errors.iter().map(|error| file.no_toml(error)));
    }

    fn add_table(&mut self, section: &Section, table: &DeTable<'_>, file: &File<'_>) {
        for (name, value) in table {
            if section.open {
                self.add_texts(section, name.get_ref(), value, file);
            } else {
                self.add_entry(section, name, value, file);
            }
        }
    }

    fn add_entry(
        &mut self,
        section: &Section,
        name: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
        file: &File<'_>,
    ) {
        let place = file.place(name.span().start);
        let name = quoted(name.get_ref().as_ref());
        let path = join(&section.path, &name);
        match (self.known.section(&path), value.get_ref()) {
            (Some(inner), DeValue::Table(table)) => self.add_table(inner, table, file),
            (Some(_), _) => self.fault(place, format!("{path} is a section: write [{path}] and its keys below")),
            _ if section.keys.iter().all(|key| key.name != name) => {
                let nearest = match value.get_ref() {
                    DeValue::Table(_) => self.known.nearest_section(&path),
                    _ => self.known.nearest_key(&path),
                };
                let mend = match (nearest, self.known.open_below(section)) {
                    (Some(nearest), _) => format!("did you mean {nearest}?"),
                    (None, Some(open)) => format!("does it belong into [{}]?", open.path),
                    (None, None) => "`foreshadow settings` prints every key".to_owned(),
                };
                self.fault(place, format!("{path} is unknown: {mend}"));
            }
            _ => match Value::deserialize(value.clone().into_deserializer()) {
                Ok(value) => self.add(section, Leaf { section: section.path.clone(), name, value, place }),
                Err(error) => self.fault(place, format!("{path}: {}", error.message())),
            },
        }
    }

    /// Adds the texts of an open section: numbers may stand without quotes, and names with dots too.
    fn add_texts(&mut self, section: &Section, name: &str, value: &Spanned<DeValue<'_>>, file: &File<'_>) {
        let place = file.place(value.span().start);
        let text = match value.get_ref() {
            DeValue::Table(inner) => {
                for (word, value) in inner {
                    self.add_texts(section, &join(name, word.get_ref()), value, file);
                }
                return;
            }
            DeValue::Array(_) => {
                let path = join(&section.path, name);
                return self.fault(place, format!("{path} is an array: write a text in quotes"));
            }
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Datetime(time) => time.to_string(),
        };
        self.put(Leaf { section: section.path.clone(), name: name.to_owned(), value: Value::String(text), place });
    }
}

impl File<'_> {
    /// The line of a byte.
    fn place(&self, byte: usize) -> Place {
        Place::File { line: self.before(byte).matches('\n').count() + 1, path: self.path.clone() }
    }

    fn no_toml(&self, error: &Error) -> Fault {
        let byte = error.span().map_or(0, |span| span.start);
        let column = self.before(byte).chars().rev().take_while(|&c| c != '\n').count() + 1;
        Fault { place: self.place(byte), text: format!("no TOML at column {column}: {}", error.message()) }
    }

    fn before(&self, byte: usize) -> &str {
        self.text.get(..byte).unwrap_or(self.text)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let path = path.display().to_string();
    let text = match error.kind() {
        ErrorKind::NotFound => {
            format!("no such file: correct the path, or write one with `foreshadow settings > {path}`")
        }
        _ => format!("cannot be read ({error}): name a text file that you may read"),
    };
    Fault { place: Place::File { line: 0, path }, text }
}
