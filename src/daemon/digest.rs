//! HTTP's digest login (RFC 7616), as Monero's programs want it: each connection has a challenge of its
//! own, and each request over it counts one further.
//!
//! Called by [`rpc`](super::rpc), which sends what is made here. So that a challenge meets its own
//! connection again, a [`Line`] is one connection and has one request under way.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http_auth::{DigestClient, PasswordParams};
use reqwest::{
    Client, RequestBuilder, Url,
    header::{self, HeaderMap},
};
use tokio::sync::{Mutex, MutexGuard};

use super::{config::Secret, rpc};

/// A request without a challenge, one with it, and some more: a connection may break, and one that was
/// used a moment ago may not be back yet, so that a new one is made.
pub(super) const ATTEMPTS: usize = 6;

/// The time in which a connection that was used comes back.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// Some connections of one kind.
#[derive(Debug)]
pub(super) struct Lines {
    lines: Vec<Mutex<Line>>,
    next: AtomicUsize,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    client: Client,
    /// The last one that was let in.
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
    /// So many connections; each is made when it is needed.
    pub(super) fn new(count: usize) -> reqwest::Result<Self> {
        let line = || {
            Ok(Mutex::new(Line {
                client: rpc::client(1)?,
                challenge: None,
            }))
        };
        Ok(Self {
            lines: (0..count.max(1))
                .map(|_| line())
                .collect::<reqwest::Result<_>>()?,
            next: AtomicUsize::new(0),
        })
    }

    /// One that nobody uses; once all are used, the next in turn.
    pub(super) async fn free(&self) -> MutexGuard<'_, Line> {
        if let Some(line) = self.lines.iter().find_map(|line| line.try_lock().ok()) {
            return line;
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.lines[turn % self.lines.len()].lock().await
    }
}

impl Line {
    /// A request that answers the challenge, if there is one, and that challenge. It goes back to
    /// [`answered`](Self::answered): if the request is given up half-way, the connection is gone too.
    pub(super) fn post(
        &mut self,
        url: &Url,
        user: &str,
        password: &Secret,
    ) -> (RequestBuilder, Option<DigestClient>) {
        let post = self.client.post(url.clone());
        let Some(mut challenge) = self.challenge.take() else {
            return (post, None);
        };
        let params = PasswordParams {
            username: user,
            password: password.expose(),
            uri: url.path(),
            method: "POST",
            body: None,
        };
        match challenge.respond(&params) {
            Ok(authorization) => (
                post.header(header::AUTHORIZATION, authorization),
                Some(challenge),
            ),
            // It counts no further: the next one begins anew.
            Err(_) => (post, None),
        }
    }

    /// The request was let in.
    pub(super) fn answered(&mut self, challenge: Option<DigestClient>) {
        self.challenge = challenge;
    }

    /// The request was not let in. Says why, and keeps the challenge for the next attempt.
    pub(super) fn refused(
        &mut self,
        answered: Option<DigestClient>,
        headers: &HeaderMap,
    ) -> Refused {
        let Some(challenge) = challenge_of(headers) else {
            return Refused::NoDigest;
        };
        // One that was answered before may belong to a connection that is no more.
        let was_new = answered.is_some_and(|answered| answered.nonce_count() == 1);
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

    fn line() -> Line {
        Line {
            client: rpc::client(1).unwrap(),
            challenge: None,
        }
    }

    fn offering(values: &[&str]) -> HeaderMap {
        let value = |value: &&str| (header::WWW_AUTHENTICATE, value.parse().unwrap());
        values.iter().map(value).collect()
    }

    fn sent(line: &mut Line) -> (Option<String>, Option<DigestClient>) {
        let url = "http://127.0.0.1:1/json_rpc".parse().unwrap();
        let (post, challenge) = line.post(&url, "user", &"secret".into());
        let request = post.build().unwrap();
        let sent = request.headers().get(header::AUTHORIZATION);
        (
            sent.map(|value| value.to_str().unwrap().to_owned()),
            challenge,
        )
    }

    #[test]
    fn each_request_over_a_connection_counts_one_further() {
        let mut line = line();
        let (authorization, challenge) = sent(&mut line);
        assert_eq!(authorization, None);
        let offer = offering(&[MONERO]);
        assert_eq!(line.refused(challenge, &offer), Refused::Challenge);
        for count in ["nc=00000001", "nc=00000002", "nc=00000003"] {
            let (authorization, challenge) = sent(&mut line);
            let authorization = authorization.unwrap();
            assert!(authorization.contains(count), "{authorization}");
            assert!(authorization.contains("uri=\"/json_rpc\""));
            assert!(!authorization.contains("secret"));
            line.answered(challenge);
        }
        // The connection was closed meanwhile; the new one knows nothing of that challenge.
        let (_, challenge) = sent(&mut line);
        assert_eq!(line.refused(challenge, &offer), Refused::Challenge);
        assert!(sent(&mut line).0.unwrap().contains("nc=00000001"));
    }

    #[test]
    fn a_wrong_password_is_told_from_a_connection_that_broke() {
        let mut line = line();
        line.refused(None, &offering(&[MONERO]));
        let (_, challenge) = sent(&mut line);
        let refused = line.refused(challenge, &offering(&[MONERO]));
        assert_eq!(refused, Refused::Password);
        line.refused(None, &offering(&[MONERO]));
        let (_, challenge) = sent(&mut line);
        let stale = MONERO.replace("stale=false", "stale=true");
        let refused = line.refused(challenge, &offering(&[&stale]));
        assert_eq!(refused, Refused::Challenge);
    }

    #[test]
    fn a_login_of_another_kind_is_not_answered() {
        let none = |values: &[&str]| line().refused(None, &offering(values));
        assert_eq!(none(&[]), Refused::NoDigest);
        assert_eq!(none(&["Basic realm=\"x\""]), Refused::NoDigest);
        assert_eq!(none(&["Digest"]), Refused::NoDigest);
        assert_eq!(none(&["Digest nonce=\"x"]), Refused::NoDigest);
        let both = none(&["Basic realm=\"x\"", MONERO]);
        assert_eq!(both, Refused::Challenge);
    }
}
