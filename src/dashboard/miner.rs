//! `/miners/{address}`: all that there is about an address.

use askama::Template;
use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{IntoResponse, Redirect, Response},
};
use mining::Address;
use serde::Deserialize;

use super::{ENGLISH, Shell, chart::Chart, page as answer};
use crate::{
    api::{
        alerts::{self, Alert},
        credits::{self, Credit},
        estimate::{self, Estimate},
        hashrate::{self, MinerSpanQuery, Span},
        miner::{self, Miner, MinerInPool},
        page::{Page as ApiPage, PageQuery},
        payments::{self, Payment},
        problem::Problem,
        settings::{self, MinerSettings},
        workers::{self, Worker},
    },
    display,
    pool::Pool,
};

/// Credits and payments on the page; there are lists of all of them.
const LISTED: u32 = 10;
/// Workers on a page.
const WORKERS: u32 = 50;

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Looked {
    #[serde(default)]
    address: String,
}

/// What is shown of an address.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    span: Option<Span>,
    pool: Option<String>,
    /// Of the list of workers.
    cursor: Option<String>,
    /// Of the list of credits.
    credits: Option<String>,
    /// Of the list of payments.
    payouts: Option<String>,
}

/// The search, also for an address that nobody has mined for.
#[derive(Template)]
#[template(path = "find.html")]
struct FindPage {
    shell: Shell,
    address: String,
    /// The address that is waited for, if it is one.
    awaited: Option<String>,
    message: Option<String>,
}

#[derive(Template)]
#[template(path = "miner.html")]
struct Page {
    shell: Shell,
    address: String,
    pools: Vec<String>,
    span: Span,
    decimals: u8,
    summary: MinerInPool,
    chart: Chart,
    estimate: Estimate,
    workers: ApiPage<Worker>,
    first_workers: bool,
    credits: ApiPage<Credit>,
    payments: ApiPage<Payment>,
    settings: MinerSettings,
    alerts: ApiPage<Alert>,
    rejects: Vec<(&'static str, u64)>,
}

/// `/miners`: goes to the address that was typed.
pub(super) async fn find(looked: Result<Query<Looked>, QueryRejection>) -> Response {
    let address = looked
        .map(|Query(looked)| looked.address)
        .unwrap_or_default();
    // The worker's name may stand behind it, as in a user name.
    let address = address.trim();
    let address = address
        .split_once('.')
        .map_or(address, |(address, _)| address);
    let is_plain = address
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b':');
    if address.is_empty() || !is_plain {
        let wrong = !address.is_empty();
        let page = FindPage {
            shell: Shell::new("check", ENGLISH.check),
            address: address.to_owned(),
            awaited: None,
            message: wrong.then(|| ENGLISH.no_address.to_owned()),
        };
        return answer(Ok(page));
    }
    Redirect::to(&format!("/miners/{address}")).into_response()
}

/// `/miners/{address}`
pub(super) async fn page(
    State(pools): State<Vec<Pool>>,
    Path(address): Path<String>,
    miner: Result<Miner, Problem>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    match miner {
        Ok(miner) => answer(Page::new(miner, asked).await),
        Err(problem) if problem.status().is_client_error() => {
            let parse = |pool: &Pool| Address::parse(pool.coin, pool.network, &address).ok();
            let awaited = pools.iter().find_map(parse);
            let page = FindPage {
                shell: Shell::new("check", ENGLISH.check),
                awaited: awaited.map(|address| address.as_str().to_owned()),
                message: Some(problem.message().to_owned()),
                address,
            };
            super::answer(problem.status(), &page)
        }
        Err(problem) => super::refuse(&problem),
    }
}

impl Page {
    async fn new(mut miner: Miner, asked: Asked) -> Result<Self, Problem> {
        let pools: Vec<String> = miner
            .places
            .iter()
            .map(|place| place.pool.name.clone())
            .collect();
        let place = match &asked.pool {
            None => 0,
            Some(name) => {
                let place = pools.iter().position(|pool| pool == name);
                place.ok_or_else(Problem::no_pool)?
            }
        };
        // One pool a page.
        miner.places = vec![miner.places.swap_remove(place)];
        let decimals = miner.places[0].pool.coin.decimals;
        let page = |cursor: Option<String>, limit| PageQuery::of(limit, cursor);
        let summary = miner::summary(miner.clone()).await?.0;
        let missing = || Problem::from(anyhow::anyhow!("the pool of a miner is missing"));
        let summary = summary.pools.into_iter().next().ok_or_else(missing)?;
        let estimate = estimate::show(miner.clone()).await?.0;
        let settings = settings::show(miner.clone()).await?.0;
        let span = asked.span.unwrap_or_else(|| {
            let pools = miner.places.iter().map(|place| &place.pool);
            Span::of_age(pools)
        });
        let query = MinerSpanQuery {
            span,
            ..MinerSpanQuery::default()
        };
        let chart = hashrate::of_miner(miner.clone(), query).await?;
        let first_workers = asked.cursor.is_none();
        let workers = workers::list(miner.clone(), page(asked.cursor, WORKERS))
            .await?
            .0;
        let mut rejects = std::collections::BTreeMap::new();
        for rejected in workers.items.iter().flat_map(|worker| &worker.rejects) {
            *rejects.entry(rejected.reason).or_default() += rejected.count;
        }
        Ok(Self {
            shell: Shell::new("check", &miner.address),
            pools,
            span,
            decimals,
            summary,
            chart: Chart::new(&chart),
            estimate: estimate.pools.into_iter().next().ok_or_else(missing)?,
            settings: settings.pools.into_iter().next().ok_or_else(missing)?,
            rejects: rejects.into_iter().collect(),
            workers,
            first_workers,
            credits: credits::list(miner.clone(), page(asked.credits, LISTED))
                .await?
                .0,
            alerts: alerts::of_miner(miner.clone(), page(None, LISTED)).await?.0,
            payments: payments::list(miner.clone(), page(asked.payouts, LISTED))
                .await?
                .0,
            address: miner.address,
        })
    }

    /// How much of the threshold is reached, in percent, at most 100.
    fn reached(&self) -> u64 {
        let number = |text: &str| text.parse::<u128>().unwrap_or(0);
        let threshold = self.settings.threshold.as_deref();
        let threshold = number(threshold.unwrap_or(&self.settings.pool_threshold));
        let available = number(&self.summary.balance.available);
        let percent = available.saturating_mul(100).checked_div(threshold);
        u64::try_from(percent.unwrap_or(0).min(100)).unwrap_or(100)
    }

    /// The chances of finding a block alone within some times.
    fn odds(&self) -> Vec<(&'static str, String)> {
        const DAY: f64 = 86_400.0;
        let Some(seconds) = self.alone() else {
            return Vec::new();
        };
        let odds = |time: f64| {
            // A Poisson process: one less the chance of none.
            let percent = -(-time / seconds).exp_m1() * 100.0;
            match percent {
                p if p >= 99.95 => "> 99.9 %".into(),
                p if p >= 0.1 => format!("{p:.1} %"),
                p if p > 0.0 => format!("1 : {}", display::with_prefix(100.0 / p, "")),
                _ => "0 %".into(),
            }
        };
        vec![
            ("an hour", odds(DAY / 24.0)),
            ("a day", odds(DAY)),
            ("a week", odds(7.0 * DAY)),
            ("a month", odds(30.0 * DAY)),
            ("a year", odds(365.0 * DAY)),
        ]
    }

    /// The seconds that this miner alone takes for a block, on average.
    fn alone(&self) -> Option<f64> {
        let scheme = self.estimate.schemes.first()?;
        let mut expected = scheme.expected.iter();
        let seconds = expected.find_map(|expected| expected.seconds_to_block.as_ref())?;
        // They are rounded down.
        seconds.parse().ok().map(|seconds: f64| seconds.max(1.0))
    }

    /// That time for people.
    fn alone_says(&self) -> Option<String> {
        let scheme = self.estimate.schemes.first()?;
        let mut expected = scheme.expected.iter();
        let seconds = expected.find_map(|expected| expected.seconds_to_block.as_ref())?;
        Some(display::duration(seconds.parse().ok()?))
    }

    /// How often a miner is paid.
    fn schedule(name: &str) -> &'static str {
        match name {
            "daily" => ENGLISH.schedule_daily,
            "weekly" => ENGLISH.schedule_weekly,
            "monthly" => ENGLISH.schedule_monthly,
            _ => ENGLISH.schedule_threshold,
        }
    }

    /// What a reason of rejects means.
    fn reject_says(reason: &str) -> &'static str {
        match reason {
            "unknown_job" => ENGLISH.reject_unknown_job,
            "stale" => ENGLISH.reject_stale,
            "duplicate" => ENGLISH.reject_duplicate,
            "low_difficulty" => ENGLISH.reject_low_difficulty,
            "ntime" => ENGLISH.reject_ntime,
            "version_mask" => ENGLISH.reject_version_mask,
            "extranonce2_size" => ENGLISH.reject_extranonce2_size,
            "wrong_result" => ENGLISH.reject_wrong_result,
            _ => ENGLISH.reject_too_many,
        }
    }

    /// A part of the whole in percent, of two whole numbers.
    fn part(part: &str, whole: &str) -> String {
        let number = |text: &str| text.parse::<u128>().unwrap_or(0);
        let (part, whole) = (
            display::to_f64(number(part)),
            display::to_f64(number(whole)),
        );
        if whole > 0.0 {
            format!("{:.3} %", part / whole * 100.0)
        } else {
            "100 %".into()
        }
    }
}
