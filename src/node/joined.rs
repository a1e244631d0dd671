//! What a pool of HTTP that the node has joined says of itself: `GET /pool/stats`, asked now and then. A pool
//! that is asked in lines says nothing of the kind.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    display::plain,
    listener::Fingerprint,
    worker::{AGENT, Connection, Endpoint, Question, Waits},
};

/// Without its list of workers, where it knows the word.
const ASKED: &str = "/pool/stats?workers=false";
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
    pool: Endpoint,
    pins: Vec<Fingerprint>,
    joined: watch::Sender<Option<Joined>>,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let waits = Waits::default();
    let mut connection = Connection::new(&pool, &pins, AGENT, &waits);
    let asking = async {
        loop {
            let told = ask(&mut connection).await;
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

async fn ask(connection: &mut Connection<'_>) -> Option<Joined> {
    let question = Question::get(ASKED.to_owned(), None).answered_by(ANSWER_MAX);
    let answer = connection.ask(&question, PATIENCE).await.ok()?;
    if !answer.status.is_success() {
        return None;
    }
    let stats: Stats = serde_json::from_slice(&answer.body).ok()?;
    Some(Joined {
        name: plain(&stats.pool_name).chars().take(NAME_MAX).collect(),
        workers: stats.worker_count,
        hashrate: stats.total_hashrate,
    })
}
