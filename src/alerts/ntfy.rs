//! Alerts to a server of ntfy: the sentence as the body, what is above it in headers.

use hyper::header::{AUTHORIZATION, HeaderName};
use mining::alert::Severity;
use store::Delivery;

use super::post::Post;
use crate::daemon::Secret;

const TITLE: HeaderName = HeaderName::from_static("title");
const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// The request for a copy of an alert.
pub(super) fn post(delivery: &Delivery, token: Option<&Secret>) -> Post {
    let alert = &delivery.alert;
    let priority = match alert.kind.severity(alert.phase) {
        Severity::Info => "3",
        Severity::Warning => "4",
        Severity::Critical => "5",
    };
    let mut headers = vec![
        (
            TITLE,
            format!("{}: {}", alert.pool, alert.kind.title(alert.phase)),
        ),
        (PRIORITY, priority.to_owned()),
    ];
    if let Some(token) = token {
        headers.push((AUTHORIZATION, format!("Bearer {}", token.expose())));
    }
    Post {
        content_type: "text/plain; charset=utf-8",
        headers,
        body: alert.text.clone().into_bytes(),
    }
}
