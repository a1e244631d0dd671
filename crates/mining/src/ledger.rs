//! The books: what may be written into them, and what that means. An [`Entry`] is some transfers
//! between accounts that count together or not at all; it is posted at once, or pending until it is
//! posted or voided. Nothing is ever changed or removed: a correction is another entry.
//!
//! `accounting`, `payout` and the operator make entries, the store keeps them, and its id makes each one
//! happen once. A transfer takes from one account what it gives to the other, so all balances of a pool add
//! up to zero, always.
//!
//! ```text
//! reward -> miner:ADDRESS, fee:NAME       a block, pending while it is immature
//! reward -> reserve -> miner, fee         a block, and shares paid for as they come
//! miner, fee -> batch:N -> paid           a payout, claimed and confirmed
//! reserve -> network-fee                  what the chain takes for it
//! reserve -> reward                       a block that was mature and is an orphan after all
//! operator -> reserve                     what the operator puts in; and back
//! ```

use std::{collections::BTreeMap, fmt, str::FromStr};

use pow::Hash;

use crate::{Amount, Scheme, block::BlockState};

/// The longest text of an account: an address has at most 108 characters.
const ACCOUNT_MAX: usize = 160;

/// Who or what has a balance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Where blocks pay from: below zero by all that the chain has paid the pool.
    Reward,
    /// A miner, by its address in the one form that it is kept in.
    Miner(String),
    /// A recipient of fees, by its name.
    Fee(String),
    /// A payout on its way, by the number of its batch.
    Batch(u64),
    /// What was paid out.
    Paid,
    /// What the chain took for it.
    NetworkFee,
    /// The operator's: pays for shares, network fees and late orphans, and gets what blocks bring
    /// in where shares are paid for. Below zero, it is what the pool owes.
    Reserve,
    /// Whoever runs the pool: below zero by all that was put into the reserve.
    Operator,
}

/// A text that names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no account; there are reward, reserve, operator, paid, network-fee, miner:ADDRESS, \
     fee:NAME and batch:NUMBER"
)]
pub struct BadAccount(pub String);

/// An amount that goes from one account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    from: Account,
    to: Account,
    amount: Amount,
}

/// Transfers that count together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    id: EntryId,
    is_pending: bool,
    transfers: Vec<Transfer>,
    reason: String,
}

/// What an entry is for. The same thing has the same id, and an id is written once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(String);

/// What becomes of an entry that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Posted,
    /// It never counted.
    Voided,
}

/// An amount that an account has not got, or one too large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// Nothing would move.
    #[error("a transfer of nothing")]
    Nothing,
    /// From an account to itself.
    #[error("a transfer from {0} to itself")]
    Itself(Account),
}

impl Outcome {
    /// The name in the store and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::Voided => "voided",
        }
    }

    /// The outcome of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Posted, Self::Voided]
            .into_iter()
            .find(|outcome| outcome.name() == name)
    }
}

impl Account {
    /// Whether its balance may be below zero.
    pub fn may_owe(&self) -> bool {
        matches!(self, Self::Reward | Self::Reserve | Self::Operator)
    }

    /// Whether the pool owes its balance to somebody who can be paid.
    pub fn is_payable(&self) -> bool {
        matches!(self, Self::Miner(_) | Self::Fee(_))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reward => f.write_str("reward"),
            Self::Miner(address) => write!(f, "miner:{address}"),
            Self::Fee(name) => write!(f, "fee:{name}"),
            Self::Batch(number) => write!(f, "batch:{number}"),
            Self::Paid => f.write_str("paid"),
            Self::NetworkFee => f.write_str("network-fee"),
            Self::Reserve => f.write_str("reserve"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl FromStr for Account {
    type Err = BadAccount;

    fn from_str(text: &str) -> Result<Self, BadAccount> {
        let bad = || BadAccount(text.chars().take(ACCOUNT_MAX).collect());
        if text.len() > ACCOUNT_MAX {
            return Err(bad());
        }
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        Ok(match text.split_once(':') {
            None => match text {
                "reward" => Self::Reward,
                "paid" => Self::Paid,
                "network-fee" => Self::NetworkFee,
                "reserve" => Self::Reserve,
                "operator" => Self::Operator,
                _ => return Err(bad()),
            },
            Some(("miner", address)) if is_name(address) => Self::Miner(address.to_owned()),
            Some(("fee", name)) if is_name(name) => Self::Fee(name.to_owned()),
            Some(("batch", number)) => {
                let number: u64 = number.parse().map_err(|_| bad())?;
                let batch = Self::Batch(number);
                // One text for one account: no plus sign and no leading zeros.
                if batch.to_string() != text {
                    return Err(bad());
                }
                batch
            }
            Some(_) => return Err(bad()),
        })
    }
}

impl Transfer {
    /// Refused if it moves nothing or goes nowhere.
    pub fn new(from: Account, to: Account, amount: Amount) -> Result<Self, BadEntry> {
        if amount == Amount::ZERO {
            return Err(BadEntry::Nothing);
        }
        if from == to {
            return Err(BadEntry::Itself(from));
        }
        Ok(Self { from, to, amount })
    }

    /// The account that is debited.
    pub fn from(&self) -> &Account {
        &self.from
    }

    /// The account that is credited.
    pub fn to(&self) -> &Account {
        &self.to
    }

    /// How much.
    pub fn amount(&self) -> Amount {
        self.amount
    }
}

impl EntryId {
    /// As it was stored.
    pub fn of_row(text: String) -> Self {
        Self(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of_block(coin: &str, block: Hash, what: &str, nth: u32) -> Self {
        Self(format!("{coin}:block:{block}:{what}:{nth}"))
    }

    fn of_batch(coin: &str, batch: u64, what: &str) -> Self {
        Self(format!("{coin}:batch:{batch}:{what}"))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Entry {
    fn new(id: EntryId, is_pending: bool, transfers: Vec<Transfer>, reason: &str) -> Self {
        Self {
            id,
            is_pending,
            transfers,
            reason: reason.to_owned(),
        }
    }

    /// A correction by the operator, with its reason. `id` is the operator's own, so that the same
    /// command twice is one correction.
    pub fn correction(id: &str, transfer: Transfer, reason: &str) -> Self {
        Self::new(
            EntryId(format!("operator:{id}")),
            false,
            vec![transfer],
            reason,
        )
    }

    /// What it is for.
    pub fn id(&self) -> &EntryId {
        &self.id
    }

    /// Whether it waits to be posted or voided.
    pub fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// What goes where.
    pub fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// Why, for people.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What the books know of a block: how often its credits were entered, and what became of the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockBooks {
    /// How many entries with its credits there are; all but the last are voided.
    pub credited: u32,
    /// What became of the last one; nothing while it is pending, or there is none.
    pub outcome: Option<Outcome>,
    /// How often it was taken from the reserve after it had been posted.
    pub charged: u32,
    /// How often that was given back.
    pub restored: u32,
}

/// What has to be written for the books to agree with the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockStep {
    /// Its credits, pending, under this number.
    Credit(u32),
    /// The credits of this number are posted or voided.
    Settle(u32, Outcome),
    /// The reserve is charged with its reward, for the so-manieth time.
    Charge(u32),
    /// That charge is given back.
    Restore(u32),
}

impl BlockBooks {
    /// The next step towards a block in `state`; nothing if the books agree with it.
    pub fn next(self, state: BlockState) -> Option<BlockStep> {
        let is_open = self.credited > 0 && self.outcome.is_none();
        let is_posted = self.outcome == Some(Outcome::Posted);
        let is_charged = self.charged > self.restored;
        match state {
            BlockState::Submitted | BlockState::Immature | BlockState::Mature if is_posted => {
                is_charged.then_some(BlockStep::Restore(self.charged))
            }
            BlockState::Submitted | BlockState::Immature | BlockState::Mature if !is_open => {
                Some(BlockStep::Credit(self.credited + 1))
            }
            BlockState::Mature => Some(BlockStep::Settle(self.credited, Outcome::Posted)),
            BlockState::Submitted | BlockState::Immature => None,
            BlockState::Orphaned if is_posted => {
                (!is_charged).then_some(BlockStep::Charge(self.charged + 1))
            }
            BlockState::Orphaned if is_open => {
                Some(BlockStep::Settle(self.credited, Outcome::Voided))
            }
            // Its credits were never entered, or are voided.
            BlockState::Orphaned => None,
        }
    }

    /// What they are after a step.
    #[must_use]
    pub fn after(mut self, step: BlockStep) -> Self {
        match step {
            BlockStep::Credit(nth) => {
                self.credited = nth;
                self.outcome = None;
            }
            BlockStep::Settle(_, outcome) => self.outcome = Some(outcome),
            BlockStep::Charge(nth) => self.charged = nth,
            BlockStep::Restore(nth) => self.restored = nth,
        }
        self
    }
}

/// A block in the books of one coin.
#[derive(Clone, Copy, Debug)]
pub struct BlockEntries<'a> {
    /// The coin's name.
    pub coin: &'a str,
    /// The block.
    pub block: Hash,
}

impl BlockEntries<'_> {
    /// The id of its credits, entered for the so-manieth time.
    pub fn credit_id(self, nth: u32) -> EntryId {
        EntryId::of_block(self.coin, self.block, "credit", nth)
    }

    /// What everyone gets of it, pending.
    pub fn credit(self, nth: u32, parts: impl IntoIterator<Item = (Account, Amount)>) -> Entry {
        let transfers = parts.into_iter().filter_map(|(to, amount)| {
            // A part may be nothing, and then nothing moves.
            Transfer::new(Account::Reward, to, amount).ok()
        });
        Entry::new(
            self.credit_id(nth),
            true,
            transfers.collect(),
            "reward of a block",
        )
    }

    /// What everyone gets who is paid by the block itself, in its coinbase; pending.
    pub fn paid_by_itself(
        self,
        nth: u32,
        parts: impl IntoIterator<Item = (Account, Amount)>,
    ) -> Entry {
        let transfers = parts.into_iter().flat_map(|(to, amount)| {
            let credit = Transfer::new(Account::Reward, to.clone(), amount);
            let paid = Transfer::new(to, Account::Paid, amount);
            credit.into_iter().chain(paid)
        });
        let reason = "reward of a block, paid by its coinbase";
        Entry::new(self.credit_id(nth), true, transfers.collect(), reason)
    }

    /// What everyone gets where the coinbase has paid a part of it: what it paid is paid, and the rest
    /// is owed; pending. If it paid somebody more than was due, the reserve bears the difference.
    pub fn paid_in_part(
        self,
        nth: u32,
        parts: impl IntoIterator<Item = (Account, Amount)>,
        paid: &BTreeMap<Account, Amount>,
    ) -> Entry {
        let parts: BTreeMap<Account, Amount> = parts.into_iter().collect();
        let due = |account: &Account| parts.get(account).copied().unwrap_or(Amount::ZERO);
        let credits = parts
            .iter()
            .map(|(to, amount)| Transfer::new(Account::Reward, to.clone(), *amount));
        let short = paid.iter().map(|(to, amount)| {
            let more = amount.checked_sub(due(to)).unwrap_or(Amount::ZERO);
            Transfer::new(Account::Reserve, to.clone(), more)
        });
        let payments = paid
            .iter()
            .map(|(from, amount)| Transfer::new(from.clone(), Account::Paid, *amount));
        let transfers = credits.chain(short).chain(payments).flatten().collect();
        let reason = "reward of a block, paid in part by its coinbase";
        Entry::new(self.credit_id(nth), true, transfers, reason)
    }

    /// The whole reward to the reserve, which has paid for the shares; pending.
    pub fn to_reserve(self, nth: u32, reward: Amount) -> Entry {
        let transfer = Transfer::new(Account::Reward, Account::Reserve, reward);
        let transfers = transfer.into_iter().collect();
        Entry::new(self.credit_id(nth), true, transfers, "reward of a block")
    }

    /// The chain took back a reward that was posted. The reserve is charged with it, but for what the
    /// coinbase has paid `by_itself`: that is gone from where it was paid.
    pub fn charge(self, nth: u32, reward: Amount, by_itself: Amount) -> Entry {
        let rest = reward.checked_sub(by_itself).unwrap_or(Amount::ZERO);
        let transfers = [
            Transfer::new(Account::Reserve, Account::Reward, rest),
            Transfer::new(Account::Paid, Account::Reward, by_itself),
        ];
        let id = EntryId::of_block(self.coin, self.block, "charge", nth);
        let transfers = transfers.into_iter().flatten().collect();
        Entry::new(id, false, transfers, "the chain left a mature block")
    }

    /// The chain gave it back.
    pub fn restore(self, nth: u32, reward: Amount, by_itself: Amount) -> Entry {
        let rest = reward.checked_sub(by_itself).unwrap_or(Amount::ZERO);
        let transfers = [
            Transfer::new(Account::Reward, Account::Reserve, rest),
            Transfer::new(Account::Reward, Account::Paid, by_itself),
        ];
        let id = EntryId::of_block(self.coin, self.block, "restore", nth);
        let transfers = transfers.into_iter().flatten().collect();
        let reason = "the chain came back to a mature block";
        Entry::new(id, false, transfers, reason)
    }
}

/// Shares that are paid for as they come, in the books of one coin.
#[derive(Clone, Copy, Debug)]
pub struct ShareEntries<'a> {
    /// The coin's name.
    pub coin: &'a str,
    /// How they are paid.
    pub scheme: Scheme,
    /// The height that they were mined at.
    pub height: u32,
    /// The place of the last one among all shares: its batch, and its place in that.
    pub last: (u64, u64),
}

impl ShareEntries<'_> {
    /// What everyone gets of the reserve for them.
    pub fn credit<'p>(self, parts: impl IntoIterator<Item = (&'p Account, Amount)>) -> Entry {
        let transfers = parts.into_iter().filter_map(|(to, amount)| {
            // Less than a unit waits for more.
            Transfer::new(Account::Reserve, to.clone(), amount).ok()
        });
        let Self {
            coin,
            scheme,
            height,
            last: (seq, place),
        } = self;
        let id = EntryId(format!("{coin}:shares:{}:{seq}.{place}", scheme.name()));
        let reason = format!("shares at height {height}");
        Entry::new(id, false, transfers.collect(), &reason)
    }
}

/// A batch of payments in the books of one coin.
#[derive(Clone, Copy, Debug)]
pub struct BatchEntries<'a> {
    /// The coin's name.
    pub coin: &'a str,
    /// Its number.
    pub batch: u64,
}

impl BatchEntries<'_> {
    /// The balances that it pays, taken from their accounts.
    pub fn claim<'p>(self, payments: impl IntoIterator<Item = (&'p Account, Amount)>) -> Entry {
        let transfers = payments.into_iter().filter_map(|(from, amount)| {
            Transfer::new(from.clone(), Account::Batch(self.batch), amount).ok()
        });
        let id = EntryId::of_batch(self.coin, self.batch, "claim");
        Entry::new(id, false, transfers.collect(), "claimed for a payout")
    }

    /// Its transaction is deep enough in the chain, which took `network_fee` for it.
    pub fn confirm(self, total: Amount, network_fee: Amount) -> Entry {
        let batch = Account::Batch(self.batch);
        let paid = Transfer::new(batch, Account::Paid, total);
        let fee = Transfer::new(Account::Reserve, Account::NetworkFee, network_fee);
        let id = EntryId::of_batch(self.coin, self.batch, "confirm");
        let transfers = [paid, fee].into_iter().flatten().collect();
        Entry::new(id, false, transfers, "paid out")
    }

    /// It can never confirm any more: the balances go back to where they came from.
    pub fn release<'p>(
        self,
        payments: impl IntoIterator<Item = (&'p Account, Amount)>,
        reason: &str,
    ) -> Entry {
        let transfers = payments.into_iter().filter_map(|(to, amount)| {
            Transfer::new(Account::Batch(self.batch), to.clone(), amount).ok()
        });
        let id = EntryId::of_batch(self.coin, self.batch, "release");
        Entry::new(id, false, transfers.collect(), reason)
    }
}

#[cfg(test)]
mod tests;
