//! What is wrong with settings, and where.

use std::fmt;

use anyhow::bail;

/// Where a value was set. In order: by the file's lines, then the environment, then flags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A line of a file, counted from 1; 0 is the file as a whole.
    File { line: usize, path: String },
    /// A variable of the environment.
    Variable(String),
    /// A flag, such as `--brokers`.
    Flag(&'static str),
    /// Nowhere.
    Default,
}

/// One thing that is wrong: `place: what, and the mend`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// Every fault as one error, one a line.
///
/// # Errors
/// When there is one.
pub(crate) fn refuse(mut faults: Vec<Fault>) -> anyhow::Result<()> {
    faults.sort();
    let lines: Vec<String> = faults.iter().map(|Fault { place, text }| format!("{place}: {text}")).collect();
    match lines.as_slice() {
        [] => Ok(()),
        [line] => bail!("{line}"),
        lines => bail!("{} faults in the settings\n  {}", lines.len(), lines.join("\n  ")),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { line: 0, path } => write!(f, "{path}"),
            Self::File { line, path } => write!(f, "{path}:{line}"),
            Self::Variable(name) => write!(f, "{name}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Default => write!(f, "not set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_the_order_of_lines_and_layers() {
        let fault = |place, text: &str| Fault { place, text: text.to_owned() };
        let line = |line| Place::File { line, path: "s.toml".to_owned() };
        let faults = vec![
            fault(Place::Flag("--brokers"), "e"),
            fault(Place::Variable("FORESHADOW_GROUP".to_owned()), "d"),
            fault(line(10), "c"),
            fault(line(9), "b"),
            fault(line(0), "a"),
        ];
        let error = refuse(faults).expect_err("faults").to_string();
        let expected = "5 faults in the settings\n  s.toml: a\n  s.toml:9: b\n  s.toml:10: c\n  FORESHADOW_GROUP: d\n  \
                        --brokers: e";
        assert_eq!(error, expected);
        assert!(refuse(Vec::new()).is_ok());
    }
}
