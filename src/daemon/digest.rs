//! HTTP's digest login (RFC 7616), as Monero's programs want it: each connection has a challenge of its
//! own, and each request over it counts one further.
//!
//! Called by [`rpc`](super::rpc), which sends what is made here. So that a challenge meets its own
//! connection again, a [`Line`] is one connection and has one request under way at most.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http_auth::{DigestClient, PasswordParams};
use reqwest::{
    Client, RequestBuilder, Url,
    header::{self, HeaderMap},
};

use super::{config::Secret, rpc};

/// A request without a challenge, one with it, and some more: a connection may break, and one that was
/// used a moment ago may not be back yet, so that a new one is made.
pub(super) const ATTEMPTS: usize = 6;

/// The time in which a connection that was used comes back.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// Connections that nobody uses at the moment.
#[derive(Debug)]
pub(super) struct Lines {
    idle: Mutex<Vec<Line>>,
    most: usize,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    client: Client,
    /// The one that was answered last.
    challenge: Option<DigestClient>,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The connection was new: with its challenge it may be let in.
    #[error("it has a new challenge each time")]
    Challenge,
    /// The challenge was answered, but not as it should be.
    #[error("user or password is wrong")]
    Password,
    /// It wants another login.
    #[error("it offers no digest login")]
    NoDigest,
}

impl Lines {
    /// At most so many are kept.
    pub(super) fn new(most: usize) -> Self {
        Self {
            idle: Mutex::default(),
            most,
        }
    }

    /// One that nobody else has: that of the last call, or a new one. No call waits for another.
    pub(super) fn take(&self) -> reqwest::Result<Line> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match idle.pop() {
            Some(line) => Ok(line),
            None => Line::new(),
        }
    }

    /// It answered and goes on. One that did not is dropped in place of this, and so is closed.
    pub(super) fn keep(&self, line: Line) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push(line);
        }
    }
}

impl Line {
    fn new() -> reqwest::Result<Self> {
        Ok(Self {
            client: rpc::client(1)?,
            challenge: None,
        })
    }

    /// A request that answers the challenge, if there is one.
    pub(super) fn post(&mut self, url: &Url, user: &str, password: &Secret) -> RequestBuilder {
        let post = self.client.post(url.clone());
        let Some(challenge) = &mut self.challenge else {
            return post;
        };
        let params = PasswordParams {
            username: user,
            password: password.expose(),
            uri: url.path(),
            method: "POST",
            body: None,
        };
        match challenge.respond(&params) {
            Ok(authorization) => post.header(header::AUTHORIZATION, authorization),
            // It counts no further: a new one is asked for.
            Err(_) => {
                self.challenge = None;
                post
            }
        }
    }

    /// The request was not let in. Says why, and keeps the challenge for the next attempt.
    pub(super) fn refused(&mut self, headers: &HeaderMap) -> Refused {
        // One that was answered before may belong to a connection that is no more.
        let was_new = self
            .challenge
            .take()
            .is_some_and(|answered| answered.nonce_count() == 1);
        let Some(challenge) = challenge_of(headers) else {
            return Refused::NoDigest;
        };
        if was_new && !challenge.stale() {
            return Refused::Password;
        }
        self.challenge = Some(challenge);
        Refused::Challenge
    }
}

/// The first one that can be answered.
fn challenge_of(headers: &HeaderMap) -> Option<DigestClient> {
    let offered = headers.get_all(header::WWW_AUTHENTICATE);
    offered.iter().find_map(|value| {
        let challenges = http_auth::parse_challenges(value.to_str().ok()?).ok()?;
        let mut digests = challenges.iter();
        digests.find_map(|challenge| DigestClient::try_from(challenge).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONERO: &str = r#"Digest qop="auth",algorithm=MD5,realm="monero-rpc",nonce="89fsIN4VNPcmCb/Y9dUVjw==",stale=false"#;

    fn offering(values: &[&str]) -> HeaderMap {
        let value = |value: &&str| (header::WWW_AUTHENTICATE, value.parse().unwrap());
        values.iter().map(value).collect()
    }

    /// The login of the next request.
    fn sent(line: &mut Line) -> Option<String> {
        let url = "http://127.0.0.1:1/json_rpc".parse().unwrap();
        let request = line.post(&url, "user", &"secret".into()).build().unwrap();
        let sent = request.headers().get(header::AUTHORIZATION)?;
        Some(sent.to_str().unwrap().to_owned())
    }

    #[test]
    fn each_request_over_a_connection_counts_one_further() {
        let mut line = Line::new().unwrap();
        assert_eq!(sent(&mut line), None);
        let offer = offering(&[MONERO]);
        assert_eq!(line.refused(&offer), Refused::Challenge);
        for count in ["nc=00000001", "nc=00000002", "nc=00000003"] {
            let authorization = sent(&mut line).unwrap();
            assert!(authorization.contains(count), "{authorization}");
            assert!(authorization.contains("uri=\"/json_rpc\""));
            assert!(!authorization.contains("secret"));
        }
        // The connection was closed meanwhile; the new one knows nothing of that challenge.
        assert_eq!(line.refused(&offer), Refused::Challenge);
        assert!(sent(&mut line).unwrap().contains("nc=00000001"));
    }

    #[test]
    fn a_wrong_password_is_told_from_a_connection_that_broke() {
        let stale = offering(&[&MONERO.replace("stale=false", "stale=true")]);
        for (answer, expected) in [
            (offering(&[MONERO]), Refused::Password),
            (stale, Refused::Challenge),
        ] {
            let mut line = Line::new().unwrap();
            assert_eq!(line.refused(&offering(&[MONERO])), Refused::Challenge);
            assert!(sent(&mut line).is_some());
            assert_eq!(line.refused(&answer), expected);
        }
    }

    #[test]
    fn a_login_of_another_kind_is_not_answered() {
        let none = |values: &[&str]| Line::new().unwrap().refused(&offering(values));
        assert_eq!(none(&[]), Refused::NoDigest);
        assert_eq!(none(&["Basic realm=\"x\""]), Refused::NoDigest);
        assert_eq!(none(&["Digest"]), Refused::NoDigest);
        assert_eq!(none(&["Digest nonce=\"x"]), Refused::NoDigest);
        let both = none(&["Basic realm=\"x\"", MONERO]);
        assert_eq!(both, Refused::Challenge);
    }

    #[test]
    fn no_call_waits_for_the_connection_of_another_and_few_are_kept() {
        let lines = Lines::new(2);
        let mut taken: Vec<Line> = (0..3).map(|_| lines.take().unwrap()).collect();
        taken[2].refused(&offering(&[MONERO]));
        for line in taken.drain(1..).rev() {
            lines.keep(line);
        }
        lines.keep(taken.remove(0));
        let again: Vec<Line> = (0..3).map(|_| lines.take().unwrap()).collect();
        let known: Vec<bool> = again.iter().map(|line| line.challenge.is_some()).collect();
        assert_eq!(known, [false, true, false]);
    }
}
