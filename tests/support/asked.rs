//! A question to the HTTP port with every header that matters, and the answer with its headers.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{Pool, runtime};

/// A question.
pub(crate) struct Question<'a> {
    pool: &'a Pool,
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, String)>,
    body: Option<String>,
    from: &'a str,
}

/// Its answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Pool {
    pub(crate) fn question<'a>(&'a self, method: &'a str, path: &'a str) -> Question<'a> {
        Question {
            pool: self,
            method,
            path,
            headers: Vec::new(),
            body: None,
            from: "127.0.0.1",
        }
    }
}

impl<'a> Question<'a> {
    pub(crate) fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a key of the operator's.
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", format!("Bearer {key}"))
    }

    /// From this address of loopback.
    pub(crate) fn from(mut self, address: &'a str) -> Self {
        self.from = address;
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub(crate) fn body(mut self, kind: &str, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", kind)
    }

    pub(crate) fn ask(self) -> Answer {
        let url = format!("http://127.0.0.1:{}{}", self.pool.http, self.path);
        // A socket that is bound keeps a port to itself, of which there are not as many as questions.
        let from = (self.from != "127.0.0.1").then(|| self.from.parse().unwrap());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .local_address::<Option<std::net::IpAddr>>(from)
            .build()
            .unwrap();
        let mut request = client.request(self.method.parse().unwrap(), url);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        runtime().block_on(async {
            let response = request.send().await.unwrap();
            Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                text: response.text().await.unwrap(),
            }
        })
    }

    /// The status alone.
    pub(crate) fn status(self) -> u16 {
        self.ask().status
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or("")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// The code of an error.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}
