//! The one way in which anything is split: everyone gets the whole units of its part, and the units
//! that are left go to the largest fractions, one each. What is split is all given, to the unit.
//!
//! Called for rewards ([`super::Credits`]) and for the share at the edge of a window
//! ([`super::window`]).

use std::cmp::Reverse;

use ruint::aliases::U256;

/// Splits `total` in proportion to `weights`; the parts add up to `total`. Of equal fractions the
/// one that stands first gets its unit first, so that the same input always gives the same parts.
///
/// Nothing if the weights are all zero, or their sum does not fit 128 bits.
pub fn apportion(total: u128, weights: &[u128]) -> Option<Vec<u128>> {
    let sum = weights
        .iter()
        .try_fold(0_u128, |sum, weight| sum.checked_add(*weight))
        .filter(|sum| *sum > 0)?;
    let divisor = U256::from(sum);
    let mut given = 0;
    let mut parts = Vec::with_capacity(weights.len());
    let mut fractions = Vec::with_capacity(weights.len());
    for (place, weight) in weights.iter().enumerate() {
        // 128 bits times 128 bits fit 256.
        let product = U256::from(total) * U256::from(*weight);
        let (part, fraction) = product.div_rem(divisor);
        let part: u128 = part.try_into().expect("a part is not above the total");
        let fraction: u128 = fraction.try_into().expect("a rest is below its divisor");
        given += part;
        parts.push(part);
        fractions.push((Reverse(fraction), place));
    }
    // The fractions add up to a whole number of units, below the number of weights.
    let left = usize::try_from(total - given).expect("fewer units are left than there are parts");
    fractions.select_nth_unstable(left);
    for (_, place) in &fractions[..left] {
        parts[*place] += 1;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a83_all_is_given_and_the_largest_fractions_get_the_rest() {
        #[track_caller]
        fn case(total: u128, weights: &[u128], expected: &[u128]) {
            assert_eq!(apportion(total, weights).as_deref(), Some(expected));
        }
        case(10, &[1, 1, 1], &[4, 3, 3]);
        case(10, &[1, 2, 4], &[1, 3, 6]);
        case(1, &[1, 2, 2], &[0, 1, 0]);
        case(3, &[1, 0, 1], &[2, 0, 1]);
        case(0, &[1, 2], &[0, 0]);
        case(5, &[7], &[5]);
        case(u128::MAX, &[1, 1], &[u128::MAX / 2 + 1, u128::MAX / 2]);
        case(u128::MAX, &[u128::MAX], &[u128::MAX]);
        case(312_500_000, &[1 << 127, 1, 0], &[312_500_000, 0, 0]);
    }

    #[test]
    fn a84_what_cannot_be_split_is_not() {
        assert_eq!(apportion(10, &[]), None);
        assert_eq!(apportion(10, &[0, 0]), None);
        assert_eq!(apportion(10, &[u128::MAX, 1]), None);
    }

    #[test]
    fn a83_a_reward_among_ten_thousand() {
        for total in [312_500_000, 3, 1, 0] {
            let weights: Vec<u128> = (0..10_007).map(|n| n * n + 1).collect();
            let parts = apportion(total, &weights).unwrap();
            assert_eq!(parts.iter().sum::<u128>(), total);
        }
    }

    proptest! {
        #[test]
        fn a83_no_part_is_a_unit_away_from_its_due(
            total: u64,
            weights in prop::collection::vec(0_u128..1 << 90, 1..50),
        ) {
            let sum: u128 = weights.iter().sum();
            prop_assume!(sum > 0);
            let total = u128::from(total);
            let parts = apportion(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().sum::<u128>(), total);
            for (part, weight) in parts.iter().zip(&weights) {
                let due = U256::from(total) * U256::from(*weight);
                let got = U256::from(*part) * U256::from(sum);
                prop_assert!(got.abs_diff(due) < U256::from(sum));
            }
        }

        #[test]
        fn who_did_more_never_gets_less(
            total: u64,
            weights in prop::collection::vec(0_u128..1000, 2..20),
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let parts = apportion(total.into(), &weights).unwrap();
            for (a, more) in weights.iter().enumerate() {
                for (b, less) in weights.iter().enumerate() {
                    prop_assert!(more <= less || parts[a] >= parts[b]);
                }
            }
        }
    }
}
