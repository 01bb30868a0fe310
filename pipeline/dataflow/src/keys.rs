//! Where a key goes: a hash that is the same in every process and release.

/// Key ranges: the grain in which state is kept and handed to another number of workers.
pub(crate) const RANGES: u64 = 64;

/// The range that a key lies in. The worker that has the range has the key: the range modulo the number of workers.
pub(crate) fn range(key: &str) -> u64 {
    hash(key) % RANGES
}

/// FNV-1a, 64 bits. Short keys, no secret: speed and stability are what count.
fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
