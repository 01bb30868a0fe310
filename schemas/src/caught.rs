//! Panics that are expected: of libraries that read foreign bytes.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// What is read; none where reading panicked. Whoever ends a process at a panic asks [`is_catching`] first.
pub fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    let before = CATCHING.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(read));
    CATCHING.set(before);
    outcome.ok()
}

/// Whether a panic of this thread would be caught.
#[must_use]
pub fn is_catching() -> bool {
    CATCHING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_is_none_and_only_then_is_a_panic_caught() {
        assert_eq!(caught(is_catching), Some(true));
        assert_eq!(caught(|| caught(|| panic!("expected")).is_none() && is_catching()), Some(true));
        assert!(!is_catching());
    }
}
