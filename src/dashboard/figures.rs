//! What of a pool changes while one looks at it. A page shows it when it is made, and `/live` tells it
//! anew: both take the same texts.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension,
    response::{IntoResponse, Response, sse::Event},
};

use super::{ENGLISH, grouped};
use crate::{
    api::{
        events::{EventsQuery, Live, Turn},
        pools::PoolSummary,
        problem::Problem,
    },
    display,
    http::Peer,
};

/// The texts.
pub(super) struct Figures {
    pub(super) hashrate: String,
    pub(super) miners: String,
    pub(super) workers: String,
    pub(super) connected: String,
    pub(super) blocks: String,
    pub(super) effort: String,
    pub(super) luck: String,
    pub(super) best: String,
    pub(super) next_block: String,
    pub(super) network: String,
    pub(super) network_part: String,
    pub(super) height: String,
    pub(super) template_age: String,
    pub(super) shares: String,
    pub(super) good: String,
}

impl Figures {
    pub(super) fn of(pool: &PoolSummary) -> Self {
        let template = pool.template.as_ref();
        let seconds = pool.seconds_to_block.as_ref();
        Self {
            hashrate: display::hashrate(pool.hashrate.quarter),
            miners: grouped(pool.miners),
            workers: grouped(pool.workers),
            connected: grouped(pool.connected),
            blocks: grouped(pool.blocks.found),
            effort: pool
                .blocks
                .effort
                .as_ref()
                .map_or_else(|| ENGLISH.unknown.into(), |effort| percent(&effort.percent)),
            luck: luck(&pool.blocks.expected, pool.blocks.expected_found),
            best: pool.best.as_ref().map_or_else(
                || ENGLISH.none_yet.into(),
                |best| display::difficulty(best.difficulty),
            ),
            next_block: seconds.map_or_else(
                || ENGLISH.unknown.into(),
                |seconds| display::duration(seconds.parse().unwrap_or(u128::MAX)),
            ),
            network: template.map_or_else(String::new, |template| {
                display::difficulty(template.difficulty)
            }),
            network_part: part(pool),
            height: template.map_or_else(String::new, |template| grouped(template.height)),
            template_age: template.map_or_else(String::new, |template| template.age_s.to_string()),
            shares: grouped(pool.shares.accepted),
            good: good(pool),
        }
    }

    /// Each text that stands on a page, by the name that its element has there.
    fn named(self) -> [(&'static str, String); 15] {
        [
            ("hashrate", self.hashrate),
            ("miners", self.miners),
            ("workers", self.workers),
            ("connected", self.connected),
            ("blocks", self.blocks),
            ("effort", self.effort),
            ("luck", self.luck),
            ("best", self.best),
            ("next-block", self.next_block),
            ("network", self.network),
            ("network-part", self.network_part),
            ("height", self.height),
            ("template-age", self.template_age),
            ("shares", self.shares),
            ("good", self.good),
        ]
    }
}

/// `/live`: the texts of all pools by `pool:name`, and `miner` for whoever waits for a first share.
pub(super) async fn live(
    Extension(live): Extension<Live>,
    peer: Peer,
    query: EventsQuery,
) -> Response {
    let address = query.address;
    let mut told: Arc<str> = Arc::default();
    let mut told_of_miner = String::new();
    let answer: Result<Response, Problem> = live.answer(peer, move |turn| {
        let mut events = Vec::new();
        let texts = turn.page.get_or_init(|| texts(turn).into());
        if *texts != told {
            told = Arc::clone(texts);
            events.push(Event::default().event("figures").data(texts));
        }
        if let Some(address) = &address {
            let now = turn.miners.get(address).cloned().unwrap_or_default();
            let now = serde_json::to_string(&now).unwrap_or_default();
            if now != told_of_miner {
                told_of_miner.clone_from(&now);
                events.push(Event::default().event("miner").data(now));
            }
        }
        events
    });
    answer.into_response()
}

fn texts(turn: &Turn) -> String {
    let mut texts = BTreeMap::new();
    for pool in &turn.pools {
        for (name, text) in Figures::of(pool).named() {
            texts.insert(format!("{}:{name}", pool.name), text);
        }
    }
    serde_json::to_string(&texts).unwrap_or_default()
}

/// A percentage for people: without decimals where it is large.
pub(super) fn percent(text: &str) -> String {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let tenth = decimals.get(..1).unwrap_or("0");
    match whole.len() {
        0..=2 => format!("{whole}.{tenth} %"),
        _ => format!("{whole} %"),
    }
}

/// Found of expected, in percent; nothing yet where hardly any was expected.
fn luck(expected: &str, found: u64) -> String {
    let expected: f64 = expected.parse().unwrap_or(0.0);
    if expected < 0.01 {
        return ENGLISH.unknown.into();
    }
    let percent = display::to_f64(found.into()) / expected * 100.0;
    format!("{percent:.0} %")
}

/// The pool's part of the network's hashrate.
fn part(pool: &PoolSummary) -> String {
    let Some(network) = pool.network_hashrate.filter(|network| *network > 0.0) else {
        return String::new();
    };
    let percent = pool.hashrate.hour / network * 100.0;
    match percent {
        p if p >= 10.0 => format!("{p:.0} %"),
        p if p >= 0.01 => format!("{p:.2} %"),
        p if p > 0.0 => format!("{p:.1e} %"),
        _ => "0 %".into(),
    }
}

/// How many of the shares were good.
fn good(pool: &PoolSummary) -> String {
    let all = pool.shares.accepted + pool.rejected_total();
    if all == 0 {
        return ENGLISH.none_yet.into();
    }
    let tenths = u128::from(pool.shares.accepted) * 1000 / u128::from(all);
    format!("{}.{} % good", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_short() {
        assert_eq!(percent("12.34"), "12.3 %");
        assert_eq!(percent("123.45"), "123 %");
        assert_eq!(percent("0.05"), "0.0 %");
        assert_eq!(luck("2.000000", 3), "150 %");
        assert_eq!(luck("0.000000", 0), ENGLISH.unknown);
    }
}
