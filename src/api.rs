//! HTTP: the routes, one list. Everything is read-only but three calls that are taken from loopback
//! alone and change no setting: the daemon's poke, the reset of a breaker, and the end of a ban.

mod bans;
mod health;
mod status;

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Serialize;
use tokio::net::TcpListener;
use tracing::info;

use crate::{
    dashboard,
    metrics::Metrics,
    pool::Pool,
    tasks::{Stage, Tasks},
};

pub use status::{PoolStatus, Status};

/// An error as every route answers it.
#[derive(Debug, Serialize)]
struct Error {
    error: ErrorBody,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    code: &'static str,
    message: String,
}

/// Opens the HTTP port. It serves until shutdown.
pub async fn open(
    address: SocketAddr,
    pools: Vec<Pool>,
    tasks: &Tasks,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen for HTTP at {address}"))?;
    let address = listener.local_addr()?;
    info!(%address, "listening for HTTP");
    let routes = routes(pools).into_make_service_with_connect_info::<SocketAddr>();
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

fn routes(pools: Vec<Pool>) -> Router {
    Router::new()
        .route("/", get(dashboard::page))
        .route("/style.css", get(dashboard::style))
        .route("/favicon.ico", get(dashboard::icon))
        .route("/api/v1/status", get(status))
        .route("/api/v1/blocknotify", post(block_notify))
        .route(
            "/api/v1/pools/{pool}/daemons/{index}/reset",
            post(reset_breaker),
        )
        .route("/api/v1/bans", get(bans::list))
        .route("/api/v1/bans/{address}", delete(bans::lift))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .with_state(pools)
}

async fn status(State(pools): State<Vec<Pool>>) -> Response {
    match Status::of(&pools).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// Answers that the store could not be read.
pub(crate) fn unavailable(error: &anyhow::Error) -> Response {
    tracing::warn!(
        error = format!("{error:#}"),
        "a request could not be answered"
    );
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "the store cannot be read",
    )
}

/// For the daemon's `blocknotify`: look for a new block now.
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

/// Asks a daemon again at once that was left alone after failures.
async fn reset_breaker(
    State(pools): State<Vec<Pool>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((name, index)): Path<(String, usize)>,
) -> Response {
    if let Some(refusal) = refuse_strangers(peer) {
        return refusal;
    }
    let reset = pools
        .iter()
        .any(|pool| pool.name == name && pool.daemons.reset_breaker(index));
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

async fn metrics(State(pools): State<Vec<Pool>>) -> Response {
    for pool in &pools {
        if let Err(error) = status::refresh_gauges(pool).await {
            return unavailable(&error);
        }
    }
    let text = Metrics::text_of(pools.iter().map(|pool| &*pool.metrics));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
}

fn problem(status: StatusCode, code: &'static str, message: &str) -> Response {
    let error = ErrorBody {
        code,
        message: message.to_owned(),
    };
    (status, Json(Error { error })).into_response()
}
