//! Bitcoin Core's JSON-RPC over HTTP: who may call, what a request is, what an answer looks like.
//!
//! A request is a JSON-RPC 1.0 or 2.0 call or a batch of them (doc/JSON-RPC-interface.md in Bitcoin
//! Core). Errors of 1.0 calls have an HTTP status: 404 for an unknown method, 400 for what is no
//! request, 500 for the rest. The methods are in the files beside this one; `methods` lists them.

mod arguments;
mod blockchain;
mod error;
mod listener;
mod methods;
mod mining;
mod network;
mod payments;
mod psbt;
mod scan;
mod simnet;
mod transactions;
mod wallet;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bitcoin::base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

use self::{arguments::Arguments, error::RpcError, listener::Limited, methods::METHODS};
use crate::{fault::Mishap, node::SharedNode};

/// The largest request, Bitcoin Core's MAX_SIZE: a block of 4 MB in hex fits several times.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// Calls under way at once, those that wait for a block included; more are answered 503.
const MAX_CALLS: usize = 256;
/// Calls in one batch.
const MAX_BATCH: usize = 1_000;
/// How long a caller may take to send a request's body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// After the node is told to stop, calls under way have this long.
const GRACE: Duration = Duration::from_secs(2);
/// A call that was accepted and is never answered is let go after this long.
const SILENCE: Duration = Duration::from_secs(3600);

struct Door {
    node: SharedNode,
    /// The whole `Authorization` header that is let in.
    authorization: String,
    calls: Arc<Semaphore>,
}

/// What becomes of one call.
enum Reply {
    Result(Value),
    Error(RpcError),
    Status(u16),
    Half(Value),
}

/// Serves until the token is cancelled.
pub(crate) fn serve(
    listener: TcpListener,
    node: SharedNode,
    user: &str,
    password: &str,
    cancel: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let door = Door {
        node,
        authorization,
        calls: Arc::new(Semaphore::new(MAX_CALLS)),
    };
    let router = Router::new().fallback(answer).with_state(Arc::new(door));
    async move {
        let stopping = cancel.clone();
        let serving = axum::serve(Limited::new(listener), router)
            .with_graceful_shutdown(stopping.cancelled_owned());
        let overdue = async {
            cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = serving => if let Err(error) = served {
                tracing::error!(%error, "the RPC server stopped");
            },
            () = overdue => tracing::debug!("RPC calls were cut off"),
        }
    }
}

async fn answer(State(door): State<Arc<Door>>, request: Request) -> Response {
    // Strangers are turned away before a byte of their body is read.
    let (head, body) = request.into_parts();
    let given = head
        .headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    if given != Some(door.authorization.as_bytes()) {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"jsonrpc\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    if head.method != Method::POST {
        let text = "JSONRPC server handles only POST requests";
        return (StatusCode::METHOD_NOT_ALLOWED, text).into_response();
    }
    let wallet = match head.uri.path().strip_prefix("/wallet/") {
        Some(name) => Some(name.to_owned()),
        None if head.uri.path() == "/" => None,
        None => return StatusCode::NOT_FOUND.into_response(),
    };
    let Ok(permit) = door.calls.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "Work queue depth exceeded").into_response();
    };
    let body = match tokio::time::timeout(BODY_PATIENCE, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let response = answer_body(&door.node, &body, wallet.as_deref(), permit).await;
    response.unwrap_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// `None` when the node shuts down before there is an answer.
async fn answer_body(
    node: &SharedNode,
    body: &[u8],
    wallet: Option<&str>,
    _permit: OwnedSemaphorePermit,
) -> Option<Response> {
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        let error = RpcError::new(-32700, "Parse error");
        return Some(respond(500, &envelope(false, Value::Null, Err(&error))));
    };
    let Value::Array(batch) = request else {
        let (modern, id) = (is_modern(&request), request.get("id").cloned());
        let silent = modern && id.is_none();
        let id = id.unwrap_or(Value::Null);
        let response = match call(node, request, wallet).await? {
            Reply::Status(status) => plain(status),
            _ if silent => plain(204),
            Reply::Result(result) => respond(200, &envelope(modern, id, Ok(result))),
            Reply::Error(error) if modern => respond(200, &envelope(modern, id, Err(&error))),
            Reply::Error(error) => respond(error.status(), &envelope(modern, id, Err(&error))),
            Reply::Half(result) => {
                let text = envelope(modern, id, Ok(result)).to_string();
                json_text(200, text.get(..text.len() / 2).unwrap_or("{").to_owned())
            }
        };
        return Some(response);
    };
    if batch.len() > MAX_BATCH {
        let error = RpcError::invalid_request("too many calls in a batch");
        return Some(respond(400, &envelope(false, Value::Null, Err(&error))));
    }
    let mut answers = Vec::with_capacity(batch.len());
    for request in batch {
        let (modern, id) = (is_modern(&request), request.get("id").cloned());
        let silent = modern && id.is_none();
        let id = id.unwrap_or(Value::Null);
        match call(node, request, wallet).await? {
            Reply::Status(status) => return Some(plain(status)),
            Reply::Half(_) => return Some(json_text(200, "[{\"result\":".to_owned())),
            _ if silent => {}
            Reply::Result(result) => answers.push(envelope(modern, id, Ok(result))),
            Reply::Error(error) => answers.push(envelope(modern, id, Err(&error))),
        }
    }
    Some(respond(200, &Value::Array(answers)))
}

/// One call, with the faults that strike it.
async fn call(node: &SharedNode, request: Value, wallet: Option<&str>) -> Option<Reply> {
    let (method, arguments) = match parse(request) {
        Ok(parsed) => parsed,
        Err(error) => return Some(Reply::Error(error)),
    };
    let mishaps = node.state().faults.strike(&method);
    let mut half = false;
    for mishap in mishaps {
        match mishap {
            Mishap::Wait(time) => tokio::select! {
                () = node.cancel.cancelled() => return None,
                () = tokio::time::sleep(time) => {}
            },
            Mishap::Silent { processed } => {
                if processed {
                    run(node, &method, arguments, wallet).await?.ok();
                }
                tokio::select! {
                    () = node.cancel.cancelled() => {}
                    () = tokio::time::sleep(SILENCE) => {}
                }
                return None;
            }
            Mishap::Error { code, message } => {
                return Some(Reply::Error(RpcError::new(code, message)));
            }
            Mishap::Http(status) => return Some(Reply::Status(status)),
            Mishap::Result(value) => return Some(Reply::Result(value)),
            Mishap::Garbage => half = true,
        }
    }
    Some(match run(node, &method, arguments, wallet).await? {
        Ok(result) if half => Reply::Half(result),
        Ok(result) => Reply::Result(result),
        Err(error) => Reply::Error(error),
    })
}

/// Waits for what the call waits for, then carries it out on a blocking thread.
async fn run(
    node: &SharedNode,
    name: &str,
    arguments: Value,
    wallet: Option<&str>,
) -> Option<Result<Value, RpcError>> {
    let Some(method) = METHODS.iter().find(|method| method.name == name) else {
        return Some(Err(RpcError::method_not_found()));
    };
    if let Some(wallet) = wallet
        && !self::wallet::is_loaded(wallet)
    {
        return Some(Err(RpcError::new(
            -18,
            "Requested wallet does not exist or is not loaded",
        )));
    }
    let arguments = match Arguments::new(method, arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Some(Err(error)),
    };
    let waited = match name {
        "getblocktemplate" => mining::wait_for_template(node, &arguments).await,
        "waitfornewblock" => blockchain::wait_for_block(node, &arguments).await,
        _ => Ok(()),
    };
    if let Err(error) = waited {
        return Some(Err(error));
    }
    let node = node.clone();
    let work = tokio::task::spawn_blocking(move || (method.run)(&node, &arguments));
    work.await.ok()
}

/// The method and its parameters.
fn parse(request: Value) -> Result<(String, Value), RpcError> {
    let Value::Object(mut request) = request else {
        return Err(RpcError::invalid_request("Invalid Request object"));
    };
    let method = match request.remove("method") {
        Some(Value::String(method)) => method,
        None | Some(Value::Null) => return Err(RpcError::invalid_request("Missing method")),
        Some(_) => return Err(RpcError::invalid_request("Method must be a string")),
    };
    match request.remove("params").unwrap_or(Value::Null) {
        params @ (Value::Null | Value::Array(_) | Value::Object(_)) => Ok((method, params)),
        _ => Err(RpcError::invalid_request(
            "Params must be an array or object",
        )),
    }
}

fn is_modern(request: &Value) -> bool {
    request.get("jsonrpc").and_then(Value::as_str) == Some("2.0")
}

fn envelope(modern: bool, id: Value, outcome: Result<Value, &RpcError>) -> Value {
    match (modern, outcome) {
        (true, Ok(result)) => json!({"jsonrpc": "2.0", "result": result, "id": id}),
        (true, Err(error)) => json!({"jsonrpc": "2.0", "error": error.json(), "id": id}),
        (false, Ok(result)) => json!({"result": result, "error": null, "id": id}),
        (false, Err(error)) => json!({"result": null, "error": error.json(), "id": id}),
    }
}

fn respond(status: u16, body: &Value) -> Response {
    json_text(status, format!("{body}\n"))
}

fn json_text(status: u16, text: String) -> Response {
    let mut response = plain(status);
    *response.body_mut() = Body::from(text);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn plain(status: u16) -> Response {
    StatusCode::from_u16(status)
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        .into_response()
}
