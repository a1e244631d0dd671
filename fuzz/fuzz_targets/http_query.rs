//! Any query of `GET /pool/job` is a question for a job or an error that says why; what is read and written again is
//! the same question.

#![no_main]

use std::fmt::Write as _;

use axum::{extract::Query, http::Uri};
use libfuzzer_sys::fuzz_target;
use mining::api_key::ApiKey;
use wire::work::AskJob;

/// Each field that is there, with every byte of its value escaped.
fn written(asked: &AskJob) -> Uri {
    let wait = asked.wait.map(|wait| wait.to_string());
    let mut path = "/pool/job?".to_owned();
    for (key, value) in [
        ("worker_id", &asked.worker_id),
        ("token", &asked.token),
        ("wait", &wait),
        ("have", &asked.have),
    ] {
        if let Some(value) = value {
            write!(path, "&{key}=").expect("a text takes all");
            for byte in value.bytes() {
                write!(path, "%{byte:02X}").expect("a text takes all");
            }
        }
    }
    path.parse()
        .expect("nothing but letters, digits and escapes")
}

fuzz_target!(|query: &[u8]| {
    let path = [b"/pool/job?", query].concat();
    // What is no path does not come so far.
    let Ok(uri) = Uri::try_from(path) else {
        return;
    };
    let asked = match Query::<AskJob>::try_from_uri(&uri) {
        Ok(Query(asked)) => asked,
        Err(refused) => {
            assert!(refused.status().is_client_error() && !refused.body_text().is_empty());
            return;
        }
    };
    let Query(again) = Query::<AskJob>::try_from_uri(&written(&asked)).expect("as it was read");
    assert_eq!(again, asked);
    // A token that is one is shown as the one that it is.
    let token = asked
        .token
        .as_deref()
        .map(|token| token.trim().parse::<ApiKey>());
    if let Some(Ok(token)) = token {
        assert!(token.text().parse() == Ok(token));
    }
});
