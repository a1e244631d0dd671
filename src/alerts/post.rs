//! One POST to one URL: with limits on time and size, without redirects, without a proxy, over a
//! connection of its own to an address that [`Reach`] has judged.

use std::{sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::reach::{Reach, Unreached};

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(10);
/// The most bytes of an answer's head. Its body is not read.
const HEAD_MAX: usize = 16 * 1024;

/// How requests are made.
#[derive(Clone)]
pub(crate) struct Poster {
    tls: Arc<rustls::ClientConfig>,
}

/// What is posted.
pub(crate) struct Post {
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why it was not taken. No secret of the URL is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    /// Nobody was reached.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// The peer's certificate is not good, or it speaks no TLS.
    #[error("no TLS: {0}")]
    Tls(std::io::Error),
    /// It did not answer as HTTP has it.
    #[error("no answer of HTTP: {0}")]
    Http(String),
    /// It answered that it did not take it.
    #[error("answered with {0}")]
    Status(StatusCode),
    /// It took too long.
    #[error("no answer within 10 seconds")]
    Slow,
    /// The URL or a header is none.
    #[error("{0}")]
    NotSendable(&'static str),
}

impl Poster {
    pub(crate) fn new(tls: Arc<rustls::ClientConfig>) -> Self {
        Self { tls }
    }

    /// Posts, and gives up after 10 seconds. Anything but 2xx is an error.
    pub(crate) async fn post(&self, url: &Url, reach: &Reach, post: Post) -> Result<(), PostError> {
        timeout(WITHIN, self.send(url, reach, post))
            .await
            .map_err(|_| PostError::Slow)?
    }

    async fn send(&self, url: &Url, reach: &Reach, post: Post) -> Result<(), PostError> {
        // An address of IPv6 stands in brackets in a URL, and nowhere else.
        let host = url.host_str().unwrap_or_default();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let port = url
            .port_or_known_default()
            .ok_or(PostError::NotSendable("no port"))?;
        let request = request(url, host, post)?;
        let stream = reach.connect(name, port).await?;
        if url.scheme() != "https" {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| PostError::NotSendable("no name for TLS"))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
        exchange(stream.await.map_err(PostError::Tls)?, request).await
    }
}

fn request(url: &Url, host: &str, post: Post) -> Result<Request<Full<Bytes>>, PostError> {
    let header = |value: String| {
        HeaderValue::try_from(value).map_err(|_| PostError::NotSendable("no text for a header"))
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let mut request = Request::post(path)
        .header(HOST, header(host)?)
        .header(USER_AGENT, concat!("adit/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, post.content_type)
        .header(CONTENT_LENGTH, post.body.len());
    for (name, value) in post.headers {
        request = request.header(name, header(value)?);
    }
    let body = Full::new(Bytes::from(post.body));
    request
        .body(body)
        .map_err(|_| PostError::NotSendable("no path"))
}

/// Sends the request and waits for the head of the answer.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(), PostError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| PostError::Http(error.to_string());
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = connection.await.map_err(failed)?;
    tokio::pin!(connection);
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    // Whoever sends the answer also moves the connection; with the head read, both are dropped.
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer.map_err(failed)?,
        ended = &mut connection => {
            ended.map_err(failed)?;
            answer.await.map_err(failed)?
        }
    };
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(PostError::Status(answer.status()))
    }
}
