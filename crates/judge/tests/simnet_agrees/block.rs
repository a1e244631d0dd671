//! Blocks to be judged: good ones after any place in the tree, and the ways to spoil them and to make
//! everything around the fault right again.

use std::cell::Cell;

use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Witness,
    absolute::LockTime,
    block::{Header, Version},
    hashes::Hash as _,
    opcodes::all::OP_RETURN,
    script::Builder,
    transaction,
};

use crate::{
    purse::{Coin, Kind, push, unsigned},
    twins::{Spot, Twins},
};

/// The bits of regtest, for ever.
pub(crate) const BITS: u32 = 0x207f_ffff;
/// What a transaction of these tests pays.
pub(crate) const FEE: u64 = 1_000;
/// `OP_RETURN`, a push of 36 bytes, and the four bytes of BIP 141.
const COMMITMENT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// A good block after `spot`; its coinbase takes the subsidy and `fees`, paid to every kind.
pub(crate) fn block_on(spot: &Spot, transactions: &[Transaction], fees: u64) -> Block {
    let height = spot.height + 1;
    let mut left = subsidy(height) + fees;
    let part = left / Kind::ALL.len() as u64;
    let mut output: Vec<TxOut> = Kind::ALL
        .iter()
        .rev()
        .map(|kind| {
            let value = if *kind == Kind::True { left } else { part };
            left -= value;
            TxOut {
                value: Amount::from_sat(value),
                script_pubkey: kind.script(),
            }
        })
        .collect();
    output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::from_bytes([&COMMITMENT_PREFIX[..], &[0; 32]].concat()),
    });
    let coinbase = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: coinbase_script(height),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0; 32]]),
        }],
        output,
    };
    let mut block = Block {
        header: Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: spot.hash,
            merkle_root: TxMerkleNode::all_zeros(),
            time: spot.time() + 60,
            bits: CompactTarget::from_consensus(BITS),
            nonce: 0,
        },
        txdata: [&[coinbase], transactions].concat(),
    };
    seal(&mut block);
    block
}

/// The height and a number that no other block of the test has.
pub(crate) fn coinbase_script(height: u32) -> ScriptBuf {
    thread_local! {
        static MADE: Cell<u64> = const { Cell::new(0) };
    }
    let number = MADE.get();
    MADE.set(number + 1);
    Builder::new()
        .push_int(i64::from(height))
        .push_slice(push(&number.to_le_bytes()))
        .into_script()
}

/// What a coinbase may take beside fees.
pub(crate) fn subsidy(height: u32) -> u64 {
    5_000_000_000 >> (height / 150)
}

/// Makes commitment, merkle root and proof of work right again.
pub(crate) fn seal(block: &mut Block) {
    commit(block);
    root(block);
    grind(&mut block.header);
}

/// Commits to the witnesses in the last output that is for it.
pub(crate) fn commit(block: &mut Block) {
    let Some(witness_root) = block.witness_root() else {
        return;
    };
    let Some(coinbase) = block.txdata.first_mut() else {
        return;
    };
    let reserved = coinbase
        .input
        .first()
        .and_then(|input| input.witness.nth(0));
    let Some(reserved) = reserved.and_then(|value| <[u8; 32]>::try_from(value).ok()) else {
        return;
    };
    let commitment = Block::compute_witness_commitment(&witness_root, &reserved);
    let place = coinbase.output.iter_mut().rev().find(|output| {
        output.script_pubkey.len() >= 38
            && output
                .script_pubkey
                .as_bytes()
                .starts_with(&COMMITMENT_PREFIX)
    });
    if let Some(output) = place {
        let mut script = output.script_pubkey.to_bytes();
        script[6..38].copy_from_slice(commitment.as_byte_array());
        output.script_pubkey = ScriptBuf::from_bytes(script);
    }
}

/// Puts the root of the transactions into the header.
pub(crate) fn root(block: &mut Block) {
    block.header.merkle_root = block
        .compute_merkle_root()
        .unwrap_or(TxMerkleNode::all_zeros());
}

/// Looks for a nonce that regtest is content with.
pub(crate) fn grind(header: &mut Header) {
    let limit = bitcoin::Target::from_compact(CompactTarget::from_consensus(BITS));
    while !limit.is_met_by(header.block_hash()) {
        header.nonce = header.nonce.wrapping_add(1);
    }
}

/// A good block on the tip, with these transactions, which pay `FEE` each.
pub(crate) fn good(twins: &Twins, transactions: &[Transaction]) -> Block {
    block_on(&twins.tip(), transactions, FEE * transactions.len() as u64)
}

/// A good block with something changed, and then made right again around it.
pub(crate) fn changed(
    twins: &Twins,
    transactions: &[Transaction],
    change: impl FnOnce(&mut Block),
) -> Block {
    let mut block = good(twins, transactions);
    change(&mut block);
    seal(&mut block);
    block
}

/// A block of a transaction that is not signed for, or whatever else; it pays no fee.
pub(crate) fn with(twins: &Twins, transaction: Transaction) -> Block {
    block_on(&twins.tip(), &[transaction], 0)
}

/// An unsigned transaction of everything `coins` are worth.
pub(crate) fn spending(coins: &[Coin]) -> Transaction {
    let value = coins.iter().map(|coin| coin.output.value).sum();
    unsigned(coins, vec![to_anyone(value)])
}

/// A transaction that takes the first output of one that `spending` made, and pays it to anyone.
pub(crate) fn after(make: &Transaction) -> Transaction {
    let mut spend = make.clone();
    spend.input[0].previous_output = OutPoint {
        txid: make.compute_txid(),
        vout: 0,
    };
    spend.output = vec![to_anyone(make.output[0].value)];
    spend
}

pub(crate) fn to_anyone(value: Amount) -> TxOut {
    TxOut {
        value,
        script_pubkey: Kind::True.script(),
    }
}

pub(crate) fn script_failed(text: &str) -> Option<String> {
    Some(format!("block-script-verify-flag-failed ({text})"))
}

pub(crate) fn without_commitment(block: &mut Block) {
    if let Some(coinbase) = block.txdata.first_mut() {
        coinbase.output.pop();
        if let Some(input) = coinbase.input.first_mut() {
            input.witness = Witness::new();
        }
    }
}

/// A block padded to this many bytes beside its witnesses.
pub(crate) fn padded(mut block: Block, size: usize) -> Block {
    let pad = |block: &mut Block, bytes: usize| {
        let script = [vec![OP_RETURN.to_u8()], vec![0; bytes]].concat();
        block.txdata[0].output[0].script_pubkey = ScriptBuf::from_bytes(script);
    };
    // Enough that the length of the script's length does not change any more.
    pad(&mut block, 70_000);
    let weight = usize::try_from(block.weight().to_wu()).unwrap();
    let base = (weight - block.total_size()) / 3;
    pad(&mut block, 70_000 + size - base);
    seal(&mut block);
    block
}

/// A block whose coinbase has this script in an output.
pub(crate) fn filled(block: &mut Block, script: ScriptBuf) {
    block.txdata[0].output.insert(
        0,
        TxOut {
            value: Amount::ZERO,
            script_pubkey: script,
        },
    );
    seal(block);
}

pub(crate) fn repeated(op: bitcoin::Opcode, count: usize) -> ScriptBuf {
    ScriptBuf::from_bytes(vec![op.to_u8(); count])
}

pub(crate) fn pushed(script: &ScriptBuf) -> ScriptBuf {
    Builder::new()
        .push_slice(push(script.as_bytes()))
        .into_script()
}
