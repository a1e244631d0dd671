//! Transactions that wait for a block.
//!
//! Takes what Bitcoin Core's pool takes, with its reject reasons, as far as a pool or its payments
//! can notice: finality, missing and spent inputs, fees, dust, size, replacement. After a change of
//! branch the whole content is offered again to the new chain.

use std::{
    collections::{BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

use bitcoin::{Block, OutPoint, Transaction, TxOut, Txid, Wtxid};

use crate::{
    chain::Chain,
    check::{MAX_BLOCK_SIGOPS, Reject, check_transaction, is_final},
    connect::{check_inputs, check_scripts, input_coins, missing_inputs, sequence_locks_met},
    script::Rules,
    utxo::Coin,
};

/// All transactions together, in weight units: about ten blocks, more than any test needs.
const MAX_TOTAL_WEIGHT: u64 = 40_000_000;
/// Bitcoin Core's MAX_STANDARD_TX_WEIGHT.
const MAX_WEIGHT: u64 = 400_000;
/// Bitcoin Core's minimum relay fee and replacement step since 30.0, per 1000 virtual bytes.
pub(crate) const MIN_FEE_RATE: u64 = 100;
/// Unconfirmed ancestors a transaction may have, itself counted.
const MAX_ANCESTORS: usize = 25;
/// Transactions one replacement may evict.
const MAX_EVICTED: usize = 100;

/// A transaction of the pool.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) transaction: Arc<Transaction>,
    pub(crate) txid: Txid,
    pub(crate) wtxid: Wtxid,
    pub(crate) fee: u64,
    pub(crate) weight: u64,
    pub(crate) sigops: usize,
    pub(crate) time: u32,
    pub(crate) height: u32,
    /// Its inputs' transactions that are in the pool too.
    pub(crate) parents: HashSet<Txid>,
    order: u64,
}

/// Waiting transactions. No two spend the same output.
#[derive(Debug, Default)]
pub(crate) struct Mempool {
    entries: HashMap<Txid, Entry>,
    spends: HashMap<OutPoint, Txid>,
    weight: u64,
    arrivals: u64,
}

impl Entry {
    pub(crate) fn vsize(&self) -> u64 {
        self.weight.div_ceil(4)
    }
}

impl Mempool {
    pub(crate) fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    /// Who spends an output.
    pub(crate) fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spends.get(outpoint).copied()
    }

    /// An output of a waiting transaction.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        let entry = self.entries.get(&outpoint.txid)?;
        entry
            .transaction
            .output
            .get(usize::try_from(outpoint.vout).ok()?)
    }

    /// All entries, parents before children.
    pub(crate) fn in_order(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_unstable_by_key(|entry| entry.order);
        entries
    }

    /// Checks a transaction without keeping it.
    pub(crate) fn check(
        &self,
        chain: &Chain,
        transaction: &Transaction,
        now: u32,
    ) -> Result<Entry, Reject> {
        self.examine(chain, transaction, now, Rules::Policy)
            .map(|(entry, _)| entry)
    }

    /// Takes a transaction, evicting those it replaces.
    pub(crate) fn accept(
        &mut self,
        chain: &Chain,
        transaction: &Transaction,
        now: u32,
    ) -> Result<Txid, Reject> {
        let (entry, evicted) = self.examine(chain, transaction, now, Rules::Policy)?;
        for txid in evicted {
            self.remove(&txid);
        }
        Ok(self.insert(entry))
    }

    /// Drops what a connected block confirms or contradicts.
    pub(crate) fn block_connected(&mut self, block: &Block) {
        for transaction in &block.txdata {
            self.remove(&transaction.compute_txid());
            for input in &transaction.input {
                if let Some(rival) = self.spender(&input.previous_output) {
                    for txid in self.with_descendants(&rival) {
                        self.remove(&txid);
                    }
                }
            }
        }
    }

    /// After a change of branch: offers the transactions of left blocks, oldest first, and what was
    /// here, to the new chain.
    pub(crate) fn branch_changed(&mut self, chain: &Chain, left: Vec<Transaction>, now: u32) {
        let old = std::mem::take(self);
        self.arrivals = old.arrivals;
        let waiting = old
            .in_order()
            .into_iter()
            .map(|entry| (entry.transaction.clone(), entry.time));
        let left = left
            .into_iter()
            .map(|transaction| (Arc::new(transaction), now));
        for (transaction, time) in left.chain(waiting) {
            // What the new branch confirms or contradicts is dropped, as it should be.
            if let Ok((entry, evicted)) = self.examine(chain, &transaction, time, Rules::Consensus)
                && evicted.is_empty()
            {
                self.insert(entry);
            }
        }
    }

    /// What to put into a block: best fee rate first, parents before children.
    pub(crate) fn select(&self, max_weight: u64, max_sigops: usize) -> Vec<&Entry> {
        let mut waiting: HashMap<Txid, usize> = HashMap::new();
        let mut children: HashMap<Txid, Vec<Txid>> = HashMap::new();
        let mut ready = BinaryHeap::new();
        for entry in self.entries.values() {
            if entry.parents.is_empty() {
                ready.push(Candidate::new(entry));
            } else {
                waiting.insert(entry.txid, entry.parents.len());
                for parent in &entry.parents {
                    children.entry(*parent).or_default().push(entry.txid);
                }
            }
        }
        let (mut weight, mut sigops) = (0_u64, 0_usize);
        let mut selected = Vec::new();
        while let Some(Candidate { entry, .. }) = ready.pop() {
            if weight + entry.weight > max_weight || sigops + entry.sigops > max_sigops {
                continue;
            }
            weight += entry.weight;
            sigops += entry.sigops;
            selected.push(entry);
            for child in children.remove(&entry.txid).unwrap_or_default() {
                if let Some(missing) = waiting.get_mut(&child) {
                    *missing -= 1;
                    if *missing == 0 {
                        ready.extend(self.entries.get(&child).map(Candidate::new));
                    }
                }
            }
        }
        selected
    }

    pub(crate) fn ancestors(&self, parents: &HashSet<Txid>) -> HashSet<Txid> {
        let mut found = parents.clone();
        let mut open: Vec<Txid> = parents.iter().copied().collect();
        while let Some(entry) = open.pop().and_then(|txid| self.entries.get(&txid)) {
            open.extend(
                entry
                    .parents
                    .iter()
                    .copied()
                    .filter(|parent| found.insert(*parent)),
            );
        }
        found
    }

    pub(crate) fn with_descendants(&self, txid: &Txid) -> Vec<Txid> {
        let mut found = vec![*txid];
        let mut next = 0;
        while let Some(entry) = found.get(next).and_then(|txid| self.entries.get(txid)) {
            for vout in (0_u32..).take(entry.transaction.output.len()) {
                let child = self.spender(&OutPoint {
                    txid: entry.txid,
                    vout,
                });
                found.extend(
                    child
                        .filter(|child| !found.contains(child))
                        .into_iter()
                        .collect::<Vec<_>>(),
                );
            }
            next += 1;
        }
        found
    }

    fn insert(&mut self, mut entry: Entry) -> Txid {
        let txid = entry.txid;
        self.arrivals += 1;
        entry.order = self.arrivals;
        self.weight += entry.weight;
        for input in &entry.transaction.input {
            self.spends.insert(input.previous_output, txid);
        }
        self.entries.insert(txid, entry);
        txid
    }

    fn remove(&mut self, txid: &Txid) {
        let Some(entry) = self.entries.remove(txid) else {
            return;
        };
        self.weight -= entry.weight;
        for input in &entry.transaction.input {
            self.spends.remove(&input.previous_output);
        }
        for vout in (0_u32..).take(entry.transaction.output.len()) {
            let child = self.spender(&OutPoint { txid: *txid, vout });
            if let Some(child) = child.and_then(|child| self.entries.get_mut(&child)) {
                child.parents.remove(txid);
            }
        }
    }

    /// The checks in the order of `MemPoolAccept::PreChecks`, and whom the transaction would evict.
    fn examine(
        &self,
        chain: &Chain,
        transaction: &Transaction,
        now: u32,
        rules: Rules,
    ) -> Result<(Entry, Vec<Txid>), Reject> {
        check_transaction(transaction)?;
        if transaction.is_coinbase() {
            return Err(Reject::new("coinbase", ""));
        }
        let (txid, wtxid) = (transaction.compute_txid(), transaction.compute_wtxid());
        let weight = transaction.weight().to_wu();
        if rules == Rules::Policy {
            check_standard(transaction, weight)?;
        }
        let final_next =
            chain.with_place(|place| is_final(transaction, place.height, place.median_time));
        if !final_next {
            return Err(Reject::new("non-final", ""));
        }
        match self.entries.get(&txid) {
            Some(entry) if entry.wtxid == wtxid => {
                return Err(Reject::new("txn-already-in-mempool", ""));
            }
            Some(_) => return Err(Reject::new("txn-same-nonwitness-data-in-mempool", "")),
            None => {}
        }
        let outputs = (0_u32..).take(transaction.output.len());
        if outputs
            .map(|vout| OutPoint { txid, vout })
            .any(|out| chain.coin(&out).is_some())
        {
            return Err(Reject::new("txn-already-known", ""));
        }
        let height = chain.height().saturating_add(1);
        let coins = input_coins(transaction, |outpoint| {
            let waiting = self.output(outpoint);
            let waiting = waiting.map(|output| Coin {
                output: output.clone(),
                height,
                coinbase: false,
            });
            waiting.or_else(|| chain.coin(outpoint).cloned())
        })
        .ok_or_else(missing_inputs)?;
        let fee = chain.with_place(|place| {
            if !sequence_locks_met(place, transaction, &coins) {
                return Err(Reject::new("non-BIP68-final", ""));
            }
            check_inputs(place, transaction, &coins)
        })?;
        let parents: HashSet<Txid> = transaction
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .filter(|txid| self.entries.contains_key(txid))
            .collect();
        if self.ancestors(&parents).len() >= MAX_ANCESTORS {
            return Err(Reject::new("too-long-mempool-chain", ""));
        }
        let prevouts: Vec<TxOut> = coins.into_iter().map(|coin| coin.output).collect();
        let sigops = crate::sigops::cost(transaction, |outpoint| {
            let index = transaction
                .input
                .iter()
                .position(|i| i.previous_output == *outpoint)?;
            prevouts.get(index).cloned()
        });
        if sigops > MAX_BLOCK_SIGOPS / 5 {
            return Err(Reject::new("bad-txns-too-many-sigops", ""));
        }
        let entry = Entry {
            transaction: Arc::new(transaction.clone()),
            txid,
            wtxid,
            fee,
            weight,
            sigops,
            time: now,
            height: chain.height(),
            parents,
            order: 0,
        };
        if rules == Rules::Policy {
            let needed = (entry.vsize() * MIN_FEE_RATE).div_ceil(1000);
            if fee < needed {
                return Err(Reject::new(
                    "min relay fee not met",
                    format!("{fee} < {needed}"),
                ));
            }
        }
        let evicted = self.evicted_by(&entry)?;
        let freed: u64 = evicted
            .iter()
            .filter_map(|id| self.get(id))
            .map(|e| e.weight)
            .sum();
        if self.weight - freed + weight > MAX_TOTAL_WEIGHT {
            return Err(Reject::new("mempool full", ""));
        }
        check_scripts(transaction, &prevouts, rules).map_err(|(error, detail)| {
            Reject::new(
                format!("mempool-script-verify-flag-failed ({})", error.text()),
                detail,
            )
        })?;
        Ok((entry, evicted))
    }

    /// The rivals and their descendants, if the entry pays enough to replace them (BIP 125's fee
    /// rules; every transaction may be replaced since Bitcoin Core 28).
    fn evicted_by(&self, entry: &Entry) -> Result<Vec<Txid>, Reject> {
        let inputs = &entry.transaction.input;
        let rivals: HashSet<Txid> = inputs
            .iter()
            .filter_map(|input| self.spender(&input.previous_output))
            .collect();
        let mut evicted: Vec<Txid> = Vec::new();
        for rival in &rivals {
            for txid in self.with_descendants(rival) {
                if !evicted.contains(&txid) {
                    evicted.push(txid);
                }
            }
        }
        if evicted.is_empty() {
            return Ok(evicted);
        }
        if evicted.len() > MAX_EVICTED {
            return Err(Reject::new("too many potential replacements", ""));
        }
        if evicted.iter().any(|txid| entry.parents.contains(txid)) {
            return Err(Reject::new("bad-txns-spends-conflicting-tx", ""));
        }
        let paid: u64 = evicted
            .iter()
            .filter_map(|txid| self.get(txid))
            .map(|e| e.fee)
            .sum();
        let step = (entry.vsize() * MIN_FEE_RATE).div_ceil(1000);
        let worse = rivals
            .iter()
            .filter_map(|txid| self.get(txid))
            .any(|rival| {
                u128::from(entry.fee) * u128::from(rival.weight)
                    <= u128::from(rival.fee) * u128::from(entry.weight)
            });
        if worse || entry.fee < paid.saturating_add(step) {
            let detail = format!("rejecting replacement {}", entry.txid);
            return Err(Reject::new("insufficient fee", detail));
        }
        Ok(evicted)
    }
}

fn check_standard(transaction: &Transaction, weight: u64) -> Result<(), Reject> {
    if !(1..=3).contains(&transaction.version.0) {
        return Err(Reject::new("version", ""));
    }
    if weight > MAX_WEIGHT {
        return Err(Reject::new("tx-size", ""));
    }
    if transaction.base_size() < 65 {
        return Err(Reject::new("tx-size-small", ""));
    }
    let dust = |output: &TxOut| {
        !output.script_pubkey.is_op_return()
            && output.value < output.script_pubkey.minimal_non_dust()
    };
    if transaction.output.iter().any(dust) {
        return Err(Reject::new("dust", ""));
    }
    Ok(())
}

/// A transaction whose parents are all selected; the greatest has the best fee rate, then the
/// earliest arrival.
struct Candidate<'a> {
    entry: &'a Entry,
}

impl<'a> Candidate<'a> {
    fn new(entry: &'a Entry) -> Self {
        Self { entry }
    }
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let mine = u128::from(self.entry.fee) * u128::from(other.entry.weight);
        let theirs = u128::from(other.entry.fee) * u128::from(self.entry.weight);
        mine.cmp(&theirs)
            .then_with(|| other.entry.order.cmp(&self.entry.order))
    }
}

impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate<'_> {}
