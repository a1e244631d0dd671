//! Makes blocks and transactions without the crate's own code, so that the two check each other.

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness,
    absolute::LockTime,
    block::{Header, Version},
    consensus,
    hashes::Hash as _,
    script::Builder,
    transaction,
};
use simnet::{Chain, Params, Verdict};

/// The clock of these tests; blocks follow regtest's genesis of 2011 by ten minutes each.
pub(crate) const NOW: u32 = 1_800_000_000;
const GENESIS_TIME: u32 = 1_296_688_602;

pub(crate) fn anyone() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51])
}

/// A regtest chain of `height` blocks whose coinbases anyone can spend.
pub(crate) fn chain_of(height: u32) -> Chain {
    let mut chain = Chain::new(Params::regtest());
    extend(&mut chain, height);
    chain
}

pub(crate) fn extend(chain: &mut Chain, blocks: u32) {
    for _ in 0..blocks {
        let block = next_block(chain, Vec::new());
        assert_eq!(submit(chain, &block), Verdict::Accepted);
    }
}

pub(crate) fn submit(chain: &mut Chain, block: &Block) -> Verdict {
    chain.submit(&consensus::serialize(block), NOW)
}

/// The reject reason of a block, `None` when it is accepted.
pub(crate) fn reason(chain: &mut Chain, block: &Block) -> Option<String> {
    submit(chain, block).reason().map(str::to_owned)
}

/// A good block on the tip.
pub(crate) fn next_block(chain: &Chain, transactions: Vec<Transaction>) -> Block {
    block_on(chain.tip_hash(), chain.height() + 1, transactions, 0)
}

/// A good block anywhere, its fees left to nobody. `mark` makes it another block.
pub(crate) fn block_on(
    parent: BlockHash,
    height: u32,
    transactions: Vec<Transaction>,
    mark: i64,
) -> Block {
    let script_sig = Builder::new()
        .push_int(i64::from(height))
        .push_int(mark)
        .into_script();
    let coinbase = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0; 32]]),
        }],
        output: vec![TxOut {
            value: subsidy(height),
            script_pubkey: anyone(),
        }],
    };
    let mut block = Block {
        header: Header {
            version: Version::from_consensus(4),
            prev_blockhash: parent,
            merkle_root: TxMerkleNode::all_zeros(),
            time: GENESIS_TIME + height * 600,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        },
        txdata: std::iter::once(coinbase).chain(transactions).collect(),
    };
    commit(&mut block);
    seal(&mut block);
    block
}

pub(crate) fn subsidy(height: u32) -> Amount {
    Amount::from_sat(5_000_000_000 >> (height / 150))
}

/// Puts the witness commitment into the coinbase's last output.
pub(crate) fn commit(block: &mut Block) {
    let outputs = &mut block.txdata[0].output;
    outputs.retain(|output| !output.script_pubkey.is_op_return());
    let root = block.witness_root().unwrap();
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(commitment.as_ref());
    let script_pubkey = ScriptBuf::from_bytes(script);
    block.txdata[0].output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey,
    });
}

/// Sets the merkle root and finds the proof.
pub(crate) fn seal(block: &mut Block) {
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
    prove(block);
}

/// Finds the proof; the target is regtest's whatever the bits say.
pub(crate) fn prove(block: &mut Block) {
    while block.header.block_hash().to_byte_array()[31] > 0x7e {
        block.header.nonce += 1;
    }
}

/// The coinbase of the active chain's block at `height`.
pub(crate) fn coinbase_at(chain: &Chain, height: u32) -> OutPoint {
    let block = chain.block(&chain.hash_at(height).unwrap()).unwrap();
    OutPoint {
        txid: block.txdata[0].compute_txid(),
        vout: 0,
    }
}

/// Spends outputs that anyone can spend, to an output that anyone can spend.
pub(crate) fn spend(outpoints: &[OutPoint], value: u64) -> Transaction {
    spend_to(outpoints, value, anyone())
}

pub(crate) fn spend_to(outpoints: &[OutPoint], value: u64, script: ScriptBuf) -> Transaction {
    let input = |&previous_output| TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: outpoints.iter().map(input).collect(),
        output: vec![TxOut {
            value: Amount::from_sat(value),
            script_pubkey: script,
        }],
    }
}
