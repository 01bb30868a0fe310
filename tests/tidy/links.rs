//! Documents: links and named files must exist.

use std::path::{Component, Path, PathBuf};

use crate::{Fault, fault};

/// Folders at the root; a code span that begins with one names a file.
const FOLDERS: [&str; 6] = ["schemas/", "models/", "pipeline/", "jobs/", "deploy/", "tests/"];

/// Links that lead nowhere, and files named in code spans that are not there.
pub(crate) fn faults(path: &str, text: &str, exists: &dyn Fn(&Path) -> bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for target in links(line) {
            let folder = Path::new(path).parent().unwrap_or(Path::new(""));
            if !exists(&flat(&folder.join(target))) {
                faults.push(fault(path, at + 1, format!("link to {target}: there is no such file, correct it")));
            }
        }
        for span in line.split('`').skip(1).step_by(2).filter(|span| names_file(span)) {
            if !exists(Path::new(span)) {
                faults.push(fault(path, at + 1, format!("`{span}`: there is no such file, correct it")));
            }
        }
    }
    faults
}

/// What the README must name.
pub(crate) fn readme_faults(text: &str) -> Vec<Fault> {
    let wanted = ["make demo", "make test"].into_iter().filter(|command| !text.contains(command));
    wanted.map(|command| fault("README.md", 1, format!("name `{command}`: it is how a reader begins"))).collect()
}

/// Targets of the inline links of a line that lead into the repository, without their anchors.
fn links(line: &str) -> Vec<&str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// A path without patterns or placeholders: one with a file's ending, or a folder with its slash.
fn names_file(span: &str) -> bool {
    let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let last = span.rsplit('/').next().unwrap_or("");
    plain && FOLDERS.iter().any(|folder| span.starts_with(folder)) && (last.is_empty() || last.contains('.'))
}

/// The path without `.` and `..`.
fn flat(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut flat, part| {
        match part {
            Component::ParentDir => {
                flat.pop();
            }
            Component::CurDir => {}
            other => flat.push(other),
        }
        flat
    })
}

mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let exists = |path: &Path| path == Path::new("schemas/src/lib.rs");
        faults("docs/page.md", text, &exists).iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn what_exists_passes() {
        let links = "[a](../schemas/src/lib.rs#top) `schemas/src/lib.rs` [b](https://a.example) [c](#here)\n";
        assert!(lines(links).is_empty());
        assert!(lines("`schemas/src/<noun>.rs` `pipeline/*` `tests/tidy`\n```\n[x](gone.md)\n```\n").is_empty());
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_eq!(lines("fine\n[a](gone.md)\n[b](schemas/src/lib.rs)\n"), [2, 3]);
    }

    #[test]
    fn named_files_that_are_gone_are_found() {
        assert_eq!(lines("see `schemas/src/gone.rs`\nand `jobs/`\n"), [1, 2]);
    }

    #[test]
    fn a_readme_without_its_commands_is_found() {
        assert_eq!(readme_faults("run `make demo`").len(), 1);
        assert_eq!(readme_faults("").len(), 2);
        assert_eq!(readme_faults("make demo, make test"), []);
    }
}
