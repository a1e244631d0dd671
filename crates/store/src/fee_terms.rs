//! What is taken from rewards before the miners, and since when. A round keeps the fees that held when it
//! began, and a share that is paid for as it comes those of its height, whatever the configuration says by
//! then. Called by `pool` before the first share of a run, and by `accounting`.

use mining::{
    Scheme,
    accounting::{Fee, Fees, Percent, Position},
};

use crate::{
    PoolId, ReadError, Store, WriteError,
    database::Connection,
    rows,
    sql::{self, Query},
};

/// Since when fees hold: from this share on, and from this height.
struct Since {
    share: Position,
    height: i64,
}

impl Store {
    /// Notes the fees of this run. The first ones of a pool hold for all that is not booked. Others hold for
    /// rounds that no share is in yet, and for shares of heights above all that are known.
    pub async fn agree_fees(&self, pool: PoolId, fees: &Fees) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        for scheme in Scheme::ALL {
            // A block that pays its finder alone has none.
            if scheme == Scheme::Solo {
                continue;
            }
            let since = match newest(&mut writing, pool, scheme).await? {
                Some(held) if held == *fees => continue,
                Some(_) => now(&mut writing, pool, scheme).await?,
                None => Since {
                    share: Position::START,
                    height: 0,
                },
            };
            write(&mut writing, pool, scheme, &since, fees).await?;
        }
        writing.commit().await
    }

    /// The fees of a round that begins with this share, the last one before it; nothing if none were ever
    /// noted.
    pub async fn fees_of_round(
        &self,
        pool: PoolId,
        scheme: Scheme,
        start: Position,
    ) -> Result<Option<Fees>, ReadError> {
        let mut reading = self.database.read().await?;
        let query = sql::query(
            "SELECT since_seq, since_place FROM fee_terms
             WHERE pool = $1 AND scheme = $2 AND (since_seq, since_place) <= ($3, $4)
             ORDER BY since_seq DESC, since_place DESC LIMIT 1",
        )
        .bind(pool.0)
        .bind(scheme.name())
        .bind(start.seq)
        .bind(start.place);
        Ok(list(&mut reading, pool, scheme, query).await?)
    }

    /// The fees of shares of this height that are paid for as they come; nothing if none were ever noted.
    pub async fn fees_at_height(
        &self,
        pool: PoolId,
        scheme: Scheme,
        height: u32,
    ) -> Result<Option<Fees>, ReadError> {
        let mut reading = self.database.read().await?;
        let query = sql::query(
            "SELECT since_seq, since_place FROM fee_terms
             WHERE pool = $1 AND scheme = $2 AND since_height <= $3
             ORDER BY since_height DESC, since_seq DESC, since_place DESC LIMIT 1",
        )
        .bind(pool.0)
        .bind(scheme.name())
        .bind(height);
        Ok(list(&mut reading, pool, scheme, query).await?)
    }
}

/// Those that were noted last.
async fn newest(
    connection: &mut Connection,
    pool: PoolId,
    scheme: Scheme,
) -> sqlx::Result<Option<Fees>> {
    let query = sql::query(
        "SELECT since_seq, since_place FROM fee_terms WHERE pool = $1 AND scheme = $2
         ORDER BY since_seq DESC, since_place DESC LIMIT 1",
    )
    .bind(pool.0)
    .bind(scheme.name());
    list(connection, pool, scheme, query).await
}

/// Behind all shares of the scheme, and above all heights of the pool.
async fn now(connection: &mut Connection, pool: PoolId, scheme: Scheme) -> sqlx::Result<Since> {
    let share: Option<(i64, i64)> = sql::query(
        "SELECT seq, count - 1 FROM share_batches WHERE pool = $1 AND scheme = $2
         ORDER BY seq DESC LIMIT 1",
    )
    .bind(pool.0)
    .bind(scheme.name())
    .fetch_optional(connection)
    .await?;
    let height: i64 = sql::query(
        "SELECT COALESCE(MAX(height), -1) + 1 FROM (
             SELECT MAX(height) AS height FROM prices WHERE pool = $1
             UNION ALL SELECT MAX(height) FROM share_batches WHERE pool = $1) AS heights",
    )
    .bind(pool.0)
    .fetch_value(connection)
    .await?;
    let share = share.map_or(Position::START, |(seq, place)| Position { seq, place });
    Ok(Since { share, height })
}

async fn write(
    connection: &mut Connection,
    pool: PoolId,
    scheme: Scheme,
    since: &Since,
    fees: &Fees,
) -> sqlx::Result<()> {
    // Nothing was mined by those that would have held from there on.
    sql::query(
        "DELETE FROM fee_terms
         WHERE pool = $1 AND scheme = $2 AND since_seq = $3 AND since_place = $4",
    )
    .bind(pool.0)
    .bind(scheme.name())
    .bind(since.share.seq)
    .bind(since.share.place)
    .execute(connection)
    .await?;
    for (place, fee) in fees.list().iter().enumerate() {
        let keeps_rest = place == fees.remainder();
        let place = i64::try_from(place).map_err(|_| rows::corrupt("the number of fees"))?;
        sql::query(
            "INSERT INTO fee_terms (pool, scheme, since_seq, since_place, since_height, place,
                                    name, hundredths, keeps_rest)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(pool.0)
        .bind(scheme.name())
        .bind(since.share.seq)
        .bind(since.share.place)
        .bind(since.height)
        .bind(place)
        .bind(&fee.name)
        .bind(i64::from(fee.percent.hundredths()))
        .bind(i64::from(keeps_rest))
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// The fees since the share that `query` finds.
async fn list(
    connection: &mut Connection,
    pool: PoolId,
    scheme: Scheme,
    query: Query,
) -> sqlx::Result<Option<Fees>> {
    let Some((seq, place)): Option<(i64, i64)> = query.fetch_optional(connection).await? else {
        return Ok(None);
    };
    let found: Vec<(String, i64, i64)> = sql::query(
        "SELECT name, hundredths, keeps_rest FROM fee_terms
         WHERE pool = $1 AND scheme = $2 AND since_seq = $3 AND since_place = $4 ORDER BY place",
    )
    .bind(pool.0)
    .bind(scheme.name())
    .bind(seq)
    .bind(place)
    .fetch_all(connection)
    .await?;
    let remainder = found.iter().find(|(.., keeps_rest)| *keeps_rest == 1);
    let remainder = remainder.map_or(String::new(), |(name, ..)| name.clone());
    let fee = |(name, hundredths, _): (String, i64, i64)| {
        let hundredths = rows::unsigned(hundredths, "fee_terms.hundredths")?;
        let percent = Percent::from_hundredths(hundredths)
            .ok_or_else(|| rows::corrupt("fee_terms.hundredths"))?;
        Ok(Fee { name, percent })
    };
    let fees: Vec<Fee> = found.into_iter().map(fee).collect::<sqlx::Result<_>>()?;
    let fees = Fees::new(fees, &remainder).map_err(|_| rows::corrupt("fee_terms"))?;
    Ok(Some(fees))
}
