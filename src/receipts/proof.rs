//! Receipts, sums and logs, made for whoever asks: from the shares that are kept, and the digests of
//! the chunks that they are not in. What is made is tried before it is given.

use std::collections::HashSet;

use anyhow::{Context as _, ensure};
use futures_util::{Stream, StreamExt as _, stream};
use mining::{
    accounting::Fee,
    date::Date,
    ledger::Account,
    receipt::{BlockSplit, CHUNK, Digest, Log, Salt, SignedStatement, Sum, Tree, climb},
};
use store::{BlockCredit, BlockFee, OpenLog, PlacedShare};

use super::{
    Accounts, Receipts,
    export::{self, Day, LogHead, MinerSum, Promise, Proof, Receipt, Share, Split, SumNode},
    leaves,
};

/// The chunks that are read at once: 4,096 shares, some 250 KB in the database.
const CHUNKS_READ: u32 = 4;
/// The chunks that are looked through for one page of a miner's receipts.
const CHUNKS_SEARCHED: u64 = 64;

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
        let salt = self.salt_key.salt(address);
        let receipts = match signed {
            None => self.promises(address, salt, date, found).await?,
            Some(signed) => self.proofs(address, salt, &log, &signed, found).await?,
        };
        Ok(Page {
            receipts,
            next: (next < count).then_some(next),
        })
    }

    /// What a miner did on a day that is closed.
    pub async fn sum_of(&self, address: &str, date: Date) -> Result<MinerSum, NotKept> {
        let signed = self.signed(date).await?;
        let sums = self.store.day_sums(self.pool, date).await?;
        if sums.is_empty() {
            return Err(NotKept::Gone);
        }
        let salt = self.salt_key.salt(address);
        let account = signed.statement.log().account(salt, address);
        let index = sums.binary_search_by_key(&account, |sum| sum.account);
        let index = index.map_err(|_| NotKept::Unknown)?;
        let own = sums[index];
        // Removed while it was read: then it is not whole.
        if u64::try_from(sums.len()) != Ok(signed.statement.accounts) {
            return Err(NotKept::Gone);
        }
        let tree = Tree::new(leaves(&sums)).context("a sum of work")?;
        let place = u64::try_from(index).context("a place")?;
        let path = tree.path(index).context("a way")?;
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

    /// What a block was split into.
    pub async fn split_of(&self, block: pow::Hash) -> Result<Split, NotKept> {
        let found = self.store.block(self.pool, block).await?;
        let credits = self.store.block_credits(self.pool, block).await?;
        let (Some(found), Some(mut credits)) = (found, credits) else {
            return Err(NotKept::Unknown);
        };
        // The order in which they were split; a database may have another one.
        credits.miners.sort_by(|a, b| a.account.cmp(&b.account));
        let log = Log::of_block(&self.issuer, block);
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
            block,
            height: found.found.height,
            scheme: found.found.scheme,
            reward: found.found.reward,
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
        let head = LogHead {
            form: export::LOG.into(),
            day: Day::new(&signed),
        };
        let head = serde_json::to_string(&head).context("a line")? + "\n";
        let pieces = signed.statement.shares.div_ceil(CHUNK);
        let receipts = self.clone();
        let rest = stream::try_unfold(0_u64, move |chunk| {
            let receipts = receipts.clone();
            async move {
                if chunk >= pieces {
                    return Ok(None);
                }
                let lines = receipts.piece(date, chunk).await?;
                Ok(Some((lines, chunk + u64::from(CHUNKS_READ))))
            }
        });
        Ok(stream::iter([Ok(head)]).chain(rest))
    }

    async fn piece(&self, date: Date, chunk: u64) -> anyhow::Result<String> {
        let shares = self
            .store
            .logged_shares(self.pool, date, chunk, CHUNKS_READ);
        let shares = shares.await?.context("shares were removed meanwhile")?;
        let addresses = self.addresses(&shares).await?;
        let mut accounts = Accounts::new(self, &addresses);
        let mut lines = String::new();
        for placed in &shares {
            let (_, share) = accounts.leaf(date, placed)?;
            lines += &serde_json::to_string(&Share::new(&share))?;
            lines.push('\n');
        }
        Ok(lines)
    }

    async fn log(&self, date: Date) -> Result<OpenLog, NotKept> {
        let log = self.store.day_log(self.pool, date).await?;
        log.ok_or(NotKept::Unknown)
    }

    /// Receipts of a day that is open: the pool's word.
    async fn promises(
        &self,
        address: &str,
        salt: Salt,
        date: Date,
        found: Found,
    ) -> anyhow::Result<Vec<Receipt>> {
        let mut receipts = Vec::new();
        for (number, shares, places) in found.chunks {
            let addresses = self.addresses(&shares).await?;
            let mut accounts = Accounts::new(self, &addresses);
            for index in places {
                let (leaf, share) = accounts.leaf(date, &shares[within(index, number)?])?;
                let promise = Promise {
                    key: self.key.public().to_string(),
                    signature: self.key.promise(index, leaf).to_string(),
                };
                let share = Share::new(&share);
                receipts.push(self.receipt(address, salt, date, index, share, Some(promise), None));
            }
        }
        Ok(receipts)
    }

    /// Receipts of a day that is signed: the way to its root.
    async fn proofs(
        &self,
        address: &str,
        salt: Salt,
        log: &OpenLog,
        signed: &SignedStatement,
        found: Found,
    ) -> anyhow::Result<Vec<Receipt>> {
        if found.count == 0 {
            return Ok(Vec::new());
        }
        let date = log.date;
        let mut chunks = self.store.chunk_digests(self.pool, date).await?;
        if !log.edge.count().is_multiple_of(CHUNK) {
            // The last chunk is a smaller tree: its root is made of the edge below a chunk's level.
            chunks.push(last_chunk(log)?);
        }
        let above = Tree::new(chunks).context("a log without chunks")?;
        let day = Day::new(signed);
        let mut receipts = Vec::new();
        for (number, shares, places) in found.chunks {
            let addresses = self.addresses(&shares).await?;
            let mut accounts = Accounts::new(self, &addresses);
            let leaves: anyhow::Result<Vec<_>> = shares
                .iter()
                .map(|placed| accounts.leaf(date, placed))
                .collect();
            let leaves = leaves?;
            let below = Tree::new(leaves.iter().map(|(leaf, _)| *leaf).collect());
            let below = below.context("a chunk without shares")?;
            let upper = above.path(usize::try_from(number)?).context("a chunk")?;
            for index in places {
                let place = within(index, number)?;
                let (leaf, share) = &leaves[place];
                let mut path = below.path(place).context("a way")?;
                path.extend(&upper);
                let reached = climb(leaf, index, signed.statement.shares, &path);
                ensure!(
                    reached == Some(signed.statement.root),
                    "the shares of {date} are not those that were signed"
                );
                let proof = Proof {
                    path: path.iter().map(Digest::to_string).collect(),
                    day: day.clone(),
                };
                let share = Share::new(share);
                receipts.push(self.receipt(address, salt, date, index, share, None, Some(proof)));
            }
        }
        Ok(receipts)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of a receipt")]
    fn receipt(
        &self,
        address: &str,
        salt: Salt,
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
            salt: salt.0.to_string(),
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
