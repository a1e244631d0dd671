//! Alerts to a program: a POST of JSON, signed with HMAC-SHA256 over the time and the body, so that the
//! receiver knows who sent it, and that nobody sends it again later. `docs/alerts.md` says how that is
//! checked.

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use hyper::header::HeaderName;
use serde::Serialize;
use serde_json::value::RawValue;
use store::Delivery;

use super::post::Post;
use crate::display;

/// The alert's id, by which a copy that came twice is known.
const ID: HeaderName = HeaderName::from_static("adit-alert-id");
/// Time and signature.
const SIGNATURE: HeaderName = HeaderName::from_static("adit-signature");

#[derive(Serialize)]
struct Body<'a> {
    id: String,
    kind: &'static str,
    phase: &'static str,
    severity: &'static str,
    title: &'static str,
    text: &'a str,
    pool: &'a str,
    /// Whose subscription it is; null for the operator's.
    address: Option<&'a str>,
    subject: &'a str,
    facts: &'a RawValue,
    time: String,
    begun: Option<String>,
}

/// The request for a copy of an alert, signed with `key` at this time, in milliseconds since 1970.
pub(super) fn post(delivery: &Delivery, key: &str, now_ms: i64) -> Result<Post, serde_json::Error> {
    let alert = &delivery.alert;
    let address = Some(delivery.subscription.address.as_str());
    let facts: Box<RawValue> = serde_json::from_str(&alert.facts)?;
    let body = serde_json::to_vec(&Body {
        id: alert.id.to_string(),
        kind: alert.kind.name(),
        phase: alert.phase.name(),
        severity: alert.kind.severity(alert.phase).name(),
        title: alert.kind.title(alert.phase),
        text: &alert.text,
        pool: &alert.pool,
        address: address.filter(|address| !address.is_empty()),
        subject: &alert.subject,
        facts: &facts,
        time: display::time(alert.made_ms),
        begun: alert.begun.map(|id| id.to_string()),
    })?;
    Ok(Post {
        content_type: "application/json",
        headers: vec![
            (ID, alert.id.to_string()),
            (SIGNATURE, signature(key, now_ms.div_euclid(1000), &body)),
        ],
        body,
    })
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256, by the key's own bytes, over the seconds since 1970 in decimal, a
/// point, and the body.
fn signature(key: &str, seconds: i64, body: &[u8]) -> String {
    let mut engine = HmacEngine::<sha256::Hash>::new(key.as_bytes());
    engine.input(seconds.to_string().as_bytes());
    engine.input(b".");
    engine.input(body);
    let signature = hex::encode(Hmac::from_engine(engine).to_byte_array());
    format!("t={seconds},v1={signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of docs/alerts.md, made with Python's `hmac`.
    #[test]
    fn a_signature_is_the_one_that_is_written_down() {
        let body = br#"{"id":"7","text":"Worker rig1 is back after 12 minutes."}"#;
        let signed = signature("a secret", 1_800_000_000, body);
        assert_eq!(
            signed,
            "t=1800000000,v1=6fefaa07153a15af2433ca390d16f51b4d0e89e7ed68a439e88321ea3e4a21ed"
        );
        assert_ne!(signed, signature("a secret", 1_800_000_001, body));
        assert_ne!(signed, signature("A secret", 1_800_000_000, body));
    }
}
