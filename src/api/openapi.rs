//! `/api/openapi.json`: the description of all this, OpenAPI 3.1. It is made of the routes
//! themselves, and `docs/openapi.json` is the same.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

/// What stands above the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "adit",
        description = "A mining pool: what it does, and what its miners have.\n\nMoney is a text in \
                       the coin's smallest unit, hashrate a number in H/s, time RFC 3339 in UTC.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "/")),
    tags(
        (name = "pool", description = "The pools at a glance"),
        (name = "miners", description = "What a miner does and has. Everyone may ask."),
        (name = "payouts", description = "How a miner is paid. A change is signed by its address."),
        (name = "receipts", description = "Proofs that shares count: docs/receipts.md"),
        (name = "alerts", description = "What people are told without asking. Who is told what is signed by an address."),
        (
            name = "operator",
            description = "For whoever runs the pool: with a key, or without one from its own machine"
        ),
        (name = "node", description = "The modes of `adit node`: docs/node.md")
    ),
    modifiers(&Keys)
)]
pub(super) struct Description;

/// How an operator shows a key.
struct Keys;

impl Modify for Keys {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let key = Http::builder().scheme(HttpAuthScheme::Bearer);
        let key = key.description(Some("Made by `adit key create NAME`"));
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(key.build()));
    }
}

/// The description as it is served and kept.
pub(super) fn text(description: &utoipa::openapi::OpenApi) -> String {
    let text = description.to_pretty_json();
    text.expect("a description is plain data") + "\n"
}

/// Answers with a text of JSON.
pub(super) fn answer(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set to anything, the file is written in place of being compared.
    const RENEW: &str = "ADIT_RENEW_OPENAPI";

    #[test]
    fn the_description_that_is_kept_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let (_, description) = crate::api::documented().split_for_parts();
        let made = text(&description);
        if std::env::var_os(RENEW).is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == made,
            "docs/openapi.json is not what the program says. Renew it with\n    \
             {RENEW}=1 cargo test --lib the_description_that_is_kept"
        );
    }

    /// Two types of one name would be described as one of them.
    #[test]
    fn every_type_that_is_described_has_a_name_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let mut is_described = false;
            for line in text.lines() {
                is_described |= line.starts_with("#[derive(") && line.contains("ToSchema");
                let mut words = line.split([' ', '<', '{', '(']);
                let kind = words.find(|word| matches!(*word, "struct" | "enum"));
                let is_item = kind.is_some() && !line.starts_with([' ', '/']);
                if is_described && is_item {
                    is_described = false;
                    let name = words.next().unwrap().to_owned();
                    assert!(names.insert(name.clone()), "{name} in {}", path.display());
                }
            }
        }
        assert!(names.len() > 30, "{names:?}");
    }

    /// What generators of clients stumble over.
    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_it_answers() {
        let (_, description) = crate::api::documented().split_for_parts();
        let description: serde_json::Value = serde_json::from_str(&text(&description)).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        let mut names = std::collections::BTreeSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} comes twice");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let told = response["description"].as_str().unwrap_or_default();
                    assert!(!told.is_empty(), "{method} {path} {status}");
                }
            }
        }
        assert!(names.len() > 15, "{names:?}");
    }
}
