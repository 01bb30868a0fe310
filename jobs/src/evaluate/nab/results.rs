//! Result files as the benchmark's own scorer reads them: `<detector>/<category>/<detector>_<file>.csv`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::corpus::File;

/// What the detector is called in the results.
pub const DETECTOR: &str = "foreshadow";

/// Writes a file's results below `folder`.
pub(super) fn write(folder: &Path, file: &File, scores: &[f64]) -> anyhow::Result<()> {
    let (category, name) = file.name.split_once('/').unwrap_or(("", &file.name));
    let folder = folder.join(DETECTOR).join(category);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{DETECTOR}_{name}"));
    fs::write(&path, text(file, scores)).with_context(|| format!("cannot write {}", path.display()))
}

/// The text of a result file. The label is 1 within a window.
pub(super) fn text(file: &File, scores: &[f64]) -> String {
    let mut text = String::from("timestamp,value,anomaly_score,label\n");
    for (at, (row, score)) in file.rows.iter().zip(scores).enumerate() {
        let label = u8::from(file.windows.iter().any(|window| (window.left..=window.right).contains(&at)));
        writeln!(text, "{},{},{score},{label}", row.timestamp, row.value).expect("a string takes all");
    }
    text
}
