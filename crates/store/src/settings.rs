//! What owners of balances want of payouts. Called by the API, which has verified that the owner
//! signed it; read by `payout` with the balances.
//!
//! A change and the number of the text that asked for it are written together, and a number holds
//! once: whatever was sent twice, by whomever, is done once.

use std::collections::HashMap;

use mining::{Amount, ledger::Account, payout::Schedule};

use crate::{
    EntryError, PoolId, ReadError, Store, WriteError,
    database::{Connection, Writing},
    ledger, rows, sql,
};

/// The time between two changes of one account, in milliseconds: each costs a flush of the disk that
/// shares wait for too.
const CHANGES_APART_MS: i64 = 1_000;

/// What the owner of an account wants, and when it last was paid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayoutSettings {
    /// What its balance must reach; the pool's own if nothing is said.
    pub threshold: Option<Amount>,
    /// How often at most.
    pub schedule: Schedule,
    /// Nothing for the time being.
    pub paused: bool,
    /// It asked for a payout that is not made yet.
    pub requested: bool,
    /// Where to; where it mines for if nothing is said.
    pub pay_to: Option<String>,
    /// When that last changed, in milliseconds since 1970.
    pub pay_to_since_ms: Option<i64>,
    /// The number of the last text; zero if there was none.
    pub number: u64,
    /// When something last changed, in milliseconds since 1970.
    pub changed_ms: Option<i64>,
    /// The last text that changed settings.
    pub proof: Option<Proof>,
    /// When a payout to it was last made that was not released, in milliseconds since 1970.
    pub last_paid_ms: Option<i64>,
}

/// How somebody wants to be paid whose balance would be paid otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayWish {
    /// As in [`PayoutSettings`].
    pub paused: bool,
    /// Likewise.
    pub pay_to: Option<String>,
    /// Likewise.
    pub pay_to_since_ms: Option<i64>,
}

/// A text, and the signature of whoever wanted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The text.
    pub text: String,
    /// The signature in base64.
    pub signature: String,
}

/// New settings; they take the place of all before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSettings {
    /// As in [`PayoutSettings`].
    pub threshold: Option<Amount>,
    /// Likewise.
    pub schedule: Schedule,
    /// Likewise.
    pub paused: bool,
    /// Likewise.
    pub pay_to: Option<String>,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// This number or a higher one was used before.
    #[error("the number must be above {0}, which was used")]
    Used(u64),
    /// The last change is too young. Try again then, in milliseconds since 1970.
    #[error("settings were changed less than a second ago")]
    TooSoon(i64),
    /// No account can have that.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl From<WriteError> for SettingsError {
    fn from(error: WriteError) -> Self {
        Self::Entry(error.into())
    }
}

impl From<sqlx::Error> for SettingsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Entry(WriteError::from(error).into())
    }
}

impl Store {
    /// The settings of an account; those of the beginning if it never said anything.
    pub async fn payout_settings(
        &self,
        pool: PoolId,
        account: &Account,
    ) -> Result<PayoutSettings, ReadError> {
        type Row = (
            Option<i64>,
            Option<String>,
            Option<i64>,
            Option<i64>,
            Option<String>,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<String>,
            Option<String>,
            Option<i64>,
        );
        let mut reading = self.database.read().await?;
        let row: Option<Row> = sql::query(
            "SELECT payout_settings.threshold, payout_settings.schedule, payout_settings.paused,
                    payout_settings.requested, payout_settings.pay_to,
                    payout_settings.pay_to_since_ms, payout_settings.number,
                    payout_settings.changed_ms, payout_settings.signed_text,
                    payout_settings.signature,
                    (SELECT MAX(payouts.made_ms) FROM payments JOIN payouts
                         ON payouts.pool = payments.pool AND payouts.number = payments.payout
                     WHERE payments.account = accounts.id AND payouts.state <> 'released')
             FROM accounts LEFT JOIN payout_settings ON payout_settings.account = accounts.id
             WHERE accounts.pool = $1 AND accounts.name = $2",
        )
        .bind(pool.0)
        .bind(account.to_string())
        .fetch_optional(&mut reading)
        .await?;
        let Some(row) = row else {
            return Ok(PayoutSettings::default());
        };
        let (threshold, schedule, paused, requested, pay_to, pay_to_since_ms, ..) = row;
        let (.., number, changed_ms, text, signature, last_paid_ms) = row;
        let proof = text.zip(signature).filter(|(text, _)| !text.is_empty());
        Ok(PayoutSettings {
            threshold: threshold.map(rows::amount).transpose()?,
            schedule: schedule
                .as_deref()
                .and_then(Schedule::of_name)
                .unwrap_or_default(),
            paused: paused == Some(1),
            requested: requested == Some(1),
            pay_to,
            pay_to_since_ms,
            number: rows::unsigned(number.unwrap_or_default(), "payout_settings.number")?,
            changed_ms,
            proof: proof.map(|(text, signature)| Proof { text, signature }),
            last_paid_ms,
        })
    }

    /// Replaces the settings of an account, if the number was not used before. Where the address
    /// that is paid changes, the time of that is noted.
    pub async fn change_settings(
        &self,
        pool: PoolId,
        account: &Account,
        new: &NewSettings,
        proof: &Proof,
        number: u64,
        now_ms: i64,
    ) -> Result<(), SettingsError> {
        let threshold = new
            .threshold
            .map(|amount| i64::try_from(amount.units()).map_err(|_| EntryError::Amount(amount)))
            .transpose()?;
        let mut writing = self.database.write().await?;
        let id = use_number(&mut writing, pool, account, number, now_ms).await?;
        let before: Option<String> =
            sql::query("SELECT pay_to FROM payout_settings WHERE account = $1")
                .bind(id)
                .fetch_value(&mut writing)
                .await?;
        if before != new.pay_to {
            sql::query(
                "UPDATE payout_settings SET pay_to = $2, pay_to_since_ms = $3 WHERE account = $1",
            )
            .bind(id)
            .bind(new.pay_to.clone())
            .bind(now_ms)
            .execute(&mut writing)
            .await?;
        }
        sql::query(
            "UPDATE payout_settings SET threshold = $2, schedule = $3, paused = $4,
                 signed_text = $5, signature = $6
             WHERE account = $1",
        )
        .bind(id)
        .bind(threshold)
        .bind(new.schedule.name())
        .bind(i64::from(new.paused))
        .bind(&proof.text)
        .bind(&proof.signature)
        .execute(&mut writing)
        .await?;
        Ok(writing.commit().await?)
    }

    /// Of everyone in a pool who ever paused payouts or changed the address of payment, what it is now.
    pub async fn pay_wishes(&self, pool: PoolId) -> Result<HashMap<Account, PayWish>, ReadError> {
        let mut reading = self.database.read().await?;
        let rows: Vec<(String, i64, Option<String>, Option<i64>)> = sql::query(
            "SELECT accounts.name, payout_settings.paused, payout_settings.pay_to,
                    payout_settings.pay_to_since_ms
             FROM payout_settings JOIN accounts ON accounts.id = payout_settings.account
             WHERE accounts.pool = $1
               AND (payout_settings.paused = 1 OR payout_settings.pay_to_since_ms IS NOT NULL)",
        )
        .bind(pool.0)
        .fetch_all(&mut reading)
        .await?;
        let mut wishes = HashMap::with_capacity(rows.len());
        for (name, paused, pay_to, pay_to_since_ms) in rows {
            let wish = PayWish {
                paused: paused == 1,
                pay_to,
                pay_to_since_ms,
            };
            wishes.insert(ledger::account(&name)?, wish);
        }
        Ok(wishes)
    }

    /// Notes that the owner of an account wants its balance now, if the number was not used before.
    pub async fn request_payout(
        &self,
        pool: PoolId,
        account: &Account,
        number: u64,
        now_ms: i64,
    ) -> Result<(), SettingsError> {
        let mut writing = self.database.write().await?;
        let id = use_number(&mut writing, pool, account, number, now_ms).await?;
        sql::query("UPDATE payout_settings SET requested = 1 WHERE account = $1")
            .bind(id)
            .execute(&mut writing)
            .await?;
        Ok(writing.commit().await?)
    }
}

/// Uses a number up, and gives the account's id. Makes both rows where there are none.
pub(crate) async fn use_number(
    writing: &mut Writing<'_>,
    pool: PoolId,
    account: &Account,
    number: u64,
    now_ms: i64,
) -> Result<i64, SettingsError> {
    let id = account_id(writing, pool, account).await?;
    let found: Option<(i64, i64)> =
        sql::query("SELECT number, changed_ms FROM payout_settings WHERE account = $1")
            .bind(id)
            .fetch_optional(writing)
            .await?;
    if let Some((last, changed_ms)) = found {
        let last = rows::unsigned(last, "payout_settings.number")?;
        if number <= last {
            return Err(SettingsError::Used(last));
        }
        let next = changed_ms.saturating_add(CHANGES_APART_MS);
        // A clock that was set back must not lock anybody out.
        if (changed_ms..next).contains(&now_ms) {
            return Err(SettingsError::TooSoon(next));
        }
    }
    let number = i64::try_from(number).map_err(|_| rows::corrupt("a number"))?;
    sql::query(
        "INSERT INTO payout_settings (account, number, changed_ms) VALUES ($1, $2, $3)
         ON CONFLICT (account) DO UPDATE SET number = excluded.number,
             changed_ms = excluded.changed_ms",
    )
    .bind(id)
    .bind(number)
    .bind(now_ms)
    .execute(writing)
    .await?;
    Ok(id)
}

async fn account_id(
    connection: &mut Connection,
    pool: PoolId,
    account: &Account,
) -> sqlx::Result<i64> {
    let ids = ledger::accounts(connection, pool, std::iter::once(account)).await?;
    Ok(ids[account])
}
