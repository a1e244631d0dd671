//! The switch of `adit node`: what it does, and how an operator has it do something else. The calls below
//! `/api/pool` answer below `/pool`, too, as programs of Vision's ask there. Where no node runs, as with
//! `adit pool`, all of it is 404.

mod status;

use axum::{
    Json, Router,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, request::Parts},
    routing::{any, get, post},
};
use mining::accounting::{Fee, Percent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use self::status::{Hosted, NodeStatus, hosted};
use super::{
    operator::Operator,
    problem::{Body, Error, OperatorProblems, Problem},
};
use crate::{
    node::{BadSetting, Changes, Mode, Node, NotDone, PORTS, State},
    pool::Pool,
    worker::Profile,
};

/// What a node should be like. What is left out stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeWish {
    /// `solo`, `host` or `join`; also `Solo`, `HostPool` and `JoinPool`.
    pub(crate) mode: Option<String>,
    /// The pool's own part of each reward, in percent: 0 to 10 with at most two decimals.
    #[schema(value_type = Option<f64>)]
    pub(crate) pool_fee: Option<serde_json::Number>,
    /// Where that part is paid; with an empty text it stays in the pool's wallet.
    pub(crate) host_address: Option<String>,
    /// What workers are told that the pool is called, at most 50 characters.
    pub(crate) pool_name: Option<String>,
    /// Where workers connect: 7072 or 8082.
    #[schema(value_type = Option<u16>)]
    pub(crate) pool_port: Option<u64>,
    /// What the node's own worker is called, at most 32 characters.
    pub(crate) worker_name: Option<String>,
    /// Whom the node's own work pays.
    pub(crate) wallet_address: Option<String>,
    /// `laptop`, `balanced` or `beast`.
    pub(crate) profile: Option<String>,
    /// The pool to join.
    pub(crate) url: Option<String>,
    /// The SHA-256 of that pool's certificate, where it speaks TLS and no authority has signed it; an empty text if
    /// one has. It is forgotten with another `url`.
    pub(crate) tls_fingerprint: Option<String>,
    /// Without that pool for so many seconds the node mines alone; with 0 it waits.
    pub(crate) fall_back_s: Option<u64>,
    /// Answer as programs expect it that start their node anew. What is changed holds at once in any case.
    pub(crate) save_and_restart: bool,
}

/// The mode.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeMode {
    /// `solo`, `host_pool` or `join_pool`.
    mode: &'static str,
    is_hosting: bool,
    is_worker: bool,
}

/// The mode that was asked for, and holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModeSet {
    ok: bool,
    /// `solo`, `host_pool` or `join_pool`.
    mode: &'static str,
}

/// Settings that were changed, and hold.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Configured {
    ok: bool,
    /// With `save_and_restart`: `node_exiting_for_restart`, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// In hundredths of a percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_fee_bps: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    foundation_fee_bps: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_port: Option<u16>,
}

/// A pool that is hosted from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Started {
    ok: bool,
    message: &'static str,
    mode: &'static str,
    pool_name: String,
    pool_url: String,
    pool_port: u16,
}

/// A pool that is hosted no more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stopped {
    ok: bool,
    message: &'static str,
    mode: &'static str,
}

/// The paths that older programs ask.
pub(super) fn routes() -> Router<Vec<Pool>> {
    Router::new()
        .route("/pool/mode", get(mode).post(set_mode))
        .route("/pool/configure", post(configure))
        .route("/pool/start", post(start))
        .route("/pool/stop", post(stop))
        .route("/pool/register", any(at_its_port))
        .route("/pool/job", any(at_its_port))
        .route("/pool/share", any(at_its_port))
        .route("/pool/metrics", any(at_its_port))
}

/// A wish as it was sent. What it cannot be is a bad value like any other, as older programs expect.
pub(super) struct Sent(NodeWish);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Body::from_request(request, state).await {
            Ok(Body(wish)) => Ok(Self(wish)),
            Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
                Err(NotDone::Bad(BadSetting(problem.message)).into())
            }
            Err(problem) => Err(problem),
        }
    }
}

/// Workers that ask here are told where their pool is, if there is one.
async fn at_its_port(node: Node, headers: HeaderMap) -> Problem {
    match hosted(&node.state(), &headers) {
        None => {
            let message = "this node hosts no pool";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_pool_hosted", message)
        }
        Some(Hosted { url, .. }) => {
            Problem::unknown("other_port", format!("workers of this pool ask {url}"))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Node {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let message = "this process runs pools alone; adit node has modes";
        let node = parts.extensions.get::<Self>().cloned();
        node.ok_or_else(|| Problem::unknown("no_node", message))
    }
}

impl From<NotDone> for Problem {
    fn from(error: NotDone) -> Self {
        let message = error.to_string();
        match error {
            NotDone::Bad(_) => Self::bad("bad_setting", message),
            NotDone::Failed { .. } => Self::conflict("not_started", message),
            NotDone::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message),
            NotDone::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message),
        }
    }
}

impl NodeWish {
    /// In our own terms.
    pub(crate) fn changes(&self) -> Result<Changes, NotDone> {
        let bad = |text: String| NotDone::Bad(BadSetting(text));
        let mode = self.mode.as_deref().map(str::parse::<Mode>).transpose();
        let profile = self.profile.as_deref().map(|name| {
            let found = Profile::ALL.into_iter().find(|it| it.name() == name);
            found.ok_or_else(|| bad("profile: laptop, balanced or beast".into()))
        });
        let pool_port = self.pool_port.map(|port| {
            let known = PORTS.into_iter().find(|known| u64::from(*known) == port);
            known.ok_or_else(|| bad("pool port other than 7072 and 8082".into()))
        });
        Ok(Changes {
            mode: mode.map_err(|error| bad(error.to_string()))?,
            pool_fee: self.pool_fee.as_ref().map(percent).transpose()?,
            host_address: trimmed(self.host_address.as_ref()),
            pool_name: trimmed(self.pool_name.as_ref()),
            pool_port: pool_port.transpose()?,
            worker_name: trimmed(self.worker_name.as_ref()),
            wallet_address: trimmed(self.wallet_address.as_ref()),
            profile: profile.transpose()?,
            url: trimmed(self.url.as_ref()),
            tls_fingerprint: trimmed(self.tls_fingerprint.as_ref()),
            fall_back_s: self.fall_back_s,
            fell_back: None,
        })
    }
}

fn trimmed(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
}

/// A fee as it is written: no float is counted with.
fn percent(number: &serde_json::Number) -> Result<Percent, NotDone> {
    let text = number.to_string();
    // `1.0` is how some write one.
    let text = text.strip_suffix(".0").unwrap_or(&text);
    text.parse()
        .map_err(|error: mining::accounting::BadPercent| {
            let is_high = number.as_f64().is_some_and(|number| number > 10.0);
            NotDone::Bad(BadSetting(match is_high {
                true => "pool fee above 10 %".into(),
                false => format!("pool_fee: {error}"),
            }))
        })
}

/// The mode of a node
#[utoipa::path(
    get, path = "/api/pool/mode", operation_id = "node_mode", tag = "node",
    responses(
        (status = 200, description = "The answer.", body = NodeMode),
        (status = 404, description = "No node runs here.", body = Error)
    )
)]
pub(super) async fn mode(node: Node) -> Json<NodeMode> {
    let mode = node.state().settings.mode;
    Json(NodeMode {
        mode: mode.long_name(),
        is_hosting: mode == Mode::Host,
        is_worker: mode == Mode::Join,
    })
}

/// Have a node mine alone, host a pool or join one
///
/// Answered once that mode goes on. What could not be started leaves the mode before.
#[utoipa::path(
    post, path = "/api/pool/mode", operation_id = "set_node_mode", tag = "node",
    request_body = NodeWish, security(("key" = []), ()),
    responses(
        (status = 200, description = "Done.", body = ModeSet), OperatorProblems,
        (status = 409, description = "The mode could not be started.", body = Error)
    )
)]
pub(super) async fn set_mode(
    operator: Operator,
    node: Node,
    Sent(wish): Sent,
) -> Result<Json<ModeSet>, Problem> {
    let changes = wish.changes()?;
    if changes.mode.is_none() {
        return Err(NotDone::Bad(BadSetting("no mode field".into())).into());
    }
    let state = change(&operator, &node, changes).await?;
    Ok(Json(ModeSet {
        ok: true,
        mode: state.settings.mode.long_name(),
    }))
}

/// Change a node's settings
///
/// They hold at once: a mode that they concern is started anew.
#[utoipa::path(
    post, path = "/api/pool/configure", operation_id = "configure_node", tag = "node",
    request_body = NodeWish, security(("key" = []), ()),
    responses(
        (status = 200, description = "Done.", body = Configured), OperatorProblems,
        (status = 409, description = "The mode could not be started with them.", body = Error)
    )
)]
pub(super) async fn configure(
    operator: Operator,
    node: Node,
    Sent(wish): Sent,
) -> Result<Json<Configured>, Problem> {
    let state = change(&operator, &node, wish.changes()?).await?;
    let nothing = Configured {
        ok: true,
        status: None,
        pool_fee_bps: None,
        foundation_fee_bps: None,
        host_address: None,
        pool_name: None,
        pool_port: None,
    };
    if wish.save_and_restart {
        return Ok(Json(Configured {
            status: Some("node_exiting_for_restart"),
            ..nothing
        }));
    }
    let fees = state
        .pools
        .first()
        .map(|pool| pool.terms.accounting.fees.list());
    let is_foundation = |fee: &&Fee| fee.name == "foundation";
    let foundation = fees.and_then(|fees| fees.iter().find(is_foundation));
    let settings = &state.settings;
    Ok(Json(Configured {
        pool_fee_bps: Some(settings.pool_fee.hundredths()),
        foundation_fee_bps: Some(foundation.map_or(0, |fee| fee.percent.hundredths())),
        host_address: Some(settings.host_address.clone()),
        pool_name: Some(settings.pool_name.clone()),
        pool_port: settings.pool_port.or_else(|| port_of(&state)),
        ..nothing
    }))
}

/// Host a pool
#[utoipa::path(
    post, path = "/api/pool/start", operation_id = "start_hosting", tag = "node",
    request_body = NodeWish, security(("key" = []), ()),
    responses(
        (status = 200, description = "Done.", body = Started), OperatorProblems,
        (status = 409, description = "The pool could not be started.", body = Error)
    )
)]
pub(super) async fn start(
    operator: Operator,
    node: Node,
    headers: HeaderMap,
    Sent(wish): Sent,
) -> Result<Json<Started>, Problem> {
    let changes = Changes {
        mode: Some(Mode::Host),
        ..wish.changes()?
    };
    let state = change(&operator, &node, changes).await?;
    let hosted = hosted(&state, &headers);
    let Hosted { name, url, port } = hosted.ok_or(NotDone::Stopping)?;
    Ok(Json(Started {
        ok: true,
        message: "Pool hosting started",
        mode: Mode::Host.long_name(),
        pool_name: name,
        pool_url: url,
        pool_port: port,
    }))
}

/// Host no pool any more
///
/// The node mines alone. What its pool owes stays owed, and is paid.
#[utoipa::path(
    post, path = "/api/pool/stop", operation_id = "stop_hosting", tag = "node",
    security(("key" = []), ()),
    responses(
        (status = 200, description = "Done.", body = Stopped), OperatorProblems,
        (status = 409, description = "It could not mine alone.", body = Error)
    )
)]
pub(super) async fn stop(operator: Operator, node: Node) -> Result<Json<Stopped>, Problem> {
    let changes = Changes {
        mode: Some(Mode::Solo),
        ..Changes::default()
    };
    change(&operator, &node, changes).await?;
    Ok(Json(Stopped {
        ok: true,
        message: "Pool hosting stopped",
        mode: Mode::Solo.long_name(),
    }))
}

/// All there is to say of a node
#[utoipa::path(
    get, path = "/api/v1/node", operation_id = "node", tag = "node",
    security(("key" = []), ()),
    responses((status = 200, description = "The answer.", body = NodeStatus), OperatorProblems)
)]
pub(super) async fn show(_: Operator, node: Node, headers: HeaderMap) -> Json<NodeStatus> {
    Json(NodeStatus::of(&node, &headers))
}

/// Writes down what an operator wants, and has it done.
pub(crate) async fn change(
    operator: &Operator,
    node: &Node,
    changes: Changes,
) -> Result<State, Problem> {
    // What is refused was not done, and is not in the log.
    node.check(&changes)?;
    let what = match changes.mode {
        Some(Mode::Solo) => "node mines alone",
        Some(Mode::Host) => "node hosts a pool",
        Some(Mode::Join) => "node joins a pool",
        None => "node configured",
    };
    let told = serde_json::to_value(&changes).unwrap_or_default();
    let told = told.as_object().into_iter().flatten();
    let told = told.filter(|(key, value)| !value.is_null() && *key != "mode");
    let told: Vec<String> = told.map(|(key, value)| format!("{key} {value}")).collect();
    operator.does(what, &told.join(", ")).await?;
    Ok(node.change(changes).await?)
}

fn port_of(state: &State) -> Option<u16> {
    let door = state.pools.first()?.doors.first()?;
    (state.settings.mode == Mode::Host).then_some(door.address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(body: serde_json::Value) -> Result<Changes, String> {
        let wish: NodeWish = serde_json::from_value(body).map_err(|error| error.to_string())?;
        wish.changes().map_err(|error| error.to_string())
    }

    #[test]
    fn a_fee_is_read_as_it_is_written() {
        for (text, hundredths) in [
            ("0", 0),
            ("1.5", 150),
            ("2.0", 200),
            ("0.01", 1),
            ("10", 1_000),
        ] {
            let body = serde_json::from_str(&format!(r#"{{"pool_fee":{text}}}"#)).unwrap();
            let fee = changes(body).unwrap().pool_fee.unwrap();
            assert_eq!(fee.hundredths(), hundredths, "{text}");
        }
        for (text, wanted) in [
            ("10.01", None),
            ("11", None),
            ("1e3", Some("pool fee above 10 %")),
            ("101", Some("pool fee above 10 %")),
            ("-1", Some("pool_fee: a percentage")),
            ("1.005", Some("pool_fee: a percentage")),
        ] {
            let body = serde_json::from_str(&format!(r#"{{"pool_fee":{text}}}"#)).unwrap();
            let read = changes(body);
            match wanted {
                Some(wanted) => assert!(read.unwrap_err().starts_with(wanted), "{text}"),
                // Above 10 % is seen where all settings are looked at.
                None => assert!(read.is_ok(), "{text}"),
            }
        }
    }

    #[test]
    fn what_names_nothing_is_refused_in_the_words_of_the_table() {
        use serde_json::json;
        for (body, wanted) in [
            (
                json!({"pool_port": 7070}),
                "pool port other than 7072 and 8082",
            ),
            (
                json!({"pool_port": 70_720}),
                "pool port other than 7072 and 8082",
            ),
            (json!({"mode": "farm"}), "unknown mode farm"),
            (
                json!({"profile": "monster"}),
                "profile: laptop, balanced or beast",
            ),
        ] {
            assert_eq!(changes(body).unwrap_err(), wanted);
        }
        for body in [
            json!({"pool_port": -1}),
            json!({"pool_fee": "1"}),
            json!({"pool_prot": 7072}),
        ] {
            assert!(changes(body.clone()).is_err(), "{body}");
        }
        let read = changes(json!({"mode": "JoinPool", "pool_port": 8082, "url": " http://a:1 "}));
        let read = read.unwrap();
        assert_eq!((read.mode, read.pool_port), (Some(Mode::Join), Some(8082)));
        assert_eq!(read.url.as_deref(), Some("http://a:1"));
    }
}
