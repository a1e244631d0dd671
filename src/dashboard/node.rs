//! `/operator/node`: the page of a node's modes, behind the operator's login. Each of its forms does what a
//! call of the API does, and works without script; what changes by itself comes as one piece, made here.

use std::collections::HashMap;

use askama::Template;
use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response, sse::Event},
    routing::{get, post},
};
use serde::Deserialize;

use super::{
    ENGLISH, Shell, Words,
    chart::Chart,
    operator::{LoggedIn, NoFields, OwnForm, kept_by_nobody},
    page as told, qr, refuse,
};
use crate::{
    api::{
        events::Live,
        hashrate,
        node::{self, Hosted, NodeStatus, NodeWish},
        problem::Problem,
    },
    display,
    http::Peer,
    node::{Changes, Mode, Node, POOL_NAME_MAX, PORTS, WORKER_NAME_MAX},
    pool::Pool,
    work::PortWorkers,
    worker::Profile,
};

const PATH: &str = "/operator/node";
/// Workers and lines that are listed.
const WORKERS: usize = 100;
const LINES: usize = 50;
/// The letters of an address in the table of workers.
const WALLET: usize = 20;

#[derive(Template)]
#[template(path = "node.html")]
struct Page {
    shell: Shell,
    mode: Mode,
    status: NodeStatus,
    /// What its own worker and its pool are paid in.
    has_pool: bool,
    foundation: Option<String>,
    /// Of the address where workers connect.
    qr: Option<String>,
    /// Nobody can connect there from elsewhere.
    is_loopback: bool,
    now: String,
}

/// What changes while one looks.
#[derive(Template)]
#[template(path = "node_now.html")]
struct Now {
    t: &'static Words,
    mode: Mode,
    status: NodeStatus,
    chart: Chart,
    workers: Vec<Row>,
    workers_in_all: usize,
    /// Shares of workers that are connected, and blocks of the pool.
    shares: u64,
}

/// A worker that is connected.
struct Row {
    name: String,
    wallet: String,
    agent: String,
    shares: u64,
    /// By its shares, of workers of HTTP.
    hashrate: Option<String>,
    /// What it would be credited if a block were found now.
    payout: Option<String>,
    difficulty: f64,
    last_share: Option<String>,
}

/// Its routes.
pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route(PATH, get(page))
        .route("/operator/node/live", get(live))
        .route("/operator/node/mode", post(set_mode))
        .route("/operator/node/host", post(host))
        .route("/operator/node/stop", post(stop))
        .route("/operator/node/join", post(join))
}

#[derive(Deserialize)]
struct ModeForm {
    mode: String,
}

#[derive(Deserialize)]
struct HostForm {
    pool_name: String,
    pool_fee: String,
    #[serde(default)]
    pool_port: String,
    host_address: String,
}

#[derive(Deserialize)]
struct JoinForm {
    url: String,
    #[serde(default)]
    tls_fingerprint: String,
    worker_name: String,
    wallet_address: String,
    profile: String,
    fall_back_s: String,
}

async fn page(
    _: LoggedIn,
    State(pools): State<Vec<Pool>>,
    node: Node,
    headers: HeaderMap,
) -> Response {
    kept_by_nobody(told(Page::new(&node, &pools, &headers)))
}

/// The piece that changes, whenever it does.
async fn live(
    _: LoggedIn,
    State(pools): State<Vec<Pool>>,
    Extension(live): Extension<Live>,
    node: Node,
    peer: Peer,
    headers: HeaderMap,
) -> Response {
    let mut before = String::new();
    let answer = live.answer(peer, move |_| {
        let Ok(now) = Now::new(&node, &pools, &headers).render() else {
            return Vec::new();
        };
        if now == before {
            return Vec::new();
        }
        before.clone_from(&now);
        let parts = serde_json::json!({ "node-now": now });
        vec![Event::default().event("parts").data(parts.to_string())]
    });
    answer.into_response()
}

async fn set_mode(
    LoggedIn(operator): LoggedIn,
    node: Node,
    OwnForm(form): OwnForm<ModeForm>,
) -> Response {
    let wish = NodeWish {
        mode: Some(form.mode),
        ..NodeWish::default()
    };
    done(wished(&operator, &node, &wish, None).await)
}

async fn stop(LoggedIn(operator): LoggedIn, node: Node, _: OwnForm<NoFields>) -> Response {
    done(wished(&operator, &node, &NodeWish::default(), Some(Mode::Solo)).await)
}

async fn host(
    LoggedIn(operator): LoggedIn,
    node: Node,
    OwnForm(form): OwnForm<HostForm>,
) -> Response {
    let wish = || {
        Some(NodeWish {
            pool_name: Some(form.pool_name.clone()),
            pool_fee: Some(number(&form.pool_fee)?),
            // Without a choice it stays where it is.
            pool_port: match form.pool_port.trim() {
                "" => None,
                text => Some(text.parse().ok()?),
            },
            host_address: Some(form.host_address.clone()),
            ..NodeWish::default()
        })
    };
    match wish() {
        Some(wish) => done(wished(&operator, &node, &wish, Some(Mode::Host)).await),
        None => refuse(&Problem::bad_form()),
    }
}

async fn join(
    LoggedIn(operator): LoggedIn,
    node: Node,
    OwnForm(form): OwnForm<JoinForm>,
) -> Response {
    let Ok(fall_back_s) = form.fall_back_s.trim().parse() else {
        return refuse(&Problem::bad_form());
    };
    let before = node.state().settings;
    let is_same_pool = form.url.trim() == before.url;
    let fingerprint = form.tls_fingerprint.trim();
    // The form had the fingerprint of the pool before, which another pool has not.
    let is_told = is_same_pool || fingerprint != before.tls_fingerprint;
    let wish = NodeWish {
        url: Some(form.url.clone()),
        tls_fingerprint: is_told.then(|| fingerprint.to_owned()),
        worker_name: Some(form.worker_name),
        wallet_address: Some(form.wallet_address),
        profile: Some(form.profile),
        fall_back_s: Some(fall_back_s),
        ..NodeWish::default()
    };
    done(wished(&operator, &node, &wish, Some(Mode::Join)).await)
}

async fn wished(
    operator: &crate::api::operator::Operator,
    node: &Node,
    wish: &NodeWish,
    mode: Option<Mode>,
) -> Result<(), Problem> {
    let changes = wish.changes()?;
    let changes = Changes {
        mode: mode.or(changes.mode),
        ..changes
    };
    node::change(operator, node, changes).await.map(drop)
}

/// A number as a form has it, read as one of JSON is.
fn number(text: &str) -> Option<serde_json::Number> {
    let text = text.trim();
    // Browsers let people write `.5`, too.
    let text = if text.starts_with('.') {
        format!("0{text}")
    } else {
        text.to_owned()
    };
    serde_json::from_str(&text).ok()
}

/// Back to the page, so that a reload does nothing again.
fn done(done: Result<(), Problem>) -> Response {
    match done {
        Ok(()) => (StatusCode::SEE_OTHER, [(header::LOCATION, PATH)]).into_response(),
        Err(problem) => refuse(&problem),
    }
}

impl Page {
    fn new(node: &Node, pools: &[Pool], headers: &HeaderMap) -> Result<Self, Problem> {
        let now = Now::new(node, pools, headers);
        let now = now
            .render()
            .map_err(|error| Problem::from(anyhow::Error::from(error)))?;
        let state = node.state();
        let status = NodeStatus::of(node, headers);
        let fees = pools.first().map(|pool| pool.terms.accounting.fees.list());
        let foundation = fees
            .into_iter()
            .flatten()
            .find(|fee| fee.name == "foundation");
        let qr = status.hosted.as_ref();
        let door = pools.first().and_then(|pool| pool.doors.first());
        Ok(Self {
            shell: Shell::new("operator", ENGLISH.node),
            mode: state.settings.mode,
            has_pool: !pools.is_empty(),
            foundation: foundation.map(|fee| fee.percent.to_string()),
            qr: qr.and_then(|Hosted { url, .. }| qr::svg(url, ENGLISH.qr)),
            is_loopback: door.is_some_and(|door| door.address.ip().to_canonical().is_loopback()),
            status,
            now,
        })
    }

    fn told(profile: &Profile) -> String {
        let says = match profile {
            Profile::Laptop => ENGLISH.laptop_says,
            Profile::Balanced => ENGLISH.balanced_says,
            Profile::Beast => ENGLISH.beast_says,
        };
        format!("{}: {says}", profile.name())
    }

    fn port_is(&self, port: &u16) -> bool {
        self.status.settings.pool_port == Some(*port)
    }
}

impl Now {
    fn rate(hashes: &u64) -> String {
        display::hashrate(display::to_f64((*hashes).into()))
    }

    fn new(node: &Node, pools: &[Pool], headers: &HeaderMap) -> Self {
        let state = node.state();
        let mut status = NodeStatus::of(node, headers);
        status.log.truncate(LINES);
        let sessions = match state.settings.mode {
            Mode::Host => pools.first().map(|pool| pool.sessions.list()),
            Mode::Solo | Mode::Join => None,
        };
        let sessions = sessions.unwrap_or_default();
        let accepted = |session: &crate::sessions::Session| {
            session.accepted.load(std::sync::atomic::Ordering::Relaxed)
        };
        let pool = pools.first();
        let earnings: HashMap<_, _> = pool
            .into_iter()
            .flat_map(|pool| &pool.doors)
            .flat_map(|door| door.workers.as_ref().map(PortWorkers::earnings))
            .flatten()
            .collect();
        let earning = |session: &crate::sessions::Session| {
            let worker = &session.worker;
            let name = (
                worker.address.as_str().to_owned(),
                worker.worker.to_string(),
            );
            earnings.get(&name).copied()
        };
        let coins = |units: u64| {
            let coin = pool.map(|pool| pool.coin)?;
            let coins = super::coins(&units.to_string(), &coin.decimals);
            Some(format!("{coins} {}", coin.ticker))
        };
        let rows = sessions.iter().take(WORKERS).map(|session| Row {
            hashrate: earning(session).map(|earning| Self::rate(&earning.hashrate)),
            payout: earning(session)
                .and_then(|earning| earning.estimated_payout)
                .and_then(coins),
            name: session.worker.worker.to_string(),
            wallet: session
                .worker
                .address
                .as_str()
                .chars()
                .take(WALLET)
                .collect(),
            agent: display::plain(&session.agent).chars().take(40).collect(),
            shares: accepted(session),
            difficulty: session.difficulty().to_f64(),
            last_share: match session
                .last_share_ms
                .load(std::sync::atomic::Ordering::Relaxed)
            {
                0 => None,
                time_ms => Some(display::time(time_ms)),
            },
        });
        let history = node.told.history();
        let points = history.iter().map(|sample| hashrate::Point {
            time: sample.time_ms / 1000,
            hashrate: sample.hashrate,
            shares: 0,
        });
        let chart = hashrate::Chart {
            pool: String::new(),
            step_s: 10,
            points: points.collect(),
            blocks: Vec::new(),
        };
        Self {
            t: &ENGLISH,
            mode: state.settings.mode,
            chart: Chart::new(&chart),
            shares: sessions.iter().map(|session| accepted(session)).sum(),
            workers_in_all: sessions.len(),
            workers: rows.collect(),
            status,
        }
    }
}
