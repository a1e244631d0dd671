//! The next block as the node would make it: which transactions, what the coinbase may pay.
//!
//! `rpc` shows it as `getblocktemplate` (BIP 22, 23, 145); `generate` makes a whole block of it.

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxOut, Witness,
    absolute::LockTime,
    block::{Header, Version},
    transaction,
};

use crate::{
    chain::{Chain, Id},
    check::{
        COMMITMENT_PREFIX, MAX_BLOCK_SIGOPS, MAX_BLOCK_WEIGHT, height_script, witness_commitment,
    },
    demand::Demand,
    mempool::{Entry, Mempool},
    sealed::{Draft, bitcoin_root},
    vision,
};

/// Weight and signature operations left for the header, the count and the coinbase, as Bitcoin
/// Core's `-blockreservedweight`.
const RESERVED_WEIGHT: u64 = 8_000;
const RESERVED_SIGOPS: usize = 400;
/// BIP 9's version without a deployment.
pub(crate) const VERSION: i32 = 0x2000_0000;

/// A block without its coinbase and proof.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) parent: BlockHash,
    pub(crate) height: u32,
    pub(crate) demand: Demand,
    /// The time a block made now should bear: the clock, or ahead of it when blocks come faster than
    /// one a second.
    pub(crate) time: u32,
    /// The earliest time the block may bear.
    pub(crate) min_time: u32,
    /// Subsidy and fees.
    pub(crate) value: u64,
    pub(crate) entries: Vec<Entry>,
}

impl Template {
    /// The block after `parent`, of the pool's transactions if the parent is the tip.
    pub(crate) fn new(chain: &Chain, parent: Id, mempool: &Mempool, now: u32) -> Self {
        let entries: Vec<Entry> = if parent == chain.tip() {
            let weight = MAX_BLOCK_WEIGHT - RESERVED_WEIGHT;
            let sigops = MAX_BLOCK_SIGOPS - RESERVED_SIGOPS;
            mempool
                .select(weight, sigops)
                .into_iter()
                .cloned()
                .collect()
        } else {
            Vec::new()
        };
        let context = chain.parent(parent);
        let height = context.height.saturating_add(1);
        let fees: u64 = entries.iter().map(|entry| entry.fee).sum();
        let min_time = context.median_time.saturating_add(1);
        Self {
            parent: chain.hash(parent),
            height,
            demand: context.next,
            time: now.max(min_time),
            min_time,
            value: chain.params().subsidy(height).to_sat().saturating_add(fees),
            entries,
        }
    }

    /// The script of the witness commitment for a reserved value of zeros.
    pub(crate) fn commitment_script(&self) -> ScriptBuf {
        // The coinbase's own place in the tree is zero, whatever it is.
        let mut transactions = vec![self.coinbase_with(Vec::new(), Vec::new())];
        transactions.extend(
            self.entries
                .iter()
                .map(|entry| (*entry.transaction).clone()),
        );
        let commitment = witness_commitment(&transactions, [0; 32]);
        ScriptBuf::from_bytes([&COMMITMENT_PREFIX[..], &commitment[..]].concat())
    }

    /// A block that pays everything to `script`, to be ground. `mark` (under 80 bytes) tells it
    /// from others of the same height.
    pub(crate) fn block(&self, script: ScriptBuf, mark: &[u8]) -> Draft {
        let mut script_sig = height_script(self.height);
        script_sig.push(u8::try_from(mark.len()).unwrap_or(0));
        script_sig.extend_from_slice(mark);
        let outputs = vec![
            TxOut {
                value: Amount::from_sat(self.value),
                script_pubkey: script,
            },
            TxOut {
                value: Amount::ZERO,
                script_pubkey: self.commitment_script(),
            },
        ];
        let mut txdata = vec![self.coinbase_with(script_sig, outputs)];
        txdata.extend(
            self.entries
                .iter()
                .map(|entry| (*entry.transaction).clone()),
        );
        let (bits, difficulty) = match self.demand {
            Demand::Bits(bits) => (bits, None),
            Demand::Difficulty(difficulty) => (CompactTarget::default(), Some(difficulty)),
        };
        let header = Header {
            version: Version::from_consensus(VERSION),
            prev_blockhash: self.parent,
            merkle_root: bitcoin_root(&txdata),
            time: self.time,
            bits,
            nonce: 0,
        };
        let vision = difficulty.map(|difficulty| pow::visionx::Header {
            parent: vision::hash_of(self.parent),
            height: u64::from(self.height),
            timestamp: u64::from(self.time),
            difficulty,
            nonce: 0,
            tx_root: vision::root(&txdata),
            miner: vision::MINER.parse().expect("it is short"),
        });
        Draft {
            block: Block { header, txdata },
            vision,
        }
    }

    fn coinbase_with(&self, script_sig: Vec<u8>, output: Vec<TxOut>) -> Transaction {
        Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::from_bytes(script_sig),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[[0; 32]]),
            }],
            output,
        }
    }
}
