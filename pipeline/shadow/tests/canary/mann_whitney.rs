//! The test of Mann and Whitney at one fixed size, as the canaries of others use it: what ours is measured against.

/// Standard normal score of "`canary` tends to be larger", with ties counted half and the variance corrected for them.
/// Zero when all values are the same.
pub(crate) fn score(baseline: &[f64], canary: &[f64]) -> f64 {
    let (n, m) = (baseline.len() as f64, canary.len() as f64);
    let mut all: Vec<(f64, bool)> = baseline.iter().map(|value| (*value, false)).collect();
    all.extend(canary.iter().map(|value| (*value, true)));
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut ranks, mut ties, mut below) = (0.0, 0.0, 0.0);
    for equal in all.chunk_by(|one, other| one.0 == other.0) {
        let count = equal.len() as f64;
        let ours = equal.iter().filter(|(_, canary)| *canary).count() as f64;
        ranks += ours * (below + (count + 1.0) / 2.0);
        ties += count * count * count - count;
        below += count;
    }
    let wins = ranks - m * (m + 1.0) / 2.0;
    let variance = n * m / 12.0 * (n + m + 1.0 - ties / ((n + m) * (n + m - 1.0)));
    if variance > 0.0 { (wins - n * m / 2.0) / variance.sqrt() } else { 0.0 }
}

#[test]
fn the_score_of_a_small_sample_is_right() {
    // 1, 3 against 2, 4: the second wins 3 of 4 pairs, 1 above the mean of 2; variance 2 × 2 × 5 / 12 = 5 / 3.
    assert!((score(&[1.0, 3.0], &[2.0, 4.0]) - 1.0 / (5.0f64 / 3.0).sqrt()).abs() < 1e-12);
    assert_eq!(score(&[1.0, 1.0], &[1.0, 1.0]), 0.0);
}
