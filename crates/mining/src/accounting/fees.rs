//! What is taken from a reward before the miners': a list of named recipients, each with a part in
//! hundredths of a percent. Made from the configuration; an error means that the list makes no
//! sense, and the program does not start.

use std::{fmt, str::FromStr};

use super::hundredths::{self, serde_as_number};

/// A hundred percent, in hundredths of a percent.
const WHOLE: u16 = 10_000;
/// The pool's own fee goes no higher: 10 %.
const POOL_MAX: Percent = Percent(1_000);
/// Whose fee is held to [`POOL_MAX`].
const POOL: &str = "pool";
/// The longest name of a recipient.
const NAME_MAX: usize = 32;
/// The most recipients.
const RECIPIENTS_MAX: usize = 32;

/// A percentage with at most two decimals, from 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

/// A text that is no percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a percentage is a number from 0 to 100 with at most two decimals, such as 1.5")]
pub struct BadPercent;

/// Someone who gets a part of each reward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fee {
    /// By which the ledger, the API and the dashboard call it.
    pub name: String,
    /// Its part.
    pub percent: Percent,
}

/// Fees that together make sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fees {
    list: Vec<Fee>,
    remainder: usize,
}

/// Why fees do not make sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFees {
    /// A name that is no name.
    #[error("{0:?} is no name of a fee: 1 to 32 of a-z, 0-9, - and _")]
    Name(String),
    /// The same name twice.
    #[error("there are two fees named {0:?}")]
    Twice(String),
    /// The pool takes more than 10 %.
    #[error("the pool's fee of {0} % is above 10 %")]
    Pool(Percent),
    /// Nothing would be left.
    #[error("the fees together are more than 100 %")]
    TooMuch,
    /// Too many recipients.
    #[error("more than {RECIPIENTS_MAX} fees")]
    TooMany,
    /// Who gets what cannot be split is not on the list.
    #[error("what cannot be split goes to {0:?}, but there is no fee of this name")]
    NoRemainder(String),
}

impl Percent {
    /// From hundredths of a percent, at most 10,000.
    pub const fn from_hundredths(hundredths: u16) -> Option<Self> {
        if hundredths <= WHOLE {
            Some(Self(hundredths))
        } else {
            None
        }
    }

    /// In hundredths of a percent.
    pub fn hundredths(self) -> u16 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = BadPercent;

    fn from_str(text: &str) -> Result<Self, BadPercent> {
        hundredths::parse(text)
            .and_then(|hundredths| u16::try_from(hundredths).ok())
            .and_then(Self::from_hundredths)
            .ok_or(BadPercent)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hundredths::write(f, self.0.into())
    }
}

serde_as_number!(
    Percent,
    "a percentage from 0 to 100 with at most two decimals"
);

impl Fees {
    /// From a list, and the name of the one on it who gets what cannot be split.
    pub fn new(list: Vec<Fee>, remainder: &str) -> Result<Self, BadFees> {
        if list.len() > RECIPIENTS_MAX {
            return Err(BadFees::TooMany);
        }
        let mut sum = 0;
        for (place, fee) in list.iter().enumerate() {
            let is_plain =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
            if !(1..=NAME_MAX).contains(&fee.name.len()) || !fee.name.bytes().all(is_plain) {
                return Err(BadFees::Name(fee.name.clone()));
            }
            if list[..place].iter().any(|other| other.name == fee.name) {
                return Err(BadFees::Twice(fee.name.clone()));
            }
            if fee.name == POOL && fee.percent > POOL_MAX {
                return Err(BadFees::Pool(fee.percent));
            }
            sum += u32::from(fee.percent.0);
        }
        if sum > u32::from(WHOLE) {
            return Err(BadFees::TooMuch);
        }
        let remainder = list
            .iter()
            .position(|fee| fee.name == remainder)
            .ok_or_else(|| BadFees::NoRemainder(remainder.to_owned()))?;
        Ok(Self { list, remainder })
    }

    /// The recipients, in the order of the configuration.
    pub fn list(&self) -> &[Fee] {
        &self.list
    }

    /// Who gets what cannot be split; its place in the list.
    pub fn remainder(&self) -> usize {
        self.remainder
    }

    /// The parts in which a reward is split: one for each recipient, and the last for the miners.
    pub(super) fn weights(&self) -> Vec<u128> {
        let fees = self.list.iter().map(|fee| fee.percent.0);
        let miners = WHOLE - fees.clone().sum::<u16>();
        fees.chain([miners]).map(u128::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fee(name: &str, percent: &str) -> Fee {
        Fee {
            name: name.into(),
            percent: percent.parse().unwrap(),
        }
    }

    #[test]
    fn percentages_are_read_exactly_and_written_shortly() {
        #[track_caller]
        fn case(text: &str, hundredths: u16, shown: &str) {
            let percent: Percent = text.parse().unwrap();
            assert_eq!(percent.hundredths(), hundredths);
            assert_eq!(percent.to_string(), shown);
        }
        case("1.5", 150, "1.5");
        case("1.50", 150, "1.5");
        case("0", 0, "0");
        case("0.05", 5, "0.05");
        case("100", 10_000, "100");
        case("007", 700, "7");
        case("000001", 100, "1");
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1.555", "100.01", "999", "1e1", "nan", "1,5", " 1",
            "1 %", "0x1", "\u{661}",
        ] {
            assert_eq!(text.parse::<Percent>(), Err(BadPercent), "{text:?}");
        }
        assert_eq!(Percent::from_hundredths(10_001), None);
    }

    #[test]
    fn fees_that_make_no_sense_are_refused() {
        #[track_caller]
        fn case(list: Vec<Fee>, remainder: &str, expected: BadFees) {
            assert_eq!(Fees::new(list, remainder), Err(expected));
        }
        let foundation = || fee("foundation", "1");
        case(
            vec![fee("pool", "10.01"), foundation()],
            "foundation",
            BadFees::Pool(Percent(1001)),
        );
        case(
            vec![foundation(), foundation()],
            "foundation",
            BadFees::Twice("foundation".into()),
        );
        case(
            vec![foundation()],
            "pool",
            BadFees::NoRemainder("pool".into()),
        );
        case(
            vec![],
            "foundation",
            BadFees::NoRemainder("foundation".into()),
        );
        case(
            vec![fee("a", "60"), fee("b", "40.01")],
            "a",
            BadFees::TooMuch,
        );
        for name in ["", "Pool", "a b", "a:b", "\u{e4}", &"x".repeat(33)] {
            case(vec![fee(name, "1")], name, BadFees::Name(name.into()));
        }
        let many = (0..33).map(|n| fee(&format!("f{n}"), "1")).collect();
        case(many, "f0", BadFees::TooMany);
        let fees = Fees::new(vec![fee("pool", "10"), foundation()], "foundation").unwrap();
        assert_eq!(fees.remainder(), 1);
        assert_eq!(fees.weights(), [1000, 100, 8900]);
    }

    #[test]
    fn fees_at_their_limits_are_accepted() {
        let many: Vec<_> = (0..32).map(|n| fee(&format!("f{n}"), "1")).collect();
        assert_eq!(Fees::new(many, "f31").unwrap().remainder(), 31);
        let name = "a-z_0123456789-abcdefghijklmnopq";
        assert_eq!(name.len(), NAME_MAX);
        let whole = vec![fee("pool", "10"), fee(name, "90")];
        assert_eq!(Fees::new(whole, name).unwrap().weights(), [1000, 9000, 0]);
    }

    /// TOML has signed whole numbers, JSON has others, and both have floats.
    #[test]
    fn a_percentage_is_read_from_any_number_or_text() {
        use serde::{Deserialize, de::IntoDeserializer, de::value::Error};
        let signed = |number: i64| {
            let read: Result<_, Error> = Percent::deserialize(number.into_deserializer());
            read.ok().map(Percent::hundredths)
        };
        let cases = [2, 100, 0, 101, -1, i64::MIN];
        let expected = [Some(200), Some(10_000), Some(0), None, None, None];
        assert_eq!(cases.map(signed), expected);
        let json = |text: &str| {
            let read = serde_json::from_str(text);
            read.ok().map(Percent::hundredths)
        };
        let cases = ["2", "1.25", "\"1.5\"", "-1", "-0.5", "100.01", "655.37"];
        let expected = [Some(200), Some(125), Some(150), None, None, None, None];
        assert_eq!(cases.map(json), expected);
    }
}
