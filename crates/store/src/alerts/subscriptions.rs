//! Who wants to be told what, and where.

use std::fmt;

use mining::{
    alert::{Kinds, Sink},
    ledger::Account,
};

use super::{Audience, NewAlert, Seen};
use crate::{
    PoolId, ReadError, SettingsError, Store, WriteError, database::Connection, rows,
    settings::use_number, sql,
};

/// An hour, over which changes are counted.
const HOUR_MS: i64 = 60 * 60 * 1000;
/// A day, over which questions to one mailbox are counted.
const DAY_MS: i64 = 24 * HOUR_MS;
/// How often one mailbox is asked in a day whether it wants alerts, by whomever.
const ASKED_A_DAY: i64 = 3;

/// The columns of `Row`.
macro_rules! select_subscriptions {
    () => {
        "SELECT id, address, sink, target, kinds, secret, state, made_ms FROM alert_subscriptions"
    };
}

/// Removes: id, time.
macro_rules! remove {
    () => {
        "UPDATE alert_subscriptions SET state = 'removed', target = '', changed_ms = $2 WHERE id = $1"
    };
}

/// What a subscription's messages are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct SubscriptionSecret(pub [u8; 32]);

impl fmt::Debug for SubscriptionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSubscription {
    /// What kind of place.
    pub sink: Sink,
    /// Where.
    pub target: String,
    /// A hash of what kind and where, by which the same place is known.
    pub target_digest: [u8; 32],
    /// Of what.
    pub kinds: Kinds,
    /// What its messages are signed with.
    pub secret: SubscriptionSecret,
}

/// How many subscriptions there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionLimits {
    /// Of one address.
    pub of_address: u32,
    /// In a pool.
    pub of_pool: u32,
    /// Those that one address makes within an hour, removed ones too.
    pub an_hour: u32,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: u64,
    /// Whose; empty if it is the operator's.
    pub address: String,
    /// What kind of place.
    pub sink: Sink,
    /// Where.
    pub target: String,
    /// Of what.
    pub kinds: Kinds,
    /// What its messages are signed with.
    pub secret: SubscriptionSecret,
    /// Whether its place has said that it wants them.
    pub active: bool,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
}

/// Why there is no new subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The address has as many as it may.
    #[error("an address has at most {0} subscriptions: remove one first")]
    TooMany(u32),
    /// The same place is subscribed already.
    #[error("this place is subscribed already, as {0}")]
    Twice(u64),
    /// The pool has as many as it may.
    #[error("this pool has as many subscriptions as it may")]
    Full,
    /// The address has made as many within an hour as it may, or that mailbox was asked too often.
    #[error("too many subscriptions of late: try again later")]
    TooOften,
    /// Its number does not hold, or it cannot be written.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl From<WriteError> for SubscribeError {
    fn from(error: WriteError) -> Self {
        Self::Settings(error.into())
    }
}

impl From<sqlx::Error> for SubscribeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Settings(error.into())
    }
}

impl Store {
    /// Makes a subscription, if the number of its text was not used before, and puts the question into
    /// the outbox that its place has to answer first. Gives its id.
    #[expect(
        clippy::too_many_arguments,
        reason = "one transaction, and each is of another kind"
    )]
    pub async fn subscribe(
        &self,
        pool: PoolId,
        address: &str,
        new: &NewSubscription,
        limits: SubscriptionLimits,
        number: u64,
        ask: impl FnOnce(u64) -> Option<NewAlert>,
        now_ms: i64,
    ) -> Result<u64, SubscribeError> {
        let account = Account::Miner(address.to_owned());
        let mut writing = self.database.write().await?;
        use_number(&mut writing, pool, &account, number, now_ms).await?;
        let refused = refused(&mut writing, pool, address, new, limits, now_ms).await?;
        if let Some(refused) = refused {
            // The number is used all the same.
            writing.commit().await?;
            return Err(refused);
        }
        let id = insert(&mut writing, Some(pool), address, new, now_ms).await?;
        if let Some(question) = ask(id) {
            let seen = Seen {
                alerts: vec![question],
                ..Seen::default()
            };
            super::note(&mut writing, pool, &seen, now_ms).await?;
        }
        writing.commit().await?;
        Ok(id)
    }

    /// The subscriptions of an address, oldest first, if the number of the text that asks was not used
    /// before.
    pub async fn list_subscriptions(
        &self,
        pool: PoolId,
        address: &str,
        number: u64,
        now_ms: i64,
    ) -> Result<Vec<Subscription>, SettingsError> {
        let account = Account::Miner(address.to_owned());
        let mut writing = self.database.write().await?;
        use_number(&mut writing, pool, &account, number, now_ms).await?;
        let rows: Vec<Row> = sql::query(concat!(
            select_subscriptions!(),
            " WHERE pool = $1 AND address = $2 AND state <> 'removed' ORDER BY id"
        ))
        .bind(pool.0)
        .bind(address)
        .fetch_all(&mut writing)
        .await?;
        writing.commit().await?;
        Ok(rows
            .into_iter()
            .map(subscription)
            .collect::<sqlx::Result<_>>()?)
    }

    /// Removes a subscription of an address, likewise. False if it has none of this id.
    pub async fn remove_subscription(
        &self,
        pool: PoolId,
        address: &str,
        id: u64,
        number: u64,
        now_ms: i64,
    ) -> Result<bool, SettingsError> {
        let account = Account::Miner(address.to_owned());
        let mut writing = self.database.write().await?;
        use_number(&mut writing, pool, &account, number, now_ms).await?;
        let gone = sql::query(concat!(
            remove!(),
            " AND pool = $3 AND address = $4 AND state <> 'removed'"
        ))
        .bind(rows::cursor(Some(id)))
        .bind(now_ms)
        .bind(pool.0)
        .bind(address)
        .execute(&mut writing)
        .await?;
        drop_copies(&mut writing, id).await?;
        writing.commit().await?;
        Ok(gone > 0)
    }

    /// A miner's subscription by its id; nothing if it was removed.
    pub async fn subscription(&self, id: u64) -> Result<Option<Subscription>, ReadError> {
        let mut reading = self.database.read().await?;
        let row: Option<Row> = sql::query(concat!(
            select_subscriptions!(),
            " WHERE id = $1 AND pool IS NOT NULL AND state <> 'removed'"
        ))
        .bind(rows::cursor(Some(id)))
        .fetch_optional(&mut reading)
        .await?;
        Ok(row.map(subscription).transpose()?)
    }

    /// Its place wants alerts. Nothing changes where that is known, or it was removed.
    pub async fn confirm_subscription(&self, id: u64, now_ms: i64) -> Result<(), WriteError> {
        self.database
            .write_one(
                sql::query(
                    "UPDATE alert_subscriptions SET state = 'active', changed_ms = $2
                     WHERE id = $1 AND state = 'unconfirmed'",
                )
                .bind(rows::cursor(Some(id)))
                .bind(now_ms),
            )
            .await
    }

    /// Its place wants none any more: whoever owns it may say so without a signature.
    pub async fn stop_subscription(&self, id: u64, now_ms: i64) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        sql::query(concat!(remove!(), " AND pool IS NOT NULL"))
            .bind(rows::cursor(Some(id)))
            .bind(now_ms)
            .execute(&mut writing)
            .await?;
        drop_copies(&mut writing, id).await?;
        writing.commit().await
    }

    /// The addresses of a pool that have subscriptions, with all the kinds they want.
    pub async fn subscribed(&self, pool: PoolId) -> Result<Vec<(String, Kinds)>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(String, i64)> = sql::query(
            "SELECT address, kinds FROM alert_subscriptions
             WHERE pool = $1 AND state = 'active' ORDER BY address",
        )
        .bind(pool.0)
        .fetch_all(&mut reading)
        .await?;
        let mut all: Vec<(String, Kinds)> = Vec::new();
        for (address, bits) in rows {
            let kinds = kinds(bits)?;
            match all.last_mut() {
                Some((last, all)) if *last == address => *all = all.and(kinds),
                _ => all.push((address, kinds)),
            }
        }
        Ok(all)
    }

    /// How many subscriptions an address has.
    pub async fn count_subscriptions(&self, pool: PoolId, address: &str) -> Result<u64, ReadError> {
        let mut reading = self.database.read().await?;
        let count: i64 = sql::query(
            "SELECT COUNT(*) FROM alert_subscriptions
             WHERE pool = $1 AND address = $2 AND state <> 'removed'",
        )
        .bind(pool.0)
        .bind(address)
        .fetch_value(&mut reading)
        .await?;
        Ok(rows::unsigned(count, "the number of subscriptions")?)
    }

    /// The operator's own subscriptions are these and no others: one for each kind of place, which the
    /// configuration says more of.
    pub async fn set_operator_subscriptions(
        &self,
        wanted: &[NewSubscription],
        now_ms: i64,
    ) -> Result<(), WriteError> {
        let mut writing = self.database.write().await?;
        let rows: Vec<Row> = sql::query(concat!(
            select_subscriptions!(),
            " WHERE pool IS NULL AND state <> 'removed' ORDER BY id"
        ))
        .fetch_all(&mut writing)
        .await?;
        let known = rows.into_iter().map(subscription);
        let known: Vec<Subscription> = known.collect::<sqlx::Result<_>>()?;
        for old in &known {
            match wanted.iter().find(|new| new.sink == old.sink) {
                Some(new) => {
                    sql::query("UPDATE alert_subscriptions SET kinds = $2 WHERE id = $1")
                        .bind(rows::cursor(Some(old.id)))
                        .bind(i64::from(new.kinds.bits()))
                        .execute(&mut writing)
                        .await?;
                }
                None => {
                    sql::query(remove!())
                        .bind(rows::cursor(Some(old.id)))
                        .bind(now_ms)
                        .execute(&mut writing)
                        .await?;
                    drop_copies(&mut writing, old.id).await?;
                }
            }
        }
        for new in wanted {
            if known.iter().all(|old| old.sink != new.sink) {
                insert(&mut writing, None, "", new, now_ms).await?;
            }
        }
        writing.commit().await
    }
}

pub(super) type Row = (i64, String, String, String, i64, Vec<u8>, String, i64);

pub(super) fn subscription(row: Row) -> sqlx::Result<Subscription> {
    let (id, address, sink, target, bits, secret, state, made_ms) = row;
    let secret = secret.try_into();
    Ok(Subscription {
        id: rows::unsigned(id, "alert_subscriptions.id")?,
        address,
        sink: Sink::of_name(&sink).ok_or_else(|| rows::corrupt("alert_subscriptions.sink"))?,
        target,
        kinds: kinds(bits)?,
        secret: SubscriptionSecret(
            secret.map_err(|_| rows::corrupt("alert_subscriptions.secret"))?,
        ),
        active: state == "active",
        made_ms,
    })
}

fn kinds(bits: i64) -> sqlx::Result<Kinds> {
    Ok(Kinds::from_bits(rows::unsigned(
        bits,
        "alert_subscriptions.kinds",
    )?))
}

async fn refused(
    connection: &mut Connection,
    pool: PoolId,
    address: &str,
    new: &NewSubscription,
    limits: SubscriptionLimits,
    now_ms: i64,
) -> sqlx::Result<Option<SubscribeError>> {
    let (own, all, of_late): (i64, i64, i64) = sql::query(
        "SELECT COUNT(CASE WHEN address = $2 AND state <> 'removed' THEN 1 END),
                COUNT(CASE WHEN state <> 'removed' THEN 1 END),
                COUNT(CASE WHEN address = $2 AND made_ms > $3 THEN 1 END)
         FROM alert_subscriptions WHERE pool = $1",
    )
    .bind(pool.0)
    .bind(address)
    .bind(now_ms.saturating_sub(HOUR_MS))
    .fetch_one(connection)
    .await?;
    let same: Option<i64> = sql::query(
        "SELECT id FROM alert_subscriptions
         WHERE pool = $1 AND address = $2 AND target_digest = $3 AND state <> 'removed'",
    )
    .bind(pool.0)
    .bind(address)
    .bind(new.target_digest.to_vec())
    .fetch_optional_value(connection)
    .await?;
    let asked: i64 = sql::query(
        "SELECT COUNT(*) FROM alert_subscriptions WHERE target_digest = $1 AND made_ms > $2",
    )
    .bind(new.target_digest.to_vec())
    .bind(now_ms.saturating_sub(DAY_MS))
    .fetch_value(connection)
    .await?;
    Ok(if let Some(same) = same {
        let id = rows::unsigned(same, "alert_subscriptions.id")?;
        Some(SubscribeError::Twice(id))
    } else if own >= i64::from(limits.of_address) {
        Some(SubscribeError::TooMany(limits.of_address))
    } else if all >= i64::from(limits.of_pool) {
        Some(SubscribeError::Full)
    } else if of_late >= i64::from(limits.an_hour)
        || new.sink.is_confirmed_first() && asked >= ASKED_A_DAY
    {
        Some(SubscribeError::TooOften)
    } else {
        None
    })
}

async fn insert(
    connection: &mut Connection,
    pool: Option<PoolId>,
    address: &str,
    new: &NewSubscription,
    now_ms: i64,
) -> sqlx::Result<u64> {
    let id = rows::take_ids(connection, "alert_subscription", 1).await?;
    let state = if pool.is_some() && new.sink.is_confirmed_first() {
        "unconfirmed"
    } else {
        "active"
    };
    sql::query(
        "INSERT INTO alert_subscriptions (id, pool, address, sink, target, target_digest, kinds,
                                          secret, state, made_ms, changed_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
    )
    .bind(id)
    .bind(pool.map(|pool| pool.0))
    .bind(address)
    .bind(new.sink.name())
    .bind(&new.target)
    .bind(new.target_digest.to_vec())
    .bind(i64::from(new.kinds.bits()))
    .bind(new.secret.0.to_vec())
    .bind(state)
    .bind(now_ms)
    .execute(connection)
    .await?;
    rows::unsigned(id, "alert_subscriptions.id")
}

/// What was to be sent to one that is gone is not sent.
async fn drop_copies(connection: &mut Connection, id: u64) -> sqlx::Result<()> {
    sql::query(
        "DELETE FROM alert_deliveries WHERE state = 'pending' AND subscription IN (
             SELECT id FROM alert_subscriptions WHERE id = $1 AND state = 'removed')",
    )
    .bind(rows::cursor(Some(id)))
    .execute(connection)
    .await?;
    Ok(())
}

impl Audience {
    /// The one subscription that it is, if it is one.
    pub(super) fn only(&self) -> Option<u64> {
        match self {
            Self::Subscription(id) => Some(*id),
            _ => None,
        }
    }
}
