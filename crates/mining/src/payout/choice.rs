//! Which coins pay a batch, and what the chain gets for it: exact, and the same for the same coins.
//! Called where the pool signs by itself.
//!
//! The largest coins come first, so that a transaction has few inputs. There is always change: the
//! change is how the transaction is found on the chain later.

use crate::Amount;

/// The least change. Any coin's nodes relay an output of that much.
pub const CHANGE_MIN: Amount = Amount::from_units(10_000);
/// A heavier transaction is relayed by no node: `MAX_STANDARD_TX_WEIGHT`.
pub const WEIGHT_MAX: u64 = 400_000;

/// What a transaction weighs, in weight units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Without any input, but with the payments and the change.
    pub bare: u64,
    /// An input with the largest signature it may have.
    pub input: u64,
}

impl Weight {
    /// With so many inputs; nothing if no number is so large.
    pub fn with(self, inputs: usize) -> Option<u64> {
        // From 253 on their count takes three bytes.
        let count = if inputs < 253 { 0 } else { 8 };
        let inputs = self.input.checked_mul(u64::try_from(inputs).ok()?)?;
        self.bare.checked_add(count)?.checked_add(inputs)
    }
}

/// The coins that pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which, by their place in the list that was given; the largest first.
    pub coins: Vec<usize>,
    /// What the chain gets.
    pub fee: Amount,
    /// What comes back.
    pub change: Amount,
}

/// Why no coins were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChosen {
    /// All of them are not enough.
    #[error("coins of {have} units can be spent, and {need} are needed")]
    TooLittle {
        /// What those have that are worth their own fee.
        have: Amount,
        /// Payments, change and fee.
        need: Amount,
    },
    /// The coins are so small that too many are needed.
    #[error(
        "more than {0} coins are needed, too many for one transaction: join some, or lower payments_max"
    )]
    TooMany(usize),
    /// It is more than any coin has.
    #[error("more than any coin has")]
    TooLarge,
}

/// Chooses among coins with these amounts so that `payments` is paid for a fee of `rate` for a
/// thousand virtual bytes: coins = payments + change + fee, to the unit.
pub fn choose(
    coins: &[Amount],
    payments: Amount,
    weight: Weight,
    rate: Amount,
) -> Result<Choice, NotChosen> {
    let mut order: Vec<usize> = (0..coins.len()).collect();
    // Stable: of equal coins the one that stands first.
    order.sort_by_key(|place| std::cmp::Reverse(coins[*place]));
    let too_large = NotChosen::TooLarge;
    let own_fee = fee(weight.input, rate).ok_or(too_large)?;
    let wanted = payments.checked_add(CHANGE_MIN).ok_or(too_large)?;
    let (mut have, mut chosen) = (Amount::ZERO, Vec::new());
    let mut need = wanted
        .checked_add(fee(weight.bare, rate).ok_or(too_large)?)
        .ok_or(too_large)?;
    for place in order {
        // A coin that does not bring more than it costs, and none after it does.
        if coins[place] <= own_fee {
            break;
        }
        have = have.checked_add(coins[place]).ok_or(too_large)?;
        chosen.push(place);
        let whole = weight.with(chosen.len()).ok_or(too_large)?;
        if whole > WEIGHT_MAX {
            return Err(NotChosen::TooMany(chosen.len() - 1));
        }
        let fee = fee(whole, rate).ok_or(too_large)?;
        need = wanted.checked_add(fee).ok_or(too_large)?;
        if let Some(over) = have.checked_sub(need) {
            return Ok(Choice {
                coins: chosen,
                fee,
                change: over.checked_add(CHANGE_MIN).ok_or(too_large)?,
            });
        }
    }
    Err(NotChosen::TooLittle { have, need })
}

/// The fee of so many weight units, rounded up; nothing if no amount is so large.
fn fee(weight: u64, rate: Amount) -> Option<Amount> {
    let bytes = u128::from(weight.div_ceil(4));
    let fee = bytes.checked_mul(u128::from(rate.units()))?.div_ceil(1000);
    u64::try_from(fee).ok().map(Amount::from_units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A payment to one, from P2WPKH.
    const WEIGHT: Weight = Weight {
        bare: 290,
        input: 272,
    };
    const NO_FEE: Amount = Amount::ZERO;

    fn amounts(units: &[u64]) -> Vec<Amount> {
        units.iter().copied().map(Amount::from_units).collect()
    }

    fn units(units: u64) -> Amount {
        Amount::from_units(units)
    }

    #[test]
    fn the_largest_coins_pay_and_the_rest_comes_back() {
        let coins = amounts(&[70_000, 10_000, 500_000, 70_000, 300_000]);
        let chosen = choose(&coins, units(700_000), WEIGHT, NO_FEE);
        let expected = Choice {
            coins: vec![2, 4],
            fee: NO_FEE,
            change: units(100_000),
        };
        assert_eq!(chosen, Ok(expected));
        // A unit more than two have, with the least change: a third, of equal ones the first.
        let chosen = choose(&coins, units(790_001), WEIGHT, NO_FEE).unwrap();
        assert_eq!(chosen.coins, [2, 4, 0]);
        assert_eq!(chosen.change, units(79_999));
    }

    #[test]
    fn the_fee_is_that_of_the_whole_transaction_rounded_up() {
        // 562 weight units are 141 virtual bytes: 1410 units at ten each, and 1.41 at 0.01.
        let coins = amounts(&[1_000_000]);
        let fee = |rate| choose(&coins, units(1), WEIGHT, units(rate)).unwrap().fee;
        assert_eq!(fee(10_000), units(1410));
        assert_eq!(fee(10), units(2));
        assert_eq!(fee(1), units(1));
        assert_eq!(fee(0), units(0));
    }

    #[test]
    fn there_is_always_change_of_the_least_amount() {
        let pays = units(90_000);
        let exact = amounts(&[100_000]);
        assert_eq!(
            choose(&exact, pays, WEIGHT, NO_FEE).unwrap().change,
            CHANGE_MIN
        );
        let less = amounts(&[99_999]);
        let refused = NotChosen::TooLittle {
            have: units(99_999),
            need: units(100_000),
        };
        assert_eq!(choose(&less, pays, WEIGHT, NO_FEE), Err(refused));
    }

    #[test]
    fn coins_that_cost_more_than_they_bring_are_left_alone() {
        // 68 virtual bytes at 10 each.
        let dust = amounts(&[680; 1000]);
        let refused = choose(&dust, units(1), WEIGHT, units(10_000));
        assert!(
            matches!(refused, Err(NotChosen::TooLittle { have, .. }) if have == NO_FEE),
            "{refused:?}"
        );
    }

    #[test]
    fn no_transaction_is_heavier_than_nodes_relay() {
        let coins = amounts(&[1_000; 10_000]);
        // 1469 inputs and all the rest are 399,866 weight units.
        let most = units(1_469_000 - 10_000);
        let chosen = choose(&coins, most, WEIGHT, NO_FEE).unwrap();
        assert_eq!(chosen.coins.len(), 1469);
        let over = most.checked_add(units(1)).unwrap();
        assert_eq!(
            choose(&coins, over, WEIGHT, NO_FEE),
            Err(NotChosen::TooMany(1469))
        );
    }

    #[test]
    fn a_transaction_as_heavy_as_nodes_relay_is_made() {
        let weight = |bare| Weight { bare, input: 272 };
        let coins = amounts(&[1_000_000]);
        let bare = WEIGHT_MAX - 272;
        assert!(choose(&coins, units(1), weight(bare), NO_FEE).is_ok());
        assert_eq!(
            choose(&coins, units(1), weight(bare + 1), NO_FEE),
            Err(NotChosen::TooMany(0))
        );
    }

    /// From 253 on their number takes three bytes instead of one, of four weight units each.
    #[test]
    fn the_number_of_inputs_is_weighed_too() {
        assert_eq!(WEIGHT.with(0), Some(290));
        assert_eq!(WEIGHT.with(252), Some(290 + 252 * 272));
        assert_eq!(WEIGHT.with(253), Some(290 + 8 + 253 * 272));
    }

    #[test]
    fn nothing_wraps() {
        let most = units(u64::MAX);
        let two = [most, most];
        for (coins, pays, rate) in [
            (&two[..1], most, NO_FEE),
            (&two[..], units(u64::MAX - 10_000), units(1)),
            (&two[..], units(u64::MAX - 20_000), most),
            (&[], most, most),
        ] {
            assert_eq!(
                choose(coins, pays, WEIGHT, rate),
                Err(NotChosen::TooLarge),
                "{coins:?} {pays} {rate}"
            );
        }
        assert!(choose(&[], units(1), WEIGHT, NO_FEE).is_err());
    }

    proptest! {
        #[test]
        fn coins_are_payments_change_and_fee_to_the_unit(
            coins in prop::collection::vec(0..10_000_000_u64, 0..60),
            pays in 1..100_000_000_u64,
            rate in 0..200_000_u64,
        ) {
            let coins = amounts(&coins);
            match choose(&coins, units(pays), WEIGHT, units(rate)) {
                Ok(choice) => {
                    let mut once = choice.coins.clone();
                    once.sort_unstable();
                    once.dedup();
                    prop_assert_eq!(once.len(), choice.coins.len(), "a coin twice");
                    let value: u64 = choice.coins.iter().map(|place| coins[*place].units()).sum();
                    let (fee, change) = (choice.fee.units(), choice.change.units());
                    prop_assert_eq!(value, pays + fee + change);
                    prop_assert!(choice.change >= CHANGE_MIN);
                    let inputs = u64::try_from(choice.coins.len()).unwrap();
                    let bytes = (290 + 272 * inputs).div_ceil(4);
                    prop_assert_eq!(fee, (bytes * rate).div_ceil(1000));
                    // None is there for nothing: without the last one it is not enough.
                    let last = coins[*choice.coins.last().unwrap()].units();
                    prop_assert!(value - last < pays + fee + CHANGE_MIN.units());
                }
                Err(NotChosen::TooLittle { have, need }) => {
                    prop_assert!(have < need);
                    let all: u64 = coins.iter().map(|coin| coin.units()).sum();
                    prop_assert!(have.units() <= all);
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
