//! Which partition a key lands on: the same on both logs, and the same as Java's producer chooses.
//!
//! The hash is 32-bit MurmurHash2 with Kafka's seed, made non-negative by clearing its sign bit:
//!
//! ```text
//! partition = (murmur2(key) & 0x7fffffff) mod partitions
//! ```

/// Kafka's seed; any other would scatter its keys over other partitions.
const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// The partition of a key among `partitions`, from 0.
///
/// An empty key hashes like any other: 0x106e08d9 mod 12 = 275646681 mod 12 = 9.
///
/// # Panics
/// When `partitions` is zero: a topic has at least one.
///
/// ```
/// // murmur2("kafka") = 0xd067cf64; without its sign bit 0x5067cf64 = 1348980580, and 1348980580 mod 12 = 4.
/// assert_eq!(topics::partition_of(b"kafka", 12), 4);
/// assert_eq!(topics::partition_of(b"", 12), 9);
/// ```
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    let hash = murmur2(key) & 0x7fff_ffff;
    i32::try_from(hash % partitions).expect("31 bits fit in an i32")
}

fn murmur2(bytes: &[u8]) -> u32 {
    let length = u32::try_from(bytes.len()).expect("a key is shorter than 4 GiB");
    let mut words = bytes.chunks_exact(4);
    let mut hash = SEED ^ length;
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("chunks of four")).wrapping_mul(MULTIPLIER);
        k ^= k >> SHIFT;
        hash = hash.wrapping_mul(MULTIPLIER) ^ k.wrapping_mul(MULTIPLIER);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0u32, |tail, &byte| tail << 8 | u32::from(byte));
        hash = (hash ^ tail).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_own_clients() {
        // The values that Apache Kafka and librdkafka check their own implementations against: lengths 0 to 5 mod 4.
        for (key, hash) in [
            ("", 0x106e_08d9),
            ("1234", 0x9fc9_7b14),
            ("kafka", 0xd067_cf64),
            ("21", (-973_932_308_i32).cast_unsigned()),
            ("foobar", (-790_332_482_i32).cast_unsigned()),
            ("abc", 479_470_107),
            ("giberish123456789", 0x8f55_2b0c),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }
}
