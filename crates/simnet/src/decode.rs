//! Blocks and transactions from bytes, accepting exactly what Bitcoin Core accepts.
//!
//! The bitcoin crate reads a few shapes differently (a transaction without inputs), and a verdict on
//! a block must not hang on that. Called by `chain` for submitted blocks and by `rpc` for hex.

use bitcoin::{
    Block, Transaction, TxIn, TxOut, VarInt, Witness, absolute::LockTime, block::Header,
    consensus::Decodable, transaction::Version,
};

/// A block at the start of `bytes`. What follows it is ignored, as `submitblock` does.
pub(crate) fn block(mut bytes: &[u8]) -> Option<Block> {
    let header = Header::consensus_decode(&mut bytes).ok()?;
    let count = VarInt::consensus_decode(&mut bytes).ok()?.0;
    let mut txdata = Vec::new();
    for _ in 0..count {
        txdata.push(next_transaction(&mut bytes)?);
    }
    Some(Block { header, txdata })
}

/// A transaction that is all of `bytes`.
pub(crate) fn transaction(mut bytes: &[u8]) -> Option<Transaction> {
    let transaction = next_transaction(&mut bytes)?;
    bytes.is_empty().then_some(transaction)
}

/// BIP 144, with the corners of `UnserializeTransaction` in Bitcoin Core's primitives/transaction.h.
fn next_transaction(bytes: &mut &[u8]) -> Option<Transaction> {
    let version = Version(i32::consensus_decode(bytes).ok()?);
    let mut input = Vec::<TxIn>::consensus_decode(bytes).ok()?;
    let mut output = Vec::new();
    let mut flags = 0;
    if input.is_empty() {
        flags = u8::consensus_decode(bytes).ok()?;
        if flags != 0 {
            input = Vec::consensus_decode(bytes).ok()?;
            output = Vec::<TxOut>::consensus_decode(bytes).ok()?;
        }
    } else {
        output = Vec::consensus_decode(bytes).ok()?;
    }
    if flags & 1 != 0 {
        flags ^= 1;
        for input in &mut input {
            input.witness = Witness::consensus_decode(bytes).ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_without_inputs_is_read_as_core_reads_it() {
        let nothing = hex::decode("02000000000000000000").unwrap();
        assert_eq!(transaction(&nothing).unwrap().input.len(), 0);
        // The marker and flag of BIP 144, then no inputs, one output, no witness.
        let superfluous =
            hex::decode("0200000000010001010000000000000001510000 0000".replace(' ', ""));
        assert_eq!(transaction(&superfluous.unwrap()), None);
        let unknown_flag = hex::decode("02000000000200010100000000000000015100000000").unwrap();
        assert_eq!(transaction(&unknown_flag), None);
    }
}
