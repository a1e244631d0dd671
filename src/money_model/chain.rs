//! The chain, as it is: a real node, whose blocks the test finds, leaves and comes back to, and whose
//! wallet somebody else has the keys of too.

use std::collections::{HashMap, HashSet};

use bitcoin::{
    Amount, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime, consensus, transaction,
};
use serde_json::{Value, json};
use simnet::{Auth, Params, Simnet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{MATURITY, script_of};
use crate::daemon;

/// Who logs in at the node.
const LOGIN: &str = "adit";
/// What a thief pays more than the payout, so that the node prefers him.
const BRIBE: u64 = 1_000_000;
/// A script of none of the miners.
const ELSEWHERE: u8 = 200;

pub(super) struct Chain {
    simnet: Simnet,
    client: reqwest::Client,
    /// What the pool's wallet is paid to.
    pub(super) wallet: ScriptBuf,
    /// All blocks that there ever were.
    made: Vec<BlockHash>,
    /// Those that were left on purpose, and may come back.
    left: Vec<BlockHash>,
    /// The chain below this height stays as it is.
    floor: u32,
    /// Transactions that spend the wallet's coins and are no payouts.
    pub(super) thefts: HashSet<Txid>,
    read: HashMap<BlockHash, Vec<Transaction>>,
    _cancel: DropGuard,
}

impl Chain {
    pub(super) async fn start() -> Self {
        let cancel = CancellationToken::new();
        let params = Params::regtest().with_maturity(MATURITY);
        let mut config = simnet::Config::new(params);
        config.auth = Auth::Password {
            user: LOGIN.into(),
            password: LOGIN.into(),
        };
        let simnet = simnet::start(config, cancel.clone()).await.unwrap();
        let wallet = simnet.script_of(&simnet.new_address()).unwrap();
        Self {
            simnet,
            client: reqwest::Client::new(),
            wallet,
            made: Vec::new(),
            left: Vec::new(),
            floor: 0,
            thefts: HashSet::new(),
            read: HashMap::new(),
            _cancel: cancel.drop_guard(),
        }
    }

    pub(super) fn daemon(&self) -> daemon::Config {
        let mut config = daemon::Config::at(self.simnet.url());
        config.user = Some(LOGIN.into());
        config.password = Some(LOGIN.into());
        config
    }

    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value, String> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let post = self.client.post(self.simnet.url());
        let post = post.basic_auth(LOGIN, Some(LOGIN)).json(&request);
        let reply = post.send().await.unwrap().json().await;
        let mut reply: Value = reply.map_err(|failure| failure.to_string())?;
        match reply["error"].is_null() {
            true => Ok(reply["result"].take()),
            false => Err(reply["error"].to_string()),
        }
    }

    pub(super) fn fault(&self, fault: Value) {
        self.simnet.fault(serde_json::from_value(fault).unwrap());
    }

    pub(super) fn mend(&self) {
        self.simnet.clear_faults();
    }

    pub(super) fn height(&self) -> u32 {
        self.simnet.height()
    }

    /// A block that pays to this script: its hash, its height and what it pays.
    pub(super) async fn find(&mut self, script: ScriptBuf) -> (BlockHash, u32, u64) {
        let hash = self.simnet.mine(1, script).await.unwrap()[0];
        self.made.push(hash);
        let block = self.simnet.with_chain(|chain| chain.block(&hash)).unwrap();
        let paid = block.txdata[0].output.iter();
        let paid: Amount = paid.map(|output| output.value).sum();
        (hash, self.height(), paid.to_sat())
    }

    /// Blocks that nobody here has found.
    pub(super) async fn grow(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.find(script_of(ELSEWHERE)).await;
        }
    }

    /// Leaves the newest blocks, as many as that, for a branch of so many others.
    pub(super) async fn leave(&mut self, depth: u32, others: u32) {
        let first = self.height().saturating_sub(depth).max(self.floor) + 1;
        let hash = self.simnet.with_chain(|chain| chain.hash_at(first));
        let Some(hash) = hash else { return };
        self.call("invalidateblock", json!([hash])).await.unwrap();
        self.left.push(hash);
        self.grow(others).await;
    }

    /// The blocks that were left last count again; the longest branch is the chain.
    pub(super) async fn come_back(&mut self) {
        if let Some(hash) = self.left.pop() {
            self.call("reconsiderblock", json!([hash])).await.unwrap();
        }
    }

    /// From here on nothing below is ever left: something was decided that counts on it.
    pub(super) async fn settle(&mut self) {
        self.floor = self.height();
        self.left.clear();
        for hash in self.made.clone() {
            if self.height_of(&hash).is_none() {
                self.call("invalidateblock", json!([hash])).await.unwrap();
            }
        }
    }

    fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        let height = |height: &u32| {
            let at = self.simnet.with_chain(|chain| chain.hash_at(*height));
            at.as_ref() == Some(hash)
        };
        (0..=self.height()).rev().find(height)
    }

    /// Blocks that confirm one of this height, itself included; below zero if it is in no chain.
    pub(super) fn confirmations(&self, hash: &BlockHash, height: u32) -> i64 {
        let at = self.simnet.with_chain(|chain| chain.hash_at(height));
        match at.as_ref() == Some(hash) {
            true => i64::from(self.height() - height) + 1,
            false => -1,
        }
    }

    /// All that is in the chain beside the blocks' own transactions, with its confirmations.
    pub(super) fn transactions(&mut self) -> Vec<(Transaction, u32)> {
        let top = self.height();
        let mut found = Vec::new();
        for height in 0..=top {
            let hash = self.simnet.with_chain(|chain| chain.hash_at(height));
            let hash = hash.unwrap();
            let read = self.read.entry(hash).or_insert_with(|| {
                let block = self.simnet.with_chain(|chain| chain.block(&hash));
                block.unwrap().txdata[1..].to_vec()
            });
            found.extend(read.iter().map(|tx| (tx.clone(), top - height + 1)));
        }
        found
    }

    /// What waits for a block.
    pub(super) async fn waiting(&self) -> HashSet<Txid> {
        let waiting = self.call("getrawmempool", json!([])).await.unwrap();
        serde_json::from_value(waiting).unwrap()
    }

    fn has(&self, coin: &OutPoint) -> bool {
        self.simnet.with_chain(|chain| chain.coin(coin).is_some())
    }

    /// Whether a transaction can never be in the chain, if that stays what it is: something in the
    /// chain has an input of it, a block whose coins it spends is in no chain, or one of `payouts`
    /// that it needs can never be there itself.
    pub(super) fn is_dead(&mut self, transaction: &Transaction, payouts: &[Transaction]) -> bool {
        if self.depth(&transaction.compute_txid()).is_some() {
            return false;
        }
        transaction.input.iter().any(|input| {
            let coin = input.previous_output;
            let parent = payouts.iter().find(|tx| tx.compute_txid() == coin.txid);
            match parent {
                _ if self.has(&coin) => false,
                Some(parent) if self.depth(&coin.txid).is_none() => self.is_dead(parent, payouts),
                _ => true,
            }
        })
    }

    /// How deep something else is in the chain that has an input of a transaction, or of one of
    /// `payouts` that it needs. Nothing if there is no such thing.
    pub(super) fn beaten(
        &mut self,
        transaction: &Transaction,
        payouts: &[Transaction],
    ) -> Option<u32> {
        let there = self.transactions();
        let spends = |rival: &Transaction, coin: &OutPoint| {
            let mut inputs = rival.input.iter();
            rival != transaction && inputs.any(|input| input.previous_output == *coin)
        };
        let mut deepest = None;
        for input in &transaction.input {
            let coin = input.previous_output;
            let rival = there.iter().find(|(rival, _)| spends(rival, &coin));
            let parent = payouts.iter().find(|tx| tx.compute_txid() == coin.txid);
            let parent = parent.filter(|_| self.depth(&coin.txid).is_none());
            let of_parent = parent.and_then(|parent| self.beaten(parent, payouts));
            deepest = deepest.max(rival.map(|(_, depth)| *depth)).max(of_parent);
        }
        deepest
    }

    /// The confirmations of what is in the chain.
    pub(super) fn depth(&mut self, txid: &Txid) -> Option<u32> {
        let there = self.transactions();
        let own = there.iter().find(|(tx, _)| tx.compute_txid() == *txid);
        own.map(|(_, depth)| *depth)
    }

    /// Somebody else spends what a payout was to spend. Nothing if he cannot.
    pub(super) async fn steal(&mut self, transaction: &Transaction) -> Option<Txid> {
        let coins = transaction.input.iter().map(|input| input.previous_output);
        let value: Option<Vec<Amount>> = coins
            .clone()
            .map(|coin| {
                let found = |chain: &simnet::Chain| Some(chain.coin(&coin)?.output.value);
                self.simnet.with_chain(found)
            })
            .collect();
        let value: Amount = value?.into_iter().sum();
        let theft = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: coins
                .map(|previous_output| TxIn {
                    previous_output,
                    script_sig: ScriptBuf::new(),
                    sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                    witness: Witness::new(),
                })
                .collect(),
            output: vec![TxOut {
                value: value.checked_sub(Amount::from_sat(BRIBE))?,
                script_pubkey: script_of(ELSEWHERE),
            }],
        };
        let bare = consensus::encode::serialize_hex(&theft);
        let signed = self.call("signrawtransactionwithwallet", json!([bare]));
        let signed = signed.await.ok()?;
        let theft: Transaction =
            consensus::encode::deserialize_hex(signed["hex"].as_str()?).unwrap();
        let txid = theft.compute_txid();
        // The node may fail him too, and may have done it all the same.
        let sent = self.call("sendrawtransaction", json!([signed["hex"], 0]));
        let _ = sent.await;
        self.thefts.insert(txid);
        Some(txid)
    }
}
