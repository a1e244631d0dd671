//! Blocks and transactions from bytes, accepting exactly what Bitcoin Core accepts.
//!
//! The bitcoin crate reads a few shapes differently (a transaction without inputs), and a verdict on
//! a block must not hang on that. Called by `sealed` for submitted blocks and by `rpc` for hex.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, VarInt, Witness,
    absolute::LockTime,
    consensus::{self, Decodable},
    transaction::Version,
};

/// Bitcoin Core's MAX_SIZE, for every count it reads.
const MAX_COUNT: u64 = 0x0200_0000;

/// A count and as many transactions at the start of `bytes`: a block without its header. What follows is ignored.
pub(crate) fn transactions(mut bytes: &[u8]) -> Option<Vec<Transaction>> {
    let count = next_count(&mut bytes)?;
    let mut txdata = Vec::new();
    for _ in 0..count {
        txdata.push(next_transaction(&mut bytes)?);
    }
    Some(txdata)
}

/// A transaction that is all of `bytes`.
pub(crate) fn transaction(mut bytes: &[u8]) -> Option<Transaction> {
    let transaction = next_transaction(&mut bytes)?;
    bytes.is_empty().then_some(transaction)
}

/// A transaction that is all of `bytes` and may lack inputs, before it is funded: what `draft_bytes`
/// and Bitcoin Core's `createrawtransaction` write.
pub(crate) fn draft(bytes: &[u8]) -> Option<Transaction> {
    transaction(bytes).or_else(|| {
        let mut rest = bytes;
        let version = Version(i32::consensus_decode(&mut rest).ok()?);
        let input = Vec::consensus_decode(&mut rest).ok()?;
        let output = Vec::consensus_decode(&mut rest).ok()?;
        let lock_time = LockTime::consensus_decode(&mut rest).ok()?;
        rest.is_empty().then_some(Transaction {
            version,
            lock_time,
            input,
            output,
        })
    })
}

/// A transaction's bytes, without the marker of BIP 144 when it has no inputs yet.
pub(crate) fn draft_bytes(transaction: &Transaction) -> Vec<u8> {
    if !transaction.input.is_empty() {
        return consensus::serialize(transaction);
    }
    let mut bytes = consensus::serialize(&transaction.version);
    bytes.extend(consensus::serialize(&transaction.input));
    bytes.extend(consensus::serialize(&transaction.output));
    bytes.extend(consensus::serialize(&transaction.lock_time));
    bytes
}

/// BIP 144, with the corners of `UnserializeTransaction` in Bitcoin Core's primitives/transaction.h.
fn next_transaction(bytes: &mut &[u8]) -> Option<Transaction> {
    let version = Version(i32::consensus_decode(bytes).ok()?);
    let mut input = list(bytes, next_input)?;
    let mut output = Vec::new();
    let mut flags = 0;
    if input.is_empty() {
        flags = u8::consensus_decode(bytes).ok()?;
        if flags != 0 {
            input = list(bytes, next_input)?;
            output = list(bytes, next_output)?;
        }
    } else {
        output = list(bytes, next_output)?;
    }
    if flags & 1 != 0 {
        flags ^= 1;
        for input in &mut input {
            input.witness = Witness::from_slice(&list(bytes, next_bytes)?);
        }
        if input.iter().all(|input| input.witness.is_empty()) {
            return None;
        }
    }
    if flags != 0 {
        return None;
    }
    let lock_time = LockTime::consensus_decode(bytes).ok()?;
    Some(Transaction {
        version,
        lock_time,
        input,
        output,
    })
}

fn next_input(bytes: &mut &[u8]) -> Option<TxIn> {
    Some(TxIn {
        previous_output: OutPoint::consensus_decode(bytes).ok()?,
        script_sig: ScriptBuf::from_bytes(next_bytes(bytes)?),
        sequence: Sequence::consensus_decode(bytes).ok()?,
        witness: Witness::new(),
    })
}

fn next_output(bytes: &mut &[u8]) -> Option<TxOut> {
    Some(TxOut {
        value: Amount::consensus_decode(bytes).ok()?,
        script_pubkey: ScriptBuf::from_bytes(next_bytes(bytes)?),
    })
}

/// As many of one kind as a count says. The bitcoin crate stops at four million bytes, Bitcoin Core
/// only at a count above 32 MiB.
fn list<T>(bytes: &mut &[u8], next: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = next_count(bytes)?;
    (0..count).map(|_| next(bytes)).collect()
}

fn next_bytes(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let count = usize::try_from(next_count(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken.to_vec())
}

fn next_count(bytes: &mut &[u8]) -> Option<u64> {
    let count = VarInt::consensus_decode(bytes).ok()?.0;
    (count <= MAX_COUNT).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_without_inputs_is_read_as_core_reads_it() {
        let nothing = hex::decode("02000000000000000000").unwrap();
        assert_eq!(transaction(&nothing).unwrap().input.len(), 0);
        // The marker and flag of BIP 144, then no inputs, one output, no witness.
        let superfluous =
            hex::decode("020000000001000101000000000000000151000000 00".replace(' ', ""));
        assert_eq!(transaction(&superfluous.unwrap()), None);
        let unknown_flag = hex::decode("02000000000200010100000000000000015100000000").unwrap();
        assert_eq!(transaction(&unknown_flag), None);
    }
}
