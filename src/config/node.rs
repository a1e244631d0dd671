//! `[node]`: what `adit node` does until somebody switches it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{node::Mode, worker::Profile};

/// `[node]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// What it does first: `solo`, `host` or `join`.
    pub mode: Mode,
    /// Whom its own work pays, alone and at another pool; the first pool's `payout_address` if nothing is
    /// said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What its own worker is called.
    pub worker_name: String,
    /// How much of the machine its own worker takes.
    pub profile: Profile,
    /// The pool that it joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The SHA-256 of that pool's certificate, where it speaks TLS and no authority has signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_fingerprint: Option<String>,
    /// Without that pool for so many seconds it mines alone; with 0 it waits for it.
    pub fall_back_s: u64,
    /// Where miners connect while it mines alone.
    pub solo_listen: SocketAddr,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            mode: Mode::Solo,
            address: None,
            worker_name: "node".into(),
            profile: Profile::Balanced,
            url: None,
            tls_fingerprint: None,
            fall_back_s: 0,
            solo_listen: SocketAddr::from(([127, 0, 0, 1], 3335)),
        }
    }
}
