//! What a block must be before it is connected, in Bitcoin Core's order and with its reject reasons.
//!
//! Pure functions of the block and of what `chain` knows about its parent. The order matters: a block
//! with two faults must be refused for the same one as in Bitcoin Core (`CheckBlock`,
//! `ContextualCheckBlockHeader`, `ContextualCheckBlock` in validation.cpp, `CheckTransaction` in
//! consensus/tx_check.cpp).

use std::{borrow::Cow, collections::HashSet};

use bitcoin::{
    Block, OutPoint, Transaction, TxOut, VarInt, Weight,
    absolute::{LOCK_TIME_THRESHOLD, LockTime},
    block::Header,
    hashes::Hash as _,
};
use pow::sha256::sha256d_pair;

use crate::{
    demand::Demand,
    params::{Params, Proof},
    sealed::{Head, Sealed, has_its_root},
    sigops, target, vision,
};

/// Consensus limits of Bitcoin Core's consensus/consensus.h.
pub(crate) const MAX_BLOCK_WEIGHT: u64 = Weight::MAX_BLOCK.to_wu();
pub(crate) const MAX_BLOCK_SIGOPS: usize = 80_000;
pub(crate) const MAX_MONEY: u64 = 21_000_000 * 100_000_000;
pub(crate) const WITNESS_SCALE: usize = 4;
/// A block's time may be this far ahead of the clock.
pub(crate) const MAX_FUTURE_SECONDS: u32 = 2 * 60 * 60;
/// `OP_RETURN`, a push of 36 bytes, and the four bytes of BIP 141.
pub(crate) const COMMITMENT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
const COMMITMENT_SCRIPT_BYTES: usize = 38;

/// Why a block or transaction is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Bitcoin Core's reject reason, the answer of `submitblock` (BIP 22).
    pub reason: Cow<'static, str>,
    /// What is wrong, for people; empty where the reason says it all.
    pub detail: String,
    /// The fault may lie in the bytes beside the header, so the block's id is not marked invalid.
    pub(crate) mutated: bool,
}

impl Reject {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            detail: detail.into(),
            mutated: false,
        }
    }

    fn mutated(reason: &'static str, detail: &str) -> Self {
        Self {
            mutated: true,
            ..Self::new(reason, detail)
        }
    }
}

/// What the parent decides about a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parent {
    pub(crate) height: u32,
    pub(crate) median_time: u32,
    pub(crate) next: Demand,
}

/// Checks without context (`CheckBlock`); a proposal has no proof of work to check.
pub(crate) fn check_block(params: &Params, sealed: &Sealed, proof: bool) -> Result<(), Reject> {
    if proof {
        check_proof(params, &sealed.head)?;
    }
    check_merkle_root(sealed)?;
    let block = &sealed.block;
    let count = block.txdata.len();
    let too_many = u64::try_from(count * WITNESS_SCALE).map_or(true, |n| n > MAX_BLOCK_WEIGHT);
    let base = base_size(block).saturating_mul(WITNESS_SCALE);
    if count == 0 || too_many || u64::try_from(base).map_or(true, |n| n > MAX_BLOCK_WEIGHT) {
        return Err(Reject::new("bad-blk-length", "size limits failed"));
    }
    if !block.txdata[0].is_coinbase() {
        return Err(Reject::new("bad-cb-missing", "first tx is not coinbase"));
    }
    if block.txdata[1..].iter().any(Transaction::is_coinbase) {
        return Err(Reject::new("bad-cb-multiple", "more than one coinbase"));
    }
    for transaction in &block.txdata {
        check_transaction(transaction).map_err(|reject| Reject {
            detail: format!(
                "Transaction check failed (tx hash {}) {}",
                transaction.compute_txid(),
                reject.detail
            ),
            ..reject
        })?;
    }
    let sigops: usize = block.txdata.iter().map(sigops::legacy).sum();
    if sigops.saturating_mul(WITNESS_SCALE) > MAX_BLOCK_SIGOPS {
        return Err(Reject::new("bad-blk-sigops", "out-of-bounds SigOpCount"));
    }
    Ok(())
}

/// The hash meets the header's own target, and that target is one this chain allows.
pub(crate) fn check_proof(params: &Params, head: &Head) -> Result<(), Reject> {
    let met = match (&params.proof, head.demand()) {
        (Proof::Header(algorithm), Demand::Bits(bits)) => target::from_compact(bits)
            .filter(|target| *target <= params.pow_limit)
            .is_some_and(|target| target::proof(*algorithm, &head.header) <= target),
        (Proof::VisionX(chain), Demand::Difficulty(difficulty)) => {
            chain.may_have(difficulty)
                && vision::hash_of(head.hash) <= pow::visionx::target_of(difficulty)
        }
        _ => false,
    };
    if met {
        Ok(())
    } else {
        Err(Reject::new("high-hash", "proof of work failed"))
    }
}

/// The header against its parent and the clock (`ContextualCheckBlockHeader`).
pub(crate) fn check_header(head: &Head, parent: &Parent, now: u32) -> Result<(), Reject> {
    let header = &head.header;
    if head.demand() != parent.next {
        return Err(Reject::new("bad-diffbits", "incorrect proof of work"));
    }
    if let Some(vision) = &head.vision
        && vision.height != u64::from(parent.height) + 1
    {
        return Err(Reject::new("bad-height", "block height mismatch in header"));
    }
    if header.time <= parent.median_time {
        return Err(Reject::new(
            "time-too-old",
            "block's timestamp is too early",
        ));
    }
    if header.time > now.saturating_add(MAX_FUTURE_SECONDS) {
        return Err(Reject::new(
            "time-too-new",
            "block timestamp too far in the future",
        ));
    }
    let version = header.version.to_consensus();
    if version < 4 {
        let hex = format!("0x{version:08x}");
        let detail = format!("rejected nVersion={hex} block");
        return Err(Reject::new(format!("bad-version({hex})"), detail));
    }
    Ok(())
}

/// The transactions against the parent (`ContextualCheckBlock`): finality, BIP 34, BIP 141, weight.
pub(crate) fn check_contents(block: &Block, parent: &Parent) -> Result<(), Reject> {
    let height = parent.height.saturating_add(1);
    if !block
        .txdata
        .iter()
        .all(|tx| is_final(tx, height, parent.median_time))
    {
        return Err(Reject::new("bad-txns-nonfinal", "non-final transaction"));
    }
    let coinbase = &block.txdata[0];
    let expected = height_script(height);
    if !coinbase.input[0]
        .script_sig
        .as_bytes()
        .starts_with(&expected)
    {
        return Err(Reject::new(
            "bad-cb-height",
            "block height mismatch in coinbase",
        ));
    }
    check_witness(block)?;
    if block.weight().to_wu() > MAX_BLOCK_WEIGHT {
        return Err(Reject::new(
            "bad-blk-weight",
            "ContextualCheckBlock : weight limit failed",
        ));
    }
    Ok(())
}

/// Checks of a transaction alone (`CheckTransaction`).
pub(crate) fn check_transaction(transaction: &Transaction) -> Result<(), Reject> {
    let reject = |reason: &'static str| Err(Reject::new(reason, ""));
    if transaction.input.is_empty() {
        return reject("bad-txns-vin-empty");
    }
    if transaction.output.is_empty() {
        return reject("bad-txns-vout-empty");
    }
    let weight = transaction.base_size().saturating_mul(WITNESS_SCALE);
    if u64::try_from(weight).map_or(true, |weight| weight > MAX_BLOCK_WEIGHT) {
        return reject("bad-txns-oversize");
    }
    let mut total = 0_u64;
    for output in &transaction.output {
        let value = output.value.to_sat();
        if i64::try_from(value).is_err() {
            return reject("bad-txns-vout-negative");
        }
        if value > MAX_MONEY {
            return reject("bad-txns-vout-toolarge");
        }
        total = total.saturating_add(value);
        if total > MAX_MONEY {
            return reject("bad-txns-txouttotal-toolarge");
        }
    }
    let mut seen = HashSet::with_capacity(transaction.input.len());
    if !transaction
        .input
        .iter()
        .all(|input| seen.insert(input.previous_output))
    {
        return reject("bad-txns-inputs-duplicate");
    }
    if transaction.is_coinbase() {
        if !(2..=100).contains(&transaction.input[0].script_sig.len()) {
            return reject("bad-cb-length");
        }
    } else if transaction
        .input
        .iter()
        .any(|input| input.previous_output == OutPoint::null())
    {
        return reject("bad-txns-prevout-null");
    }
    Ok(())
}

/// Whether a transaction may be in the block at `height` after `median_time` (BIP 113).
pub(crate) fn is_final(transaction: &Transaction, height: u32, median_time: u32) -> bool {
    let lock = transaction.lock_time.to_consensus_u32();
    let limit = if lock < LOCK_TIME_THRESHOLD {
        height
    } else {
        median_time
    };
    transaction.lock_time == LockTime::ZERO
        || lock < limit
        || transaction
            .input
            .iter()
            .all(|input| input.sequence.is_final())
}

/// The height as the coinbase's script must start with it: `CScript() << height` (BIP 34).
pub(crate) fn height_script(height: u32) -> Vec<u8> {
    bitcoin::script::Builder::new()
        .push_int(i64::from(height))
        .into_bytes()
}

/// The witness commitment's output: the last that bears the prefix (BIP 141).
pub(crate) fn commitment_output(block: &Block) -> Option<&TxOut> {
    block.txdata.first()?.output.iter().rev().find(|output| {
        output.script_pubkey.len() >= COMMITMENT_SCRIPT_BYTES
            && output
                .script_pubkey
                .as_bytes()
                .starts_with(&COMMITMENT_PREFIX)
    })
}

/// The commitment over a block's witnesses: sha256d(witness root, reserved value).
pub(crate) fn witness_commitment(transactions: &[Transaction], reserved: [u8; 32]) -> [u8; 32] {
    let leaves = std::iter::once([0; 32]).chain(
        transactions
            .iter()
            .skip(1)
            .map(|tx| tx.compute_wtxid().to_byte_array()),
    );
    let (root, _) = merkle_root(leaves.collect());
    sha256d_pair(&root, &reserved).to_bytes()
}

/// The root over `leaves` and whether two equal neighbours let another list have it (CVE-2012-2459).
pub(crate) fn merkle_root(mut leaves: Vec<[u8; 32]>) -> ([u8; 32], bool) {
    let mut mutated = false;
    while leaves.len() > 1 {
        mutated |= leaves.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        leaves = leaves
            .chunks(2)
            .map(|pair| sha256d_pair(&pair[0], pair.last().unwrap_or(&pair[0])).to_bytes())
            .collect();
    }
    (leaves.first().copied().unwrap_or_default(), mutated)
}

fn base_size(block: &Block) -> usize {
    Header::SIZE
        + VarInt::from(block.txdata.len()).size()
        + block
            .txdata
            .iter()
            .map(Transaction::base_size)
            .sum::<usize>()
}

fn check_merkle_root(sealed: &Sealed) -> Result<(), Reject> {
    let leaves = sealed
        .block
        .txdata
        .iter()
        .map(|tx| tx.compute_txid().to_byte_array())
        .collect();
    // Equal neighbours are equal in whatever tree.
    let (_, mutated) = merkle_root(leaves);
    if !has_its_root(sealed) {
        return Err(Reject::mutated(
            "bad-txnmrklroot",
            "hashMerkleRoot mismatch",
        ));
    }
    if mutated {
        return Err(Reject::mutated(
            "bad-txns-duplicate",
            "duplicate transaction",
        ));
    }
    Ok(())
}

/// BIP 141's commitment (`CheckWitnessMalleation`).
fn check_witness(block: &Block) -> Result<(), Reject> {
    if let Some(output) = commitment_output(block) {
        let witness = &block.txdata[0].input[0].witness;
        let reserved = witness
            .nth(0)
            .and_then(|value| <[u8; 32]>::try_from(value).ok());
        let Some(reserved) = reserved.filter(|_| witness.len() == 1) else {
            return Err(Reject::mutated(
                "bad-witness-nonce-size",
                "CheckWitnessMalleation : invalid witness reserved value size",
            ));
        };
        let commitment = witness_commitment(&block.txdata, reserved);
        if output.script_pubkey.as_bytes()[COMMITMENT_PREFIX.len()..COMMITMENT_SCRIPT_BYTES]
            != commitment
        {
            return Err(Reject::mutated(
                "bad-witness-merkle-match",
                "CheckWitnessMalleation : witness merkle commitment mismatch",
            ));
        }
        return Ok(());
    }
    if block
        .txdata
        .iter()
        .flat_map(|tx| &tx.input)
        .any(|input| !input.witness.is_empty())
    {
        return Err(Reject::mutated(
            "unexpected-witness",
            "CheckWitnessMalleation : unexpected witness data found",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_pushed_as_core_pushes_them() {
        #[track_caller]
        fn case(height: u32, hex: &str) {
            assert_eq!(hex::encode(height_script(height)), hex);
        }
        case(1, "51");
        case(16, "60");
        case(17, "0111");
        case(127, "017f");
        case(128, "028000");
        case(840_000, "0340d10c");
    }

    #[test]
    fn a_merkle_tree_with_a_repeated_pair_is_told_apart() {
        let leaves: Vec<[u8; 32]> = (0..6).map(|i| [i; 32]).collect();
        let (root, mutated) = merkle_root(leaves.clone());
        assert!(!mutated);
        let mut repeated = leaves.clone();
        repeated.extend_from_slice(&leaves[4..]);
        assert_eq!(merkle_root(repeated), (root, true));
        assert_eq!(merkle_root(vec![[7; 32]]), ([7; 32], false));
    }
}
