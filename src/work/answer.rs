//! What workers are answered.

use serde::Serialize;

/// The answer.
#[derive(Serialize)]
pub(super) struct Registered {
    pub(super) ok: bool,
    pub(super) message: String,
    pub(super) pool_fee_bps: u64,
    pub(super) foundation_fee_bps: u64,
    /// What the worker shows from now on.
    pub(super) token: String,
    pub(super) algorithm: &'static str,
    pub(super) coin: &'static str,
    pub(super) extra_nonce_start: u32,
    pub(super) extra_nonce_end: u32,
}

/// The answer.
#[derive(Serialize)]
pub(super) struct Accepted {
    pub(super) ok: bool,
    pub(super) message: &'static str,
    pub(super) is_block: bool,
    pub(super) total_shares: u64,
    /// As it was told last; null if it was not, or nobody can tell.
    pub(super) estimated_payout: Option<u64>,
}
