//! `/api/v1/pools`: what each pool is, does and has found, without who is connected to it.

use anyhow::Context as _;
use axum::{
    Json,
    extract::{FromRequestParts, RawPathParams, State},
    http::request::Parts,
};
use mining::{
    AnyTemplate, Difficulty, Scheme, Target, Work, accounting::Fees, template::TemplateKind,
};
use pow::{Hash, ProofOfWork};
use serde::Serialize;
use store::Minute;
use utoipa::ToSchema;

use super::{
    blocks::BlocksStatus,
    daemons::{self, DaemonStatus},
    problem::{PoolProblems, Problem},
    rate::{Rates, Stretch},
    shares::SharesStatus,
    verification::Verification,
};
use crate::{
    clock, display,
    pool::{Door, Pool},
    template_feed::Newest,
};

/// Who has found a share within so many minutes is at work.
const AT_WORK: u32 = 10;

/// All pools.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pools {
    /// In the order of the configuration.
    pub(crate) pools: Vec<PoolSummary>,
}

/// One pool.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PoolSummary {
    /// Its name.
    pub name: String,
    /// The coin's name.
    pub coin: &'static str,
    /// The coin's ticker.
    pub ticker: &'static str,
    /// The smallest unit of its money.
    pub unit: &'static str,
    /// Decimal places between the coin and that unit.
    pub decimals: u8,
    /// The network.
    pub network: String,
    /// The proof of work.
    pub algorithm: &'static str,
    /// When it began to be mined here; now, if it was just set up.
    pub began: String,
    /// When this run of the program started.
    pub started: String,
    /// Where miners connect.
    pub doors: Vec<DoorStatus>,
    /// On what terms miners are paid.
    pub terms: TermsStatus,
    /// What is mined; absent if nothing is.
    pub template: Option<TemplateStatus>,
    /// Why nothing is mined.
    pub stopped: Option<String>,
    /// Miners connected.
    pub connected: usize,
    /// Workers with a share in the last ten minutes.
    pub workers: u64,
    /// Addresses that they work for.
    pub miners: u64,
    /// Work per second.
    pub hashrate: Rates,
    /// The work per second of the whole network, as its difficulty tells: a block takes this pool so
    /// much longer than the chain's usual time as its hashrate is below that.
    pub network_hashrate: Option<f64>,
    /// The seconds until this pool finds a block, on average, as fast as it was in the last hour.
    pub seconds_to_block: Option<String>,
    /// Shares since the process started.
    pub shares: SharesStatus,
    /// What was verified of them, where that is costly.
    pub verification: Option<Verification>,
    /// The best share ever.
    pub best: Option<BestShare>,
    /// Blocks the pool found.
    pub blocks: BlocksStatus,
    /// The nodes.
    pub daemons: Vec<DaemonStatus>,
}

/// Where miners connect.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DoorStatus {
    /// Where it listens.
    pub address: String,
    /// How its miners are paid.
    pub scheme: &'static str,
    /// The difficulty that an unknown miner begins with.
    pub start_difficulty: f64,
    /// `off`, `on` (beside plain TCP) or `only`.
    pub tls: &'static str,
    /// The SHA-256 of its certificate.
    pub tls_fingerprint: Option<String>,
}

/// A round that keeps the fees it began with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RoundTerms {
    /// `pplns` or `prop`.
    pub scheme: &'static str,
    /// What is taken before the miners.
    pub fees: Vec<FeeTerm>,
}

/// On what terms miners are paid.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TermsStatus {
    /// `pplns`, `prop`, `pps`, `fpps` or `solo`; each that a listener of this pool has.
    pub schemes: Vec<&'static str>,
    /// The length of the PPLNS window, in blocks.
    pub window: String,
    /// What is taken before the miners, from the next round on.
    pub fees: Vec<FeeTerm>,
    /// Open rounds that keep other fees, as those were changed since they began.
    pub open_rounds: Vec<RoundTerms>,
    /// Whether balances are paid out at all.
    pub pays: bool,
    /// Whether blocks pay miners by themselves.
    pub coinbase_pays: bool,
    /// Why payouts are paused.
    pub paused: Option<String>,
    /// What a balance must reach, in the smallest unit, unless its miner wants another.
    pub threshold: String,
    /// The least that is ever paid, likewise.
    pub least: String,
    /// The confirmations after which a block is paid for.
    pub maturity: u32,
}

/// A fee.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeeTerm {
    /// Whose.
    pub name: String,
    /// The part of each reward, in percent.
    pub percent: String,
}

/// The best share.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BestShare {
    /// The worker that found it, `address.name`.
    pub worker: String,
    /// Its hash.
    pub hash: String,
    /// How hard it is to find one like it.
    pub difficulty: f64,
}

/// What is mined.
#[derive(Clone, Debug, Serialize, ToSchema)]
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

/// The pool of the path.
pub(crate) struct OnePool(pub(crate) Pool);

impl FromRequestParts<Vec<Pool>> for OnePool {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, pools: &Vec<Pool>) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, pools).await;
        let params = params.map_err(|_| Problem::bad("bad_path", "the path is no UTF-8"))?;
        let name = params.iter().find(|(name, _)| *name == "pool");
        let name = name.map_or("", |(_, name)| name);
        let pool = pools.iter().find(|pool| pool.name == name);
        pool.cloned().map(Self).ok_or_else(Problem::no_pool)
    }
}

/// The pools
///
/// What each is, does and has found.
#[utoipa::path(
    get, path = "/api/v1/pools", operation_id = "pools", tag = "pool",
    responses((status = 200, description = "The answer.", body = Pools), (status = 503, description = "The store cannot be used now.", body = super::problem::Error))
)]
pub(crate) async fn list(State(pools): State<Vec<Pool>>) -> Result<Json<Pools>, Problem> {
    let mut all = Vec::new();
    for pool in &pools {
        all.push(PoolSummary::of(pool).await?);
    }
    Ok(Json(Pools { pools: all }))
}

/// A pool
#[utoipa::path(
    get, path = "/api/v1/pools/{pool}", operation_id = "pool", tag = "pool",
    params(("pool" = String, Path, description = "The pool's name")),
    responses((status = 200, description = "The answer.", body = PoolSummary), PoolProblems)
)]
pub(crate) async fn show(OnePool(pool): OnePool) -> Result<Json<PoolSummary>, Problem> {
    Ok(Json(PoolSummary::of(&pool).await?))
}

impl PoolSummary {
    /// What is so now, put together once for all who ask for it.
    pub(crate) async fn of(pool: &Pool) -> anyhow::Result<Self> {
        pool.summary.of(Self::new(pool)).await
    }

    /// Asks store, daemons and counters.
    async fn new(pool: &Pool) -> anyhow::Result<Self> {
        let now = clock::now_ms();
        let (template, work, stopped) = match &*pool.newest.borrow() {
            Newest::Nothing(reason) => (None, None, Some(reason.to_string())),
            Newest::Offer(offer) => {
                let template = &offer.template;
                let status = TemplateStatus {
                    height: template.height(),
                    previous: template.previous().to_string(),
                    difficulty: network_difficulty(template, pool.coin.algorithm()),
                    transactions: template.transactions(),
                    value: template.value().to_string(),
                    kind: match template.kind() {
                        TemplateKind::Full => "full",
                        TemplateKind::SubsidyOnly => "subsidy_only",
                    },
                    age_s: offer.received.elapsed().as_secs(),
                };
                (Some(status), Some(template.work()), None)
            }
        };
        let active = pool.store.active(pool.id, Minute::of_ms(now).back(AT_WORK));
        let active = active.await.context("miners cannot be counted")?;
        let (hashrate, hour) = rates(pool, now).await?;
        let network = work.map(Work::hashes);
        let to_block = network.and_then(|network| network.checked_div(hour));
        Ok(Self {
            name: pool.name.clone(),
            coin: pool.coin.name,
            ticker: pool.coin.ticker,
            unit: pool.coin.unit,
            decimals: pool.coin.decimals,
            network: pool.network.to_string(),
            algorithm: pool.coin.algorithm().name(),
            began: display::time(pool.began_ms),
            started: display::time(pool.started_ms),
            doors: pool.doors.iter().map(DoorStatus::of).collect(),
            terms: TermsStatus::of(pool).await?,
            template,
            stopped,
            connected: pool.sessions.count(),
            workers: active.workers,
            miners: active.addresses,
            hashrate,
            network_hashrate: network
                .map(|network| display::to_f64(network) / f64::from(pool.coin.spacing_s)),
            seconds_to_block: to_block.map(|seconds| seconds.to_string()),
            shares: SharesStatus::of(pool).await?,
            verification: pool.verifier.as_ref().map(Verification::of),
            best: best(pool, None).await?,
            blocks: BlocksStatus::of(pool).await?,
            daemons: daemons::of_pool(pool),
        })
    }

    /// Shares refused since the process started.
    pub fn rejected_total(&self) -> u64 {
        let rejected = self.shares.rejected.iter();
        rejected.map(|rejected| rejected.count).sum()
    }
}

impl DoorStatus {
    fn of(door: &Door) -> Self {
        Self {
            address: door.address.to_string(),
            scheme: door.scheme.name(),
            start_difficulty: door.start_difficulty.to_f64(),
            tls: match (&door.tls, door.tls_only) {
                (None, _) => "off",
                (Some(_), false) => "on",
                (Some(_), true) => "only",
            },
            tls_fingerprint: door.tls.as_ref().map(|tls| tls.borrow().to_string()),
        }
    }
}

impl FeeTerm {
    fn all(fees: &Fees) -> Vec<Self> {
        let fees = fees.list().iter();
        fees.map(|fee| Self {
            name: fee.name.clone(),
            percent: fee.percent.to_string(),
        })
        .collect()
    }
}

impl TermsStatus {
    async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let terms = &pool.terms;
        let paused = pool.store.payments_paused(pool.id).await;
        let fees = &terms.accounting.fees;
        let schemes = terms.accounting.schemes.iter();
        let open = schemes.map(|scheme| (scheme.name(), terms.fees_now(*scheme)));
        let open = open.filter(|(_, now)| now != fees);
        Ok(Self {
            schemes: terms
                .accounting
                .schemes
                .iter()
                .map(|scheme| scheme.name())
                .collect(),
            window: terms.accounting.window.to_string(),
            fees: FeeTerm::all(fees),
            open_rounds: open
                .map(|(scheme, now)| RoundTerms {
                    scheme,
                    fees: FeeTerm::all(&now),
                })
                .collect(),
            pays: terms.pays,
            coinbase_pays: terms.accounting.split.is_some()
                || terms.accounting.schemes.contains(&Scheme::Solo),
            paused: paused.context("a pause cannot be read")?,
            threshold: terms.policy.threshold.to_string(),
            least: terms.policy.least.to_string(),
            maturity: pool.blocks.maturity(),
        })
    }
}

/// A pool's work per second, and that of the last hour in whole hashes.
async fn rates(pool: &Pool, now_ms: i64) -> anyhow::Result<(Rates, u128)> {
    let stretches = Stretch::all(pool, now_ms);
    let windows = stretches.map(|stretch| stretch.since);
    let sums = pool.store.pool_windows(pool.id, &windows).await;
    let sums = sums.context("work cannot be summed")?;
    let hour = sums[3].work.per_second(stretches[3].millis);
    Ok((Rates::of(stretches, &sums), hour))
}

/// The best share of a pool, or of one address.
pub(super) async fn best(pool: &Pool, address: Option<&str>) -> anyhow::Result<Option<BestShare>> {
    let bests = pool.store.bests(pool.id, address, 1).await;
    let best = bests.context("the best share cannot be read")?.pop();
    Ok(best.map(|best| BestShare {
        worker: best.worker.to_string(),
        difficulty: difficulty_of(best.hash, pool.coin.algorithm()),
        hash: best.hash.to_string(),
    }))
}

/// How hard it is to find a hash as small as this.
pub(super) fn difficulty_of(hash: Hash, algorithm: ProofOfWork) -> f64 {
    let target = Target::from_hex(&hash.to_string());
    target.map_or(0.0, |target| difficulty(target, algorithm))
}

/// The difficulty of a block. RandomX's is the number of its hashes, which no target has to the last one.
fn network_difficulty(template: &AnyTemplate, algorithm: ProofOfWork) -> f64 {
    match algorithm {
        ProofOfWork::RandomX | ProofOfWork::VisionX => display::to_f64(template.work().hashes()),
        ProofOfWork::Header(_) => difficulty(template.target(), algorithm),
    }
}

/// The difficulty of a target.
pub(super) fn difficulty(target: Target, algorithm: ProofOfWork) -> f64 {
    // Above the hardest share difficulty the ratio of work says the same.
    let one = Difficulty::ONE.target(algorithm).work().hashes();
    let work = target.work().hashes();
    if work < one {
        Difficulty::at_most(target, algorithm).to_f64()
    } else {
        display::to_f64(work) / display::to_f64(one)
    }
}
