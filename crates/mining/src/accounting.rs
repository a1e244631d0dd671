//! From work to credits: who gets what of a reward, for every scheme. Called by the task
//! `accounting`, which brings the work and books what comes out.
//!
//! Each rule splits to the smallest unit: [`apportion`] is the only place where something is
//! divided, and what it gives adds up to what it was given. Shares are weighed by the work of their
//! own job, never counted.

mod apportion;
mod expected;
mod fees;
mod hundredths;
mod pps;
mod split;
mod window;

pub use apportion::apportion;
pub use expected::{exact_part, expected};
pub use fees::{BadFees, BadPercent, Fee, Fees, Percent};
pub use pps::{AVERAGED_BLOCKS, ExpectedBlock, Owed, Price, TooMuchOwed, average};
pub use split::{Payee, Position, Split};
pub use window::{Bucket, Multiple, TooMuchWork, Window};

use crate::{Amount, Work};

/// A miner's part of a reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit<M> {
    /// Whose.
    pub miner: M,
    /// The work that it is for.
    pub work: Work,
    /// How much; may be zero.
    pub amount: Amount,
}

/// A reward, split. All parts add up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credits<M> {
    fees: Vec<Amount>,
    miners: Vec<Credit<M>>,
}

impl<M> Credits<M> {
    /// Splits `reward`: first among fees and miners, then the miners' part by their work. Where
    /// nobody did any, their part is what cannot be split, and goes to the recipient of that.
    ///
    /// Nothing if the sum of the work does not fit 128 bits.
    pub fn new(
        reward: Amount,
        fees: &Fees,
        work: impl IntoIterator<Item = (M, Work)>,
    ) -> Option<Self> {
        let work: Vec<(M, Work)> = work.into_iter().collect();
        let mut parts = split(reward, &fees.weights())?;
        let rest = parts.pop().expect("the last part is the miners'");
        let weights: Vec<u128> = work.iter().map(|(_, work)| work.hashes()).collect();
        let miners = if weights.iter().all(|weight| *weight == 0) {
            let keeper = &mut parts[fees.remainder()];
            *keeper = keeper.checked_add(rest).expect("parts of one reward");
            Vec::new()
        } else {
            let amounts = split(rest, &weights)?;
            let credits = work.into_iter().zip(amounts);
            credits
                .map(|((miner, work), amount)| Credit {
                    miner,
                    work,
                    amount,
                })
                .collect()
        };
        let credits = Self {
            fees: parts,
            miners,
        };
        assert_eq!(
            credits.sum(),
            Some(reward),
            "a split gives what it was given"
        );
        Some(credits)
    }

    /// What each recipient of fees gets, in the order of their list.
    pub fn fees(&self) -> &[Amount] {
        &self.fees
    }

    /// What each miner gets, in the order in which they came.
    pub fn miners(&self) -> &[Credit<M>] {
        &self.miners
    }

    fn sum(&self) -> Option<Amount> {
        let miners = self.miners.iter().map(|credit| credit.amount);
        Amount::checked_sum(self.fees.iter().copied().chain(miners))
    }
}

fn split(amount: Amount, weights: &[u128]) -> Option<Vec<Amount>> {
    let parts = apportion(amount.units().into(), weights)?;
    let amount = |part| u64::try_from(part).expect("a part is not above the whole");
    Some(
        parts
            .into_iter()
            .map(amount)
            .map(Amount::from_units)
            .collect(),
    )
}

#[cfg(test)]
mod tests;
