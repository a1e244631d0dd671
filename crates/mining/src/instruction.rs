//! What a miner tells the pool about its payouts and alerts, as the text that it signs.
//!
//! The API makes this text from the fields that it was sent and never takes a text, so what was
//! verified is what is done. Pool, coin and the operator's own address stand in it, and a number that
//! holds once: a text that was signed for one pool says nothing to another, and none says anything
//! twice.

use std::fmt;

use crate::{
    Address, Amount, Coin, Network,
    alert::{Kinds, Sink},
    payout::Schedule,
};

/// How far a number may be from the pool's clock, in milliseconds: somebody signs by hand, and the
/// clock of a wallet may be wrong.
pub const NUMBER_WITHIN_MS: u64 = 10 * 60 * 1000;

/// Something that a miner wants of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// The pool's name.
    pub pool: &'a str,
    /// The coin.
    pub coin: &'a Coin,
    /// Its network.
    pub network: Network,
    /// Where the pool's own blocks pay: names of pools are alike, this is not.
    pub operator: &'a Address,
    /// Who wants it.
    pub address: &'a Address,
    /// Milliseconds since 1970, above the last number that was used.
    pub number: u64,
    /// What it wants.
    pub wish: Wish<'a>,
}

/// What a miner wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish<'a> {
    /// These settings from now on.
    Settings {
        /// What the balance must reach; the pool's own if nothing is said.
        threshold: Option<Amount>,
        /// How often at most.
        schedule: Schedule,
        /// Where to; to the miner's address if nothing is said.
        pay_to: Option<&'a Address>,
        /// Nothing for the time being.
        paused: bool,
    },
    /// All that is available, now.
    Payout,
    /// Alerts of these kinds, there.
    Subscribe {
        /// What kind of place that is.
        sink: Sink,
        /// Where; empty where the kind says all. One line.
        target: &'a str,
        /// Of what.
        kinds: Kinds,
    },
    /// No alerts by this subscription any more.
    Unsubscribe(u64),
    /// To be told which subscriptions there are.
    ListSubscriptions,
}

/// Why a number does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNumber {
    /// A number as high or higher was used before.
    #[error("the number must be above {0}, which was used")]
    Used(u64),
    /// Signed too long ago.
    #[error("the number is of a time more than 10 minutes ago")]
    Old,
    /// Of a time to come.
    #[error("the number is of a time more than 10 minutes ahead")]
    Early,
}

/// Whether a number holds now, after `last` was used; zero if none was.
pub fn check_number(number: u64, last: u64, now_ms: i64) -> Result<(), BadNumber> {
    let now = u64::try_from(now_ms).unwrap_or(0);
    if number <= last {
        return Err(BadNumber::Used(last));
    }
    if number < now.saturating_sub(NUMBER_WITHIN_MS) {
        return Err(BadNumber::Old);
    }
    if number > now.saturating_add(NUMBER_WITHIN_MS) {
        return Err(BadNumber::Early);
    }
    Ok(())
}

impl fmt::Display for Instruction<'_> {
    /// Lines with a newline between them, and none behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.wish {
            Wish::Settings { .. } => "payout settings",
            Wish::Payout => "payout request",
            Wish::Subscribe { .. } => "alerts subscribe",
            Wish::Unsubscribe(_) => "alerts remove",
            Wish::ListSubscriptions => "alerts list",
        };
        writeln!(f, "adit {what}")?;
        writeln!(f, "pool: {}", self.pool)?;
        writeln!(f, "coin: {} {}", self.coin.name, self.network)?;
        writeln!(f, "operator: {}", self.operator)?;
        writeln!(f, "address: {}", self.address)?;
        match self.wish {
            Wish::Settings {
                threshold,
                schedule,
                pay_to,
                paused,
            } => {
                match threshold {
                    Some(amount) => writeln!(f, "threshold: {amount}")?,
                    None => writeln!(f, "threshold: default")?,
                }
                writeln!(f, "schedule: {}", schedule.name())?;
                match pay_to {
                    Some(address) => writeln!(f, "pay_to: {address}")?,
                    None => writeln!(f, "pay_to: default")?,
                }
                writeln!(f, "paused: {}", if paused { "yes" } else { "no" })?;
            }
            Wish::Subscribe {
                sink,
                target,
                kinds,
            } => {
                writeln!(f, "sink: {}", sink.name())?;
                if !target.is_empty() {
                    writeln!(f, "target: {target}")?;
                }
                writeln!(f, "kinds: {kinds}")?;
            }
            Wish::Unsubscribe(subscription) => writeln!(f, "subscription: {subscription}")?,
            Wish::Payout | Wish::ListSubscriptions => {}
        }
        write!(f, "number: {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Kind;

    const MINER: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_text_says_all_that_it_is_about() {
        let coin: &Coin = "bitcoin".parse().unwrap();
        let address = Address::parse(coin, Network::Regtest, MINER).unwrap();
        let mut instruction = Instruction {
            pool: "main",
            coin,
            network: Network::Regtest,
            operator: &address,
            address: &address,
            number: 17,
            wish: Wish::Settings {
                threshold: Some(Amount::from_units(100_000)),
                schedule: Schedule::Daily,
                pay_to: Some(&address),
                paused: true,
            },
        };
        let head =
            format!("pool: main\ncoin: bitcoin regtest\noperator: {MINER}\naddress: {MINER}\n");
        assert_eq!(
            instruction.to_string(),
            format!(
                "adit payout settings\n{head}threshold: 100000\nschedule: daily\n\
                 pay_to: {MINER}\npaused: yes\nnumber: 17"
            )
        );
        instruction.wish = Wish::Settings {
            threshold: None,
            schedule: Schedule::Threshold,
            pay_to: None,
            paused: false,
        };
        assert_eq!(
            instruction.to_string(),
            format!(
                "adit payout settings\n{head}threshold: default\nschedule: threshold\n\
                 pay_to: default\npaused: no\nnumber: 17"
            )
        );
        instruction.wish = Wish::Payout;
        assert_eq!(
            instruction.to_string(),
            format!("adit payout request\n{head}number: 17")
        );
        instruction.wish = Wish::Subscribe {
            sink: Sink::Webhook,
            target: "https://example.org/hook",
            kinds: [Kind::PayoutSent, Kind::BlockFound].into_iter().collect(),
        };
        assert_eq!(
            instruction.to_string(),
            format!(
                "adit alerts subscribe\n{head}sink: webhook\ntarget: https://example.org/hook\n\
                 kinds: block_found,payout_sent\nnumber: 17"
            )
        );
        instruction.wish = Wish::Unsubscribe(3);
        assert_eq!(
            instruction.to_string(),
            format!("adit alerts remove\n{head}subscription: 3\nnumber: 17")
        );
        instruction.wish = Wish::ListSubscriptions;
        assert_eq!(
            instruction.to_string(),
            format!("adit alerts list\n{head}number: 17")
        );
    }

    #[test]
    fn a70_a_number_holds_once_and_near_its_time() {
        #[track_caller]
        fn case(number: u64, last: u64, expected: Result<(), BadNumber>) {
            assert_eq!(check_number(number, last, NOW), expected);
        }
        let now = u64::try_from(NOW).unwrap();
        case(now, 0, Ok(()));
        case(now, now - 1, Ok(()));
        case(now, now, Err(BadNumber::Used(now)));
        case(now, now + 1, Err(BadNumber::Used(now + 1)));
        case(now - NUMBER_WITHIN_MS, 0, Ok(()));
        case(now - NUMBER_WITHIN_MS - 1, 0, Err(BadNumber::Old));
        case(now + NUMBER_WITHIN_MS, 0, Ok(()));
        case(now + NUMBER_WITHIN_MS + 1, 0, Err(BadNumber::Early));
        case(u64::MAX, 0, Err(BadNumber::Early));
        case(0, 0, Err(BadNumber::Used(0)));
    }
}
