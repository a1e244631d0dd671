//! The node's one wallet: keys from a seed, and the transactions that concern them.
//!
//! It keeps no balances. What is unspent, mature or confirmed is read from the chain and the pool
//! when asked, so that a change of branch needs nothing undone. `keys` derives, `fund` selects
//! coins, `sign` signs.

pub(crate) mod fund;
pub(crate) mod keys;
pub(crate) mod sign;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bitcoin::{Block, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use crate::{
    chain::{Chain, Id},
    mempool::Mempool,
    utxo::Coin,
    wallet::keys::{Key, Keys, Kind},
};

/// A transaction that pays the wallet or spends its coins.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) transaction: Arc<Transaction>,
    /// When the wallet saw it first, in seconds since 1970.
    pub(crate) time: u32,
}

/// An output of the wallet that nothing spends.
#[derive(Clone, Debug)]
pub(crate) struct Unspent {
    pub(crate) outpoint: OutPoint,
    pub(crate) output: TxOut,
    /// 0 while it waits in the pool.
    pub(crate) confirmations: u32,
    pub(crate) mature: bool,
    /// Confirmed, or made by the wallet itself.
    pub(crate) trusted: bool,
}

/// Where a transaction of the wallet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Confirmed {
        id: Id,
        confirmations: u32,
    },
    Waiting,
    /// In no block of the active chain and not in the pool. `beaten` says how deep another one is in
    /// the chain that has an input of it, or of one whose coins it spends.
    Abandoned {
        beaten: Option<u32>,
    },
}

/// Keys, labels, locks and history.
#[derive(Debug)]
pub(crate) struct Wallet {
    pub(crate) keys: Keys,
    seen: HashMap<Txid, Seen>,
    order: Vec<Txid>,
    outputs: BTreeMap<OutPoint, (TxOut, Key)>,
    pub(crate) locked: HashSet<OutPoint>,
}

impl Wallet {
    pub(crate) fn new(keys: Keys) -> Self {
        Self {
            keys,
            seen: HashMap::new(),
            order: Vec::new(),
            outputs: BTreeMap::new(),
            locked: HashSet::new(),
        }
    }

    /// Looks at every transaction of a block that was connected.
    pub(crate) fn block_connected(&mut self, block: &Block) {
        for transaction in &block.txdata {
            self.look(transaction, block.header.time);
        }
    }

    /// Remembers a transaction if it concerns the wallet.
    pub(crate) fn look(&mut self, transaction: &Transaction, time: u32) {
        let spends = transaction
            .input
            .iter()
            .any(|i| self.outputs.contains_key(&i.previous_output));
        let pays = transaction
            .output
            .iter()
            .any(|o| self.keys.find(&o.script_pubkey).is_some());
        if !spends && !pays {
            return;
        }
        let txid = transaction.compute_txid();
        if self.seen.contains_key(&txid) {
            return;
        }
        for (vout, output) in (0_u32..).zip(&transaction.output) {
            if let Some(key) = self.keys.find(&output.script_pubkey) {
                self.outputs
                    .insert(OutPoint { txid, vout }, (output.clone(), key));
            }
        }
        self.order.push(txid);
        self.seen.insert(
            txid,
            Seen {
                transaction: Arc::new(transaction.clone()),
                time,
            },
        );
    }

    pub(crate) fn seen(&self, txid: &Txid) -> Option<&Seen> {
        self.seen.get(txid)
    }

    /// All transactions of the wallet, oldest first.
    pub(crate) fn history(&self) -> impl DoubleEndedIterator<Item = (&Txid, &Seen)> {
        self.order
            .iter()
            .filter_map(|txid| self.seen.get_key_value(txid))
    }

    /// An output of the wallet, spent or not.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<&(TxOut, Key)> {
        self.outputs.get(outpoint)
    }

    /// What the wallet's coins were worth that a transaction spends, and whether those are all.
    pub(crate) fn spent_by(&self, transaction: &Transaction) -> (u64, bool) {
        let coins: Vec<_> = transaction
            .input
            .iter()
            .filter_map(|i| self.output(&i.previous_output))
            .collect();
        let value = coins.iter().map(|(output, _)| output.value.to_sat()).sum();
        (value, coins.len() == transaction.input.len())
    }

    pub(crate) fn state(&self, chain: &Chain, mempool: &Mempool, txid: &Txid) -> State {
        if let Some(id) = chain.confirmed_in(txid) {
            let confirmations = chain.height() - chain.height_of(id) + 1;
            return State::Confirmed { id, confirmations };
        }
        if mempool.get(txid).is_some() {
            return State::Waiting;
        }
        State::Abandoned {
            beaten: self.beaten(chain, txid),
        }
    }

    /// What spends the wallet's coins was seen by it, so the rivals of its transactions are here.
    fn beaten(&self, chain: &Chain, txid: &Txid) -> Option<u32> {
        let spent: HashSet<OutPoint> = inputs(&self.seen(txid)?.transaction).collect();
        let rivals = self.seen.iter().filter(|(other, seen)| {
            *other != txid && inputs(&seen.transaction).any(|input| spent.contains(&input))
        });
        let depth = |(other, _)| {
            let id = chain.confirmed_in(other)?;
            Some(chain.height() - chain.height_of(id) + 1)
        };
        let of_parents = spent
            .iter()
            .filter(|input| chain.confirmed_in(&input.txid).is_none())
            .filter_map(|input| self.beaten(chain, &input.txid));
        rivals.filter_map(depth).chain(of_parents).max()
    }

    /// Everything the wallet could spend now or later.
    pub(crate) fn unspent(&self, chain: &Chain, mempool: &Mempool) -> Vec<Unspent> {
        let free = self
            .outputs
            .iter()
            .filter(|(out, _)| mempool.spender(out).is_none());
        free.filter_map(|(&outpoint, (output, _))| {
            let coin = chain.coin(&outpoint);
            if coin.is_none() && mempool.output(&outpoint).is_none() {
                return None;
            }
            let confirmations = coin.map_or(0, |coin| chain.height() - coin.height + 1);
            let own = || {
                self.seen(&outpoint.txid)
                    .is_some_and(|seen| self.spent_by(&seen.transaction).1)
            };
            Some(Unspent {
                outpoint,
                output: output.clone(),
                confirmations,
                mature: coin.is_none_or(|coin| is_mature(chain, coin)),
                trusted: confirmations > 0 || own(),
            })
        })
        .collect()
    }

    /// A fresh address' script.
    pub(crate) fn new_script(&mut self, kind: Kind, change: bool) -> ScriptBuf {
        self.keys.next(kind, change)
    }
}

fn inputs(transaction: &Transaction) -> impl Iterator<Item = OutPoint> + '_ {
    // A block's own coins come from nowhere.
    let inputs = transaction.input.iter().map(|input| input.previous_output);
    inputs.filter(|outpoint| !outpoint.is_null())
}

/// Whether the wallet spends a coin: as Bitcoin Core's, a block later than consensus would let it.
pub(crate) fn is_mature(chain: &Chain, coin: &Coin) -> bool {
    !coin.coinbase || chain.height() + 1 - coin.height > chain.params().maturity
}
