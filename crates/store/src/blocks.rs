//! Blocks that were found, from their submission until they are mature or orphaned. `block` writes
//! them, after it has submitted them.

use std::collections::BTreeMap;

use mining::{
    Amount, NetworkDifficulty, Scheme, accounting::Position, block::BlockState, ledger::Account,
    orphans::LastBlocks,
};
use pow::Hash;

use crate::{
    PoolId, ReadError, Store, WorkerName, WriteError,
    database::{Connection, Writing},
    ledger, rows, sql, workers,
};

/// The most blocks on one page.
const LONGEST_PAGE: u32 = 1_000;

/// How much of a daemon's verdict is kept; the reasons of bitcoind have some 30 characters.
const LONGEST_VERDICT: usize = 512;

/// The columns of `Row`.
macro_rules! select_blocks {
    () => {
        "SELECT blocks.seq, blocks.hash, blocks.height, workers.address, workers.name, blocks.bits,
                blocks.time, blocks.found_ms, blocks.reward, blocks.coinbase, blocks.state,
                blocks.confirmations, blocks.verdict, blocks.scheme, blocks.proof,
                blocks.hashes
         FROM blocks JOIN workers ON workers.id = blocks.worker WHERE blocks.pool = $1"
    };
}

pub(crate) use select_blocks;

/// A block as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlock {
    /// Its id.
    pub hash: Hash,
    /// The hash of its header that is the proof of work: that of its share.
    pub proof: Hash,
    /// Its height.
    pub height: u32,
    /// Who found it.
    pub worker: WorkerName,
    /// How hard the network made it.
    pub network: NetworkDifficulty,
    /// The time in its header, in seconds since 1970.
    pub time: u32,
    /// When it was found, in milliseconds since 1970.
    pub found_ms: i64,
    /// What its coinbase pays.
    pub reward: Amount,
    /// The id of its coinbase.
    pub coinbase: Option<Hash>,
    /// How it is paid.
    pub scheme: Scheme,
}

/// A block as it is found, and what it has paid by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBlock {
    /// The block.
    pub block: NewBlock,
    /// What its coinbase has paid to miners, where it pays them by itself.
    pub by_coinbase: Option<ByCoinbase>,
}

/// What a coinbase has paid to miners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByCoinbase {
    /// The end of the work that it was split by.
    pub end: Position,
    /// What it paid to whom.
    pub payments: BTreeMap<Account, Amount>,
}

/// A block of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its place in the order in which they were found, which is also the cursor of the list.
    pub seq: u64,
    /// What was known when it was found.
    pub found: NewBlock,
    /// How far it has come.
    pub state: BlockState,
    /// Blocks that confirm it, itself included; 0 where it is in no chain.
    pub confirmations: u32,
    /// What the daemon said to it.
    pub verdict: Option<String>,
}

/// What has become of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockChange {
    /// The state it is in now.
    pub state: BlockState,
    /// Blocks that confirm it.
    pub confirmations: u32,
    /// What the daemon said, if it said something new.
    pub verdict: Option<String>,
}

/// How many blocks there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockCounts {
    /// Sent, not seen yet.
    pub submitted: u64,
    /// In the chain.
    pub immature: u64,
    /// In the chain, and deep in it.
    pub mature: u64,
    /// In no chain.
    pub orphaned: u64,
}

/// Why a block was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// There is no such block. Record it first.
    #[error("block {0} was never recorded")]
    Unknown(Hash),
    /// It does not go from the one state to the other.
    #[error("a block that is {from} does not become {to}")]
    Illegal {
        /// The state it is in.
        from: BlockState,
        /// The state asked for.
        to: BlockState,
    },
    /// Its reward is no amount of any coin.
    #[error("a reward of {0} units is more than any coin has")]
    Reward(Amount),
    /// It was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Store {
    /// Records a block as submitted. False if it is there already, which changes nothing.
    pub async fn record_block(&self, pool: PoolId, block: &NewBlock) -> Result<bool, BlockError> {
        self.record_found(pool, block, None).await
    }

    /// Writes a block likewise, with what its coinbase has paid to miners.
    pub async fn record_found(
        &self,
        pool: PoolId,
        block: &NewBlock,
        by_coinbase: Option<&ByCoinbase>,
    ) -> Result<bool, BlockError> {
        let units = block.reward.units();
        let reward = i64::try_from(units).map_err(|_| BlockError::Reward(block.reward))?;
        let written = async {
            let mut writing = self.database.write().await?;
            let written = insert(&mut writing, pool, block, by_coinbase, reward).await?;
            writing.commit().await?;
            Ok::<_, WriteError>(written)
        };
        Ok(written.await?)
    }

    /// Writes what has become of a block, and gives the state it was in.
    pub async fn change_block(
        &self,
        pool: PoolId,
        hash: Hash,
        change: &BlockChange,
    ) -> Result<BlockState, BlockError> {
        let mut writing = self.database.write().await?;
        let from: Option<String> =
            sql::query("SELECT state FROM blocks WHERE pool = $1 AND hash = $2")
                .bind(pool.0)
                .bind(hash.to_display_bytes().to_vec())
                .fetch_optional_value(&mut writing)
                .await
                .map_err(WriteError::from)?;
        let from = from
            .map(|name| state(&name))
            .transpose()
            .map_err(WriteError::from)?;
        let refused = match from {
            None => Some(BlockError::Unknown(hash)),
            Some(from) if !from.becomes(change.state) => Some(BlockError::Illegal {
                from,
                to: change.state,
            }),
            Some(_) => None,
        };
        if let Some(refused) = refused {
            writing.commit().await?;
            return Err(refused);
        }
        let verdict = change.verdict.as_deref().map(|verdict| {
            let end = verdict.floor_char_boundary(LONGEST_VERDICT);
            verdict[..end].replace('\0', "")
        });
        sql::query(
            "UPDATE blocks SET state = $3, confirmations = $4, verdict = COALESCE($5, verdict)
             WHERE pool = $1 AND hash = $2",
        )
        .bind(pool.0)
        .bind(hash.to_display_bytes().to_vec())
        .bind(change.state.name())
        .bind(i64::from(change.confirmations))
        .bind(verdict)
        .execute(&mut writing)
        .await
        .map_err(WriteError::from)?;
        writing.commit().await?;
        Ok(from.unwrap_or(change.state))
    }

    /// The blocks that are submitted or immature, oldest first: those to be followed.
    pub async fn open_blocks(&self, pool: PoolId) -> Result<Vec<Block>, ReadError> {
        let text = concat!(
            select_blocks!(),
            " AND blocks.state IN ('submitted', 'immature') ORDER BY blocks.seq"
        );
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(text)
            .bind(pool.0)
            .fetch_all(&mut reading)
            .await?;
        Ok(rows.into_iter().map(block).collect::<sqlx::Result<_>>()?)
    }

    /// The newest mature blocks with fewer confirmations than that, newest first, at most so many:
    /// a chain that reorganises deeply may leave them yet.
    pub async fn mature_blocks(
        &self,
        pool: PoolId,
        confirmations_below: u32,
        limit: u32,
    ) -> Result<Vec<Block>, ReadError> {
        let text = concat!(
            select_blocks!(),
            " AND blocks.state = 'mature' AND blocks.confirmations < $2
             ORDER BY blocks.seq DESC LIMIT $3"
        );
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(text)
            .bind(pool.0)
            .bind(i64::from(confirmations_below))
            .bind(i64::from(limit.min(LONGEST_PAGE)))
            .fetch_all(&mut reading)
            .await?;
        Ok(rows.into_iter().map(block).collect::<sqlx::Result<_>>()?)
    }

    /// A page of blocks, newest first. The next page begins before the last `seq`; a page has at
    /// most 1000.
    pub async fn blocks(
        &self,
        pool: PoolId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Block>, ReadError> {
        let text = concat!(
            select_blocks!(),
            " AND blocks.seq < $2 ORDER BY blocks.seq DESC LIMIT $3"
        );
        let before = rows::cursor(before);
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(text)
            .bind(pool.0)
            .bind(before)
            .bind(limit.min(LONGEST_PAGE))
            .fetch_all(&mut reading)
            .await?;
        Ok(rows.into_iter().map(block).collect::<sqlx::Result<_>>()?)
    }

    /// One block.
    pub async fn block(&self, pool: PoolId, hash: Hash) -> Result<Option<Block>, ReadError> {
        let text = concat!(select_blocks!(), " AND blocks.hash = $2");
        let mut reading = self.database.read().await?;
        let row: Option<Row> = sql::query(text)
            .bind(pool.0)
            .bind(hash.to_display_bytes().to_vec())
            .fetch_optional(&mut reading)
            .await?;
        Ok(row.map(block).transpose()?)
    }

    /// The last blocks that a daemon has seen in its chain or beside it, at most so many, and how many
    /// of them are orphans. One that daemons refused is no orphan.
    pub async fn last_blocks(&self, pool: PoolId, most: u32) -> Result<LastBlocks, ReadError> {
        let mut reading = self.database.read().await?;
        let (blocks, orphans): (i64, i64) = sql::query(
            "SELECT COUNT(*), COUNT(CASE WHEN state = 'orphaned' THEN 1 END) FROM (
                 SELECT state FROM blocks WHERE pool = $1 AND state <> 'submitted'
                   AND NOT (state = 'orphaned' AND verdict IS NOT NULL)
                 ORDER BY seq DESC LIMIT $2) AS last",
        )
        .bind(pool.0)
        .bind(most)
        .fetch_one(&mut reading)
        .await?;
        Ok(LastBlocks {
            blocks: rows::unsigned(blocks, "the number of blocks")?,
            orphans: rows::unsigned(orphans, "the number of orphans")?,
        })
    }

    /// How many blocks there are in each state.
    pub async fn block_counts(&self, pool: PoolId) -> Result<BlockCounts, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(String, i64)> =
            sql::query("SELECT state, COUNT(*) FROM blocks WHERE pool = $1 GROUP BY state")
                .bind(pool.0)
                .fetch_all(&mut reading)
                .await?;
        let mut counts = BlockCounts::default();
        for (name, count) in rows {
            let place = match state(&name)? {
                BlockState::Submitted => &mut counts.submitted,
                BlockState::Immature => &mut counts.immature,
                BlockState::Mature => &mut counts.mature,
                BlockState::Orphaned => &mut counts.orphaned,
            };
            *place = rows::unsigned(count, "the number of blocks")?;
        }
        Ok(counts)
    }
}

/// The columns of `select_blocks`.
pub(crate) type Row = (
    i64,
    Vec<u8>,
    i64,
    String,
    String,
    i64,
    i64,
    i64,
    i64,
    Option<Vec<u8>>,
    String,
    i64,
    Option<String>,
    String,
    Option<Vec<u8>>,
    Option<i64>,
);

pub(crate) fn block(row: Row) -> sqlx::Result<Block> {
    let (seq, hash, height, address, name, bits, time, found_ms, reward, coinbase, ..) = &row;
    let (.., state_name, confirmations, verdict, scheme, proof, hashes) = &row;
    let found = NewBlock {
        hash: rows::hash(hash)?,
        proof: rows::hash(proof.as_ref().unwrap_or(hash))?,
        height: rows::unsigned(*height, "blocks.height")?,
        worker: WorkerName::of_row(address.clone(), name.clone()),
        network: rows::network(*bits, *hashes)?,
        time: rows::unsigned(*time, "blocks.time")?,
        found_ms: *found_ms,
        reward: Amount::from_units(rows::unsigned(*reward, "blocks.reward")?),
        coinbase: coinbase.as_deref().map(rows::hash).transpose()?,
        scheme: Scheme::of_name(scheme).ok_or_else(|| rows::corrupt("blocks.scheme"))?,
    };
    Ok(Block {
        seq: rows::unsigned(*seq, "blocks.seq")?,
        found,
        state: state(state_name)?,
        confirmations: rows::unsigned(*confirmations, "blocks.confirmations")?,
        verdict: verdict.clone(),
    })
}

pub(crate) fn state(name: &str) -> sqlx::Result<BlockState> {
    let found = BlockState::ALL
        .into_iter()
        .find(|state| state.name() == name);
    found.ok_or_else(|| rows::corrupt("blocks.state"))
}

/// Writes a block within a transaction. False if it is there already.
pub(crate) async fn insert(
    writing: &mut Writing<'_>,
    pool: PoolId,
    block: &NewBlock,
    by_coinbase: Option<&ByCoinbase>,
    reward: i64,
) -> Result<bool, WriteError> {
    let wanted = [(&block.worker, block.found_ms)];
    let worker = workers::find_or_make(writing, pool, &wanted).await?;
    let worker = *worker
        .get(&block.worker)
        .ok_or_else(|| rows::corrupt("a new worker"))?;
    let seq = rows::take_ids(writing, "block", 1).await?;
    let (bits, hashes) = rows::of_network(block.network)?;
    let written = sql::query(
        "INSERT INTO blocks (seq, pool, hash, height, worker, bits, time, found_ms, reward,
                             coinbase, scheme, proof, split_seq, split_place, hashes, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'submitted')
         ON CONFLICT (pool, hash) DO NOTHING",
    )
    .bind(seq)
    .bind(pool.0)
    .bind(block.hash.to_display_bytes().to_vec())
    .bind(i64::from(block.height))
    .bind(worker)
    .bind(bits)
    .bind(i64::from(block.time))
    .bind(block.found_ms)
    .bind(reward)
    .bind(block.coinbase.map(|id| id.to_display_bytes().to_vec()))
    .bind(block.scheme.name())
    .bind(block.proof.to_display_bytes().to_vec())
    .bind(by_coinbase.map(|by| by.end.seq))
    .bind(by_coinbase.map(|by| by.end.place))
    .bind(hashes)
    .execute(writing)
    .await?;
    if written == 1
        && let Some(by_coinbase) = by_coinbase
    {
        insert_payments(writing, pool, seq, &by_coinbase.payments).await?;
    }
    Ok(written == 1)
}

async fn insert_payments(
    writing: &mut Writing<'_>,
    pool: PoolId,
    block: i64,
    payments: &BTreeMap<Account, Amount>,
) -> Result<(), WriteError> {
    let ids = ledger::accounts(writing, pool, payments.keys()).await?;
    let payments: Vec<_> = payments.iter().collect();
    for chunk in rows::chunks(&payments) {
        let text = format!(
            "INSERT INTO coinbase_payments (block, account, amount) VALUES {}",
            sql::placeholders(writing.kind(), 1, chunk.len(), 3)
        );
        let mut query = sql::built(text);
        for (account, amount) in chunk {
            let units = i64::try_from(amount.units())
                .map_err(|_| rows::corrupt("a payment of a coinbase"))?;
            query = query.bind(block).bind(ids[account]).bind(units);
        }
        query.execute(writing).await?;
    }
    Ok(())
}

/// What the coinbase of a block has paid; nothing if it pays nobody by itself.
pub(crate) async fn by_coinbase(
    connection: &mut Connection,
    block: u64,
) -> sqlx::Result<Option<ByCoinbase>> {
    let block = rows::cursor(Some(block));
    let end: (Option<i64>, Option<i64>) =
        sql::query("SELECT split_seq, split_place FROM blocks WHERE seq = $1")
            .bind(block)
            .fetch_one(connection)
            .await?;
    let (Some(seq), Some(place)) = end else {
        return Ok(None);
    };
    let rows: Vec<(String, i64)> = sql::query(
        "SELECT accounts.name, coinbase_payments.amount FROM coinbase_payments
         JOIN accounts ON accounts.id = coinbase_payments.account
         WHERE coinbase_payments.block = $1",
    )
    .bind(block)
    .fetch_all(connection)
    .await?;
    let payment =
        |(name, units): (String, i64)| Ok((ledger::account(&name)?, rows::amount(units)?));
    Ok(Some(ByCoinbase {
        end: Position { seq, place },
        payments: rows.into_iter().map(payment).collect::<sqlx::Result<_>>()?,
    }))
}
