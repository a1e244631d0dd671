//! All there is to say of a node: its mode, its settings, its worker, and what has happened.

use std::net::SocketAddr;

use axum::http::{HeaderMap, header, uri::Authority};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    display, networks,
    node::{Mode, Node, State},
    worker::Snapshot,
};

/// Lines of the log that are told.
const LINES: usize = 100;

/// All there is to say of a node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeStatus {
    /// `solo`, `host` or `join`.
    pub(crate) mode: &'static str,
    /// Since when.
    pub(crate) since: String,
    /// Another mode is being started.
    pub(crate) switching: bool,
    /// Why it mines alone without having been told to.
    pub(crate) fell_back: Option<String>,
    pub(crate) settings: NodeSettings,
    /// The pool that it hosts.
    pub(crate) hosted: Option<Hosted>,
    /// Its own worker, unless it hosts.
    pub(crate) worker: Option<NodeWorker>,
    /// Hashes per second: of its own worker, or of those it hosts.
    pub(crate) hashrate: f64,
    /// Blocks that its first pool has found since the mode began.
    pub(crate) blocks_found: u64,
    /// Hashrates each ten seconds, the oldest first.
    pub(crate) history: Vec<HashrateThen>,
    /// What has happened, the newest first.
    pub(crate) log: Vec<LogLine>,
}

/// What a node's operator can change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeSettings {
    pub(crate) pool_name: String,
    /// In percent.
    pub(crate) pool_fee: String,
    /// Null if the port is that of the configuration.
    pub(crate) pool_port: Option<u16>,
    pub(crate) host_address: String,
    pub(crate) wallet_address: String,
    pub(crate) worker_name: String,
    /// `laptop`, `balanced` or `beast`.
    pub(crate) profile: &'static str,
    pub(crate) url: String,
    /// Of that pool's certificate; empty if an authority has signed it.
    pub(crate) tls_fingerprint: String,
    pub(crate) fall_back_s: u64,
}

/// A pool that is hosted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Hosted {
    pub(crate) name: String,
    /// What workers are given.
    pub(crate) url: String,
    pub(crate) port: u16,
}

/// A node's own worker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeWorker {
    /// Where it mines.
    pub(crate) pool: String,
    pub(crate) connected: bool,
    /// Hashes per second.
    pub(crate) hashrate: u64,
    /// Shares accepted, and shares refused.
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// The difficulty of its job.
    pub(crate) difficulty: Option<f64>,
    /// Why the last connection ended or could not be made.
    pub(crate) last_error: Option<String>,
    /// Why it works no more, whatever the pool does. Asking for the same mode again starts it anew.
    pub(crate) ended: Option<String>,
    /// What the pool says of itself: one that is asked over plain HTTP.
    pub(crate) pool_name: Option<String>,
    pub(crate) pool_workers: Option<u64>,
    /// Hashes per second.
    pub(crate) pool_hashrate: Option<u64>,
}

/// A hashrate at one time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HashrateThen {
    pub(crate) time: String,
    /// Hashes per second.
    pub(crate) hashrate: f64,
}

/// Something that has happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLine {
    pub(crate) time: String,
    pub(crate) text: String,
}

/// Where workers connect, if a pool is hosted.
pub(crate) fn hosted(state: &State, headers: &HeaderMap) -> Option<Hosted> {
    if state.settings.mode != Mode::Host {
        return None;
    }
    let door = state.pools.first()?.doors.first()?;
    let (at, port) = (door.address, door.address.port());
    let asked = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let asked = asked.and_then(|host| host.parse::<Authority>().ok());
    // The address in the local network first, then the name by which whoever asks has found this machine.
    let host = match at.ip().is_unspecified() {
        false => at.to_string(),
        true => match (networks::of_this_machine(), asked) {
            (Some(ip), _) => SocketAddr::new(ip, port).to_string(),
            (None, Some(asked)) => format!("{}:{port}", asked.host()),
            (None, None) => at.to_string(),
        },
    };
    let protocol = if door.tls_only { "https" } else { "http" };
    Some(Hosted {
        name: state.settings.pool_name.clone(),
        url: format!("{protocol}://{host}"),
        port,
    })
}

impl NodeStatus {
    pub(crate) fn of(node: &Node, headers: &HeaderMap) -> Self {
        let state = node.state();
        let settings = &state.settings;
        let lines = node.told.lines(LINES).into_iter();
        let history = node.told.history().into_iter();
        Self {
            mode: settings.mode.name(),
            since: display::time(state.since_ms),
            switching: state.is_switching,
            fell_back: state.fell_back().map(str::to_owned),
            hosted: hosted(&state, headers),
            worker: state.worker.as_ref().map(|worker| {
                let joined = worker.joined.borrow().clone();
                NodeWorker {
                    pool_name: joined.as_ref().map(|joined| joined.name.clone()),
                    pool_workers: joined.as_ref().map(|joined| joined.workers),
                    pool_hashrate: joined.as_ref().map(|joined| joined.hashrate),
                    ended: worker.ended.borrow().clone(),
                    ..NodeWorker::of(&worker.snapshot.borrow())
                }
            }),
            hashrate: node.hashrate(),
            blocks_found: state.blocks_found(),
            history: history
                .map(|sample| HashrateThen {
                    time: display::time(sample.time_ms),
                    hashrate: sample.hashrate,
                })
                .collect(),
            log: lines
                .map(|line| LogLine {
                    time: display::time(line.time_ms),
                    text: line.text,
                })
                .collect(),
            settings: NodeSettings {
                pool_name: settings.pool_name.clone(),
                pool_fee: settings.pool_fee.to_string(),
                pool_port: settings.pool_port,
                host_address: settings.host_address.clone(),
                wallet_address: settings.wallet_address.clone(),
                worker_name: settings.worker_name.clone(),
                profile: settings.profile.name(),
                url: settings.url.clone(),
                tls_fingerprint: settings.tls_fingerprint.clone(),
                fall_back_s: settings.fall_back_s,
            },
        }
    }
}

impl NodeWorker {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            pool: snapshot.pool.clone(),
            connected: snapshot.connected,
            hashrate: snapshot.hashrate,
            accepted: snapshot.accepted,
            rejected: snapshot.rejected_total(),
            difficulty: snapshot.difficulty,
            last_error: snapshot.last_error.clone(),
            ended: None,
            pool_name: None,
            pool_workers: None,
            pool_hashrate: None,
        }
    }
}
