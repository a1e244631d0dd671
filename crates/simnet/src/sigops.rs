//! Signature operations, counted as Bitcoin Core counts them (`GetTransactionSigOpCost`).
//!
//! The bitcoin crate counts most scripts alike, but not a multisig behind another signature check,
//! and not the script behind a hash when the input does more than push. Called by `check`, `connect`
//! and `mempool`.

use bitcoin::{
    OutPoint, Script, Transaction, TxIn, TxOut,
    opcodes::all::{
        OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY, OP_CHECKSIG, OP_CHECKSIGVERIFY, OP_PUSHNUM_1,
        OP_PUSHNUM_16,
    },
    script::Instruction,
};

use crate::check::WITNESS_SCALE;

/// A multisig counts as many when its number of keys is not known.
const MULTISIG_KEYS_MAX: usize = 20;

/// Those in the scripts themselves, without those of spent scripts (`GetLegacySigOpCount`).
pub(crate) fn legacy(transaction: &Transaction) -> usize {
    let inputs = transaction.input.iter().map(|input| &*input.script_sig);
    let outputs = transaction
        .output
        .iter()
        .map(|output| &*output.script_pubkey);
    inputs
        .chain(outputs)
        .map(|script| count(script, false))
        .sum()
}

/// What they cost a block in all; `spent` gives the output an input takes, `None` for a coinbase's.
pub(crate) fn cost(transaction: &Transaction, spent: impl Fn(&OutPoint) -> Option<TxOut>) -> usize {
    let behind = transaction.input.iter().filter_map(|input| {
        let output = spent(&input.previous_output)?;
        let script = &*output.script_pubkey;
        let redeem = script.is_p2sh().then(|| redeem_script(input)).flatten();
        let hashed = redeem.map_or(0, |redeem| count(redeem, true));
        let program = if script.is_p2sh() {
            redeem
        } else {
            Some(script)
        };
        Some(WITNESS_SCALE * hashed + program.map_or(0, |program| witness(input, program)))
    });
    WITNESS_SCALE * legacy(transaction) + behind.sum::<usize>()
}

/// `CScript::GetSigOpCount`. With `accurate` a multisig right behind a small number counts that.
fn count(script: &Script, accurate: bool) -> usize {
    let mut sum = 0;
    let mut keys = MULTISIG_KEYS_MAX;
    // A push that ends too early ends the count.
    for instruction in script.instructions().map_while(Result::ok) {
        let number = match instruction {
            Instruction::Op(OP_CHECKSIG | OP_CHECKSIGVERIFY) => {
                sum += 1;
                None
            }
            Instruction::Op(OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY) => {
                sum += keys;
                None
            }
            Instruction::Op(op) if accurate => small_number(op.to_u8()),
            _ => None,
        };
        keys = number.unwrap_or(MULTISIG_KEYS_MAX);
    }
    sum
}

fn small_number(op: u8) -> Option<usize> {
    (OP_PUSHNUM_1.to_u8()..=OP_PUSHNUM_16.to_u8())
        .contains(&op)
        .then(|| usize::from(op - OP_PUSHNUM_1.to_u8() + 1))
}

/// The last push of an input that only pushes; a number's opcode pushes nothing here.
fn redeem_script(input: &TxIn) -> Option<&Script> {
    if !input.script_sig.is_push_only() {
        return None;
    }
    match input.script_sig.instructions().last()?.ok()? {
        Instruction::PushBytes(bytes) => Some(Script::from_bytes(bytes.as_bytes())),
        Instruction::Op(_) => Some(Script::new()),
    }
}

/// `CountWitnessSigOps` for a program and the witness that spends it.
fn witness(input: &TxIn, program: &Script) -> usize {
    if program.is_p2wpkh() {
        1
    } else if program.is_p2wsh() {
        let script = input.witness.last().map(Script::from_bytes);
        script.map_or(0, |script| count(script, true))
    } else {
        0
    }
}
