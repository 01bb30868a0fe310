//! A file's columns by name, as the recordings are read from them.

use std::collections::BTreeMap;

use anyhow::Context;

/// Columns of one length.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: usize,
    texts: BTreeMap<String, Vec<String>>,
    // In the order of the file, which gives signals their places.
    numbers: Vec<(String, Vec<Option<f64>>)>,
}

impl Table {
    /// An empty table of so many rows.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a column of text.
    ///
    /// # Panics
    /// If it has another length.
    pub fn add_text(&mut self, name: &str, column: Vec<String>) {
        assert_eq!(column.len(), self.rows, "{name}");
        self.texts.insert(name.to_owned(), column);
    }

    /// Adds a column of numbers; what was not observed is `None`.
    ///
    /// # Panics
    /// If it has another length.
    pub fn add_numbers(&mut self, name: &str, column: Vec<Option<f64>>) {
        assert_eq!(column.len(), self.rows, "{name}");
        self.numbers.push((name.to_owned(), column));
    }

    /// Whether there is a column of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.texts.contains_key(name) || self.numbers.iter().any(|(column, _)| column == name)
    }

    /// A column of text.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn text(&self, name: &str) -> anyhow::Result<&[String]> {
        self.texts.get(name).map(Vec::as_slice).with_context(|| format!("there is no column {name} of text"))
    }

    /// A column of numbers.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn number(&self, name: &str) -> anyhow::Result<&[Option<f64>]> {
        let found = self.numbers.iter().find(|(column, _)| column == name);
        found.map(|(_, column)| column.as_slice()).with_context(|| format!("there is no column {name} of numbers"))
    }

    /// All columns of numbers, in the order of the file.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, &[Option<f64>])> {
        self.numbers.iter().map(|(name, column)| (name.as_str(), column.as_slice()))
    }
}
