//! What every answer bears: that its type is what it says, who may read it from elsewhere, and for how long
//! it holds. What is asked again and again has a tag, and is not sent twice to whoever has it.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bitcoin::hashes::{Hash as _, sha256};

/// The largest answer that gets a tag. The longest list of the API is far below.
const TAGGED_MAX: usize = 8 << 20;
/// The bytes of a hash that make a tag: two answers never have the same by chance.
const TAG_BYTES: usize = 16;

/// On everything: a browser shall not guess.
pub(super) async fn as_it_says(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    answer.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// On what everybody may read: pages of others may too, and what is polled is sent once.
pub(crate) async fn public(request: Request, next: Next) -> Response {
    let is_read = request.method() == Method::GET && request.uri().path().starts_with("/api/v1/");
    if !is_read {
        return next.run(request).await;
    }
    let holds = seconds(request.uri().path());
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let mut answer = next.run(request).await;
    if let Some(holds) = holds
        && answer.status() == StatusCode::OK
    {
        answer = tagged(answer, holds, known.as_ref()).await;
    }
    let headers = answer.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("etag, retry-after"),
    );
    answer
}

/// To a browser that asks whether a page of others may read: it may, and do nothing else. What operators do
/// has no such answer.
pub(crate) async fn preflight() -> impl IntoResponse {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "if-none-match, last-event-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers)
}

/// On what operators alone may read: nobody keeps it.
pub(crate) async fn private(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// For how long what is polled holds, in seconds.
fn seconds(path: &str) -> Option<u32> {
    let path = path.strip_prefix("/api/v1/")?;
    let of_pool = path == "pools" || path.starts_with("pools/");
    match path.rsplit('/').next()? {
        "hashrate" => Some(15),
        "blocks" | "payouts" if of_pool => Some(5),
        _ if of_pool || path == "status" => Some(2),
        _ => None,
    }
}

async fn tagged(answer: Response, holds: u32, known: Option<&HeaderValue>) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, TAGGED_MAX).await else {
        // What was taken off is gone; no answer of ours is so long.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let hash = sha256::Hash::hash(&bytes).to_byte_array();
    let tag = format!("\"{}\"", hex::encode(&hash[..TAG_BYTES]));
    let headers = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, format!("public, max-age={holds}")),
    ];
    for (name, text) in headers {
        set(&mut parts.headers, name, &text);
    }
    if known.is_some_and(|known| names(known, &tag)) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn set(headers: &mut axum::http::HeaderMap, name: HeaderName, text: &str) {
    let value = HeaderValue::from_str(text).expect("digits and plain words");
    headers.insert(name, value);
}

/// Whether `If-None-Match` names a tag. Weak ones will do (RFC 9110, 13.1.2): a proxy that compresses
/// makes them weak.
fn names(header: &HeaderValue, tag: &str) -> bool {
    let Ok(header) = header.to_str() else {
        return false;
    };
    let mut tags = header.split(',').map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_polled_holds_for_seconds() {
        for (path, holds) in [
            ("/api/v1/status", Some(2)),
            ("/api/v1/pools", Some(2)),
            ("/api/v1/pools/main", Some(2)),
            ("/api/v1/pools/main/blocks", Some(5)),
            ("/api/v1/pools/main/hashrate", Some(15)),
            ("/api/v1/miners/x/hashrate", Some(15)),
            ("/api/v1/miners/x/payouts", None),
            ("/api/v1/events", None),
            ("/", None),
        ] {
            assert_eq!(seconds(path), holds, "{path}");
        }
    }

    #[test]
    fn a_tag_is_known_in_any_list() {
        let names = |text: &'static str| names(&HeaderValue::from_static(text), "\"ab\"");
        for known in ["\"ab\"", "W/\"ab\"", "*", "\"x\", \"ab\"", "\"x\",W/\"ab\""] {
            assert!(names(known), "{known}");
        }
        for other in ["", "ab", "\"abc\"", "\"x\"", "w/\"ab\""] {
            assert!(!names(other), "{other}");
        }
    }
}
