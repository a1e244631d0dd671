//! `/api/v1/status`: the pools at a glance. The status page shows exactly this.
//!
//! Money is a text in the coin's smallest unit, hashrate a number in H/s, time RFC 3339 in UTC.

use std::sync::atomic::Ordering;

use anyhow::Context as _;
use mining::{
    Difficulty, Target, Work, block::BlockState, luck::Effort, share::Reject, username::Alias,
};
use serde::Serialize;
use store::Block;
use utoipa::ToSchema;

use super::rate::Stretch;
use crate::{
    clock, daemon::Source, display, pool::Pool, receipts::export::Day, template_feed::Newest,
};

/// How many sessions and blocks are listed; there are pages for all of them elsewhere.
const LISTED_MAX: usize = 50;

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

/// One pool.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// The coin's name.
    pub coin: &'static str,
    /// The coin's ticker.
    pub ticker: &'static str,
    /// The smallest unit of its money.
    pub unit: &'static str,
    /// The network.
    pub network: String,
    /// The proof of work.
    pub algorithm: &'static str,
    /// Where miners connect.
    pub listening: Vec<String>,
    /// What is mined; absent if nothing is.
    pub template: Option<TemplateStatus>,
    /// Why nothing is mined.
    pub stopped: Option<String>,
    /// Miners connected.
    pub connected: usize,
    /// Work per second.
    pub hashrate: Hashrate,
    /// Shares since the process started.
    pub shares: SharesStatus,
    /// Blocks the pool found.
    pub blocks: BlocksStatus,
    /// What the pool signs.
    pub receipts: ReceiptsStatus,
    /// The nodes.
    pub daemons: Vec<DaemonStatus>,
    /// The sessions, oldest first.
    pub sessions: Vec<SessionStatus>,
}

/// What the pool signs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptsStatus {
    /// The public key.
    pub key: String,
    /// The newest statement; null if there is none.
    pub last: Option<Day>,
}

/// What is mined.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateStatus {
    /// The height of the block.
    pub height: u32,
    /// The block before.
    pub previous: String,
    /// The network's difficulty.
    pub difficulty: f64,
    /// Its transactions without the coinbase.
    pub transactions: usize,
    /// What its coinbase pays.
    pub value: String,
    /// `full`, or `subsidy_only` while the full one is on its way.
    pub kind: &'static str,
    /// Seconds since the daemon gave it.
    pub age_s: u64,
}

/// Work per second, in H/s.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hashrate {
    /// Since the minute before this one began.
    #[serde(rename = "1m")]
    pub minute: f64,
    /// Over ten minutes.
    #[serde(rename = "10m")]
    pub ten_minutes: f64,
    /// Over an hour.
    #[serde(rename = "1h")]
    pub hour: f64,
}

/// Shares since the process started, and in all.
#[derive(Debug, Serialize, ToSchema)]
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
#[derive(Debug, Serialize, ToSchema)]
pub struct Rejected {
    /// The reason's name.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

/// Blocks.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlocksStatus {
    /// Found in all.
    pub found: u64,
    /// Sent, not seen in the chain yet.
    pub submitted: u64,
    /// In the chain.
    pub immature: u64,
    /// Spendable.
    pub mature: u64,
    /// In no chain.
    pub orphaned: u64,
    /// What the pool's work was expected to find, as far as it is counted. With six decimals, as a text.
    pub expected: String,
    /// What that work found.
    pub expected_found: u64,
    /// The effort since the last block; absent if nobody knows when its round began, or what a block
    /// takes now.
    pub effort: Option<EffortStatus>,
    /// The last ones, newest first.
    pub last: Vec<BlockStatus>,
}

/// The work of a round against what a block takes on average.
#[derive(Debug, Serialize, ToSchema)]
pub struct EffortStatus {
    /// The work since the block before, in expected hashes.
    pub work: String,
    /// What a block takes at that height, likewise.
    pub network_work: String,
    /// The one of the other in percent, with two decimals, as a text: below 100 it was luck.
    pub percent: String,
}

/// A block.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockStatus {
    /// Its height.
    pub height: u32,
    /// Its id.
    pub hash: String,
    /// The worker that solved it, `address.name`.
    pub worker: String,
    /// When.
    pub found: String,
    /// What its coinbase pays.
    pub reward: String,
    /// `submitted`, `immature`, `mature` or `orphaned`.
    pub state: &'static str,
    /// Confirmations, itself included.
    pub confirmations: u32,
    /// The effort that it took; absent while its share is not counted.
    pub effort: Option<EffortStatus>,
    /// What a daemon had against it.
    pub reason: Option<String>,
}

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub struct DaemonStatus {
    /// Its address, without secrets.
    pub name: String,
    /// Whether it may be mined with.
    pub fit: bool,
    /// If not, why.
    pub reason: Option<String>,
    /// Its height.
    pub height: Option<u32>,
    /// `closed` (in use), `open` (left alone after failures) or `half-open` (being tried).
    pub breaker: &'static str,
    /// How it told of its last block.
    pub notified_by: Option<&'static str>,
}

/// A worker on a connection.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionStatus {
    /// The worker, `address.name`.
    pub worker: String,
    /// A short name for the address (`u/1f3`), once it has mined here.
    pub alias: Option<String>,
    /// What the device calls itself.
    pub agent: String,
    /// The difficulty it was told.
    pub difficulty: f64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares refused.
    pub rejected: u64,
    /// Since when it is there.
    pub since: String,
    /// Its last accepted share.
    pub last_share: Option<String>,
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
            status.pools.push(PoolStatus::of(pool).await?);
        }
        Ok(status)
    }
}

impl PoolStatus {
    async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let (template, stopped) = match &*pool.newest.borrow() {
            Newest::Nothing(reason) => (None, Some(reason.to_string())),
            Newest::Offer(offer) => {
                let template = &offer.template;
                let status = TemplateStatus {
                    height: template.height,
                    previous: template.previous.to_string(),
                    difficulty: network_difficulty(template.target, pool),
                    transactions: template.transactions.count(),
                    value: template.value.to_string(),
                    kind: match template.kind {
                        mining::template::TemplateKind::Full => "full",
                        mining::template::TemplateKind::SubsidyOnly => "subsidy_only",
                    },
                    age_s: offer.received.elapsed().as_secs(),
                };
                (Some(status), None)
            }
        };
        Ok(Self {
            name: pool.name.clone(),
            coin: pool.coin.name,
            ticker: pool.coin.ticker,
            unit: pool.coin.unit,
            network: pool.network.to_string(),
            algorithm: pool.coin.algorithm.name(),
            listening: pool.listening.iter().map(ToString::to_string).collect(),
            template,
            stopped,
            connected: pool.sessions.count(),
            hashrate: Hashrate {
                minute: hashrate(pool, 1).await?,
                ten_minutes: hashrate(pool, 10).await?,
                hour: hashrate(pool, 60).await?,
            },
            shares: SharesStatus::of(pool).await?,
            blocks: BlocksStatus::of(pool).await?,
            receipts: ReceiptsStatus::of(pool).await?,
            daemons: daemons(pool),
            sessions: sessions(pool).await?,
        })
    }

    /// Accepted and refused shares since the process started.
    pub fn rejected_total(&self) -> u64 {
        self.shares
            .rejected
            .iter()
            .map(|rejected| rejected.count)
            .sum()
    }
}

impl SharesStatus {
    async fn of(pool: &Pool) -> anyhow::Result<Self> {
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

impl EffortStatus {
    fn new(work: Work, network: Work) -> Option<Self> {
        let effort = Effort::new(work, network)?;
        Some(Self {
            work: work.hashes().to_string(),
            network_work: network.hashes().to_string(),
            percent: effort.to_string(),
        })
    }
}

impl ReceiptsStatus {
    async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let last = pool.store.statements(pool.id, None, 1).await;
        let last = last.context("what was signed cannot be read")?.pop();
        Ok(Self {
            key: pool.receipts.public_key().to_string(),
            last: last.as_ref().map(Day::new),
        })
    }
}

impl BlocksStatus {
    async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let store = &pool.store;
        let luck = store.pool_luck(pool.id).await;
        let luck = luck.context("what was expected cannot be read")?;
        let round = store.round_work(pool.id).await;
        let round = round.context("the work of a round cannot be read")?;
        let network = match &*pool.newest.borrow() {
            Newest::Offer(offer) => Some(offer.template.target.work()),
            Newest::Nothing(_) => None,
        };
        let counts = pool
            .store
            .block_counts(pool.id)
            .await
            .context("blocks cannot be counted")?;
        let limit = u32::try_from(LISTED_MAX).unwrap_or(u32::MAX);
        let last = pool
            .store
            .blocks(pool.id, None, limit)
            .await
            .context("blocks cannot be read")?;
        let oldest = last.last().map_or(0, |block| block.seq);
        let rounds = store.round_works(pool.id, oldest).await;
        let rounds = rounds.context("the work of rounds cannot be read")?;
        let effort = |block: &Block| {
            let network = Target::from_compact(block.found.bits).ok()?.work();
            EffortStatus::new(*rounds.get(&block.seq)?, network)
        };
        let last = last
            .into_iter()
            .map(|block| BlockStatus {
                effort: effort(&block),
                height: block.found.height,
                hash: block.found.hash.to_string(),
                worker: block.found.worker.to_string(),
                found: display::time(block.found.found_ms),
                reward: block.found.reward.to_string(),
                state: block.state.name(),
                confirmations: block.confirmations,
                reason: block
                    .verdict
                    .filter(|_| block.state == BlockState::Orphaned),
            })
            .collect();
        Ok(Self {
            found: counts.submitted + counts.immature + counts.mature + counts.orphaned,
            submitted: counts.submitted,
            immature: counts.immature,
            mature: counts.mature,
            orphaned: counts.orphaned,
            expected: luck.expected.to_string(),
            expected_found: luck.found,
            effort: round
                .zip(network)
                .and_then(|(work, network)| EffortStatus::new(work, network)),
            last,
        })
    }
}

fn daemons(pool: &Pool) -> Vec<DaemonStatus> {
    let healths = pool.daemons.health().into_iter();
    healths
        .map(|daemon| DaemonStatus {
            name: daemon.name,
            fit: daemon.fit.is_ok(),
            reason: daemon.fit.err(),
            height: daemon.height,
            breaker: daemon.breaker.name(),
            notified_by: daemon.notified_by.map(name_of),
        })
        .collect()
}

fn name_of(source: Source) -> &'static str {
    match source {
        Source::Zmq => "zmq",
        Source::LongPoll => "long_poll",
        Source::WaitForNewBlock => "waitfornewblock",
        Source::Poke => "blocknotify",
        Source::Poll => "poll",
    }
}

async fn sessions(pool: &Pool) -> anyhow::Result<Vec<SessionStatus>> {
    let mut listed = Vec::new();
    for session in pool.sessions.list().iter().take(LISTED_MAX) {
        let address = session.worker.address.as_str();
        let alias = pool.store.alias_of(pool.id, address).await?;
        listed.push(SessionStatus {
            worker: session.worker.to_string(),
            alias: alias.and_then(Alias::new).map(|alias| format!("u/{alias}")),
            agent: session.agent.clone(),
            difficulty: session.difficulty().to_f64(),
            accepted: session.accepted.load(Ordering::Relaxed),
            rejected: session.rejected.load(Ordering::Relaxed),
            since: display::time(session.since_ms),
            last_share: match session.last_share_ms.load(Ordering::Relaxed) {
                0 => None,
                time_ms => Some(display::time(time_ms)),
            },
        });
    }
    Ok(listed)
}

/// The pool's hashrate in so many minutes.
async fn hashrate(pool: &Pool, minutes: u32) -> anyhow::Result<f64> {
    let stretch = Stretch::new(pool, minutes, clock::now_ms());
    let sums = pool
        .store
        .pool_sums(pool.id, stretch.since)
        .await
        .context("work cannot be summed")?;
    Ok(stretch.rate(sums.work))
}

fn network_difficulty(target: Target, pool: &Pool) -> f64 {
    // Above the hardest share difficulty the ratio of work says the same.
    let algorithm = pool.coin.algorithm;
    let one = Difficulty::ONE.target(algorithm).work().hashes();
    let work = target.work().hashes();
    if work < one {
        Difficulty::at_most(target, algorithm).to_f64()
    } else {
        display::to_f64(work) / display::to_f64(one)
    }
}

/// Brings the gauges up to date before they are read.
pub(super) async fn refresh_gauges(pool: &Pool) -> anyhow::Result<()> {
    pool.metrics.hashrate.set(hashrate(pool, 10).await?);
    let kept = i64::try_from(pool.kept_sessions.count()).unwrap_or(i64::MAX);
    pool.metrics.kept_sessions.set(kept);
    if let Newest::Offer(offer) = &*pool.newest.borrow() {
        pool.metrics.height.set(offer.template.height.into());
        pool.metrics
            .template_age
            .set(offer.received.elapsed().as_secs_f64());
    }
    Ok(())
}
