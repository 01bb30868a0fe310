//! Rules of one source file: its size, its names, its first line, its clock.

use crate::{Fault, fault};

/// Most lines of code in a file, without blanks, comments and tests.
const FILE_LINES_MAX: usize = 400;
/// Most lines between a function's braces. Clippy counts the same; this holds where clippy is not run.
const FUNCTION_LINES_MAX: usize = 70;
/// Names that say nothing about what is inside.
const FILE_NAMES: [&str; 5] = ["mod", "util", "common", "helper", "misc"];
/// Endings of types that say nothing about what the type is.
const TYPE_ENDINGS: [&str; 5] = ["Manager", "Processor", "Handler", "Service", "Info"];
/// The crates that may read a clock, and the one file of `wire`. The others are functions of their arguments.
const EDGES: [&str; 9] = [
    "pipeline/topics/",
    "pipeline/profiler/",
    "pipeline/mirror/",
    "pipeline/orchestrators/",
    "pipeline/query/",
    "pipeline/wire/src/pipeline.rs",
    "pipeline/foreshadow/",
    "jobs/",
    "tests/",
];
/// What the standard library leaves to the platform to the last bit. `powi(2)` among them: write the product.
const PLATFORM: [&str; 14] =
    ["ln", "ln_1p", "log", "log2", "log10", "exp", "exp2", "exp_m1", "powf", "powi", "sin", "cos", "tan", "tanh"];
/// Noise for tests alone.
const NOISE: &str = "models/anomaly/src/noise.rs";
/// Spelt in two parts, so that this file does not break its own rules.
const LEFTOVERS: [(&str, &str, &str); 7] = [
    ("TO", "DO", "do it, or leave it out"),
    ("FIX", "ME", "fix it, or leave it out"),
    ("todo", "!(", "write it, or leave it out"),
    ("unimplemented", "!(", "write it, or leave it out"),
    ("/wo", "rk/", "a path of one machine: say it from the repository's root"),
    ("/ro", "ot/", "a path of one machine: say it from the repository's root"),
    ("/tmp/", "bash", "a path of one machine: say it from the repository's root"),
];

/// What is wrong with a source file.
pub(crate) fn faults(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(fault(path, 1, "begin with a `//!` line that says what the file holds"));
    }
    faults.extend(name_fault(path));
    faults.extend(size_faults(path, text));
    faults.extend(text.lines().enumerate().flat_map(|(at, line)| type_fault(path, at + 1, line)));
    faults.extend(clock_fault(path, text));
    faults.extend(platform_faults(path, text));
    faults
}

/// Machine paths and work left for later, in any file.
pub(crate) fn leftovers(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (one, two, mend) in LEFTOVERS {
            if line.contains(&format!("{one}{two}")) {
                faults.push(fault(path, at + 1, format!("{one}{two}: {mend}")));
            }
        }
    }
    faults
}

fn name_fault(path: &str) -> Option<Fault> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.trim_end_matches(".rs");
    let vague =
        FILE_NAMES.iter().any(|name| stem.trim_end_matches('s') == *name || stem.starts_with(&format!("{name}_")));
    vague.then(|| fault(path, 1, format!("{file} says nothing of what is inside: name the thing")))
}

fn type_fault(path: &str, line: usize, text: &str) -> Option<Fault> {
    let mut words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.find(|word| matches!(*word, "struct" | "enum" | "trait" | "type"))?;
    let declares =
        ["struct ", "enum ", "trait ", "type ", "pub"].iter().any(|start| text.trim_start().starts_with(start));
    let name = words.next()?;
    let ending = TYPE_ENDINGS.iter().find(|ending| declares && name.ends_with(**ending))?;
    Some(fault(path, line, format!("type {name}: {ending} says nothing of what it is, name the thing")))
}

fn size_faults(path: &str, text: &str) -> Vec<Fault> {
    let production: Vec<&str> = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect();
    let code = production.iter().filter(|line| is_code(line)).count();
    let mut faults = Vec::new();
    if code > FILE_LINES_MAX && !path.contains("tests") {
        faults.push(fault(path, 1, format!("{code} lines of code, at most {FILE_LINES_MAX}: split the file")));
    }
    let mut begin = None;
    for (at, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if begin.is_none() && declares_function(line) && !line.trim_end().ends_with('}') {
            begin = Some((at, indent, 0));
        } else if let Some((start, outer, lines)) = begin {
            let closes = indent == outer && (line.trim() == "}" || line.trim_end().ends_with(';'));
            if closes && lines > FUNCTION_LINES_MAX {
                let mend = format!("a function of {lines} lines, at most {FUNCTION_LINES_MAX}: split it");
                faults.push(fault(path, start + 1, mend));
            }
            begin = (!closes).then_some((start, outer, lines + usize::from(is_code(line))));
        }
    }
    faults
}

fn is_code(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("//")
}

fn declares_function(line: &str) -> bool {
    let words = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
    ["", "pub ", "const ", "async ", "pub const ", "pub async "]
        .iter()
        .any(|start| words.starts_with(&format!("{start}fn ")))
}

/// Only edge crates, and programs beside a crate (tests, examples, benches), may lift the ban on clocks.
fn clock_fault(path: &str, text: &str) -> Option<Fault> {
    let line = text.lines().position(|line| line.contains("allow(clippy::disallowed_methods"))?;
    (!is_edge(path))
        .then(|| fault(path, line + 1, "a core crate reads no clock and no environment: take it as an argument"))
}

/// A core crate decides the same on every machine.
fn platform_faults(path: &str, text: &str) -> Vec<Fault> {
    if is_edge(path) || path.ends_with("tests.rs") || path == NOISE {
        return Vec::new();
    }
    let production = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    let code = production.filter(|(_, line)| is_code(line));
    let found = code.flat_map(|(at, line)| {
        let called = PLATFORM.iter().filter(move |name| line.contains(&format!(".{name}(")));
        called.map(move |name| fault(path, at + 1, format!("{name}: its last bit is the platform's, see `elementary`")))
    });
    found.collect()
}

fn is_edge(path: &str) -> bool {
    let beside = ["/tests/", "/examples/", "/benches/"].iter().any(|folder| path.contains(folder));
    beside || EDGES.iter().any(|edge| path.starts_with(edge))
}

mod tests {
    use super::*;

    fn lines(faults: &[Fault]) -> Vec<usize> {
        faults.iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn a_clean_file_passes() {
        let text = "//! A ledger.\n\n/// It.\npub struct Ledger;\n\nfn settle() {\n    pay();\n}\n";
        assert_eq!(faults("pipeline/scaling/src/ledger.rs", text), []);
    }

    #[test]
    fn a_file_without_its_first_line_is_found() {
        assert_eq!(lines(&faults("schemas/src/a.rs", "use std::fmt;\n")), [1]);
    }

    #[test]
    fn vague_file_names_are_found() {
        for name in ["mod", "util", "utils", "common", "helpers", "misc", "util_time"] {
            assert_eq!(faults(&format!("jobs/src/{name}.rs"), "//! x\n").len(), 1, "{name}");
        }
        assert_eq!(faults("jobs/src/model.rs", "//! x\n"), []);
    }

    #[test]
    fn vague_type_names_are_found() {
        let text = "//! x\npub struct PoolManager;\nenum Reason {}\npub(crate) trait EventHandler {}\n// type Info\n";
        assert_eq!(lines(&faults("jobs/src/a.rs", text)), [2, 4]);
    }

    #[test]
    fn long_files_are_found_and_tests_do_not_count() {
        let code = "let a = 1;\n".repeat(FILE_LINES_MAX + 1);
        assert_eq!(faults("jobs/src/a.rs", &format!("//! x\n{code}")).len(), 1);
        assert_eq!(faults("jobs/src/a.rs", &format!("//! x\n#[cfg(test)]\n{code}")), []);
    }

    #[test]
    fn long_functions_are_found() {
        let of = |lines: usize| format!("//! x\n    pub fn long() {{\n{}    }}\n", "        pay();\n\n".repeat(lines));
        assert_eq!(lines(&faults("jobs/src/a.rs", &of(FUNCTION_LINES_MAX + 1))), [2]);
        assert_eq!(faults("jobs/src/a.rs", &of(FUNCTION_LINES_MAX)), []);
    }

    #[test]
    fn a_clock_in_the_core_is_found() {
        let text = "//! x\n#![allow(clippy::disallowed_methods, reason = \"haste\")]\n";
        assert_eq!(lines(&faults("models/features/src/lib.rs", text)), [2]);
        assert_eq!(faults("models/features/examples/speed.rs", text), []);
        assert_eq!(faults("pipeline/topics/src/lib.rs", text), []);
    }

    #[test]
    fn leftovers_are_found() {
        for (one, two, _) in LEFTOVERS {
            assert_eq!(lines(&leftovers("README.md", &format!("fine\nsee {one}{two}x\n"))), [2], "{one}{two}");
        }
    }

    #[test]
    fn functions_of_the_platform_are_found() {
        let text = "//! x\nfn cost() -> f64 {\n    // Not x.exp().\n    2.0f64.ln().powi(2)\n}\n#[cfg(test)]\nmod tests { fn same() { 1f64.exp(); } }\n";
        assert_eq!(lines(&faults("models/plant/src/a.rs", text)), [4, 4]);
        assert_eq!(faults("jobs/src/a.rs", text), []);
    }
}
