//! What work is worth: exactly of a reward that was split, and on average of rewards to come. Called
//! by the API, which explains credits and estimates earnings. Nothing of it is booked.

use ruint::aliases::U256;

use crate::{Amount, Work};

/// The whole units of `work`'s part of an amount that is split by `total`, before the units that are
/// left go to the largest fractions. Nothing if there is no work at all.
pub fn whole_part(amount: Amount, work: Work, total: Work) -> Option<Amount> {
    part(amount, U256::from(work.hashes()), U256::from(total.hashes()))
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
    part(paid, done, needed)
}

fn part(amount: Amount, part: U256, whole: U256) -> Option<Amount> {
    let product = U256::from(amount.units()).checked_mul(part)?;
    let units = product.checked_div(whole)?;
    u64::try_from(units).ok().map(Amount::from_units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(hashes: u128) -> Work {
        Work::from_hashes(hashes)
    }

    #[test]
    fn a_part_is_rounded_down() {
        #[track_caller]
        fn case(amount: u64, of: u128, total: u128, expected: Option<u64>) {
            let part = whole_part(Amount::from_units(amount), work(of), work(total));
            assert_eq!(part.map(Amount::units), expected);
        }
        case(10, 1, 3, Some(3));
        case(10, 3, 3, Some(10));
        case(10, 0, 3, Some(0));
        case(10, 1, 0, None);
        // A84: nothing wraps.
        case(u64::MAX, u128::MAX, u128::MAX, Some(u64::MAX));
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
