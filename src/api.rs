//! HTTP: the routes, in two lists. What everybody may ask is read-only, but for what a miner wants of its
//! payouts, which needs the miner's signature. What operators may is in the other list, and each of its
//! calls asks for an `Operator`.

pub(crate) mod acts;
pub(crate) mod alerts;
pub(crate) mod balances;
pub(crate) mod bans;
pub(crate) mod blocks;
mod compat;
pub(crate) mod configuration;
pub(crate) mod credits;
mod csv;
pub(crate) mod daemons;
pub(crate) mod doctor;
pub(crate) mod estimate;
pub(crate) mod events;
mod front;
pub(crate) mod hashrate;
pub(crate) mod health;
pub(crate) mod luck;
pub(crate) mod miner;
pub(crate) mod node;
mod openapi;
pub(crate) mod operator;
mod origin;
pub(crate) mod page;
pub(crate) mod pause;
pub(crate) mod payments;
pub(crate) mod payouts;
pub(crate) mod pools;
pub(crate) mod problem;
pub(crate) mod rate;
pub(crate) mod receipts;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod shared;
pub(crate) mod shares;
pub(crate) mod statement;
mod status;
mod subscription_link;
mod subscriptions;
mod verification;
pub(crate) mod workers;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{get, options},
};
use store::Store;
use tokio::sync::Semaphore;
use tracing::info;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    config, dashboard,
    http::{self, Rules, answer},
    listener,
    metrics::Metrics,
    node::Node,
    pool::Pool,
    systemd::Sockets,
    tasks::{Stage, Tasks},
};

pub use configuration::Setting;
use events::Live;
pub(crate) use front::Front;
use operator::{Office, Operator};
pub use pools::PoolSummary;
use problem::{OperatorProblems, Problem};
pub use status::{PoolStatus, Status};

/// The longest body: settings with the longest signature fit.
const BODY_MAX: usize = 8 * 1024;

/// What the HTTP port needs beside pools.
pub struct Door {
    /// Its own settings, checked.
    pub rules: Rules,
    /// All settings, which an operator may read.
    pub settings: Vec<Setting>,
    /// Where keys and acts are.
    pub store: Store,
    /// A permit for each connection.
    pub files: Arc<Semaphore>,
    /// What listens already, from the run before.
    pub sockets: Sockets,
}

/// Opens the port that NerdMiners ask for this pool, with the same limits. It serves until shutdown.
pub async fn open_for_nerdminers(
    address: SocketAddr,
    pool: Pool,
    door: &Door,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let routes = compat::public_pool_alone()
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(vec![pool]);
    let listener = door
        .sockets
        .listen(address, || listener::listen(address))
        .with_context(|| format!("cannot listen for HTTP at {address}"))?;
    let address = listener.local_addr()?;
    info!(%address, "listening for HTTP of NerdMiners");
    let files = Arc::clone(&door.files);
    http::serve(
        listener,
        routes,
        &door.rules,
        files,
        &tasks.on(http::threads()?),
    )?;
    Ok(address)
}

/// Opens the HTTP port. It serves until shutdown.
pub async fn open(
    door: Door,
    pools: Vec<Pool>,
    shapes: &config::Compat,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let tasks = &tasks.on(http::threads()?);
    let routes = of_pools(pools, None, shapes, door.office(), tasks);
    serve(&door, routes, tasks)
}

fn serve(door: &Door, routes: Router, tasks: &Tasks) -> anyhow::Result<SocketAddr> {
    let address = door.rules.listen;
    let listener = door
        .sockets
        .listen(address, || listener::listen(address))
        .with_context(|| format!("cannot listen for HTTP at {address}"))?;
    let address = listener.local_addr()?;
    info!(%address, "listening for HTTP");
    http::serve(
        listener,
        routes,
        &door.rules,
        Arc::clone(&door.files),
        tasks,
    )?;
    Ok(address)
}

impl Door {
    fn office(&self) -> Office {
        Office::new(&self.rules, self.settings.clone(), self.store.clone())
    }
}

/// All that is answered of these pools, and what keeps it true while they run.
fn of_pools(
    pools: Vec<Pool>,
    node: Option<Node>,
    shapes: &config::Compat,
    office: Office,
    tasks: &Tasks,
) -> Router {
    if let Some(folder) = &shapes.ckpool_logdir {
        let stopping = tasks.ending(Stage::Doors);
        let keep = compat::keep_ckpool_files(folder.clone(), pools.clone(), stopping);
        tasks.spawn(Stage::Doors, "ckpool files", keep);
    }
    let live = Live::start(pools.clone(), tasks);
    let routes = routes(pools, live, shapes, office);
    match node {
        Some(node) => routes.layer(Extension(node)),
        None => routes,
    }
}

fn routes(pools: Vec<Pool>, live: Live, shapes: &config::Compat, office: Office) -> Router {
    let (mut documented, description) = documented().split_for_parts();
    for path in read_by_all() {
        documented = documented.route(&path, options(answer::preflight));
    }
    // Once a process, and for as long as it lives.
    static DESCRIPTION: OnceLock<String> = OnceLock::new();
    let description = DESCRIPTION.get_or_init(|| openapi::text(&description));
    documented
        .merge(node::routes())
        .merge(dashboard::routes())
        .route(
            subscription_link::PATH,
            get(subscription_link::page).post(subscription_link::done),
        )
        .route(
            "/api/openapi.json",
            get(async move || openapi::answer(description)),
        )
        .merge(compat::routes(shapes))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(operator::pace))
        .layer(Extension(live))
        .layer(Extension(shapes.clone()))
        .layer(Extension(office))
        .with_state(pools)
}

/// The routes that are described.
fn documented() -> OpenApiRouter<Vec<Pool>> {
    let public = for_all().route_layer(from_fn(answer::public));
    public.merge(for_operators().route_layer(from_fn(answer::private)))
}

/// The paths of the API that everybody may read.
fn read_by_all() -> Vec<String> {
    let paths = for_all().into_openapi().paths.paths.into_iter();
    let read = paths.filter(|(path, of)| path.starts_with("/api/") && of.get.is_some());
    read.map(|(path, _)| path).collect()
}

/// What everybody may ask.
fn for_all() -> OpenApiRouter<Vec<Pool>> {
    OpenApiRouter::with_openapi(openapi::Description::openapi())
        .routes(routes!(status))
        .routes(routes!(pools::list))
        .routes(routes!(pools::show))
        .routes(routes!(hashrate::of_pool))
        .routes(routes!(blocks::list))
        .routes(routes!(payouts::list))
        .routes(routes!(events::listen))
        .routes(routes!(miner::summary))
        .routes(routes!(miner::stats))
        .routes(routes!(hashrate::of_miner))
        .routes(routes!(workers::list))
        .routes(routes!(doctor::show))
        .routes(routes!(csv::of_credits))
        .routes(routes!(csv::of_payouts))
        .routes(routes!(csv::of_statement))
        .routes(routes!(balances::list))
        .routes(routes!(balances::of_coin))
        .routes(routes!(credits::list))
        .routes(routes!(credits::explain))
        .routes(routes!(estimate::show))
        .routes(routes!(payments::list))
        .routes(routes!(statement::list))
        .routes(routes!(settings::show, settings::change))
        .routes(routes!(settings::request))
        .routes(routes!(receipts::issuers))
        .routes(routes!(receipts::days))
        .routes(routes!(receipts::day))
        .routes(routes!(receipts::log))
        .routes(routes!(receipts::split))
        .routes(routes!(receipts::of_miner))
        .routes(routes!(receipts::day_of_miner))
        .routes(routes!(alerts::of_miner))
        .routes(routes!(subscriptions::show, subscriptions::subscribe))
        .routes(routes!(subscriptions::list))
        .routes(routes!(subscriptions::remove))
        .routes(routes!(bans::list))
        .routes(routes!(node::mode))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(metrics))
}

/// What operators may.
fn for_operators() -> OpenApiRouter<Vec<Pool>> {
    OpenApiRouter::new()
        .routes(routes!(bans::lift))
        .routes(routes!(bans::lift_worker))
        .routes(routes!(alerts::of_operator))
        .routes(routes!(alerts::dead_letters))
        .routes(routes!(alerts::send_again))
        .routes(routes!(luck::list))
        .routes(routes!(luck::count_anew))
        .routes(routes!(pause::list))
        .routes(routes!(pause::pause))
        .routes(routes!(pause::resume))
        .routes(routes!(acts::list))
        .routes(routes!(configuration::show))
        .routes(routes!(node::show))
        .routes(routes!(node::configure))
        .routes(routes!(node::start))
        .routes(routes!(node::stop))
        .routes(routes!(node::set_mode))
        .routes(routes!(block_notify))
        .routes(routes!(reset_breaker))
}

/// The pools at a glance
///
/// What the status page shows.
#[utoipa::path(
    get, path = "/api/v1/status", operation_id = "status", tag = "pool",
    responses((status = 200, description = "The answer.", body = Status), (status = 503, description = "The store cannot be used now.", body = problem::Error))
)]
async fn status(State(pools): State<Vec<Pool>>) -> Response {
    match Status::of(&pools).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Answers that the store could not be read.
pub(crate) fn unavailable(error: &anyhow::Error) -> Response {
    Problem::unavailable(error).into_response()
}

/// Look for a new block now
///
/// For the daemon's `blocknotify`. It is a notice and no decision, so the log of acts has it not.
#[utoipa::path(
    post, path = "/api/v1/blocknotify", operation_id = "block_notify", tag = "operator",
    security(("key" = []), ()),
    responses((status = 204, description = "Done."), OperatorProblems)
)]
async fn block_notify(_: Operator, State(pools): State<Vec<Pool>>) -> StatusCode {
    for pool in &pools {
        pool.daemons.poke();
    }
    StatusCode::NO_CONTENT
}

/// Ask a daemon again at once
///
/// One that is left alone after failures.
#[utoipa::path(
    post, path = "/api/v1/pools/{pool}/daemons/{index}/reset", operation_id = "reset_daemon", tag = "operator",
    params(
        ("pool" = String, Path, description = "The pool's name"),
        ("index" = usize, Path, description = "The daemon's place in the configuration, from 0 on")
    ),
    security(("key" = []), ()),
    responses((status = 204, description = "Done."), OperatorProblems)
)]
pub(crate) async fn reset_breaker(
    operator: Operator,
    State(pools): State<Vec<Pool>>,
    Path((name, index)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let index: usize = index.parse().map_err(|_| Problem::nothing())?;
    let pool = pools.iter().find(|pool| pool.name == name);
    let daemon = pool.and_then(|pool| pool.daemons.health().into_iter().nth(index));
    let (Some(pool), Some(daemon)) = (pool, daemon) else {
        return Err(Problem::nothing());
    };
    let subject = format!("{name}: {}", daemon.name);
    operator.does("daemon asked again", &subject).await?;
    pool.daemons.reset_breaker(index);
    Ok(StatusCode::NO_CONTENT)
}

/// Figures for Prometheus
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "pool",
    responses(
        (status = 200, description = "The answer.", body = String, content_type = "application/openmetrics-text"),
        (status = 503, description = "The store cannot be used now.", body = problem::Error)
    )
)]
async fn metrics(
    State(pools): State<Vec<Pool>>,
    Extension(shapes): Extension<config::Compat>,
) -> Response {
    for pool in &pools {
        if let Err(error) = status::refresh_gauges(pool).await {
            return unavailable(&error);
        }
    }
    let mut text = Metrics::text_of(pools.iter().map(|pool| &*pool.metrics));
    if shapes.metrics_alias {
        match compat::metrics_of(&pools).await {
            // The end is that of the aliases.
            Ok(aliases) => text = text.replace("# EOF\n", "") + &aliases,
            Err(error) => return unavailable(&error.into()),
        }
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn not_found() -> Problem {
    Problem::nothing()
}

async fn wrong_method() -> Problem {
    let message = "there is something here, but not by this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
}
