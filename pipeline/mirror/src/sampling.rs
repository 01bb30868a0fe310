//! Which requests are in the share: a function of the request's id, so that every mirror of a fleet picks the same ones.
//!
//! An id's point lies evenly in [0, 1); the request is in the share p when its point is below p. So a larger share adds
//! requests and takes none away, and the requests of a probe are comparable from share to share.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;

/// The header that carries a request's id.
const ID: &str = "x-request-id";

/// Gives points to requests.
#[derive(Debug)]
pub(crate) struct Sampling {
    /// The points of requests without an id come from a count of them: evenly spread, and the same at each start.
    unnamed: AtomicU64,
}

impl Sampling {
    pub(crate) fn new() -> Self {
        Self { unnamed: AtomicU64::new(0) }
    }

    /// The point of a request.
    pub(crate) fn point(&self, headers: &HeaderMap) -> f64 {
        match headers.get(ID) {
            Some(id) => point(hash(id.as_bytes())),
            None => point(self.unnamed.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// FNV-1a (Fowler, Noll, Vo): ids are short, and its bits need only be mixed once more.
fn hash(id: &[u8]) -> u64 {
    id.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Mixes (the finaliser of SplitMix64) and takes the upper 53 bits, as many as a double tells apart.
fn point(mut bits: u64) -> f64 {
    bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<f64> {
        let sampling = Sampling::new();
        let named = |id: u32| {
            let mut headers = HeaderMap::new();
            headers.insert(ID, format!("request-{id}").parse().expect("a header"));
            sampling.point(&headers)
        };
        (0..10_000).map(named).collect()
    }

    #[test]
    fn a_share_of_the_ids_is_sampled_and_always_the_same() {
        let points = points();
        assert_eq!(points, self::points());
        for share in [0.01, 0.1, 0.5] {
            let sampled = points.iter().filter(|point| **point < share).count() as f64 / 10_000.0;
            // The deviation of a share of 10 000 draws is √(p(1−p)/10 000), at most 0.005: within four of it.
            assert!(
                (sampled - share).abs() < 4.0 * (share * (1.0 - share) / 10_000.0_f64).sqrt(),
                "{share}: {sampled}"
            );
        }
        assert!(points.iter().all(|point| (0.0..1.0).contains(point)), "none in 0, all in 1");
    }

    #[test]
    fn requests_without_an_id_are_spread_too() {
        let sampling = Sampling::new();
        let sampled = (0..10_000).filter(|_| sampling.point(&HeaderMap::new()) < 0.25).count();
        // 2500 ± 4 · 43.
        assert!((2_327..=2_673).contains(&sampled), "{sampled}");
    }
}
