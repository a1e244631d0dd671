//! Receipts, sums and logs, made for whoever asks: from the shares that are kept, and the digests of
//! the chunks that they are not in. What is made is tried before it is given.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::{Stream, StreamExt as _, stream};
use mining::{
    accounting::Fee,
    date::Date,
    ledger::Account,
    receipt::{BlockSplit, CHUNK, Digest, Log, LoggedShare, SignedStatement, Sum, Tree, climb},
};
use store::{BlockCredit, BlockCredits, BlockFee, NewBlock, OpenLog, PlacedShare};
use tokio::sync::SemaphorePermit;

use super::{
    Accounts, Addresses, Receipts,
    export::{self, Day, LogHead, MinerSum, Promise, Proof, Receipt, Share, Split, SumNode},
    hashed, leaves,
    trees::DaySums,
};

/// The chunks that are read at once: 4,096 shares, some 250 KB in the database.
const CHUNKS_READ: u32 = 4;
/// The chunks that are looked through for one page of a miner's receipts.
const CHUNKS_SEARCHED: u64 = 64;
/// Who asks waits so long for those who asked before.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// There is no log of this day, or the miner has nothing in it.
    #[error("there is nothing of this day")]
    Unknown,
    /// The day has not ended, or its statement is not signed yet.
    #[error("the day is not closed yet")]
    Open,
    /// What it would be made from is gone.
    #[error("proofs of this day are not kept any more")]
    Gone,
    /// Too many ask for others.
    #[error("too many ask for receipts at once: try again later")]
    Busy,
    /// It cannot be made now.
    #[error(transparent)]
    Fault(#[from] anyhow::Error),
}

impl From<store::ReadError> for NotKept {
    fn from(error: store::ReadError) -> Self {
        Self::Fault(error.into())
    }
}

/// Some receipts of a miner.
#[derive(Debug)]
pub struct Page {
    /// The receipts, in the order of the log. Maybe none, though more follow.
    pub receipts: Vec<Receipt>,
    /// From which place on to look for more; nothing at the end of the log.
    pub next: Option<u64>,
}

impl Receipts {
    /// Receipts of a miner of a day, from a place in its log on; at most `limit`.
    pub async fn of_miner(
        &self,
        address: &str,
        date: Date,
        from: u64,
        limit: usize,
    ) -> Result<Page, NotKept> {
        let _turn = self.turn().await?;
        // In this order: a log that is signed does not change any more.
        let signed = self.store.statement_of(self.pool, date).await?;
        let log = self.log(date).await?;
        let own = self.store.workers_of(self.pool, address).await?;
        let own: HashSet<_> = own.into_iter().collect();
        let count = log.edge.count();
        let mut found = Found {
            chunks: Vec::new(),
            count: 0,
        };
        let mut chunk = from / CHUNK;
        let mut next = from;
        while next < count && found.count < limit && chunk < from / CHUNK + CHUNKS_SEARCHED {
            let read = self
                .store
                .logged_shares(self.pool, date, chunk, CHUNKS_READ);
            let shares = read.await?.ok_or(NotKept::Gone)?;
            for (number, shares) in (chunk..).zip(shares.chunks(size())) {
                let mut places = Vec::new();
                for (index, share) in (number * CHUNK..).zip(shares) {
                    if index < next || found.count >= limit {
                        continue;
                    }
                    next = index + 1;
                    if own.contains(&share.worker) {
                        places.push(index);
                        found.count += 1;
                    }
                }
                if !places.is_empty() {
                    found.chunks.push((number, shares.to_vec(), places));
                }
            }
            chunk += u64::from(CHUNKS_READ);
        }
        Ok(Page {
            receipts: self.receipts(address, signed, &log, found).await?,
            next: (next < count).then_some(next),
        })
    }

    async fn receipts(
        &self,
        address: &str,
        signed: Option<SignedStatement>,
        log: &OpenLog,
        found: Found,
    ) -> Result<Vec<Receipt>, NotKept> {
        if found.count == 0 {
            return Ok(Vec::new());
        }
        let shares = found.chunks.iter().flat_map(|(_, shares, _)| shares);
        let addresses = self.addresses(shares).await?;
        let date = log.date;
        let of = (self.clone(), address.to_owned());
        match signed {
            None => Ok(hashed(move || of.0.promises(&of.1, date, &addresses, found)).await?),
            Some(signed) => {
                let above = self.above(&signed, log).await?;
                hashed(move || Ok(of.0.proofs(&of.1, &signed, &above, &addresses, found))).await?
            }
        }
    }

    /// The tree above the chunks of a log that is signed.
    async fn above(
        &self,
        signed: &SignedStatement,
        log: &OpenLog,
    ) -> Result<Arc<Tree<Digest>>, NotKept> {
        let (date, root) = (log.date, signed.statement.root);
        if let Some(above) = self.trees.chunks.get(date) {
            return Ok(above);
        }
        let mut chunks = self.store.chunk_digests(self.pool, date).await?;
        if !log.edge.count().is_multiple_of(CHUNK) {
            // The last chunk is a smaller tree: its root is made of the edge below a chunk's level.
            chunks.push(last_chunk(log)?);
        }
        // Some may have been removed while they were read.
        let above = hashed(move || Ok(Tree::new(chunks))).await?;
        let above = above.filter(|above| above.root() == root);
        Ok(self.trees.chunks.keep(date, above.ok_or(NotKept::Gone)?))
    }

    /// So that many who ask do not keep the whole machine from its shares.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, NotKept> {
        let turn = tokio::time::timeout(WAIT_MAX, self.answering.acquire()).await;
        let turn = turn.map_err(|_| NotKept::Busy)?;
        Ok(turn.context("it is never closed")?)
    }

    /// What a miner did on a day that is closed.
    pub async fn sum_of(&self, address: &str, date: Date) -> Result<MinerSum, NotKept> {
        let _turn = self.turn().await?;
        let signed = self.signed(date).await?;
        let sums = self.sums(&signed).await?;
        let salt = self.salt_key.salt(address);
        let account = signed.statement.log().account(salt, address);
        let index = sums.list.binary_search_by_key(&account, |sum| sum.account);
        let index = index.map_err(|_| NotKept::Unknown)?;
        let own = sums.list[index];
        let place = u64::try_from(index).context("a place")?;
        let path = sums.tree.path(index).context("a way")?;
        let leaf = Sum::leaf(own.account, own.shares, own.work);
        let reached = climb(&leaf, place, signed.statement.accounts, &path);
        if reached != Some(signed.statement.sum()) {
            return Err(
                anyhow::anyhow!("the sums of {date} are not those that were signed").into(),
            );
        }
        Ok(MinerSum {
            form: export::SUM.into(),
            address: address.into(),
            salt: salt.0.to_string(),
            account: account.to_string(),
            shares: own.shares,
            work: own.work.hashes().to_string(),
            index: place,
            path: path.iter().map(SumNode::new).collect(),
            day: Day::new(&signed),
        })
    }

    /// What the miners did on a day that is signed.
    async fn sums(&self, signed: &SignedStatement) -> Result<Arc<DaySums>, NotKept> {
        let (date, accounts) = (signed.statement.date, signed.statement.accounts);
        if let Some(sums) = self.trees.sums.get(date) {
            return Ok(sums);
        }
        let list = self.store.day_sums(self.pool, date).await?;
        // Removed while they were read: then they are not whole.
        if u64::try_from(list.len()) != Ok(accounts) {
            return Err(NotKept::Gone);
        }
        let sums = hashed(move || {
            let tree = Tree::new(leaves(&list)).context("a sum of work")?;
            Ok(DaySums { list, tree })
        });
        Ok(self.trees.sums.keep(date, sums.await?))
    }

    /// What a block was split into.
    pub async fn split_of(&self, block: pow::Hash) -> Result<Split, NotKept> {
        let _turn = self.turn().await?;
        let found = self.store.block(self.pool, block).await?;
        let credits = self.store.block_credits(self.pool, block).await?;
        let (Some(found), Some(credits)) = (found, credits) else {
            return Err(NotKept::Unknown);
        };
        let receipts = self.clone();
        Ok(hashed(move || receipts.split(&found.found, credits)).await?)
    }

    fn split(&self, found: &NewBlock, mut credits: BlockCredits) -> anyhow::Result<Split> {
        // The order in which they were split; a database may have another one.
        credits.miners.sort_by(|a, b| a.account.cmp(&b.account));
        let log = Log::of_block(&self.issuer, found.hash);
        let miner = |credit: BlockCredit| match &credit.account {
            Account::Miner(address) => {
                let account = log.account(self.salt_key.salt(address), address);
                Ok((account, credit.work, credit.amount))
            }
            other => Err(anyhow::anyhow!("{other} mined a block")),
        };
        let fee = |fee: BlockFee| {
            let of = Fee {
                name: fee.name,
                percent: fee.percent,
            };
            (of, fee.amount)
        };
        let split = BlockSplit {
            issuer: self.issuer.clone(),
            block: found.hash,
            height: found.height,
            scheme: found.scheme,
            reward: found.reward,
            window: credits.window,
            length: credits.length,
            fees: credits.fees.into_iter().map(fee).collect(),
            miners: credits
                .miners
                .into_iter()
                .map(miner)
                .collect::<anyhow::Result<_>>()?,
        };
        let signature = split.sign(&self.key);
        Ok(Split::new(&split, self.key.public(), signature))
    }

    /// What was signed for a day.
    pub async fn signed(&self, date: Date) -> Result<SignedStatement, NotKept> {
        if let Some(signed) = self.store.statement_of(self.pool, date).await? {
            return Ok(signed);
        }
        self.log(date).await?;
        Err(NotKept::Open)
    }

    /// A closed day's log as lines of JSON, piece by piece.
    pub async fn lines(
        &self,
        date: Date,
    ) -> Result<impl Stream<Item = anyhow::Result<String>> + use<>, NotKept> {
        let signed = self.signed(date).await?;
        let first = self.store.logged_shares(self.pool, date, 0, CHUNKS_READ);
        first.await?.ok_or(NotKept::Gone)?;
        let above = self.above(&signed, &self.log(date).await?).await?;
        let head = LogHead {
            form: export::LOG.into(),
            day: Day::new(&signed),
        };
        let head = serde_json::to_string(&head).context("a line")? + "\n";
        let pieces = signed.statement.shares.div_ceil(CHUNK);
        let receipts = self.clone();
        let rest = stream::try_unfold(0_u64, move |chunk| {
            let (receipts, above) = (receipts.clone(), Arc::clone(&above));
            async move {
                if chunk >= pieces {
                    return Ok(None);
                }
                let lines = receipts.piece(date, chunk, above).await?;
                Ok(Some((lines, chunk + u64::from(CHUNKS_READ))))
            }
        });
        Ok(stream::iter([Ok(head)]).chain(rest))
    }

    async fn piece(
        &self,
        date: Date,
        chunk: u64,
        above: Arc<Tree<Digest>>,
    ) -> anyhow::Result<String> {
        let _turn = self.answering.acquire().await?;
        let shares = self
            .store
            .logged_shares(self.pool, date, chunk, CHUNKS_READ);
        let shares = shares.await?.context("shares were removed meanwhile")?;
        let addresses = self.addresses(&shares).await?;
        let receipts = self.clone();
        hashed(move || {
            let mut accounts = Accounts::new(&receipts, &addresses);
            let mut lines = String::new();
            for (number, shares) in (chunk..).zip(shares.chunks(size())) {
                let logged = accounts.chunk(date, number, shares, &above)?;
                for (_, share) in logged.context("shares were removed meanwhile")?.1 {
                    lines += &serde_json::to_string(&Share::new(&share))?;
                    lines.push('\n');
                }
            }
            Ok(lines)
        })
        .await
    }

    async fn log(&self, date: Date) -> Result<OpenLog, NotKept> {
        let log = self.store.day_log(self.pool, date).await?;
        log.ok_or(NotKept::Unknown)
    }

    /// Receipts of a day that is open: the pool's word.
    fn promises(
        &self,
        address: &str,
        date: Date,
        addresses: &Addresses,
        found: Found,
    ) -> anyhow::Result<Vec<Receipt>> {
        let mut receipts = Vec::new();
        let mut accounts = Accounts::new(self, addresses);
        for (number, shares, places) in found.chunks {
            for index in places {
                let (leaf, share) = accounts.leaf(date, &shares[within(index, number)?])?;
                let promise = Promise {
                    key: self.key.public().to_string(),
                    signature: self.key.promise(index, leaf).to_string(),
                };
                let share = Share::new(&share);
                receipts.push(self.receipt(address, date, index, share, Some(promise), None));
            }
        }
        Ok(receipts)
    }

    /// Receipts of a day that is signed: the way to its root.
    fn proofs(
        &self,
        address: &str,
        signed: &SignedStatement,
        above: &Tree<Digest>,
        addresses: &Addresses,
        found: Found,
    ) -> Result<Vec<Receipt>, NotKept> {
        let date = signed.statement.date;
        let day = Day::new(signed);
        let mut receipts = Vec::new();
        let mut accounts = Accounts::new(self, addresses);
        for (number, shares, places) in found.chunks {
            let logged = accounts.chunk(date, number, &shares, above)?;
            let (below, logged) = logged.ok_or(NotKept::Gone)?;
            let upper = above.path(usize::try_from(number).context("a chunk")?);
            let upper = upper.context("a chunk")?;
            for index in places {
                let place = within(index, number)?;
                let (leaf, share) = &logged[place];
                let mut path = below.path(place).context("a way")?;
                path.extend(&upper);
                let reached = climb(leaf, index, signed.statement.shares, &path);
                if reached != Some(signed.statement.root) {
                    return Err(anyhow::anyhow!("a way of {date} does not lead to its root").into());
                }
                let proof = Proof {
                    path: path.iter().map(Digest::to_string).collect(),
                    day: day.clone(),
                };
                let share = Share::new(share);
                receipts.push(self.receipt(address, date, index, share, None, Some(proof)));
            }
        }
        Ok(receipts)
    }

    fn receipt(
        &self,
        address: &str,
        date: Date,
        index: u64,
        share: Share,
        promise: Option<Promise>,
        proof: Option<Proof>,
    ) -> Receipt {
        Receipt {
            form: export::RECEIPT.into(),
            pool: self.issuer.pool().into(),
            coin: self.issuer.coin().into(),
            network: self.issuer.network().into(),
            date: date.to_string(),
            index,
            share,
            address: address.into(),
            salt: self.salt_key.salt(address).0.to_string(),
            promise,
            proof,
        }
    }
}

/// A miner's shares, with the chunks that they are in: number, leaves, and places in the log.
struct Found {
    chunks: Vec<(u64, Vec<PlacedShare>, Vec<u64>)>,
    count: usize,
}

/// A chunk's tree, and its leaves with what they are of.
type Logged = (Tree<Digest>, Vec<(Digest, LoggedShare)>);

impl Accounts<'_> {
    /// A chunk's tree, with its leaves and their shares. Nothing if these are not the shares that were
    /// logged: of a stretch of batches one may be removed before the others, where it came late.
    fn chunk(
        &mut self,
        date: Date,
        number: u64,
        shares: &[PlacedShare],
        above: &Tree<Digest>,
    ) -> anyhow::Result<Option<Logged>> {
        let logged = shares.iter().map(|placed| self.leaf(date, placed));
        let logged: Vec<_> = logged.collect::<anyhow::Result<_>>()?;
        let below = Tree::new(logged.iter().map(|(leaf, _)| *leaf).collect());
        let below = below.context("a chunk without shares")?;
        let is_whole = above.leaf(usize::try_from(number)?) == Some(below.root());
        Ok(is_whole.then_some((below, logged)))
    }
}

/// The root of the last chunk, which is not complete.
fn last_chunk(log: &OpenLog) -> anyhow::Result<Digest> {
    let rest = log.edge.count() % CHUNK;
    let roots = log.edge.roots();
    let below = usize::try_from(rest.count_ones())?;
    let roots = roots.get(roots.len().saturating_sub(below)..);
    let edge = roots.and_then(|roots| mining::receipt::Edge::new(rest, roots.to_vec()));
    let root = edge.and_then(|edge| edge.root());
    root.context("the edge of a log")
}

fn within(index: u64, chunk: u64) -> anyhow::Result<usize> {
    let place = index.checked_sub(chunk * CHUNK).context("a place")?;
    Ok(usize::try_from(place)?)
}

fn size() -> usize {
    usize::try_from(CHUNK).expect("a chunk is small")
}
