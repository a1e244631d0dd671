//! The metrics of p2poolv2 and Hydrapool, so that their boards in Grafana load unchanged: the names
//! without a prefix, `btcaddress` and `workername` as labels, and work where they count shares, as their
//! boards draw its rate as a hashrate.
//!
//! Only with `compat.metrics_alias`: each worker is a series of its own. The 500 strongest of the last
//! day have one.

use std::sync::atomic::AtomicU64;

use mining::{Coin, Work};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use store::ReadError;

use super::figures::{self, Connected, PoolNow, WORKERS_MAX, WorkerNow, difficulty, ratio};
use crate::{clock, display, pool::Pool};

type Labels = Vec<(String, String)>;
type Count = Counter<f64, AtomicU64>;
type Level = Gauge<f64, AtomicU64>;

/// The text of all pools, with its end.
pub(in crate::api) async fn metrics_of(pools: &[Pool]) -> Result<String, ReadError> {
    let now_ms = clock::now_ms();
    let mut all = Vec::new();
    for pool in pools {
        let connected = Connected::of(pool, None);
        let workers = figures::workers(pool, None, &[10], WORKERS_MAX, &connected, now_ms);
        all.push((PoolNow::of(pool, now_ms).await?, workers.await?));
    }
    Ok(text(&all))
}

pub(super) fn text(pools: &[(PoolNow, Vec<WorkerNow>)]) -> String {
    let mut names = Names::default();
    for (now, workers) in pools {
        let pool = vec![("pool".to_owned(), now.name.clone())];
        names.add_pool(&pool, now);
        for worker in workers {
            names.add_worker(&pool, worker, now.coin);
        }
    }
    let mut text = String::new();
    encode(&mut text, &names.registry).expect("writing to a string cannot fail");
    text
}

struct Names {
    registry: Registry,
    accepted: Family<Labels, Count>,
    accepted_difficulty: Family<Labels, Count>,
    rejected: Family<Labels, Count>,
    blocks: Family<Labels, Count>,
    best: Family<Labels, Level>,
    best_ever: Family<Labels, Level>,
    pool_difficulty: Family<Labels, Level>,
    network_difficulty: Family<Labels, Level>,
    start_time: Family<Labels, Level>,
    round: Family<Labels, Level>,
    of_user: Family<Labels, Count>,
    of_worker: Family<Labels, Count>,
    worker_best: Family<Labels, Level>,
    worker_best_ever: Family<Labels, Level>,
    worker_last: Family<Labels, Level>,
}

impl Default for Names {
    fn default() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        Self {
            accepted: registered(r, "shares_accepted", "Work of accepted shares, in hashes"),
            accepted_difficulty: registered(
                r,
                "accepted_difficulty",
                "Work of accepted shares, in shares of difficulty 1",
            ),
            rejected: registered(r, "shares_rejected", "Shares refused since the start"),
            blocks: registered(r, "bitcoin_blocks_found", "Blocks found"),
            best: registered(r, "best_share", "Difficulty of the best share"),
            best_ever: registered(r, "best_share_ever", "Difficulty of the best share"),
            pool_difficulty: registered(
                r,
                "pool_difficulty",
                "Difficulty of what the pool does in a second",
            ),
            network_difficulty: registered(r, "network_difficulty", "The network's difficulty"),
            start_time: registered(r, "start_time_seconds", "When the pool was started"),
            round: registered(
                r,
                "work_since_last_block",
                "Work since the last block, in shares of difficulty 1",
            ),
            of_user: registered(r, "user_shares_valid", "Work of an address, in hashes"),
            of_worker: registered(r, "worker_shares_valid", "Work of a worker, in hashes"),
            worker_best: registered(r, "worker_best_share", "Difficulty of its best share"),
            worker_best_ever: registered(
                r,
                "worker_best_share_ever",
                "Difficulty of its best share",
            ),
            worker_last: registered(
                r,
                "worker_last_share_at",
                "When its last share came, in seconds since 1970",
            ),
            registry,
        }
    }
}

impl Names {
    fn add_pool(&mut self, pool: &Labels, now: &PoolNow) {
        let count = |family: &Family<Labels, Count>, number: f64| {
            family.get_or_create(pool).inc_by(number);
        };
        let level = |family: &Family<Labels, Level>, number: f64| {
            family.get_or_create(pool).set(number);
        };
        let shares = |work: Work| difficulty(work, now.coin);
        let best = now.best.map_or(0.0, shares);
        let rate = Work::from_hashes(now.windows.rate(10));
        let next = now.next.as_ref();
        count(&self.accepted, hashes(now.total.work));
        count(&self.accepted_difficulty, shares(now.total.work));
        count(&self.rejected, display::to_f64(now.rejected.into()));
        count(&self.blocks, display::to_f64(now.blocks().into()));
        level(&self.best, best);
        level(&self.best_ever, best);
        level(&self.pool_difficulty, ratio(rate, figures::one(now.coin)));
        level(
            &self.network_difficulty,
            next.map_or(0.0, |next| next.difficulty(now.coin)),
        );
        level(&self.start_time, seconds(now.started_ms));
        level(&self.round, now.round.map_or(0.0, shares));
    }

    fn add_worker(&mut self, pool: &Labels, now: &WorkerNow, coin: &Coin) {
        let mut labels = pool.clone();
        labels.push(("btcaddress".to_owned(), now.address.clone()));
        let work = hashes(now.total.work);
        self.of_user.get_or_create(&labels).inc_by(work);
        labels.push(("workername".to_owned(), now.name.clone()));
        self.of_worker.get_or_create(&labels).inc_by(work);
        let best = now.best.map_or(0.0, |best| difficulty(best, coin));
        self.worker_best.get_or_create(&labels).set(best);
        self.worker_best_ever.get_or_create(&labels).set(best);
        let last = self.worker_last.get_or_create(&labels);
        last.set(seconds(now.last_share_ms));
    }
}

fn hashes(work: Work) -> f64 {
    display::to_f64(work.hashes())
}

fn seconds(time_ms: i64) -> f64 {
    display::to_f64(u128::try_from(time_ms / 1000).unwrap_or(0))
}

fn registered<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: Clone + Default + prometheus_client::registry::Metric,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}
