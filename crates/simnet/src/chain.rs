//! The tree of blocks, its best branch, and the coins of that branch.
//!
//! Pure: time is an argument, nothing is read or written. The tip is the valid block with the most
//! work whose ancestors are all here; of two with the same work the one that was complete first.
//! Everything is kept in memory, which suits a chain of demonstrations and tests.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bitcoin::{Block, BlockHash, OutPoint, Transaction, Txid, Witness, block::Header};
use ruint::aliases::U256;

use crate::{
    check::{
        Parent, Reject, check_block, check_contents, check_header, check_proof, commitment_output,
    },
    connect::{Place, connect},
    demand::Demand,
    params::{Params, Proof, RETARGET_WINDOW, Solved},
    sealed::{Head, Sealed, encode},
    utxo::{Coin, Undo, Utxo},
    vision::WINDOW,
};

pub(crate) use self::leaves::Standing;

mod leaves;

/// The time of a block must be above the median of this many before it.
const MEDIAN_SPAN: usize = 11;

/// The answer to a submitted block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid, and part of the active chain now. `submitblock` answers null.
    Accepted,
    /// Already here; `duplicate`.
    Duplicate,
    /// Already here and known to be invalid; `duplicate-invalid`.
    DuplicateInvalid,
    /// Kept, but not connected: another branch has as much work or more; `inconclusive`.
    Inconclusive,
    /// Refused for a reason.
    Rejected(Reject),
    /// The bytes are not a block; RPC error -22.
    Undecodable,
}

/// A block of the tree, by the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(usize);

/// What submitting changed on the active chain, in order.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Connected(Id),
    Disconnected(Id),
}

/// The tree and its active branch.
#[derive(Debug)]
pub struct Chain {
    params: Params,
    known: Vec<Known>,
    ids: HashMap<BlockHash, Id>,
    active: Vec<Id>,
    utxo: Utxo,
    confirmed: HashMap<Txid, Id>,
    completed: u64,
}

#[derive(Debug)]
struct Known {
    head: Head,
    parent: Option<Id>,
    height: u32,
    work: U256,
    median_time: u32,
    block: Option<Arc<Block>>,
    /// When the block and all before it were here, in order.
    completed: Option<u64>,
    failed: bool,
    /// It was connected once, so its scripts are known to be right.
    verified: bool,
    undo: Undo,
}

impl Verdict {
    /// The string `submitblock` answers (BIP 22), `None` for an accepted block.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Accepted => None,
            Self::Duplicate => Some("duplicate"),
            Self::DuplicateInvalid => Some("duplicate-invalid"),
            Self::Inconclusive => Some("inconclusive"),
            Self::Rejected(reject) => Some(&reject.reason),
            Self::Undecodable => Some("rejected"),
        }
    }
}

impl Chain {
    /// A chain of its genesis block alone.
    pub fn new(params: Params) -> Self {
        let Sealed { head, block } = params.genesis.clone();
        let genesis = Known {
            parent: None,
            height: 0,
            work: head.demand().work(),
            median_time: head.header.time,
            head,
            block: Some(Arc::new(block)),
            completed: Some(0),
            failed: false,
            verified: true,
            undo: Undo::new(),
        };
        Self {
            params,
            ids: HashMap::from([(genesis.head.hash, Id(0))]),
            active: vec![Id(0)],
            known: vec![genesis],
            utxo: Utxo::default(),
            confirmed: HashMap::new(),
            completed: 1,
        }
    }

    /// Takes a serialised block as Bitcoin Core's `ProcessNewBlock` does. `now` is the clock in
    /// seconds since 1970.
    pub fn submit(&mut self, block: &[u8], now: u32) -> Verdict {
        match Sealed::decode(&self.params, block) {
            Some(block) => self.process(block, now).0,
            None => Verdict::Undecodable,
        }
    }

    /// The height of the active chain's tip.
    pub fn height(&self) -> u32 {
        self.get(self.tip()).height
    }

    /// The hash of the active chain's tip.
    pub fn tip_hash(&self) -> BlockHash {
        self.hash(self.tip())
    }

    /// The hash of the active chain's block at `height`.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.at(height).map(|id| self.hash(id))
    }

    /// A block by its hash, on whatever branch.
    pub fn block(&self, hash: &BlockHash) -> Option<Arc<Block>> {
        self.get(*self.ids.get(hash)?).block.clone()
    }

    /// An unspent output of the active chain.
    pub fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.utxo.get(outpoint)
    }

    /// What the chain agrees on.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// `submitblock` adds the coinbase's witness when a commitment asks for it and it is missing
    /// (`UpdateUncommittedBlockStructures`); only when the parent is known.
    pub(crate) fn complete(&self, block: &mut Block) {
        if !self.ids.contains_key(&block.header.prev_blockhash)
            || commitment_output(block).is_none()
        {
            return;
        }
        if let Some(input) = block
            .txdata
            .first_mut()
            .and_then(|coinbase| coinbase.input.first_mut())
            && input.witness.is_empty()
        {
            input.witness = Witness::from_slice(&[[0; 32]]);
        }
    }

    /// Takes a block and tells what that changed on the active chain.
    pub(crate) fn process(&mut self, sealed: Sealed, now: u32) -> (Verdict, Vec<Change>) {
        let rejected = |reject| (Verdict::Rejected(reject), Vec::new());
        if let Err(reject) = check_block(&self.params, &sealed, true) {
            return rejected(reject);
        }
        let id = match self.accept_header(&sealed.head, now) {
            Ok(id) => id,
            Err(reject) if reject.reason == "duplicate-invalid" => {
                return (Verdict::DuplicateInvalid, Vec::new());
            }
            Err(reject) => return rejected(reject),
        };
        if self.get(id).block.is_some() {
            return (Verdict::Duplicate, Vec::new());
        }
        let (block, parent) = (sealed.block, self.parent_of(id));
        if let Err(reject) = check_contents(&block, &parent) {
            if !reject.mutated {
                self.fail(id);
            }
            return rejected(reject);
        }
        self.known[id.0].block = Some(Arc::new(block));
        let alone = self.link(id);
        let extension = (alone && self.get(id).parent == Some(self.tip())).then_some(id);
        let (changes, failures) = self.activate(extension);
        let verdict = match failures.into_iter().find(|(failed, _)| *failed == id) {
            Some((_, reject)) => Verdict::Rejected(reject),
            None if self.is_active(id) => Verdict::Accepted,
            None => Verdict::Inconclusive,
        };
        (verdict, changes)
    }

    /// Takes a header alone (`submitheader`).
    pub(crate) fn process_header(&mut self, head: &Head, now: u32) -> Result<(), Reject> {
        self.accept_header(head, now).map(drop)
    }

    /// Checks a block on the tip without its proof of work, and keeps nothing
    /// (`getblocktemplate` in proposal mode).
    pub(crate) fn propose(&self, sealed: &Sealed, now: u32) -> Result<(), Reject> {
        if let Some(&id) = self.ids.get(&sealed.head.hash) {
            let known = self.get(id);
            let reason = match (known.verified, known.failed) {
                (_, true) => "duplicate-invalid",
                (true, false) => "duplicate",
                (false, false) => "duplicate-inconclusive",
            };
            return Err(Reject::new(reason, ""));
        }
        let block = &sealed.block;
        if block.header.prev_blockhash != self.tip_hash() {
            return Err(Reject::new("inconclusive-not-best-prevblk", ""));
        }
        check_block(&self.params, sealed, false)?;
        let parent = self.parent(self.tip());
        check_header(&sealed.head, &parent, now)?;
        check_contents(block, &parent)?;
        self.connect_on_tip(block).map(drop)
    }

    /// Marks a block and all after it invalid and leaves that branch. `None`: not in the tree, or
    /// the genesis block.
    pub(crate) fn invalidate(&mut self, hash: &BlockHash) -> Option<Vec<Change>> {
        let id = *self.ids.get(hash).filter(|id| id.0 != 0)?;
        let mut changes = Vec::new();
        while self.is_active(id) {
            self.disconnect_tip(&mut changes);
        }
        self.fail(id);
        changes.extend(self.activate(None).0);
        Some(changes)
    }

    /// Takes the mark off a block, those before and those after it.
    pub(crate) fn reconsider(&mut self, hash: &BlockHash) -> Option<Vec<Change>> {
        let id = *self.ids.get(hash)?;
        for family in self.descendants(id) {
            self.known[family.0].failed = false;
        }
        let mut ancestor = Some(id);
        while let Some(id) = ancestor {
            self.known[id.0].failed = false;
            ancestor = self.get(id).parent;
        }
        Some(self.activate(None).0)
    }

    pub(crate) fn tip(&self) -> Id {
        *self
            .active
            .last()
            .expect("the genesis block is never disconnected")
    }

    pub(crate) fn at(&self, height: u32) -> Option<Id> {
        self.active.get(usize::try_from(height).ok()?).copied()
    }

    pub(crate) fn find(&self, hash: &BlockHash) -> Option<Id> {
        self.ids.get(hash).copied()
    }

    pub(crate) fn is_active(&self, id: Id) -> bool {
        self.at(self.get(id).height) == Some(id)
    }

    pub(crate) fn hash(&self, id: Id) -> BlockHash {
        self.get(id).head.hash
    }

    pub(crate) fn head(&self, id: Id) -> &Head {
        &self.get(id).head
    }

    pub(crate) fn header(&self, id: Id) -> &Header {
        &self.get(id).head.header
    }

    pub(crate) fn height_of(&self, id: Id) -> u32 {
        self.get(id).height
    }

    pub(crate) fn work(&self, id: Id) -> U256 {
        self.get(id).work
    }

    pub(crate) fn median_time(&self, id: Id) -> u32 {
        self.get(id).median_time
    }

    pub(crate) fn block_of(&self, id: Id) -> Option<&Arc<Block>> {
        self.get(id).block.as_ref()
    }

    /// A block as `submitblock` takes it.
    pub(crate) fn bytes_of(&self, id: Id) -> Option<Vec<u8>> {
        Some(encode(self.head(id), self.block_of(id)?))
    }

    /// The coins a block of the active chain spent, in the order of its inputs.
    pub(crate) fn undo(&self, id: Id) -> &[(OutPoint, Coin)] {
        &self.get(id).undo
    }

    /// The block of the active chain a transaction is in.
    pub(crate) fn confirmed_in(&self, txid: &Txid) -> Option<Id> {
        self.confirmed.get(txid).copied()
    }

    pub(crate) fn transaction(&self, txid: &Txid) -> Option<&Transaction> {
        let block = self.block_of(self.confirmed_in(txid)?)?;
        block
            .txdata
            .iter()
            .find(|transaction| transaction.compute_txid() == *txid)
    }

    pub(crate) fn utxo(&self) -> &Utxo {
        &self.utxo
    }

    /// What the block after `id` has to keep to.
    pub(crate) fn parent(&self, id: Id) -> Parent {
        let known = self.get(id);
        Parent {
            height: known.height,
            median_time: known.median_time,
            next: self.next(id),
        }
    }

    /// Where a block after the tip would be connected.
    pub(crate) fn with_place<T>(&self, then: impl FnOnce(&Place<'_>) -> T) -> T {
        let tip = self.tip();
        let median_time_at = |height: u32| self.at(height).map_or(0, |id| self.get(id).median_time);
        then(&Place {
            params: &self.params,
            height: self.get(tip).height.saturating_add(1),
            median_time: self.get(tip).median_time,
            median_time_at: &median_time_at,
        })
    }

    fn get(&self, id: Id) -> &Known {
        &self.known[id.0]
    }

    fn parent_of(&self, id: Id) -> Parent {
        self.parent(self.get(id).parent.unwrap_or(id))
    }

    fn accept_header(&mut self, head: &Head, now: u32) -> Result<Id, Reject> {
        let (hash, header) = (head.hash, &head.header);
        if let Some(&id) = self.ids.get(&hash) {
            if self.get(id).failed {
                let detail = format!("block {hash} was previously marked invalid");
                return Err(Reject::new("duplicate-invalid", detail));
            }
            return Ok(id);
        }
        check_proof(&self.params, head)?;
        let parent = self
            .find(&header.prev_blockhash)
            .ok_or_else(|| Reject::new("prev-blk-not-found", ""))?;
        if self.get(parent).failed {
            return Err(Reject::new("bad-prevblk", ""));
        }
        check_header(head, &self.parent(parent), now)?;
        let id = Id(self.known.len());
        let mut known = Known {
            head: head.clone(),
            parent: Some(parent),
            height: self.get(parent).height.saturating_add(1),
            work: self.get(parent).work.saturating_add(head.demand().work()),
            median_time: 0,
            block: None,
            completed: None,
            failed: false,
            verified: false,
            undo: Undo::new(),
        };
        let mut times: Vec<u32> = std::iter::once(header.time)
            .chain(self.ancestors(parent).map(|id| self.header(id).time))
            .take(MEDIAN_SPAN)
            .collect();
        times.sort_unstable();
        known.median_time = times[times.len() / 2];
        self.known.push(known);
        self.ids.insert(hash, id);
        Ok(id)
    }

    /// A block and those before it, newest first.
    fn ancestors(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(id), |id| self.get(*id).parent)
    }

    fn next(&self, id: Id) -> Demand {
        let last = self.ancestors(id).map(|id| self.get(id));
        let last = last.filter(|known| known.height > 0);
        match &self.params.proof {
            Proof::Header(_) => {
                let solved = last.take(RETARGET_WINDOW + 1).map(|known| Solved {
                    time: known.head.header.time,
                    target: known.head.demand().target(),
                });
                let mut solved: Vec<Solved> = solved.collect();
                solved.reverse();
                Demand::Bits(self.params.next_bits(&solved))
            }
            Proof::VisionX(vision) => {
                let last: Vec<_> = last
                    .take(WINDOW)
                    .filter_map(|known| Some((known.head.header.time, known.head.vision.as_ref()?)))
                    .map(|(time, header)| (time, header.difficulty))
                    .collect();
                Demand::Difficulty(vision.next_difficulty(self.params.spacing.unwrap_or(1), &last))
            }
        }
    }

    /// The block and everything built on it.
    fn descendants(&self, id: Id) -> Vec<Id> {
        // A child always comes after its parent in `known`.
        let mut family = HashSet::from([id]);
        for later in id.0 + 1..self.known.len() {
            if self.known[later]
                .parent
                .is_some_and(|parent| family.contains(&parent))
            {
                family.insert(Id(later));
            }
        }
        family.into_iter().collect()
    }

    fn fail(&mut self, id: Id) {
        for family in self.descendants(id) {
            self.known[family.0].failed = true;
        }
    }

    /// Marks a block complete if all before it are, and then those that waited for it. Tells
    /// whether it is the only one.
    fn link(&mut self, id: Id) -> bool {
        let parent = self.get(id).parent;
        if parent.is_some_and(|parent| self.get(parent).completed.is_none()) {
            return false;
        }
        self.known[id.0].completed = Some(self.completed);
        let first = self.completed;
        for later in id.0 + 1..self.known.len() {
            let known = &self.known[later];
            let ready = known
                .parent
                .is_some_and(|parent| self.get(parent).completed.is_some());
            if ready && known.block.is_some() && known.completed.is_none() {
                self.completed += 1;
                self.known[later].completed = Some(self.completed);
            }
        }
        self.completed += 1;
        self.completed == first + 1
    }

    /// The tip that the rules ask for.
    fn best(&self) -> Id {
        let ready = (0..self.known.len())
            .map(Id)
            .filter(|id| !self.get(*id).failed);
        ready
            .filter_map(|id| {
                let known = self.get(id);
                known
                    .completed
                    .map(|completed| (known.work, std::cmp::Reverse(completed), id.0))
            })
            .max()
            .map_or(self.active[0], |(.., index)| Id(index))
    }

    /// Moves to the best branch; blocks that cannot be connected on the way are marked. Saves the
    /// search when it is told the one new block, an `extension` of the tip.
    fn activate(&mut self, mut extension: Option<Id>) -> (Vec<Change>, Vec<(Id, Reject)>) {
        let mut changes = Vec::new();
        let mut failures = Vec::new();
        loop {
            let best = extension.take().unwrap_or_else(|| self.best());
            if best == self.tip() {
                return (changes, failures);
            }
            let fork = self.fork(best);
            while self.tip() != fork {
                self.disconnect_tip(&mut changes);
            }
            let mut path: Vec<Id> = self.ancestors(best).take_while(|id| *id != fork).collect();
            path.reverse();
            for id in path {
                if let Err(reject) = self.connect_tip(id, &mut changes) {
                    self.fail(id);
                    failures.push((id, reject));
                    break;
                }
            }
        }
    }

    /// The last block the branch of `id` has in common with the active chain.
    fn fork(&self, id: Id) -> Id {
        self.ancestors(id)
            .find(|id| self.is_active(*id))
            .unwrap_or(self.active[0])
    }

    fn connect_on_tip(&self, block: &Block) -> Result<crate::utxo::Delta, Reject> {
        self.with_place(|place| connect(place, block, &self.utxo))
    }

    fn connect_tip(&mut self, id: Id, changes: &mut Vec<Change>) -> Result<(), Reject> {
        let block = self
            .get(id)
            .block
            .clone()
            .expect("a complete block is here");
        let delta = self.connect_on_tip(&block)?;
        self.known[id.0].undo = self.utxo.apply(delta);
        self.known[id.0].verified = true;
        self.active.push(id);
        for transaction in &block.txdata {
            self.confirmed.insert(transaction.compute_txid(), id);
        }
        changes.push(Change::Connected(id));
        Ok(())
    }

    fn disconnect_tip(&mut self, changes: &mut Vec<Change>) {
        let id = self.tip();
        let block = self
            .get(id)
            .block
            .clone()
            .expect("a connected block is here");
        let txids: Vec<(Txid, usize)> = block
            .txdata
            .iter()
            .map(|tx| (tx.compute_txid(), tx.output.len()))
            .collect();
        for (txid, _) in &txids {
            self.confirmed.remove(txid);
        }
        let undo = std::mem::take(&mut self.known[id.0].undo);
        self.utxo.revert(&txids, undo);
        self.active.pop();
        changes.push(Change::Disconnected(id));
    }
}
