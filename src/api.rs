//! HTTP: the routes, one list. Five calls are taken from loopback alone and change no setting: the
//! daemon's poke, the reset of a breaker, the end of a ban, and who finds too few blocks. What a miner wants of its payouts is
//! taken from anywhere, with the miner's signature. Everything else is read-only.

mod alerts;
pub(crate) mod balances;
mod bans;
pub(crate) mod blocks;
mod compat;
pub(crate) mod credits;
mod csv;
pub(crate) mod daemons;
pub(crate) mod doctor;
pub(crate) mod estimate;
pub(crate) mod events;
pub(crate) mod hashrate;
pub(crate) mod health;
mod luck;
pub(crate) mod miner;
mod openapi;
pub(crate) mod page;
pub(crate) mod payments;
pub(crate) mod payouts;
pub(crate) mod pools;
pub(crate) mod problem;
pub(crate) mod rate;
mod receipts;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod shares;
pub(crate) mod statement;
mod status;
mod subscription_link;
mod subscriptions;
pub(crate) mod workers;

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::{
    Extension, Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tracing::info;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    config, dashboard,
    metrics::Metrics,
    pool::Pool,
    tasks::{Stage, Tasks},
};

use events::Live;
pub use pools::PoolSummary;
use problem::Problem;
pub use status::{PoolStatus, Status};

/// The longest body: settings with the longest signature fit.
const BODY_MAX: usize = 8 * 1024;

/// Opens the HTTP port. It serves until shutdown.
pub async fn open(
    address: SocketAddr,
    pools: Vec<Pool>,
    shapes: &config::Compat,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    if let Some(folder) = &shapes.ckpool_logdir {
        let stopping = tasks.ending(Stage::Doors);
        let keep = compat::keep_ckpool_files(folder.clone(), pools.clone(), stopping);
        tasks.spawn(Stage::Doors, "ckpool files", keep);
    }
    let live = Live::start(pools.clone(), tasks);
    serve(address, routes(pools, live, shapes), tasks).await
}

/// Opens the port that NerdMiners ask for this pool. It serves until shutdown.
pub async fn open_for_nerdminers(
    address: SocketAddr,
    pool: Pool,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let routes = compat::public_pool_alone()
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(vec![pool]);
    serve(address, routes, tasks).await
}

async fn serve(address: SocketAddr, routes: Router, tasks: &Tasks) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen for HTTP at {address}"))?;
    let address = listener.local_addr()?;
    info!(%address, "listening for HTTP");
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    let stopping = tasks.ending(Stage::Doors);
    tasks.spawn(Stage::Doors, "http", async move {
        let stopped = stopping.clone().cancelled_owned();
        tokio::select! {
            served = axum::serve(listener, routes).with_graceful_shutdown(stopped) => Ok(served?),
            // A client that keeps its connection open is not waited for.
            () = async {
                stopping.cancelled().await;
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            } => Ok(()),
        }
    });
    Ok(address)
}

fn routes(pools: Vec<Pool>, live: Live, shapes: &config::Compat) -> Router {
    let (documented, description) = documented().split_for_parts();
    // Once a process, and for as long as it lives.
    let description: &'static str = openapi::text(&description).leak();
    documented
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
        .layer(Extension(live))
        .layer(Extension(shapes.clone()))
        .with_state(pools)
}

/// The routes that are described.
fn documented() -> OpenApiRouter<Vec<Pool>> {
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
        .routes(routes!(alerts::of_operator))
        .routes(routes!(alerts::dead_letters))
        .routes(routes!(alerts::send_again))
        .routes(routes!(subscriptions::show, subscriptions::subscribe))
        .routes(routes!(subscriptions::list))
        .routes(routes!(subscriptions::remove))
        .routes(routes!(bans::list))
        .routes(routes!(bans::lift))
        .routes(routes!(luck::list))
        .routes(routes!(luck::count_anew))
        .routes(routes!(block_notify))
        .routes(routes!(reset_breaker))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(metrics))
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
/// For the daemon's `blocknotify`. From this machine alone.
#[utoipa::path(
    post, path = "/api/v1/blocknotify", operation_id = "block_notify", tag = "operator",
    responses((status = 204, description = "Done."), (status = 403, description = "Only this machine may call this.", body = problem::Error))
)]
async fn block_notify(
    State(pools): State<Vec<Pool>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    if let Some(refusal) = refuse_strangers(peer) {
        return refusal;
    }
    for pool in &pools {
        pool.daemons.poke();
    }
    StatusCode::NO_CONTENT.into_response()
}

/// Ask a daemon again at once
///
/// One that is left alone after failures. From this machine alone.
#[utoipa::path(
    post, path = "/api/v1/pools/{pool}/daemons/{index}/reset", operation_id = "reset_daemon", tag = "operator",
    params(
        ("pool" = String, Path, description = "The pool's name"),
        ("index" = usize, Path, description = "The daemon's place in the configuration, from 0 on")
    ),
    responses(
        (status = 204, description = "Done."),
        (status = 403, description = "Only this machine may call this.", body = problem::Error),
        (status = 404, description = "There is nothing here.", body = problem::Error)
    )
)]
async fn reset_breaker(
    State(pools): State<Vec<Pool>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((name, index)): Path<(String, String)>,
) -> Response {
    if let Some(refusal) = refuse_strangers(peer) {
        return refusal;
    }
    let reset = index.parse().is_ok_and(|index| {
        let mut pools = pools.iter().filter(|pool| pool.name == name);
        pools.any(|pool| pool.daemons.reset_breaker(index))
    });
    if reset {
        StatusCode::NO_CONTENT.into_response()
    } else {
        not_found().await
    }
}

/// The answer to whoever is not on this machine.
fn refuse_strangers(peer: SocketAddr) -> Option<Response> {
    let message = "only this machine may call this";
    let is_stranger = !peer.ip().to_canonical().is_loopback();
    is_stranger.then(|| problem(StatusCode::FORBIDDEN, "forbidden", message))
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

async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
}

async fn wrong_method() -> Response {
    let message = "there is something here, but not by this method";
    problem(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
}

fn problem(status: StatusCode, code: &'static str, message: &str) -> Response {
    Problem::new(status, code, message).into_response()
}
