//! `/api/v1/status`: the pools at a glance, with who is connected.
//!
//! Money is a text in the coin's smallest unit, hashrate a number in H/s, time RFC 3339 in UTC.

use std::sync::atomic::Ordering;

use anyhow::Context as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    pools::PoolSummary,
    rate::Stretch,
    sessions::{self, SessionStatus},
    verification::Verification,
};
use crate::{clock, display, pool::Pool, template_feed::Newest};

/// Everything.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// The version of the program.
    pub version: &'static str,
    /// When this was put together.
    pub time: String,
    /// The pools.
    pub pools: Vec<PoolStatus>,
}

/// One pool, with who is connected.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolStatus {
    /// The pool.
    #[serde(flatten)]
    pub pool: PoolSummary,
    /// The sessions, oldest first; at most fifty.
    pub sessions: Vec<SessionStatus>,
}

impl Status {
    /// Asks stores, daemons and counters.
    pub async fn of(pools: &[Pool]) -> anyhow::Result<Self> {
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION"),
            time: display::time(clock::now_ms()),
            pools: Vec::new(),
        };
        for pool in pools {
            status.pools.push(PoolStatus {
                pool: PoolSummary::of(pool).await?,
                sessions: sessions::of_pool(pool).await?,
            });
        }
        Ok(status)
    }
}

/// Brings the gauges up to date before they are read.
pub(super) async fn refresh_gauges(pool: &Pool) -> anyhow::Result<()> {
    let stretch = Stretch::new(pool, 10, clock::now_ms());
    let sums = pool.store.pool_sums(pool.id, stretch.since).await;
    let work = sums.context("work cannot be summed")?.work;
    pool.metrics.hashrate.set(stretch.rate(work));
    let kept = i64::try_from(pool.kept_sessions.count()).unwrap_or(i64::MAX);
    pool.metrics.kept_sessions.set(kept);
    if let Some(verifier) = &pool.verifier {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (metrics, now) = (&pool.metrics, Verification::of(verifier));
        metrics.shares_verifying.set(gauge(now.waiting));
        metrics.verifications_per_minute.set(gauge(now.per_minute));
        for (counter, count) in [
            (&metrics.shares_verified, now.verified),
            (&metrics.shares_forged, now.forged),
            (&metrics.shares_believed, now.believed),
            (&metrics.shares_throttled, now.throttled),
        ] {
            // Two who ask at once do not turn it back.
            counter.inner().fetch_max(count, Ordering::Relaxed);
        }
    }
    if let Newest::Offer(offer) = &*pool.newest.borrow() {
        pool.metrics.height.set(offer.template.height().into());
        pool.metrics
            .template_age
            .set(offer.received.elapsed().as_secs_f64());
    }
    Ok(())
}
