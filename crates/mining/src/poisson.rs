//! How unlikely a number of blocks is where another number was to be expected: tails of the Poisson
//! distribution, in whole numbers alone. Called by [`luck`](crate::luck) and [`orphans`](crate::orphans).
//!
//! Every step is rounded so that what happened looks likelier than it was: nobody is accused by a
//! rounding. The error is below one in 2^80.
//!
//! ```text
//! P(X <= b) = (1 + L + L^2/2! + ... + L^b/b!) / e^L        upwards / downwards
//! ```

use ruint::aliases::U256;

use crate::luck::Expected;

/// As far as it is reckoned: with b steps for b blocks that are some milliseconds.
const MOST: Expected = Expected::whole(1 << 16);

/// What happens by chance once in so many times at least: that there are at most `count` where so many
/// were expected. 1 where there are as many as that.
///
/// Above 65,536 expected it is reckoned with that many, for which `count` is likelier.
pub fn odds_of_at_most(count: u64, expected: Expected) -> u128 {
    let expected = expected.min(MOST);
    if count >= expected.floor() {
        return 1;
    }
    // Not zero: at least one is expected.
    let lambda = Scaled::of(expected);
    let mut term = Scaled::ONE;
    let mut sum = term;
    for k in 1..=count {
        term = term.times(lambda, Round::Up).over(k, Round::Up);
        sum = sum.plus(term, Round::Up);
    }
    exponential(expected).times_of(sum)
}

/// Likewise that there are at least `count`. 1 above 65,536 expected.
pub fn odds_of_at_least(count: u64, expected: Expected) -> u128 {
    if count <= expected.floor() || expected > MOST {
        return 1;
    }
    if expected == Expected::ZERO {
        return u128::MAX;
    }
    let lambda = Scaled::of(expected);
    let next = |term: Scaled, k| term.times(lambda, Round::Up).over(k, Round::Up);
    let mut term = (1..=count).fold(Scaled::ONE, next);
    let mut sum = term;
    // From twice the expected on each term is at most half of the one before, so all that are left are
    // together no more than the last one.
    let halving = expected.floor().saturating_add(1).saturating_mul(2);
    for k in count.saturating_add(1).. {
        term = next(term, k);
        sum = sum.plus(term, Round::Up);
        if k >= halving && term.is_dust_beside(sum) {
            break;
        }
    }
    exponential(expected).times_of(sum.plus(term, Round::Up))
}

/// A number above zero: `mantissa * 2^exponent`, and the highest bit of the mantissa is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scaled {
    mantissa: u128,
    exponent: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Up,
    Down,
}

impl Scaled {
    const ONE: Self = Self {
        mantissa: 1 << 127,
        exponent: -127,
    };

    /// `number * 2^exponent`; the number is not zero.
    fn new(number: U256, exponent: i64, round: Round) -> Self {
        let bits = number.bit_len();
        let shift = i64::try_from(bits).expect("256 bits at most") - 128;
        let mantissa = if bits <= 128 {
            number << (128 - bits)
        } else {
            let cut = number >> (bits - 128);
            let is_exact = cut << (bits - 128) == number;
            cut + U256::from(u8::from(round == Round::Up && !is_exact))
        };
        // Rounded up to 2^128, it is half of that, twice.
        let is_full = mantissa.bit_len() > 128;
        let mantissa = mantissa >> usize::from(is_full);
        Self {
            mantissa: mantissa.try_into().expect("128 bits are left"),
            exponent: exponent + shift + i64::from(is_full),
        }
    }

    /// What is expected, which is not zero.
    fn of(expected: Expected) -> Self {
        Self::new(U256::from(expected.units()), -64, Round::Down)
    }

    fn times(self, other: Self, round: Round) -> Self {
        let product = U256::from(self.mantissa) * U256::from(other.mantissa);
        Self::new(product, self.exponent + other.exponent, round)
    }

    /// Divided by a number above zero.
    fn over(self, divisor: u64, round: Round) -> Self {
        let (quotient, rest) =
            (U256::from(self.mantissa) << 127_usize).div_rem(U256::from(divisor));
        let more = round == Round::Up && !rest.is_zero();
        let quotient = quotient + U256::from(u8::from(more));
        Self::new(quotient, self.exponent - 127, round)
    }

    fn plus(self, other: Self, round: Round) -> Self {
        let (large, small) = if self.exponent >= other.exponent {
            (self, other)
        } else {
            (other, self)
        };
        match usize::try_from(large.exponent - small.exponent) {
            Ok(gap) if gap < 128 => {
                let sum = (U256::from(large.mantissa) << gap) + U256::from(small.mantissa);
                Self::new(sum, small.exponent, round)
            }
            // Below the last bit.
            _ => {
                let more = U256::from(u8::from(round == Round::Up));
                Self::new(U256::from(large.mantissa) + more, large.exponent, round)
            }
        }
    }

    fn is_dust_beside(self, sum: Self) -> bool {
        self.exponent < sum.exponent - 100
    }

    /// How many times the other one fits into it; at least once.
    fn times_of(self, other: Self) -> u128 {
        match self.exponent - other.exponent {
            ..0 => 1,
            gap @ 0..127 => {
                let gap = usize::try_from(gap).expect("it is 0 to 126");
                let times = (U256::from(self.mantissa) << gap) / U256::from(other.mantissa);
                u128::try_from(times).unwrap_or(u128::MAX).max(1)
            }
            _ => u128::MAX,
        }
    }
}

/// e to the power of what is expected, rounded down.
fn exponential(expected: Expected) -> Scaled {
    let mut power = match expected.fraction() {
        0 => Scaled::ONE,
        fraction => series(Scaled::new(U256::from(fraction), -64, Round::Down)),
    };
    let mut square = series(Scaled::ONE);
    let mut left = expected.floor();
    while left > 0 {
        if left % 2 == 1 {
            power = power.times(square, Round::Down);
        }
        square = square.times(square, Round::Down);
        left /= 2;
    }
    power
}

/// e to the power of a number of at most 1, rounded down: no term is below zero.
fn series(power: Scaled) -> Scaled {
    let mut term = Scaled::ONE;
    let mut sum = term;
    for k in 1.. {
        term = term.times(power, Round::Down).over(k, Round::Down);
        if term.exponent < sum.exponent - 128 {
            break;
        }
        sum = sum.plus(term, Round::Down);
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// In hundredths of a block.
    fn expected(hundredths: u128) -> Expected {
        Expected::from_units((hundredths << 64) / 100)
    }

    /// The values are those of 60 digits, made elsewhere: 1 / P, cut.
    #[test]
    fn odds_are_those_of_the_distribution() {
        #[track_caller]
        fn at_most(count: u64, hundredths: u128, odds: u128) {
            assert_eq!(odds_of_at_most(count, expected(hundredths)), odds);
        }
        at_most(0, 100, 2);
        at_most(0, 920, 9_897);
        at_most(0, 922, 10_097);
        at_most(0, 1000, 22_026);
        at_most(0, 2000, 485_165_195);
        at_most(0, 4000, 235_385_266_837_019_985);
        at_most(1, 1000, 2_002);
        at_most(5, 2000, 13_906);
        at_most(6, 2000, 3_919);
        at_most(7, 2000, 1_284);
        at_most(20, 2000, 1);
        at_most(32, 6400, 134_354);
        at_most(192, 25600, 58_000);
        at_most(193, 25600, 43_103);
        at_most(900, 100000, 1_433);
        // As many as expected, and more.
        at_most(1, 100, 1);
        at_most(u64::MAX, 2000, 1);
        at_most(0, 0, 1);
        #[track_caller]
        fn at_least(count: u64, hundredths: u128, odds: u128) {
            assert_eq!(odds_of_at_least(count, expected(hundredths)), odds);
        }
        at_least(1, 1, 100);
        at_least(3, 3, 227_275);
        at_least(3, 15, 1_988);
        at_least(3, 20, 870);
        at_least(3, 25, 462);
        at_least(5, 72, 1_124);
        at_least(6, 144, 272);
        at_least(7, 144, 1_365);
        at_least(27, 1440, 519);
        at_least(30, 1440, 4_616);
        at_least(200, 14400, 168_947);
        // As many as expected, and none at all.
        at_least(1, 100, 1);
        at_least(0, 0, 1);
        at_least(1, 0, u128::MAX);
    }

    #[test]
    fn beyond_its_bounds_nobody_is_called_less_likely_than_he_is() {
        // P(X <= 65,000) is about 0.02 where 65,536 were expected, and nothing where a million were.
        let far = Expected::whole(1_000_000);
        assert_eq!(odds_of_at_most(65_000, far), odds_of_at_most(65_000, MOST));
        assert_eq!(odds_of_at_most(65_536, far), 1);
        assert_eq!(
            odds_of_at_most(0, Expected::from_units(u128::MAX)),
            u128::MAX
        );
        assert_eq!(odds_of_at_least(u64::MAX, far), 1);
    }

    proptest! {
        /// Fewer blocks are less likely, and so are as few where more were expected.
        #[test]
        fn odds_go_with_what_they_are_of(count in 0_u64..300, hundredths in 0_u128..40_000) {
            let here = odds_of_at_most(count, expected(hundredths));
            prop_assert!(odds_of_at_most(count + 1, expected(hundredths)) <= here);
            prop_assert!(odds_of_at_most(count, expected(hundredths + 1)) >= here);
            let here = odds_of_at_least(count, expected(hundredths));
            prop_assert!(odds_of_at_least(count + 1, expected(hundredths)) >= here);
            prop_assert!(odds_of_at_least(count, expected(hundredths + 1)) <= here);
        }

        /// Rounded up is never below what rounded down is, and by no more than a hair above.
        #[test]
        fn roundings_enclose_the_truth(a in 1_u128.., b in 1_u128.., k in 1_u64.., shift in -200_i64..200) {
            let number = |mantissa: u128, exponent| {
                Scaled::new(U256::from(mantissa), exponent, Round::Down)
            };
            let (a, b) = (number(a, 0), number(b, shift));
            for both in [
                [Round::Down, Round::Up].map(|round| a.times(b, round)),
                [Round::Down, Round::Up].map(|round| a.plus(b, round)),
                [Round::Down, Round::Up].map(|round| a.over(k, round)),
            ] {
                let [down, up] = both;
                prop_assert!(down.mantissa >> 127 == 1 && up.mantissa >> 127 == 1);
                let next = Scaled::new(
                    U256::from(down.mantissa) + U256::from(1), down.exponent, Round::Up);
                prop_assert!(up == down || up == next);
            }
        }
    }
}
