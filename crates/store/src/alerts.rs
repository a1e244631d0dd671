//! What people are told: alerts as they were seen, for pages; who wants them ([`subscriptions`]); what is
//! sent of them ([`outbox`]); and what was looked at already ([`seen`]). Called by `alerts` and `api`.
//!
//! What was seen, the alerts that it gave and their copies in the outbox are written together. So a
//! restart loses no alert and makes none twice. Sending is another matter: what was sent in the instant
//! in which the process ended is sent again, under the same id.

/// The columns of [`AlertRow`].
macro_rules! select_alerts {
    () => {
        "SELECT alerts.id, pools.name, alerts.address, alerts.kind, alerts.phase, alerts.subject,
                alerts.text, alerts.facts, alerts.made_ms, alerts.begun
         FROM alerts JOIN pools ON pools.id = alerts.pool"
    };
}

pub(crate) mod outbox;
pub(crate) mod seen;
pub(crate) mod subscriptions;

use mining::alert::{Event, Kind, Phase};

use crate::{
    PoolId, ReadError, Store, WriteError,
    alerts::seen::{BlockSeen, ConditionChange, PayoutSeen},
    database::{Connection, Writing},
    rows, sql,
};

/// The most alerts on one page.
const LONGEST_PAGE: u32 = 1_000;
/// The most rows of one kind that one call prunes.
const MOST_PRUNED: u32 = 4_000;

/// Whom an alert is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One address.
    Miner(String),
    /// All who mine in the pool.
    Pool,
    /// The operator.
    Operator,
    /// The owner of one place, whatever kinds it asked for.
    Subscription(u64),
}

/// An alert to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlert {
    /// Whom it is for.
    pub audience: Audience,
    /// What happened.
    pub event: Event,
    /// Its numbers, as a JSON object.
    pub facts: String,
}

/// What one look saw. It is written whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What is told.
    pub alerts: Vec<NewAlert>,
    /// Troubles that began or are over; an alert that ends one must come with its end.
    pub conditions: Vec<ConditionChange>,
    /// Blocks that were looked at.
    pub blocks: Vec<BlockSeen>,
    /// Payouts that were looked at.
    pub payouts: Vec<PayoutSeen>,
}

/// An alert of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its id, which is also the cursor of the list.
    pub id: u64,
    /// The pool's name.
    pub pool: String,
    /// The address that it is for; empty if it is for all, or for the operator.
    pub address: String,
    /// Its kind.
    pub kind: Kind,
    /// Whether it happened, began or is over.
    pub phase: Phase,
    /// Which worker, daemon, block or payout.
    pub subject: String,
    /// One sentence.
    pub text: String,
    /// Its numbers, as a JSON object.
    pub facts: String,
    /// When it was seen, in milliseconds since 1970.
    pub made_ms: i64,
    /// The alert whose end this one is.
    pub begun: Option<u64>,
}

impl Seen {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
            && self.conditions.is_empty()
            && self.blocks.is_empty()
            && self.payouts.is_empty()
    }
}

pub(crate) type AlertRow = (
    i64,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    Option<i64>,
);

impl Store {
    /// Writes what was seen, and puts what subscribers asked for into the outbox. Gives how many copies
    /// those are.
    pub async fn note_alerts(
        &self,
        pool: PoolId,
        seen: &Seen,
        now_ms: i64,
    ) -> Result<u64, WriteError> {
        let mut writing = self.database.write().await?;
        let copies = note(&mut writing, pool, seen, now_ms).await?;
        writing.commit().await?;
        Ok(copies)
    }

    /// A page of what an address was told, its own and what all in its pool were, newest first. The next
    /// page begins before the last id; a page has at most 1000.
    pub async fn alerts_of(
        &self,
        pool: PoolId,
        address: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Alert>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<AlertRow> = sql::query(concat!(
            select_alerts!(),
            " WHERE alerts.pool = $1 AND alerts.id < $3
               AND (alerts.audience = 'miner' AND alerts.address = $2
                    OR alerts.audience = 'pool' AND alerts.address = '')
             ORDER BY alerts.id DESC LIMIT $4"
        ))
        .bind(pool.0)
        .bind(address)
        .bind(rows::cursor(before))
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        Ok(rows.into_iter().map(alert).collect::<sqlx::Result<_>>()?)
    }

    /// A page of what the operator was told, of all pools, likewise.
    pub async fn operator_alerts(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Alert>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<AlertRow> = sql::query(concat!(
            select_alerts!(),
            " WHERE alerts.audience IN ('operator', 'pool') AND alerts.id < $1
             ORDER BY alerts.id DESC LIMIT $2"
        ))
        .bind(rows::cursor(before))
        .bind(limit.min(LONGEST_PAGE))
        .fetch_all(&mut reading)
        .await?;
        Ok(rows.into_iter().map(alert).collect::<sqlx::Result<_>>()?)
    }

    /// Forgets what is older than that: copies that are not pending, alerts without copies, and
    /// subscriptions that were removed or never confirmed. Some thousands at a time; whether that were
    /// all.
    pub async fn prune_alerts(&self, before_ms: i64) -> Result<bool, WriteError> {
        let mut writing = self.database.write().await?;
        let mut most = 0;
        for text in [
            "DELETE FROM alert_deliveries WHERE id IN (
                 SELECT id FROM alert_deliveries WHERE changed_ms < $1 AND state <> 'pending'
                 ORDER BY id LIMIT $2)",
            "DELETE FROM alerts WHERE id IN (
                 SELECT id FROM alerts WHERE made_ms < $1 AND NOT EXISTS (
                     SELECT 1 FROM alert_deliveries WHERE alert_deliveries.alert = alerts.id)
                   AND NOT EXISTS (
                     SELECT 1 FROM alert_conditions WHERE alert_conditions.alert = alerts.id)
                 ORDER BY id LIMIT $2)",
            "DELETE FROM alert_subscriptions WHERE id IN (
                 SELECT id FROM alert_subscriptions WHERE changed_ms < $1 AND state <> 'active'
                   AND NOT EXISTS (SELECT 1 FROM alert_deliveries
                       WHERE alert_deliveries.subscription = alert_subscriptions.id)
                 ORDER BY id LIMIT $2)",
        ] {
            let gone = sql::query(text)
                .bind(before_ms)
                .bind(MOST_PRUNED)
                .execute(&mut writing)
                .await?;
            most = most.max(gone);
        }
        writing.commit().await?;
        Ok(most < u64::from(MOST_PRUNED))
    }
}

pub(crate) async fn note(
    writing: &mut Writing<'_>,
    pool: PoolId,
    seen: &Seen,
    now_ms: i64,
) -> sqlx::Result<u64> {
    let mut copies = 0;
    for alert in &seen.alerts {
        copies += insert(writing, pool, alert, now_ms).await?;
    }
    for change in &seen.conditions {
        seen::change_condition(writing, pool, change).await?;
    }
    for block in &seen.blocks {
        seen::block_seen(writing, pool, block).await?;
    }
    for payout in &seen.payouts {
        seen::payout_seen(writing, pool, payout).await?;
    }
    Ok(copies)
}

/// Writes an alert and its copies. One that begins a trouble becomes the alert of its condition, and one
/// that is the end of it goes to whoever was told of the beginning.
async fn insert(
    writing: &mut Connection,
    pool: PoolId,
    alert: &NewAlert,
    now_ms: i64,
) -> sqlx::Result<u64> {
    let event = &alert.event;
    let (kind, phase, subject) = (event.kind(), event.phase(), event.subject());
    let (audience, address) = match &alert.audience {
        Audience::Miner(address) => ("miner", address.as_str()),
        Audience::Pool => ("pool", ""),
        Audience::Operator => ("operator", ""),
        Audience::Subscription(_) => ("subscription", ""),
    };
    let begun = if phase == Phase::Over {
        begun(writing, pool, kind, address, &subject).await?
    } else {
        None
    };
    let id = rows::take_ids(writing, "alert", 1).await?;
    sql::query(
        "INSERT INTO alerts (id, pool, audience, address, kind, phase, subject, text, facts, made_ms,
                             begun)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(id)
    .bind(pool.0)
    .bind(audience)
    .bind(address)
    .bind(kind.name())
    .bind(phase.name())
    .bind(&subject)
    .bind(event.text())
    .bind(alert.facts.as_str())
    .bind(now_ms)
    .bind(begun)
    .execute(writing)
    .await?;
    if phase == Phase::Begun {
        seen::begin(writing, pool, kind, address, &subject, id, now_ms).await?;
    }
    outbox::copy(writing, pool, id, alert, begun, now_ms).await
}

/// The alert that began a trouble which is not over.
async fn begun(
    connection: &mut Connection,
    pool: PoolId,
    kind: Kind,
    address: &str,
    subject: &str,
) -> sqlx::Result<Option<i64>> {
    let found: Option<Option<i64>> = sql::query(
        "SELECT alert FROM alert_conditions
         WHERE pool = $1 AND kind = $2 AND address = $3 AND subject = $4",
    )
    .bind(pool.0)
    .bind(kind.name())
    .bind(address)
    .bind(subject)
    .fetch_optional_value(connection)
    .await?;
    Ok(found.flatten())
}

pub(crate) fn alert(row: AlertRow) -> sqlx::Result<Alert> {
    let (id, pool, address, kind_name, phase, subject, text, facts, made_ms, begun) = row;
    Ok(Alert {
        id: rows::unsigned(id, "alerts.id")?,
        pool,
        address,
        kind: kind(&kind_name)?,
        phase: Phase::of_name(&phase).ok_or_else(|| rows::corrupt("alerts.phase"))?,
        subject,
        text,
        facts,
        made_ms,
        begun: begun
            .map(|id| rows::unsigned(id, "alerts.begun"))
            .transpose()?,
    })
}

pub(crate) fn kind(name: &str) -> sqlx::Result<Kind> {
    Kind::of_name(name).ok_or_else(|| rows::corrupt("the kind of an alert"))
}
