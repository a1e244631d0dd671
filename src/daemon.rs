//! The pool's daemons: newest template in, solved blocks out, and what became of them.
//!
//! [`start`] follows every configured daemon of one coin and gives a [`Feed`] of what to mine, for
//! `template_feed`, and [`Daemons`], for `block` and the pages that show health. What a daemon does
//! wrong never ends the process: it makes that daemon unfit, with a reason a person can act on.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use mining::{Coin, Network};
use pow::Hash;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::tasks::{Stage, Tasks};

mod bitcoind;
pub mod breaker;
mod check;
mod client;
pub mod coins;
pub mod config;
mod dialect;
mod digest;
#[cfg(test)]
mod fake;
mod feed;
mod first_block;
mod follow;
mod kept_blocks;
mod lane;
#[cfg(test)]
mod litecoind_tests;
mod look;
pub mod monero_wallet;
pub mod monerod;
#[cfg(test)]
mod monerod_tests;
mod node;
mod notify;
mod pause;
mod reply;
mod rpc;
mod submit;
mod subsidy_only;
mod template;
#[cfg(test)]
mod tests;
mod vision_template;
pub mod wallet;

pub use bitcoind::{BlockStatus, Proposal};
pub use config::{Config, Secret};
pub use feed::Feed;
pub use first_block::FirstBlock;
pub use look::{Seen, look, ready, wallets};
pub use node::Source;
pub use rpc::CallError;
pub use submit::{Submission, Verdict};

/// The template in a reply to `getblocktemplate`, or why there is none. Only the fuzz target of the
/// parser sees it; the program itself goes through `bitcoind`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn read_template(
    body: &[u8],
    coin: &Coin,
    network: Network,
) -> Result<mining::Template, String> {
    let reply: reply::BlockTemplate<'_> = rpc::parse(body).map_err(|error| error.to_string())?;
    template::template(&reply, coin, network).map_err(|error| error.to_string())
}

/// The same for a reply of Monero's daemon to a request for a reserve of this length.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn read_monerod_template(
    body: &[u8],
    reserve: usize,
    rules: &mining::coin::CryptoNoteRules,
) -> Result<mining::cryptonote::Template, String> {
    monerod::read_template(body, reserve, rules)
}

/// The daemons of one coin. Clones share them.
#[derive(Clone, Debug)]
pub struct Daemons(Arc<Inner>);

struct Inner {
    daemons: Arc<[Arc<node::Node>]>,
    kept: kept_blocks::KeptBlocks,
    tasks: Tasks,
}

/// How one daemon does.
#[derive(Clone, Debug)]
pub struct Health {
    /// Its address without secrets.
    pub name: String,
    /// Whether it can be mined with, or why not.
    pub fit: Result<(), String>,
    /// Whether it is asked at all.
    pub breaker: breaker::State,
    /// The height of its tip.
    pub height: Option<u32>,
    /// How many peers it has.
    pub peers: Option<u32>,
    /// Its version as one number.
    pub version: Option<u64>,
    /// How old its template is.
    pub template_age: Option<Duration>,
    /// What told of its last tip first.
    pub notified_by: Option<Source>,
}

/// Why nobody could be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No daemon is fit, and what an unfit one says of the chain is not to be acted on.
    #[error("no daemon is fit")]
    NoneFit,
    /// The one that was asked did not answer.
    #[error("{0}")]
    Call(#[from] CallError),
}

/// The most daemons of one coin: each costs five connections or so and a block's upload.
const DAEMONS: usize = 16;

/// How long a kept block has the daemons to itself at the start before the next one is sent.
const RESUBMIT_GAP: Duration = Duration::from_secs(10);

/// Follows the daemons. Solved blocks are kept in the folder `blocks`; only daemons whose chain
/// begins with `first_block` are mined with. Where daemons make the coinbases, they pay `pays`. Fails only for a
/// configuration that cannot work; daemons that are down are waited for.
pub fn start(
    configs: Vec<Config>,
    coin: &'static Coin,
    network: Network,
    pays: &str,
    blocks: PathBuf,
    first_block: FirstBlock,
    tasks: &Tasks,
) -> anyhow::Result<(Daemons, watch::Receiver<Feed>)> {
    let started = follow_all(configs, coin, network, pays, blocks, first_block, tasks)?;
    let run = |name, task| run_until_the_end(tasks, name, task);
    let (daemons, _) = &started;
    for daemon in daemons.0.daemons.iter() {
        let this = || Arc::clone(daemon);
        if daemon.client.bitcoind().is_some() {
            run("long poll", Box::pin(notify::long_poll(this())));
            run(
                "waitfornewblock",
                Box::pin(notify::wait_for_new_block(this())),
            );
        }
        run("zmq", Box::pin(notify::zmq(this())));
    }
    run("resubmit blocks", Box::pin(daemons.clone().resubmit()));
    Ok(started)
}

/// Follows one daemon for a moment, to see whether it can be mined with. No call waits for news: a
/// daemon has four threads as a rule, and such a call keeps one of them after we have gone.
pub fn try_out(
    config: Config,
    coin: &'static Coin,
    network: Network,
    pays: &str,
    tasks: &Tasks,
) -> anyhow::Result<(Daemons, watch::Receiver<Feed>)> {
    let nowhere = PathBuf::new();
    follow_all(
        vec![config],
        coin,
        network,
        pays,
        nowhere,
        FirstBlock::any(),
        tasks,
    )
}

fn follow_all(
    configs: Vec<Config>,
    coin: &'static Coin,
    network: Network,
    pays: &str,
    blocks: PathBuf,
    first_block: FirstBlock,
    tasks: &Tasks,
) -> anyhow::Result<(Daemons, watch::Receiver<Feed>)> {
    let rules = coin
        .on(network)
        .with_context(|| format!("{} has no network {network}", coin.name))?;
    ensure!(
        !configs.is_empty(),
        "{}: no daemon is configured",
        coin.name
    );
    ensure!(
        configs.len() <= DAEMONS,
        "{}: more than {DAEMONS} daemons",
        coin.name
    );
    let (mut daemons, mut notices) = (Vec::new(), Vec::new());
    for (index, config) in configs.iter().enumerate() {
        let (daemon, received) =
            node::Node::new(index, config, coin, rules, pays, first_block.clone())?;
        ensure!(
            configs[..index].iter().all(|other| other.url != config.url),
            "{}: configured twice",
            daemon.name
        );
        daemons.push(Arc::new(daemon));
        notices.push(received);
    }
    let daemons: Arc<[Arc<node::Node>]> = daemons.into();
    let changed = Arc::new(Notify::new());
    let run = |name, task| run_until_the_end(tasks, name, task);
    for (daemon, notices) in daemons.iter().zip(notices) {
        let this = || Arc::clone(daemon);
        run(
            "follow daemon",
            Box::pin(follow::follow(this(), notices, Arc::clone(&changed))),
        );
    }
    let (publish, feed) = watch::channel(Feed::Waiting);
    run(
        "choose daemon",
        Box::pin(feed::feed(
            Arc::clone(&daemons),
            changed,
            first_block,
            publish,
        )),
    );
    let kept = kept_blocks::KeptBlocks::new(blocks);
    let daemons = Daemons(Arc::new(Inner {
        daemons,
        kept,
        tasks: tasks.clone(),
    }));
    Ok((daemons, feed))
}

type Task = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

fn run_until_the_end(tasks: &Tasks, name: &'static str, task: Task) {
    let ending: CancellationToken = tasks.ending(Stage::Daemons);
    tasks.spawn(Stage::Daemons, name, async move {
        ending.run_until_cancelled(task).await.unwrap_or(Ok(()))
    });
}

impl Daemons {
    /// Sends a solved block to all daemons at once, and to each again until it has judged it. The
    /// block is written down beside that, until [`forget`](Self::forget).
    pub fn submit(&self, block: Arc<str>, hash: Hash) -> Submission {
        let submission = self.send(&block, hash);
        let kept = self.0.kept.clone();
        self.0
            .tasks
            .spawn(Stage::Daemons, "keep block", async move {
                kept.keep(hash, &block).await;
                Ok(())
            });
        submission
    }

    /// The fate of this block is known: its file goes.
    pub async fn forget(&self, hash: Hash) {
        self.0.kept.forget(hash).await;
    }

    /// Where a block stands, by the first fit daemon that knows it; nothing if none does. Unfit
    /// ones are not asked: a daemon that lags behind knows nothing of the newest blocks.
    pub async fn block_status(&self, hash: Hash) -> Result<Option<BlockStatus>, Unanswered> {
        let mut answer = Err(Unanswered::NoneFit);
        for daemon in self.fit() {
            match daemon.client.status(hash).await {
                Ok(Some(status)) => return Ok(Some(status)),
                Ok(None) => answer = answer.or(Ok(None)),
                Err(failure) => answer = answer.or(Err(failure.into())),
            }
        }
        answer
    }

    /// Which block the first fit daemon has at a height of its chain, and where that stands.
    pub async fn block_at(&self, height: u32) -> Result<(Hash, BlockStatus), Unanswered> {
        let daemon = self.fit().next().ok_or(Unanswered::NoneFit)?;
        let hash = daemon.client.block_hash(height).await?;
        let status = daemon.client.status(hash).await?;
        let unknown = || CallError::Malformed(format!("{hash} is at {height}, and unknown"));
        Ok((hash, status.ok_or_else(unknown)?))
    }

    /// Has the daemon that is mined with check a block that lacks only its proof of work.
    pub async fn propose(&self, block: &str) -> Result<Proposal, Unanswered> {
        let daemon = self.fit().next().ok_or(Unanswered::NoneFit)?;
        Ok(daemon.client.propose(block).await?)
    }

    /// Somebody says that there is a new block: every daemon is looked at now.
    pub fn poke(&self) {
        for daemon in self.0.daemons.iter() {
            daemon.notice(node::Notice::Look);
        }
    }

    /// Asks a daemon again at once that was left alone for not answering. False if there is none
    /// at this place.
    pub fn reset_breaker(&self, daemon: usize) -> bool {
        let Some(daemon) = self.0.daemons.get(daemon) else {
            return false;
        };
        daemon.breaker(breaker::Breaker::reset);
        daemon.notice(node::Notice::Look);
        true
    }

    /// How each daemon does, in the order of the configuration.
    pub fn health(&self) -> Vec<Health> {
        let health = |daemon: &Arc<node::Node>| {
            let status = daemon.status.borrow().clone();
            Health {
                name: daemon.name.clone(),
                fit: daemon.fit(),
                breaker: daemon.breaker(|breaker| breaker.state()),
                height: status.height,
                peers: status.peers,
                version: status.version,
                template_age: status.current.map(|(_, received)| received.elapsed()),
                notified_by: status.notified_by,
            }
        };
        self.0.daemons.iter().map(health).collect()
    }

    fn fit(&self) -> impl Iterator<Item = &Arc<node::Node>> {
        self.0.daemons.iter().filter(|daemon| daemon.fit().is_ok())
    }

    fn send(&self, block: &str, hash: Hash) -> Submission {
        let inner = &self.0;
        // Each daemon says one thing.
        let (say, verdicts) = mpsc::channel(inner.daemons.len());
        for daemon in inner.daemons.iter() {
            let (say, index) = (say.clone(), daemon.index);
            let ending = inner.tasks.ending(Stage::Daemons);
            let sending = submit::Sending {
                daemon: Arc::clone(daemon),
                all: Arc::clone(&inner.daemons),
                hash,
                parent: daemon.client.parent_of(block),
                request: daemon.client.submit_request(block),
            };
            inner
                .tasks
                .spawn(Stage::Daemons, "submit block", async move {
                    // Whoever sent it may not care.
                    let _ = say.send((index, sending.run(ending).await)).await;
                    Ok(())
                });
        }
        Submission::new(verdicts)
    }

    /// Sends what an earlier run kept. One after the other, so that a long list is no flood.
    async fn resubmit(self) -> anyhow::Result<()> {
        let hashes = match self.0.kept.all().await {
            Ok(hashes) => hashes,
            Err(failure) => {
                warn!(%failure, "solved blocks of before cannot be read");
                return Ok(());
            }
        };
        for hash in hashes {
            match self.0.kept.read(hash).await {
                Ok(block) => {
                    info!(%hash, "sending a solved block of before again");
                    let mut submission = self.send(&block, hash);
                    let _ = tokio::time::timeout(RESUBMIT_GAP, submission.accepted()).await;
                }
                Err(failure) => warn!(%hash, %failure, "solved block of before cannot be read"),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.daemons.iter().map(|daemon| &daemon.name))
            .finish()
    }
}
