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
#[derive(Clone, Copy)]
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
                Some((_, held)) if held == *fees => continue,
                Some((last, _)) => now(&mut writing, pool, scheme, last).await?,
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
        Ok(found(&mut reading, pool, scheme, query).await?)
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
        Ok(found(&mut reading, pool, scheme, query).await?)
    }
}

/// Those that were noted last, and since when they hold.
async fn newest(
    connection: &mut Connection,
    pool: PoolId,
    scheme: Scheme,
) -> sqlx::Result<Option<(Since, Fees)>> {
    let found: Option<(i64, i64, i64)> = sql::query(
        "SELECT since_seq, since_place, since_height FROM fee_terms
         WHERE pool = $1 AND scheme = $2 ORDER BY since_seq DESC, since_place DESC LIMIT 1",
    )
    .bind(pool.0)
    .bind(scheme.name())
    .fetch_optional(connection)
    .await?;
    let Some((seq, place, height)) = found else {
        return Ok(None);
    };
    let share = Position { seq, place };
    let fees = list(connection, pool, scheme, share).await?;
    Ok(Some((Since { share, height }, fees)))
}

/// Behind all that was mined for the scheme since the last list, and above all heights of the pool. Where
/// nothing was, it is the same place, and all that is mined from there on is of the new list.
async fn now(
    connection: &mut Connection,
    pool: PoolId,
    scheme: Scheme,
    last: Since,
) -> sqlx::Result<Since> {
    let mut share = last.share;
    // Batches go when they are old, and buckets when they are paid for or joined.
    for text in [
        "SELECT seq, count - 1 FROM share_batches WHERE pool = $1 AND scheme = $2
         ORDER BY seq DESC LIMIT 1",
        "SELECT last_seq, last_place FROM buckets WHERE pool = $1 AND scheme = $2
         ORDER BY last_seq DESC, last_place DESC LIMIT 1",
        "SELECT share_seq, share_place FROM blocks
         WHERE pool = $1 AND scheme = $2 AND share_seq IS NOT NULL
         ORDER BY share_seq DESC, share_place DESC LIMIT 1",
    ] {
        let found: Option<(i64, i64)> = sql::query(text)
            .bind(pool.0)
            .bind(scheme.name())
            .fetch_optional(connection)
            .await?;
        let found = found.map(|(seq, place)| Position { seq, place });
        share = found.map_or(share, |found| found.max(share));
    }
    if share == last.share {
        return Ok(last);
    }
    let height: i64 = sql::query(
        "SELECT COALESCE(MAX(height), -1) + 1 FROM (
             SELECT MAX(height) AS height FROM prices WHERE pool = $1
             UNION ALL SELECT MAX(height) FROM share_batches WHERE pool = $1) AS heights",
    )
    .bind(pool.0)
    .fetch_value(connection)
    .await?;
    Ok(Since {
        share,
        height: height.max(last.height),
    })
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
async fn found(
    connection: &mut Connection,
    pool: PoolId,
    scheme: Scheme,
    query: Query,
) -> sqlx::Result<Option<Fees>> {
    let since: Option<(i64, i64)> = query.fetch_optional(connection).await?;
    Ok(match since {
        Some((seq, place)) => Some(list(connection, pool, scheme, Position { seq, place }).await?),
        None => None,
    })
}

/// The fees since this share.
async fn list(
    connection: &mut Connection,
    pool: PoolId,
    scheme: Scheme,
    since: Position,
) -> sqlx::Result<Fees> {
    let found: Vec<(String, i64, i64)> = sql::query(
        "SELECT name, hundredths, keeps_rest FROM fee_terms
         WHERE pool = $1 AND scheme = $2 AND since_seq = $3 AND since_place = $4 ORDER BY place",
    )
    .bind(pool.0)
    .bind(scheme.name())
    .bind(since.seq)
    .bind(since.place)
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
    Fees::new(fees, &remainder).map_err(|_| rows::corrupt("fee_terms"))
}
