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

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivateKeyDer;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::networks::Networks;

    const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

    fn poster(roots: rustls::RootCertStore) -> Poster {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        Poster::new(Arc::new(
            config.with_root_certificates(roots).with_no_client_auth(),
        ))
    }

    fn message() -> Post {
        Post {
            content_type: "text/plain",
            headers: vec![(HeaderName::from_static("title"), "a title".into())],
            body: b"hello".to_vec(),
        }
    }

    /// Reads a request as far as its body, and answers.
    async fn serve<S>(mut stream: S, answer: &str) -> String
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut heard = Vec::new();
        while !heard.ends_with(b"hello") {
            let mut bytes = [0; 1024];
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(count) => heard.extend(&bytes[..count]),
            }
        }
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        String::from_utf8(heard).unwrap()
    }

    /// What is answered to a POST to a server that answers so.
    async fn case(answer: &'static str) -> (Result<(), PostError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served =
            tokio::spawn(async move { serve(listener.accept().await.unwrap().0, answer).await });
        let url = Url::parse(&format!("http://127.0.0.1:{port}/a?b=c")).unwrap();
        let poster = poster(rustls::RootCertStore::empty());
        let posted = poster.post(&url, &Reach::Anywhere, message()).await;
        (posted, served.await.unwrap())
    }

    #[tokio::test]
    async fn only_a_2xx_is_taken() {
        let (posted, heard) = case(OK).await;
        posted.unwrap();
        assert!(
            heard.starts_with("POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:"),
            "{heard}"
        );
        assert!(heard.contains("content-length: 5\r\n"), "{heard}");
        assert!(heard.contains("title: a title\r\n"), "{heard}");
        for (answer, said) in [
            (
                "HTTP/1.1 500 X\r\n\r\n",
                "answered with 500 Internal Server Error",
            ),
            ("HTTP/1.1 404 X\r\n\r\n", "answered with 404 Not Found"),
            (
                "HTTP/1.1 301 X\r\nlocation: http://127.0.0.1:1/\r\n\r\n",
                "answered with 301 Moved Permanently",
            ),
        ] {
            assert_eq!(case(answer).await.0.unwrap_err().to_string(), said);
        }
        for answer in ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 999999 X\r\n\r\n"] {
            let refused = case(answer).await.0.unwrap_err();
            assert!(matches!(refused, PostError::Http(_)), "{answer}: {refused}");
        }
        // A head without an end.
        let endless = String::leak("HTTP/1.1 200 OK\r\n".to_owned() + &"a: b\r\n".repeat(10_000));
        assert!(matches!(case(endless).await.0, Err(PostError::Http(_))));
    }

    #[tokio::test]
    async fn tls_is_spoken_with_whom_an_authority_vouches_for() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, OK).await;
                }
            }
        });
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let url = |host: &str| Url::parse(&format!("https://{host}:{port}/")).unwrap();
        let known = poster(roots);
        let here = Reach::Public(Networks::parse(&["127.0.0.0/8".into(), "::1".into()]).unwrap());
        known
            .post(&url("localhost"), &here, message())
            .await
            .unwrap();
        // Another name, and another authority.
        let other = known.post(&url("127.0.0.1"), &here, message()).await;
        assert!(matches!(other, Err(PostError::Tls(_))), "{other:?}");
        let unknown = poster(rustls::RootCertStore::empty());
        let unknown = unknown.post(&url("localhost"), &here, message()).await;
        assert!(matches!(unknown, Err(PostError::Tls(_))), "{unknown:?}");
    }
}
