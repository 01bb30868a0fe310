//! The house rules that no compiler checks, as tests: each names every fault at once, with its place and its mend.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

/// One broken rule: where, what, and the mend.
#[derive(Debug, PartialEq)]
struct Fault {
    path: String,
    line: usize,
    mend: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.mend)
    }
}

/// Shorthand for a fault.
fn fault(path: &str, line: usize, mend: impl Into<String>) -> Fault {
    Fault { path: path.to_owned(), line, mend: mend.into() }
}

#[test]
fn sources_keep_the_house_rules() {
    let rust = texts(".rs");
    assert!(rust.len() > 50, "the walk found {} sources: it looks in the wrong place", rust.len());
    report(rust.iter().flat_map(|(path, text)| source::faults(path, text)));
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let crates = layers::crates(&metadata);
    let manifests = texts("Cargo.toml");
    let crate_manifests = manifests.iter().filter(|(path, _)| *path != "Cargo.toml");
    let lints = crate_manifests.flat_map(|(path, text)| layers::lint_faults(path, text));
    report(layers::faults(&crates).into_iter().chain(layers::feature_faults(&crates)).chain(lints));
}

#[test]
fn links_and_paths_in_documents_resolve() {
    let root = root();
    let exists = |path: &Path| root.join(path).exists();
    let documents = texts(".md");
    report(documents.iter().flat_map(|(path, text)| links::faults(path, text, &exists)));
}

#[test]
fn the_readme_says_how_to_begin() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    report(links::readme_faults(&readme));
}

#[test]
fn nothing_names_this_machine_or_is_left_for_later() {
    let all = texts("");
    report(all.iter().flat_map(|(path, text)| source::leftovers(path, text)));
}

fn report(faults: impl IntoIterator<Item = Fault>) {
    let lines: Vec<String> = faults.into_iter().map(|fault| fault.to_string()).collect();
    assert!(lines.is_empty(), "{} faults:\n{}", lines.len(), lines.join("\n"));
}

/// Every text file of the repository whose path ends so, by its path from the root; what git ignores is left out.
fn texts(end: &str) -> BTreeMap<String, String> {
    let files = tracked().unwrap_or_else(|| walk(&root()));
    let wanted = files.into_iter().filter(|path| path.ends_with(end));
    wanted.filter_map(|path| Some((path.clone(), fs::read_to_string(root().join(path)).ok()?))).collect()
}

/// What git tracks, and what it would track once added; none outside a clone.
fn tracked() -> Option<Vec<String>> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(list).current_dir(root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.is_empty()).then(|| text.lines().map(str::to_owned).collect())
}

/// The files of an unpacked archive; build folders and hidden ones are left out.
fn walk(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "target" || (name.starts_with('.') && name != ".ci") {
            continue;
        }
        if entry.path().is_dir() {
            files.extend(walk(&entry.path()));
        } else if let Ok(path) = entry.path().strip_prefix(root()) {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files
}

fn metadata() -> cargo_metadata::Metadata {
    let mut command = cargo_metadata::MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("cargo metadata reads the workspace")
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the workspace is above this crate")
}
