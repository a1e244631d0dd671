//! `/api/v1/receipts` and what a miner asks of it: what the pool signs of each day, the logs of days,
//! and a miner's receipts. What is answered is what `adit verify` reads; how it is made is said in
//! `receipts`, and what its bytes are in `docs/receipts.md`.
//!
//! A salt is given to whoever names the address: all that it uncovers, this API says of an address
//! anyway.

use std::str::FromStr as _;

use axum::{
    Json,
    body::Body,
    extract::{FromRequestParts, Path, Query, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use mining::date::Date;
use pow::Hash;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::{
    miner::{Miner, Place},
    problem::{Error, Problem},
};
use crate::{
    pool::Pool,
    receipts::{
        NotKept,
        export::{Day, MinerSum, Receipt, Split},
    },
};

/// Entries on a page, unless more are asked for.
const LIMIT: u32 = 50;
/// The most entries on a page.
const LIMIT_MAX: u32 = 500;

/// Which pool; may be left out where there is only one.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfPoolQuery {
    /// The pool's name; may be left out where there is only one.
    pub(crate) pool: Option<String>,
}

/// Which page of the statements.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DaysQuery {
    /// The pool's name; may be left out where there is only one.
    pub(crate) pool: Option<String>,
    /// How many entries, from 1 to 500; 50 if nothing is said.
    #[param(minimum = 1, maximum = 500)]
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before.
    pub(crate) cursor: Option<String>,
}

impl DaysQuery {
    /// The page of a pool's days after this cursor.
    pub(crate) fn of(pool: &str, cursor: Option<String>) -> Self {
        Self {
            pool: Some(pool.to_owned()),
            limit: None,
            cursor,
        }
    }
}

/// Which receipts of a miner.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReceiptsQuery {
    /// The pool's name; may be left out where one pool alone knows the miner.
    pub(crate) pool: Option<String>,
    /// The day, in UTC; the newest that has a log if nothing is said.
    pub(crate) date: Option<String>,
    /// How many entries, from 1 to 500; 50 if nothing is said.
    #[param(minimum = 1, maximum = 500)]
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before, which is a place in the day's log.
    pub(crate) cursor: Option<u64>,
}

/// Who gives receipts here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Issuers {
    /// The pools.
    pub(crate) pools: Vec<IssuerKey>,
}

/// A pool and its key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IssuerKey {
    /// The pool's name.
    pub(crate) pool: String,
    /// The coin's name.
    pub(crate) coin: String,
    /// The network.
    pub(crate) network: String,
    /// The public key that signs for it.
    pub(crate) key: String,
    /// The log that gets more shares; null if there is none.
    pub(crate) open: Option<OpenDay>,
    /// The newest statement; null if there is none.
    pub(crate) last: Option<Day>,
}

/// A log that gets more shares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenDay {
    /// Its day.
    pub(crate) date: String,
    /// The shares so far.
    pub(crate) shares: u64,
    /// Their work, in expected hashes.
    pub(crate) work: String,
    /// The root so far.
    pub(crate) root: Option<String>,
}

/// A page of statements.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DaysPage {
    /// The statements, the newest first; each names the one behind it.
    pub(crate) items: Vec<Day>,
    /// The `cursor` of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// A page of a miner's receipts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceiptsPage {
    /// The miner's address, in the form that it is kept in.
    pub(crate) address: String,
    /// The day.
    pub(crate) date: String,
    /// The receipts, the oldest first. A page may have none though more follow: of a large log only
    /// some is looked through for each.
    pub(crate) items: Vec<Receipt>,
    /// The `cursor` of the next page; null on the last one.
    pub(crate) next: Option<u64>,
}

/// What a question about receipts is answered with when it is not answered.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description of the API alone")]
pub(super) enum ReceiptProblems {
    /// The address, the day, a limit or a cursor makes no sense, or the pool must be named.
    #[response(status = 400)]
    Bad(#[to_schema] Error),
    /// There is no such pool, miner or day, or the miner has nothing in it.
    #[response(status = 404)]
    Unknown(#[to_schema] Error),
    /// The day is not closed yet.
    #[response(status = 409)]
    Open(#[to_schema] Error),
    /// What it would be made from is not kept any more.
    #[response(status = 410)]
    Gone(#[to_schema] Error),
    /// The store cannot be read now.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}

impl From<NotKept> for Problem {
    fn from(error: NotKept) -> Self {
        match error {
            NotKept::Unknown => Self::unknown("unknown_day", error.to_string()),
            NotKept::Open => Self::conflict("day_open", error.to_string()),
            NotKept::Gone => Self::new(StatusCode::GONE, "not_kept", error.to_string()),
            NotKept::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string()),
            NotKept::Fault(cause) => Self::unavailable(&cause),
        }
    }
}

/// A query in which nothing stands that is not understood.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::from_request_parts(parts, state).await;
        let bad = |text| Problem::bad("bad_query", text);
        query.map(|Query(query)| Self(query)).map_err(
            |rejection: axum::extract::rejection::QueryRejection| bad(rejection.body_text()),
        )
    }
}

/// The keys of the pools
///
/// Who signs, and what was signed last.
#[utoipa::path(
    get, path = "/api/v1/receipts", operation_id = "receipt_keys", tag = "receipts",
    responses((status = 200, description = "The answer.", body = Issuers), ReceiptProblems)
)]
pub(crate) async fn issuers(State(pools): State<Vec<Pool>>) -> Result<Json<Issuers>, Problem> {
    let mut keys = Vec::new();
    for pool in &pools {
        let receipts = &pool.receipts;
        let open = pool.store.open_log(pool.id).await?;
        let last = pool.store.statements(pool.id, None, 1).await?.pop();
        keys.push(IssuerKey {
            pool: receipts.issuer().pool().to_owned(),
            coin: receipts.issuer().coin().to_owned(),
            network: receipts.issuer().network().to_owned(),
            key: receipts.public_key().to_string(),
            open: open.map(|open| OpenDay {
                date: open.date.to_string(),
                shares: open.edge.count(),
                work: open.work.hashes().to_string(),
                root: open.edge.root().map(|root| root.to_string()),
            }),
            last: last.as_ref().map(Day::new),
        });
    }
    Ok(Json(Issuers { pools: keys }))
}

/// What was signed, day by day
///
/// The newest first. A day without shares has no statement.
#[utoipa::path(
    get, path = "/api/v1/receipts/days", operation_id = "receipt_days", tag = "receipts",
    params(DaysQuery),
    responses((status = 200, description = "The answer.", body = DaysPage), ReceiptProblems)
)]
pub(crate) async fn days(
    State(pools): State<Vec<Pool>>,
    Asked(query): Asked<DaysQuery>,
) -> Result<Json<DaysPage>, Problem> {
    let pool = of_name(&pools, query.pool.as_deref())?;
    let limit = limit(query.limit)?;
    let before = query.cursor.as_deref().map(|text| {
        let bad = || Problem::bad("bad_cursor", "a cursor is the `next` of the page before");
        text.parse::<Date>().map_err(|_| bad())
    });
    let found = pool
        .store
        .statements(pool.id, before.transpose()?, limit + 1);
    let mut found = found.await?;
    let more = found.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let last = found.last().filter(|_| more);
    Ok(Json(DaysPage {
        next: last.map(|signed| signed.statement.date.to_string()),
        items: found.iter().map(Day::new).collect(),
    }))
}

/// What was signed for a day
#[utoipa::path(
    get, path = "/api/v1/receipts/days/{date}", operation_id = "receipt_day", tag = "receipts",
    params(("date" = String, Path, description = "The day: YYYY-MM-DD"), OfPoolQuery),
    responses((status = 200, description = "The answer.", body = Day), ReceiptProblems)
)]
pub(super) async fn day(
    State(pools): State<Vec<Pool>>,
    Path(date): Path<String>,
    Asked(query): Asked<OfPoolQuery>,
) -> Result<Json<Day>, Problem> {
    let pool = of_name(&pools, query.pool.as_deref())?;
    let signed = pool.receipts.signed(of_calendar(&date)?).await?;
    Ok(Json(Day::new(&signed)))
}

/// The log of a day
///
/// Lines of JSON: the first is the statement, and each of the others a share, in the order of the log.
/// Once the day is closed, and as long as its shares are kept.
#[utoipa::path(
    get, path = "/api/v1/receipts/days/{date}/log", operation_id = "receipt_log", tag = "receipts",
    params(("date" = String, Path, description = "The day: YYYY-MM-DD"), OfPoolQuery),
    responses(
        (status = 200, description = "The answer.", body = String, content_type = "application/jsonl"),
        ReceiptProblems
    )
)]
pub(super) async fn log(
    State(pools): State<Vec<Pool>>,
    Path(date): Path<String>,
    Asked(query): Asked<OfPoolQuery>,
) -> Result<Response, Problem> {
    let pool = of_name(&pools, query.pool.as_deref())?;
    let lines = pool.receipts.lines(of_calendar(&date)?).await?;
    let kind = (header::CONTENT_TYPE, "application/jsonl");
    Ok(([kind], Body::from_stream(lines)).into_response())
}

/// The receipts of a miner
///
/// One for each share of a day, some seconds after it was accepted. While the day is open each has the
/// pool's promise, and once it is closed the proof. As long as shares are kept.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/receipts", operation_id = "miner_receipts", tag = "receipts",
    params(("address" = String, Path, description = "An address of a pool's coin"), ReceiptsQuery),
    responses((status = 200, description = "The answer.", body = ReceiptsPage), ReceiptProblems)
)]
pub(super) async fn of_miner(
    miner: Miner,
    Asked(query): Asked<ReceiptsQuery>,
) -> Result<Json<ReceiptsPage>, Problem> {
    let Place { pool, address, .. } = super::settings::place(&miner, query.pool.as_deref())?;
    let limit = usize::try_from(limit(query.limit)?).unwrap_or(usize::MAX);
    let date = match &query.date {
        Some(text) => of_calendar(text)?,
        None => newest(pool).await?,
    };
    // A log has no more places than that.
    let from = match query.cursor.unwrap_or(0) {
        from if i64::try_from(from).is_ok() => from,
        _ => {
            let message = "a cursor is the `next` of the page before";
            return Err(Problem::bad("bad_cursor", message));
        }
    };
    let page = pool.receipts.of_miner(address.as_str(), date, from, limit);
    let page = page.await?;
    Ok(Json(ReceiptsPage {
        address: address.as_str().to_owned(),
        date: date.to_string(),
        items: page.receipts,
        next: page.next,
    }))
}

/// What a miner did on a day
///
/// Its shares and its work, with the proof that they are in the day's sums. Once the day is closed, and
/// as long as hours are kept.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/receipts/{date}", operation_id = "miner_day", tag = "receipts",
    params(
        ("address" = String, Path, description = "An address of a pool's coin"),
        ("date" = String, Path, description = "The day: YYYY-MM-DD"),
        OfPoolQuery
    ),
    responses((status = 200, description = "The answer.", body = MinerSum), ReceiptProblems)
)]
pub(super) async fn day_of_miner(
    miner: Miner,
    Path((_, date)): Path<(String, String)>,
    Asked(query): Asked<OfPoolQuery>,
) -> Result<Json<MinerSum>, Problem> {
    let Place { pool, address, .. } = super::settings::place(&miner, query.pool.as_deref())?;
    let date = of_calendar(&date)?;
    Ok(Json(pool.receipts.sum_of(address.as_str(), date).await?))
}

/// What a block was split into
///
/// All of it, with miners by their blinded accounts; once the block is split.
#[utoipa::path(
    get, path = "/api/v1/receipts/blocks/{block}", operation_id = "receipt_split", tag = "receipts",
    params(("block" = String, Path, description = "The block's id: 64 hexadecimal digits"), OfPoolQuery),
    responses((status = 200, description = "The answer.", body = Split), ReceiptProblems)
)]
pub(super) async fn split(
    State(pools): State<Vec<Pool>>,
    Path(block): Path<String>,
    Asked(query): Asked<OfPoolQuery>,
) -> Result<Json<Split>, Problem> {
    let pool = of_name(&pools, query.pool.as_deref())?;
    let block = Hash::from_str(&block)
        .map_err(|_| Problem::bad("bad_block", "a block's id has 64 hexadecimal digits"))?;
    let split = pool.receipts.split_of(block).await;
    Ok(Json(split.map_err(|error| match error {
        NotKept::Unknown => Problem::unknown("unknown_block", "there is no such block, or not yet"),
        other => other.into(),
    })?))
}

/// The newest day that has a log.
async fn newest(pool: &Pool) -> Result<Date, Problem> {
    if let Some(open) = pool.store.open_log(pool.id).await? {
        return Ok(open.date);
    }
    let last = pool.store.statements(pool.id, None, 1).await?.pop();
    let last = last.ok_or(NotKept::Unknown)?;
    Ok(last.statement.date)
}

fn of_name<'p>(pools: &'p [Pool], name: Option<&str>) -> Result<&'p Pool, Problem> {
    match (name, pools) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Problem::bad("no_pool", "there are several pools: name one")),
        (Some(name), pools) => {
            let found = pools.iter().find(|pool| pool.name == name);
            found.ok_or_else(|| Problem::unknown("unknown_pool", "there is no such pool here"))
        }
    }
}

fn of_calendar(text: &str) -> Result<Date, Problem> {
    text.parse()
        .map_err(|error: mining::date::NotADate| Problem::bad("bad_date", error.to_string()))
}

fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit {
        None => Ok(LIMIT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(Problem::bad("bad_limit", "limit: 1 to 500")),
    }
}
