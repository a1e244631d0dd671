//! What blocks were expected to pay and to take, by height: what shares are paid by that are paid for
//! as they come. Written by `accounting` from the templates, one row a height.

use mining::{Amount, NetworkDifficulty, accounting::ExpectedBlock};

use crate::{PoolId, ReadError, Store, WriteError, database::Connection, rows, sql};

impl Store {
    /// Notes what a block is expected to be. Of a height the first target and subsidy stay; fees are
    /// those that were noted last.
    pub async fn note_price(
        &self,
        pool: PoolId,
        expected: &ExpectedBlock,
    ) -> Result<(), WriteError> {
        let units = |amount: Amount| {
            i64::try_from(amount.units()).map_err(|_| rows::corrupt("what a block pays"))
        };
        let (bits, hashes) = rows::of_network(expected.network)?;
        let query = sql::query(
            "INSERT INTO prices (pool, height, bits, hashes, subsidy, fees)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (pool, height) DO UPDATE SET fees = COALESCE(excluded.fees, prices.fees)",
        )
        .bind(pool.0)
        .bind(expected.height)
        .bind(bits)
        .bind(hashes)
        .bind(units(expected.subsidy)?)
        .bind(expected.fees.map(units).transpose()?);
        self.database.write_one(query).await
    }

    /// What a block of this height was expected to be. A height that was missed has the worth of its
    /// neighbours, once there is one above it ([`ExpectedBlock::between`]).
    pub async fn expected_block(
        &self,
        pool: PoolId,
        height: u32,
    ) -> Result<Option<ExpectedBlock>, ReadError> {
        let mut reading = self.database.read().await?;
        let below = "SELECT height, bits, hashes, subsidy, fees FROM prices
                     WHERE pool = $1 AND height <= $2 ORDER BY height DESC LIMIT 1";
        let above = "SELECT height, bits, hashes, subsidy, fees FROM prices
                     WHERE pool = $1 AND height > $2 ORDER BY height LIMIT 1";
        let below = nearest(&mut reading, below, pool, height).await?;
        if below.is_some_and(|block| block.height == height) {
            return Ok(below);
        }
        let above = nearest(&mut reading, above, pool, height).await?;
        Ok(ExpectedBlock::between(below, above))
    }

    /// The fees of the last blocks below this height whose fees are known, newest first, at most so
    /// many.
    pub async fn fees_below(
        &self,
        pool: PoolId,
        height: u32,
        count: u32,
    ) -> Result<Vec<Amount>, ReadError> {
        let mut reading = self.database.read().await?;
        let fees: Vec<(i64,)> = sql::query(
            "SELECT fees FROM prices WHERE pool = $1 AND height < $2 AND fees IS NOT NULL
             ORDER BY height DESC LIMIT $3",
        )
        .bind(pool.0)
        .bind(height)
        .bind(count)
        .fetch_all(&mut reading)
        .await?;
        let fees = fees.into_iter().map(|(units,)| rows::amount(units));
        Ok(fees.collect::<sqlx::Result<_>>()?)
    }
}

/// How hard a block is at a height, or at the last one below that is known.
pub(crate) async fn network_at(
    connection: &mut Connection,
    pool: PoolId,
    height: u32,
) -> sqlx::Result<Option<NetworkDifficulty>> {
    let below = "SELECT height, bits, hashes, subsidy, fees FROM prices
                 WHERE pool = $1 AND height <= $2 ORDER BY height DESC LIMIT 1";
    let block = nearest(connection, below, pool, height).await?;
    Ok(block.map(|block| block.network))
}

type Row = (i64, i64, Option<i64>, i64, Option<i64>);

async fn nearest(
    connection: &mut Connection,
    text: &'static str,
    pool: PoolId,
    height: u32,
) -> sqlx::Result<Option<ExpectedBlock>> {
    let found: Option<Row> = sql::query(text)
        .bind(pool.0)
        .bind(height)
        .fetch_optional(connection)
        .await?;
    let block = |(height, bits, hashes, subsidy, fees): Row| {
        Ok(ExpectedBlock {
            height: rows::unsigned(height, "prices.height")?,
            network: rows::network(bits, hashes)?,
            subsidy: rows::amount(subsidy)?,
            fees: fees.map(rows::amount).transpose()?,
        })
    };
    found.map(block).transpose()
}
