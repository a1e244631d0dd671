//! What blocks pay for, and how far the books agree with them. Called by `accounting`.
//!
//! A block's credits are written once and never again: what its entries say later, after an orphan
//! that came back too, is taken from here.

use mining::{
    Amount, Work,
    accounting::{Percent, Position},
    block::BlockState,
    ledger::{Account, BlockBooks, BlockStep, Entry, EntryId, Outcome},
};
use pow::Hash;

use crate::{
    Block, ByCoinbase, EntryError, PoolId, ReadError, Store, WriteError,
    blocks::{self, select_blocks},
    database::Connection,
    ledger, rows, sql,
};

/// The most rows on one page.
const LONGEST_PAGE: u32 = 1_000;

/// A block that the books may not agree with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBooks {
    /// The block.
    pub block: Block,
    /// What the books have done for it.
    pub books: BlockBooks,
    /// Whether its credits are written.
    pub has_credits: bool,
    /// What its coinbase has paid to miners, where it pays them by itself.
    pub by_coinbase: Option<ByCoinbase>,
}

/// What a block was split by, and into what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockCredits {
    /// The work that it pays for.
    pub window: Work,
    /// What the window would hold if it were full.
    pub length: Work,
    /// The fees, in the order of the configuration.
    pub fees: Vec<BlockFee>,
    /// The miners' parts.
    pub miners: Vec<BlockCredit>,
}

/// A fee that was taken from a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockFee {
    /// Whose.
    pub name: String,
    /// The part of the reward.
    pub percent: Percent,
    /// How much it was.
    pub amount: Amount,
}

/// A miner's part of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockCredit {
    /// Whose.
    pub account: Account,
    /// The work that it is for.
    pub work: Work,
    /// How much.
    pub amount: Amount,
}

/// A block that paid a miner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinerCredit {
    /// The block's place in the list of blocks, which is also the cursor of this one.
    pub seq: u64,
    /// The block.
    pub block: Hash,
    /// Its height.
    pub height: u32,
    /// How far it has come.
    pub state: BlockState,
    /// When it was found, in milliseconds since 1970.
    pub found_ms: i64,
    /// What it paid in all.
    pub reward: Amount,
    /// What fees took of that.
    pub fees: Amount,
    /// The work that it pays for.
    pub window: Work,
    /// The miner's part of that work.
    pub work: Work,
    /// The miner's part of the reward.
    pub amount: Amount,
}

impl Store {
    /// The blocks whose state the books do not agree with yet, oldest first.
    pub async fn open_books(&self, pool: PoolId) -> Result<Vec<OpenBooks>, ReadError> {
        let mut reading = self.database.read().await?;
        let text = concat!(
            select_blocks!(),
            " AND blocks.booked <> blocks.state ORDER BY blocks.seq LIMIT 1000"
        );
        let found: Vec<blocks::Row> = sql::query(text)
            .bind(pool.0)
            .fetch_all(&mut reading)
            .await?;
        let mut open = Vec::with_capacity(found.len());
        for row in found {
            let block = blocks::block(row)?;
            let (books, has_credits) = books(&mut reading, pool, block.found.hash).await?;
            let by_coinbase = blocks::by_coinbase(&mut reading, block.seq).await?;
            open.push(OpenBooks {
                block,
                books,
                has_credits,
                by_coinbase,
            });
        }
        Ok(open)
    }

    /// Where the round of a block that is located begins: with the share of the block before it.
    pub async fn round_start(
        &self,
        pool: PoolId,
        block: Hash,
    ) -> Result<Option<Position>, ReadError> {
        let mut reading = self.database.read().await?;
        // Without a share of its own a block may end where the one before it does: then its round is
        // empty.
        let found: Option<(i64, i64)> = sql::query(
            "SELECT earlier.share_seq, earlier.share_place
             FROM blocks JOIN blocks AS earlier
                 ON earlier.pool = blocks.pool AND earlier.scheme = blocks.scheme
             WHERE blocks.pool = $1 AND blocks.hash = $2
               AND (earlier.share_seq, earlier.share_place, earlier.found_ms, earlier.seq)
                 < (blocks.share_seq, blocks.share_place, blocks.found_ms, blocks.seq)
             ORDER BY earlier.share_seq DESC, earlier.share_place DESC LIMIT 1",
        )
        .bind(pool.0)
        .bind(block.to_display_bytes().to_vec())
        .fetch_optional(&mut reading)
        .await?;
        Ok(found.map(|(seq, place)| Position { seq, place }))
    }

    /// Where the round of a scheme that is open now begins: with the share of its last block, or before the first
    /// share. Nothing while that block is not located, as it is not known which shares are of the next round.
    pub async fn open_round(
        &self,
        pool: PoolId,
        scheme: &str,
    ) -> Result<Option<Position>, ReadError> {
        let mut reading = self.database.read().await?;
        let waiting: i64 = sql::query(
            "SELECT COUNT(*) FROM blocks
             WHERE pool = $1 AND scheme = $2 AND share_seq IS NULL AND booked <> state",
        )
        .bind(pool.0)
        .bind(scheme)
        .fetch_value(&mut reading)
        .await?;
        if waiting > 0 {
            return Ok(None);
        }
        let start = last_end(&mut reading, pool, scheme, Position::END).await?;
        Ok(Some(start))
    }

    /// Where the round of a scheme begins that a share is in: with the last block at or before it that is located,
    /// or before the first share.
    pub async fn round_of_share(
        &self,
        pool: PoolId,
        scheme: &str,
        share: Position,
    ) -> Result<Position, ReadError> {
        let mut reading = self.database.read().await?;
        Ok(last_end(&mut reading, pool, scheme, share).await?)
    }

    /// Writes what a block was split into. False if that was written before, which changes nothing.
    pub async fn credit_block(
        &self,
        pool: PoolId,
        block: Hash,
        credits: &BlockCredits,
    ) -> Result<bool, EntryError> {
        let mut writing = self.database.write().await?;
        let found: Option<(i64, Option<i64>)> =
            sql::query("SELECT seq, window_high FROM blocks WHERE pool = $1 AND hash = $2")
                .bind(pool.0)
                .bind(block.to_display_bytes().to_vec())
                .fetch_optional(&mut writing)
                .await
                .map_err(WriteError::from)?;
        let (seq, written) = found.ok_or_else(|| WriteError::from(rows::corrupt("a block")))?;
        if written.is_some() {
            writing.commit().await?;
            return Ok(false);
        }
        write_credits(&mut writing, pool, seq, credits).await?;
        writing.commit().await?;
        Ok(true)
    }

    /// What a block was split into; nothing if it is not yet, or there is none.
    pub async fn block_credits(
        &self,
        pool: PoolId,
        block: Hash,
    ) -> Result<Option<BlockCredits>, ReadError> {
        let mut reading = self.database.read().await?;
        type Row = (i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>);
        let found: Option<Row> = sql::query(
            "SELECT seq, window_high, window_low, length_high, length_low FROM blocks
             WHERE pool = $1 AND hash = $2",
        )
        .bind(pool.0)
        .bind(block.to_display_bytes().to_vec())
        .fetch_optional(&mut reading)
        .await?;
        let Some((seq, Some(high), Some(low), Some(length_high), Some(length_low))) = found else {
            return Ok(None);
        };
        let fees: Vec<(String, i64, i64)> =
            sql::query("SELECT name, hundredths, amount FROM fees WHERE block = $1 ORDER BY place")
                .bind(seq)
                .fetch_all(&mut reading)
                .await?;
        let miners: Vec<(String, i64, i64, i64)> = sql::query(
            "SELECT accounts.name, credits.work_high, credits.work_low, credits.amount
             FROM credits JOIN accounts ON accounts.id = credits.account
             WHERE credits.block = $1 ORDER BY accounts.name",
        )
        .bind(seq)
        .fetch_all(&mut reading)
        .await?;
        let fee = |(name, hundredths, amount): (String, i64, i64)| {
            let hundredths = rows::unsigned(hundredths, "fees.hundredths")?;
            Ok(BlockFee {
                name,
                percent: Percent::from_hundredths(hundredths)
                    .ok_or_else(|| rows::corrupt("fees.hundredths"))?,
                amount: rows::amount(amount)?,
            })
        };
        let credit = |(name, high, low, amount): (String, i64, i64, i64)| {
            Ok(BlockCredit {
                account: ledger::account(&name)?,
                work: rows::work(0, high, low)?,
                amount: rows::amount(amount)?,
            })
        };
        Ok(Some(BlockCredits {
            window: rows::work(0, high, low)?,
            length: rows::work(0, length_high, length_low)?,
            fees: fees.into_iter().map(fee).collect::<sqlx::Result<_>>()?,
            miners: miners
                .into_iter()
                .map(credit)
                .collect::<sqlx::Result<_>>()?,
        }))
    }

    /// Takes a step that brings the books nearer to a block: writes its entry, or settles one, and
    /// notes it, together. False if the books are not what `before` says: somebody else was faster.
    ///
    /// `entry` is needed where the step is not to settle one.
    pub async fn step_block(
        &self,
        pool: PoolId,
        block: Hash,
        before: BlockBooks,
        step: BlockStep,
        entry: StepEntry<'_>,
        now_ms: i64,
    ) -> Result<bool, EntryError> {
        let mut writing = self.database.write().await?;
        let (books, _) = books(&mut writing, pool, block)
            .await
            .map_err(WriteError::from)?;
        if books != before {
            writing.commit().await?;
            return Ok(false);
        }
        match entry {
            StepEntry::New(entry) => {
                ledger::enter(&mut writing, pool, entry, now_ms).await?;
            }
            StepEntry::Settle(id, outcome) => {
                ledger::settle(&mut writing, pool, id, outcome, now_ms).await?;
            }
        }
        let after = books.after(step);
        sql::query(
            "UPDATE blocks SET credited = $3, outcome = $4, charged = $5, restored = $6
             WHERE pool = $1 AND hash = $2",
        )
        .bind(pool.0)
        .bind(block.to_display_bytes().to_vec())
        .bind(after.credited)
        .bind(after.outcome.map_or("", Outcome::name))
        .bind(after.charged)
        .bind(after.restored)
        .execute(&mut writing)
        .await
        .map_err(WriteError::from)?;
        writing.commit().await?;
        Ok(true)
    }

    /// Notes that the books agree with a block that is in this state.
    pub async fn books_agree(
        &self,
        pool: PoolId,
        block: Hash,
        state: BlockState,
    ) -> Result<(), WriteError> {
        let query = sql::query("UPDATE blocks SET booked = $3 WHERE pool = $1 AND hash = $2")
            .bind(pool.0)
            .bind(block.to_display_bytes().to_vec())
            .bind(state.name());
        self.database.write_one(query).await
    }

    /// A page of the blocks that paid an account, newest first. The next page begins before the last
    /// `seq`; a page has at most 1000.
    pub async fn credits_of(
        &self,
        pool: PoolId,
        account: &Account,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MinerCredit>, ReadError> {
        let before = rows::cursor(before);
        let mut reading = self.database.read().await?;
        type Row = (
            i64,
            Vec<u8>,
            i64,
            String,
            i64,
            i64,
            i64,
            Option<i64>,
            Option<i64>,
            i64,
            i64,
            i64,
        );
        let rows: Vec<Row> = sql::query(
            "SELECT blocks.seq, blocks.hash, blocks.height, blocks.state, blocks.found_ms,
                    blocks.reward,
                    (SELECT CAST(COALESCE(SUM(fees.amount), 0) AS BIGINT) FROM fees
                     WHERE fees.block = blocks.seq),
                    blocks.window_high, blocks.window_low, credits.work_high, credits.work_low,
                    credits.amount
             FROM credits JOIN blocks ON blocks.seq = credits.block
             WHERE credits.account = (SELECT id FROM accounts WHERE pool = $1 AND name = $2)
               AND credits.block < $3
             ORDER BY credits.block DESC LIMIT $4",
        )
        .bind(pool.0)
        .bind(account.to_string())
        .bind(before)
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        let credit = |row: Row| {
            let (seq, hash, height, state, found_ms, reward, fees, high, low, ..) = &row;
            let (.., work_high, work_low, amount) = &row;
            Ok(MinerCredit {
                seq: rows::unsigned(*seq, "blocks.seq")?,
                block: rows::hash(hash)?,
                height: rows::unsigned(*height, "blocks.height")?,
                state: blocks::state(state)?,
                found_ms: *found_ms,
                reward: rows::amount(*reward)?,
                fees: rows::amount(*fees)?,
                window: rows::work(0, high.unwrap_or_default(), low.unwrap_or_default())?,
                work: rows::work(0, *work_high, *work_low)?,
                amount: rows::amount(*amount)?,
            })
        };
        Ok(rows.into_iter().map(credit).collect::<sqlx::Result<_>>()?)
    }
}

/// Where the last block that is located ends, of those that do no later than `upto`.
async fn last_end(
    connection: &mut Connection,
    pool: PoolId,
    scheme: &str,
    upto: Position,
) -> sqlx::Result<Position> {
    let last: Option<(i64, i64)> = sql::query(
        "SELECT share_seq, share_place FROM blocks
         WHERE pool = $1 AND scheme = $2 AND share_seq IS NOT NULL
           AND (share_seq, share_place) <= ($3, $4)
         ORDER BY share_seq DESC, share_place DESC LIMIT 1",
    )
    .bind(pool.0)
    .bind(scheme)
    .bind(upto.seq)
    .bind(upto.place)
    .fetch_optional(connection)
    .await?;
    Ok(last.map_or(Position::START, |(seq, place)| Position { seq, place }))
}

/// What a step writes.
#[derive(Clone, Copy, Debug)]
pub enum StepEntry<'a> {
    /// A new entry.
    New(&'a Entry),
    /// An entry that is there is settled.
    Settle(&'a EntryId, Outcome),
}

async fn books(
    connection: &mut Connection,
    pool: PoolId,
    block: Hash,
) -> sqlx::Result<(BlockBooks, bool)> {
    let (credited, outcome, charged, restored, window): (i64, String, i64, i64, Option<i64>) =
        sql::query(
            "SELECT credited, outcome, charged, restored, window_high FROM blocks
             WHERE pool = $1 AND hash = $2",
        )
        .bind(pool.0)
        .bind(block.to_display_bytes().to_vec())
        .fetch_one(connection)
        .await?;
    let books = BlockBooks {
        credited: rows::unsigned(credited, "blocks.credited")?,
        outcome: match outcome.as_str() {
            "" => None,
            name => Some(Outcome::of_name(name).ok_or_else(|| rows::corrupt("blocks.outcome"))?),
        },
        charged: rows::unsigned(charged, "blocks.charged")?,
        restored: rows::unsigned(restored, "blocks.restored")?,
    };
    Ok((books, window.is_some()))
}

async fn write_credits(
    connection: &mut Connection,
    pool: PoolId,
    block: i64,
    credits: &BlockCredits,
) -> Result<(), EntryError> {
    let units =
        |amount: Amount| i64::try_from(amount.units()).map_err(|_| EntryError::Amount(amount));
    let halves = |work| rows::halves(work).map_err(WriteError::from);
    for (place, fee) in (0_i64..).zip(&credits.fees) {
        sql::query(
            "INSERT INTO fees (block, place, name, hundredths, amount) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(block)
        .bind(place)
        .bind(&fee.name)
        .bind(i64::from(fee.percent.hundredths()))
        .bind(units(fee.amount)?)
        .execute(connection)
        .await
        .map_err(WriteError::from)?;
    }
    let accounts = credits.miners.iter().map(|credit| &credit.account);
    let ids = ledger::accounts(connection, pool, accounts)
        .await
        .map_err(WriteError::from)?;
    for chunk in rows::chunks(&credits.miners) {
        let text = format!(
            "INSERT INTO credits (block, account, work_high, work_low, amount) VALUES {}",
            sql::placeholders(connection.kind(), 1, chunk.len(), 5)
        );
        let mut query = sql::built(text);
        for credit in chunk {
            let (high, low) = halves(credit.work)?;
            query = query
                .bind(block)
                .bind(ids[&credit.account])
                .bind(high)
                .bind(low);
            query = query.bind(units(credit.amount)?);
        }
        query.execute(connection).await.map_err(WriteError::from)?;
    }
    let (high, low) = halves(credits.window)?;
    let (length_high, length_low) = halves(credits.length)?;
    sql::query(
        "UPDATE blocks SET window_high = $2, window_low = $3, length_high = $4, length_low = $5
         WHERE seq = $1",
    )
    .bind(block)
    .bind(high)
    .bind(low)
    .bind(length_high)
    .bind(length_low)
    .execute(connection)
    .await
    .map_err(WriteError::from)?;
    Ok(())
}
