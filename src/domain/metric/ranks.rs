//! The rank test of Mann and Whitney: whether one group of numbers really lies higher than another,
//! whatever their distribution. It keeps noise from deciding.

use std::fmt;

use serde::{Deserialize, Serialize};

/// With fewer numbers in either group the normal approximation is no good, and nothing is said.
const ENOUGH: usize = 20;

/// What chance brings about less often than this is not chance.
const LEVEL: f64 = 0.05;

/// In which direction a difference would be bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Higher,
    Lower,
}

/// How the test came out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ranks {
    pub canary: usize,
    pub baseline: usize,
    /// How often chance alone would show as much.
    pub p: f64,
}

impl Ranks {
    /// One-sided, by the normal approximation with ties and continuity corrected. `None` if a group
    /// is too small.
    pub fn of(canary: &[f64], baseline: &[f64], bad: Side) -> Option<Self> {
        if canary.len() < ENOUGH || baseline.len() < ENOUGH {
            return None;
        }
        let (n, m) = (canary.len() as f64, baseline.len() as f64);
        let (rank_sum, ties) = rank_sum(canary, baseline);
        let u = rank_sum - n * (n + 1.0) / 2.0;
        let u = match bad {
            Side::Higher => u,
            Side::Lower => n * m - u,
        };
        let all = n + m;
        let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
        let p = if variance <= 0.0 {
            // All numbers are the same.
            1.0
        } else {
            upper_tail((u - n * m / 2.0 - 0.5) / variance.sqrt())
        };
        Some(Self { canary: canary.len(), baseline: baseline.len(), p })
    }

    pub fn is_significant(&self) -> bool {
        self.p < LEVEL
    }
}

impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { canary, baseline, p } = self;
        write!(f, "rank test of {canary} against {baseline} samples: p = {p:.2}")
    }
}

/// The sum of the first group's ranks, equal numbers sharing theirs, and what the ties take from the
/// variance: the sum of t³ − t.
fn rank_sum(first: &[f64], second: &[f64]) -> (f64, f64) {
    let mine = first.iter().map(|value| (*value, true));
    let mut all: Vec<_> = mine.chain(second.iter().map(|value| (*value, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut ties, mut at) = (0.0, 0.0, 0);
    while at < all.len() {
        let same = all[at..].iter().take_while(|other| other.0 == all[at].0).count();
        let rank = at as f64 + (same as f64 + 1.0) / 2.0;
        sum += rank * all[at..at + same].iter().filter(|(_, mine)| *mine).count() as f64;
        ties += (same as f64).powi(3) - same as f64;
        at += same;
    }
    (sum, ties)
}

/// How much of the normal distribution lies above: Abramowitz and Stegun, 26.2.17, to 7.5e-8.
fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = series.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (density * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(from: u32, step: f64) -> Vec<f64> {
        (0..24).map(|at| f64::from(from) + f64::from(at) * step).collect()
    }

    #[test]
    fn the_normal_distribution_is_as_the_tables_have_it() {
        for (z, p) in [(0.0, 0.5), (1.0, 0.158_655), (1.644_854, 0.05), (2.326_348, 0.01)] {
            assert!((upper_tail(z) - p).abs() < 1e-5, "{z}");
            assert!((upper_tail(-z) - (1.0 - p)).abs() < 1e-5, "-{z}");
        }
    }

    /// The figure comes from the same formula with an exact error function.
    #[test]
    fn it_agrees_with_the_reference() {
        let canary: Vec<f64> = (0..24).map(|at| f64::from(at * 7 % 24) + 3.0).collect();
        let baseline: Vec<f64> = (0..24).map(|at| f64::from(at * 5 % 24)).collect();
        let ranks = Ranks::of(&canary, &baseline, Side::Higher).expect("enough");
        assert!((ranks.p - 0.083_439).abs() < 1e-5, "{ranks}");
        let other = Ranks::of(&baseline, &canary, Side::Lower).expect("enough");
        assert!((ranks.p - other.p).abs() < 1e-12, "seen from the other side it is the same");
    }

    #[test]
    fn what_lies_clearly_higher_is_found_and_what_is_the_same_is_not() {
        let low = line(1, 0.1);
        let high = line(5, 0.1);
        assert!(Ranks::of(&high, &low, Side::Higher).expect("enough").is_significant());
        assert!(!Ranks::of(&high, &low, Side::Lower).expect("enough").is_significant());
        assert!(!Ranks::of(&low, &low, Side::Higher).expect("enough").is_significant());
        let flat = vec![1.0; 30];
        assert_eq!(Ranks::of(&flat, &flat, Side::Higher).expect("enough").p, 1.0);
    }

    #[test]
    fn too_few_say_nothing() {
        assert_eq!(Ranks::of(&line(1, 1.0)[..19], &line(1, 1.0), Side::Higher), None);
        assert_eq!(Ranks::of(&line(1, 1.0), &line(1, 1.0)[..19], Side::Higher), None);
        assert!(Ranks::of(&line(1, 1.0)[..20], &line(1, 1.0)[..20], Side::Higher).is_some());
    }
}
