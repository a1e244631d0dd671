//! Who may do what an operator may: whoever shows a key, from anywhere; and a program of this machine
//! without one, if no page of somebody else's made it ask. What is done is written down before it is done.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use mining::api_key::{ApiKey, KeyHash};
use store::{Act, KeptKey, Store};

use super::{configuration::Setting, origin::Origins, problem::Problem};
use crate::{
    clock,
    dashboard::{self, Logins},
    http::{Asker, Kind, Pace, Peer, Rules},
};

/// Keys that were shown lately. There are at most a hundred.
const KNOWN_MAX: usize = 128;

/// What the calls of operators share. Clones share it.
#[derive(Clone)]
pub(crate) struct Office {
    pub(crate) store: Store,
    /// By which names the server is known.
    pub(crate) origins: Origins,
    /// The settings in force.
    pub(super) settings: Arc<[Setting]>,
    /// Who is logged in to the operator's page.
    pub(crate) logins: Logins,
    pace: Pace,
    /// Keys that were good when they were last shown, with the order in which they were.
    known: Arc<Mutex<HashMap<KeyHash, u64>>>,
}

/// An operator, and what it is known by.
#[derive(Clone)]
pub(crate) struct Operator {
    /// As the log of acts has it.
    who: String,
    office: Office,
}

impl Office {
    pub(super) fn new(rules: &Rules, settings: Vec<Setting>, store: Store) -> Self {
        Self {
            store,
            origins: Origins::new(rules.listen, rules.url.as_deref()),
            settings: settings.into(),
            logins: Logins::default(),
            pace: rules.pace.clone(),
            known: Arc::default(),
        }
    }

    /// The key that is written so, if it is one of ours. A key that was good lately is always heard; any
    /// other takes a place among the logins of the address, so that nobody can try many.
    pub(crate) async fn key_of(
        &self,
        peer: Peer,
        text: &str,
    ) -> Result<(KeptKey, KeyHash), Problem> {
        let key = text.parse::<ApiKey>().map(|key| key.hash());
        if !key.as_ref().is_ok_and(|hash| self.knows(hash)) {
            let asked = self.pace.ask(Asker::Address(peer.party()), Kind::Login);
            asked.map_err(|wait| Problem::too_fast(wait, "too many keys were tried"))?;
        }
        let wrong = || {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "wrong_key",
                "there is no such key",
            )
        };
        let hash = key.map_err(|_| wrong())?;
        // Asked each time: a key that is revoked is so at once.
        let Some(kept) = self.store.key_of(hash).await? else {
            self.known().remove(&hash);
            return Err(wrong());
        };
        self.remember(hash);
        if let Err(error) = self.store.note_key_used(&kept, clock::now_ms()).await {
            tracing::warn!(%error, key = %kept.name, "the use of a key was not noted");
        }
        Ok((kept, hash))
    }

    /// The operator who came in with this key, as long as it is not revoked.
    pub(crate) async fn still(&self, hash: KeyHash) -> Result<Option<Operator>, Problem> {
        let kept = self.store.key_of(hash).await?;
        Ok(kept.map(|kept| self.operator(&kept)))
    }

    /// The operator who has this key.
    pub(crate) fn operator(&self, key: &KeptKey) -> Operator {
        Operator {
            who: format!("key {}", key.name),
            office: self.clone(),
        }
    }

    /// Whether a key was good when it was last shown.
    fn knows(&self, hash: &KeyHash) -> bool {
        self.known().contains_key(hash)
    }

    fn remember(&self, hash: KeyHash) {
        let mut known = self.known();
        let next = known.values().max().map_or(0, |last| last + 1);
        known.insert(hash, next);
        if known.len() > KNOWN_MAX {
            let oldest = known.iter().min_by_key(|(_, order)| **order);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                known.remove(&oldest);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<KeyHash, u64>> {
        let known = self.known.lock();
        known.expect("nothing panics while holding this lock")
    }
}

impl Operator {
    /// Writes down what is going to be done, and on what. If that fails, it must not be done.
    pub(crate) async fn does(&self, what: &str, subject: &str) -> Result<(), Problem> {
        let act = self.act(what, subject);
        Ok(self.office.store.keep_act(&act).await?)
    }

    /// An act that is written down with what it changes.
    pub(crate) fn act(&self, what: &str, subject: &str) -> Act {
        tracing::info!(who = self.who, what, subject, "an operator acts");
        Act {
            time_ms: clock::now_ms(),
            who: self.who.clone(),
            what: what.to_owned(),
            subject: subject.to_owned(),
        }
    }

    /// The settings in force.
    pub(super) fn settings(&self) -> &[Setting] {
        &self.office.settings
    }

    /// The database.
    pub(super) fn store(&self) -> &Store {
        &self.office.store
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(peer) = Peer::from_request_parts(parts, state).await;
        let office = parts.extensions.get::<Office>().cloned();
        let office = office.ok_or_else(|| forbidden("nobody is an operator here"))?;
        if has_body(&parts.headers) && !is_json(&parts.headers) {
            let message = "the body must be declared as application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "not_json", message));
        }
        if parts.headers.contains_key(header::AUTHORIZATION) {
            // No page can make a browser send a key that it does not know.
            let (key, _) = office.key_of(peer, shown(&parts.headers)).await?;
            return Ok(office.operator(&key));
        }
        if !peer.is_local() {
            let message = "only the pool's own machine may call this without a key";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "no_key", message));
        }
        if !office.origins.has_host(&parts.headers) {
            return Err(forbidden(
                "without a key the host must be loopback, the listen address or the one of http.url",
            ));
        }
        if !office.origins.is_same(&parts.headers) {
            return Err(forbidden("a page of another origin may not call this"));
        }
        Ok(Self {
            who: "this machine".to_owned(),
            office,
        })
    }
}

/// Answers whoever asks too fast that it should wait.
pub(super) async fn pace(request: Request, next: Next) -> Response {
    let Some((office, peer)) = request
        .extensions()
        .get::<Office>()
        .zip(request.extensions().get::<Peer>())
    else {
        return next.run(request).await;
    };
    // This machine is the operator's. Behind a proxy that nobody named all look like it, which is why it
    // should be named.
    if !peer.is_local() {
        let key = shown(request.headers()).parse::<ApiKey>();
        let key = key.ok().map(|key| key.hash());
        let key = key.filter(|hash| office.knows(hash));
        let asker = key.map_or(Asker::Address(peer.party()), Asker::Key);
        let kind = Kind::of(request.method(), request.uri().path());
        if let Err(wait) = office.pace.ask(asker, kind) {
            let problem = Problem::too_fast(wait, "too many requests");
            return match wants_page(&request) {
                true => problem.with_its_headers(dashboard::refuse(&problem)),
                false => problem.into_response(),
            };
        }
    }
    next.run(request).await
}

/// Whether somebody looks at a page, who is told what is wrong by a page.
fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok()).unwrap_or("");
    accept.contains("text/html") && !request.uri().path().starts_with("/api/")
}

fn forbidden(message: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", message)
}

/// The key that a request shows; empty if it shows none.
fn shown(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let (scheme, key) = text.split_once(' ').unwrap_or(("", ""));
    match scheme.eq_ignore_ascii_case("bearer") {
        true => key.trim(),
        false => "",
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes() != b"0")
}

/// Only what a page of another origin cannot send without being asked first.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json")
}
