//! A service whose limit is memory: each request reads one entry of its data, from a cache where it is held.
//!
//! A miss makes the entry anew, which costs CPU; a hit only touches it. With a cache as large as the data every request
//! hits once the cache is warm; a cache of half the data misses every other time. Each key has one place in the cache,
//! so memory never grows beyond the cache.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::dice::mix;
use crate::server::{Work, parameter};

/// Bytes of an entry: sixteen pages, so that a cache of a gigabyte has no more than 16 384 places.
const ENTRY_BYTES: usize = 65_536;
const ENTRY_WORDS: usize = ENTRY_BYTES / size_of::<u64>();

/// Rounds of hashing for a word of an entry that is not in the cache: a miss costs about 1 ms of a core, a hit 5 µs.
const MISS_ROUNDS: u64 = 80;

/// Reads `/work?key=K`, or a key of its own choice, evenly spread.
#[derive(Debug)]
pub struct Memory {
    /// The place of a key is its number modulo that of the places.
    cache: Vec<Mutex<Option<Entry>>>,
    keys: u64,
    turn: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    key: u64,
    words: Box<[u64]>,
}

impl Memory {
    /// A service with so many bytes of data, of which so many are held. Both are rounded up to whole entries.
    #[must_use]
    pub fn new(data_bytes: u64, cache_bytes: u64) -> Self {
        let entries = |bytes: u64| bytes.div_ceil(ENTRY_BYTES as u64).max(1);
        let places = entries(cache_bytes).min(entries(data_bytes));
        let cache = (0..places).map(|_| Mutex::default()).collect();
        Self { cache, keys: entries(data_bytes), turn: AtomicU64::new(0) }
    }
}

impl Work for Memory {
    fn answer(&self, query: &str) -> Result<String, String> {
        let turn = || mix(self.turn.fetch_add(1, Ordering::Relaxed));
        let key = parameter(query, "key")?.unwrap_or_else(turn) % self.keys;
        let place = &self.cache[usize::try_from(key).unwrap_or(usize::MAX) % self.cache.len()];
        // A thread that panicked left a whole entry or none.
        let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = held.as_ref().is_some_and(|entry| entry.key == key);
        if !hit {
            *held = Some(Entry::make(key));
        }
        let sum = held.as_ref().map_or(0, Entry::sum);
        Ok(format!("{key} {sum:016x} {}\n", if hit { "hit" } else { "miss" }))
    }
}

impl Entry {
    fn make(key: u64) -> Self {
        let word = |at: u64| (0..MISS_ROUNDS).fold(key ^ at, |hash, _| mix(hash));
        Self { key, words: (0..ENTRY_WORDS as u64).map(word).collect() }
    }

    /// Touches every page.
    fn sum(&self) -> u64 {
        self.words.iter().fold(0, |sum, word| sum.wrapping_add(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(memory: &Memory, key: u64) -> String {
        memory.answer(&format!("key={key}")).expect("a key")
    }

    #[test]
    fn a_cache_that_holds_all_data_misses_each_key_once() {
        let memory = Memory::new(4 * ENTRY_BYTES as u64, 4 * ENTRY_BYTES as u64);
        let misses = (0..12).filter(|at| ask(&memory, at % 4).contains("miss")).count();
        assert_eq!(misses, 4);
    }

    #[test]
    fn a_small_cache_gives_the_same_answers_and_misses_more() {
        let (small, large) = (Memory::new(262_144, 65_536), Memory::new(262_144, 262_144));
        let value = |answer: String| answer.rsplit_once(' ').map(|(value, _)| value.to_owned());
        for at in 0..8 {
            // One place for four keys that come in turn: never the one that is held.
            let answer = ask(&small, at % 4);
            assert!(answer.contains("miss"), "{answer}");
            assert_eq!(value(answer), value(ask(&large, at % 4)));
        }
    }

    #[test]
    fn keys_of_its_own_choice_spread_over_the_data() {
        let memory = Memory::new(16 * ENTRY_BYTES as u64, 16 * ENTRY_BYTES as u64);
        // 160 draws of 16 keys leave one out with a chance of 16 · (15/16)^160 = 0.05 %; the draws are fixed.
        let misses = (0..160).filter(|_| memory.answer("").is_ok_and(|answer| answer.contains("miss"))).count();
        assert_eq!(misses, 16);
    }
}
