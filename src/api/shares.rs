//! How many shares came, and why the refused ones were.

use anyhow::Context as _;
use mining::share::Reject;
use serde::Serialize;
use utoipa::ToSchema;

use crate::pool::Pool;

/// Shares since the process started, and in all.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SharesStatus {
    /// Accepted and stored.
    pub accepted: u64,
    /// Refused, by reason.
    pub rejected: Vec<Rejected>,
    /// All the store knows of.
    pub stored: u64,
    /// The work of those, in expected hashes.
    pub work: String,
}

/// Shares refused for one reason.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rejected {
    /// The reason's name.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

impl SharesStatus {
    pub(super) async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let total = pool
            .store
            .pool_total(pool.id)
            .await
            .context("shares cannot be summed")?;
        let rejected = Reject::ALL
            .map(|reject| Rejected {
                reason: reject.name(),
                count: pool.metrics.rejected(reject).get(),
            })
            .into();
        Ok(Self {
            accepted: pool.metrics.accepted.get(),
            rejected,
            stored: total.shares,
            work: total.work.hashes().to_string(),
        })
    }
}

impl Rejected {
    /// Those that came at all.
    pub(super) fn of(counts: impl Iterator<Item = (Reject, u64)>) -> Vec<Self> {
        let come = counts.filter(|(_, count)| *count > 0);
        come.map(|(reject, count)| Self {
            reason: reject.name(),
            count,
        })
        .collect()
    }
}
