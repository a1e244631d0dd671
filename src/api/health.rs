//! `/health`: each component and what to do about it. `/ready`: whether miners get work.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use mining::orphans::LastBlocks;
use serde::Serialize;
use utoipa::ToSchema;

use super::verification::Verification;
use crate::{pool::Pool, template_feed::Newest};

/// How the pools are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`, `degraded` or `unhealthy`.
    pub(crate) status: &'static str,
    /// Each part.
    pub(crate) components: Vec<Component>,
    /// What to do.
    pub(crate) recommendations: Vec<String>,
}

/// A part of a pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Component {
    /// The pool's name.
    pub(crate) pool: String,
    /// Which part.
    pub(crate) name: String,
    /// Whether it is well.
    pub(crate) healthy: bool,
    /// What is known of it.
    pub(crate) detail: String,
    /// The same in numbers, of what verifies costly shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) figures: Option<Verification>,
}

/// Whether miners get work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Whether they do, in every pool.
    pub(crate) ready: bool,
    /// If not, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// How each part is, and what to do about it
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "pool",
    responses((status = 200, description = "The answer.", body = Health), (status = 503, description = "Miners get no work.", body = Health))
)]
pub(crate) async fn health(State(pools): State<Vec<Pool>>) -> Response {
    let health = Health::of(&pools).await;
    let status = match health.status {
        "unhealthy" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (status, Json(health)).into_response()
}

/// Whether miners get work
#[utoipa::path(
    get, path = "/ready", operation_id = "ready", tag = "pool",
    responses((status = 200, description = "The answer.", body = Ready), (status = 503, description = "Miners get no work.", body = Ready))
)]
pub(crate) async fn ready(State(pools): State<Vec<Pool>>) -> Response {
    let reason = pools.iter().find_map(why_not_ready);
    let status = if reason.is_none() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(Ready {
            ready: reason.is_none(),
            reason,
        }),
    )
        .into_response()
}

/// Why miners get no work, if they get none.
fn why_not_ready(pool: &Pool) -> Option<String> {
    match &*pool.newest.borrow() {
        Newest::Offer(_) => None,
        Newest::Nothing(reason) => Some(format!("pool {}: {reason}", pool.name)),
    }
}

impl Health {
    /// Looks at all of them.
    pub(crate) async fn of(pools: &[Pool]) -> Self {
        let mut health = Self {
            status: "healthy",
            components: vec![],
            recommendations: vec![],
        };
        for pool in pools {
            health.look_at(pool).await;
        }
        let well = health.components.iter().all(|component| component.healthy);
        let works = pools.iter().all(|pool| why_not_ready(pool).is_none());
        health.status = match (well, works) {
            (true, true) => "healthy",
            (false, true) => "degraded",
            (_, false) => "unhealthy",
        };
        health
    }

    async fn look_at(&mut self, pool: &Pool) {
        for daemon in pool.daemons.health() {
            let detail = match &daemon.fit {
                Ok(()) => format!("at height {}", daemon.height.unwrap_or_default()),
                Err(reason) => reason.clone(),
            };
            let advice = "see that it runs, is synced and is on the right network";
            self.note(
                pool,
                &format!("daemon {}", daemon.name),
                daemon.fit.is_ok(),
                detail,
                advice,
            );
        }
        let stored = pool.store.ping().await;
        let detail = stored
            .as_ref()
            .map_or_else(ToString::to_string, |()| "answers".to_owned());
        let advice = "see that the disk is neither full nor read-only";
        self.note(pool, "store", stored.is_ok(), detail, advice);
        self.look_at_verifier(pool);
        self.look_at_blocks(pool);
        self.look_at_orphans(pool);
        self.look_at_luck(pool);
        self.look_at_payouts(pool).await;
        self.look_at_reserve(pool);
        let reason = why_not_ready(pool);
        let detail = reason.clone().unwrap_or_else(|| "miners have work".into());
        self.note(
            pool,
            "work",
            reason.is_none(),
            detail,
            "mend what the daemons say",
        );
    }

    /// Whether costly shares are verified as fast as they come.
    fn look_at_verifier(&mut self, pool: &Pool) {
        let Some(verifier) = &pool.verifier else {
            return;
        };
        let figures = Verification::of(verifier);
        let advice =
            "give it more threads or memory, or see in /metrics who is refused: [pool.randomx]";
        let name = "verifier";
        self.note(pool, name, !figures.is_busy(), figures.told(), advice);
        if let Some(noted) = self.components.last_mut() {
            noted.figures = Some(figures);
        }
    }

    /// What has gone wrong with blocks, or will.
    fn look_at_blocks(&mut self, pool: &Pool) {
        let refused = pool.proposals.refused();
        let told: Vec<String> = refused
            .iter()
            .map(|(shape, reason)| format!("{reason} ({shape})"))
            .collect();
        let detail = match told.as_slice() {
            [] => "the daemon would take them".to_owned(),
            told => format!("the daemon would refuse them: {}", told.join("; ")),
        };
        let advice = "look up the reason; a block solved now would be lost";
        self.note(pool, "unsolved blocks", told.is_empty(), detail, advice);
        let left = pool.blocks.left_when_mature();
        let told: Vec<String> = left
            .iter()
            .map(|(hash, height)| format!("{hash} at height {height}"))
            .collect();
        let detail = match told.as_slice() {
            [] => "are in their chain".to_owned(),
            told => format!("the chain left {}", told.join(", ")),
        };
        let advice = "their reward does not exist any more: see what was paid from it";
        self.note(pool, "mature blocks", told.is_empty(), detail, advice);
    }

    /// Whether too many blocks are lost.
    fn look_at_orphans(&mut self, pool: &Pool) {
        let alarm = pool.blocks.orphan_alarm();
        let detail = match alarm {
            None => "no more than usual".to_owned(),
            Some(LastBlocks { blocks, orphans }) => format!(
                "{orphans} of the last {blocks} blocks; a block is paid for after {} confirmations",
                pool.blocks.maturity()
            ),
        };
        let advice = "see that the daemon hears of blocks at once and others hear of yours; if so, \
                      somebody may be overtaking them with blocks held back";
        self.note(pool, "orphans", alarm.is_none(), detail, advice);
    }

    /// Whether somebody finds too few blocks.
    fn look_at_luck(&mut self, pool: &Pool) {
        let detail = match pool.suspects.count() {
            0 => "nobody finds far fewer blocks than its work should".to_owned(),
            1 => "an account finds far fewer blocks than its work should".to_owned(),
            count => format!("{count} accounts find far fewer blocks than their work should"),
        };
        let advice = "GET /api/v1/luck from this machine says who; it may be chance";
        self.note(pool, "luck", pool.suspects.count() == 0, detail, advice);
    }

    /// What stands in the way of payouts.
    async fn look_at_payouts(&mut self, pool: &Pool) {
        let Some(payouts) = &pool.payouts else {
            return;
        };
        let trouble = payouts.trouble();
        let paused = pool.store.payments_paused(pool.id).await;
        let detail = match (trouble.lines.as_slice(), &paused) {
            ([], Ok(Some(reason))) => format!("paused: {reason}"),
            ([], _) => "go their way".to_owned(),
            (lines, _) => lines.join("; "),
        };
        let advice = "no payment is lost; see `adit payout list`";
        self.note(pool, "payouts", trouble.lines.is_empty(), detail, advice);
        if let Some(reason) = trouble.misses_blocks {
            let advice = "set payout_address to the wallet's own, or fill the wallet from there";
            self.note(pool, "wallet", false, reason, advice);
        }
    }

    /// Whether shares are paid for where they are paid for as they come.
    fn look_at_reserve(&mut self, pool: &Pool) {
        let waiting = pool.reserve.waiting();
        let told: Vec<String> = waiting
            .iter()
            .map(|(scheme, why)| format!("shares of {scheme} wait: {why}"))
            .collect();
        let detail = match told.as_slice() {
            [] => "no share waits for it".to_owned(),
            told => told.join("; "),
        };
        let advice = "put coins into the pool's wallet and tell the books: adit ledger deposit";
        self.note(pool, "reserve", told.is_empty(), detail, advice);
    }

    fn note(&mut self, pool: &Pool, name: &str, healthy: bool, detail: String, advice: &str) {
        if !healthy {
            self.recommendations
                .push(format!("{name}: {detail}: {advice}"));
        }
        let name = name.to_owned();
        self.components.push(Component {
            pool: pool.name.clone(),
            name,
            healthy,
            detail,
            figures: None,
        });
    }
}
