//! The password of a login, where miners write their wishes: `x`, `d=64`, `x, diff=200`,
//! `c=BTC,m=solo,sd=0.001`.
//!
//! Called for each `mining.authorize`, after the name has been parsed. It never fails: a wish that
//! cannot be read is put on a short list for a message to the miner, and mining goes on without it.
//!
//! | key | wish |
//! |---|---|
//! | `d`, `diff` | this difficulty and no other |
//! | `md`, `mindiff` | never an easier one |
//! | `sd` | begin with this one |
//! | `th` | begin as fits so many TH/s |
//! | `c`, `coin` | the coin to be paid in |
//! | `m`, `mode` | `solo`, `pplns`, `pps`, `fpps` or `prop` |
//! | `ln`, `lnaddr` | a Lightning address |
//! | `e`, `email` | where to write to |
//! | `w`, `worker` | the device's name |

use std::fmt;

use pow::ProofOfWork;

use crate::{
    Difficulty,
    decimal::{BadDecimal, Decimal},
    username::worker_name,
};

/// The longest text that is kept, which is more than the longest e-mail address that works (254).
const TEXT_LEN_MAX: usize = 256;
/// So many faults are told; a miner with more has written no wishes but a password.
const IGNORED_MAX: usize = 4;
/// So much of a faulty wish is repeated in a message.
const SHOWN_LEN_MAX: usize = 24;
/// Hashes in a second for each TH/s.
const TERA: u64 = 1_000_000_000_000;

/// What a password says. What it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The first part without a key: the password itself.
    pub literal: Option<String>,
    /// The only difficulty the miner wants.
    pub fixed: Option<Difficulty>,
    /// The easiest difficulty the miner wants.
    pub min: Option<Difficulty>,
    /// The difficulty to begin with; [`start_difficulty`](Self::start_difficulty) heeds the
    /// hashrate too.
    pub start: Option<Difficulty>,
    /// What the miner says it does, in hashes per second.
    pub hashrate: Option<u128>,
    /// The coin, as it was written: a name or a symbol.
    pub coin: Option<String>,
    /// How the miner wants to be paid.
    pub mode: Option<Mode>,
    /// A Lightning address, as it was written.
    pub lightning: Option<String>,
    /// An e-mail address, as it was written.
    pub email: Option<String>,
    /// The device's name, in the characters of [`Username`](crate::username::Username).
    pub worker: Option<String>,
    /// What could not be heeded, in order; no more than four.
    pub ignored: Vec<Ignored>,
}

/// How rewards are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// To whom finds the block.
    Solo,
    /// By the last shares before a block.
    Pplns,
    /// A price for each share.
    Pps,
    /// A price for each share, fees included.
    Fpps,
    /// By the shares of a round.
    Prop,
}

/// A part of a password that changes nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its beginning, with `?` for what is not printable ASCII.
    pub part: String,
    /// Why.
    pub fault: Fault,
}

/// What is wrong with a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No key of the table.
    #[error("no such option")]
    UnknownKey,
    /// No mode of the table.
    #[error("not one of solo, pplns, pps, fpps, prop")]
    UnknownMode,
    /// The key has been there before.
    #[error("said before")]
    Again,
    /// No number above zero.
    #[error(transparent)]
    Number(#[from] BadDecimal),
    /// Nothing behind the `=`.
    #[error("empty")]
    Empty,
    /// A text longer than is kept.
    #[error("longer than {TEXT_LEN_MAX} characters")]
    TooLong,
    /// A text with characters that are not kept.
    #[error("not printable ASCII")]
    NotPrintable,
}

impl Options {
    /// Reads a password. Parts are separated by `,`, `;` and spaces; keys are read in upper and
    /// lower case; of two parts with the same key the first one counts.
    ///
    /// Difficulties and hashrates are decimal numbers such as `500`, `0.001` and `.5`, and are read
    /// exactly. There is no sign and no exponent.
    pub fn parse(text: &str) -> Self {
        let mut options = Self::default();
        for part in text.split([',', ';', ' ']).filter(|part| !part.is_empty()) {
            if let Err(fault) = options.read(part)
                && options.ignored.len() < IGNORED_MAX
            {
                let part = part
                    .chars()
                    .take(SHOWN_LEN_MAX)
                    .map(|c| if c.is_ascii_graphic() { c } else { '?' })
                    .collect();
                options.ignored.push(Ignored { part, fault });
            }
        }
        options
    }

    /// The difficulty to begin with: what was asked for, or else one at which the hashrate that was
    /// told gives a share each `share_time_ms` milliseconds.
    pub fn start_difficulty(
        &self,
        proof: impl Into<ProofOfWork>,
        share_time_ms: u64,
    ) -> Option<Difficulty> {
        self.start.or_else(|| {
            let hashes_in_ms = self.hashrate?.saturating_mul(share_time_ms.into());
            let share = Difficulty::ONE.target(proof).work().hashes() * 1000;
            let steps = hashes_in_ms.saturating_mul(Difficulty::ONE.steps().into()) / share;
            Some(Difficulty::from_steps(steps))
        })
    }

    fn read(&mut self, part: &str) -> Result<(), Fault> {
        let Some((key, value)) = part.split_once('=') else {
            // A password of several words is none of ours to comment on.
            return if self.literal.is_none() {
                set(&mut self.literal, kept(part))
            } else {
                Ok(())
            };
        };
        let value = if value.is_empty() {
            Err(Fault::Empty)
        } else {
            Ok(value)
        };
        let difficulty = value.and_then(|text| Ok(text.parse()?));
        let text = value.and_then(kept);
        match key.to_ascii_lowercase().as_str() {
            "d" | "diff" => set(&mut self.fixed, difficulty),
            "md" | "mindiff" => set(&mut self.min, difficulty),
            "sd" => set(&mut self.start, difficulty),
            "th" => set(&mut self.hashrate, value.and_then(hashrate)),
            "c" | "coin" => set(&mut self.coin, text),
            "m" | "mode" => set(&mut self.mode, value.and_then(mode)),
            "ln" | "lnaddr" => set(&mut self.lightning, text),
            "e" | "email" => set(&mut self.email, text),
            "w" | "worker" => set(&mut self.worker, text.map(|text| worker_name(&text))),
            _ => Err(Fault::UnknownKey),
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.fault)
    }
}

fn set<T>(place: &mut Option<T>, value: Result<T, Fault>) -> Result<(), Fault> {
    if place.is_some() {
        return Err(Fault::Again);
    }
    *place = Some(value?);
    Ok(())
}

fn kept(text: &str) -> Result<String, Fault> {
    if text.len() > TEXT_LEN_MAX {
        Err(Fault::TooLong)
    } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(Fault::NotPrintable)
    }
}

/// Hashes per second from TH/s; less than one is one.
fn hashrate(text: &str) -> Result<u128, Fault> {
    Ok(Decimal::parse(text)?.times(TERA).max(1))
}

fn mode(text: &str) -> Result<Mode, Fault> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "solo" => Mode::Solo,
        "pplns" => Mode::Pplns,
        "pps" => Mode::Pps,
        "fpps" => Mode::Fpps,
        "prop" => Mode::Prop,
        _ => return Err(Fault::UnknownMode),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use pow::Algorithm;

    use super::*;

    fn difficulty(text: &str) -> Option<Difficulty> {
        Some(text.parse().unwrap())
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn passwords_seen_in_the_wild_are_understood() {
        #[track_caller]
        fn case(password: &str, expected: Options) {
            assert_eq!(Options::parse(password), expected, "{password}");
        }
        let none = Options::default;
        case("", none());
        case(" ,;", none());
        let x = || Options {
            literal: text("x"),
            ..none()
        };
        case("x", x());
        case("x y z", x());
        for password in ["x, diff=200", "x,d=200", "x;d=200", "d=200 x", ",D=200.0,x"] {
            let fixed = difficulty("200");
            case(password, Options { fixed, ..x() });
        }
        case(
            "c=BTC,m=solo,d=.5",
            Options {
                coin: text("BTC"),
                mode: Some(Mode::Solo),
                fixed: difficulty("0.5"),
                ..none()
            },
        );
        case(
            "MinDiff=0.001;sd=12;Mode=FPPS;ln=me@wallet.example;e=me@example.org;w=rig<1>",
            Options {
                min: difficulty("0.001"),
                start: difficulty("12"),
                mode: Some(Mode::Fpps),
                lightning: text("me@wallet.example"),
                email: text("me@example.org"),
                worker: text("rig_1_"),
                ..none()
            },
        );
        case(
            "md=8 coin=litecoin lnaddr=a=b email=c worker=w m=pplns",
            Options {
                min: difficulty("8"),
                coin: text("litecoin"),
                lightning: text("a=b"),
                email: text("c"),
                worker: text("w"),
                mode: Some(Mode::Pplns),
                ..none()
            },
        );
    }

    #[test]
    fn what_cannot_be_heeded_is_told_and_changes_nothing() {
        #[track_caller]
        fn case(part: &str, told: &str) {
            let options = Options::parse(part);
            let said: Vec<_> = options.ignored.iter().map(Ignored::to_string).collect();
            assert_eq!(said, [told]);
            let ignored = options.ignored.clone();
            assert_eq!(
                options,
                Options {
                    ignored,
                    ..Options::default()
                }
            );
        }
        let decimal = "not a decimal number such as 1000 or 0.5";
        for number in ["nan", "inf", "-5", "+5", "0x10", "1e3", "5.", "1.2.3", "5k"] {
            for key in ["d", "diff", "md", "mindiff", "sd", "th"] {
                case(
                    &format!("{key}={number}"),
                    &format!("{key}={number}: {decimal}"),
                );
            }
        }
        case("d=", "d=: empty");
        case("w=", "w=: empty");
        case("d=0", "d=0: zero");
        case("th=0.0", "th=0.0: zero");
        case("=5", "=5: no such option");
        case("wallet=5", "wallet=5: no such option");
        case(
            "m=lottery",
            "m=lottery: not one of solo, pplns, pps, fpps, prop",
        );
        case("e=\u{1b}[2Jä", "e=?[2J?: not printable ASCII");
        let long = "x".repeat(TEXT_LEN_MAX + 1);
        let shown = "x".repeat(SHOWN_LEN_MAX);
        case(&long, &format!("{shown}: longer than 256 characters"));
        case(
            &format!("e={long}"),
            &format!("e={}: longer than 256 characters", &shown[2..]),
        );
    }

    #[test]
    fn the_first_wish_counts_and_the_list_of_faults_is_short() {
        let options = Options::parse("d=1,diff=2,sd=bad,sd=4");
        assert_eq!(
            (options.fixed, options.start),
            (difficulty("1"), difficulty("4"))
        );
        let said: Vec<_> = options.ignored.iter().map(Ignored::to_string).collect();
        assert_eq!(said[0], "diff=2: said before");
        assert_eq!(said.len(), 2);
        let many = Options::parse(&"a=b,".repeat(1_000));
        assert_eq!(many.ignored.len(), IGNORED_MAX);
    }

    #[test]
    fn a_hashrate_gives_the_difficulty_of_a_share_in_its_time() {
        let start = |password: &str, algorithm, ms| {
            Options::parse(password)
                .start_difficulty(algorithm, ms)
                .map(|difficulty| difficulty.steps() >> 32)
        };
        // 10^14 * 15 / 4,295,032,833, the work of difficulty 1.
        assert_eq!(
            start("th=100", Algorithm::Sha256d, 15_000),
            Some(349_240),
            "100 TH/s"
        );
        assert_eq!(start("th=.5", Algorithm::Sha256d, 60_000), Some(6_984));
        // A scrypt share of difficulty 1 is 65,537 hashes.
        assert_eq!(
            start("th=0.000001", Algorithm::Scrypt, 65_537_000),
            Some(1_000_000)
        );
        assert_eq!(
            start("th=100,sd=7", Algorithm::Sha256d, 15_000),
            Some(7),
            "a wish goes over it"
        );
        assert_eq!(start("x", Algorithm::Sha256d, 15_000), None);
        for algorithm in [Algorithm::Sha256d, Algorithm::Scrypt] {
            let extreme = Options::parse("th=9999999999999999999");
            assert_eq!(
                extreme.start_difficulty(algorithm, u64::MAX),
                Some(Difficulty::MAX)
            );
            let extreme = Options::parse("th=0.0000000000000000001");
            assert_eq!(extreme.hashrate, Some(1));
            assert_eq!(
                extreme.start_difficulty(algorithm, 0),
                Some(Difficulty::MIN)
            );
        }
    }

    proptest! {
        #[test]
        fn no_password_makes_it_panic_and_all_texts_are_bounded(
            password in "([a-z]{1,2}=[0-9.a-z]{0,6}[,; ]){0,20}|\\PC{0,400}|.{0,400}"
        ) {
            let options = Options::parse(&password);
            prop_assert!(options.ignored.len() <= IGNORED_MAX);
            let texts = [
                &options.literal, &options.coin, &options.lightning, &options.email,
                &options.worker,
            ];
            for text in texts.into_iter().flatten().chain(options.ignored.iter().map(|i| &i.part)) {
                prop_assert!((1..=TEXT_LEN_MAX).contains(&text.len()));
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }

        #[test]
        fn a_difficulty_is_read_exactly(whole in 0u64..1 << 20, eighths in 1u64..8) {
            let text = format!("d={}.{:03}", whole, eighths * 125);
            let expected = Difficulty::from_steps(u128::from(whole * 8 + eighths) << 29);
            prop_assert_eq!(Options::parse(&text).fixed, Some(expected));
        }
    }
}
