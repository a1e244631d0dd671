//! Small payments of the wallet to itself, so that a demonstration's blocks carry transactions.
//!
//! Runs until cancelled. While nothing is mature, or while enough waits already, it does nothing.

use std::time::Duration;

use bitcoin::{Amount, ScriptBuf, TxOut};
use tokio_util::sync::CancellationToken;

use crate::{
    node::{Node, SharedNode, State},
    wallet::{
        fund::{Request, fund},
        keys::Kind,
        sign::sign_transaction,
    },
};

/// Waiting transactions above which no more are sent: nobody is mining.
const MAX_WAITING: usize = 100;
/// Addresses the payments go round.
const ADDRESSES: usize = 8;
/// Payments are multiples of this up to ten of them, in the smallest unit.
const STEP: u64 = 1_000_000;

/// Sends one payment every `period`.
pub(crate) async fn send(node: SharedNode, period: Duration, cancel: CancellationToken) {
    let mut scripts: Vec<ScriptBuf> = Vec::new();
    let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0_u64;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if scripts.len() < ADDRESSES {
            scripts.push(node.new_script(Kind::Segwit));
        }
        let turn = usize::try_from(count).unwrap_or_default() % scripts.len();
        let script = scripts[turn].clone();
        let sender = node.clone();
        let sent = tokio::task::spawn_blocking(move || send_one(&sender, script, count)).await;
        if matches!(sent, Ok(true)) {
            count += 1;
        }
    }
}

/// Sends the payment with this number; `false` when there is nothing to send it with.
fn send_one(node: &Node, script: ScriptBuf, number: u64) -> bool {
    let transaction = {
        let mut state = node.state();
        let State {
            chain,
            mempool,
            wallet,
            ..
        } = &mut *state;
        if mempool.len() >= MAX_WAITING {
            return false;
        }
        let value = Amount::from_sat(STEP * (1 + number % 10));
        let mut request = Request::new(vec![TxOut {
            value,
            script_pubkey: script,
        }]);
        // 1 to 20 per virtual byte, so that templates have an order to keep.
        request.fee_rate = 1_000 * (1 + number.wrapping_mul(7) % 20);
        let Ok(mut funded) = fund(wallet, chain, mempool, request) else {
            return false;
        };
        node.save_keys(wallet);
        sign_transaction(&wallet.keys, &mut funded.transaction, &funded.prevouts);
        funded.transaction
    };
    match node.offer(&transaction) {
        Ok(_) => true,
        Err(reject) => {
            tracing::debug!(reason = %reject.reason, "a payment of the traffic was refused");
            false
        }
    }
}
