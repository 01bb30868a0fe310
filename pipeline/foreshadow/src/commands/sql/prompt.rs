//! A conversation in statements: typed at a prompt, or read from a pipe.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::Context;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};

use super::statements::Statements;

/// What can be typed beside statements.
pub(super) const COMMANDS: &str = "\\d lists the tables, \\d NAME the columns of one, \\q quits.";
const PROMPT: &str = "foreshadow> ";
const PROMPT_WITHIN: &str = "         -> ";
/// Statements that the history file keeps.
const HISTORY_MAX: usize = 1000;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// An answer to a statement.
    Statement(String),
    /// The names of the tables.
    Tables,
    /// The columns of a table.
    Columns(String),
}

/// What comes next.
pub(super) enum Line {
    /// A line of text.
    Text(String),
    /// The person wants to begin anew.
    Cleared,
    /// No more lines; what has begun counts.
    End,
    /// The person is done; what has begun does not count.
    Quit,
}

/// Where lines come from.
pub(super) trait Lines {
    /// The next line; the prompt is for people.
    fn next(&mut self, prompt: &str) -> anyhow::Result<Line>;
    /// Remembers what was asked.
    fn remember(&mut self, _asked: &str) {}
}

/// Answers what the lines ask until they end, and complains of what fails; gives how much did.
///
/// # Errors
/// When lines cannot be read or answers not be written.
pub(super) fn converse(
    lines: &mut dyn Lines,
    out: &mut dyn Write,
    mut answer: impl FnMut(&Asked, &mut dyn Write) -> anyhow::Result<()>,
    complain: &mut dyn FnMut(&anyhow::Error),
) -> anyhow::Result<usize> {
    let mut failed = 0;
    let mut statements = Statements::default();
    loop {
        out.flush()?;
        let mut asked = Vec::new();
        let line = lines.next(if statements.is_blank() { PROMPT } else { PROMPT_WITHIN })?;
        let ends = matches!(line, Line::End);
        match line {
            Line::Text(text) if statements.is_blank() && text.trim_start().starts_with('\\') => {
                lines.remember(&text);
                match command(text.trim()) {
                    Ok(Some(command)) => asked.push(command),
                    Ok(None) => return Ok(failed),
                    Err(error) => {
                        complain(&error);
                        failed += 1;
                    }
                }
            }
            Line::Text(text) => {
                statements.add(&text);
                while let Some(statement) = statements.next() {
                    lines.remember(&format!("{statement};"));
                    asked.push(Asked::Statement(statement));
                }
            }
            Line::Cleared => statements = Statements::default(),
            Line::End => asked.extend(statements.rest().map(Asked::Statement)),
            Line::Quit => return Ok(failed),
        }
        for asked in &asked {
            match answer(asked, out) {
                Err(error) if error.is::<std::io::Error>() => return Err(error),
                Err(error) => {
                    complain(&error);
                    failed += 1;
                }
                Ok(()) => {}
            }
        }
        if ends {
            return Ok(failed);
        }
    }
}

/// Reads a command; none asks to quit.
fn command(text: &str) -> anyhow::Result<Option<Asked>> {
    let words: Vec<&str> = text.trim_end_matches(';').split_whitespace().collect();
    match words[..] {
        ["\\d"] => Ok(Some(Asked::Tables)),
        ["\\d", table] => Ok(Some(Asked::Columns(table.to_owned()))),
        ["\\q"] => Ok(None),
        _ => anyhow::bail!("{text} is no command: {COMMANDS}"),
    }
}

/// Lines of a pipe or file.
pub(super) struct Piped<R>(pub(super) R);

impl<R: BufRead> Lines for Piped<R> {
    fn next(&mut self, _prompt: &str) -> anyhow::Result<Line> {
        let mut line = String::new();
        let bytes = self.0.read_line(&mut line).context("standard input")?;
        Ok(if bytes == 0 { Line::End } else { Line::Text(line.trim_end().to_owned()) })
    }
}

/// Lines of a person: edited, and remembered in a file from one conversation to the next.
pub(super) struct Typed {
    editor: Editor<(), FileHistory>,
    file: Option<PathBuf>,
}

impl Typed {
    /// Opens the terminal and the file of what was asked before.
    ///
    /// # Errors
    /// When the terminal cannot be read.
    pub(super) fn new() -> anyhow::Result<Self> {
        let config = Config::builder().max_history_size(HISTORY_MAX)?.build();
        let mut editor = Editor::with_config(config).context("the terminal")?;
        let file = state_folder().map(|folder| folder.join("sql_history"));
        if let Some(file) = file.as_ref().filter(|file| file.exists())
            && let Err(error) = editor.load_history(file)
        {
            tracing::warn!("{}: {error}: earlier statements are not at hand", file.display());
        }
        Ok(Self { editor, file })
    }

    fn save(&mut self) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        std::fs::create_dir_all(file.parent().expect("a file in the state folder"))?;
        Ok(self.editor.append_history(file)?)
    }
}

impl Lines for Typed {
    fn next(&mut self, prompt: &str) -> anyhow::Result<Line> {
        match self.editor.readline(prompt) {
            Ok(text) => Ok(Line::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Line::Cleared),
            Err(ReadlineError::Eof) => Ok(Line::Quit),
            Err(error) => Err(error).context("the terminal"),
        }
    }

    fn remember(&mut self, asked: &str) {
        let kept = self.editor.add_history_entry(asked).map_err(anyhow::Error::from);
        if let Err(error) = kept.and_then(|_| self.save()) {
            tracing::warn!("statements are not remembered: {error}");
            self.file = None;
        }
    }
}

/// Where programs keep what they remember of a user: `$XDG_STATE_HOME`, or `.local/state` at home.
fn state_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    state.map(|folder| folder.join("foreshadow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Script(Vec<Line>);

    impl Lines for Script {
        fn next(&mut self, _prompt: &str) -> anyhow::Result<Line> {
            Ok(if self.0.is_empty() { Line::Quit } else { self.0.remove(0) })
        }
    }

    /// What was asked, and how much was complained of; a statement that holds `wrong` fails.
    fn asked(lines: &mut dyn Lines) -> (Vec<Asked>, usize) {
        let (mut all, mut complaints) = (Vec::new(), 0);
        let answer = |asked: &Asked, _: &mut dyn Write| {
            let wrong = matches!(asked, Asked::Statement(text) if text.contains("wrong"));
            anyhow::ensure!(!wrong, "wrong");
            all.push(asked.clone());
            Ok(())
        };
        let failed = converse(lines, &mut Vec::new(), answer, &mut |_| complaints += 1).expect("a vector takes all");
        assert_eq!(failed, complaints, "each failure is told");
        (all, failed)
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    fn statement(text: &str) -> Asked {
        Asked::Statement(text.to_owned())
    }

    #[test]
    fn a_pipe_is_answered_to_its_end() {
        let piped = "select 1;\nselect\n2; wrong; select 3;\n\\d samples\n\\d\nselect 4";
        let expected = [
            statement("select 1"),
            statement("select\n2"),
            statement("select 3"),
            Asked::Columns("samples".to_owned()),
            Asked::Tables,
            statement("select 4"),
        ];
        assert_eq!(asked(&mut Piped(piped.as_bytes())), (expected.into(), 1));
    }

    #[test]
    fn a_person_may_begin_anew_and_leave_in_the_middle() {
        let lines = vec![text("select 1 +"), Line::Cleared, text("select 2;"), text("select 3"), Line::Quit];
        assert_eq!(asked(&mut Script(lines)), (vec![statement("select 2")], 0));
        let lines = vec![text("\\x"), text("\\q"), text("select 1;")];
        assert_eq!(asked(&mut Script(lines)), (vec![], 1), "an unknown command is told, and \\q ends");
    }
}
