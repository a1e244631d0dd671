//! What a browser gets that was pointed at the miners' port: one page that says where it is and
//! where to go instead. It is answered and closed; there is no session and no worker.

use std::{
    fmt::Write as _,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::time::timeout;

use crate::{config, stream::Stream};

/// How much of a request is read. `Host`, which is all that is looked for, stands near the start.
const HEAD_MAX: usize = 1024;
/// How long a request and its answer may take.
const TIME: Duration = Duration::from_secs(5);
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
    /// Whether miners can come without TLS.
    pub(super) plain: bool,
    /// Whether miners can come under TLS.
    pub(super) tls: bool,
    /// Where the status page is.
    pub(super) status: StatusPage,
}

/// Answers one request and closes.
pub(super) async fn answer(mut stream: Stream, page: &Page) -> io::Result<()> {
    let local = stream.local_addr()?;
    let answered = timeout(TIME, async {
        let head = read_head(&mut stream).await?;
        let text = page.response(&head, local);
        write(&mut stream, text.as_bytes()).await
    });
    answered
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.close().await;
    Ok(())
}

/// Reads until the head is complete or as long as it may be.
async fn read_head(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_MAX];
    let mut length = 0;
    while length < HEAD_MAX && !head[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut head[length..]).await? {
            0 => break,
            count => length += count,
        }
    }
    head.truncate(length);
    Ok(head)
}

async fn write(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    loop {
        let result = match bytes {
            [] => stream.try_flush().map(|()| 0),
            bytes => stream.try_write(bytes),
        };
        match result {
            Ok(_) if bytes.is_empty() => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
}

impl Page {
    fn response(&self, head: &[u8], local: SocketAddr) -> String {
        let host = host(head).unwrap_or_else(|| in_url(local.ip()));
        let body = self.body(&host, local.port());
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Content-Security-Policy: default-src 'none'\r\nX-Content-Type-Options: nosniff\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len()
        );
        if !head.starts_with(b"HEAD ") {
            response.push_str(&body);
        }
        response
    }

    fn body(&self, host: &str, port: u16) -> String {
        let mut urls = String::new();
        let schemes = [("stratum+tcp", self.plain), ("stratum+ssl", self.tls)];
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
fn host(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    // The last line may be cut.
    let (whole, _) = head.rsplit_once("\r\n")?;
    let value = whole.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    })?;
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
            let head = format!("GET / HTTP/1.1\r\nAccept: */*\r\nhOsT: {value}\r\n\r\n");
            assert_eq!(host(head.as_bytes()).as_deref(), expected);
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
        assert_eq!(host(b"GET / HTTP/1.1\r\nHost: cut.exam"), None);
        assert_eq!(host(b"GET / HTTP/1.1"), None);
    }

    #[test]
    fn the_page_says_where_miners_and_people_go() {
        let head = b"GET / HTTP/1.1\r\nHost: pool.example\r\n\r\n";
        let text = page().response(head, local());
        let (start, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(start.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(body.contains("stratum+tcp://pool.example:3333<"));
        assert!(body.contains("stratum+ssl://pool.example:3333<"));
        assert!(body.contains("href=\"https://pool.example/\""));
        let only = Page {
            plain: false,
            status: StatusPage::At("0.0.0.0:3334".parse().unwrap()),
            ..page()
        };
        let body = only.response(head, local());
        assert!(!body.contains("stratum+tcp") && body.contains("http://pool.example:3334/"));
        let text = page().response(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", local());
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        assert!(!text.contains("Content-Length: 0"));
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

    proptest! {
        #[test]
        fn no_request_writes_into_the_page(head in prop::collection::vec(any::<u8>(), 0..200)) {
            let head = [b"GET / HTTP/1.1\r\nHost: ", &head[..], b"\r\n\r\n"].concat();
            let text = page().response(&head, local());
            let plain = page().response(b"GET / HTTP/1.1\r\n\r\n", local());
            let tags = |text: &str| text.matches(['<', '>', '"', '&']).count();
            prop_assert_eq!(tags(&text), tags(&plain));
        }
    }
}
