//! Sends a solved block to every daemon at once and again until each has said what it thinks of it.
//!
//! Nothing here can keep a block from being sent: no check, no breaker, no disk.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use pow::Hash;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    bitcoind::Submitted,
    node::{Node, Notice},
    pause::Pause,
    rpc::CallError,
};

/// What became of a block at one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the daemon's chain, or was there before.
    Accepted,
    /// The daemon has it beside its chain: another block was first.
    SideBranch,
    /// The daemon found it invalid, for this reason.
    Rejected(String),
    /// No answer before the chain had grown past it by six blocks.
    Buried,
    /// No answer before the process ended. The block is on disk and goes out at the next start.
    Unanswered,
}

/// The verdicts on one block, as they come.
#[derive(Debug)]
pub struct Submission {
    verdicts: mpsc::Receiver<(usize, Verdict)>,
}

/// A block under so many others that it is not in the chain never will be.
const BURIED: i64 = 6;

/// Between attempts.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// The first attempt may find a connection that the daemon has just closed.
const AGAIN_AT_ONCE: Duration = Duration::from_millis(20);

/// How long a daemon may lack the block before ours: it would have come from its peers by then.
const NO_PARENT: Duration = Duration::from_secs(600);

/// How long an attempt under way is waited for when the process ends; the block is on disk.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Submission {
    pub(super) fn new(verdicts: mpsc::Receiver<(usize, Verdict)>) -> Self {
        Self { verdicts }
    }

    /// The next verdict, with the daemon's place in the configuration; nothing after the last.
    pub async fn next(&mut self) -> Option<(usize, Verdict)> {
        self.verdicts.recv().await
    }

    /// Which daemon accepted it first, as soon as one does. Otherwise what each of them said.
    pub async fn accepted(&mut self) -> Result<usize, Vec<(usize, Verdict)>> {
        let mut others = Vec::new();
        while let Some((daemon, verdict)) = self.next().await {
            if verdict == Verdict::Accepted {
                return Ok(daemon);
            }
            others.push((daemon, verdict));
        }
        Err(others)
    }
}

/// One block on its way to one daemon.
pub(super) struct Sending {
    pub(super) daemon: Arc<Node>,
    pub(super) all: Arc<[Arc<Node>]>,
    pub(super) hash: Hash,
    /// The block before, if the header could be read.
    pub(super) parent: Option<Hash>,
    pub(super) request: Bytes,
}

impl Sending {
    /// Until there is a verdict.
    pub(super) async fn run(self, ending: CancellationToken) -> Verdict {
        let attempts = self.attempts(&ending);
        let last_words = async {
            ending.cancelled().await;
            sleep(LAST_WORDS).await;
        };
        let verdict = tokio::select! {
            verdict = attempts => verdict,
            () = last_words => Verdict::Unanswered,
        };
        let (daemon, hash) = (&self.daemon.name, self.hash);
        match &verdict {
            Verdict::Accepted => {
                info!(daemon, %hash, "block accepted");
                // Its tip is another one now.
                self.daemon.notice(Notice::Look);
            }
            Verdict::SideBranch => warn!(daemon, %hash, "block is on a side branch"),
            Verdict::Rejected(reason) => error!(daemon, %hash, reason, "block rejected"),
            Verdict::Buried => error!(daemon, %hash, "block was never answered"),
            Verdict::Unanswered => {
                warn!(daemon, %hash, "block not answered before shutdown; it is kept")
            }
        }
        verdict
    }

    async fn attempts(&self, ending: &CancellationToken) -> Verdict {
        let begun = Instant::now();
        let mut pause = Pause::new(AGAIN.0, AGAIN.1);
        let mut first = true;
        loop {
            match self
                .daemon
                .client
                .submit(self.request.clone(), self.hash)
                .await
            {
                Ok(Submitted::Accepted) => return Verdict::Accepted,
                Ok(Submitted::Rejected(reason)) => return Verdict::Rejected(reason),
                Ok(Submitted::NoParent) if begun.elapsed() >= NO_PARENT => {
                    return Verdict::Rejected("prev-blk-not-found".to_owned());
                }
                Ok(Submitted::NoParent) => {}
                Ok(Submitted::Unclear(reason)) => {
                    if let Some(verdict) = self.ask(&reason).await {
                        return verdict;
                    }
                }
                Err(failure) => {
                    if first {
                        let (daemon, hash) = (&self.daemon.name, self.hash);
                        warn!(daemon, %hash, %failure, "block not answered; sending it again");
                    }
                    if first && matches!(failure, CallError::Unreachable(_)) {
                        first = false;
                        sleep(AGAIN_AT_ONCE).await;
                        continue;
                    }
                }
            }
            first = false;
            if self.is_buried().await {
                return Verdict::Buried;
            }
            tokio::select! {
                () = sleep(pause.next()) => {}
                () = ending.cancelled() => return Verdict::Unanswered,
            }
        }
    }

    /// What the daemon makes of a block that it did not judge at once. Nothing as long as it has
    /// not judged.
    async fn ask(&self, reason: &str) -> Option<Verdict> {
        match self.daemon.client.status(self.hash).await {
            Ok(Some(status)) if status.confirmations >= 0 => Some(Verdict::Accepted),
            Ok(Some(_)) => match self.daemon.client.is_invalid_tip(self.hash).await {
                Ok(true) => Some(Verdict::Rejected(reason.to_owned())),
                Ok(false) => Some(Verdict::SideBranch),
                Err(_) => None,
            },
            Ok(None) | Err(_) => None,
        }
    }

    /// Whether any daemon has the parent so deep that the block cannot come in any more.
    async fn is_buried(&self) -> bool {
        let Some(parent) = self.parent else {
            return false;
        };
        for daemon in self.all.iter() {
            // The parent itself has one confirmation more than what is on top of it.
            if let Ok(Some(status)) = daemon.client.status(parent).await
                && status.confirmations > BURIED + 1
            {
                return true;
            }
        }
        false
    }
}
