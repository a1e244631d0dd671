//! Follows one daemon: its tip, its templates and whether it is fit.
//!
//! One task a daemon owns all of this. Everything that may tell of a new tip comes in as a
//! [`Notice`]; whichever is first makes it ask, and a look at the tip each second stands behind
//! them all. What it finds goes out as a [`Status`], from which [`feed`](super::feed) chooses.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use mining::AnyTemplate;
use pow::Hash;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tracing::{debug, warn};

use super::{
    bitcoind::{NoTemplate, Received},
    check::{Facts, Unfit, is_behind_headers},
    node::{Node, Notice, Source, Status, UNKNOWN},
    pause::Pause,
    reply::{ChainInfo, Header, NetworkInfo},
    rpc::CallError,
    subsidy_only::{difference, subsidy_only},
};
use crate::clock;

/// Between two looks, however many pokes come.
const LOOK_GAP: Duration = Duration::from_millis(20);

/// Before the next announced tip is asked for, after one that was none.
const FALSE_TIP_GAP: Duration = Duration::from_millis(100);

/// Between templates that fail: the first again soon, the later ones not in the daemon's way.
const FETCH_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

type Call<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// Network information and the hash of the first block.
type Background = (NetworkInfo, Hash);

enum Event {
    Notice(Notice),
    Looked(Result<ChainInfo, CallError>),
    Header(Source, Hash, Result<Header, CallError>),
    Template(Result<Received, NoTemplate>),
    Background(Result<Background, CallError>),
    Time,
}

struct Tip {
    hash: Hash,
    height: u32,
    time: Option<u32>,
    since: Instant,
}

struct Follower {
    daemon: Arc<Node>,
    // Calls under way, at most one of a kind.
    look: Call<Result<ChainInfo, CallError>>,
    header: Call<(Source, Hash, Result<Header, CallError>)>,
    fetch: Call<Result<Received, NoTemplate>>,
    background: Call<Result<Background, CallError>>,
    // When the next ones are due.
    next_look: Instant,
    next_header: Instant,
    next_fetch: Instant,
    next_background: Instant,
    last_look: Instant,
    /// A hash to ask the header of.
    announced: Option<(Source, Hash)>,
    /// What made the next look be taken early.
    looking_for: Source,
    /// The tip changed while a template was fetched.
    outrun: bool,
    fetch_again: Pause,
    // What was learnt.
    chain: Option<ChainInfo>,
    background_known: Option<Background>,
    tip: Option<Tip>,
    behind_headers: Option<Instant>,
    /// The last full template.
    full: Option<Received>,
    /// What is to be mined.
    current: Option<(AnyTemplate, Instant)>,
    /// A template without transactions, until the full one shows whether it was right.
    made: Option<Arc<mining::Template>>,
    subsidy_only: bool,
    notified_by: Option<Source>,
    // What failed.
    no_look: Option<(Instant, CallError)>,
    no_background: Option<(Instant, CallError)>,
    no_template: Option<(Instant, NoTemplate)>,
}

/// Follows `daemon` for ever and wakes `changed` whenever its status was renewed.
pub(super) async fn follow(
    daemon: Arc<Node>,
    mut notices: mpsc::Receiver<Notice>,
    changed: Arc<Notify>,
) -> anyhow::Result<()> {
    let mut follower = Follower::new(daemon);
    loop {
        let wake = follower.start_what_is_due(Instant::now());
        let event = tokio::select! {
            Some(notice) = notices.recv() => Event::Notice(notice),
            looked = answer(&mut follower.look) => Event::Looked(looked),
            (by, hash, header) = answer(&mut follower.header) => Event::Header(by, hash, header),
            template = answer(&mut follower.fetch) => Event::Template(template),
            background = answer(&mut follower.background) => Event::Background(background),
            () = tokio::time::sleep_until(wake) => Event::Time,
        };
        follower.learn(event, Instant::now());
        let status = follower.status(Instant::now());
        follower.daemon.status.send_replace(status);
        changed.notify_one();
    }
}

/// The answer to a call under way; never, if there is none.
async fn answer<T>(call: &mut Call<T>) -> T {
    let Some(running) = call else {
        return pending().await;
    };
    let answer = running.await;
    *call = None;
    answer
}

impl Follower {
    fn new(daemon: Arc<Node>) -> Self {
        let now = Instant::now();
        Self {
            look: None,
            header: None,
            fetch: None,
            background: None,
            next_look: now,
            next_header: now,
            next_fetch: now,
            next_background: now,
            last_look: now,
            announced: None,
            looking_for: Source::Poll,
            outrun: false,
            fetch_again: Pause::new(FETCH_AGAIN.0, FETCH_AGAIN.1),
            chain: None,
            background_known: None,
            tip: None,
            behind_headers: None,
            full: None,
            current: None,
            made: None,
            subsidy_only: daemon.subsidy_only,
            notified_by: None,
            no_look: None,
            no_background: None,
            no_template: None,
            daemon,
        }
    }

    /// Starts the calls whose time has come. Returns when to look again.
    fn start_what_is_due(&mut self, now: Instant) -> Instant {
        let mut wake = now + self.daemon.pace.poll;
        if self.look.is_none() {
            if now < self.next_look {
                wake = wake.min(self.next_look);
            } else if self.daemon.breaker(|breaker| breaker.allow(now)) {
                self.last_look = now;
                self.next_look = now + self.daemon.pace.poll;
                let daemon = Arc::clone(&self.daemon);
                self.look = Some(Box::pin(async move { daemon.client.chain_info().await }));
            }
        }
        // A daemon that does not answer is asked nothing but the one probe above.
        if !self.daemon.breaker(|breaker| breaker.is_closed()) {
            return wake;
        }
        if self.header.is_none() && self.announced.is_some() {
            if now < self.next_header {
                wake = wake.min(self.next_header);
            } else if let Some((by, hash)) = self.announced.take() {
                let daemon = Arc::clone(&self.daemon);
                self.header = Some(Box::pin(async move {
                    (by, hash, daemon.client.header(hash).await)
                }));
            }
        }
        if self.fetch.is_none() {
            if now < self.next_fetch {
                wake = wake.min(self.next_fetch);
            } else {
                self.outrun = false;
                let daemon = Arc::clone(&self.daemon);
                self.fetch = Some(Box::pin(async move { daemon.client.template().await }));
            }
        }
        if self.background.is_none() {
            if now < self.next_background {
                wake = wake.min(self.next_background);
            } else {
                self.next_background = now + self.daemon.pace.check;
                let daemon = Arc::clone(&self.daemon);
                self.background = Some(Box::pin(async move {
                    Ok((
                        daemon.client.network_info().await?,
                        daemon.client.block_hash(0).await?,
                    ))
                }));
            }
        }
        wake
    }

    fn learn(&mut self, event: Event, now: Instant) {
        match event {
            Event::Time => {}
            Event::Notice(Notice::Look) => {
                self.looking_for = Source::Poke;
                self.next_look = self.next_look.min(self.last_look + LOOK_GAP);
            }
            Event::Notice(Notice::Tip(by, hash)) => {
                if self.tip.as_ref().is_none_or(|tip| tip.hash != hash) {
                    self.announced = Some((by, hash));
                }
            }
            Event::Notice(Notice::Template(received)) => {
                self.template(received, Source::LongPoll, now);
            }
            Event::Looked(looked) => self.looked(looked, now),
            Event::Header(by, hash, header) => self.header(by, hash, header, now),
            Event::Template(Ok(received)) => {
                self.answered();
                self.template(received, Source::Poll, now);
            }
            Event::Template(Err(failure)) => {
                match &failure {
                    NoTemplate::Call(call) => self.failed(call, now),
                    NoTemplate::Refused(_) => self.answered(),
                }
                let since = self.no_template.as_ref().map_or(now, |(since, _)| *since);
                self.no_template = Some((since, failure));
                self.next_fetch = now + self.fetch_again.next();
            }
            Event::Background(Ok(background)) => {
                self.answered();
                self.no_background = None;
                self.background_known = Some(background);
            }
            Event::Background(Err(failure)) => {
                self.failed(&failure, now);
                let since = self.no_background.as_ref().map_or(now, |(since, _)| *since);
                self.no_background = Some((since, failure));
                self.next_background = now + self.daemon.pace.poll;
            }
        }
    }

    fn looked(&mut self, looked: Result<ChainInfo, CallError>, now: Instant) {
        let by = std::mem::replace(&mut self.looking_for, Source::Poll);
        let chain = match looked {
            Ok(chain) => chain,
            Err(failure) => {
                self.failed(&failure, now);
                let since = self.no_look.as_ref().map_or(now, |(since, _)| *since);
                self.no_look = Some((since, failure));
                return;
            }
        };
        self.answered();
        self.no_look = None;
        self.behind_headers = match self.behind_headers {
            _ if !is_behind_headers(&chain) => None,
            None => Some(now),
            since => since,
        };
        let (best, height) = (chain.best, chain.blocks);
        self.chain = Some(chain);
        let known = self.tip.as_ref().is_some_and(|tip| tip.hash == best);
        if !known {
            self.tip_is(by, best, height, now);
        }
        if self.tip.as_ref().is_some_and(|tip| tip.time.is_none()) {
            self.announced = Some((by, best));
        }
    }

    fn header(&mut self, by: Source, hash: Hash, header: Result<Header, CallError>, now: Instant) {
        let header = match header {
            // A block under the tip or beside it is no news.
            Ok(header) if header.confirmations == 1 && header.hash == hash => header,
            Ok(_) => {
                self.answered();
                self.next_header = now + FALSE_TIP_GAP;
                return;
            }
            Err(failure) => {
                self.failed(&failure, now);
                self.next_header = now + FALSE_TIP_GAP;
                return;
            }
        };
        self.answered();
        if self.tip.as_ref().is_none_or(|tip| tip.hash != hash) {
            self.tip_is(by, hash, header.height, now);
        }
        if let Some(tip) = &mut self.tip {
            tip.time = Some(header.time);
        }
        self.mine_subsidy_only(&header, now);
    }

    /// The daemon has a new tip.
    fn tip_is(&mut self, by: Source, hash: Hash, height: u32, now: Instant) {
        debug!(daemon = self.daemon.name, %hash, height, ?by, "new tip");
        self.tip = Some(Tip {
            hash,
            height,
            time: None,
            since: now,
        });
        self.notified_by = Some(by);
        self.outrun = true;
        self.fetch_again.reset();
        self.next_fetch = now;
        if let Some(chain) = &mut self.chain {
            chain.blocks = height;
            chain.headers = chain.headers.max(height);
        }
    }

    fn mine_subsidy_only(&mut self, tip: &Header, now: Instant) {
        if !self.subsidy_only
            || self
                .current
                .as_ref()
                .is_some_and(|(c, _)| c.previous() == tip.hash)
        {
            return;
        }
        let Some(before) = &self.full else { return };
        let Some(template) = before.template.bitcoin() else {
            return;
        };
        let elapsed_s = u32::try_from((now - before.at).as_secs()).unwrap_or(u32::MAX);
        let (coin, rules) = (self.daemon.coin, self.daemon.rules);
        if let Some(made) = subsidy_only(coin, rules, template, elapsed_s, tip) {
            let made = Arc::new(made);
            self.made = Some(Arc::clone(&made));
            self.current = Some((AnyTemplate::Bitcoin(made), now));
        }
    }

    /// A full template came.
    fn template(&mut self, received: Received, by: Source, now: Instant) {
        let template = received.template.clone();
        let (previous, height) = (template.previous(), template.height());
        let tip_is_its = self.tip.as_ref().is_some_and(|tip| tip.hash == previous);
        let out_of_date = match &self.tip {
            Some(tip) if !tip_is_its => match by {
                // It waited while other tips may have come and gone.
                Source::LongPoll => height <= tip.height + 1,
                _ => self.outrun,
            },
            _ => false,
        };
        if out_of_date {
            self.next_fetch = now;
            return;
        }
        if !tip_is_its {
            self.tip_is(by, previous, height.saturating_sub(1), now);
            self.announced = Some((by, previous));
        }
        self.outrun = false;
        self.no_template = None;
        self.fetch_again.reset();
        self.next_fetch = now + self.daemon.pace.refresh;
        if let Some(made) = self.made.take_if(|made| made.previous == previous)
            && let Some(full) = template.bitcoin()
            && let Some(what) = difference(&made, full)
        {
            self.subsidy_only = false;
            let daemon = &self.daemon.name;
            warn!(
                daemon,
                height, what, "subsidy-only template was wrong; making none any more"
            );
        }
        self.current = Some((template, received.at));
        self.daemon.newest.send_replace(Some(received.clone()));
        self.full = Some(received);
    }

    fn answered(&mut self) {
        let was_closed = self.daemon.breaker(|breaker| {
            let was_closed = breaker.is_closed();
            breaker.answered();
            was_closed
        });
        if !was_closed {
            let now = Instant::now();
            self.fetch_again.reset();
            self.next_fetch = now;
            self.next_background = now;
        }
    }

    fn failed(&mut self, failure: &CallError, now: Instant) {
        if failure.is_answer() {
            return self.answered();
        }
        let opened = self.daemon.breaker(|breaker| {
            let was_closed = breaker.is_closed();
            breaker.failed(now);
            was_closed && !breaker.is_closed()
        });
        if opened {
            self.daemon.client.hang_up();
            // Whatever it wanted mined is out of date by the time it is back.
            self.current = None;
            self.made = None;
            self.no_template = None;
            self.no_look.get_or_insert_with(|| (now, failure.clone()));
        }
    }

    fn status(&self, now: Instant) -> Status {
        let background = self.background_known.as_ref();
        let fit = self.fit(now);
        let waits = matches!(fit, Err(None));
        Status {
            fit: fit.map_err(|reason| reason.unwrap_or_else(|| UNKNOWN.to_owned())),
            settled: !waits,
            current: self.current.clone(),
            height: self.tip.as_ref().map(|tip| tip.height),
            peers: background.map(|(network, _)| network.connections),
            version: background.map(|(network, _)| network.version),
            genesis: background.map(|(_, genesis)| *genesis),
            notified_by: self.notified_by,
        }
    }

    /// Whether to mine with it. An error without a reason: nothing is known yet.
    fn fit(&self, now: Instant) -> Result<(), Option<String>> {
        let because = |reason: &dyn std::fmt::Display| Err(Some(reason.to_string()));
        let closed = self.daemon.breaker(|breaker| breaker.is_closed());
        for (since, failure) in self.no_look.iter().chain(&self.no_background) {
            // One call without an answer can be an accident.
            if failure.is_answer() || !closed || now - *since >= self.daemon.without {
                return because(failure);
            }
        }
        let (Some(chain), Some((network, genesis))) = (&self.chain, &self.background_known) else {
            return Err(None);
        };
        let tip_time = self.tip.as_ref().and_then(|tip| tip.time);
        let facts = Facts {
            chain,
            network,
            genesis: *genesis,
            behind_headers: self
                .behind_headers
                .map_or(Duration::ZERO, |since| now - since),
            tip_time,
            now: self.clock(now),
        };
        if let Err(unfit) = self.daemon.expected.check(facts) {
            return because(&unfit);
        }
        if let Some(expected) = self.daemon.first_block.confirmed()
            && expected != *genesis
        {
            let actual = *genesis;
            return because(&Unfit::OtherDatabase { actual, expected });
        }
        if let Some((since, failure)) = &self.no_template {
            let says_no = matches!(
                failure,
                NoTemplate::Call(
                    CallError::WarmingUp(_)
                        | CallError::NotConnected(_)
                        | CallError::InitialDownload(_)
                )
            );
            if says_no || self.current.is_none() || now - *since >= self.daemon.without {
                return Err(Some(format!("no template: {failure}")));
            }
        }
        let Some((current, _)) = &self.current else {
            return Err(None);
        };
        match &self.tip {
            Some(tip)
                if tip.hash != current.previous() && now - tip.since >= self.daemon.without =>
            {
                Err(Some(format!("no template for its tip {}", tip.hash)))
            }
            _ => Ok(()),
        }
    }

    /// The daemon's clock, told by its last template; ours if that is long ago.
    fn clock(&self, now: Instant) -> u32 {
        match &self.full {
            Some(full) if now - full.at <= self.daemon.pace.refresh * 3 => {
                let elapsed = u32::try_from((now - full.at).as_secs()).unwrap_or(u32::MAX);
                full.template.time().saturating_add(elapsed)
            }
            _ => clock::now_s(),
        }
    }
}
