//! The wire's names in people's words: `in_force` is "in force".

use serde::Serialize;

/// The name that a variant has on the wire, with blanks.
///
/// # Panics
/// For a value that is not one name.
pub(crate) fn words(variant: &impl Serialize) -> String {
    let value = serde_json::to_value(variant).expect("a name has a JSON form");
    value.as_str().expect("a variant without fields is its name").replace('_', " ")
}

#[cfg(test)]
mod tests {
    use schemas::{Mode, Status};

    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        assert_eq!((words(&Status::InForce), words(&Mode::Act)), ("in force".to_owned(), "act".to_owned()));
    }
}
