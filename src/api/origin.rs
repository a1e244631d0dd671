//! Where a request comes from that asks for something without showing a key. A page of somebody else's can
//! make a browser send one: to a name that it had point to this machine (DNS rebinding), or straight to
//! loopback (CSRF). Browsers say which name they asked and whose page it was; programs say less.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// By which names this server is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origins {
    /// Where it listens.
    address: IpAddr,
    /// The host of the operator's own URL, and the URL without its path.
    url: Option<(String, String)>,
}

impl Origins {
    /// Of a server that listens there and is found at this URL.
    pub(super) fn new(listen: SocketAddr, url: Option<&str>) -> Self {
        Self {
            address: listen.ip().to_canonical(),
            url: url.and_then(|url| {
                let url = url.to_ascii_lowercase();
                let (scheme, rest) = url.split_once("://")?;
                let authority = rest.split(['/', '?', '#']).next()?;
                let name = host(authority)?.to_owned();
                Some((name, format!("{scheme}://{authority}")))
            }),
        }
    }

    /// Whether the name that was asked for is one of ours: loopback, where it listens, or the URL's.
    pub(super) fn has_host(&self, headers: &HeaderMap) -> bool {
        let Some(asked) = one(headers, header::HOST) else {
            return false;
        };
        let asked = asked.to_ascii_lowercase();
        let Some(name) = host(&asked) else {
            return false;
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback() || address == self.address;
        }
        let is_url = |(of_url, _): &(String, String)| of_url == name;
        name == "localhost" || self.url.as_ref().is_some_and(is_url)
    }

    /// Whether no page of another origin made the browser ask, as far as it says.
    pub(crate) fn is_same(&self, headers: &HeaderMap) -> bool {
        match one(headers, FETCH_SITE) {
            Some("same-origin" | "none") => {}
            None if !headers.contains_key(FETCH_SITE) => {}
            _ => return false,
        }
        if !headers.contains_key(header::ORIGIN) {
            return true;
        }
        let Some(origin) = one(headers, header::ORIGIN).map(str::to_ascii_lowercase) else {
            return false;
        };
        if self.url.as_ref().is_some_and(|(_, url)| *url == origin) {
            return true;
        }
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        let asked = one(headers, header::HOST).map(str::to_ascii_lowercase);
        authority.is_some() && authority == asked.as_deref()
    }
}

/// The only value of a header. One that comes twice is none: whoever stands before us may have read the
/// other one.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let only: Option<&HeaderValue> = values.next().filter(|_| values.next().is_none());
    only?.to_str().ok()
}

/// A host without its port.
fn host(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, port) = authority.split_at(end);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (!name.is_empty() && is_whole).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let listen = "192.168.1.2:3334".parse().unwrap();
        Origins::new(listen, Some("https://Pool.example:8443/adit/"))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a71_a_name_that_somebody_had_point_here_is_not_ours() {
        for ours in [
            "127.0.0.1",
            "127.0.0.1:3334",
            "127.9.9.9:1",
            "[::1]:3334",
            "[::ffff:127.0.0.1]",
            "localhost:3334",
            "LocalHost",
            "192.168.1.2:3334",
            "pool.example:8443",
            "pool.example",
        ] {
            assert!(origins().has_host(&headers(&[("host", ours)])), "{ours}");
        }
        for foreign in [
            "",
            ":3334",
            "evil.example:3334",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example/127.0.0.1",
            "127.0.0.1@evil.example",
            "127.0.0.1:x",
            "192.168.1.3",
            "0.0.0.0:3334",
            "[::1",
            "[::1]x",
            "2130706433",
        ] {
            assert!(
                !origins().has_host(&headers(&[("host", foreign)])),
                "{foreign}"
            );
        }
        assert!(!origins().has_host(&headers(&[])));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert!(!origins().has_host(&headers(&twice)));
        // Where it listens everywhere, no address is its own.
        let everywhere = Origins::new("0.0.0.0:3334".parse().unwrap(), None);
        assert!(!everywhere.has_host(&headers(&[("host", "192.168.1.2")])));
    }

    #[test]
    fn a71_a_page_of_another_origin_is_found_out() {
        #[track_caller]
        fn case(pairs: &[(&'static str, &'static str)], is_same: bool) {
            assert_eq!(origins().is_same(&headers(pairs)), is_same, "{pairs:?}");
        }
        let host = ("host", "127.0.0.1:3334");
        case(&[host], true);
        case(&[host, ("origin", "http://127.0.0.1:3334")], true);
        case(&[host, ("origin", "https://pool.example:8443")], true);
        case(&[host, ("sec-fetch-site", "same-origin")], true);
        case(&[host, ("sec-fetch-site", "none")], true);
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            case(&[host, ("sec-fetch-site", site)], false);
        }
        for origin in [
            "null",
            "",
            "http://127.0.0.1",
            "http://127.0.0.1:3333",
            "http://evil.example",
            "https://pool.example",
            "http://pool.example:8443",
            "http://127.0.0.1:3334.evil.example",
            "file://127.0.0.1:3334",
            "127.0.0.1:3334",
        ] {
            case(&[host, ("origin", origin)], false);
        }
        // One of the two is not enough.
        let origin = ("origin", "http://127.0.0.1:3334");
        case(&[host, origin, ("sec-fetch-site", "cross-site")], false);
        case(&[host, origin, ("origin", "http://evil.example")], false);
        case(&[origin], false);
    }
}
