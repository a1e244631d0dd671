//! What many numbers say together. Nothing here is money or work, so floats will do.

#![allow(clippy::cast_precision_loss)]

use std::time::Duration;

/// The time within which so many of a hundred came; `sorted` begins with the shortest.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// The means of the second third and of the last.
pub(super) fn thirds(samples: &[u64]) -> (f64, f64) {
    let third = samples.len() / 3;
    assert!(third > 0, "too few samples");
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len() as f64;
    (
        mean(&samples[third..2 * third]),
        mean(&samples[2 * third..]),
    )
}

/// How much a sample is above the one before, by the line with the least squares through all but
/// the first third.
pub(super) fn slope(samples: &[u64]) -> f64 {
    let samples = &samples[samples.len() / 3..];
    let count = samples.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = samples.iter().sum::<u64>() as f64 / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let distance = at as f64 - middle;
        above += distance * (*sample as f64 - mean);
        below += distance * distance;
    }
    above / below
}

#[test]
fn figures_are_those_of_simple_cases() {
    let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
    assert_eq!(percentile(&times, 50), Duration::from_millis(100));
    assert_eq!(percentile(&times, 99), Duration::from_millis(198));
    assert_eq!(percentile(&times, 100), Duration::from_millis(200));
    assert_eq!(percentile(&times[..1], 50), Duration::from_millis(1));
    assert_eq!(thirds(&[9, 9, 1, 3, 5, 7]), (2.0, 6.0));
    let line: Vec<u64> = (0..30).map(|at| 100 + 3 * at).collect();
    assert!((slope(&line) - 3.0).abs() < 1e-9);
    assert!(slope(&[9, 5, 5, 5, 5, 5]).abs() < 1e-9);
}
