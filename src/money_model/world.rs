//! A chain, the running pool and what the books should say, taken through the same events. After each
//! of them the three must agree.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bitcoin::{BlockHash, Txid, hashes::Hash as _};
use mining::{Amount, NetworkDifficulty, Scheme, Work, ledger::Account, payout::BatchState};
use pow::Hash;
use serde_json::json;
use store::{Balance, FoundBlock, NewBlock, PoolId, ShareRecord, ShareRow, Store, WorkerName};

use super::{
    THRESHOLD, WORKERS,
    action::{Action, CALLS, Fault, ShareComes},
    address_of,
    chain::Chain,
    payees,
    payments::{self, Seen},
    reference::{Balances, Block, Reference, Share, Stand, Way},
    running::{PAYERS, Running, ended_after},
    script_of,
};
use crate::clock;

/// A chain on which each other hash is a block.
const BITS: u32 = 0x207f_ffff;
const BLOCK_WORK: u128 = 2;
const MINUTE_MS: i64 = 61_000;
/// No look waits so often.
const TO_THE_END: usize = 1_000_000;
/// Seconds after which all is paid that can be.
const SETTLES_WITHIN: usize = 60;

pub(super) type Counts = BTreeMap<&'static str, u64>;

pub(super) struct World {
    chain: Chain,
    running: Running,
    reference: Reference,
    /// Shares that are blocks, and are not written yet.
    late: Vec<(Way, Share)>,
    shares: u64,
    is_paused: bool,
    /// Who holds the right to pay, and until when.
    lease: Option<(usize, i64)>,
    pub(super) counts: Counts,
}

impl World {
    /// A pool with workers, and a wallet with some coins of its operator's.
    pub(super) async fn new(is_patient: bool) -> Self {
        let mut chain = Chain::start().await;
        chain.find(chain.wallet.clone()).await;
        chain.grow(5).await;
        // Soon or never, as no time passes for what waits.
        let unclear_after = Duration::from_secs(if is_patient { 3_600 } else { 0 });
        let running = Running::start(&chain, unclear_after).await;
        let mut world = Self {
            chain,
            running,
            reference: Reference::default(),
            late: Vec::new(),
            shares: 0,
            is_paused: false,
            lease: None,
            counts: Counts::new(),
        };
        let all: Vec<(usize, u128)> = (0..WORKERS.len()).map(|worker| (worker, 1)).collect();
        world.work(Way::Pplns, &all).await;
        world
    }

    pub(super) async fn step(&mut self, action: &Action) {
        match action {
            Action::Work(way, shares) => self.work(*way, shares).await,
            Action::AddUp => {
                while !self
                    .running
                    .store
                    .roll_up(self.running.pool)
                    .await
                    .unwrap()
                    .done
                {}
                self.reference.add_up();
            }
            Action::Find(way, worker, comes) => self.find(*way, *worker, *comes).await,
            Action::ShareComes => self.share_comes().await,
            Action::Grow(blocks) => self.chain.grow(*blocks).await,
            Action::Leave(depth, others) => self.chain.leave(*depth, *others).await,
            Action::ComeBack => self.chain.come_back().await,
            Action::ThereAndBack(depth) => {
                self.chain.leave(*depth, 0).await;
                self.follow().await;
                self.account(false).await;
                self.verify().await;
                self.chain.come_back().await;
                self.follow().await;
                self.account(false).await;
            }
            Action::Seconds(seconds) => {
                for _ in 0..*seconds {
                    self.second().await;
                }
            }
            Action::Follow => self.follow().await,
            Action::Account { joins } => self.account(*joins).await,
            Action::Pay(payer) => self.pay(*payer, TO_THE_END).await,
            Action::EndInAccount(waits) => self.end_in_account(*waits).await,
            Action::EndInPay(payer, waits) => self.pay(*payer, *waits).await,
            Action::Restart => self.running.restart().await,
            Action::Fee(pool_fee) => {
                self.running.pool_fee = *pool_fee;
                self.running.restart().await;
                self.reference.change_fee(*pool_fee);
            }
            Action::Fault(fault, call, times) => self.fault(*fault, CALLS[*call], *times),
            Action::Mend => self.chain.mend(),
            Action::Steal(which) => self.steal(*which).await,
            Action::Decide(which) => {
                if let Some(number) = self.open(*which) {
                    self.decide(number).await;
                }
            }
            Action::Hold(which) => {
                if let Some(number) = self.open(*which) {
                    self.hold(number).await;
                }
            }
            Action::Pause => self.pause("a pause").await,
            Action::Resume => self.pause("").await,
            Action::Minute => clock::pass_ms(MINUTE_MS),
        }
        self.verify().await;
    }

    /// By what hundredths of a percent each block of a way was split that has been, in their order.
    pub(super) async fn pool_fees(&self, way: Way) -> Vec<u16> {
        let (store, pool) = (&self.running.store, self.running.pool);
        let mut fees = Vec::new();
        for block in self
            .reference
            .blocks
            .iter()
            .filter(|block| block.way == way)
        {
            let credits = store.block_credits(pool, hash_of(&block.hash)).await;
            for fee in credits
                .unwrap()
                .into_iter()
                .flat_map(|credits| credits.fees)
            {
                if fee.name == "pool" {
                    fees.push(fee.percent.hundredths());
                }
            }
        }
        fees
    }

    /// No two events at the same time.
    fn now_ms(&self) -> i64 {
        clock::pass_ms(1);
        clock::now_ms()
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    async fn work(&mut self, way: Way, shares: &[(usize, u128)]) {
        let (mut rows, mut seen) = (Vec::new(), Vec::new());
        for (worker, work) in shares {
            self.shares += 1;
            let mut proof = Hash::default();
            proof.0[..8].copy_from_slice(&self.shares.to_le_bytes());
            let share = Share {
                worker: *worker,
                work: *work,
                time_ms: self.now_ms(),
                block: None,
            };
            rows.push(self.row(way, &share, proof));
            seen.push(share);
        }
        let appended = self.running.store.append_shares(self.running.pool, &rows);
        appended.await.unwrap();
        self.reference.append(way, seen);
    }

    fn row(&self, way: Way, share: &Share, proof: Hash) -> ShareRow {
        let work = Work::from_hashes(share.work);
        ShareRow {
            share: ShareRecord::new(proof, work, self.chain.height(), share.time_ms).unwrap(),
            worker: Arc::new(name_of(share.worker)),
            scheme: scheme(way),
        }
    }

    async fn find(&mut self, way: Way, worker: usize, comes: ShareComes) {
        let (miner, _) = WORKERS[worker];
        let script = match way {
            Way::Solo => script_of(miner),
            _ => self.chain.wallet.clone(),
        };
        let found = self.chain.find(script).await;
        let found_ms = self.now_ms();
        let block = Block::new(found, way, worker, found_ms);
        let new = FoundBlock {
            block: new_block(&block),
            by_coinbase: None,
        };
        let share = Share {
            worker,
            work: BLOCK_WORK,
            time_ms: found_ms,
            block: Some(block.hash),
        };
        let (store, pool) = (&self.running.store, self.running.pool);
        match comes {
            ShareComes::WithBlock => {
                let rows = [self.row(way, &share, new.block.proof)];
                store
                    .append_shares_and_blocks(pool, &rows, &[&new])
                    .await
                    .unwrap();
                self.reference.append(way, [share]);
            }
            ShareComes::Later | ShareComes::Never => {
                store.record_found(pool, &new.block, None).await.unwrap();
                if matches!(comes, ShareComes::Later) {
                    self.late.push((way, share));
                }
            }
        }
        self.reference.blocks.push(block);
    }

    /// The next share that was late. One that is too late is given up.
    async fn share_comes(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let (way, share) = self.late.remove(0);
        let hash = share.block.unwrap();
        let mut blocks = self.reference.blocks.iter();
        let block = blocks.find(|block| block.hash == hash).unwrap();
        if block.is_located() || clock::now_ms() >= block.found_ms + MINUTE_MS / 2 {
            return;
        }
        let rows = [self.row(way, &share, hash_of(&hash))];
        let appended = self.running.store.append_shares(self.running.pool, &rows);
        appended.await.unwrap();
        self.reference.append(way, [share]);
        self.count("a share that came later than its block");
    }

    async fn second(&mut self) {
        self.chain.grow(1).await;
        self.follow().await;
        self.account(false).await;
        self.pay(0, TO_THE_END).await;
    }

    async fn follow(&mut self) {
        self.running.follow().await;
        let chain = &self.chain;
        self.reference
            .follow(|block| chain.confirmations(&block.hash, block.height));
    }

    async fn account(&mut self, joins: bool) {
        let now = clock::now_ms();
        self.running.accounting.look(joins).await.unwrap();
        for what in self.reference.account(now) {
            self.count(what);
        }
        self.assert_same_balances().await;
    }

    /// The process ends amid it, and its successor does the rest.
    async fn end_in_account(&mut self, waits: usize) {
        let look = self.running.accounting.look(false);
        if ended_after(waits, look).await.is_none() {
            self.count("an end amid the books");
        }
        self.running.restart().await;
        self.account(false).await;
    }

    async fn pay(&mut self, payer: usize, waits: usize) {
        let now = clock::now_ms();
        let is_holder = self
            .lease
            .is_none_or(|(holder, until_ms)| holder == payer || until_ms <= now);
        let before: Vec<(u64, Seen)> = payments::read(&self.running.store, self.running.pool).await;
        let newest = before.last().map_or(0, |(number, _)| *number);
        let is_held = before
            .iter()
            .any(|(_, seen)| seen.state == BatchState::Manual);
        if self.running.pay(payer, waits).await {
            if is_holder {
                self.lease = Some((payer, clock::now_ms() + 60_000));
            }
        } else {
            self.count("an end amid a payout");
            self.running.restart().await;
            // Whether it had the right to pay by then is not known; after a minute it has not.
            if is_holder {
                clock::pass_ms(MINUTE_MS);
                self.lease = None;
            }
        }
        let after = payments::read(&self.running.store, self.running.pool).await;
        if !is_holder {
            self.count("a look without the right to pay");
            assert_eq!(before, after, "{} has no right to pay", PAYERS[payer]);
        }
        let begun = after.iter().any(|(number, _)| *number > newest);
        assert!(!begun || !self.is_paused, "a payout in a pause");
        assert!(!begun || !is_held, "a payout while one waits for a person");
        self.verify().await;
    }

    fn fault(&mut self, fault: Fault, call: &'static str, times: u32) {
        let error = |code: i32, message: &str, call: &str| {
            let error =
                json!({"code": code, "message": message, "methods": [call], "times": times});
            json!({"error": error})
        };
        let calls = json!({"methods": [call], "times": times});
        match fault {
            Fault::Refused => {
                let http = json!({"status": 503, "methods": [call], "times": times});
                self.chain.fault(json!({"http": http}));
            }
            Fault::AnswerLost => self.chain.fault(json!({"garbage": calls})),
            Fault::WalletLocked => {
                let method = "signrawtransactionwithwallet";
                self.chain.fault(error(-13, "unlock it first", method));
            }
            Fault::TooLittle => {
                let method = "fundrawtransaction";
                self.chain.fault(error(-6, "Insufficient funds", method));
            }
            Fault::NotTaken => {
                let method = "sendrawtransaction";
                self.chain
                    .fault(error(-26, "min relay fee not met", method));
            }
            Fault::UnknownAddress => {
                let method = "createrawtransaction";
                self.chain.fault(error(-5, "Invalid address", method));
                let invalid = json!({"isvalid": false});
                let told =
                    json!({"value": invalid, "methods": ["validateaddress"], "times": times});
                self.chain.fault(json!({"result": told}));
            }
        }
    }

    /// One of the payouts that are under way.
    fn open(&self, which: usize) -> Option<u64> {
        let open = self.reference.payouts.iter();
        let open: Vec<u64> = open
            .filter(|(_, seen)| seen.is_open() && seen.signed.is_some())
            .map(|(number, _)| *number)
            .collect();
        Some(*open.get(which % open.len().max(1))?)
    }

    /// Somebody has the wallet's keys too, and the operator knows of it.
    async fn steal(&mut self, which: usize) {
        let open = self
            .reference
            .payouts
            .values()
            .filter(|seen| seen.is_open());
        let mut loot: Vec<_> = open.filter_map(|seen| seen.signed.clone()).collect();
        loot.retain(|signed| {
            let txid = signed.transaction.compute_txid();
            self.chain.depth(&txid).is_none()
        });
        let Some(signed) = loot.get(which % loot.len().max(1)) else {
            return;
        };
        if let Some(txid) = self.chain.steal(&signed.transaction).await {
            self.count("a theft");
            let (store, now) = (&self.running.store, clock::now_ms());
            let txid = hash_of_transaction(&txid);
            let accepted = store.accept_send(self.running.pool, txid, "a theft", now);
            accepted.await.unwrap();
        }
    }

    /// What waits for a person is given back if it can never be paid, and sent again if it can. What can
    /// never be paid is held for that.
    async fn decide(&mut self, number: u64) {
        let seen = self.reference.payouts[&number].clone();
        let Some(signed) = &seen.signed else { return };
        let all = self.reference.transactions();
        let is_dead = self.chain.is_dead(&signed.transaction, &all);
        let pool = self.running.pool;
        match (seen.state, is_dead) {
            (BatchState::Manual, true) => {
                self.chain.settle().await;
                clock::pass_ms(MINUTE_MS);
                let (store, now) = (&self.running.store, clock::now_ms());
                let voided = store.void_payout(pool, "bitcoin", number, "it is dead", now);
                voided.await.unwrap();
                self.reference.by_hand.insert(number);
                self.count("a payout that a person gave back");
            }
            (BatchState::Manual, false) => {
                let (store, now) = (&self.running.store, clock::now_ms());
                let retried = store.retry_payout(pool, number, "once more", now);
                retried.await.unwrap();
                self.count("a payout that a person sent again");
            }
            (BatchState::Signed | BatchState::Broadcast, true) => self.hold(number).await,
            _ => {}
        }
    }

    async fn hold(&mut self, number: u64) {
        let (store, pool, now) = (&self.running.store, self.running.pool, clock::now_ms());
        let state = self.reference.payouts[&number].state;
        let held = store.hold_payout(pool, number, "a look at it", now).await;
        let may_hold = matches!(state, BatchState::Signed | BatchState::Broadcast);
        assert_eq!(held.is_ok(), may_hold, "payout {number} is {state}");
    }

    async fn pause(&mut self, reason: &str) {
        let (store, pool) = (&self.running.store, self.running.pool);
        store.pause_payments(pool, reason).await.unwrap();
        self.is_paused = !reason.is_empty();
    }

    /// All that must be true at any time.
    async fn verify(&mut self) {
        let (store, pool) = (&self.running.store, self.running.pool);
        let books = store.check_books(pool).await.unwrap();
        assert!(books.balance(), "{books:?}");
        let list = payments::read(store, pool).await;
        for (number, seen) in &list {
            let before = self.reference.payouts.get(number).map(|seen| seen.state);
            if before != Some(seen.state) {
                let what = match (seen.state, seen.signed.is_some()) {
                    (BatchState::Confirmed, _) => "a payout that was confirmed",
                    (BatchState::Released, true) => "a payout given back that was signed",
                    (BatchState::Released, false) => "a payout given back that was not signed",
                    (BatchState::Manual, _) => "a payout that waits for a person",
                    _ => "a payout under way",
                };
                *self.counts.entry(what).or_default() += 1;
            }
        }
        self.reference.see(list, &mut self.chain).await;
        self.reference.assert_paid_once(&mut self.chain).await;
        self.assert_same_balances().await;
    }

    async fn assert_same_balances(&self) {
        let (store, pool) = (&self.running.store, self.running.pool);
        let found = balances(store, pool).await;
        let due = self.reference.balances();
        assert_eq!(found, due, "the store, and what is due");
        // Whatever blocks brought is with those who had a part of it, on its way to them, or paid.
        let theirs = found.iter().filter(|(account, _)| {
            let account: Account = account.parse().unwrap();
            account.is_payable() || matches!(account, Account::Batch(_) | Account::Paid)
        });
        let theirs: i128 = theirs.map(|(_, (posted, _))| posted).sum();
        let taken_back = self.reference.taken_back();
        assert_eq!(theirs, self.reference.rewards() - taken_back, "{found:?}");
    }

    /// Nothing goes wrong any more: all is booked, matured or void, and everyone is paid.
    pub(super) async fn settle(&mut self) {
        self.chain.mend();
        self.pause("").await;
        clock::pass_ms(MINUTE_MS);
        for _ in 0..SETTLES_WITHIN {
            // The operator sees to it that the wallet has enough.
            self.chain.find(self.chain.wallet.clone()).await;
            clock::pass_ms(MINUTE_MS);
            self.running.restart().await;
            self.second().await;
            let open: Vec<u64> = self.reference.payouts.keys().copied().collect();
            for number in open {
                self.decide(number).await;
                self.verify().await;
            }
            if self.is_settled() && self.confirmed_are_there() {
                return self.assert_all_paid();
            }
        }
        panic!("it does not settle: {:#?}", self.reference);
    }

    fn is_settled(&self) -> bool {
        let blocks = &self.reference.blocks;
        let stands = |block: &Block| {
            let is_final = matches!(block.stand, Stand::Mature | Stand::Orphaned);
            is_final && block.booked == Some(block.stand)
        };
        let mut payouts = self.reference.payouts.values();
        blocks.iter().all(stands)
            && !payouts.any(Seen::is_open)
            && payees().all(|account| self.reference.available(&account) < THRESHOLD)
    }

    /// Whether every payout that was confirmed is in the chain, whatever branches there were since. One
    /// that needs a block that is gone for good cannot be.
    pub(super) fn confirmed_are_there(&mut self) -> bool {
        let all = self.reference.transactions();
        let confirmed = self.reference.payouts.values();
        let confirmed = confirmed.filter(|seen| seen.state == BatchState::Confirmed);
        let mut signed = confirmed.filter_map(|seen| seen.signed.as_ref());
        let chain = &mut self.chain;
        signed.all(|signed| {
            let transaction = &signed.transaction;
            let is_there = chain.depth(&transaction.compute_txid()).is_some();
            is_there || chain.is_dead(transaction, &all)
        })
    }

    fn assert_all_paid(&self) {
        for account in payees() {
            let confirmed = self.reference.payouts.values();
            let confirmed = confirmed.filter(|seen| seen.state == BatchState::Confirmed);
            let payments = confirmed.flat_map(|seen| &seen.payments);
            let to_them = payments.filter(|payment| payment.account == account);
            let paid: u64 = to_them.map(|payment| payment.amount).sum();
            let left = self.reference.available(&account);
            assert_eq!(self.reference.credited(&account), paid + left, "{account}");
        }
    }
}

/// As the store has them.
pub(super) async fn balances(store: &Store, pool: PoolId) -> Balances {
    let found = store.balances(pool, None, 1_000).await.unwrap();
    let balance = |(account, balance): (Account, Balance)| {
        let amounts = (balance.posted.into(), balance.pending.into());
        (account.to_string(), amounts)
    };
    found.into_iter().map(balance).collect()
}

pub(super) fn name_of(worker: usize) -> WorkerName {
    let (_, name) = WORKERS[worker];
    WorkerName::new(&address_of(worker), name).unwrap()
}

fn scheme(way: Way) -> Scheme {
    match way {
        Way::Pplns => Scheme::Pplns,
        Way::Prop => Scheme::Prop,
        Way::Solo => Scheme::Solo,
    }
}

/// As the pool records it.
pub(super) fn new_block(block: &Block) -> NewBlock {
    let hash = hash_of(&block.hash);
    NewBlock {
        hash,
        proof: hash,
        height: block.height,
        worker: name_of(block.worker),
        network: NetworkDifficulty::Bits(BITS),
        time: 0,
        found_ms: block.found_ms,
        reward: Amount::from_units(block.reward),
        coinbase: None,
        scheme: scheme(block.way),
    }
}

pub(super) fn hash_of(hash: &BlockHash) -> Hash {
    Hash(hash.to_byte_array())
}

fn hash_of_transaction(txid: &Txid) -> Hash {
    Hash(txid.to_byte_array())
}
