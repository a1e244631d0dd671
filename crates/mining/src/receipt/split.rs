//! What a block was split into, as everybody may see it: miners by their blinded accounts, in the order
//! in which they were split. With it the split is made again by the same rule.

use std::{collections::HashSet, fmt};

use pow::Hash;

use super::{Digest, Issuer, Log, PublicKey, SecretKey, Signature, digest::Tag};
use crate::{
    Amount, Scheme, Work,
    accounting::{Credits, Fee, Fees},
};

const TEXT: Tag = Tag::new("adit/receipt/block");

/// What a block was split into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSplit {
    /// Whose block.
    pub issuer: Issuer,
    /// Its id.
    pub block: Hash,
    /// Its height.
    pub height: u32,
    /// How it is paid.
    pub scheme: Scheme,
    /// What it paid in all.
    pub reward: Amount,
    /// The work that it pays for.
    pub window: Work,
    /// What the window would hold if it were full.
    pub length: Work,
    /// The fees with what they took, in the order of the configuration.
    pub fees: Vec<(Fee, Amount)>,
    /// The miners' accounts with their work and their parts, in the order in which they were split.
    pub miners: Vec<(Digest, Work, Amount)>,
}

/// Why a block is not split as it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSplit {
    /// The work of the miners is not that of the window.
    #[error("the miners' work does not add up to the window's, or that is above its length")]
    Window,
    /// An account stands there twice.
    #[error("an account stands there twice")]
    Twice,
    /// The fees make no sense.
    #[error("fees: {0}")]
    Fees(#[from] crate::accounting::BadFees),
    /// The rule gives something else.
    #[error("the rule gives {0}")]
    Other(String),
}

impl BlockSplit {
    /// In which context its miners have accounts.
    pub fn log(&self) -> Log {
        Log::of_block(&self.issuer, self.block)
    }

    /// Splits it again.
    pub fn check(&self) -> Result<(), BadSplit> {
        let accounts: HashSet<_> = self.miners.iter().map(|(account, ..)| account).collect();
        if accounts.len() < self.miners.len() {
            return Err(BadSplit::Twice);
        }
        let work = self.miners.iter().map(|(_, work, _)| *work);
        let sum = work.into_iter().try_fold(Work::ZERO, Work::checked_add);
        if sum != Some(self.window) || self.window > self.length {
            return Err(BadSplit::Window);
        }
        match self.scheme {
            Scheme::Pplns | Scheme::Prop => self.check_parts(),
            // All of it to one, or to the reserve: nothing is split.
            Scheme::Solo => match (&self.fees[..], &self.miners[..]) {
                ([], [(_, work, amount)]) if *work == Work::ZERO && *amount == self.reward => {
                    Ok(())
                }
                _ => Err(BadSplit::Other("all of it to the miner".into())),
            },
            Scheme::Pps | Scheme::Fpps => match (&self.fees[..], &self.miners[..]) {
                ([], []) => Ok(()),
                _ => Err(BadSplit::Other("all of it to the reserve".into())),
            },
        }
    }

    fn check_parts(&self) -> Result<(), BadSplit> {
        let list: Vec<Fee> = self.fees.iter().map(|(fee, _)| fee.clone()).collect();
        let mut gives = "nothing".to_owned();
        // Who gets what cannot be split is not written down: it matters only where nobody did any
        // work, and then it is one of them.
        for keeper in &list {
            let fees = Fees::new(list.clone(), &keeper.name)?;
            let work = self
                .miners
                .iter()
                .map(|(account, work, _)| (*account, *work));
            let Some(credits) = Credits::new(self.reward, &fees, work) else {
                return Err(BadSplit::Window);
            };
            let taken = self.fees.iter().map(|(_, amount)| amount);
            let got = self.miners.iter().map(|(.., amount)| amount);
            let fees_fit = credits.fees().iter().eq(taken.clone());
            // Where nobody did any work, nobody has a part.
            let parts = credits.miners().iter().map(|credit| &credit.amount);
            let parts_fit = parts.clone().eq(got.clone());
            if fees_fit && parts_fit {
                return Ok(());
            }
            let differ = credits.fees().iter().chain(parts).zip(taken.chain(got));
            let differ = differ.into_iter().find(|(rule, told)| rule != told);
            gives = differ.map_or_else(
                || "another number of parts".into(),
                |(rule, told)| format!("{rule} where {told} stands"),
            );
        }
        Err(BadSplit::Other(gives))
    }

    /// What is signed.
    fn digest(&self) -> Digest {
        TEXT.of(&[self.to_string().as_bytes()])
    }

    /// The pool's signature of it; the same split always has the same one.
    pub fn sign(&self, key: &SecretKey) -> Signature {
        key.sign_digest(self.digest())
    }

    /// Whether this key has signed it.
    pub fn verify(&self, key: PublicKey, signature: Signature) -> Result<(), super::BadSignature> {
        key.verify(self.digest(), signature)
    }
}

impl fmt::Display for BlockSplit {
    /// Lines with a newline between them, and none behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "adit split")?;
        writeln!(f, "pool: {}", self.issuer.pool())?;
        writeln!(f, "coin: {} {}", self.issuer.coin(), self.issuer.network())?;
        writeln!(f, "block: {}", self.block)?;
        writeln!(f, "height: {}", self.height)?;
        writeln!(f, "scheme: {}", self.scheme.name())?;
        writeln!(f, "reward: {}", self.reward)?;
        writeln!(f, "window work: {}", self.window.hashes())?;
        write!(f, "window length: {}", self.length.hashes())?;
        for (fee, amount) in &self.fees {
            write!(f, "\nfee: {} {} {amount}", fee.name, fee.percent)?;
        }
        for (account, work, amount) in &self.miners {
            write!(f, "\nminer: {account} {} {amount}", work.hashes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> BlockSplit {
        let fee = |name: &str, percent: &str, amount| {
            let fee = Fee {
                name: name.into(),
                percent: percent.parse().unwrap(),
            };
            (fee, Amount::from_units(amount))
        };
        let miner = |byte, work, amount| {
            let work = Work::from_hashes(work);
            (Digest([byte; 32]), work, Amount::from_units(amount))
        };
        BlockSplit {
            issuer: Issuer::new("main", "bitcoin", "regtest").unwrap(),
            block: Hash([1; 32]),
            height: 10,
            scheme: Scheme::Pplns,
            reward: Amount::from_units(100),
            window: Work::from_hashes(3),
            length: Work::from_hashes(4),
            fees: vec![fee("pool", "1.5", 2), fee("foundation", "1", 1)],
            miners: vec![miner(5, 1, 32), miner(6, 2, 65)],
        }
    }

    #[test]
    fn a_split_is_made_again_and_all_of_it_counts() {
        assert_eq!(split().check(), Ok(()));
        let refused = |change: &dyn Fn(&mut BlockSplit)| {
            let mut split = split();
            change(&mut split);
            assert!(split.check().is_err(), "{split}");
        };
        refused(&|split| split.reward = Amount::from_units(101));
        refused(&|split| split.window = Work::from_hashes(4));
        refused(&|split| split.length = Work::from_hashes(2));
        refused(&|split| split.fees[0].1 = Amount::from_units(1));
        refused(&|split| split.fees[0].0.percent = "11".parse().unwrap());
        refused(&|split| split.fees.clear());
        refused(&|split| split.miners[0].1 = Work::from_hashes(2));
        refused(&|split| split.miners[0].0 = split.miners[1].0);
        refused(&|split| {
            split.miners[0].2 = Amount::from_units(33);
            split.miners[1].2 = Amount::from_units(64);
        });
        refused(&|split| split.scheme = Scheme::Solo);
        refused(&|split| split.scheme = Scheme::Fpps);
        refused(&|split| split.miners.truncate(1));
    }

    #[test]
    fn what_nobody_worked_for_goes_to_a_fee() {
        let mut split = split();
        split.miners.clear();
        split.window = Work::ZERO;
        split.fees[0].1 = Amount::from_units(2);
        split.fees[1].1 = Amount::from_units(98);
        assert_eq!(split.check(), Ok(()));
        split.fees[1].1 = Amount::from_units(97);
        assert!(split.check().is_err());
    }

    #[test]
    fn what_is_signed_is_all_of_it() {
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        let signature = split().sign(&key);
        assert_eq!(split().verify(key.public(), signature), Ok(()));
        let mut other = split();
        other.miners.swap(0, 1);
        assert!(other.verify(key.public(), signature).is_err());
        assert_eq!(split().to_string().lines().count(), 13);
    }
}
