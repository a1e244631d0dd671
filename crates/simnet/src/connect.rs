//! Whether a block may be connected to the coins as they are: spends, amounts, scripts
//! (`ConnectBlock` in Bitcoin Core's validation.cpp).
//!
//! Changes nothing: it gives what connecting would change, and `chain` applies that. Scripts are run
//! after all other checks, as Bitcoin Core does with its script threads.

use bitcoin::{Block, OutPoint, Sequence, Transaction, TxOut, sighash::SighashCache};

use crate::{
    check::{MAX_BLOCK_SIGOPS, MAX_MONEY, Reject},
    money,
    params::Params,
    script::{Rules, ScriptError, verify},
    sigops,
    utxo::{Coin, Delta, Utxo, View},
};

/// Where a block would be connected.
pub(crate) struct Place<'a> {
    pub(crate) params: &'a Params,
    pub(crate) height: u32,
    /// Median time past of the parent.
    pub(crate) median_time: u32,
    /// Median time past of the active chain's block at a height.
    pub(crate) median_time_at: &'a dyn Fn(u32) -> u32,
}

/// What the block would change, or why it may not be connected.
pub(crate) fn connect(place: &Place<'_>, block: &Block, utxo: &Utxo) -> Result<Delta, Reject> {
    let txids: Vec<_> = block.txdata.iter().map(Transaction::compute_txid).collect();
    for (&txid, transaction) in txids.iter().zip(&block.txdata) {
        let mut outpoints = (0_u32..)
            .zip(&transaction.output)
            .map(|(vout, _)| OutPoint { txid, vout });
        if outpoints.any(|outpoint| utxo.get(&outpoint).is_some()) {
            return Err(Reject::new(
                "bad-txns-BIP30",
                "tried to overwrite transaction",
            ));
        }
    }
    let mut view = View::new(utxo);
    let mut fees = 0_u64;
    let mut operations = 0_usize;
    let mut spent_outputs = Vec::with_capacity(block.txdata.len());
    for (&txid, transaction) in txids.iter().zip(&block.txdata) {
        let mut prevouts: Vec<TxOut> = Vec::new();
        if !transaction.is_coinbase() {
            let in_transaction = |reject: Reject| Reject {
                detail: format!("{} in transaction {txid}", reject.detail),
                ..reject
            };
            let coins = input_coins(transaction, |outpoint| view.get(outpoint).cloned())
                .ok_or_else(missing_inputs)
                .map_err(in_transaction)?;
            let fee = check_inputs(place, transaction, &coins).map_err(in_transaction)?;
            fees = fees.saturating_add(fee);
            if fees > MAX_MONEY {
                let detail = "accumulated fee in the block out of range";
                return Err(Reject::new("bad-txns-accumulated-fee-outofrange", detail));
            }
            if !sequence_locks_met(place, transaction, &coins) {
                let detail = format!("contains a non-BIP68-final transaction {txid}");
                return Err(Reject::new("bad-txns-nonfinal", detail));
            }
            prevouts = coins.into_iter().map(|coin| coin.output).collect();
        }
        operations = operations.saturating_add(sigops::cost(transaction, |outpoint| {
            view.get(outpoint).map(|coin| coin.output.clone())
        }));
        if operations > MAX_BLOCK_SIGOPS {
            return Err(Reject::new("bad-blk-sigops", "too many sigops"));
        }
        view.apply(transaction, txid, place.height);
        spent_outputs.push(prevouts);
    }
    let limit = place
        .params
        .subsidy(place.height)
        .to_sat()
        .saturating_add(fees);
    let paid: u64 = block.txdata[0]
        .output
        .iter()
        .map(|output| output.value.to_sat())
        .sum();
    if paid > limit {
        let detail = format!("coinbase pays too much (actual={paid} vs limit={limit})");
        return Err(Reject::new("bad-cb-amount", detail));
    }
    for (transaction, prevouts) in block.txdata.iter().zip(&spent_outputs).skip(1) {
        check_scripts(transaction, prevouts, Rules::Consensus).map_err(|(error, detail)| {
            Reject::new(
                format!("block-script-verify-flag-failed ({})", error.text()),
                detail,
            )
        })?;
    }
    Ok(view.finish())
}

/// The coins a transaction spends, `None` when one is not there.
pub(crate) fn input_coins(
    transaction: &Transaction,
    get: impl Fn(&OutPoint) -> Option<Coin>,
) -> Option<Vec<Coin>> {
    transaction
        .input
        .iter()
        .map(|input| get(&input.previous_output))
        .collect()
}

pub(crate) fn missing_inputs() -> Reject {
    Reject::new(
        "bad-txns-inputs-missingorspent",
        "CheckTxInputs: inputs missing/spent",
    )
}

/// Maturity and amounts (`CheckTxInputs`); gives the fee in the smallest unit.
pub(crate) fn check_inputs(
    place: &Place<'_>,
    transaction: &Transaction,
    coins: &[Coin],
) -> Result<u64, Reject> {
    let mut value_in = 0_u64;
    for coin in coins {
        let depth = place.height.saturating_sub(coin.height);
        if coin.coinbase && depth < place.params.maturity {
            let detail = format!("tried to spend coinbase at depth {depth}");
            return Err(Reject::new("bad-txns-premature-spend-of-coinbase", detail));
        }
        value_in = value_in.saturating_add(coin.output.value.to_sat());
        if value_in > MAX_MONEY {
            return Err(Reject::new("bad-txns-inputvalues-outofrange", ""));
        }
    }
    // Every output is within MAX_MONEY once `check_transaction` has passed.
    let value_out: u64 = transaction
        .output
        .iter()
        .map(|output| output.value.to_sat())
        .sum();
    value_in.checked_sub(value_out).ok_or_else(|| {
        let detail = format!(
            "value in ({}) < value out ({})",
            money::text(value_in),
            money::text(value_out)
        );
        Reject::new("bad-txns-in-belowout", detail)
    })
}

/// Relative lock times (BIP 68).
pub(crate) fn sequence_locks_met(
    place: &Place<'_>,
    transaction: &Transaction,
    coins: &[Coin],
) -> bool {
    // Bitcoin Core's version is unsigned since 28.0: a "negative" one is large.
    if (0..2).contains(&transaction.version.0) {
        return true;
    }
    transaction
        .input
        .iter()
        .zip(coins)
        .all(|(input, coin)| match lock(input.sequence) {
            Lock::None => true,
            Lock::Blocks(blocks) => {
                u64::from(coin.height) + u64::from(blocks) <= u64::from(place.height)
            }
            Lock::Seconds(seconds) => {
                let since = (place.median_time_at)(coin.height.saturating_sub(1));
                u64::from(since) + u64::from(seconds) <= u64::from(place.median_time)
            }
        })
}

/// Runs all input scripts; an error comes with its place for people.
pub(crate) fn check_scripts(
    transaction: &Transaction,
    prevouts: &[TxOut],
    rules: Rules,
) -> Result<(), (ScriptError, String)> {
    let mut cache = SighashCache::new(transaction);
    for (index, input) in transaction.input.iter().enumerate() {
        verify(&mut cache, index, prevouts, rules).map_err(|error| {
            let detail = format!(
                "input {index} of {} (wtxid {}), spending {}",
                transaction.compute_txid(),
                transaction.compute_wtxid(),
                input.previous_output
            );
            (error, detail)
        })?;
    }
    Ok(())
}

enum Lock {
    None,
    Blocks(u32),
    Seconds(u32),
}

fn lock(sequence: Sequence) -> Lock {
    let raw = sequence.to_consensus_u32();
    let value = raw & 0xffff;
    match (raw & (1 << 31) != 0, raw & (1 << 22) != 0) {
        (true, _) => Lock::None,
        (false, true) => Lock::Seconds(value << 9),
        (false, false) => Lock::Blocks(value),
    }
}
