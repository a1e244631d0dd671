//! A node for one test and a caller of its RPC over real HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use simnet::{Config, Params, Simnet};
use tokio_util::sync::CancellationToken;

/// Nothing here takes longer; a test that hangs fails after this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    pub(crate) simnet: Simnet,
    pub(crate) cancel: CancellationToken,
    pub(crate) http: reqwest::Client,
}

/// A status and the body as JSON, null when it is none.
pub(crate) type Answer = (u16, Value);

impl Node {
    pub(crate) async fn regtest() -> Self {
        Self::start(Config::new(Params::regtest())).await
    }

    pub(crate) async fn start(config: Config) -> Self {
        let cancel = CancellationToken::new();
        let simnet = simnet::start(config, cancel.clone()).await.unwrap();
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .unwrap();
        Self {
            simnet,
            cancel,
            http,
        }
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        drop(self.http);
        tokio::time::timeout(PATIENCE, self.simnet.stopped())
            .await
            .unwrap();
    }

    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        let (user, password) = (self.simnet.user(), self.simnet.password());
        let request = self
            .http
            .post(self.simnet.url())
            .basic_auth(user, Some(password));
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    pub(crate) async fn request(&self, method: &str, params: Value) -> Answer {
        self.post(json!({"id": 1, "method": method, "params": params}).to_string())
            .await
    }

    /// The result of a call that has to succeed.
    #[track_caller]
    pub(crate) fn call(
        &self,
        method: &'static str,
        params: Value,
    ) -> impl Future<Output = Value> + use<'_> {
        let caller = std::panic::Location::caller();
        async move {
            let (status, mut answer) = self.request(method, params).await;
            assert_eq!(status, 200, "{caller}: {method}: {answer}");
            answer["result"].take()
        }
    }

    /// The code and message of a call that has to fail.
    pub(crate) async fn fail(&self, method: &str, params: Value) -> (i64, String) {
        let (status, answer) = self.request(method, params).await;
        assert_eq!(status, 500, "{method}: {answer}");
        let error = &answer["error"];
        (
            error["code"].as_i64().unwrap(),
            error["message"].as_str().unwrap().to_owned(),
        )
    }

    /// Mines blocks that pay to the node's wallet.
    pub(crate) async fn mine_to_wallet(&self, blocks: u32) {
        let script = self.simnet.script_of(&self.simnet.new_address()).unwrap();
        self.simnet.mine(blocks, script).await.unwrap();
    }

    pub(crate) async fn template(&self) -> Value {
        self.call("getblocktemplate", json!([{"rules": ["segwit"]}]))
            .await
    }
}
