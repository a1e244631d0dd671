//! What is answered at a miners' port to whoever speaks HTTP: the work protocol, and to a browser one page that
//! says where it is and where to go instead.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    http::{HeaderMap, Request, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, service::service_fn};
use mining::bucket::{Bucket, Limit};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use crate::{config, http, stream::Stream};

/// How long a head may take, and how long a worker's connection may be idle before the next one: no longer than
/// miners have to say who they are.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// What a connection is told that asks faster than its port's messages may come.
const TOO_MANY: &str = "too many requests";
/// What is told of a path that is none of the work protocol.
const NO_CALL: &str =
    "there is no such call at a port for miners; docs/http-work.md has all of them";
/// The longest name of a host (RFC 1035).
const HOST_MAX: usize = 253;

/// Where the status page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusPage {
    /// At a URL that the operator named.
    Url(String),
    /// At this address of the pool's machine.
    At(SocketAddr),
}

impl StatusPage {
    /// From the settings. The error says what is wrong with `http.url`.
    pub fn new(http: &config::Http) -> Result<Self, String> {
        let Some(url) = &http.url else {
            return Ok(Self::At(http.listen));
        };
        let is_harmless =
            |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$()*+,;=%".contains(c);
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        match rest {
            Some(rest) if !rest.is_empty() && rest.chars().all(is_harmless) => {
                Ok(Self::Url(url.clone()))
            }
            _ => Err(format!(
                "http.url: {url:?} is no URL like \"https://pool.example/\""
            )),
        }
    }
}

/// What the page says about a port.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// The coin's name, or those of both.
    pub(super) coin: String,
    /// Whether miners can come by Stratum.
    pub(super) stratum: bool,
    /// Whether miners can come without TLS.
    pub(super) plain: bool,
    /// Whether miners can come under TLS.
    pub(super) tls: bool,
    /// Where the status page is.
    pub(super) status: StatusPage,
}

/// The address that a request came to.
#[derive(Clone, Copy)]
struct Local(SocketAddr);

/// What a port answers: the work protocol, and its page to everybody else who looks.
pub(super) fn routes(work: Router, page: Page) -> Router {
    let page = Arc::new(page);
    work.fallback(
        move |uri: Uri, headers: HeaderMap, Extension(Local(local)): Extension<Local>| {
            let page = Arc::clone(&page);
            async move {
                // A program that takes the page for an answer would believe that something was done.
                match is_call(uri.path()) {
                    true => (StatusCode::NOT_FOUND, NO_CALL).into_response(),
                    false => page.response(&headers, local),
                }
            }
        },
    )
}

/// Whether a path is below those of the work protocol.
fn is_call(path: &str) -> bool {
    ["/pool", "/api/pool"].iter().any(|prefix| {
        let rest = path.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Answers requests until the other side has enough.
pub(super) async fn serve(
    stream: Stream,
    peer: SocketAddr,
    (routes, messages): (&Router, Limit),
    stopping: &CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let local = Local(stream.local_addr()?);
    let begun = Instant::now();
    let bucket = Mutex::new(Bucket::new(messages, 0));
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(local);
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let may_ask = bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(ms);
        let answered = may_ask.then(|| routes.clone().call(request));
        async {
            match answered {
                Some(answered) => answered.await,
                None => Ok((StatusCode::TOO_MANY_REQUESTS, TOO_MANY).into_response()),
            }
        }
    });
    Ok(http::converse(stream, answer, HEAD_WITHIN, stopping).await?)
}

impl Page {
    /// The page; a browser that has it need not stay.
    fn response(&self, headers: &HeaderMap, local: SocketAddr) -> Response {
        let host = headers.get(header::HOST);
        let host = host.and_then(|value| host_of(value.as_bytes()));
        let host = host.unwrap_or_else(|| in_url(local.ip()));
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONNECTION, "close"),
        ];
        (headers, self.body(&host, local.port())).into_response()
    }

    fn body(&self, host: &str, port: u16) -> String {
        let mut urls = String::new();
        let schemes = [
            ("stratum+tcp", self.plain && self.stratum),
            ("stratum+ssl", self.tls && self.stratum),
            ("http", self.plain),
            ("https", self.tls),
        ];
        for (scheme, _) in schemes.iter().filter(|(_, is_open)| *is_open) {
            writeln!(urls, "<p><code>{scheme}://{host}:{port}</code></p>")
                .expect("writing to a string cannot fail");
        }
        let status = match &self.status {
            StatusPage::Url(url) => format!("The pool's page is <a href=\"{url}\">{url}</a>."),
            StatusPage::At(address) if address.port() == 0 => String::new(),
            StatusPage::At(address) => {
                let ip = address.ip();
                let (host, where_from) = match ip {
                    _ if ip.is_unspecified() => (host.to_owned(), ""),
                    _ if ip.is_loopback() => (in_url(ip), ", to be opened on the pool's machine"),
                    _ => (in_url(ip), ""),
                };
                let url = format!("http://{host}:{}/", address.port());
                format!("The pool's page is <a href=\"{url}\">{url}</a>{where_from}.")
            }
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<title>Mining pool</title>\n\
             <h1>This port is for miners</h1>\n\
             <p>It belongs to a mining pool for {}. Set a miner to:</p>\n{urls}<p>{status}</p>\n",
            self.coin
        )
    }
}

/// An address as it stands in a URL.
fn in_url(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The host that a request names, if it can stand in a page as it is.
fn host_of(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?.trim();
    if let Some(rest) = value.strip_prefix('[') {
        let (address, _) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(in_url(address.into()));
    }
    let name = value.split(':').next()?;
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let is_name = !name.is_empty() && name.len() <= HOST_MAX && name.chars().all(is_harmless);
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page() -> Page {
        Page {
            coin: "bitcoin".into(),
            stratum: true,
            plain: true,
            tls: true,
            status: StatusPage::Url("https://pool.example/".into()),
        }
    }

    fn local() -> SocketAddr {
        "127.0.0.1:3333".parse().unwrap()
    }

    #[test]
    fn hosts_that_are_harmless_are_shown() {
        #[track_caller]
        fn case(value: &str, expected: Option<&str>) {
            assert_eq!(host_of(value.as_bytes()).as_deref(), expected);
        }
        case("pool.example", Some("pool.example"));
        case("pool.example:3333", Some("pool.example"));
        case("10.0.0.1:3333", Some("10.0.0.1"));
        case("[2001:db8::1]:3333", Some("[2001:db8::1]"));
        case("[::ffff:1.2.3.4]", Some("1.2.3.4"));
        case("<script>", None);
        case("a b", None);
        case("\"onload=", None);
        case("pool\u{e4}", None);
        case("", None);
        case(":3333", None);
        case("[zz]", None);
        case("[::1", None);
        case(&"a".repeat(254), None);
        assert_eq!(host_of(b"\xff"), None);
    }

    #[test]
    fn the_page_says_where_miners_and_people_go() {
        let body = page().body("pool.example", 3333);
        for scheme in ["stratum+tcp", "stratum+ssl", "http", "https"] {
            assert!(
                body.contains(&format!(">{scheme}://pool.example:3333<")),
                "{body}"
            );
        }
        assert!(body.contains("href=\"https://pool.example/\""));
        let only = Page {
            plain: false,
            status: StatusPage::At("0.0.0.0:3334".parse().unwrap()),
            ..page()
        };
        let body = only.body("pool.example", 3333);
        assert!(!body.contains("stratum+tcp") && body.contains("http://pool.example:3334/"));
        let by_http = Page {
            stratum: false,
            ..page()
        };
        let body = by_http.body("pool.example", 3333);
        assert!(!body.contains("stratum") && body.contains(">http://pool.example:3333<"));
    }

    #[test]
    fn a_url_of_the_status_page_is_checked() {
        let new = |url: &str| {
            StatusPage::new(&config::Http {
                url: Some(url.into()),
                ..config::Http::default()
            })
        };
        assert!(new("https://pool.example/a?b=c").is_ok());
        for bad in [
            "",
            "pool.example",
            "ftp://x",
            "http://",
            "http://x\"y",
            "http://x<",
            "javascript:x",
        ] {
            assert!(new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn calls_are_told_from_pages_by_their_path() {
        for path in ["/pool", "/pool/", "/pool/stop", "/api/pool/x", "/api/pool"] {
            assert!(is_call(path), "{path}");
        }
        for path in ["/", "/pools", "/api", "/api/pools/1", "/x/pool/stop", ""] {
            assert!(!is_call(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_request_writes_into_the_page(host in prop::collection::vec(any::<u8>(), 0..200)) {
            let named = host_of(&host).unwrap_or_else(|| in_url(local().ip()));
            let text = page().body(&named, 3333);
            let plain = page().body("pool.example", 3333);
            let tags = |text: &str| text.matches(['<', '>', '"', '&']).count();
            prop_assert_eq!(tags(&text), tags(&plain));
        }
    }
}
