//! The loop a miner lives in. One task owns one connection and all its state, so nothing here is
//! locked: a line from the miner, newer work, a committed share, and the clock are its events.
//!
//! [`serve`] is called by the listener, returns when the connection is over, and never fails: why it
//! ended is logged here, once. What a line means is in [`session`]; this file moves bytes.

mod miner;
mod session;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use mining::{Coin, Difficulty, Network, extranonce::Allocator, seen::Seen, vardiff};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use wire::line::LineBuffer;

use crate::{
    bans::{Bans, Tally},
    block::Blocks,
    connection::session::Session,
    metrics::Metrics,
    sessions::Sessions,
    share_log::{Committed, ShareLog},
    stream::Stream,
    template_feed::{JobIds, Newest},
};

/// The longest line before a miner is authorized. The longest honest one has under 600 bytes.
const LINE_MAX_BEFORE: usize = 4 * 1024;
/// The longest line after that.
const LINE_MAX_AFTER: usize = 16 * 1024;
/// Shares of one connection that wait for their commit; more are not read before some are answered.
pub const IN_FLIGHT_MAX: usize = 64;
/// Unsent bytes after which a miner counts as one that does not read. A notify has 1 to 35 KiB.
const UNSENT_MAX: usize = 64 * 1024;
/// Bytes read in one go.
const READ_SIZE: usize = 4 * 1024;
/// A miner that takes nothing for this long is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Lines that make no sense, after which a peer is not a miner.
const MALFORMED_MAX: u32 = 10;

/// What connections of one listener have in common.
pub struct Context {
    /// The coin.
    pub coin: &'static Coin,
    /// Its network.
    pub network: Network,
    /// The newest work.
    pub newest: watch::Receiver<Newest>,
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
    /// Who is connected.
    pub sessions: Sessions,
    /// Who may not be.
    pub bans: Bans,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What this listener allows.
    pub rules: Rules,
}

/// What a listener allows.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The limits of vardiff.
    pub vardiff: vardiff::Limits,
    /// The difficulty to start at.
    pub start_difficulty: Difficulty,
    /// The bytes of extranonce2.
    pub extranonce2_size: usize,
    /// The version bits that may be rolled.
    pub version_mask: u32,
    /// A connection must be authorized by then, in all.
    pub handshake: Duration,
    /// A miner that sends nothing for so long is gone.
    pub idle: Duration,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("closed by the miner")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    TooLong(#[from] wire::line::TooLong),
    #[error("not authorized in time")]
    Handshake,
    #[error("silent for too long")]
    Idle,
    #[error("does not read what it is sent")]
    DoesNotRead,
    #[error("too many lines that make no sense")]
    Malformed,
    #[error("no work: {0}")]
    NoWork(Arc<str>),
    #[error("no extranonce left")]
    NoExtranonce,
    #[error("banned for invalid shares")]
    Banned,
    #[error("the pool is stopping")]
    Stopping,
}

/// Serves a miner until one of both sides has enough. The time to authorize runs from
/// `accepted_at`.
pub async fn serve(
    stream: Stream,
    peer: SocketAddr,
    accepted_at: Instant,
    context: Arc<Context>,
    stopping: CancellationToken,
) {
    let metrics = Arc::clone(&context.metrics);
    metrics.connections.inc();
    let mut connection = Connection::new(stream, peer, accepted_at, context);
    let end = connection.run(stopping).await;
    connection.drain().await;
    metrics.connections.dec();
    debug!(%peer, worker = connection.session.worker(), reason = %end, "connection ended");
}

struct Connection {
    stream: Stream,
    context: Arc<Context>,
    lines: LineBuffer,
    session: Session,
    tally: Arc<Tally>,
    unsent: Vec<u8>,
    newest: watch::Receiver<Newest>,
    committed: mpsc::Receiver<Committed>,
    accepted_at: Instant,
    /// When the last whole line came.
    heard_at: Instant,
    /// When vardiff is to see that time went by.
    next_tick: Instant,
    malformed: u32,
}

impl Connection {
    fn new(stream: Stream, peer: SocketAddr, accepted_at: Instant, context: Arc<Context>) -> Self {
        // A share a miner sends is answered at once; waiting to fill a packet only costs time.
        if let Err(error) = stream.set_nodelay() {
            debug!(%peer, %error, "no TCP_NODELAY");
        }
        let (replies, committed) = mpsc::channel(IN_FLIGHT_MAX);
        let tally = context.bans.tally(peer.ip());
        let mut newest = context.newest.clone();
        newest.mark_changed();
        Self {
            stream,
            lines: LineBuffer::new(LINE_MAX_BEFORE),
            session: Session::new(peer, Arc::clone(&context), replies, Arc::clone(&tally)),
            tally,
            unsent: Vec::new(),
            newest,
            committed,
            accepted_at,
            heard_at: Instant::now(),
            next_tick: Instant::now(),
            malformed: 0,
            context,
        }
    }

    async fn run(&mut self, stopping: CancellationToken) -> End {
        loop {
            if let Err(end) = self.turn(&stopping).await {
                return end;
            }
        }
    }

    /// Waits for one event and does all it asks for.
    async fn turn(&mut self, stopping: &CancellationToken) -> Result<(), End> {
        // Before any event: a peer that keeps the connection busy does not put off the clock.
        let deadline = self.deadline();
        if Instant::now() >= deadline {
            self.tick()?;
            return self.send().await;
        }
        tokio::select! {
            // Work first: the sooner a miner has it the less it hashes in vain.
            biased;
            () = stopping.cancelled() => return Err(End::Stopping),
            () = self.tally.banned() => return Err(End::Banned),
            changed = self.newest.changed(), if self.session.is_authorized() => {
                changed.map_err(|_| End::Stopping)?;
                self.offer()?;
            }
            Some(committed) = self.committed.recv() => {
                self.session.answer(committed, &mut self.unsent);
                while let Ok(committed) = self.committed.try_recv() {
                    self.session.answer(committed, &mut self.unsent);
                }
                self.take_lines().await?;
            }
            ready = self.stream.readable(), if self.session.in_flight() < IN_FLIGHT_MAX => {
                ready?;
                self.read()?;
                self.take_lines().await?;
            }
            // The next turn begins with it.
            () = tokio::time::sleep_until(deadline) => {}
        }
        self.send().await
    }

    /// Reads what is there. The buffer lives for this call only: an idle miner costs no memory.
    fn read(&mut self) -> Result<(), End> {
        let mut bytes = [0; READ_SIZE];
        match self.stream.try_read(&mut bytes) {
            Ok(0) => Err(End::Closed),
            Ok(count) => {
                self.lines.push(&bytes[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Handles the lines that are there, as long as their shares find a place in flight.
    async fn take_lines(&mut self) -> Result<(), End> {
        while self.session.in_flight() < IN_FLIGHT_MAX {
            let Some(line) = self.lines.next_line()? else {
                break;
            };
            self.heard_at = Instant::now();
            let was_authorized = self.session.is_authorized();
            let handled = self.session.line(line, &mut self.unsent)?;
            match handled {
                session::Handled::Done => {}
                session::Handled::Malformed => {
                    self.malformed += 1;
                    if self.malformed > MALFORMED_MAX {
                        return Err(End::Malformed);
                    }
                }
                // Full, the log makes this miner wait and nobody else.
                session::Handled::Share(entry) => self.context.share_log.append(entry).await,
            }
            if !was_authorized && self.session.is_authorized() {
                self.lines.set_limit(LINE_MAX_AFTER);
                self.next_tick = Instant::now() + self.tick_every();
                self.offer()?;
            }
        }
        Ok(())
    }

    fn offer(&mut self) -> Result<(), End> {
        let newest = self.newest.borrow_and_update().clone();
        match newest {
            Newest::Nothing(reason) => Err(End::NoWork(reason)),
            Newest::Offer(offer) => {
                self.session.offer(&offer, &mut self.unsent);
                Ok(())
            }
        }
    }

    /// Does what time asks for.
    fn tick(&mut self) -> Result<(), End> {
        if !self.session.is_authorized() {
            return Err(End::Handshake);
        }
        let now = Instant::now();
        if now >= self.heard_at + self.context.rules.idle {
            return Err(End::Idle);
        }
        self.next_tick = now + self.tick_every();
        self.session.tick(&mut self.unsent);
        Ok(())
    }

    /// When time asks for something: the end of the handshake, then vardiff or the idle limit.
    fn deadline(&self) -> Instant {
        let rules = &self.context.rules;
        if self.session.is_authorized() {
            self.next_tick.min(self.heard_at + rules.idle)
        } else {
            self.accepted_at + rules.handshake
        }
    }

    fn tick_every(&self) -> Duration {
        Duration::from_millis(self.context.rules.vardiff.share_time_ms)
    }

    /// Sends what is unsent; waits for a slow reader, but not for long.
    async fn send(&mut self) -> Result<(), End> {
        let sending = async {
            let mut sent = 0;
            while sent < self.unsent.len() {
                match self.stream.try_write(&self.unsent[sent..]) {
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if self.unsent.len() - sent > UNSENT_MAX {
                            return Err(End::DoesNotRead);
                        }
                        self.stream.writable().await?;
                    }
                    Err(error) => return Err(error.into()),
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
        if self.unsent.is_empty() {
            return Ok(());
        }
        tokio::time::timeout(WRITE_TIMEOUT, sending)
            .await
            .map_err(|_| End::DoesNotRead)??;
        // Idle connections hold no buffer.
        self.unsent = Vec::new();
        Ok(())
    }

    /// Answers the shares that are still being committed, then says good-bye.
    async fn drain(&mut self) {
        let drained = async {
            while self.session.in_flight() > 0 {
                match self.committed.recv().await {
                    Some(committed) => self.session.answer(committed, &mut self.unsent),
                    None => break,
                }
            }
        };
        if tokio::time::timeout(WRITE_TIMEOUT, drained).await.is_ok()
            && let Err(end) = self.send().await
        {
            debug!(reason = %end, "last replies not delivered");
        }
    }
}
