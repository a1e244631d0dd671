//! What is exported as JSON: made by the API, read by `adit verify`, written down in
//! `docs/receipts.md`. Each has its form's name and version, and one way to be written: small letters
//! in hexadecimal digits, no zeros before a number, no fields that are not said.

use std::{fmt::Display, str::FromStr};

use mining::{
    Amount, Scheme, Work,
    accounting::Fee,
    date::Date,
    receipt::{
        BlockSplit, Digest, Issuer, LoggedShare, PATH_MAX, PublicKey, Signature, SignedStatement,
        Statement, Sum,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The forms, as they name themselves.
pub const DAY: &str = "adit day 1";
/// A receipt.
pub const RECEIPT: &str = "adit receipt 1";
/// What a miner did on a day.
pub const SUM: &str = "adit sum 1";
/// The first line of a log.
pub const LOG: &str = "adit log 1";

/// What a block was split into.
pub const SPLIT: &str = "adit split 1";

/// A JSON that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub String);

/// What the pool has signed for a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// `adit day 1`.
    pub form: String,
    /// The pool's name.
    pub pool: String,
    /// The coin's name.
    pub coin: String,
    /// The network.
    pub network: String,
    /// The day, in UTC.
    #[schema(example = "2026-11-27")]
    pub date: String,
    /// The shares of its log.
    pub shares: u64,
    /// Their work, in expected hashes.
    pub work: String,
    /// The root of the log.
    pub root: String,
    /// The miners of that day.
    pub accounts: u64,
    /// The root of their sums.
    pub accounts_root: String,
    /// The digest of the statement of the last day before that had shares; null for the first.
    #[serde(deserialize_with = "Option::deserialize")]
    pub previous: Option<String>,
    /// The pool's public key.
    pub key: String,
    /// Its signature, as BIP 340 has it.
    pub signature: String,
}

/// A share as it stands in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The hash that is its proof of work.
    pub hash: String,
    /// What it is worth, in expected hashes.
    pub work: String,
    /// The height of the block it would be.
    pub height: u32,
    /// When it came, in milliseconds since 1970.
    pub time_ms: i64,
    /// How it is paid.
    pub scheme: String,
    /// Whose it is, blinded.
    pub account: String,
}

/// The receipt of a share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// `adit receipt 1`.
    pub form: String,
    /// The pool's name.
    pub pool: String,
    /// The coin's name.
    pub coin: String,
    /// The network.
    pub network: String,
    /// The day of the log.
    pub date: String,
    /// The place in the log, from 0 on.
    pub index: u64,
    /// The share.
    pub share: Share,
    /// Whose it is.
    pub address: String,
    /// What blinds the address.
    pub salt: String,
    /// That it will have this place, while the day is open; null afterwards.
    #[serde(deserialize_with = "Option::deserialize")]
    pub promise: Option<Promise>,
    /// That it has this place, once the day is closed; null before.
    #[serde(deserialize_with = "Option::deserialize")]
    pub proof: Option<Proof>,
}

/// The pool's word that a share has its place in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// The pool's public key.
    pub key: String,
    /// Its signature of place and leaf.
    pub signature: String,
}

/// The way from a share to what the pool has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The digests beside the way from the leaf to the root, from the leaf upwards.
    pub path: Vec<String>,
    /// What the pool has signed.
    pub day: Day,
}

/// What a miner did on a day, with the way to what the pool has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MinerSum {
    /// `adit sum 1`.
    pub form: String,
    /// Whose.
    pub address: String,
    /// What blinds the address.
    pub salt: String,
    /// The blinded address.
    pub account: String,
    /// Its shares of that day.
    pub shares: u64,
    /// Their work, in expected hashes.
    pub work: String,
    /// The place among the miners of that day, from 0 on.
    pub index: u64,
    /// The nodes beside the way to the root, from the leaf upwards.
    pub path: Vec<SumNode>,
    /// What the pool has signed.
    pub day: Day,
}

/// A node of the tree of sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SumNode {
    /// The digest of what is below.
    pub digest: String,
    /// The shares below.
    pub shares: u64,
    /// Their work.
    pub work: String,
}

/// The first line of a log; the others are shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// `adit log 1`.
    pub form: String,
    /// What the pool has signed.
    pub day: Day,
}

/// What a block was split into. Miners stand there by their blinded accounts, in the order in which
/// they were split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// `adit split 1`.
    pub form: String,
    /// The pool's name.
    pub pool: String,
    /// The coin's name.
    pub coin: String,
    /// The network.
    pub network: String,
    /// The block's id.
    pub block: String,
    /// Its height.
    pub height: u32,
    /// How it is paid.
    pub scheme: String,
    /// What it paid in all.
    pub reward: String,
    /// The work that it pays for, in expected hashes.
    pub window_work: String,
    /// What the window would hold if it were full.
    pub window_length: String,
    /// The fees, in the order of the configuration.
    pub fees: Vec<SplitFee>,
    /// The miners.
    pub miners: Vec<SplitMiner>,
    /// The pool's public key.
    pub key: String,
    /// Its signature.
    pub signature: String,
}

/// What a fee took of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitFee {
    /// Whose.
    pub name: String,
    /// The part of the reward, in percent.
    pub percent: String,
    /// How much it was.
    pub amount: String,
}

/// A miner's part of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitMiner {
    /// Whose, blinded.
    pub account: String,
    /// Its part of the work.
    pub work: String,
    /// Its part of the reward.
    pub amount: String,
}

impl Split {
    /// A split as JSON.
    pub fn new(split: &BlockSplit, key: PublicKey, signature: Signature) -> Self {
        let fee = |(fee, amount): &(Fee, Amount)| SplitFee {
            name: fee.name.clone(),
            percent: fee.percent.to_string(),
            amount: amount.to_string(),
        };
        let miner = |(account, work, amount): &(Digest, Work, Amount)| SplitMiner {
            account: account.to_string(),
            work: work.hashes().to_string(),
            amount: amount.to_string(),
        };
        Self {
            form: SPLIT.into(),
            pool: split.issuer.pool().into(),
            coin: split.issuer.coin().into(),
            network: split.issuer.network().into(),
            block: split.block.to_string(),
            height: split.height,
            scheme: split.scheme.name().into(),
            reward: split.reward.to_string(),
            window_work: split.window.hashes().to_string(),
            window_length: split.length.hashes().to_string(),
            fees: split.fees.iter().map(fee).collect(),
            miners: split.miners.iter().map(miner).collect(),
            key: key.to_string(),
            signature: signature.to_string(),
        }
    }

    /// The split, whoever signed it, and by what.
    pub fn parse(&self) -> Result<(BlockSplit, PublicKey, Signature), Wrong> {
        form(&self.form, SPLIT)?;
        let fee = |fee: &SplitFee| {
            let parsed = Fee {
                name: fee.name.clone(),
                percent: number("percent", &fee.percent)?,
            };
            Ok((parsed, amount("amount", &fee.amount)?))
        };
        let miner = |miner: &SplitMiner| {
            Ok((
                digest("account", &miner.account)?,
                work(&miner.work)?,
                amount("amount", &miner.amount)?,
            ))
        };
        let split = BlockSplit {
            issuer: issuer(&self.pool, &self.coin, &self.network)?,
            block: hash("block", &self.block)?,
            height: self.height,
            scheme: scheme(&self.scheme)?,
            reward: amount("reward", &self.reward)?,
            window: work(&self.window_work)?,
            length: work(&self.window_length)?,
            fees: self.fees.iter().map(fee).collect::<Result<_, Wrong>>()?,
            miners: self
                .miners
                .iter()
                .map(miner)
                .collect::<Result<_, Wrong>>()?,
        };
        Ok((split, key(&self.key)?, signature(&self.signature)?))
    }
}

impl Day {
    /// What was signed, as JSON.
    pub fn new(signed: &SignedStatement) -> Self {
        let statement = &signed.statement;
        Self {
            form: DAY.into(),
            pool: statement.issuer.pool().into(),
            coin: statement.issuer.coin().into(),
            network: statement.issuer.network().into(),
            date: statement.date.to_string(),
            shares: statement.shares,
            work: statement.work.hashes().to_string(),
            root: statement.root.to_string(),
            accounts: statement.accounts,
            accounts_root: statement.accounts_root.to_string(),
            previous: statement.previous.map(|digest| digest.to_string()),
            key: signed.key.to_string(),
            signature: signed.signature.to_string(),
        }
    }

    /// What was signed, whoever signed it.
    pub fn parse(&self) -> Result<SignedStatement, Wrong> {
        form(&self.form, DAY)?;
        let previous = self.previous.as_deref();
        Ok(SignedStatement {
            statement: Statement {
                issuer: issuer(&self.pool, &self.coin, &self.network)?,
                date: date(&self.date)?,
                shares: self.shares,
                work: work(&self.work)?,
                root: digest("root", &self.root)?,
                accounts: self.accounts,
                accounts_root: digest("accounts_root", &self.accounts_root)?,
                previous: previous.map(|text| digest("previous", text)).transpose()?,
            },
            key: key(&self.key)?,
            signature: signature(&self.signature)?,
        })
    }
}

impl Share {
    /// A share as JSON.
    pub fn new(share: &LoggedShare) -> Self {
        Self {
            hash: share.hash.to_string(),
            work: share.work.hashes().to_string(),
            height: share.height,
            time_ms: share.time_ms,
            scheme: share.scheme.name().into(),
            account: share.account.to_string(),
        }
    }

    /// The share.
    pub fn parse(&self) -> Result<LoggedShare, Wrong> {
        Ok(LoggedShare {
            hash: hash("hash", &self.hash)?,
            work: work(&self.work)?,
            height: self.height,
            time_ms: self.time_ms,
            scheme: scheme(&self.scheme)?,
            account: digest("account", &self.account)?,
        })
    }
}

impl SumNode {
    /// A node as JSON.
    pub fn new(node: &Sum) -> Self {
        Self {
            digest: node.digest.to_string(),
            shares: node.shares,
            work: node.work.hashes().to_string(),
        }
    }

    /// The node.
    pub fn parse(&self) -> Result<Sum, Wrong> {
        Ok(Sum {
            digest: digest("digest", &self.digest)?,
            shares: self.shares,
            work: work(&self.work)?,
        })
    }
}

impl Promise {
    /// The key and the signature.
    pub fn parse(&self) -> Result<(PublicKey, Signature), Wrong> {
        Ok((key(&self.key)?, signature(&self.signature)?))
    }
}

impl Proof {
    /// The way.
    pub fn path(&self) -> Result<Vec<Digest>, Wrong> {
        if self.path.len() > PATH_MAX {
            return Err(wrong("path: longer than any"));
        }
        self.path.iter().map(|text| digest("path", text)).collect()
    }
}

/// Whether a JSON names the form that it has to.
pub fn form(found: &str, expected: &str) -> Result<(), Wrong> {
    if found == expected {
        return Ok(());
    }
    Err(Wrong(format!("form: {found:?} is not {expected:?}")))
}

/// Who gives receipts.
pub fn issuer(pool: &str, coin: &str, network: &str) -> Result<Issuer, Wrong> {
    Issuer::new(pool, coin, network).map_err(|error| Wrong(error.to_string()))
}

/// A day.
pub fn date(text: &str) -> Result<Date, Wrong> {
    named("date", text)
}

/// Work.
pub fn work(text: &str) -> Result<Work, Wrong> {
    number("work", text).map(Work::from_hashes)
}

/// An amount in the smallest unit.
pub fn amount(name: &str, text: &str) -> Result<Amount, Wrong> {
    number(name, text).map(Amount::from_units)
}

/// A scheme.
pub fn scheme(name: &str) -> Result<Scheme, Wrong> {
    Scheme::of_name(name).ok_or_else(|| wrong("scheme: there is none of this name"))
}

/// A digest in this field.
pub fn digest(name: &str, text: &str) -> Result<Digest, Wrong> {
    named(name, text)
}

/// A hash as people see it, in small letters.
pub fn hash(name: &str, text: &str) -> Result<pow::Hash, Wrong> {
    let hash: pow::Hash = named(name, text)?;
    if hash.to_string() != text {
        return Err(Wrong(format!("{name}: not in small letters")));
    }
    Ok(hash)
}

/// A number that is written in the one way there is.
pub fn number<T: FromStr + Display>(name: &str, text: &str) -> Result<T, Wrong> {
    let number: Option<T> = text.parse().ok();
    let number = number.filter(|number| number.to_string() == text);
    number.ok_or_else(|| {
        Wrong(format!(
            "{name}: {text:?} is no number as it is written here"
        ))
    })
}

/// A public key.
pub fn key(text: &str) -> Result<PublicKey, Wrong> {
    PublicKey::from_hex(text).ok_or_else(|| wrong("key: it is not 64 of 0-9 and a-f"))
}

/// A signature.
pub fn signature(text: &str) -> Result<Signature, Wrong> {
    Signature::from_hex(text).ok_or_else(|| wrong("signature: it is not 128 of 0-9 and a-f"))
}

fn named<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Wrong> {
    text.parse()
        .map_err(|error| Wrong(format!("{name}: {error}")))
}

fn wrong(text: &str) -> Wrong {
    Wrong(text.into())
}
