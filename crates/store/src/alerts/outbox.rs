//! The outbox: a copy of each alert for each subscription that asked for it, until it has got through or
//! is given up. Copies of one subscription go one after the other, in the order of their alerts.

use mining::alert::{Kinds, Phase, Sink};

use super::{
    Alert, AlertRow, Audience, NewAlert, alert,
    subscriptions::{Subscription, subscription},
};
use crate::{PoolId, ReadError, Store, WriteError, database::Connection, rows, sql};

/// An hour, over which copies of one kind are counted.
const HOUR_MS: i64 = 60 * 60 * 1000;
/// How much of an error is kept.
const LONGEST_ERROR: usize = 300;
/// The most copies that wait for one subscription: what comes while its place is down for long is not
/// kept for it.
const WAITING_MAX: i64 = 100;
/// The most dead copies in one answer.
const LONGEST_LIST: u32 = 1_000;

/// A copy of an alert on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id: the same at each attempt.
    pub id: u64,
    /// The attempts that failed.
    pub attempts: u32,
    /// When it was put here, in milliseconds since 1970.
    pub made_ms: i64,
    /// What it says.
    pub alert: Alert,
    /// To whom.
    pub subscription: Subscription,
}

/// A copy that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id, which is also the cursor of the list.
    pub id: u64,
    /// The alert.
    pub alert: u64,
    /// The subscription.
    pub subscription: u64,
    /// What kind of place.
    pub sink: String,
    /// Attempts.
    pub attempts: u32,
    /// When it was given up, in milliseconds since 1970.
    pub changed_ms: i64,
    /// What went wrong at last.
    pub error: String,
}

/// How the outbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Copies that wait.
    pub pending: u64,
    /// Copies that were given up and are still kept.
    pub dead: u64,
}

impl Store {
    /// The next copy of each subscription of this kind of place, if its time has come: those that wait
    /// longest first, at most so many.
    pub async fn due_deliveries(
        &self,
        sink: Sink,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Delivery>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(i64, i64, i64, i64, i64)> = sql::query(
            "SELECT id, attempts, made_ms, alert, subscription FROM alert_deliveries
             WHERE id IN (SELECT MIN(id) FROM alert_deliveries
                          WHERE state = 'pending' AND sink = $1 GROUP BY subscription)
               AND next_ms <= $2
             ORDER BY next_ms, id LIMIT $3",
        )
        .bind(sink.name())
        .bind(now_ms)
        .bind(limit)
        .fetch_all(&mut reading)
        .await?;
        let mut due = Vec::with_capacity(rows.len());
        for (id, attempts, made_ms, of_alert, of_subscription) in rows {
            let row: AlertRow = sql::query(concat!(select_alerts!(), " WHERE alerts.id = $1"))
                .bind(of_alert)
                .fetch_one(&mut reading)
                .await?;
            let to = sql::query(
                "SELECT id, address, sink, target, kinds, secret, state, made_ms
                 FROM alert_subscriptions WHERE id = $1",
            )
            .bind(of_subscription)
            .fetch_one(&mut reading)
            .await?;
            due.push(Delivery {
                id: rows::unsigned(id, "alert_deliveries.id")?,
                attempts: rows::unsigned(attempts, "alert_deliveries.attempts")?,
                made_ms,
                alert: alert(row)?,
                subscription: subscription(to)?,
            });
        }
        Ok(due)
    }

    /// A copy has got through.
    pub async fn delivered(&self, id: u64, now_ms: i64) -> Result<(), WriteError> {
        self.database
            .write_one(
                sql::query(
                    "UPDATE alert_deliveries SET state = 'sent', attempts = attempts + 1,
                         changed_ms = $2, error = ''
                     WHERE id = $1 AND state = 'pending'",
                )
                .bind(rows::cursor(Some(id)))
                .bind(now_ms),
            )
            .await
    }

    /// A copy has not: it is tried again then, or given up.
    pub async fn delivery_failed(
        &self,
        id: u64,
        error: &str,
        next_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), WriteError> {
        let end = error.floor_char_boundary(LONGEST_ERROR);
        self.database
            .write_one(
                sql::query(
                    "UPDATE alert_deliveries SET state = $3, attempts = attempts + 1, next_ms = $4,
                         changed_ms = $2, error = $5
                     WHERE id = $1 AND state = 'pending'",
                )
                .bind(rows::cursor(Some(id)))
                .bind(now_ms)
                .bind(if next_ms.is_some() { "pending" } else { "dead" })
                .bind(next_ms.unwrap_or(now_ms))
                .bind(error[..end].replace('\0', "")),
            )
            .await
    }

    /// The copies that were given up, the newest first, at most 1000.
    pub async fn dead_letters(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, ReadError> {
        type Row = (i64, i64, i64, String, i64, i64, String);
        let mut reading = self.database.read().await?;
        let rows: Vec<Row> = sql::query(
            "SELECT id, alert, subscription, sink, attempts, changed_ms, error
             FROM alert_deliveries WHERE state = 'dead' AND id < $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(rows::cursor(before))
        .bind(limit.min(LONGEST_LIST))
        .fetch_all(&mut reading)
        .await?;
        let letter = |(id, alert, to, sink, attempts, changed_ms, error): Row| {
            Ok(DeadLetter {
                id: rows::unsigned(id, "alert_deliveries.id")?,
                alert: rows::unsigned(alert, "alert_deliveries.alert")?,
                subscription: rows::unsigned(to, "alert_deliveries.subscription")?,
                sink,
                attempts: rows::unsigned(attempts, "alert_deliveries.attempts")?,
                changed_ms,
                error,
            })
        };
        Ok(rows.into_iter().map(letter).collect::<sqlx::Result<_>>()?)
    }

    /// Puts a copy that was given up back into the outbox. False if there is none of this id, or its
    /// subscription is gone.
    pub async fn revive_delivery(&self, id: u64, now_ms: i64) -> Result<bool, WriteError> {
        let mut writing = self.database.write().await?;
        let revived = sql::query(
            "UPDATE alert_deliveries SET state = 'pending', attempts = 0, next_ms = $2, made_ms = $2,
                 changed_ms = $2
             WHERE id = $1 AND state = 'dead' AND subscription IN (
                 SELECT id FROM alert_subscriptions WHERE state <> 'removed')",
        )
        .bind(rows::cursor(Some(id)))
        .bind(now_ms)
        .execute(&mut writing)
        .await?;
        writing.commit().await?;
        Ok(revived > 0)
    }

    /// How many copies wait, and how many were given up.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, ReadError> {
        let mut reading = self.database.read().await?;
        let (pending, dead): (i64, i64) = sql::query(
            "SELECT (SELECT COUNT(*) FROM alert_deliveries WHERE state = 'pending'),
                    (SELECT COUNT(*) FROM alert_deliveries WHERE state = 'dead')",
        )
        .fetch_one(&mut reading)
        .await?;
        Ok(OutboxCounts {
            pending: rows::unsigned(pending, "the number of copies")?,
            dead: rows::unsigned(dead, "the number of copies")?,
        })
    }
}

/// Puts a copy into the outbox for whoever asked for this kind and was not sent too many of it, and of an
/// end for whoever was told of the beginning. A place that is full, or only a page, gets none.
pub(super) async fn copy(
    writing: &mut Connection,
    pool: PoolId,
    id: i64,
    new: &NewAlert,
    begun: Option<i64>,
    now_ms: i64,
) -> sqlx::Result<u64> {
    let event = &new.event;
    let bit: Kinds = std::iter::once(event.kind()).collect();
    let found: Vec<(i64, String)> = if event.phase() == Phase::Over {
        sql::query(
            "SELECT id, sink FROM alert_subscriptions
             WHERE state = 'active' AND id IN (
                 SELECT subscription FROM alert_deliveries WHERE alert = $1)
             ORDER BY id",
        )
        .bind(begun.unwrap_or(0))
        .fetch_all(writing)
        .await?
    } else if let Some(only) = new.audience.only() {
        sql::query("SELECT id, sink FROM alert_subscriptions WHERE id = $1 AND state <> 'removed'")
            .bind(rows::cursor(Some(only)))
            .fetch_all(writing)
            .await?
    } else {
        let (address, operators, miners) = match &new.audience {
            Audience::Miner(address) => (address.as_str(), 0, 1),
            Audience::Operator => ("", 1, 0),
            _ => ("", 1, 1),
        };
        sql::query(
            "SELECT id, sink FROM alert_subscriptions
             WHERE state = 'active' AND sink <> 'page' AND (kinds & $1) <> 0
               AND (pool IS NULL AND $2 = 1
                    OR pool = $3 AND $4 = 1 AND ($5 = '' OR address = $5))
               AND (SELECT COUNT(*) FROM alert_deliveries
                    WHERE alert_deliveries.subscription = alert_subscriptions.id
                      AND alert_deliveries.kind = $6 AND alert_deliveries.counts = 1
                      AND alert_deliveries.made_ms > $7) < $8
               AND (SELECT COUNT(*) FROM alert_deliveries
                    WHERE alert_deliveries.subscription = alert_subscriptions.id
                      AND alert_deliveries.sink = alert_subscriptions.sink
                      AND alert_deliveries.state = 'pending') < $9
             ORDER BY id",
        )
        .bind(i64::from(bit.bits()))
        .bind(i64::from(operators))
        .bind(pool.0)
        .bind(i64::from(miners))
        .bind(address)
        .bind(event.kind().name())
        .bind(now_ms.saturating_sub(HOUR_MS))
        .bind(event.kind().per_hour())
        .bind(WAITING_MAX)
        .fetch_all(writing)
        .await?
    };
    let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
    if found.is_empty() {
        return Ok(0);
    }
    let mut next = rows::take_ids(writing, "alert_delivery", count).await?;
    let counts = i64::from(event.phase() != Phase::Over);
    for chunk in rows::chunks(&found) {
        let places = sql::placeholders(writing.kind(), 1, chunk.len(), 10);
        let mut query = sql::built(format!(
            "INSERT INTO alert_deliveries (id, alert, subscription, sink, kind, counts, state, made_ms,
                 next_ms, changed_ms) VALUES {places}"
        ));
        for (subscription, sink) in chunk {
            query = query
                .bind(next)
                .bind(id)
                .bind(*subscription)
                .bind(sink)
                .bind(event.kind().name())
                .bind(counts)
                .bind("pending")
                .bind(now_ms)
                .bind(now_ms)
                .bind(now_ms);
            next += 1;
        }
        query.execute(writing).await?;
    }
    Ok(found.len().try_into().unwrap_or(u64::MAX))
}
