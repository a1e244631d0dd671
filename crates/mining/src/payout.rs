//! Who is due, how batches are cut, and the life of a batch. The task `payout` brings balances and
//! carries out what is said here; nothing of it sends anything.
//!
//! ```text
//! reserved -> signed -> broadcast -> confirmed
//!     \          \          \
//!      +----------+----------+--> released     its balances went back: it can never confirm
//!                 \          \
//!                  +----------+--> manual      nobody knows; a person has to say
//! ```
//!
//! A batch is signed before it is sent, and what was signed is what is sent, as often as it takes:
//! so it confirms once or never, wherever a process ends in between.

mod choice;
mod step;

#[cfg(test)]
mod crash_model;

use std::fmt;

pub use choice::{CHANGE_MIN, Choice, NotChosen, WEIGHT_MAX, Weight, choose};
pub use step::{Kept, Standing, Step, next};

use crate::{Amount, accounting::Percent};

/// How long nothing is paid after a change of the address that is paid: time for its owner to see a
/// change that somebody else made, and to take it back.
pub const PAY_TO_HOLD_MS: i64 = 24 * 60 * 60 * 1000;

/// How far a batch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchState {
    /// Its balances are claimed. There is no transaction yet.
    Reserved,
    /// Its transaction is signed and kept, and may have been sent.
    Signed,
    /// A daemon has taken the transaction.
    Broadcast,
    /// The transaction is deep enough in the chain.
    Confirmed,
    /// It will never confirm; the balances are where they were.
    Released,
    /// What became of it cannot be told.
    Manual,
}

/// What the operator wants of payouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What a balance must reach to be paid, unless its owner says otherwise.
    pub threshold: Amount,
    /// The least that is ever paid to anyone.
    pub least: Amount,
    /// The most payments in a batch.
    pub payments_max: usize,
    /// A batch with less than that together waits for more.
    pub batch_min: Amount,
    /// What the chain's fee for a batch may be of it.
    pub fee_max: Percent,
}

/// How often somebody wants to be paid at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// Whenever the threshold is reached.
    #[default]
    Threshold,
    /// Not within a day of the last time.
    Daily,
    /// Not within seven days of it.
    Weekly,
    /// Not within thirty days of it.
    Monthly,
}

/// Somebody who has a balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner<A> {
    /// The account.
    pub account: A,
    /// What is posted and not claimed.
    pub available: Amount,
    /// Its own threshold.
    pub threshold: Option<Amount>,
    /// Its schedule.
    pub schedule: Schedule,
    /// It wants nothing for the time being.
    pub paused: bool,
    /// It has asked for a payout: no threshold and no schedule counts but the least.
    pub requested: bool,
    /// When it was last paid, in milliseconds since 1970.
    pub last_paid_ms: Option<i64>,
    /// Where it wants to be paid, if not where it mines for.
    pub pay_to: Option<String>,
    /// When it last changed that, in milliseconds since 1970.
    pub pay_to_since_ms: Option<i64>,
}

/// A payment of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment<A> {
    /// From whose balance.
    pub account: A,
    /// How much.
    pub amount: Amount,
}

/// Why somebody is not due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDue {
    /// Its balance is below what has to be reached, which is this.
    Below(Amount),
    /// Not before then, in milliseconds since 1970.
    Before(i64),
    /// It paused its payouts.
    Paused,
}

impl BatchState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Reserved,
        Self::Signed,
        Self::Broadcast,
        Self::Confirmed,
        Self::Released,
        Self::Manual,
    ];

    /// Whether a batch in this state can be in the other one next.
    pub fn becomes(self, next: Self) -> bool {
        use BatchState::{Broadcast, Confirmed, Manual, Released, Reserved, Signed};
        match self {
            Reserved => matches!(next, Signed | Released),
            Signed => matches!(next, Broadcast | Confirmed | Released | Manual),
            // Back to signed: no daemon knows it any more, and it is sent again.
            Broadcast => matches!(next, Signed | Confirmed | Released | Manual),
            Manual => matches!(next, Signed | Confirmed | Released),
            Confirmed | Released => false,
        }
    }

    /// The name in the store, the API and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for BatchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Schedule {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Threshold, Self::Daily, Self::Weekly, Self::Monthly];

    /// The name in the store, the API and the dashboard.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// The schedule of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|schedule| schedule.name() == name)
    }

    fn pause_ms(self) -> i64 {
        const DAY: i64 = 24 * 60 * 60 * 1000;
        match self {
            Self::Threshold => 0,
            Self::Daily => DAY,
            Self::Weekly => 7 * DAY,
            Self::Monthly => 30 * DAY,
        }
    }
}

impl<A> Owner<A> {
    /// Whether it is to be paid now, and if not, why.
    pub fn is_due(&self, policy: &Policy, now_ms: i64) -> Result<(), NotDue> {
        let wanted = match self.requested {
            true => policy.least,
            false => self.threshold.unwrap_or(policy.threshold).max(policy.least),
        };
        if self.paused && !self.requested {
            return Err(NotDue::Paused);
        }
        // A least of nothing must not pay nothing.
        if self.available < wanted || self.available == Amount::ZERO {
            return Err(NotDue::Below(wanted));
        }
        if let Some(last) = self.last_paid_ms
            && !self.requested
        {
            let next = last.saturating_add(self.schedule.pause_ms());
            if now_ms < next {
                return Err(NotDue::Before(next));
            }
        }
        match self.held_until_ms() {
            Some(until) if now_ms < until => Err(NotDue::Before(until)),
            _ => Ok(()),
        }
    }

    /// Until when nothing is paid because it changed its address, whoever asks.
    pub fn held_until_ms(&self) -> Option<i64> {
        let since = self.pay_to_since_ms?;
        Some(since.saturating_add(PAY_TO_HOLD_MS))
    }
}

/// The batches that pay all who are due, each in full, in their order. Those who stand alone come last,
/// each in a batch of its own: a transaction of Monero's has room for one payment id. A batch that would
/// pay too little together is left out, and its owners wait for more.
pub fn batches<A: Clone>(
    owners: &[Owner<A>],
    policy: &Policy,
    now_ms: i64,
    stands_alone: impl Fn(&Owner<A>) -> bool,
) -> Vec<Vec<Payment<A>>> {
    let due = owners
        .iter()
        .filter(|owner| owner.is_due(policy, now_ms).is_ok());
    let (alone, together): (Vec<_>, Vec<_>) = due.partition(|owner| stands_alone(owner));
    let chunks = together.chunks(policy.payments_max.max(1));
    let batches = chunks.chain(alone.chunks(1)).map(|owners| {
        let payment = |owner: &&Owner<A>| Payment {
            account: owner.account.clone(),
            amount: owner.available,
        };
        owners.iter().map(payment).collect::<Vec<_>>()
    });
    batches
        .filter(|batch| {
            // More than fits is more than the least.
            total(batch).is_none_or(|total| total >= policy.batch_min)
        })
        .collect()
}

/// What payments are together; nothing if that is more than any coin has.
pub fn total<A>(payments: &[Payment<A>]) -> Option<Amount> {
    Amount::checked_sum(payments.iter().map(|payment| payment.amount))
}

impl Policy {
    /// The most that the chain may take for a batch of `total`, rounded down.
    pub fn fee_of(&self, total: Amount) -> Amount {
        let product = u128::from(total.units()) * u128::from(self.fee_max.hundredths());
        let most = u64::try_from(product / 10_000).expect("a part is not above the whole");
        Amount::from_units(most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy {
        threshold: Amount::from_units(1000),
        least: Amount::from_units(100),
        payments_max: 3,
        batch_min: Amount::from_units(500),
        fee_max: Percent::from_hundredths(100).unwrap(),
    };
    const NOW: i64 = 1_800_000_000_000;
    const DAY: i64 = 86_400_000;

    fn owner(available: u64) -> Owner<&'static str> {
        Owner {
            account: "miner",
            available: Amount::from_units(available),
            threshold: None,
            schedule: Schedule::Threshold,
            paused: false,
            requested: false,
            last_paid_ms: None,
            pay_to: None,
            pay_to_since_ms: None,
        }
    }

    #[test]
    fn a70_a_changed_address_waits_a_day_whoever_asks() {
        let changed = Owner {
            pay_to: Some("elsewhere".into()),
            pay_to_since_ms: Some(NOW),
            ..owner(5000)
        };
        let asked = Owner {
            requested: true,
            ..changed.clone()
        };
        let until = NOW + DAY;
        for owner in [changed, asked] {
            let not_yet = Err(NotDue::Before(until));
            assert_eq!(owner.is_due(&POLICY, NOW), not_yet);
            assert_eq!(owner.is_due(&POLICY, until - 1), not_yet);
            assert_eq!(owner.is_due(&POLICY, until), Ok(()));
        }
    }

    #[test]
    fn who_is_due() {
        #[track_caller]
        fn case(owner: &Owner<&str>, expected: Result<(), NotDue>) {
            assert_eq!(owner.is_due(&POLICY, NOW), expected);
        }
        let below = |units| Err(NotDue::Below(Amount::from_units(units)));
        case(&owner(1000), Ok(()));
        case(&owner(999), below(1000));
        let own = |threshold| Owner {
            threshold: Some(Amount::from_units(threshold)),
            ..owner(700)
        };
        case(&own(700), Ok(()));
        case(&own(701), below(701));
        // A84: a threshold of nothing is the least.
        case(
            &Owner {
                available: Amount::from_units(99),
                ..own(0)
            },
            below(100),
        );
        case(
            &Owner {
                paused: true,
                ..owner(5000)
            },
            Err(NotDue::Paused),
        );
        let asked = Owner {
            requested: true,
            paused: true,
            ..owner(100)
        };
        case(&asked, Ok(()));
        case(
            &Owner {
                available: Amount::from_units(99),
                ..asked
            },
            below(100),
        );
        let daily = |last| Owner {
            schedule: Schedule::Daily,
            last_paid_ms: Some(last),
            ..owner(1000)
        };
        case(&daily(NOW - DAY), Ok(()));
        case(&daily(NOW - DAY + 1), Err(NotDue::Before(NOW + 1)));
        case(
            &Owner {
                requested: true,
                ..daily(NOW)
            },
            Ok(()),
        );
        case(&daily(i64::MAX), Err(NotDue::Before(i64::MAX)));
    }

    #[test]
    fn nobody_is_ever_paid_nothing() {
        let policy = Policy {
            least: Amount::ZERO,
            threshold: Amount::ZERO,
            ..POLICY
        };
        assert_eq!(
            owner(0).is_due(&policy, NOW),
            Err(NotDue::Below(Amount::ZERO))
        );
    }

    #[test]
    fn a82_batches_are_cut_and_each_pays_in_full() {
        let owners: Vec<_> = [1000, 10, 2000, 3000, 4000, 999].map(owner).into();
        let batches = batches(&owners, &POLICY, NOW, |_| false);
        let amounts: Vec<Vec<u64>> = batches
            .iter()
            .map(|batch| batch.iter().map(|payment| payment.amount.units()).collect())
            .collect();
        assert_eq!(amounts, [vec![1000, 2000, 3000], vec![4000]]);
        let policy = Policy {
            batch_min: Amount::from_units(4001),
            ..POLICY
        };
        assert_eq!(super::batches(&owners, &policy, NOW, |_| false).len(), 1);
        assert_eq!(
            super::batches(&owners[1..2], &POLICY, NOW, |_| false).len(),
            0
        );
    }

    proptest! {
        #[test]
        fn each_who_is_due_is_in_one_batch_which_is_not_too_large_and_his_own_if_he_stands_alone(
            owners in prop::collection::vec((0_u64..3_000, any::<bool>()), 0..60),
            payments_max in 1_usize..20,
        ) {
            let policy = Policy {
                payments_max,
                batch_min: Amount::ZERO,
                ..POLICY
            };
            // An account is its place, so that each can be told.
            let owners: Vec<Owner<(usize, bool)>> = owners
                .iter()
                .enumerate()
                .map(|(place, (available, alone))| {
                    let Owner { threshold, schedule, paused, .. } = owner(0);
                    Owner {
                        account: (place, *alone),
                        available: Amount::from_units(*available),
                        threshold,
                        schedule,
                        paused,
                        requested: false,
                        last_paid_ms: None,
                        pay_to: None,
                        pay_to_since_ms: None,
                    }
                })
                .collect();
            let batches = batches(&owners, &policy, NOW, |owner| owner.account.1);
            for batch in &batches {
                prop_assert!(!batch.is_empty() && batch.len() <= payments_max);
                let alone = batch.iter().any(|payment| payment.account.1);
                prop_assert!(!alone || batch.len() == 1);
            }
            let together = batches.iter().filter(|batch| !batch[0].account.1);
            // All but the last one are full.
            let lens: Vec<usize> = together.map(Vec::len).collect();
            prop_assert!(lens.iter().rev().skip(1).all(|len| *len == payments_max));
            let mut paid = batches.concat();
            paid.sort_by_key(|payment| payment.account.0);
            let due = owners.iter().filter(|owner| owner.available >= policy.threshold);
            let due: Vec<_> = due
                .map(|owner| Payment { account: owner.account, amount: owner.available })
                .collect();
            prop_assert_eq!(paid, due);
        }
    }

    #[test]
    fn a81_a_fee_is_held_to_its_limit_to_the_unit() {
        let most = |total| POLICY.fee_of(Amount::from_units(total)).units();
        assert_eq!(most(1000), 10);
        assert_eq!(most(1099), 10);
        assert_eq!(most(99), 0);
        assert_eq!(most(0), 0);
        assert_eq!(most(u64::MAX), u64::MAX / 100);
    }

    #[test]
    fn what_is_confirmed_or_released_stays_so() {
        for state in BatchState::ALL {
            assert!(!BatchState::Confirmed.becomes(state), "{state}");
            assert!(!BatchState::Released.becomes(state), "{state}");
            assert!(!state.becomes(BatchState::Reserved), "{state}");
        }
        // Without a transaction nothing can have been sent.
        assert!(!BatchState::Reserved.becomes(BatchState::Broadcast));
        assert!(!BatchState::Reserved.becomes(BatchState::Confirmed));
    }

    #[test]
    fn names_are_those_of_the_store_and_the_api() {
        let names = BatchState::ALL.map(BatchState::name);
        let expected = [
            "reserved",
            "signed",
            "broadcast",
            "confirmed",
            "released",
            "manual",
        ];
        assert_eq!(names, expected);
        assert_eq!(BatchState::ALL.map(|state| state.to_string()), expected);
        for schedule in Schedule::ALL {
            assert_eq!(Schedule::of_name(schedule.name()), Some(schedule));
        }
        assert_eq!(Schedule::of_name("yearly"), None);
    }

    #[test]
    fn schedules_last_their_days() {
        let days = Schedule::ALL.map(|schedule| schedule.pause_ms() / DAY);
        assert_eq!(days, [0, 1, 7, 30]);
        assert_eq!(Schedule::Weekly.pause_ms() % DAY, 0);
    }
}
