//! From a daemon's `getblocktemplate` to a [`Template`].
//!
//! Called by [`bitcoind`](super::bitcoind) on a thread where time does not matter. Nothing is
//! decoded that need not be: a transaction stays the text it came as. What does not fit is refused
//! with a reason and never bent.

use mining::{
    Amount, Coin, Network, Target, Template,
    target::NotATarget,
    template::{TemplateKind, Transactions},
};

use super::reply::{BlockTemplate, TemplateTransaction};

/// Why a template cannot be mined. Another one may be better; until then this daemon is unfit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A number that no block can have.
    #[error("{field} of the template is out of range")]
    OutOfRange {
        /// Its key.
        field: &'static str,
    },
    /// `bits` or `target`.
    #[error("template: {0}")]
    Target(#[from] NotATarget),
    /// A text that should be hexadecimal.
    #[error("{field} of the template is not hexadecimal")]
    NotHex {
        /// Its key.
        field: &'static str,
    },
    /// A transaction without what is needed of it.
    #[error("transaction {index} of the template has {what}")]
    Transaction {
        /// Which, from 0.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The fees are more than the whole reward.
    #[error("the template's fees are more than its coinbasevalue")]
    Fees,
    /// A rule that must be understood and is not.
    #[error("the template needs the rule {0:?}, which is not known")]
    Rule(String),
    /// Blocks need a signature.
    #[error("blocks of this signet must be signed")]
    SignedBlocks,
}

/// The most that a template may be worth: amounts are kept in 63 bits.
const VALUE_LIMIT: u64 = i64::MAX.unsigned_abs();

/// A witness commitment has 38 bytes; later rules may add to it.
const COMMITMENT_LIMIT: usize = 256;

/// The coinbase's script has 100 bytes, and height and extranonce must fit too.
const FLAGS_LIMIT: usize = 32;

/// The challenge that anything satisfies.
const OP_TRUE: &str = "51";

/// The rules to tell the daemon that we understand.
pub(super) fn rules(coin: &Coin, network: Network) -> Vec<&'static str> {
    let mut rules = coin.rules.to_vec();
    if network == Network::Signet {
        rules.push("signet");
    }
    rules
}

/// Makes the template.
pub(super) fn template(
    reply: &BlockTemplate<'_>,
    coin: &Coin,
    network: Network,
) -> Result<Template, Refused> {
    let known = rules(coin, network);
    if let Some(rule) = reply
        .rules
        .iter()
        .filter_map(|rule| rule.strip_prefix('!'))
        .find(|rule| !known.contains(rule))
    {
        return Err(Refused::Rule(super::rpc::cut(rule)));
    }
    if reply
        .signet_challenge
        .as_deref()
        .is_some_and(|challenge| challenge != OP_TRUE)
    {
        return Err(Refused::SignedBlocks);
    }
    let version =
        i32::try_from(reply.version).map_err(|_| Refused::OutOfRange { field: "version" })?;
    // Heights are pushed as signed numbers of up to four bytes.
    if reply.height == 0 || i32::try_from(reply.height).is_err() {
        return Err(Refused::OutOfRange { field: "height" });
    }
    if reply.value > VALUE_LIMIT {
        return Err(Refused::OutOfRange {
            field: "coinbasevalue",
        });
    }
    let bits = compact(&reply.bits)?;
    let target = Target::from_compact(bits)?.min(Target::from_hex(&reply.target)?);
    let value = Amount::from_units(reply.value);
    let fees = fees(&reply.transactions)?;
    if fees > value {
        return Err(Refused::Fees);
    }
    let witness_commitment = match &reply.default_witness_commitment {
        Some(script) if coin.has_segwit() => Some(bytes(
            script,
            "default_witness_commitment",
            COMMITMENT_LIMIT,
        )?),
        _ => None,
    };
    let coinbase_flags = match reply.coinbaseaux.get("flags") {
        Some(flags) => bytes(flags, "coinbaseaux.flags", FLAGS_LIMIT)?,
        None => Vec::new(),
    };
    let tail = match reply.mweb {
        None => String::new(),
        Some(block) if is_hex(block) => format!("01{block}"),
        Some(_) => return Err(Refused::NotHex { field: "mweb" }),
    };
    Ok(Template {
        height: reply.height,
        version: version.cast_unsigned(),
        previous: reply.previous,
        bits,
        target,
        time: reply.time.max(reply.min_time),
        min_time: reply.min_time,
        value,
        fees,
        witness_commitment,
        coinbase_flags,
        transactions: transactions(&reply.transactions, coin)?,
        tail,
        kind: TemplateKind::Full,
    })
}

/// The `bits` of a template or a header: eight digits.
pub(super) fn compact(bits: &str) -> Result<u32, Refused> {
    wire::hex::u32_padded(bits).ok_or(Refused::NotHex { field: "bits" })
}

fn fees(transactions: &[TemplateTransaction<'_>]) -> Result<Amount, Refused> {
    let mut sum = Amount::ZERO;
    for (index, transaction) in transactions.iter().enumerate() {
        let refused = |what| Refused::Transaction { index, what };
        // BIP 22: a fee that is not told is not zero.
        let fee = transaction.fee.ok_or_else(|| refused("no fee"))?;
        let fee = u64::try_from(fee).map_err(|_| refused("a negative fee"))?;
        sum = sum
            .checked_add(Amount::from_units(fee))
            .ok_or_else(|| refused("a fee beyond all money"))?;
    }
    Ok(sum)
}

fn transactions(
    transactions: &[TemplateTransaction<'_>],
    coin: &Coin,
) -> Result<Transactions, Refused> {
    let mut hex = String::with_capacity(transactions.iter().map(|t| t.data.len()).sum());
    let mut txids = Vec::with_capacity(transactions.len());
    for (index, transaction) in transactions.iter().enumerate() {
        let refused = |what| Refused::Transaction { index, what };
        if !is_hex(transaction.data) {
            return Err(refused("data that is not hexadecimal"));
        }
        hex.push_str(transaction.data);
        // Without segwit both are the same, and old daemons tell only `hash`.
        let other = if coin.has_segwit() {
            None
        } else {
            transaction.hash
        };
        txids.push(
            transaction
                .txid
                .or(other)
                .ok_or_else(|| refused("no txid"))?,
        );
    }
    Ok(Transactions::new(hex, &txids))
}

fn bytes(text: &str, field: &'static str, limit: usize) -> Result<Vec<u8>, Refused> {
    if text.len() > 2 * limit {
        return Err(Refused::OutOfRange { field });
    }
    hex::decode(text).map_err(|_| Refused::NotHex { field })
}

/// Whole bytes, and at least one.
fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|c| c.is_ascii_hexdigit())
}
