//! Seasonal hybrid ESD (Hochenbaum, Vallis and Kejariwal, arXiv 1704.07706), through the crate
//! `anomaly_detection`: the one place that touches it.
//!
//! It takes the seasonal part (STL) and the global median off the series, then runs a generalised extreme studentised
//! deviate test with median and MAD. The crate is GPL-3.0-or-later; without the feature nothing here needs it.

/// Whether this build can judge seasons at all.
pub(crate) const AVAILABLE: bool = cfg!(feature = "seasonal-hybrid-esd");

/// Indices of the outliers, ascending; `None` where the series cannot be judged.
///
/// The caller guarantees what the crate would panic on: all values finite and of moderate size, a period of at
/// least 2. At most 2 % of the points can be outliers: cost grows with that share times the square of the length.
#[cfg(feature = "seasonal-hybrid-esd")]
pub(crate) fn outliers(series: &[f32], period: usize) -> Option<Vec<usize>> {
    /// Chance that a series of normal noise has an outlier at all.
    const SIGNIFICANCE: f32 = 0.05;
    const MAX_OUTLIER_SHARE: f32 = 0.02;
    let mut test = anomaly_detection::params();
    let result = test.alpha(SIGNIFICANCE).max_anoms(MAX_OUTLIER_SHARE).fit(series, period);
    result.ok().map(|result| result.anomalies().to_vec())
}

/// Nothing can be judged without the feature `seasonal-hybrid-esd`.
#[cfg(not(feature = "seasonal-hybrid-esd"))]
pub(crate) fn outliers(_series: &[f32], _period: usize) -> Option<Vec<usize>> {
    None
}
