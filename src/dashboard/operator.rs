//! `/operator`: the page of whoever runs the pool, behind a login with a key. Each of its forms does what a
//! call of the API does, and works without script.
//!
//! A form carries no token against forgery. The cookie is `SameSite=Strict`, so no page of another site
//! sends it, and each POST must say `Origin` and `Sec-Fetch-Site` of this very origin, so no other port of
//! this host can send one either; every browser that knows `SameSite` says at least one of them with a POST.

use std::time::Duration;

use askama::Template;
use axum::{
    Extension, Form, Router,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use mining::api_key::ApiKey;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};

use super::{ENGLISH, Shell, answer, logins::LASTS, page as told, refuse};
use crate::{
    api::{
        self, acts,
        bans::{self, Bans},
        configuration::{self, Settings},
        daemons::{self, DaemonStatus},
        health::Health,
        luck::{self, Lucks},
        operator::{Office, Operator},
        page::NumberQuery,
        pause::{self, OpenPayouts, Pause},
        pools::OnePool,
        problem::{Body, Problem},
    },
    http::Peer,
    node::Node,
    pool::Pool,
};

/// The cookie's name, and the only path that it is sent to.
const COOKIE: &str = "adit_operator";
const PATH: &str = "/operator";
/// Whoever sends a form slower than that has something else in mind.
const FORM_WITHIN: Duration = Duration::from_secs(10);
/// Bans and accounts that are listed; the API has the rest.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "operator.html")]
struct Page {
    shell: Shell,
    has_node: bool,
    health: Health,
    payouts: OpenPayouts,
    daemons: Vec<(Pool, Vec<DaemonStatus>)>,
    bans: Bans,
    lucks: Lucks,
    settings: Settings,
    acts: acts::Acts,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    shell: Shell,
    problem: Option<String>,
}

/// Its routes.
pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route(PATH, get(page))
        .route("/operator/login", post(log_in))
        .route("/operator/logout", post(log_out))
        .route("/operator/pause", post(pause_payouts))
        .route("/operator/resume", post(resume_payouts))
        .route("/operator/lift", post(lift))
        .route("/operator/lift-worker", post(lift_worker))
        .route("/operator/count-anew", post(count_anew))
        .route("/operator/reset", post(reset))
        .merge(super::node::routes())
}

/// Whoever shows a login that is good.
pub(super) struct LoggedIn(pub(super) Operator);

impl<S: Send + Sync> FromRequestParts<S> for LoggedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Some(office) = parts.extensions.get::<Office>() else {
            return Err(refuse(&Problem::no_login()));
        };
        let token = token(&parts.headers);
        let key = token.and_then(|token| office.logins.key_of(&token, Instant::now()));
        let Some(key) = key else {
            return Err(login_page(StatusCode::UNAUTHORIZED, None));
        };
        // A key that was revoked ends the logins that were made with it.
        match office.still(key).await {
            Ok(Some(operator)) => Ok(Self(operator)),
            Ok(None) => Err(login_page(StatusCode::UNAUTHORIZED, None)),
            Err(problem) => Err(refuse(&problem)),
        }
    }
}

/// A form that a page of this origin has sent.
pub(super) struct OwnForm<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OwnForm<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let office = request.extensions().get::<Office>();
        let headers = request.headers();
        let tells = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
        if !tells || !office.is_some_and(|office| office.origins.is_same(headers)) {
            return Err(refuse(&Problem::other_origin()));
        }
        match timeout(FORM_WITHIN, Form::from_request(request, state)).await {
            Ok(Ok(Form(form))) => Ok(Self(form)),
            _ => Err(refuse(&Problem::bad_form())),
        }
    }
}

#[derive(Deserialize)]
struct KeyForm {
    key: String,
}

#[derive(Deserialize)]
pub(super) struct NoFields {}

#[derive(Deserialize)]
struct PauseForm {
    pool: String,
    reason: String,
}

#[derive(Deserialize)]
struct PoolForm {
    pool: String,
}

#[derive(Deserialize)]
struct AddressForm {
    address: String,
}

#[derive(Deserialize)]
struct WorkerForm {
    worker: String,
}

#[derive(Deserialize)]
struct DaemonForm {
    pool: String,
    index: usize,
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    cursor: Option<String>,
}

async fn page(
    LoggedIn(operator): LoggedIn,
    State(pools): State<Vec<Pool>>,
    Query(asked): Query<Asked>,
    node: Option<Extension<Node>>,
) -> Response {
    let page = Page::new(operator, pools, asked.cursor).await;
    let page = page.map(|page| Page {
        has_node: node.is_some(),
        ..page
    });
    kept_by_nobody(told(page))
}

async fn log_in(
    Extension(office): Extension<Office>,
    peer: Peer,
    OwnForm(form): OwnForm<KeyForm>,
) -> Response {
    let (key, hash) = match office.key_of(peer, form.key.trim()).await {
        Ok(found) => found,
        Err(problem) => {
            let page = login_page(problem.status(), Some(problem.message().to_owned()));
            return problem.with_its_headers(page);
        }
    };
    if let Err(problem) = office.operator(&key).does("logged in", "").await {
        return refuse(&problem);
    }
    let token = match office.logins.begin(hash, Instant::now()) {
        Ok(token) => token,
        Err(error) => return api::unavailable(&error.into()),
    };
    // Only what comes by TLS keeps a cookie that is for TLS alone; over plain HTTP on this machine or in a
    // house it would be lost.
    let secure = if peer.is_secure() { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={}; Path={PATH}; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        token.text(),
        LASTS.as_secs()
    );
    ([(header::SET_COOKIE, cookie)], back()).into_response()
}

async fn log_out(
    Extension(office): Extension<Office>,
    headers: HeaderMap,
    OwnForm(NoFields {}): OwnForm<NoFields>,
) -> Response {
    if let Some(token) = token(&headers) {
        office.logins.end(&token);
    }
    let gone = format!("{COOKIE}=; Path={PATH}; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(header::SET_COOKIE, gone)], back()).into_response()
}

async fn pause_payouts(
    LoggedIn(operator): LoggedIn,
    State(pools): State<Vec<Pool>>,
    OwnForm(form): OwnForm<PauseForm>,
) -> Response {
    let reason = Pause {
        reason: form.reason,
    };
    match pool(&pools, &form.pool) {
        Ok(pool) => done(pause::pause(operator, pool, Body(reason)).await),
        Err(problem) => refuse(&problem),
    }
}

async fn resume_payouts(
    LoggedIn(operator): LoggedIn,
    State(pools): State<Vec<Pool>>,
    OwnForm(form): OwnForm<PoolForm>,
) -> Response {
    match pool(&pools, &form.pool) {
        Ok(pool) => done(pause::resume(operator, pool).await),
        Err(problem) => refuse(&problem),
    }
}

async fn lift(
    LoggedIn(operator): LoggedIn,
    pools: State<Vec<Pool>>,
    OwnForm(form): OwnForm<AddressForm>,
) -> Response {
    done(bans::lift(operator, pools, Path(form.address)).await)
}

async fn lift_worker(
    LoggedIn(operator): LoggedIn,
    pools: State<Vec<Pool>>,
    OwnForm(form): OwnForm<WorkerForm>,
) -> Response {
    done(bans::lift_worker(operator, pools, Path(form.worker)).await)
}

async fn count_anew(
    LoggedIn(operator): LoggedIn,
    pools: State<Vec<Pool>>,
    OwnForm(form): OwnForm<AddressForm>,
) -> Response {
    done(luck::count_anew(operator, pools, Path(form.address)).await)
}

async fn reset(
    LoggedIn(operator): LoggedIn,
    pools: State<Vec<Pool>>,
    OwnForm(form): OwnForm<DaemonForm>,
) -> Response {
    done(api::reset_breaker(operator, pools, Path((form.pool, form.index.to_string()))).await)
}

impl Page {
    async fn new(
        operator: Operator,
        pools: Vec<Pool>,
        cursor: Option<String>,
    ) -> Result<Self, Problem> {
        let mut bans = bans::list(State(pools.clone())).await.0;
        for of_pool in &mut bans.pools {
            of_pool.bans.truncate(SHOWN);
            of_pool.workers.truncate(SHOWN);
        }
        let mut lucks = luck::list(operator.clone(), State(pools.clone())).await?.0;
        for of_pool in &mut lucks.pools {
            of_pool.accounts.truncate(SHOWN);
        }
        let payouts = pause::list(operator.clone(), State(pools.clone())).await?.0;
        Ok(Self {
            shell: Shell::new("operator", ENGLISH.operator),
            has_node: false,
            health: Health::of(&pools).await,
            payouts,
            bans,
            lucks,
            settings: configuration::show(operator.clone()).await?.0,
            acts: acts::list(operator, NumberQuery::after(cursor)).await?.0,
            daemons: pools
                .into_iter()
                .map(|pool| {
                    let daemons = daemons::of_pool(&pool);
                    (pool, daemons)
                })
                .collect(),
        })
    }

    fn coins(&self, pool: &str, units: &str) -> String {
        let found = self.daemons.iter().find(|(found, _)| found.name == pool);
        found.map_or_else(String::new, |(pool, _)| {
            let coins = super::coins(units, &pool.coin.decimals);
            format!("{coins} {}", pool.coin.ticker)
        })
    }
}

fn pool(pools: &[Pool], name: &str) -> Result<OnePool, Problem> {
    let found = pools.iter().find(|pool| pool.name == name);
    found.cloned().map(OnePool).ok_or_else(Problem::no_pool)
}

/// Back to the page, so that a reload does nothing again.
fn back() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, PATH)]).into_response()
}

fn done(done: Result<StatusCode, Problem>) -> Response {
    match done {
        Ok(_) => back(),
        Err(problem) => refuse(&problem),
    }
}

fn login_page(status: StatusCode, problem: Option<String>) -> Response {
    let page = LoginPage {
        shell: Shell::new("operator", ENGLISH.operator),
        problem,
    };
    kept_by_nobody(answer(status, &page))
}

pub(super) fn kept_by_nobody(mut page: Response) -> Response {
    let never = header::HeaderValue::from_static("no-store");
    page.headers_mut().insert(header::CACHE_CONTROL, never);
    page
}

/// What the browser has of a login. The name comes once: another one may be somebody else's.
fn token(headers: &HeaderMap) -> Option<ApiKey> {
    let lines = headers.get_all(header::COOKIE).iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    let mut found = texts.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    });
    let only = found.next().filter(|_| found.next().is_none());
    only?.parse().ok()
}
