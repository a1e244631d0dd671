//! A connection to a pool of HTTP that is kept open between questions and made anew when it was lost.
//!
//! One question at a time. No redirect is followed, and of an answer no more is read than a pool has to say.

use std::{pin::Pin, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    listener::Fingerprint,
    worker::{
        endpoint::Endpoint,
        stream::{self, Stream},
        waits::Waits,
    },
};

/// The longest body of an answer: a job with the longest coinbase and branch that are read.
const BODY_MAX: usize = 160 * 1024;
/// The most bytes of an answer's head.
const HEAD_MAX: usize = 16 * 1024;

/// What is said of a connection that was closed or speaks another language.
const LOST: &str = "connection lost";

/// What is asked.
pub(crate) struct Question {
    method: Method,
    /// With its query.
    path: String,
    token: Option<HeaderValue>,
    body: Vec<u8>,
    /// The longest body of its answer.
    answer_max: usize,
}

/// What the pool says.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// The question was sent twice, as the first connection broke: it may have been answered before.
    pub(super) is_second: bool,
}

/// A connection that may be lost.
pub(crate) struct Connection<'a> {
    endpoint: &'a Endpoint,
    pins: &'a [Fingerprint],
    agent: &'a str,
    waits: &'a Waits,
    open: Option<Open>,
}

type Conversation = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: Pin<Box<Conversation>>,
}

impl Question {
    pub(crate) fn get(path: String, token: Option<&HeaderValue>) -> Self {
        Self {
            method: Method::GET,
            path,
            token: token.cloned(),
            body: Vec::new(),
            answer_max: BODY_MAX,
        }
    }

    /// With an answer of so many bytes at most.
    pub(crate) fn answered_by(self, answer_max: usize) -> Self {
        Self { answer_max, ..self }
    }

    pub(super) fn post(
        path: &str,
        token: Option<&HeaderValue>,
        body: &impl Serialize,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            method: Method::POST,
            path: path.to_owned(),
            token: token.cloned(),
            body: serde_json::to_vec(body).context("cannot write JSON")?,
            answer_max: BODY_MAX,
        })
    }
}

impl<'a> Connection<'a> {
    /// Connects with the first question.
    pub(crate) fn new(
        endpoint: &'a Endpoint,
        pins: &'a [Fingerprint],
        agent: &'a str,
        waits: &'a Waits,
    ) -> Self {
        Self {
            endpoint,
            pins,
            agent,
            waits,
            open: None,
        }
    }

    /// Asks, and once more over a new connection if that which was open was lost. An error is a pool that
    /// cannot be reached, is too slow, or does not speak HTTP.
    pub(crate) async fn ask(
        &mut self,
        question: &Question,
        within: Duration,
    ) -> anyhow::Result<Answer> {
        let was_open = self.open.is_some();
        let asked = self.attempt(question, within).await;
        match asked {
            // Pools close what was silent for some seconds.
            Err(failure) if was_open && failure.is::<hyper::Error>() => {
                let mut answer = self.attempt(question, within).await?;
                answer.is_second = true;
                Ok(answer)
            }
            asked => asked,
        }
    }

    async fn attempt(&mut self, question: &Question, within: Duration) -> anyhow::Result<Answer> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        let request = self.request(question)?;
        let answer = timeout(within, open.exchange(request, question.answer_max)).await;
        let answer = answer.map_err(|_| anyhow!("no answer in {within:?}"))??;
        // Whoever is dropped in between loses the connection, and no answer is taken for another one's.
        self.open = Some(open);
        Ok(answer)
    }

    async fn connect(&mut self) -> anyhow::Result<Open> {
        let stream = stream::connect(self.endpoint, self.pins, self.waits.connect).await?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .context("no HTTP")?;
        Ok(Open {
            sender,
            connection: Box::pin(connection),
        })
    }

    fn request(&self, question: &Question) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(&question.method)
            .uri(&question.path)
            .header(HOST, self.endpoint.authority())
            .header(USER_AGENT, self.agent)
            .header(ACCEPT, "application/json");
        if question.method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &question.token {
            request = request.header(AUTHORIZATION, token);
        }
        let body = Full::new(Bytes::from(question.body.clone()));
        request.body(body).context("not to be asked")
    }
}

impl Open {
    /// Whoever sends the question also moves the connection.
    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        answer_max: usize,
    ) -> anyhow::Result<Answer> {
        let Self { sender, connection } = self;
        let exchange = async {
            sender.ready().await.context(LOST)?;
            let response = sender.send_request(request).await.context(LOST)?;
            let status = response.status();
            let mut incoming = response.into_body();
            let mut body = Vec::new();
            while let Some(frame) = incoming.frame().await {
                let Ok(data) = frame.context(LOST)?.into_data() else {
                    continue;
                };
                ensure!(
                    body.len() + data.len() <= answer_max,
                    "an answer of more than {answer_max} bytes"
                );
                body.extend_from_slice(&data);
            }
            Ok(Answer {
                status,
                body,
                is_second: false,
            })
        };
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = connection.as_mut() => {
                ended.context(LOST)?;
                exchange.await
            }
        }
    }
}
