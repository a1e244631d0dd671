//! Making, funding, signing and sending payments of the wallet.

use std::collections::HashSet;

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    consensus,
    opcodes::all::OP_RETURN,
    script::{Builder, PushBytesBuf},
    transaction,
};
use serde_json::{Map, Value, json};

use super::{
    arguments::{Arguments, as_address, as_amount, as_integer, as_text, as_u32},
    error::RpcError,
    transactions::not_taken,
};
use crate::{
    decode, money,
    node::{Node, State},
    params::Params,
    script::Rules,
    wallet::{
        fund::{Funded, Request, Unfunded, fund},
        sign::sign_transaction,
    },
};

/// Outputs of one payment: far more than a payout needs, and below the standard weight.
const MAX_OUTPUTS: usize = 3_000;

pub(super) fn sendtoaddress(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let output = {
        let state = node.state();
        let script_pubkey = arguments.address(0, state.chain.params())?;
        TxOut {
            value: positive(arguments.amount(1)?)?,
            script_pubkey,
        }
    };
    let mut request = Request::new(vec![output]);
    if arguments.flag(4)?.unwrap_or(false) {
        request.fee_payers = vec![0];
    }
    set_fee_rate(&mut request, arguments.get(9))?;
    send(node, request)
}

pub(super) fn sendmany(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    if arguments.text(0)?.is_some_and(|dummy| !dummy.is_empty()) {
        return Err(RpcError::invalid("Dummy value must be set to \"\""));
    }
    let amounts = arguments.required(arguments.object(1)?)?;
    let payers = arguments.array(4)?.map(Vec::as_slice).unwrap_or_default();
    let mut request = {
        let state = node.state();
        let params = state.chain.params();
        let outputs = amounts.iter().map(|(address, amount)| {
            let script_pubkey = as_address(address, params)?;
            Ok(TxOut {
                value: positive(as_amount(amount)?)?,
                script_pubkey,
            })
        });
        Request::new(outputs.collect::<Result<_, RpcError>>()?)
    };
    if request.outputs.is_empty() {
        return Err(RpcError::invalid(
            "Invalid parameter, amounts must not be empty",
        ));
    }
    if request.outputs.len() > MAX_OUTPUTS {
        return Err(RpcError::invalid("Transaction too large"));
    }
    for payer in payers {
        let payer = as_text(payer)?;
        let position = amounts.keys().position(|address| address == payer);
        let position = position
            .ok_or_else(|| RpcError::invalid("Invalid parameter, subtract fee from output"))?;
        if request.fee_payers.contains(&position) {
            return Err(RpcError::invalid("Invalid parameter, duplicated position"));
        }
        request.fee_payers.push(position);
    }
    set_fee_rate(&mut request, arguments.get(8))?;
    send(node, request)
}

pub(super) fn createrawtransaction(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let state = node.state();
    let transaction = construct(&state, arguments)?;
    Ok(json!(hex::encode(decode::draft_bytes(&transaction))))
}

pub(super) fn fundrawtransaction(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let transaction = arguments.draft(0)?;
    if transaction.output.is_empty() {
        return Err(RpcError::invalid("TX must have at least one output"));
    }
    let mut request = Request::new(transaction.output);
    request.inputs = transaction.input;
    request.lock_time = transaction.lock_time;
    let empty = Map::new();
    let options = arguments.object(1)?.unwrap_or(&empty);
    let funded = fund_with(node, request, options)?;
    Ok(json!({
        "hex": consensus::encode::serialize_hex(&funded.transaction),
        "fee": money::coins(funded.fee),
        "changepos": change_position(&funded),
    }))
}

pub(super) fn signrawtransactionwithwallet(
    node: &Node,
    arguments: &Arguments,
) -> Result<Value, RpcError> {
    let mut transaction = arguments.transaction(0)?;
    let state = node.state();
    let given = arguments.array(1)?.map(Vec::as_slice).unwrap_or_default();
    let given = given
        .iter()
        .map(previous_output)
        .collect::<Result<Vec<_>, _>>()?;
    if arguments
        .text(2)?
        .is_some_and(|kind| !["DEFAULT", "ALL"].contains(&kind))
    {
        return Err(RpcError::invalid(
            "only the signature hash type ALL is made here",
        ));
    }
    let mut errors = Vec::new();
    let mut prevouts = Vec::with_capacity(transaction.input.len());
    for input in &transaction.input {
        let outpoint = input.previous_output;
        let known = known_output(&state, &outpoint);
        let given = given
            .iter()
            .find(|(out, _)| *out == outpoint)
            .map(|(_, coin)| coin.clone());
        prevouts.push(known.or(given));
    }
    // A signature commits to the coins of all inputs, with taproot to every one of them.
    let all: Vec<TxOut> = prevouts
        .iter()
        .cloned()
        .map(|coin| coin.unwrap_or(TxOut::NULL))
        .collect();
    sign_transaction(&state.wallet.keys, &mut transaction, &all);
    let mut cache = bitcoin::sighash::SighashCache::new(&transaction);
    for (index, input) in transaction.input.iter().enumerate() {
        let error = match &prevouts[index] {
            None => Some("Input not found or already spent"),
            Some(_) => crate::script::verify(&mut cache, index, &all, Rules::Policy)
                .err()
                .map(crate::script::ScriptError::text),
        };
        errors.extend(error.map(|error| {
            json!({
                "txid": input.previous_output.txid,
                "vout": input.previous_output.vout,
                "witness": input.witness.iter().map(hex::encode).collect::<Vec<_>>(),
                "scriptSig": input.script_sig.to_hex_string(),
                "sequence": input.sequence.to_consensus_u32(),
                "error": error,
            })
        }));
    }
    let mut json = json!({
        "hex": consensus::encode::serialize_hex(&transaction),
        "complete": errors.is_empty(),
    });
    if !errors.is_empty() {
        json["errors"] = Value::Array(errors);
    }
    Ok(json)
}

/// A transaction from `inputs`, `outputs`, `locktime` at the first three places.
pub(super) fn construct(state: &State, arguments: &Arguments) -> Result<Transaction, RpcError> {
    let lock_time = match arguments.get(2) {
        Some(value) => LockTime::from_consensus(as_u32(value, "locktime")?),
        None => LockTime::ZERO,
    };
    let inputs = arguments.array(0)?.map(Vec::as_slice).unwrap_or_default();
    let input = inputs
        .iter()
        .map(construct_input)
        .collect::<Result<Vec<_>, _>>()?;
    let outputs = arguments.required(arguments.get(1))?;
    let output = construct_outputs(outputs, state.chain.params())?;
    Ok(Transaction {
        version: transaction::Version::TWO,
        lock_time,
        input,
        output,
    })
}

/// Funds a request as the options of `fundrawtransaction` and `walletcreatefundedpsbt` say.
pub(super) fn fund_with(
    node: &Node,
    mut request: Request,
    options: &Map<String, Value>,
) -> Result<Funded, RpcError> {
    let mut guard = node.state();
    let State {
        chain,
        mempool,
        wallet,
        ..
    } = &mut *guard;
    let flag = |names: [&str; 2]| names.iter().find_map(|name| options.get(*name)?.as_bool());
    let value = |names: [&str; 2]| names.iter().find_map(|name| options.get(*name));
    set_fee_rate(&mut request, options.get("fee_rate"))?;
    if let Some(rate) = options.get("feeRate") {
        request.fee_rate = as_amount(rate)?;
    }
    request.add_inputs = flag(["add_inputs", "addInputs"]).unwrap_or(request.inputs.is_empty());
    if let Some(address) = value(["change_address", "changeAddress"]) {
        let script = as_address(as_text(address)?, chain.params());
        let error = "Change address must be a valid bitcoin address";
        request.change_script = Some(script.map_err(|_| RpcError::not_found(error))?);
    }
    if let Some(position) = value(["change_position", "changePosition"]) {
        let position = usize::try_from(as_integer(position)?).ok();
        let position = position.filter(|position| *position <= request.outputs.len());
        let error = || RpcError::invalid("changePosition out of bounds");
        request.change_position = Some(position.ok_or_else(error)?);
    }
    if let Some(Value::Array(payers)) =
        value(["subtract_fee_from_outputs", "subtractFeeFromOutputs"])
    {
        for payer in payers {
            let position = usize::try_from(as_integer(payer)?).ok();
            let position = position.filter(|position| {
                *position < request.outputs.len() && !request.fee_payers.contains(position)
            });
            let error = || RpcError::invalid("Invalid parameter, position too large or duplicated");
            request.fee_payers.push(position.ok_or_else(error)?);
        }
    }
    let funded = fund(wallet, chain, mempool, request).map_err(unfunded)?;
    if flag(["lock_unspents", "lockUnspents"]).unwrap_or(false) {
        wallet.locked.extend(
            funded
                .transaction
                .input
                .iter()
                .map(|input| input.previous_output),
        );
    }
    node.save_keys(wallet);
    Ok(funded)
}

/// A coin wherever it is known.
pub(super) fn known_output(state: &State, outpoint: &OutPoint) -> Option<TxOut> {
    let confirmed = state.chain.coin(outpoint).map(|coin| coin.output.clone());
    confirmed.or_else(|| state.mempool.output(outpoint).cloned())
}

pub(super) fn change_position(funded: &Funded) -> Value {
    funded
        .change_position
        .map_or(json!(-1), |position| json!(position))
}

pub(super) fn outpoint(value: &Value) -> Result<OutPoint, RpcError> {
    let txid = value
        .get("txid")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    let txid =
        txid.ok_or_else(|| RpcError::invalid("Invalid parameter, missing or bad txid key"))?;
    let vout = value
        .get("vout")
        .ok_or_else(|| RpcError::invalid("Invalid parameter, missing vout key"))?;
    Ok(OutPoint {
        txid,
        vout: as_u32(vout, "vout")?,
    })
}

fn send(node: &Node, request: Request) -> Result<Value, RpcError> {
    let transaction = {
        let mut guard = node.state();
        let State {
            chain,
            mempool,
            wallet,
            ..
        } = &mut *guard;
        let mut funded = fund(wallet, chain, mempool, request).map_err(unfunded)?;
        node.save_keys(wallet);
        sign_transaction(&wallet.keys, &mut funded.transaction, &funded.prevouts);
        funded.transaction
    };
    node.offer(&transaction)
        .map(|txid| json!(txid))
        .map_err(not_taken)
}

fn unfunded(reason: Unfunded) -> RpcError {
    match reason {
        Unfunded::InsufficientFunds => RpcError::new(-6, "Insufficient funds"),
        Unfunded::UnknownInput => RpcError::new(-4, "Not found pre-selected input"),
        Unfunded::AmountTooSmall => {
            RpcError::new(-6, "The transaction amount is too small to pay the fee")
        }
        Unfunded::FeeRateTooHigh => RpcError::new(-4, "Fee exceeds maximum configured by user"),
        Unfunded::TooManyInputs => RpcError::new(-4, "Transaction too large"),
    }
}

fn positive(amount: u64) -> Result<Amount, RpcError> {
    if amount == 0 {
        return Err(RpcError::wrong_type("Invalid amount for send"));
    }
    Ok(Amount::from_sat(amount))
}

fn set_fee_rate(request: &mut Request, rate: Option<&Value>) -> Result<(), RpcError> {
    if let Some(rate) = rate {
        let rate = money::rate_from_json(rate);
        request.fee_rate = rate.ok_or_else(|| RpcError::wrong_type("Invalid fee rate"))?;
    }
    Ok(())
}

fn construct_input(value: &Value) -> Result<TxIn, RpcError> {
    let sequence = match value.get("sequence") {
        Some(sequence) => Sequence(as_u32(sequence, "sequence number")?),
        None => Sequence::ENABLE_RBF_NO_LOCKTIME,
    };
    Ok(TxIn {
        previous_output: outpoint(value)?,
        script_sig: ScriptBuf::new(),
        sequence,
        witness: Witness::new(),
    })
}

/// `[{"address": amount}, {"data": "hex"}]`, or one object of those.
fn construct_outputs(value: &Value, params: &Params) -> Result<Vec<TxOut>, RpcError> {
    let objects = match value {
        Value::Array(list) => list.iter().collect(),
        single => vec![single],
    };
    let mut outputs = Vec::new();
    let mut seen = HashSet::new();
    for object in objects {
        let Value::Object(pairs) = object else {
            return Err(RpcError::invalid(
                "Invalid parameter, key-value pair not an object as expected",
            ));
        };
        for (key, value) in pairs {
            if outputs.len() >= MAX_OUTPUTS {
                return Err(RpcError::invalid("Transaction too large"));
            }
            if !seen.insert(key) {
                let text = "Invalid parameter, duplicated address or data";
                return Err(RpcError::invalid(text));
            }
            outputs.push(if key == "data" {
                let bytes = hex::decode(as_text(value)?).ok();
                let push = bytes.and_then(|bytes| PushBytesBuf::try_from(bytes).ok());
                let push =
                    push.ok_or_else(|| RpcError::invalid("Data must be hexadecimal string"))?;
                let script = Builder::new()
                    .push_opcode(OP_RETURN)
                    .push_slice(push)
                    .into_script();
                TxOut {
                    value: Amount::ZERO,
                    script_pubkey: script,
                }
            } else {
                let script_pubkey = as_address(key, params)?;
                TxOut {
                    value: Amount::from_sat(as_amount(value)?),
                    script_pubkey,
                }
            });
        }
    }
    Ok(outputs)
}

fn previous_output(value: &Value) -> Result<(OutPoint, TxOut), RpcError> {
    let script = value.get("scriptPubKey").and_then(Value::as_str);
    let script = script.and_then(|text| ScriptBuf::from_hex(text).ok());
    let script_pubkey =
        script.ok_or_else(|| RpcError::undecodable("scriptPubKey must be hexadecimal"))?;
    let amount = value.get("amount").map_or(Ok(0), as_amount)?;
    Ok((
        outpoint(value)?,
        TxOut {
            value: Amount::from_sat(amount),
            script_pubkey,
        },
    ))
}
