//! The pages. Each shows what the public API says and nothing else, works without script, and asks no
//! other host for anything. What changes by itself comes by server-sent events.

mod blocks;
mod chart;
mod connect;
mod credit;
mod doctor;
mod figures;
mod home;
mod logins;
mod miner;
mod node;
mod operator;
mod payouts;
mod qr;
mod text;
mod verify;

use askama::Template;
use axum::{
    Router,
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};

use crate::{
    api::{self, problem::Problem},
    display,
    pool::Pool,
};
pub(crate) use logins::Logins;
use text::{ENGLISH, Words};

/// A page may load what comes from here, and nothing else; nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What is the same on every page.
struct Shell {
    t: &'static Words,
    /// Which entry of the menu it is.
    at: &'static str,
    title: String,
    version: &'static str,
}

/// Why there is no page.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    message: String,
}

/// All pages, and what they load.
pub fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route("/", get(home::page))
        .route("/connect", get(connect::page))
        .route("/miners", get(miner::find))
        .route("/miners/{address}", get(miner::page))
        .route("/miners/{address}/why", get(doctor::page))
        .route("/miners/{address}/credits/{block}", get(credit::page))
        .route("/blocks", get(blocks::page))
        .route("/payouts", get(payouts::page))
        .route("/verify", get(verify::page))
        .merge(operator::routes())
        .route("/live", get(figures::live))
        .route("/style.css", get(style))
        .route("/page.js", get(script))
        .route("/favicon.ico", get(icon))
        .route("/manifest.webmanifest", get(manifest))
}

impl Shell {
    fn new(at: &'static str, title: &str) -> Self {
        Self {
            t: &ENGLISH,
            at,
            title: title.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// A page, with what a browser must know of it.
fn answer(status: StatusCode, page: &impl Template) -> Response {
    let html = match page.render() {
        Ok(html) => html,
        Err(error) => return api::unavailable(&error.into()),
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("referrer-policy"), "same-origin"),
    ];
    (status, headers, Html(html)).into_response()
}

/// A page, or why there is none.
fn page<P: Template>(made: Result<P, Problem>) -> Response {
    match made {
        Ok(page) => answer(StatusCode::OK, &page),
        Err(problem) => refuse(&problem),
    }
}

/// Why there is no page, as a page.
pub(crate) fn refuse(problem: &Problem) -> Response {
    let page = ErrorPage {
        shell: Shell::new("", ENGLISH.error_title),
        message: problem.message().to_owned(),
    };
    answer(problem.status(), &page)
}

// Templates pass what they have by reference.

/// Money in coins.
fn coins(units: &str, decimals: &u8) -> String {
    display::coins(units, *decimals)
}

/// Work per second.
fn hashrate(number: &f64) -> String {
    display::hashrate(*number)
}

/// A difficulty.
fn difficulty(number: &f64) -> String {
    display::difficulty(*number)
}

/// `2026-11-27 09:30:00 UTC`.
fn clock(time: &str) -> String {
    time.replace('T', " ").replace('Z', " UTC")
}

/// An address shortened in the middle, with what stands behind its point: `bcrt1q…r8g4.rig`.
fn short(worker: &str) -> String {
    const ENDS: usize = 6;
    let (address, name) = worker
        .split_once('.')
        .map_or((worker, None), |(a, n)| (a, Some(n)));
    let letters: Vec<char> = address.chars().collect();
    let mut text = if letters.len() > 2 * ENDS + 1 {
        let (first, last) = (&letters[..ENDS], &letters[letters.len() - ENDS..]);
        let (first, last): (String, String) = (first.iter().collect(), last.iter().collect());
        format!("{first}…{last}")
    } else {
        address.to_owned()
    };
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        text.push('.');
        text.push_str(name);
    }
    text
}

/// The address in front of a worker's name.
fn address_of(worker: &str) -> &str {
    worker
        .split_once('.')
        .map_or(worker, |(address, _)| address)
}

/// A long number with thin spaces between thousands.
fn grouped(number: impl std::fmt::Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A way of paying, as it is written: most are abbreviations.
fn scheme(name: &str) -> String {
    match name {
        "solo" => name.to_owned(),
        _ => name.to_uppercase(),
    }
}

/// What a state of a block means.
fn state_says(state: &str) -> &'static str {
    match state {
        "submitted" => ENGLISH.submitted_says,
        "immature" => ENGLISH.immature_says,
        "mature" => ENGLISH.mature_says,
        "orphaned" => ENGLISH.orphaned_says,
        _ => "",
    }
}

async fn style() -> impl IntoResponse {
    asset(
        "text/css; charset=utf-8",
        include_str!("../templates/style.css"),
    )
}

async fn script() -> impl IntoResponse {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("../templates/page.js"),
    )
}

async fn icon() -> impl IntoResponse {
    asset("image/svg+xml", include_str!("../templates/icon.svg"))
}

async fn manifest() -> impl IntoResponse {
    asset(
        "application/manifest+json",
        include_str!("../templates/manifest.webmanifest"),
    )
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_short_and_its_name_whole() {
        assert_eq!(
            short("bcrt1qwrklhf9lhxlk4.alice"),
            "bcrt1q…9lhxlk4.alice".replace("9lhxlk4", "lhxlk4")
        );
        assert_eq!(short("short.a"), "short.a");
        assert_eq!(short("short."), "short");
        assert_eq!(address_of("x.a.b"), "x");
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1234), "1\u{202f}234");
        assert_eq!(grouped(123_456_789), "123\u{202f}456\u{202f}789");
    }
}
