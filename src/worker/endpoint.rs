//! Where a pool is: the URL of `--url`, read once.
//!
//! Miners have it as `stratum+tcp://host:port`, `tcp://host:port` or bare `host:port`, and over TLS as
//! `stratum+ssl://host:port`; the scheme says nothing of the dialect. Pools that are asked over HTTP are
//! `http://host:port` or `https://host:port`, by ports 80 and 443 where none is said. A scheme
//! that stands for another protocol is an error which says so, never a connection that talks the
//! wrong language.

use std::{fmt, str::FromStr};

/// Host and port of a pool, and what it speaks there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    is_tls: bool,
    is_http: bool,
}

/// Why a URL names no pool that can be joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// The protocol is known, and not spoken by this version.
    #[error(
        "{scheme}:// is {protocol}, which this version does not speak: it joins pools over \
         stratum+tcp://, stratum+ssl://, http:// and https://; {protocol} will come with a later one"
    )]
    NotYet {
        scheme: String,
        protocol: &'static str,
    },
    /// Nobody's scheme.
    #[error("{0}:// is no scheme of a pool; use stratum+tcp://host:port")]
    Scheme(String),
    /// A host without a port.
    #[error("{0:?} has no port; pools write stratum+tcp://host:port, often with port 3333")]
    Port(String),
    /// No host, or more than one.
    #[error("{0:?} has no host; use stratum+tcp://host:port")]
    Host(String),
}

/// The longest host name there is.
const MAX_HOST: usize = 253;

impl Endpoint {
    /// A name or an address, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether work is asked for over HTTP, rather than told in lines.
    pub fn is_http(&self) -> bool {
        self.is_http
    }

    /// `host:port`, as it stands in a URL and in the header `Host`.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }

    /// Whether `host` is the same host in other letters.
    pub fn is_host(&self, host: &str) -> bool {
        self.host.eq_ignore_ascii_case(bare(host))
    }

    /// Another port of the same host.
    pub fn with_port(&self, port: u16) -> Self {
        Self {
            host: self.host.clone(),
            port,
            ..*self
        }
    }
}

impl FromStr for Endpoint {
    type Err = NoEndpoint;

    fn from_str(url: &str) -> Result<Self, NoEndpoint> {
        let url = url.trim();
        let (spoken, authority) = match url.split_once("://") {
            None => (Spoken::default(), url),
            Some((scheme, rest)) => (Spoken::by(&scheme.to_ascii_lowercase())?, rest),
        };
        let Spoken {
            is_tls,
            is_http,
            usual_port,
        } = spoken;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let shown = || authority.chars().take(MAX_HOST).collect::<String>();
        let (host, port) = authority
            .rsplit_once(':')
            .filter(|(host, port)| !host.is_empty() && !port.contains(']'))
            .or(usual_port.map(|port| (authority, port)))
            .ok_or_else(|| NoEndpoint::Port(shown()))?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0);
        let port = port.ok_or_else(|| NoEndpoint::Port(shown()))?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let host = bare(host);
        let written = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        let legal = !host.is_empty()
            && host.len() <= MAX_HOST
            && host.bytes().all(written)
            && host.contains(':') == bracketed;
        if !legal {
            return Err(NoEndpoint::Host(shown()));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            is_tls,
            is_http,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.is_http, self.is_tls) {
            (false, false) => "stratum+tcp",
            (false, true) => "stratum+ssl",
            (true, false) => "http",
            (true, true) => "https",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// What a scheme stands for.
#[derive(Default)]
struct Spoken {
    is_tls: bool,
    is_http: bool,
    /// Where none is said.
    usual_port: Option<&'static str>,
}

impl Spoken {
    fn by(scheme: &str) -> Result<Self, NoEndpoint> {
        let lines = |is_tls| Self {
            is_tls,
            ..Self::default()
        };
        let http = |is_tls, port| Self {
            is_tls,
            is_http: true,
            usual_port: Some(port),
        };
        let protocol = match scheme {
            "stratum+tcp" | "tcp" | "stratum" => return Ok(lines(false)),
            "stratum+ssl" | "stratum+tls" | "stratums" | "ssl" | "tls" => return Ok(lines(true)),
            "http" => return Ok(http(false, "80")),
            "https" => return Ok(http(true, "443")),
            "stratum2+tcp" | "stratum2+ssl" | "sv2" => "Stratum V2",
            "daemon+http" | "daemon+https" => "a node's own work",
            _ => return Err(NoEndpoint::Scheme(scheme.chars().take(32).collect())),
        };
        Err(NoEndpoint::NotYet {
            scheme: scheme.to_owned(),
            protocol,
        })
    }
}

fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_read_in_every_way_people_write_them() {
        #[track_caller]
        fn case(url: &str, host: &str, port: u16) {
            let endpoint: Endpoint = url.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port()), (host, port));
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        }
        case("stratum+tcp://pool.example:3333", "pool.example", 3333);
        case("STRATUM+TCP://Pool.Example:3333/", "Pool.Example", 3333);
        case("tcp://10.0.0.7:1", "10.0.0.7", 1);
        case(" umbrel.local:65535 ", "umbrel.local", 65535);
        case("stratum+tcp://[::1]:3333", "::1", 3333);
        case("stratum+ssl://pool.example:443", "pool.example", 443);
        case("TLS://[::1]:443", "::1", 443);
        case("http://pool.example:3333/", "pool.example", 3333);
        case("HTTP://pool.example", "pool.example", 80);
        case("https://[::1]", "::1", 443);
        for (url, is_tls) in [
            ("ssl://a:1", true),
            ("stratums://a:1", true),
            ("a:1", false),
        ] {
            let endpoint: Endpoint = url.parse().unwrap();
            assert_eq!(endpoint.is_tls(), is_tls, "{url}");
            assert_eq!(endpoint.with_port(2).is_tls(), is_tls, "{url}");
            assert!(!endpoint.is_http(), "{url}");
        }
        for (url, is_tls) in [("http://a", false), ("https://a:1", true)] {
            let endpoint: Endpoint = url.parse().unwrap();
            assert_eq!((endpoint.is_http(), endpoint.is_tls()), (true, is_tls));
            assert!(endpoint.with_port(2).is_http(), "{url}");
        }
    }

    #[test]
    fn other_protocols_are_refused_by_name() {
        #[track_caller]
        fn case(url: &str, told: &str) {
            let error = url.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        case("stratum2+tcp://pool.example:34254/9bX", "Stratum V2");
        case("daemon+http://127.0.0.1:8332", "a node's own work");
        case("http://pool.example/pool", "no host");
        case("http://pool.example:80/pool", "no port");
        case("http://pool.example:", "no port");
        case("http://", "no host");
        case("https://user@pool.example", "no host");
        case("ftp://pool.example:21", "no scheme");
        case("pool.example", "no port");
        case("stratum+tcp://pool.example:", "no port");
        case("stratum+tcp://pool.example:+1", "no port");
        case("stratum+tcp://pool.example:0", "no port");
        case("stratum+tcp://pool.example:65536", "no port");
        case("stratum+tcp://[::1]", "no port");
        case("::1:3333", "no host");
        case(":3333", "no port");
        case("user@pool.example:3333", "no host");
        case("pool.example/path:3333", "no host");
        case("", "no port");
    }

    #[test]
    fn the_same_host_may_be_written_otherwise() {
        let endpoint: Endpoint = "pool.example:3333".parse().unwrap();
        assert!(endpoint.is_host("POOL.example"));
        assert!(!endpoint.is_host("evil.example"));
        assert!(!endpoint.is_host(""));
        assert_eq!(endpoint.with_port(4444).port(), 4444);
    }
}
