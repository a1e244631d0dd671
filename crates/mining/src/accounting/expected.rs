//! What work is worth: exactly of a reward that was split, and on average of rewards to come. Called
//! by the API, which explains credits and estimates earnings. Nothing of it is booked.

use ruint::aliases::U256;

use crate::{Amount, Work};

/// `work`'s exact part of an amount that is split by `total`: its whole units, and what is over of
/// them as the numerator of a fraction below one, whose denominator is `total`. The units that are
/// left of the whole amount go to the largest fractions. Nothing if there is no work at all.
pub fn exact_part(amount: Amount, work: Work, total: Work) -> Option<(Amount, u128)> {
    let total = Some(U256::from(total.hashes())).filter(|total| !total.is_zero())?;
    // 64 bits times 128 bits fit 256.
    let product = U256::from(amount.units()) * U256::from(work.hashes());
    let (units, rest) = product.div_rem(total);
    let rest = u128::try_from(rest).expect("a rest is below its divisor");
    let units = u64::try_from(units).ok()?;
    Some((Amount::from_units(units), rest))
}

/// What `work` done in each `millis` milliseconds brings in `span_ms` on average, where a block of
/// `network`'s work brings `paid`; rounded down. Luck moves it both ways.
///
/// Nothing if there is no network, no time, or more than 64 bits.
pub fn expected(
    paid: Amount,
    work: Work,
    millis: u64,
    network: Work,
    span_ms: u64,
) -> Option<Amount> {
    // 64 bits times 64 bits of time fit 128; with the work they fit 256, and are checked.
    let done = U256::from(work.hashes()).checked_mul(U256::from(span_ms))?;
    let needed = U256::from(network.hashes()).checked_mul(U256::from(millis))?;
    let product = U256::from(paid.units()).checked_mul(done)?;
    let units = product.checked_div(needed)?;
    u64::try_from(units).ok().map(Amount::from_units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(hashes: u128) -> Work {
        Work::from_hashes(hashes)
    }

    #[test]
    fn a_part_is_exact() {
        #[track_caller]
        fn case(amount: u64, of: u128, total: u128, expected: Option<(u64, u128)>) {
            let part = exact_part(Amount::from_units(amount), work(of), work(total));
            let part = part.map(|(amount, rest)| (amount.units(), rest));
            assert_eq!(part, expected);
        }
        case(10, 1, 3, Some((3, 1)));
        case(10, 2, 3, Some((6, 2)));
        case(10, 3, 3, Some((10, 0)));
        case(10, 0, 3, Some((0, 0)));
        case(10, 1, 0, None);
        // A84: nothing wraps.
        case(u64::MAX, u128::MAX, u128::MAX, Some((u64::MAX, 0)));
        case(u64::MAX, u128::MAX, 1, None);
    }

    #[test]
    fn what_is_expected_goes_with_work_and_time() {
        #[track_caller]
        fn case(done: u128, millis: u64, network: u128, units: Option<u64>) {
            const DAY: u64 = 86_400_000;
            let paid = Amount::from_units(5_000);
            let expected = expected(paid, work(done), millis, work(network), DAY);
            assert_eq!(expected.map(Amount::units), units);
        }
        // A block an hour is 24 a day; half of one is half of that.
        case(100, 3_600_000, 100, Some(120_000));
        case(50, 3_600_000, 100, Some(60_000));
        case(1, 86_400_000, 3, Some(1_666));
        case(0, 1, 100, Some(0));
        case(1, 0, 100, None);
        case(1, 1, 0, None);
        case(u128::MAX, 1, 1, None);
    }
}
