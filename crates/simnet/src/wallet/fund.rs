//! Choosing coins for a payment: largest first, change back to the wallet.
//!
//! Called by every method that funds. An error is what Bitcoin Core says, with its code. Nothing is
//! reserved here; the caller locks coins when asked to.

use std::collections::HashSet;

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute::LockTime,
    transaction,
};

use crate::{
    chain::Chain,
    mempool::Mempool,
    wallet::{Wallet, keys::Kind},
};

/// What is paid per 1000 virtual bytes when the caller does not say.
pub(crate) const DEFAULT_FEE_RATE: u64 = 1_000;
/// The highest rate a caller may ask for: Bitcoin Core's default `-maxtxfee` is about as strict.
const MAX_FEE_RATE: u64 = 10_000_000;
/// Inputs of one payment, so that it stays far below the standard weight.
const MAX_INPUTS: usize = 1_000;
/// Change below this is left to the fee: Bitcoin Core's dust limit for a witness output.
const DUST: u64 = 294;
/// Virtual bytes, rounded up: the parts of every transaction, and a change output.
const BASE_VSIZE: u64 = 11;
const CHANGE_VSIZE: u64 = 31;

/// What to pay and how.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Coins to spend in any case.
    pub(crate) inputs: Vec<TxIn>,
    pub(crate) outputs: Vec<TxOut>,
    /// In the smallest unit per 1000 virtual bytes.
    pub(crate) fee_rate: u64,
    /// Outputs that bear the fee; the change does when there is none.
    pub(crate) fee_payers: Vec<usize>,
    pub(crate) lock_time: LockTime,
    /// May spend other coins than `inputs`.
    pub(crate) add_inputs: bool,
    pub(crate) change_script: Option<ScriptBuf>,
    pub(crate) change_position: Option<usize>,
}

/// A payment with its coins, not signed yet.
#[derive(Clone, Debug)]
pub(crate) struct Funded {
    pub(crate) transaction: Transaction,
    /// The coins of all inputs.
    pub(crate) prevouts: Vec<TxOut>,
    pub(crate) fee: u64,
    pub(crate) change_position: Option<usize>,
}

/// Why no coins were found for a payment; each is one of Bitcoin Core's RPC errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfunded {
    InsufficientFunds,
    UnknownInput,
    AmountTooSmall,
    FeeRateTooHigh,
    TooManyInputs,
}

impl Request {
    pub(crate) fn new(outputs: Vec<TxOut>) -> Self {
        Self {
            inputs: Vec::new(),
            outputs,
            fee_rate: DEFAULT_FEE_RATE,
            fee_payers: Vec::new(),
            lock_time: LockTime::ZERO,
            add_inputs: true,
            change_script: None,
            change_position: None,
        }
    }
}

/// Chooses coins so that the outputs and the fee are paid.
pub(crate) fn fund(
    wallet: &mut Wallet,
    chain: &Chain,
    mempool: &Mempool,
    request: Request,
) -> Result<Funded, Unfunded> {
    if request.fee_rate > MAX_FEE_RATE {
        return Err(Unfunded::FeeRateTooHigh);
    }
    let mut inputs = request.inputs;
    let mut prevouts = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let coin = chain
            .coin(&input.previous_output)
            .map(|coin| coin.output.clone());
        let coin = coin.or_else(|| mempool.output(&input.previous_output).cloned());
        prevouts.push(coin.ok_or(Unfunded::UnknownInput)?);
    }
    let taken: HashSet<OutPoint> = inputs.iter().map(|input| input.previous_output).collect();
    let mut spendable: Vec<_> = if request.add_inputs {
        wallet.unspent(chain, mempool)
    } else {
        Vec::new()
    };
    spendable.retain(|coin| {
        coin.mature
            && coin.trusted
            && !taken.contains(&coin.outpoint)
            && !wallet.locked.contains(&coin.outpoint)
    });
    // Confirmed coins first: a chain of unconfirmed change has a length limit.
    spendable.sort_by_key(|coin| (coin.confirmations > 0, coin.output.value));

    let paid: u64 = request
        .outputs
        .iter()
        .map(|output| output.value.to_sat())
        .sum();
    let outputs_vsize: u64 = request
        .outputs
        .iter()
        .map(|output| output.weight().to_vbytes_ceil())
        .sum();
    let kind_vsize =
        |script: &bitcoin::Script| input_vsize(wallet.keys.find(script).map(|k| k.kind));
    let mut vsize = BASE_VSIZE + outputs_vsize;
    vsize += prevouts
        .iter()
        .map(|prevout| kind_vsize(&prevout.script_pubkey))
        .sum::<u64>();
    let mut value: u64 = prevouts.iter().map(|prevout| prevout.value.to_sat()).sum();
    let fee_of = |vsize: u64| (vsize * request.fee_rate).div_ceil(1000);
    let fee_on_top = |vsize| {
        if request.fee_payers.is_empty() {
            fee_of(vsize)
        } else {
            0
        }
    };
    while inputs.is_empty() || value < paid.saturating_add(fee_on_top(vsize)) {
        let coin = spendable.pop().ok_or(Unfunded::InsufficientFunds)?;
        if inputs.len() >= MAX_INPUTS {
            return Err(Unfunded::TooManyInputs);
        }
        value += coin.output.value.to_sat();
        vsize += kind_vsize(&coin.output.script_pubkey);
        inputs.push(TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        prevouts.push(coin.output);
    }

    let mut outputs = request.outputs;
    let with_change = vsize + CHANGE_VSIZE;
    let change = value - paid;
    let change = change
        .checked_sub(fee_on_top(with_change))
        .filter(|change| *change > DUST);
    let fee = match change {
        Some(change) => value - paid - change,
        None => value - paid,
    };
    let fee = if request.fee_payers.is_empty() {
        fee
    } else {
        let needed = fee_of(if change.is_some() { with_change } else { vsize });
        take_fee(
            &mut outputs,
            &request.fee_payers,
            needed.saturating_sub(fee),
        )?;
        needed.max(fee)
    };
    let change_position = change.map(|change| {
        let script = match request.change_script {
            Some(script) => script,
            None => wallet.new_script(Kind::Segwit, true),
        };
        let position = request
            .change_position
            .unwrap_or(outputs.len())
            .min(outputs.len());
        let output = TxOut {
            value: Amount::from_sat(change),
            script_pubkey: script,
        };
        outputs.insert(position, output);
        position
    });
    let transaction = Transaction {
        version: transaction::Version::TWO,
        lock_time: request.lock_time,
        input: inputs,
        output: outputs,
    };
    Ok(Funded {
        transaction,
        prevouts,
        fee,
        change_position,
    })
}

/// Takes a fee from the outputs that bear it, equally; the first bears the remainder.
fn take_fee(outputs: &mut [TxOut], payers: &[usize], fee: u64) -> Result<(), Unfunded> {
    let count = u64::try_from(payers.len()).unwrap_or(u64::MAX).max(1);
    let mut part = fee / count + fee % count;
    for &payer in payers {
        let output = outputs.get_mut(payer).ok_or(Unfunded::AmountTooSmall)?;
        let left = output
            .value
            .to_sat()
            .checked_sub(part)
            .filter(|left| *left > DUST);
        output.value = Amount::from_sat(left.ok_or(Unfunded::AmountTooSmall)?);
        part = fee / count;
    }
    Ok(())
}

/// The virtual size of a signed input, rounded up; a foreign one is taken for the largest.
fn input_vsize(kind: Option<Kind>) -> u64 {
    match kind {
        Some(Kind::Taproot) => 58,
        Some(Kind::Segwit) => 69,
        Some(Kind::Nested) => 92,
        Some(Kind::Legacy) | None => 149,
    }
}
