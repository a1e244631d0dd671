//! A daemon whose blocks are as hard to find as Bitcoin's. No share is asked for more work than a
//! block, so difficulties of real devices show only before such a network.
//!
//! It passes every call on to a simulated node, and puts other bits into the templates that come
//! back. A block for it would be refused by the node; nobody finds one.

use std::{net::Ipv4Addr, thread::JoinHandle};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use super::{node::Rpc, runtime};

/// Bitcoin's bits of a difficulty of about 10^14, and the target that they stand for.
const BITS: &str = "17023456";
const TARGET: &str = "0000000000000000000234560000000000000000000000000000000000000000";

/// The daemon, which ends with this.
pub(crate) struct HeavyNode {
    pub(crate) rpc: Rpc,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HeavyNode {
    /// Stands before a node.
    pub(crate) fn before(node: &Rpc) -> Self {
        let (stop, stopped) = oneshot::channel();
        let runtime = runtime();
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().fallback(pass_on).with_state(node.clone());
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    served = axum::serve(listener, app) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            rpc: Rpc {
                port,
                ..node.clone()
            },
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for HeavyNode {
    fn drop(&mut self) {
        // The thread may have ended by itself, which `join` tells.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().expect("the daemon did not fail");
        }
    }
}

async fn pass_on(State(node): State<Rpc>, call: Bytes) -> impl IntoResponse {
    let answer = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{}/", node.port))
        .basic_auth(node.user, Some(node.password))
        .body(call)
        .send()
        .await;
    let Ok(answer) = answer else {
        return (StatusCode::BAD_GATEWAY, String::new());
    };
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let Ok(text) = answer.text().await else {
        return (StatusCode::BAD_GATEWAY, String::new());
    };
    let mut answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let template = &mut answer["result"];
    if template["coinbasevalue"].is_null() {
        return (status, text);
    }
    template["bits"] = json!(BITS);
    template["target"] = json!(TARGET);
    (status, answer.to_string())
}
