//! A service whose limit is CPU: each request is so many rounds of hashing.

use crate::dice::mix;
use crate::server::{Work, parameter};

/// Most rounds of one request: some four seconds of a core, after which a client has given up.
const ROUNDS_MAX: u64 = 1_000_000_000;

/// Hashes `/work?rounds=N` times, or as often as it was told to; one round takes some 4 ns of a core.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    rounds: u64,
}

impl Cpu {
    /// A service that hashes so often where a request does not say.
    #[must_use]
    pub fn new(rounds: u64) -> Self {
        Self { rounds: rounds.min(ROUNDS_MAX) }
    }
}

impl Work for Cpu {
    fn answer(&self, query: &str) -> Result<String, String> {
        let rounds = parameter(query, "rounds")?.unwrap_or(self.rounds);
        if rounds > ROUNDS_MAX {
            return Err(format!("rounds={rounds}: at most {ROUNDS_MAX}"));
        }
        Ok(format!("{:016x}\n", chain(1, rounds)))
    }
}

/// Each round takes the one before as its input, so that none can be left out or done beside another.
fn chain(start: u64, rounds: u64) -> u64 {
    (0..rounds).fold(start, |hash, round| mix(hash ^ round))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_say_how_much_work_it_is() {
        let cpu = Cpu::new(0);
        assert_eq!(cpu.answer("").as_deref(), Ok("0000000000000001\n"), "no round leaves the start");
        // The first round hashes 1 ^ 0.
        assert_eq!(cpu.answer("rounds=1"), Ok(format!("{:016x}\n", mix(1))));
        assert_eq!(Cpu::new(5).answer(""), cpu.answer("rounds=5"));
    }

    #[test]
    fn work_without_end_is_refused() {
        let cpu = Cpu::new(1);
        assert!(cpu.answer("rounds=1000000001").is_err_and(|fault| fault.contains("at most")));
        assert!(cpu.answer("rounds=many").is_err_and(|fault| fault.contains("whole number")));
    }
}
