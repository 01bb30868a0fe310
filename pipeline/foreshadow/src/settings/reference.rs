//! Settings in print: the documented reference, and what is in effect.

use toml::{Table, Value};

use super::known::{Known, Section, join, quoted};
use super::{Loaded, Settings};

/// Columns that documentation is wrapped at.
const WIDTH: usize = 100;

/// What a librdkafka option's name contains whose value is nobody's business.
const SECRET_WORDS: [&str; 5] = ["password", "secret", "key", "token", "jaas"];

const PREFACE: &str = "\
Foreshadow's settings: every key with its meaning and its default.

A line whose # stands right before a key is off: take the # away to set it. Where a key has no default, the line is an \
example. What stands here gives way to the environment, and that to flags. The variable of a key is FORESHADOW_ with the sections and the key \
in capitals, two underscores between: FORESHADOW_ENGINE__SCALING__STALE_AFTER=15s.

`foreshadow validate FILE` names every fault of a file at once. `foreshadow settings --effective` prints what is in \
effect, and where it was set.";

/// Every key with its meaning and default, as a settings file that changes nothing.
pub(crate) fn reference() -> String {
    let mut text = comment(PREFACE);
    for section in &Known::new().sections {
        if !section.path.is_empty() {
            text.push_str(&format!("\n[{}]\n{}", section.path, comment(&section.doc)));
        }
        for key in &section.keys {
            if !section.open {
                text.push('\n');
                text.push_str(&comment(&key.doc));
            }
            text.push_str(&format!("#{} = {}\n", quoted(&key.name), key.sample));
        }
    }
    text
}

/// What is in effect, with where each value was set that was. Secrets are masked.
pub(crate) fn effective(loaded: &Loaded) -> String {
    let table = Table::try_from(masked(&loaded.settings)).expect("settings are a table");
    let sections = Known::new().sections;
    let parts = sections.iter().filter_map(|section| effective_section(section, &table, loaded));
    parts.collect::<Vec<String>>().join("\n")
}

/// Settings without secrets.
pub(crate) fn masked(settings: &Settings) -> Settings {
    let mut masked = settings.clone();
    let secret = |name: &str| SECRET_WORDS.iter().any(|word| name.to_lowercase().contains(word));
    let options = masked.kafka.options.iter_mut().filter(|(name, _)| secret(name));
    options.for_each(|(_, value)| "***".clone_into(value));
    masked
}

fn effective_section(section: &Section, table: &Table, loaded: &Loaded) -> Option<String> {
    let words = section.path.split('.').filter(|word| !word.is_empty());
    let values = words.into_iter().try_fold(table, |table, word| table.get(word).and_then(Value::as_table))?;
    let line = |(name, value): (&String, &Value)| {
        let place = loaded.places.get(&join(&section.path, name));
        let place = place.map(|place| format!("  # {place}")).unwrap_or_default();
        format!("{} = {value}{place}\n", quoted(name))
    };
    let lines: String = values.iter().filter(|(_, value)| !value.is_table()).map(line).collect();
    let heading = if section.path.is_empty() { String::new() } else { format!("[{}]\n", section.path) };
    (!lines.is_empty()).then(|| heading + &lines)
}

/// A text as comment lines, wrapped; empty for an empty text.
fn comment(text: &str) -> String {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = "#".to_owned();
        for word in paragraph.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::replace(&mut line, "#".to_owned()));
            }
            line.push(' ');
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Common;

    fn loaded(text: &str) -> Loaded {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, text).expect("a file");
        Loaded::of(&Common { settings: Some(path), ..Common::default() }, []).expect("no faults")
    }

    #[test]
    fn the_reference_passes_validation_and_changes_nothing() {
        assert_eq!(loaded(&reference()).settings, Settings::default());
    }

    #[test]
    fn every_line_of_the_reference_can_be_switched_on() {
        let is_key = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
        let on = |line: &str| if is_key(&line) { line[1..].to_owned() } else { line.to_owned() };
        let text: Vec<String> = reference().lines().map(on).collect();
        let loaded = loaded(&text.join("\n"));
        let off: usize = Known::new().sections.iter().map(|section| section.keys.len()).sum();
        assert_eq!(loaded.places.len(), off, "every key has its line");
        assert_eq!(loaded.settings.engine, Settings::default().engine, "what stands there is the default");
    }

    #[test]
    fn the_effective_settings_tell_where_they_come_from_and_no_secrets() {
        let loaded = loaded(
            "group = \"east\"\n[kafka.options]\nsecurity.protocol = \"SASL_SSL\"\nsasl.password = \"hunter2\"\n\
             \"ssl.key.location\" = \"/etc/key.pem\"\n\"sasl.jaas.config\" = \"user=hunter2\"\n",
        );
        let text = effective(&loaded);
        assert!(
            text.starts_with("group = \"east\"  # ") && text.contains("settings.toml:1\npartitions = 4\n"),
            "{text}"
        );
        assert!(text.contains("\"security.protocol\" = \"SASL_SSL\"  # "), "{text}");
        assert!(text.contains("\"sasl.password\" = \"***\"  # ") && !text.contains("hunter2"), "{text}");
        assert!(!text.contains("key.pem"), "{text}");
        assert!(text.contains("\n\n[engine.scaling]\nscale_down_threshold = 0.15\n"), "{text}");
    }

    #[test]
    fn comments_are_wrapped() {
        let text = comment(&"word ".repeat(30));
        // "#" and 19 words of five columns are 96; the next word would end at 101.
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [96, 56]);
    }
}
