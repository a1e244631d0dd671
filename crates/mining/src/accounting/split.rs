//! How the block that is mined now pays miners by itself, in its coinbase.
//!
//! A coinbase is fixed before anyone solves the block, so the work that counts ends a little earlier
//! than with other blocks: at a place in the order of shares that the block is booked by, too. What
//! the device's coinbase has no room for, or is too little, stays in the books.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Credits, Fees};
use crate::{Address, Amount, Work, coinbase::Output, ledger::Account};

/// A place in the order of shares: a batch, and a share in it from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the batch.
    pub seq: i64,
    /// The share in it; -1 is before the first.
    pub place: i64,
}

impl Position {
    /// Before the first share.
    pub const START: Self = Self { seq: 0, place: -1 };
    /// Behind the last one, however many come.
    pub const END: Self = Self {
        seq: i64::MAX,
        place: i64::MAX,
    };
}

/// Somebody whose work counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payee {
    /// The address that is mined for, which is its account.
    pub miner: Address,
    /// What a coinbase pays; nothing where its share is to stay in the books.
    pub pay_to: Option<Address>,
}

/// Whose work the next block is split by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    end: Position,
    fees: Fees,
    least: Amount,
    /// Each miner's.
    work: BTreeMap<Account, Work>,
    scripts: BTreeMap<Account, Vec<u8>>,
    /// The same the other way round: a script is of one account, so that a payment has one owner.
    accounts: BTreeMap<Vec<u8>, Account>,
}

impl Split {
    /// A split by the work of a window that ends at `end`. Nobody is paid less than `least` by a
    /// coinbase, and nobody by the script of `keeper`, which gets what is left. Where several want to
    /// be paid by one script, it is one's that mines for it, or the first account's, and the others'
    /// part stays in the books.
    pub fn new(
        end: Position,
        fees: Fees,
        least: Amount,
        keeper: &[u8],
        work: impl IntoIterator<Item = (Payee, Work)>,
    ) -> Self {
        let mut split = Self {
            end,
            fees,
            least,
            work: BTreeMap::new(),
            scripts: BTreeMap::new(),
            accounts: BTreeMap::new(),
        };
        let mut elsewhere = BTreeMap::new();
        for (payee, work) in work {
            let account = Account::Miner(payee.miner.as_str().to_owned());
            match payee.pay_to {
                Some(own) if own == payee.miner => split.pay(&own, &account, keeper),
                Some(other) => drop(elsewhere.insert(account.clone(), other)),
                None => {}
            }
            split.work.insert(account, work);
        }
        for (account, other) in elsewhere {
            split.pay(&other, &account, keeper);
        }
        split
    }

    /// Where outputs have no scripts, no coinbase pays miners.
    fn pay(&mut self, address: &Address, account: &Account, keeper: &[u8]) {
        let Some(script) = address.script() else {
            return;
        };
        if script == keeper || self.accounts.contains_key(script) {
            return;
        }
        self.accounts.insert(script.to_vec(), account.clone());
        self.scripts.insert(account.clone(), script.to_vec());
    }

    /// Where the work ends that counts.
    pub fn end(&self) -> Position {
        self.end
    }

    /// The payments of a coinbase of this value, the largest first. Nothing if the sum of the work
    /// does not fit 128 bits.
    pub fn outputs(&self, value: Amount) -> Option<Vec<Output>> {
        let work = self.work.iter().map(|(account, work)| (account, *work));
        let credits = Credits::new(value, &self.fees, work)?;
        let mut paid: Vec<_> = credits
            .miners()
            .iter()
            .filter(|credit| credit.amount >= self.least && credit.amount > Amount::ZERO)
            .filter_map(|credit| Some((credit, self.scripts.get(credit.miner)?)))
            .collect();
        paid.sort_by_key(|(credit, _)| (Reverse(credit.amount), credit.miner));
        let output = |(credit, script): (&super::Credit<&Account>, &Vec<u8>)| Output {
            amount: credit.amount,
            script: script.clone(),
        };
        Some(paid.into_iter().map(output).collect())
    }

    /// Those of a coinbase's payments that went to miners, by account.
    pub fn paid(&self, outputs: &[Output]) -> BTreeMap<Account, Amount> {
        let paid = outputs.iter().filter_map(|output| {
            let account = self.accounts.get(&output.script)?;
            Some((account.clone(), output.amount))
        });
        paid.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::fees::Fee, *};
    use crate::{Coin, Network};

    const END: Position = Position { seq: 7, place: 3 };

    fn address(number: u8) -> Address {
        let coin: &Coin = "bitcoin".parse().unwrap();
        let prefix = bitcoin::bech32::Hrp::parse("bcrt").unwrap();
        let text = bitcoin::bech32::segwit::encode_v0(prefix, &[number; 20]).unwrap();
        Address::parse(coin, Network::Regtest, &text).unwrap()
    }

    fn fees() -> Fees {
        let fee = Fee {
            name: "pool".into(),
            percent: "2".parse().unwrap(),
        };
        Fees::new(vec![fee], "pool").unwrap()
    }

    fn split(least: u64, work: &[(u8, u128)]) -> Split {
        let work = work.iter().map(|(number, work)| (*number, *number, *work));
        split_to(least, work)
    }

    /// Where a miner is paid by an address of another number, or by none, which is 0.
    fn split_to(least: u64, work: impl Iterator<Item = (u8, u8, u128)>) -> Split {
        let work = work.map(|(miner, to, work)| {
            let payee = Payee {
                miner: address(miner),
                pay_to: (to != 0).then(|| address(to)),
            };
            (payee, Work::from_hashes(work))
        });
        let least = Amount::from_units(least);
        Split::new(END, fees(), least, address(99).script().unwrap(), work)
    }

    fn paid(split: &Split, value: u64) -> Vec<(Vec<u8>, u64)> {
        let outputs = split.outputs(Amount::from_units(value)).unwrap();
        outputs
            .into_iter()
            .map(|output| (output.script, output.amount.units()))
            .collect()
    }

    #[test]
    fn the_start_is_before_the_first_share() {
        assert!(Position::START < Position { seq: 0, place: 0 });
    }

    #[test]
    fn the_largest_come_first_and_small_ones_stay_in_the_books() {
        let script = |number| address(number).script().unwrap().to_vec();
        let split = split(100, &[(1, 10), (2, 70), (3, 19), (4, 1)]);
        assert_eq!(split.end(), END);
        let due = [(script(2), 686), (script(3), 186)];
        // 98 and 10 units are below the least.
        assert_eq!(paid(&split, 1000), due);
        assert_eq!(paid(&split, 0), []);
    }

    #[test]
    fn the_keeper_s_own_script_and_nobody_at_all() {
        let own = split(1, &[(1, 50), (99, 50)]);
        assert_eq!(paid(&own, 1000).len(), 1);
        assert_eq!(paid(&split(1, &[]), 1000), []);
        assert_eq!(paid(&split(0, &[(1, 0)]), 1000), []);
        // Nor is nothing ever paid, where that is the least.
        assert_eq!(paid(&split(0, &[(1, 0), (2, 1)]), 1000).len(), 1);
        let too_much = split(1, &[(1, u128::MAX), (2, 1)]);
        assert_eq!(too_much.outputs(Amount::from_units(5)), None);
    }

    #[test]
    fn a_miner_is_paid_where_it_wants_to_be_or_in_the_books() {
        let script = |number| address(number).script().unwrap().to_vec();
        // 2 wants to be paid by 7, and 3 not at all.
        let split = split_to(1, [(1, 1, 50), (2, 7, 30), (3, 0, 20)].into_iter());
        assert_eq!(paid(&split, 1000), [(script(1), 490), (script(7), 294)]);
        let output = |number, units| Output {
            amount: Amount::from_units(units),
            script: script(number),
        };
        let account = |number| Account::Miner(address(number).as_str().to_owned());
        let booked = split.paid(&[output(1, 490), output(7, 294), output(3, 9)]);
        let due = [
            (account(1), Amount::from_units(490)),
            (account(2), Amount::from_units(294)),
        ];
        assert_eq!(booked, BTreeMap::from(due));
    }

    #[test]
    fn a_script_pays_one_account() {
        let script = |number| address(number).script().unwrap().to_vec();
        // One mines for it, whatever the others want.
        let split = split_to(1, [(1, 3, 50), (2, 3, 30), (3, 3, 20)].into_iter());
        assert_eq!(paid(&split, 1000), [(script(3), 196)]);
        // Nobody does: the first by the address as a text, which is that of 2.
        let split = split_to(1, [(2, 9, 25), (1, 9, 75)].into_iter());
        assert_eq!(paid(&split, 1000), [(script(9), 245)]);
        // And not by the keeper's.
        let split = split_to(1, [(1, 99, 50)].into_iter());
        assert_eq!(paid(&split, 1000), []);
    }

    #[test]
    fn what_a_coinbase_paid_is_known_by_its_scripts() {
        let split = split(1, &[(1, 50), (2, 50), (99, 50)]);
        let output = |number, units| Output {
            amount: Amount::from_units(units),
            script: address(number).script().unwrap().to_vec(),
        };
        let paid = split.paid(&[output(2, 5), output(99, 7), output(50, 9)]);
        let account = Account::Miner(address(2).as_str().to_owned());
        assert_eq!(paid, BTreeMap::from([(account, Amount::from_units(5))]));
    }

    proptest! {
        /// Together never more than the miners' part, and each as the books split it.
        #[test]
        fn a_coinbase_pays_what_the_books_credit(
            value in 0_u64..1 << 50,
            least in 0_u64..1 << 20,
            work in prop::collection::btree_map(1_u8..40, 0_u128..1 << 80, 0..20),
        ) {
            let work: Vec<_> = work.into_iter().collect();
            let split = split(least, &work);
            let outputs = split.outputs(Amount::from_units(value)).unwrap();
            let booked = work.iter().map(|(number, work)| {
                (Account::Miner(address(*number).as_str().into()), Work::from_hashes(*work))
            });
            let booked: BTreeMap<Account, Work> = booked.collect();
            let credits = Credits::new(Amount::from_units(value), &fees(), booked).unwrap();
            let credited: BTreeMap<Account, Amount> = credits
                .miners()
                .iter()
                .map(|credit| (credit.miner.clone(), credit.amount))
                .collect();
            for (account, amount) in split.paid(&outputs) {
                prop_assert_eq!(credited.get(&account), Some(&amount));
                prop_assert!(amount.units() >= least);
            }
            let sum: u128 = outputs.iter().map(|output| u128::from(output.amount.units())).sum();
            prop_assert!(sum <= u128::from(value));
            prop_assert!(outputs.is_sorted_by(|a, b| a.amount >= b.amount));
        }
    }
}
