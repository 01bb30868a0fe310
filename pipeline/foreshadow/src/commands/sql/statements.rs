//! Text cut into statements at its semicolons: not those in quotes or comments.

/// Text that comes line by line.
#[derive(Debug, Default)]
pub(super) struct Statements {
    pending: String,
}

impl Statements {
    /// Adds a line, or several.
    pub(super) fn add(&mut self, text: &str) {
        self.pending.push_str(text);
        self.pending.push('\n');
    }

    /// The next statement that has its semicolon, without it.
    pub(super) fn next(&mut self) -> Option<String> {
        loop {
            let (end, says_something) = scan(&self.pending);
            let rest = self.pending.split_off(end? + 1);
            let mut statement = std::mem::replace(&mut self.pending, rest);
            statement.pop();
            if says_something {
                return Some(statement.trim().to_owned());
            }
        }
    }

    /// What is left, as a statement whose semicolon was left out.
    pub(super) fn rest(&mut self) -> Option<String> {
        let (_, says_something) = scan(&self.pending);
        let rest = std::mem::take(&mut self.pending);
        says_something.then(|| rest.trim().to_owned())
    }

    /// Whether nothing has begun.
    pub(super) fn is_blank(&self) -> bool {
        self.pending.trim().is_empty()
    }
}

/// What a character stands in.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Statement,
    /// Text or a name in quotes. A doubled quote ends and begins them anew, which comes to the same.
    Quotes(char),
    LineComment,
    BlockComment,
}

/// Where the first statement ends, and whether it is more than blanks and comments.
fn scan(text: &str) -> (Option<usize>, bool) {
    let mut within = Within::Statement;
    let mut says_something = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let following = characters.peek().map(|&(_, following)| following);
        match (within, character, following) {
            (Within::Statement, '-', Some('-')) => within = Within::LineComment,
            (Within::Statement, '/', Some('*')) => {
                within = Within::BlockComment;
                characters.next();
            }
            (Within::Statement, ';', _) => return (Some(at), says_something),
            (Within::Statement, quote @ ('\'' | '"'), _) => {
                within = Within::Quotes(quote);
                says_something = true;
            }
            (Within::Statement, other, _) => says_something |= !other.is_whitespace(),
            (Within::Quotes(quote), other, _) if other == quote => within = Within::Statement,
            (Within::LineComment, '\n', _) => within = Within::Statement,
            (Within::BlockComment, '*', Some('/')) => {
                within = Within::Statement;
                characters.next();
            }
            _ => {}
        }
    }
    (None, says_something)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let mut statements = Statements::default();
        text.lines().for_each(|line| statements.add(line));
        let mut found: Vec<String> = std::iter::from_fn(|| statements.next()).collect();
        found.extend(statements.rest());
        found
    }

    #[test]
    fn statements_end_at_semicolons() {
        assert_eq!(cut("select 1; select\n 2 ;;select 3"), ["select 1", "select\n 2", "select 3"]);
        assert_eq!(cut(" ; \n"), [""; 0]);
    }

    #[test]
    fn quotes_and_comments_hide_semicolons() {
        let statement = "select ';', 'it''s; so', \"a;b\" -- not; here\n/* nor; -- here */ from samples";
        assert_eq!(cut(&format!("{statement};")), [statement]);
        assert_eq!(cut("-- a comment; alone\n/* ; */"), [""; 0], "comments are no statement");
        assert_eq!(cut("select 4 - 2 / 2"), ["select 4 - 2 / 2"]);
    }

    #[test]
    fn what_has_begun_is_not_blank() {
        let mut statements = Statements::default();
        statements.add("select");
        assert!(!statements.is_blank() && statements.next().is_none());
        statements.add("1;");
        assert_eq!(statements.next().as_deref(), Some("select\n1"));
        assert!(statements.is_blank());
    }
}
