//! Unspent outputs: the set of the active chain, and a view on top of it for a block being checked.
//!
//! A view never changes the set. What it learnt is applied at once when the block is connected, and
//! taken back from the block's undo data when it is disconnected.

use std::collections::{HashMap, HashSet};

use bitcoin::{OutPoint, Script, Transaction, TxOut, Txid};

/// Bitcoin Core's MAX_SCRIPT_SIZE: an output with a longer script cannot be spent.
pub(crate) const MAX_SCRIPT_BYTES: usize = 10_000;

/// An unspent output and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Value and script.
    pub output: TxOut,
    /// The height of its block.
    pub height: u32,
    /// Whether a coinbase made it, so that it has to mature.
    pub coinbase: bool,
}

/// The unspent outputs of the active chain.
#[derive(Debug, Default)]
pub(crate) struct Utxo {
    coins: HashMap<OutPoint, Coin>,
}

/// The coins a block spends, in order, to be restored when it is disconnected.
pub(crate) type Undo = Vec<(OutPoint, Coin)>;

/// The set as it is within a block: earlier transactions of the block applied.
pub(crate) struct View<'a> {
    base: &'a Utxo,
    created: HashMap<OutPoint, Coin>,
    spent: HashSet<OutPoint>,
    undo: Undo,
}

/// What connecting a block changes.
pub(crate) struct Delta {
    created: HashMap<OutPoint, Coin>,
    undo: Undo,
}

impl Utxo {
    pub(crate) fn get(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.coins.get(outpoint)
    }

    /// All coins, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OutPoint, &Coin)> {
        self.coins.iter()
    }

    /// How many coins there are, and what they are worth together.
    pub(crate) fn total(&self) -> (usize, u64) {
        (
            self.coins.len(),
            self.coins
                .values()
                .map(|coin| coin.output.value.to_sat())
                .sum(),
        )
    }

    /// Applies a block's changes and gives what undoes them.
    pub(crate) fn apply(&mut self, delta: Delta) -> Undo {
        // Coins made and spent within the block are in both lists and end up absent.
        self.coins.extend(delta.created);
        for (outpoint, _) in &delta.undo {
            self.coins.remove(outpoint);
        }
        delta.undo
    }

    /// Takes a block's changes back: its outputs vanish, the coins it spent return.
    pub(crate) fn revert(&mut self, txids: &[(Txid, usize)], undo: Undo) {
        self.coins.extend(undo);
        for &(txid, outputs) in txids {
            for vout in (0..outputs).filter_map(|vout| u32::try_from(vout).ok()) {
                self.coins.remove(&OutPoint { txid, vout });
            }
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(base: &'a Utxo) -> Self {
        Self {
            base,
            created: HashMap::new(),
            spent: HashSet::new(),
            undo: Undo::new(),
        }
    }

    pub(crate) fn get(&self, outpoint: &OutPoint) -> Option<&Coin> {
        if self.spent.contains(outpoint) {
            return None;
        }
        self.created
            .get(outpoint)
            .or_else(|| self.base.get(outpoint))
    }

    /// Spends the transaction's inputs, which must all be there, and adds its outputs.
    pub(crate) fn apply(&mut self, transaction: &Transaction, txid: Txid, height: u32) {
        let coinbase = transaction.is_coinbase();
        if !coinbase {
            for input in &transaction.input {
                if let Some(coin) = self.get(&input.previous_output).cloned() {
                    self.undo.push((input.previous_output, coin));
                    self.spent.insert(input.previous_output);
                }
            }
        }
        for (vout, output) in (0_u32..).zip(&transaction.output) {
            if !is_unspendable(&output.script_pubkey) {
                let coin = Coin {
                    output: output.clone(),
                    height,
                    coinbase,
                };
                self.created.insert(OutPoint { txid, vout }, coin);
            }
        }
    }

    pub(crate) fn finish(self) -> Delta {
        Delta {
            created: self.created,
            undo: self.undo,
        }
    }
}

/// Outputs that no script can spend never enter the set.
pub(crate) fn is_unspendable(script: &Script) -> bool {
    script.is_op_return() || script.len() > MAX_SCRIPT_BYTES
}
