//! What a pool of HTTP that the node has joined says of itself: `GET /pool/stats`, asked now and then. A pool
//! that is asked in lines says nothing of the kind.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::display::plain;

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read: some thousand workers.
const ANSWER_MAX: usize = 4 << 20;
/// The longest name that is shown, in characters.
const NAME_MAX: usize = 50;

/// The pool, as it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) name: String,
    pub(crate) workers: u64,
    /// Hashes per second.
    pub(crate) hashrate: u64,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    pool_name: String,
    #[serde(default)]
    worker_count: u64,
    #[serde(default)]
    total_hashrate: u64,
}

/// Asks until it is told to stop. Nothing is known while the pool does not answer.
pub(super) async fn follow(
    url: String,
    joined: watch::Sender<Option<Joined>>,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?;
    let url = format!("{}/pool/stats", url.trim_end_matches('/'));
    let asking = async {
        loop {
            let told = ask(&client, &url).await;
            joined.send_if_modified(|joined| {
                let is_other = *joined != told;
                *joined = told;
                is_other
            });
            tokio::time::sleep(EVERY).await;
        }
    };
    stopping.run_until_cancelled(asking).await;
    Ok(())
}

async fn ask(client: &reqwest::Client, url: &str) -> Option<Joined> {
    let mut response = client.get(url).send().await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX {
            return None;
        }
    }
    let stats: Stats = serde_json::from_slice(&body).ok()?;
    Some(Joined {
        name: plain(&stats.pool_name).chars().take(NAME_MAX).collect(),
        workers: stats.worker_count,
        hashrate: stats.total_hashrate,
    })
}
