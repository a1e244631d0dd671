//! Money as people write it and daemons send it: `0.05`, `12`, `3.00000001`. Read and written
//! exactly, without a float.

use std::fmt;

use crate::Amount;

/// The most digits before the point: no coin has more units than 64 bits hold.
const WHOLE_MAX: usize = 20;

/// A text that is no amount of a coin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no amount: a number with at most {decimals} decimals, such as 0.05")]
pub struct BadCoins {
    text: String,
    decimals: u8,
}

/// An amount, to be written in coins.
#[derive(Clone, Copy, Debug)]
pub struct Coins {
    amount: Amount,
    decimals: u8,
}

impl Amount {
    /// Reads coins: digits, perhaps a point and at most `decimals` digits more. No sign, no exponent.
    pub fn from_coins(text: &str, decimals: u8) -> Result<Self, BadCoins> {
        let read = || {
            let (whole, fraction) = match text.split_once('.') {
                Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
                Some(_) => return None,
                None => (text, ""),
            };
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let fits = !whole.is_empty()
                && whole.len() <= WHOLE_MAX
                && fraction.len() <= usize::from(decimals)
                && is_number(whole)
                && is_number(fraction);
            if !fits {
                return None;
            }
            let missing = usize::from(decimals) - fraction.len();
            let digits = whole.to_owned() + fraction + &"0".repeat(missing);
            digits.parse().ok().map(Self::from_units)
        };
        read().ok_or_else(|| BadCoins {
            text: text.chars().take(64).collect(),
            decimals,
        })
    }

    /// In coins, with all decimals: as daemons want it.
    pub fn in_coins(self, decimals: u8) -> Coins {
        Coins {
            amount: self,
            decimals,
        }
    }
}

impl fmt::Display for Coins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.decimals);
        let digits = format!("{:0>1$}", self.amount.units(), decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        f.write_str(whole)?;
        if !fraction.is_empty() {
            write!(f, ".{fraction}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn coins_are_read_exactly() {
        #[track_caller]
        fn case(text: &str, units: u64, shown: &str) {
            let amount = Amount::from_coins(text, 8).unwrap();
            assert_eq!(amount.units(), units);
            assert_eq!(amount.in_coins(8).to_string(), shown);
        }
        case("0", 0, "0.00000000");
        case("0.05", 5_000_000, "0.05000000");
        case("12", 1_200_000_000, "12.00000000");
        case("0.00000001", 1, "0.00000001");
        case("20999999.9769", 2_099_999_997_690_000, "20999999.97690000");
        case("184467440737.09551615", u64::MAX, "184467440737.09551615");
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "nan",
            "inf",
            "1,5",
            " 1",
            "0x1",
            "0.000000001",
            "184467440737.09551616",
            "\u{661}",
            "1.2.3",
        ] {
            assert!(Amount::from_coins(text, 8).is_err(), "{text:?}");
        }
        assert_eq!(Amount::from_coins("7", 0), Ok(Amount::from_units(7)));
        assert_eq!(Amount::from_units(7).in_coins(0).to_string(), "7");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(units: u64, decimals in 0_u8..19) {
            let amount = Amount::from_units(units);
            let text = amount.in_coins(decimals).to_string();
            prop_assert_eq!(Amount::from_coins(&text, decimals), Ok(amount));
        }
    }
}
