//! One daemon as its tasks share it: how it is reached, what is known of it, and where news of it
//! go in. Made by [`start`](super::start); [`follow`](super::follow) keeps the status.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use mining::{AnyTemplate, Coin, coin::NetworkRules};
use pow::Hash;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    bitcoind::Received,
    breaker::Breaker,
    check::Expected,
    client::Client,
    config::{Config, Pace},
    first_block::FirstBlock,
};

/// One daemon, shared by its tasks.
#[derive(Debug)]
pub(super) struct Node {
    /// Its place in the configuration.
    pub(super) index: usize,
    /// Its address without secrets.
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) coin: &'static Coin,
    pub(super) rules: &'static NetworkRules,
    pub(super) expected: Expected,
    pub(super) first_block: FirstBlock,
    pub(super) pace: Pace,
    /// How long one kind of call may fail.
    pub(super) without: Duration,
    pub(super) subsidy_only: bool,
    pub(super) zmq: Option<String>,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) status: watch::Sender<Status>,
    /// The newest template, to wait for the next one with.
    pub(super) newest: watch::Sender<Option<Received>>,
    pub(super) notices: mpsc::Sender<Notice>,
    /// What the choice among the daemons made of its status.
    fit: Mutex<Result<(), String>>,
}

/// What is known of a daemon.
#[derive(Clone, Debug)]
pub(super) struct Status {
    /// Whether to mine with it, or why not.
    pub(super) fit: Result<(), String>,
    /// False as long as the first answers are awaited.
    pub(super) settled: bool,
    /// What it wants mined and when it said so.
    pub(super) current: Option<(AnyTemplate, Instant)>,
    pub(super) height: Option<u32>,
    pub(super) peers: Option<u32>,
    pub(super) version: Option<u64>,
    /// Its first block.
    pub(super) genesis: Option<Hash>,
    pub(super) notified_by: Option<Source>,
}

/// What told of a new tip first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `hashblock` over ZMQ.
    Zmq,
    /// A `getblocktemplate` that waited.
    LongPoll,
    /// `waitfornewblock`.
    WaitForNewBlock,
    /// Somebody outside (`blocknotify`).
    Poke,
    /// The look each second.
    Poll,
}

/// Something may have changed.
#[derive(Debug)]
pub(super) enum Notice {
    /// This is said to be the tip.
    Tip(Source, Hash),
    /// A template that came by itself.
    Template(Received),
    /// Look now.
    Look,
}

/// Notices that may wait. More can only say what these already say, and are dropped.
const NOTICES: usize = 32;

/// For so many time limits of a quick call (15 s) one kind of call may fail, or a template be
/// missing for the tip, before mining goes on elsewhere.
const WITHOUT: u32 = 3;

/// Why a daemon that has not answered yet is not mined with.
pub(super) const UNKNOWN: &str = "its answers are awaited";

impl Node {
    /// A daemon and the end at which its notices arrive.
    pub(super) fn new(
        index: usize,
        config: &Config,
        coin: &'static Coin,
        rules: &'static NetworkRules,
        pays: &str,
        first_block: FirstBlock,
    ) -> anyhow::Result<(Self, mpsc::Receiver<Notice>)> {
        let (notices, received) = mpsc::channel(NOTICES);
        let unknown = || Err(UNKNOWN.to_owned());
        let daemon = Self {
            index,
            name: config.name(),
            client: Client::new(config, coin, rules.network, pays)?,
            coin,
            rules,
            expected: Expected::new(coin, rules, config.min_peers),
            first_block,
            pace: config.pace()?,
            without: config.patience.quick * WITHOUT,
            subsidy_only: config.subsidy_only && coin.bitcoin().is_some(),
            zmq: config.zmq.clone(),
            breaker: Mutex::default(),
            status: watch::Sender::new(Status {
                fit: unknown(),
                settled: false,
                current: None,
                height: None,
                peers: None,
                version: None,
                genesis: None,
                notified_by: None,
            }),
            newest: watch::Sender::new(None),
            notices,
            fit: Mutex::new(unknown()),
        };
        Ok((daemon, received))
    }

    /// Whether to mine with it, all daemons considered.
    pub(super) fn fit(&self) -> Result<(), String> {
        self.fit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sets what [`fit`](Self::fit) tells. Returns what it told before.
    pub(super) fn say_fit(&self, fit: Result<(), String>) -> Result<(), String> {
        let mut told = self.fit.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *told, fit)
    }

    /// Does something with its breaker.
    pub(super) fn breaker<T>(&self, with: impl FnOnce(&mut Breaker) -> T) -> T {
        with(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes a notice on. If many wait already, one more says nothing new.
    pub(super) fn notice(&self, notice: Notice) {
        let _ = self.notices.try_send(notice);
    }
}
