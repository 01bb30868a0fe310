//! The benchmark's rule: what a detection is worth, and the threshold that is best over a corpus.
//!
//! ```text
//! σ(p) = 2/(1 + e^5p) - 1, and -1 beyond p = 3
//! in a window of w rows with last row r:    row i is worth  A_tp · σ(-(r - i + 1)/w) / σ(-1);  the window earns the
//!                                           greatest worth of its detections, or -A_fn without one
//! outside:                                  every detection costs A_fp · σ((i - r)/(w - 1)) with r and w of the window
//!                                           before it, or A_fp before the first
//! score = 100 (S - S_null)/(S_perfect - S_null),   S_null = -A_fn a window,   S_perfect = A_tp a window
//! ```
//!
//! The first min(15 %, 750) rows are probation and count for nothing.

use super::corpus::File;

/// Rows of probation, as a part of the file.
const PROBATION_PART: f64 = 0.15;

/// Rows of a file from which on probation grows no longer.
const PROBATION_FILE_ROWS: usize = 5000;

/// What hits, misses and false alarms are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Its name in the verdict.
    pub name: &'static str,
    /// What the earliest detection of a window earns.
    pub hit: f64,
    /// What a window without a detection costs.
    pub miss: f64,
    /// What a detection far from any window costs.
    pub false_alarm: f64,
}

/// The benchmark's profiles.
pub const PROFILES: [Profile; 3] = [
    Profile { name: "standard", hit: 1.0, miss: 1.0, false_alarm: 0.11 },
    Profile { name: "reward_low_fp", hit: 1.0, miss: 1.0, false_alarm: 0.22 },
    Profile { name: "reward_low_fn", hit: 1.0, miss: 2.0, false_alarm: 0.11 },
];

/// A file's rows after probation, as the rule sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Whether the file measures a cloud resource.
    pub cloud: bool,
    windows: usize,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    score: f64,
    /// The window that the row lies in.
    window: Option<usize>,
    /// σ, over σ(-1) in a window.
    worth: f64,
}

/// How a corpus scores at a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operating {
    /// What a score has to reach to be a detection.
    pub threshold: f64,
    /// The normalised score.
    pub score: f64,
    /// Rows that reach the threshold.
    pub detections: usize,
}

/// How many first rows of a file are probation.
#[must_use]
pub fn probation(rows: usize) -> usize {
    (PROBATION_PART * rows.min(PROBATION_FILE_ROWS) as f64).floor() as usize
}

impl Scored {
    /// A file's rows with the score of each.
    #[must_use]
    pub fn new(file: &File, scores: &[f64]) -> Self {
        let skipped = probation(file.rows.len());
        let point = |(at, &score)| {
            let (window, worth) = worth(file, at);
            Point { score, window, worth }
        };
        let points = scores.iter().enumerate().skip(skipped).map(point).collect();
        Self { cloud: file.is_cloud(), windows: file.windows.len(), points }
    }
}

/// The best threshold of a profile over files, the highest of equals; a score of 0 is never a detection.
#[must_use]
pub fn sweep(files: &[&Scored], profile: &Profile) -> Operating {
    let mut ledger = Ledger::new(files, profile);
    let points = descending(files);
    let mut best = ledger.operating(f64::INFINITY);
    for (at, &(file, point)) in points.iter().enumerate() {
        ledger.detect(file, point);
        // Equal scores pass a threshold together.
        let whole = points.get(at + 1).is_none_or(|(_, next)| next.score < point.score);
        let operating = ledger.operating(point.score);
        if whole && operating.score > best.score {
            best = operating;
        }
    }
    best
}

/// The score of a profile over files at a threshold.
#[must_use]
pub fn score_at(files: &[&Scored], profile: &Profile, threshold: f64) -> Operating {
    let mut ledger = Ledger::new(files, profile);
    let passing = descending(files).into_iter().take_while(|(_, point)| point.score >= threshold);
    passing.for_each(|(file, point)| ledger.detect(file, point));
    ledger.operating(threshold)
}

/// What has been earned so far.
struct Ledger<'a> {
    profile: &'a Profile,
    windows: usize,
    sum: f64,
    /// What each window of each file earns.
    earned: Vec<Vec<f64>>,
    detections: usize,
}

impl<'a> Ledger<'a> {
    fn new(files: &[&Scored], profile: &'a Profile) -> Self {
        let windows: usize = files.iter().map(|file| file.windows).sum();
        let earned = files.iter().map(|file| vec![-profile.miss; file.windows]).collect();
        Self { profile, windows, sum: -profile.miss * windows as f64, earned, detections: 0 }
    }

    fn detect(&mut self, file: usize, point: &Point) {
        self.detections += 1;
        match point.window {
            None => self.sum += self.profile.false_alarm * point.worth,
            Some(window) => {
                let worth = self.profile.hit * point.worth;
                let earned = &mut self.earned[file][window];
                self.sum += (worth - *earned).max(0.0);
                *earned = earned.max(worth);
            }
        }
    }

    fn operating(&self, threshold: f64) -> Operating {
        let null = -self.profile.miss * self.windows as f64;
        let perfect = self.profile.hit * self.windows as f64;
        let score = if self.windows == 0 { 0.0 } else { 100.0 * (self.sum - null) / (perfect - null) };
        Operating { threshold, score, detections: self.detections }
    }
}

/// The points with a score, from the highest down, each with its file's place.
fn descending<'a>(files: &[&'a Scored]) -> Vec<(usize, &'a Point)> {
    let of_file = |(place, file): (usize, &&'a Scored)| file.points.iter().map(move |point| (place, point));
    let mut points: Vec<_> =
        files.iter().enumerate().flat_map(of_file).filter(|(_, point)| point.score > 0.0).collect();
    points.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
    points
}

/// The window of a row, and what a detection there is worth before the profile's costs.
fn worth(file: &File, at: usize) -> (Option<usize>, f64) {
    let width = |place: usize| (file.windows[place].right - file.windows[place].left + 1) as f64;
    if let Some(place) = file.windows.iter().position(|window| (window.left..=window.right).contains(&at)) {
        let rest = (file.windows[place].right - at + 1) as f64;
        return (Some(place), sigma(-rest / width(place)) / sigma(-1.0));
    }
    let before = file.windows.iter().rposition(|window| window.right < at);
    let past = before.map_or(f64::INFINITY, |place| (at - file.windows[place].right) as f64 / (width(place) - 1.0));
    (None, sigma(past))
}

/// What a detection is worth at a relative position: -1 at a window's first row, 0 behind its last, then falling.
fn sigma(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::nab::corpus::{Row, Window};

    /// 100 rows, of which 15 are probation, and a window of rows 40 to 49.
    fn file() -> File {
        let row = |at| Row { timestamp: format!("t{at}"), value: 0.0 };
        let windows = vec![Window { left: 40, right: 49 }];
        File { name: "realTweets/a.csv".to_owned(), rows: (0..100).map(row).collect(), windows }
    }

    /// Scores with the given rows at 0.5 and all others at 0.
    fn detections(rows: &[usize]) -> Scored {
        let file = file();
        let scores: Vec<f64> = (0..100).map(|at| if rows.contains(&at) { 0.5 } else { 0.0 }).collect();
        Scored::new(&file, &scores)
    }

    fn standard(rows: &[usize]) -> f64 {
        score_at(&[&detections(rows)], &PROFILES[0], 0.5).score
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn sigma_is_as_the_benchmark_documents_it() {
        for (position, expected) in [(-1.0, 0.98661), (-0.5, 0.84828), (0.0, 0.0), (1.0, -0.98661), (3.1, -1.0)] {
            assert!((sigma(position) - expected).abs() < 1e-5, "{position}");
        }
    }

    #[test]
    fn null_and_perfect_are_0_and_100() {
        assert!(close(standard(&[]), 0.0));
        // Row 40 is 10 of 10 rows before the end: σ(-1)/σ(-1) = 1.
        assert!(close(standard(&[40]), 100.0));
    }

    #[test]
    fn a_window_earns_its_earliest_detection_once() {
        // Row 45: (49 - 45 + 1)/10 = 0.5 of the window: σ(-0.5)/σ(-1) = 0.84828/0.98661 = 0.85979, so
        // 100 · (0.85979 + 1)/2.
        assert!((standard(&[45, 46, 49]) - 92.990).abs() < 1e-3);
    }

    #[test]
    fn false_alarms_cost_more_with_distance() {
        // Before the first window -0.11, far behind it -0.11, probation nothing: 100 · (1 - 0.22 + 1)/2 = 89.
        assert!(close(standard(&[3, 20, 40, 99]), 89.0));
        // Row 58 is (58 - 49)/(10 - 1) = 1 window behind: 0.11 · -0.98661 = -0.108527; 100 · (2 - 0.108527)/2 = 94.5736.
        assert!((standard(&[40, 58]) - 94.5736).abs() < 1e-3);
    }

    #[test]
    fn profiles_differ_in_what_they_punish() {
        let scored = detections(&[20]);
        // One miss and one false alarm: 100 · -0.11/2, 100 · -0.22/2, 100 · -0.11/3.
        let scores = PROFILES.map(|profile| score_at(&[&scored], &profile, 0.5).score);
        assert!(scores.iter().zip([-5.5, -11.0, -11.0 / 3.0]).all(|(a, b)| close(*a, b)), "{scores:?}");
    }

    #[test]
    fn one_threshold_over_all_files() {
        let file = file();
        let scores = |hit: f64, noise: f64| -> Vec<f64> {
            (0..100)
                .map(|at| {
                    if at == 40 {
                        hit
                    } else if at == 20 {
                        noise
                    } else {
                        0.0
                    }
                })
                .collect()
        };
        let quiet = Scored::new(&file, &scores(0.4, 0.1));
        let loud = Scored::new(&file, &scores(0.9, 0.6));
        // At 0.4 both windows and one false alarm: 100 · (2 - 0.11 + 2)/4; at 0.9 one window: 50.
        let best = sweep(&[&quiet, &loud], &PROFILES[0]);
        assert!(close(best.threshold, 0.4) && close(best.score, 97.25) && best.detections == 3, "{best:?}");
    }

    #[test]
    fn probation_ends_at_750_rows() {
        assert_eq!([probation(100), probation(4032), probation(5000), probation(22695)], [15, 604, 750, 750]);
    }
}
