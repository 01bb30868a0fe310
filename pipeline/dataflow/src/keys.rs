//! Where a key goes: a hash that is the same in every process and release.

/// FNV-1a, 64 bits. Short keys, no secret: speed and stability are what count.
pub(crate) fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
