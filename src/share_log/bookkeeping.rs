//! Rolls up what was written, and removes the shares and minutes that are no longer kept. Shares are written in between: each step is one short transaction of the store.

use std::time::Duration;

use store::{Minute, PoolId, Store, WriteError};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Config;
use crate::clock;

/// How often shares are rolled up and old ones removed. What is not rolled up yet is added up by
/// each query, so that it should not be much.
const BOOKKEEPING: Duration = Duration::from_secs(10);

/// The task that rolls up and prunes.
pub(super) async fn keep_books(
    store: Store,
    pool: PoolId,
    config: Config,
    ending: CancellationToken,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(BOOKKEEPING);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut outage = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = ending.cancelled() => return Ok(()),
        }
        match keep_books_at(&store, pool, config, clock::now_ms(), &ending).await {
            Ok(()) => outage = false,
            // It is all there still, and done the next time.
            Err(cause) if !outage => {
                outage = true;
                error!(%cause, "shares are not rolled up: the database cannot be written");
            }
            Err(_) => {}
        }
    }
}

/// Each step is a short transaction, so that shares are written in between.
pub(super) async fn keep_books_at(
    store: &Store,
    pool: PoolId,
    config: Config,
    now_ms: i64,
    ending: &CancellationToken,
) -> Result<(), WriteError> {
    let now = Minute::of_ms(now_ms);
    let ago = |age: Duration| now.back(u32::try_from(age.as_secs() / 60).unwrap_or(u32::MAX));
    while !ending.is_cancelled() && !store.roll_up(pool).await?.done {}
    let before = ago(config.keep_shares);
    while !ending.is_cancelled() && store.prune_shares(pool, before).await? > 0 {}
    let before = ago(config.keep_minutes);
    while !ending.is_cancelled() && store.prune_minutes(pool, before).await? > 0 {}
    let before = ago(config.keep_hours);
    while !ending.is_cancelled() && store.prune_hours(pool, before).await? > 0 {}
    Ok(())
}
