//! Partially signed transactions (BIP 174) of the wallet.

use bitcoin::{
    Psbt, Transaction, TxOut,
    base64::{Engine, engine::general_purpose::STANDARD},
    consensus,
};
use serde_json::{Map, Value, json};

use super::{
    arguments::{Arguments, as_text},
    error::RpcError,
    payments::{change_position, construct, fund_with, known_output},
    transactions::transaction_json,
};
use crate::{
    connect::check_scripts,
    money,
    node::{Node, State},
    script::Rules,
    wallet::{
        fund::Request,
        sign::{describe, finalize, sign_psbt},
    },
};

/// PSBTs one `combinepsbt` may hold.
const MAX_COMBINED: usize = 100;

pub(super) fn walletcreatefundedpsbt(
    node: &Node,
    arguments: &Arguments,
) -> Result<Value, RpcError> {
    let transaction = construct(&node.state(), arguments)?;
    let mut request = Request::new(transaction.output);
    request.inputs = transaction.input;
    request.lock_time = transaction.lock_time;
    let empty = Map::new();
    let funded = fund_with(node, request, arguments.object(3)?.unwrap_or(&empty))?;
    let mut psbt = Psbt::from_unsigned_tx(funded.transaction.clone())
        .map_err(|_| RpcError::undecodable("the inputs bear signatures"))?;
    fill(&node.state(), &mut psbt);
    Ok(json!({
        "psbt": encode(&psbt),
        "fee": money::coins(funded.fee),
        "changepos": change_position(&funded),
    }))
}

pub(super) fn walletprocesspsbt(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let mut psbt = decode(arguments.required(arguments.text(0)?)?)?;
    let state = node.state();
    fill(&state, &mut psbt);
    let prevouts = prevouts(&psbt);
    if arguments.flag(1)?.unwrap_or(true)
        && let Some(prevouts) = &prevouts
    {
        sign_psbt(&state.wallet.keys, &mut psbt, prevouts);
    }
    let mut finished = psbt.clone();
    let complete = finish(&mut finished).is_some();
    if arguments.flag(4)?.unwrap_or(true) {
        psbt = finished.clone();
    }
    let mut json = json!({"psbt": encode(&psbt), "complete": complete});
    if complete {
        let transaction = finished.extract_tx_unchecked_fee_rate();
        json["hex"] = json!(consensus::encode::serialize_hex(&transaction));
    }
    Ok(json)
}

pub(super) fn finalizepsbt(_: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let mut psbt = decode(arguments.required(arguments.text(0)?)?)?;
    match finish(&mut psbt) {
        Some(transaction) if arguments.flag(1)?.unwrap_or(true) => Ok(json!({
            "hex": consensus::encode::serialize_hex(&transaction),
            "complete": true,
        })),
        finished => Ok(json!({"psbt": encode(&psbt), "complete": finished.is_some()})),
    }
}

pub(super) fn combinepsbt(_: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let list = arguments.required(arguments.array(0)?)?;
    if list.is_empty() || list.len() > MAX_COMBINED {
        return Err(RpcError::invalid(
            "Parameter 'txs' cannot be empty, or hold more than 100",
        ));
    }
    let mut combined: Option<Psbt> = None;
    for text in list {
        let psbt = decode(as_text(text)?)?;
        match &mut combined {
            None => combined = Some(psbt),
            Some(combined) => combined
                .combine(psbt)
                .map_err(|_| RpcError::invalid("PSBTs not compatible (different transactions)"))?,
        }
    }
    Ok(json!(combined.map(|psbt| encode(&psbt))))
}

/// The transaction, what each input has, and the fee; not every field Bitcoin Core shows.
pub(super) fn decodepsbt(node: &Node, arguments: &Arguments) -> Result<Value, RpcError> {
    let psbt = decode(arguments.required(arguments.text(0)?)?)?;
    let state = node.state();
    let mut transaction = transaction_json(&state, &psbt.unsigned_tx);
    if let Some(transaction) = transaction.as_object_mut() {
        transaction.remove("hex");
    }
    let inputs = psbt.inputs.iter().map(|input| {
        let mut json = json!({});
        if let Some(output) = &input.witness_utxo {
            json["witness_utxo"] = json!({
                "amount": money::coins(output.value.to_sat()),
                "scriptPubKey": super::blockchain::script_json(&state, &output.script_pubkey),
            });
        }
        if !input.partial_sigs.is_empty() {
            let pairs = input.partial_sigs.iter();
            let pairs = pairs.map(|(key, sig)| (key.to_string(), json!(hex::encode(sig.to_vec()))));
            json["partial_signatures"] = Value::Object(pairs.collect());
        }
        if let Some(witness) = &input.final_script_witness {
            json["final_scriptwitness"] = witness
                .iter()
                .map(|element| json!(hex::encode(element)))
                .collect();
        }
        if let Some(script) = &input.final_script_sig {
            json["final_scriptSig"] = json!({"hex": script.to_hex_string()});
        }
        json
    });
    let mut json = json!({
        "tx": transaction,
        "psbt_version": 0,
        "inputs": inputs.collect::<Value>(),
        "outputs": psbt.outputs.iter().map(|_| json!({})).collect::<Value>(),
    });
    if let Ok(fee) = psbt.fee() {
        json["fee"] = money::coins(fee.to_sat());
    }
    Ok(json)
}

/// Adds coins and key origins the node knows.
fn fill(state: &State, psbt: &mut Psbt) {
    for index in 0..psbt.inputs.len() {
        let outpoint = psbt.unsigned_tx.input[index].previous_output;
        let Some(output) = known_output(state, &outpoint) else {
            continue;
        };
        let input = &mut psbt.inputs[index];
        if input.final_script_sig.is_some() || input.final_script_witness.is_some() {
            continue;
        }
        let nested = output.script_pubkey.is_p2sh();
        if output.script_pubkey.is_witness_program() || nested {
            input.witness_utxo.get_or_insert_with(|| output.clone());
        }
        if !output.script_pubkey.is_p2tr() && input.non_witness_utxo.is_none() {
            let waiting = state
                .mempool
                .get(&outpoint.txid)
                .map(|entry| entry.transaction.as_ref());
            input.non_witness_utxo = state.chain.transaction(&outpoint.txid).or(waiting).cloned();
        }
        if let Some(key) = state.wallet.keys.find(&output.script_pubkey) {
            describe(&state.wallet.keys, psbt, index, key);
        }
    }
}

/// The coins of all inputs as the PSBT tells them, checked against the transactions it holds.
fn prevouts(psbt: &Psbt) -> Option<Vec<TxOut>> {
    let pairs = psbt.inputs.iter().zip(&psbt.unsigned_tx.input);
    pairs
        .map(|(input, unsigned)| {
            let outpoint = unsigned.previous_output;
            if let Some(previous) = &input.non_witness_utxo {
                let index = usize::try_from(outpoint.vout).ok()?;
                return (previous.compute_txid() == outpoint.txid)
                    .then(|| previous.output.get(index).cloned())?;
            }
            input.witness_utxo.clone()
        })
        .collect()
}

/// Finalises what can be; the transaction when every input is complete and valid.
fn finish(psbt: &mut Psbt) -> Option<Transaction> {
    let prevouts = prevouts(psbt)?;
    let mut complete = true;
    for (index, prevout) in prevouts.iter().enumerate() {
        complete &= finalize(psbt, index, prevout);
    }
    let transaction = psbt.clone().extract_tx_unchecked_fee_rate();
    let valid = || check_scripts(&transaction, &prevouts, Rules::Policy).is_ok();
    (complete && valid()).then_some(transaction)
}

fn encode(psbt: &Psbt) -> String {
    STANDARD.encode(psbt.serialize())
}

fn decode(text: &str) -> Result<Psbt, RpcError> {
    let bytes = STANDARD.decode(text).ok();
    let psbt = bytes.and_then(|bytes| Psbt::deserialize(&bytes).ok());
    psbt.ok_or_else(|| RpcError::undecodable("TX decode failed invalid base64 or PSBT"))
}
