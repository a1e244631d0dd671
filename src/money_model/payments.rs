//! The payouts as they are seen from outside, and what must be true of each of them whatever happened:
//! what was signed once stays, what is final stays, nothing is confirmed that is not deep in the chain,
//! and nothing is given back that could still get there.

use std::collections::{HashMap, HashSet};

use bitcoin::{Transaction, Txid, consensus};
use mining::payout::BatchState;
use store::{PoolId, Store};

use super::{CONFIRMATIONS, PAYMENTS_MAX, THRESHOLD, chain::Chain, pay_to, reference::Reference};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Payment {
    pub(super) account: String,
    address: String,
    pub(super) amount: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) transaction: Transaction,
    pub(super) fee: u64,
}

/// A payout as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) state: BatchState,
    pub(super) payments: Vec<Payment>,
    pub(super) signed: Option<Signed>,
}

impl Seen {
    pub(super) fn total(&self) -> u64 {
        self.payments.iter().map(|payment| payment.amount).sum()
    }

    pub(super) fn txid(&self) -> Option<Txid> {
        let signed = self.signed.as_ref();
        signed.map(|signed| signed.transaction.compute_txid())
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, BatchState::Confirmed | BatchState::Released)
    }

    /// Each payment has an output of its own, and what is left is one change at most.
    fn assert_signed_as_claimed(&self, number: u64) {
        let Some(signed) = &self.signed else { return };
        let mut outputs = signed.transaction.output.clone();
        for payment in &self.payments {
            let (_, script) = pay_to(&payment.account).unwrap();
            let paid = outputs.iter().position(|output| {
                output.script_pubkey == script && output.value.to_sat() == payment.amount
            });
            let paid = paid.unwrap_or_else(|| panic!("payout {number} does not pay {payment:?}"));
            outputs.remove(paid);
        }
        assert!(outputs.len() <= 1, "payout {number} pays others too");
    }
}

/// All payouts of the store, oldest first.
pub(super) async fn read(store: &Store, pool: PoolId) -> Vec<(u64, Seen)> {
    let mut list = Vec::new();
    let found = store.payouts(pool, None, 1_000).await.unwrap();
    for payout in found.into_iter().rev() {
        let payments = store.payments(pool, payout.number).await.unwrap();
        let payments = payments.into_iter().map(|payment| Payment {
            account: payment.account.to_string(),
            address: payment.address,
            amount: payment.amount.units(),
        });
        let signed = payout.signed.map(|signed| Signed {
            transaction: consensus::deserialize(&signed.raw).unwrap(),
            fee: signed.network_fee.units(),
        });
        let seen = Seen {
            state: payout.state,
            payments: payments.collect(),
            signed,
        };
        assert_eq!(seen.total(), payout.total.units());
        list.push((payout.number, seen));
    }
    list
}

impl Reference {
    /// Takes over what became of payouts, if it may have become that.
    pub(super) async fn see(&mut self, list: Vec<(u64, Seen)>, chain: &mut Chain) {
        for (number, seen) in list {
            match self.payouts.get(&number).cloned() {
                Some(before) if before == seen => continue,
                Some(before) => assert_may_become(number, &before, &seen),
                None => self.assert_claimed_whole(number, &seen),
            }
            seen.assert_signed_as_claimed(number);
            let was = self.payouts.insert(number, seen.clone());
            if was.is_none_or(|was| was.state != seen.state) {
                self.assert_true_to_chain(number, &seen, chain).await;
            }
        }
        let txids: Vec<Txid> = self.payouts.values().filter_map(Seen::txid).collect();
        let distinct: HashSet<&Txid> = txids.iter().collect();
        assert_eq!(
            distinct.len(),
            txids.len(),
            "two payouts with one transaction"
        );
    }

    /// A new payout takes all that is there of each account, to where that is paid.
    fn assert_claimed_whole(&self, number: u64, seen: &Seen) {
        assert!((1..=PAYMENTS_MAX).contains(&seen.payments.len()));
        for payment in &seen.payments {
            let available = self.available(&payment.account);
            assert_eq!(payment.amount, available, "payout {number}: {payment:?}");
            assert!(payment.amount >= THRESHOLD, "payout {number}: {payment:?}");
            let (address, _) = pay_to(&payment.account).expect("it has no address");
            assert_eq!(payment.address, address, "payout {number}");
        }
    }

    /// What is said of a payout is so.
    async fn assert_true_to_chain(&self, number: u64, seen: &Seen, chain: &mut Chain) {
        let Some(signed) = &seen.signed else {
            // It was never signed, so nobody can have sent it.
            let unsigned = [BatchState::Reserved, BatchState::Released];
            assert!(
                unsigned.contains(&seen.state),
                "payout {number} has no transaction"
            );
            return;
        };
        match seen.state {
            BatchState::Confirmed => {
                let depth = chain.depth(&signed.transaction.compute_txid());
                let depth = depth.unwrap_or(0);
                assert!(depth >= CONFIRMATIONS, "payout {number} is {depth} deep");
            }
            BatchState::Released => {
                let all = self.transactions();
                assert!(
                    chain.is_dead(&signed.transaction, &all),
                    "payout {number} was given back and can still be paid"
                );
                let beaten = chain.beaten(&signed.transaction, &all);
                assert!(
                    self.by_hand.contains(&number) || beaten >= Some(CONFIRMATIONS),
                    "payout {number} was given back too soon: {beaten:?}"
                );
                chain.settle().await;
            }
            _ => {}
        }
    }

    /// The transactions of all payouts.
    pub(super) fn transactions(&self) -> Vec<Transaction> {
        let signed = self.payouts.values().filter_map(|seen| seen.signed.clone());
        signed.map(|signed| signed.transaction).collect()
    }

    /// Nothing is in the chain, or waits for it, but payouts that count and thefts; and no address has
    /// more of them than it was owed.
    pub(super) async fn assert_paid_once(&self, chain: &mut Chain) {
        let count = self
            .payouts
            .values()
            .filter(|seen| seen.state != BatchState::Released);
        let mut known: HashSet<Txid> = count.filter_map(Seen::txid).collect();
        known.extend(&chain.thefts);
        let there = chain.transactions();
        let mut paid: HashMap<&bitcoin::Script, u64> = HashMap::new();
        for (transaction, _) in &there {
            let txid = transaction.compute_txid();
            assert!(known.contains(&txid), "{txid} is no payout that counts");
            for output in &transaction.output {
                *paid.entry(&output.script_pubkey).or_default() += output.value.to_sat();
            }
        }
        for txid in chain.waiting().await {
            assert!(known.contains(&txid), "{txid} waits, and no payout counts");
        }
        for account in super::payees() {
            let (_, script) = pay_to(&account).unwrap();
            let paid = paid.get(script.as_script()).copied().unwrap_or_default();
            let owed = self.credited(&account);
            assert!(paid <= owed, "{account} was owed {owed} and paid {paid}");
        }
    }
}

/// What was signed stays, what is final stays, and nothing goes a way that there is not.
fn assert_may_become(number: u64, before: &Seen, after: &Seen) {
    use BatchState::{Broadcast, Confirmed, Manual, Released, Reserved, Signed};
    assert_eq!(before.payments, after.payments, "payout {number}");
    if before.signed.is_some() {
        assert_eq!(before.signed, after.signed, "payout {number}");
    }
    let may_become = match before.state {
        Reserved => after.state == Released || after.signed.is_some(),
        Signed | Broadcast | Manual => after.state != Reserved,
        Confirmed | Released => after.state == before.state,
    };
    let (from, to) = (before.state, after.state);
    assert!(may_become, "payout {number} went from {from} to {to}");
}
