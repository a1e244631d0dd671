//! The loop a miner lives in. One task owns one connection and all its state, so nothing here is
//! locked: its events are a line from the miner, a notice in its mailbox, and the clock.
//!
//! [`serve`] is called by the listener, returns when the connection is over, and never fails: why it
//! ended is logged here, once. What a line means is in [`session`]; this file moves bytes.

mod cryptonote;
mod dialect;
mod end;
mod handover;
mod in_flight;
mod miner;
mod rules;
mod session;
#[cfg(test)]
mod tests;
mod wishes;
mod workers;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
    time::Duration,
};

use mining::{Address, Coin, Network, bucket::Bucket, extranonce::Allocator, seen::Seen};
use prometheus_client::metrics::gauge::Gauge;
use store::{PoolId, Store};
use tokio::{
    sync::watch,
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use wire::{line::LineBuffer, sv1::reply};

use crate::{
    bans::{Bans, Tally},
    block::Blocks,
    clock,
    connection::{
        dialect::Dialect,
        end::End,
        session::{AliasLogin, Handled, Session},
    },
    devices::Devices,
    kept_sessions::{KeptSessions, LeftOpen},
    mailbox::{Listed, Mailboxes, Notice, Notices},
    metrics::Metrics,
    networks,
    sessions::Sessions,
    share_log::ShareLog,
    stream::Stream,
    systemd::Sockets,
    template_feed::{JobIds, Newest, Recipe},
    verifier::{Origin, Verifier},
};

pub use self::rules::Rules;
pub(crate) use self::{
    wishes::{Device, Wishes},
    workers::Workers,
};

/// The longest line before a miner is authorized. The longest honest one has under 600 bytes.
const LINE_MAX_BEFORE: usize = 4 * 1024;
/// Shares of one connection that wait for their commit; more are not read before some are answered.
pub const IN_FLIGHT_MAX: usize = 64;
/// Unsent bytes after which a miner counts as one that does not read. A notify has 1 to 35 KiB.
const UNSENT_MAX: usize = 64 * 1024;
/// Bytes read in one go.
const READ_SIZE: usize = 4 * 1024;
/// A miner that takes nothing for this long is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// When the pool stops, a miner has this long to take what is on its way to it.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Lines that make no sense, with no good share among them, after which a peer is not a miner.
const MALFORMED_MAX: u32 = 10;

/// What connections of one listener have in common.
pub struct Context {
    /// The coin.
    pub coin: &'static Coin,
    /// Its network.
    pub network: Network,
    /// The newest work.
    pub newest: watch::Receiver<Newest>,
    /// How work is made for a miner of its own; nothing where the daemon makes coinbases.
    pub recipe: Option<Recipe>,
    /// Who verifies shares whose hash is costly; nothing where connections hash by themselves.
    pub verifier: Option<Verifier>,
    /// By which miners' own blocks are seen to pay the pool; nothing where they may not bring any.
    pub view_key: Option<Arc<mining::cryptonote::ViewKey>>,
    /// Numbers for jobs of one's own.
    pub job_ids: JobIds,
    /// Extranonces.
    pub prefixes: Allocator,
    /// The shares of this tip.
    pub seen: Arc<Seen>,
    /// Where accepted shares go.
    pub share_log: ShareLog,
    /// Where solved blocks go.
    pub blocks: Blocks,
    /// Sessions that may be taken up again.
    pub kept_sessions: KeptSessions,
    /// Where aliases are looked up.
    pub store: Store,
    /// The pool in the store.
    pub pool: PoolId,
    /// The mailboxes of all connections.
    pub mailboxes: Mailboxes,
    /// Who is connected.
    pub sessions: Sessions,
    /// How many are, at this port.
    pub connected: Gauge,
    /// Who may not be.
    pub bans: Bans,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is known of devices.
    pub devices: Devices,
    /// Where connections wait for the next run.
    pub sockets: Sockets,
    /// Cancelled when the pool stops. Connections are told by a notice; this is for those that wait
    /// for a reader meanwhile.
    pub stopping: CancellationToken,
    /// What this listener allows.
    pub rules: Rules,
}

impl Context {
    /// A line made no sense. It is counted, and held against its sender where it would be a share.
    fn malformed(&self, tally: &Tally, is_share: bool) -> Handled {
        self.metrics.malformed.inc();
        if is_share {
            // A ban ends the connection with its next turn.
            tally.invalid(clock::now_ms());
        }
        Handled::Malformed
    }

    /// What a miner is told that speaks another dialect than this port.
    fn is_for(&self) -> String {
        let (coin, algorithm) = (self.coin.title(), self.coin.algorithm().name());
        let how = self.coin.vision().map_or("", |_| ", over HTTP");
        format!("This port is for miners of {coin} ({algorithm}){how}")
    }
}

/// Serves a miner until one of both sides has enough. The time to authorize runs from
/// `accepted_at`.
pub async fn serve(stream: Stream, peer: SocketAddr, accepted_at: Instant, context: Arc<Context>) {
    live(Connection::new(stream, peer, accepted_at, context), None).await;
}

/// Goes on with a miner that the run before has left open.
pub async fn go_on(stream: Stream, left: LeftOpen, context: Arc<Context>) {
    let connection = Connection::new(stream, left.peer, Instant::now(), context);
    live(connection, Some(Box::new(left))).await;
}

async fn live(mut connection: Connection, left: Option<Box<LeftOpen>>) {
    let peer = connection.peer;
    let connected = connection.context.connected.clone();
    connected.inc();
    let begun = match left {
        None => Ok(()),
        Some(left) => Box::pin(connection.take_up(*left)).await,
    };
    let end = match begun {
        Ok(()) => connection.run().await,
        Err(end) => end,
    };
    Box::pin(connection.drain(&end)).await;
    let worker = connection.session.worker();
    if end.leaves_a_session()
        && let Some(session) = connection.session.v1()
    {
        session.keep(Instant::now());
    }
    connected.dec();
    debug!(%peer, worker, reason = %end, "connection ended");
}

/// What a connection waits for.
enum Event {
    Notices(Notices),
    /// Bytes were read; they are with the lines.
    Read,
    /// Shares were verified.
    Verified,
    Clock,
}

/// How much of a turn's answers the socket took.
enum Sent {
    All,
    Part,
}

struct Connection {
    stream: Stream,
    peer: SocketAddr,
    context: Arc<Context>,
    mailbox: Listed,
    lines: LineBuffer,
    session: Dialect,
    /// What did not fit into the socket at once.
    unsent: Vec<u8>,
    accepted_at: Instant,
    /// When the last whole line came.
    heard_at: Instant,
    /// When vardiff is to see that time went by.
    next_tick: Instant,
    /// Wakes the connection at its deadline, or at one that was its deadline before.
    alarm: Pin<Box<Sleep>>,
    messages: Bucket,
    malformed: u32,
    /// A login that waits for the store, and with it the lines behind it.
    alias: Option<Box<AliasLogin>>,
}

thread_local! {
    /// Where a turn writes its answers: connections hold no buffer between turns.
    static ANSWERS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Connection {
    fn new(stream: Stream, peer: SocketAddr, accepted_at: Instant, context: Arc<Context>) -> Self {
        // A share a miner sends is answered at once; waiting to fill a packet only costs time.
        if let Err(error) = stream.set_nodelay() {
            debug!(%peer, %error, "no TCP_NODELAY");
        }
        let mailbox = context.mailboxes.enter(networks::party(peer.ip()));
        let tally = context.bans.tally(peer.ip());
        let now = Instant::now();
        let shared = (Arc::clone(&context), mailbox.share());
        let is_cryptonote = context.coin.cryptonote().is_some();
        let session = match context.verifier.clone().filter(|_| is_cryptonote) {
            None => Dialect::V1(Session::new(peer, shared.0, shared.1, tally)),
            Some(verifier) => {
                let origin = Origin {
                    address: networks::party(peer.ip()),
                    connection: mailbox.number(),
                };
                let (context, mailbox) = shared;
                Dialect::CryptoNote(cryptonote::Session::new(
                    peer, origin, context, verifier, mailbox, tally,
                ))
            }
        };
        Self {
            stream,
            peer,
            lines: LineBuffer::new(LINE_MAX_BEFORE),
            session,
            mailbox,
            unsent: Vec::new(),
            accepted_at,
            heard_at: now,
            next_tick: now,
            alarm: Box::pin(tokio::time::sleep_until(
                accepted_at + context.rules.handshake,
            )),
            messages: Bucket::new(context.rules.messages, 0),
            malformed: 0,
            alias: None,
            context,
        }
    }

    async fn run(&mut self) -> End {
        loop {
            let event = match self.next_event().await {
                Ok(event) => event,
                Err(end) => return end,
            };
            // One clock for all that a turn does.
            let now = Instant::now();
            let mut out = ANSWERS.take();
            out.clear();
            let done = self.turn(&event, now, &mut out);
            let sent = self.send_now(&out);
            ANSWERS.set(out);
            if let Err(end) = done.and(self.finish(sent).await) {
                return end;
            }
            while let Some(login) = self.alias.take() {
                if let Err(end) = Box::pin(self.look_up(*login)).await {
                    return end;
                }
            }
        }
    }

    /// Waits for what comes first; work goes before lines, as the sooner a miner has it the less
    /// it hashes in vain.
    async fn next_event(&mut self) -> Result<Event, End> {
        poll_fn(|context| {
            if let Poll::Ready(notices) = self.mailbox.poll_take(context) {
                return Poll::Ready(Ok(Event::Notices(notices)));
            }
            if self.session.poll_verified(context).is_ready() {
                return Poll::Ready(Ok(Event::Verified));
            }
            if self.session.in_flight() < IN_FLIGHT_MAX
                && let Poll::Ready(read) = self.poll_read(context)
            {
                return Poll::Ready(read.map(|()| Event::Read));
            }
            self.alarm.as_mut().poll(context).map(|()| Ok(Event::Clock))
        })
        .await
    }

    /// Reads what is there. The buffer lives for this call only: an idle miner costs no memory.
    fn poll_read(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), End>> {
        let mut bytes = [0; READ_SIZE];
        let count = ready!(self.stream.poll_read(context, &mut bytes))?;
        if count == 0 {
            return Poll::Ready(Err(End::Closed));
        }
        self.lines.push(&bytes[..count]);
        Poll::Ready(Ok(()))
    }

    /// Does all that an event asks for.
    fn turn(&mut self, event: &Event, now: Instant, out: &mut Vec<u8>) -> Result<(), End> {
        // Before any event: a peer that keeps the connection busy does not put off the clock.
        if now >= self.deadline() {
            self.tick(now, out)?;
        }
        match event {
            Event::Notices(notices) => {
                if notices.has(Notice::Stop) {
                    return Err(End::Stopping);
                }
                if notices.has(Notice::Banned) {
                    self.session.tell_ban(out);
                    return Err(End::Banned);
                }
                if notices.has(Notice::Work) {
                    self.offer(out)?;
                }
                if notices.has(Notice::Answers) {
                    self.session.answers(&self.mailbox, out);
                    // Lines may have waited for room in flight.
                    self.take_lines(now, out)?;
                }
            }
            Event::Read => self.take_lines(now, out)?,
            Event::Verified => {
                if self.session.take_verified(now, &self.context, out) {
                    self.malformed = 0;
                }
                // As above.
                self.take_lines(now, out)?;
            }
            Event::Clock => {
                let deadline = self.deadline();
                self.alarm.as_mut().reset(deadline);
            }
        }
        Ok(())
    }

    /// Handles the lines that are there, as long as their shares find a place in flight.
    fn take_lines(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), End> {
        while self.session.in_flight() < IN_FLIGHT_MAX && self.alias.is_none() {
            let Some(line) = self.lines.next_line()? else {
                break;
            };
            self.heard_at = now;
            let ms = now.duration_since(self.accepted_at).as_millis();
            if !self.messages.take(u64::try_from(ms).unwrap_or(u64::MAX)) {
                return Err(End::Flood);
            }
            let was_authorized = self.session.is_authorized();
            match self.session.line(line, now, out)? {
                Handled::Done => {}
                Handled::Malformed => {
                    self.malformed += 1;
                    if self.malformed > MALFORMED_MAX {
                        return Err(End::Malformed);
                    }
                }
                Handled::Share(entry) => {
                    // Whoever sends good shares is a miner.
                    self.malformed = 0;
                    self.context.share_log.append(entry);
                }
                Handled::Alias(login) => self.alias = Some(login),
            }
            if !was_authorized && self.session.is_authorized() {
                self.welcome(now, out)?;
            }
        }
        Ok(())
    }

    /// A miner has been authorized: it gets its first work.
    fn welcome(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), End> {
        self.lines.set_limit(self.session.line_max());
        self.next_tick = now + self.tick_every();
        let deadline = self.deadline();
        self.alarm.as_mut().reset(deadline);
        self.offer(out)
    }

    /// Asks the store whose alias it is, and goes on with the login and the lines behind it.
    async fn look_up(&mut self, login: AliasLogin) -> Result<(), End> {
        let Context {
            store,
            pool,
            coin,
            network,
            ..
        } = &*self.context;
        let found = store.address_of(*pool, login.number).await;
        let address = match found {
            Ok(address) => address,
            Err(error) => {
                debug!(%error, "an alias was not looked up");
                None
            }
        };
        let address = address.and_then(|text| Address::parse(coin, *network, &text).ok());
        let now = Instant::now();
        let was_authorized = self.session.is_authorized();
        let mut out = Vec::new();
        let Some(session) = self.session.v1() else {
            return Ok(());
        };
        session.alias_found(login, address, now, &mut out)?;
        if !was_authorized && self.session.is_authorized() {
            self.welcome(now, &mut out)?;
        }
        self.take_lines(now, &mut out)?;
        let sent = self.send_now(&out);
        self.finish(sent).await
    }

    /// Sends the newest work to an authorized miner.
    fn offer(&mut self, out: &mut Vec<u8>) -> Result<(), End> {
        if !self.session.is_authorized() {
            return Ok(());
        }
        let newest = self.context.newest.borrow().clone();
        match newest {
            Newest::Nothing(reason) => Err(End::NoWork(reason)),
            Newest::Offer(offer) => {
                self.session.offer(&offer, out);
                Ok(())
            }
        }
    }

    /// Does what time asks for.
    fn tick(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), End> {
        if !self.session.is_authorized() {
            return Err(End::Handshake);
        }
        if now >= self.heard_at + self.context.rules.idle {
            return Err(End::Idle);
        }
        if now >= self.share_due() {
            return Err(End::Shareless);
        }
        self.next_tick = now + self.tick_every();
        self.session.tick(now, out);
        Ok(())
    }

    /// When time asks for something: the end of the handshake, then vardiff or the idle limit.
    fn deadline(&self) -> Instant {
        let rules = &self.context.rules;
        if self.session.is_authorized() {
            self.next_tick
                .min(self.heard_at + rules.idle)
                .min(self.share_due())
        } else {
            self.accepted_at + rules.handshake
        }
    }

    /// By when a share has to be accepted.
    fn share_due(&self) -> Instant {
        self.session.last_share_at().unwrap_or(self.accepted_at) + self.context.rules.shareless
    }

    fn tick_every(&self) -> Duration {
        Duration::from_millis(self.context.rules.vardiff.share_time_ms)
    }

    /// Sends in one write what a turn has written, and keeps what does not fit.
    fn send_now(&mut self, out: &[u8]) -> Result<Sent, End> {
        if out.is_empty() {
            return Ok(Sent::All);
        }
        let sent = match self.stream.try_write(out) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            other => other?,
        };
        if sent < out.len() {
            self.unsent.extend_from_slice(&out[sent..]);
            return Ok(Sent::Part);
        }
        match self.stream.try_flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Sent::Part),
            other => Ok(other.map(|()| Sent::All)?),
        }
    }

    /// Sends the rest of what the socket took a part of.
    async fn finish(&mut self, sent: Result<Sent, End>) -> Result<(), End> {
        match sent? {
            Sent::All => Ok(()),
            // Boxed, as it is rare: an idle connection holds no room for it.
            Sent::Part => Box::pin(self.send_rest()).await,
        }
    }

    /// Waits for a slow reader, but not for long.
    async fn send_rest(&mut self) -> Result<(), End> {
        if self.unsent.len() > UNSENT_MAX {
            return Err(End::DoesNotRead);
        }
        let unsent = std::mem::take(&mut self.unsent);
        let sending = async {
            let mut sent = 0;
            while sent < unsent.len() {
                self.stream.writable().await?;
                match self.stream.try_write(&unsent[sent..]) {
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(End::from(error)),
                }
            }
            while let Err(error) = self.stream.try_flush() {
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Err(error.into());
                }
                self.stream.writable().await?;
            }
            Ok(())
        };
        let patience = async {
            let stopping = self.context.stopping.cancelled();
            if tokio::time::timeout(WRITE_TIMEOUT, stopping).await.is_ok() {
                tokio::time::sleep(LAST_WORDS).await;
            }
        };
        tokio::select! {
            sent = sending => sent,
            () = patience => Err(End::DoesNotRead),
        }
    }

    /// Answers the shares that are still being committed, then says good-bye.
    async fn drain(&mut self, end: &End) {
        let mut out = Vec::new();
        let drained = async {
            while self.session.in_flight() > 0 {
                poll_fn(|context| match self.session.poll_verified(context) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => self.mailbox.poll_take(context).map(drop),
                })
                .await;
                let now = Instant::now();
                self.session.take_verified(now, &self.context, &mut out);
                self.session.answers(&self.mailbox, &mut out);
            }
        };
        let drained = tokio::time::timeout(WRITE_TIMEOUT, drained).await;
        // Who has not read a part of a line can make nothing of the next one.
        if drained.is_err() || matches!(end, End::DoesNotRead) {
            return;
        }
        let sent = self.send_now(&out);
        if let Err(end) = self.finish(sent).await {
            debug!(reason = %end, "last replies not delivered");
            return;
        }
        // CryptoNote's miners come back by themselves.
        let is_told = matches!(end, End::Stopping) && self.session.is_authorized();
        if is_told && self.session.v1().is_some() && !self.leave_open() {
            out.clear();
            reply::reconnect(&mut out);
            let sent = self.send_now(&out);
            if let Err(end) = self.finish(sent).await {
                debug!(reason = %end, "not told to come back");
            }
        }
    }
}
