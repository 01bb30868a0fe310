//! How many copies may be under way, and how many bytes they may hold: taken before the first byte is copied.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an audience's copies may take.
#[derive(Debug)]
pub(crate) struct Budget {
    copies_max: usize,
    bytes_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    copies: usize,
    bytes: usize,
}

/// A place for one copy and its bytes, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

/// Which bound was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    Copies,
    Bytes,
}

impl Budget {
    pub(crate) fn new(copies_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { copies_max, bytes_max, taken: Mutex::default() })
    }

    /// A place for a copy of at most so many bytes.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Result<Lease, Short> {
        let mut taken = self.lock();
        if taken.copies >= self.copies_max {
            return Err(Short::Copies);
        }
        if bytes > self.bytes_max - taken.bytes {
            return Err(Short::Bytes);
        }
        taken.copies += 1;
        taken.bytes += bytes;
        Ok(Lease { budget: Arc::clone(self), bytes })
    }

    /// Copies that are under way.
    pub(crate) fn copies(&self) -> usize {
        self.lock().copies
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Sums are changed in one step each: a panic elsewhere leaves none half-way.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut taken = self.budget.lock();
        taken.copies -= 1;
        taken.bytes -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_what_is_given_back_can_be_taken_again() {
        let budget = Budget::new(2, 100);
        let first = budget.take(60).expect("room");
        assert_eq!(budget.take(41).err(), Some(Short::Bytes));
        let second = budget.take(40).expect("room to the last byte");
        assert_eq!(budget.take(0).err(), Some(Short::Copies));
        drop(first);
        drop(budget.take(60).expect("the first one's room"));
        drop(second);
        assert_eq!(budget.copies(), 0);
    }
}
