//! Umbrel's widgets: `/widgets/pool` with four figures, and DATUM's `/umbrel-api` with two. All values
//! are texts; a widget that cannot be filled shows dashes rather than nothing.

use axum::{Router, response::Response, routing::get};
use serde::Serialize;

use super::{Asked, Kept, answer, figures::PoolNow};
use crate::{clock, display, pool::Pool};

pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route("/widgets/pool", get(pool))
        .route("/umbrel-api", get(datum))
}

async fn pool(asked: Result<Asked, super::Problem>) -> Response {
    answer(Kept::Short, Widget::of_pool(now(asked).await.as_ref()))
}

async fn datum(asked: Result<Asked, super::Problem>) -> Response {
    answer(Kept::Medium, Widget::of_datum(now(asked).await.as_ref()))
}

async fn now(asked: Result<Asked, super::Problem>) -> Option<PoolNow> {
    let Asked(pool) = asked.ok()?;
    match PoolNow::of(&pool, clock::now_ms()).await {
        Ok(now) => Some(now),
        Err(error) => {
            tracing::warn!(%error, "a widget could not be filled");
            None
        }
    }
}

#[derive(Serialize)]
pub(super) struct Widget {
    #[serde(rename = "type")]
    kind: &'static str,
    refresh: &'static str,
    link: &'static str,
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    title: &'static str,
    text: String,
    subtext: String,
}

impl Widget {
    pub(super) fn of_pool(now: Option<&PoolNow>) -> Self {
        let height = now.and_then(|now| now.next.as_ref());
        let height = height.map(|next| next.height.saturating_sub(1));
        let (rate, unit) = rate(now);
        Self {
            kind: "four-stats",
            refresh: "5s",
            link: "",
            items: vec![
                item("Hash Rate", Some(rate), &unit),
                item("Miners", now.map(|now| now.presence.workers), ""),
                item("Blocks Found", now.map(PoolNow::blocks), ""),
                item("Block Height", height, ""),
            ],
        }
    }

    pub(super) fn of_datum(now: Option<&PoolNow>) -> Self {
        let workers = now.map(|now| now.presence.workers);
        let (rate, unit) = rate(now);
        Self {
            kind: "three-stats",
            refresh: "30s",
            link: "",
            items: vec![
                item("Connections", workers, "Worker"),
                item("Hashrate", Some(rate), &unit),
                item("Blocks Found", now.map(PoolNow::blocks), ""),
            ],
        }
    }
}

fn item(title: &'static str, text: Option<impl ToString>, subtext: &str) -> Item {
    Item {
        title,
        text: text.map_or_else(|| "-".to_owned(), |text| text.to_string()),
        subtext: subtext.to_owned(),
    }
}

/// The number, and its unit apart.
fn rate(now: Option<&PoolNow>) -> (String, String) {
    let Some(now) = now else {
        return ("-".to_owned(), String::new());
    };
    let text = display::hashrate(display::to_f64(now.windows.rate(10)));
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    (number.to_owned(), unit.to_owned())
}
