//! One pool, wired: daemons, templates, share log, blocks, listeners. Read this to know what feeds
//! what.

mod check;
mod plan;

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use mining::{
    Address, Coin, Difficulty, Network, Scheme, accounting::Fees, extranonce::Allocator,
    payout::Policy, receipt::Issuer, seen::Seen,
};
use store::{PoolId, Store};
use tokio::sync::watch;

pub(crate) use self::check::{Check, check, try_daemon};
use self::plan::{Plan, bad};
use crate::{
    accounting::{self, Reserve},
    alerts,
    api::{PoolSummary, shared::Shared},
    bans,
    bans::Bans,
    block::{Blocks, Maturity},
    clock, config,
    connection::Context,
    daemon::{self, Daemons, FirstBlock},
    first_block,
    kept_sessions::{KeptSessions, Saved},
    listener::{self, Fingerprint, House},
    luck::{self, Suspects},
    mailbox::{Mailboxes, Notice},
    metrics::Metrics,
    payout::{self, Payouts, Purse},
    proposal::{self, Proposals},
    receipts::{self, Receipts},
    sessions::Sessions,
    share_log,
    tasks::{Stage, Tasks},
    template_feed::{self, FIRST_TIP, JobIds, Newest, Recipe},
    verifier::{self, Verifier},
    work,
};

/// Extranonces leased at a time: enough for a storm of reconnects, and 4,096 leases go by before
/// the first one comes up again.
const LEASE: u32 = 1 << 20;
/// How often the lease is looked at.
const LEASE_CHECK: Duration = Duration::from_secs(1);
/// How often sessions that are too old are looked for.
const SESSIONS_SWEEP: Duration = Duration::from_secs(60);

/// A running pool, as the API sees it.
#[derive(Clone)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The coin.
    pub coin: &'static Coin,
    /// The coin's network.
    pub network: Network,
    /// Its key in the store.
    pub id: PoolId,
    /// The store.
    pub store: Store,
    /// The nodes.
    pub daemons: Daemons,
    /// The newest work.
    pub newest: watch::Receiver<Newest>,
    /// What the daemon would refuse.
    pub proposals: Proposals,
    /// What became of the blocks that were found.
    pub blocks: Blocks,
    /// What stands in the way of payouts; nothing if it pays none.
    pub payouts: Option<Payouts>,
    /// Whether shares are paid for.
    pub reserve: Reserve,
    /// Who finds too few blocks.
    pub suspects: Suspects,
    /// The logs of shares.
    pub receipts: Receipts,
    /// Who verifies shares whose hash is costly; nothing where connections hash by themselves.
    pub verifier: Option<Verifier>,
    /// Who is connected.
    pub sessions: Sessions,
    /// Who was, and may come back.
    pub kept_sessions: KeptSessions,
    /// Who may not be.
    pub bans: Bans,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where miners connect.
    pub doors: Vec<Door>,
    /// On what terms miners are paid.
    pub terms: Arc<Terms>,
    /// What its miners can ask to be told.
    pub alerts: Arc<alerts::Terms>,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: i64,
    /// When its first share ever came, likewise; when it was started, if none had come by then.
    pub began_ms: i64,
    /// What is told of it at a glance.
    pub(crate) summary: Shared<PoolSummary>,
}

/// Where miners connect, and what for.
#[derive(Clone, Debug)]
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// How its miners are paid.
    pub scheme: Scheme,
    /// What a miner begins with that nothing is known of.
    pub start_difficulty: Difficulty,
    /// The easiest and the hardest difficulty.
    pub difficulties: RangeInclusive<Difficulty>,
    /// The time between two shares of a miner that vardiff aims at.
    pub share_time: Duration,
    /// By what its certificate is known, if it speaks TLS.
    pub tls: Option<watch::Receiver<Fingerprint>>,
    /// Whether it speaks nothing else.
    pub tls_only: bool,
    /// Its workers of HTTP; nothing before it is open.
    pub workers: Option<work::PortWorkers>,
}

/// What a pool tells its miners of how they are paid.
#[derive(Debug)]
pub struct Terms {
    /// Schemes, window, and the fees of the next round.
    pub accounting: accounting::Config,
    /// The fees of what is mined now.
    pub fees: accounting::FeesNow,
    /// Who is due.
    pub policy: Policy,
    /// Whether it pays at all.
    pub pays: bool,
    /// Where its blocks pay: the operator's own address.
    pub operator: Address,
}

impl Terms {
    /// The fees of what is mined now by this scheme.
    pub(crate) fn fees_now(&self, scheme: Scheme) -> Fees {
        let now = self.fees.of(scheme);
        now.unwrap_or_else(|| self.accounting.fees.clone())
    }
}

/// Starts a pool. Its tasks end with `tasks`.
pub async fn start(
    settings: &config::Pool,
    data: &Path,
    store: &Store,
    house: &House,
    alerts: &Arc<alerts::Terms>,
    tasks: &Tasks,
) -> anyhow::Result<Pool> {
    let plan = Plan::for_start(settings)?;
    let coin = plan.coin;
    let metrics = Arc::new(Metrics::new(&settings.name, coin.name));
    let id = store.pool(&settings.name, coin, settings.network).await?;

    // template: daemons -> templates -> jobs
    let kept_blocks = data.join("blocks").join(&settings.name);
    let first_block = FirstBlock::to_be_confirmed();
    let (daemons, templates) = daemon::start(
        settings.daemon.clone(),
        coin,
        settings.network,
        &settings.payout_address,
        kept_blocks.clone(),
        first_block.clone(),
        tasks,
    )
    .map_err(|error| bad(settings, &format!("{error:#}")))?;
    first_block::confirm(first_block, daemons.clone(), store.clone(), id, tasks);
    let issuer = Issuer::new(&settings.name, coin.name, &settings.network.to_string());
    let issuer = issuer.map_err(|error| bad(settings, &error.to_string()))?;
    // Before the first share: from here on each is in a log.
    let receipts = Receipts::open(store.clone(), id, issuer, data).await?;
    let mut recipe = plan.recipe;
    if let Some(recipe) = recipe.as_mut().filter(|_| settings.receipts_in_coinbase) {
        recipe.mark = Some(receipts.newest());
    }
    let kept_sessions = KeptSessions::default();
    let (saved, next_job) = read_sessions(&sessions_file(data, settings));
    let job_ids = JobIds::from(next_job);
    if let Some((saved, recipe)) = saved.zip(recipe.clone()) {
        kept_sessions.restore(saved, recipe);
    }
    if let Some(rule) = plan.verifier.and_then(|it| it.sampling) {
        tracing::warn!(pool = settings.name, "{}", verifier::told(rule));
    }
    let verifier = plan.verifier.map(|plan| verifier::start(plan, tasks));
    let verifier = verifier.transpose().context("no thread to verify with")?;
    let newest = template_feed::follow(
        templates,
        recipe.clone(),
        plan.refresh,
        verifier.clone(),
        job_ids.clone(),
        tasks,
    );

    let proposals = proposal::start(
        newest.clone(),
        daemons.clone(),
        settings.extranonce2_size,
        Arc::clone(&metrics),
        tasks,
    );

    // share: connections -> share log -> store; blocks -> daemons
    let seen = Arc::new(Seen::of_tip(
        FIRST_TIP,
        store.newest_hashes(id).await.context("no shares")?,
    ));
    let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let log = share_log::Config {
        commit_wait: Duration::from_millis(settings.shares.commit_wait_ms),
        keep_shares: days(settings.shares.keep_shares_days),
        keep_minutes: days(settings.shares.keep_minutes_days),
        keep_hours: days(settings.shares.keep_hours_days),
    };
    receipts.clone().keep(
        receipts::Config {
            keep_shares: log.keep_shares,
            keep_sums: log.keep_hours,
        },
        tasks,
    );
    let share_log = share_log::start(store.clone(), id, log, tasks);
    let blocks = Blocks::start(
        daemons.clone(),
        store.clone(),
        id,
        Maturity {
            confirmations: plan.maturity,
            orphan_rate: settings.payout.orphan_rate_percent,
        },
        &kept_blocks,
        Arc::clone(&metrics),
        tasks,
    );
    let accounting = accounting::start(
        store.clone(),
        id,
        plan.accounting.clone(),
        newest.clone(),
        Arc::clone(&metrics),
        tasks,
    );
    let (reserve, fees) = accounting.await.context("the books")?;
    let terms = Arc::new(Terms {
        accounting: plan.accounting,
        fees,
        policy: plan::policy(&settings.payout, coin).map_err(|error| bad(settings, &error))?,
        pays: plan.payout.is_some(),
        operator: plan.operator,
    });
    let suspects = luck::start(store.clone(), id, Arc::clone(&metrics), tasks);
    let payouts = plan.payout.map(|(purse, config)| {
        let metrics = Arc::clone(&metrics);
        payout::start(
            store.clone(),
            id,
            purse,
            config,
            &house.holder,
            metrics,
            tasks,
        )
    });
    let prefixes = lease_extranonces(store.clone(), id, tasks).await?;
    let sessions = Sessions::default();
    look_after_sessions(
        kept_sessions.clone(),
        newest.clone(),
        job_ids.clone(),
        recipe.clone(),
        sessions_file(data, settings),
        tasks,
    );
    let mailboxes = Mailboxes::default();
    post_notices(
        newest.clone(),
        mailboxes.clone(),
        kept_sessions.clone(),
        tasks,
    );
    let bans = bans::start(
        plan.bans,
        store.clone(),
        id,
        mailboxes.clone(),
        Arc::clone(&metrics),
        tasks,
    )
    .await
    .context("the list of bans")?;

    let mut doors = Vec::new();
    let without_token = settings.listener.iter().map(|it| it.http_without_token);
    let ports = plan.ports.into_iter().zip(plan.rules).zip(without_token);
    for ((port, rules), without_token) in ports {
        let vardiff = rules.vardiff;
        let (scheme, start_difficulty) = (rules.scheme, rules.start_difficulty);
        let context = Arc::new(Context {
            coin,
            network: settings.network,
            newest: newest.clone(),
            recipe: recipe.clone(),
            verifier: verifier.clone(),
            view_key: plan.view_key.clone(),
            job_ids: job_ids.clone(),
            prefixes: prefixes.clone(),
            seen: Arc::clone(&seen),
            share_log: share_log.clone(),
            blocks: blocks.clone(),
            kept_sessions: kept_sessions.clone(),
            store: store.clone(),
            pool: id,
            mailboxes: mailboxes.clone(),
            sessions: sessions.clone(),
            connected: metrics.connections(port.address),
            bans: bans.clone(),
            metrics: Arc::clone(&metrics),
            devices: house.devices.clone(),
            sockets: house.sockets.clone(),
            stopping: tasks.ending(Stage::Doors),
            rules,
        });
        let mut door = Door {
            address: port.address,
            scheme,
            start_difficulty,
            difficulties: vardiff.min..=vardiff.max,
            share_time: Duration::from_millis(vardiff.share_time_ms),
            tls: None,
            tls_only: port.tls.as_ref().is_some_and(|tls| tls.only),
            workers: None,
        };
        let (http, workers) = work::routes(
            &context,
            &terms,
            settings.title.as_ref().unwrap_or(&settings.name),
            (port.address, port.limits),
            without_token,
            &house.worker_bans,
            tasks,
        );
        let opened = listener::open(port, house, context, http, tasks).await?;
        (door.address, door.tls) = (opened.address, opened.tls);
        door.workers = Some(workers);
        doors.push(door);
    }
    let started_ms = clock::now_ms();
    let first_share = store.first_share_ms(id).await.context("no first share")?;
    Ok(Pool {
        name: settings.name.clone(),
        coin,
        network: settings.network,
        id,
        store: store.clone(),
        daemons,
        newest,
        proposals,
        blocks,
        payouts,
        reserve,
        suspects,
        receipts,
        verifier,
        sessions,
        kept_sessions,
        bans,
        metrics,
        doors,
        terms,
        alerts: Arc::clone(alerts),
        started_ms,
        began_ms: first_share.unwrap_or(started_ms),
        summary: Shared::default(),
    })
}

/// Who is due in a pool of these settings.
pub fn payout_policy(settings: &config::Pool) -> anyhow::Result<Policy> {
    let coin: &'static Coin = settings.coin.parse()?;
    plan::policy(&settings.payout, coin).map_err(|error| bad(settings, &error).into())
}

/// How a pool of these settings bans; an error if anything in them makes no sense.
pub(crate) fn ban_settings(settings: &config::Pool) -> Result<bans::Settings, config::BadConfig> {
    Ok(Plan::new(settings)?.bans)
}

/// An error if anything in these settings makes no sense. Memory is not asked for: what runs now may have it.
pub(crate) fn makes_sense(settings: &config::Pool) -> Result<(), config::BadConfig> {
    Plan::within(settings, None).map(drop)
}

/// What a pool of these settings pays from.
pub fn purse(settings: &config::Pool) -> anyhow::Result<Purse> {
    let coin: &'static Coin = settings.coin.parse()?;
    plan::purse(settings, coin).map_err(|error| bad(settings, &error).into())
}

/// Where the sessions of a pool wait for its next run.
fn sessions_file(data: &Path, settings: &config::Pool) -> PathBuf {
    data.join("sessions")
        .join(format!("{}.json", settings.name))
}

/// What the run before has saved, and the number of the next job. After a crash it is that of the
/// clock in milliseconds, which is ahead of all numbers of the run before: what is still sent for
/// its jobs must not be taken for other work.
fn read_sessions(path: &Path) -> (Option<Saved>, u32) {
    let by_clock = clock::now_ms().unsigned_abs() & u64::from(u32::MAX);
    let by_clock = u32::try_from(by_clock).expect("masked to 32 bits");
    match Saved::read(path) {
        Ok(Some(saved)) => {
            let next_job = saved.next_job();
            (Some(saved), next_job)
        }
        Ok(None) => (None, by_clock),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the sessions of the last run are lost");
            (None, by_clock)
        }
    }
}

/// Forgets sessions in time, and saves them at the end, when all connections have left theirs.
fn look_after_sessions(
    kept: KeptSessions,
    newest: watch::Receiver<Newest>,
    job_ids: JobIds,
    recipe: Option<Recipe>,
    path: PathBuf,
    tasks: &Tasks,
) {
    let ending = tasks.ending(Stage::Books);
    tasks.spawn(Stage::Books, "sessions", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(SESSIONS_SWEEP) => kept.sweep(tokio::time::Instant::now()),
                () = ending.cancelled() => break,
            }
        }
        let newest = newest.borrow().clone();
        let (Newest::Offer(offer), Some(recipe)) = (newest, recipe) else {
            return Ok(());
        };
        let saved = kept.save(&offer, job_ids.peek(), &recipe);
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .map_err(anyhow::Error::from)
            .and_then(|()| saved.write(&path));
        if let Err(error) = written {
            tracing::warn!(%error, "sessions are not saved: miners begin anew");
        }
        Ok(())
    });
}

/// Tells all connections of newer work, and that the pool is stopping.
fn post_notices(
    mut newest: watch::Receiver<Newest>,
    mailboxes: Mailboxes,
    kept_sessions: KeptSessions,
    tasks: &Tasks,
) {
    let stopping = tasks.ending(Stage::Doors);
    tasks.spawn(Stage::Doors, "notices", async move {
        loop {
            tokio::select! {
                changed = newest.changed() => match changed {
                    Ok(()) => {
                        mailboxes.post(Notice::Work).await;
                        if let Newest::Offer(offer) = &*newest.borrow() {
                            kept_sessions.forget_jobs_before(offer.tip);
                        }
                    }
                    Err(_) => break,
                },
                () = stopping.cancelled() => break,
            }
        }
        mailboxes.post(Notice::Stop).await;
        Ok(())
    });
}

/// Takes a lease now and another one whenever half of it is spent.
async fn lease_extranonces(store: Store, pool: PoolId, tasks: &Tasks) -> anyhow::Result<Allocator> {
    let allocator = Allocator::default();
    allocator.lease(
        store
            .lease_extranonce(pool, LEASE)
            .await
            .context("no lease of extranonces")?,
    );
    let leasing = allocator.clone();
    let stopping = tasks.ending(Stage::Doors);
    tasks.spawn(Stage::Doors, "extranonces", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LEASE_CHECK) => {}
                () = stopping.cancelled() => return Ok(()),
            }
            if leasing.left() < u64::from(LEASE / 2) {
                match store.lease_extranonce(pool, LEASE).await {
                    Ok(range) => leasing.lease(range),
                    Err(error) => tracing::warn!(%error, "no new lease of extranonces"),
                }
            }
        }
    });
    Ok(allocator)
}
