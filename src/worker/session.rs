//! One connection to a pool, whatever is spoken on it: lines in, shares out, until it ends.
//!
//! A single task owns the connection and all its state; a [`Dialect`] reads the lines. An error means
//! that the connection is of no more use, for whatever reason; the caller waits and connects again.

use std::{pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};
use wire::LineBuffer;

use super::{
    Config,
    dialect::{Dialect, Found as _, FoundOf, HasherOf, Job as _, JobOf, Supply},
    endpoint::Endpoint,
    http::{Kept, Members},
    status::{Status, shown},
    stream::{self, Stream},
    threads::HashThreads,
    waits::Waits,
};

/// Shares sent and not yet answered. A pool that answers at all answers hundreds a second; more of
/// them would only be lost with the connection.
const IN_FLIGHT_MAX: usize = 32;
/// The longest line of a pool: a job with the longest coinbase and branch that are read.
const LINE_MAX: usize = 160 * 1024;
/// Read at once.
const READ_SIZE: usize = 16 * 1024;

/// Between two messages that are shown. Pools announce something now and then; one that says more
/// would fill the log.
const MESSAGE_EVERY: Duration = Duration::from_secs(1);

/// Ids of the requests before the shares are below this one.
const FIRST_SHARE: u64 = 16;

/// What is told where a pool refuses without a word.
pub(super) const NO_REASON: &str = "no reason given";

/// What a session works with, and what outlives it.
pub(super) struct Rig<'a, S: Supply> {
    pub(super) config: &'a Config,
    pub(super) waits: &'a Waits,
    pub(super) status: &'a Status,
    pub(super) threads: &'a HashThreads<S::Hasher>,
    pub(super) supply: &'a S,
    pub(super) found: &'a mut mpsc::Receiver<FoundOf<S>>,
    /// As whom pools of HTTP know us.
    pub(super) members: &'a mut Members,
    /// What it has told us and is still to be told.
    pub(super) kept: &'a mut Kept<S>,
    /// Jobs so far, over all connections.
    pub(super) jobs: &'a mut u64,
}

/// The connection is left without a failure: where to go, and when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) to: Endpoint,
    pub(super) wait: Duration,
    pub(super) why: &'static str,
}

/// How a session ended.
pub(super) struct Ended {
    pub(super) how: anyhow::Result<Left>,
    /// The pool was good for something: the next failure is a new one.
    pub(super) proved: bool,
    /// Shares without an answer.
    pub(super) unanswered: usize,
}

impl Ended {
    /// It has not begun.
    pub(super) fn without_a_word(failure: anyhow::Error) -> Self {
        Self {
            how: Err(failure),
            proved: false,
            unanswered: 0,
        }
    }
}

struct InFlight<F> {
    id: u64,
    sent: Instant,
    found: F,
}

/// What is known of the connection, and said on it.
pub(super) struct Session<'a, D: Dialect> {
    pub(super) config: &'a Config,
    pub(super) waits: &'a Waits,
    status: &'a Status,
    threads: &'a HashThreads<HasherOf<D::Supply>>,
    jobs: &'a mut u64,
    endpoint: &'a Endpoint,
    /// What is sent next.
    pub(super) out: Vec<u8>,
    /// Since when the pool has let us in.
    mining_since: Option<Instant>,
    /// When the last line came.
    heard: Instant,
    /// When the last line went.
    said: Instant,
    /// The oldest job whose shares the pool still takes.
    valid_from: u64,
    next_id: u64,
    in_flight: Vec<InFlight<FoundOf<D::Supply>>>,
    accepted: bool,
    /// When the pool's last message was shown.
    messaged: Option<Instant>,
}

/// Connects to `endpoint` and stays as long as it goes well, or until `home` says that the worker should
/// be elsewhere.
pub(super) async fn run<D: Dialect>(
    rig: &mut Rig<'_, D::Supply>,
    endpoint: &Endpoint,
    home: Pin<&mut impl Future<Output = Endpoint>>,
) -> Ended {
    let pins = &rig.config.tls_fingerprints;
    let stream = match stream::connect(endpoint, pins, rig.waits.connect).await {
        Ok(stream) => stream,
        Err(error) => {
            return Ended::without_a_word(error);
        }
    };
    let now = Instant::now();
    let valid_from = *rig.jobs + 1;
    let mut session = Session {
        config: rig.config,
        waits: rig.waits,
        status: rig.status,
        threads: rig.threads,
        jobs: rig.jobs,
        endpoint,
        out: Vec::new(),
        mining_since: None,
        heard: now,
        said: now,
        valid_from,
        next_id: FIRST_SHARE,
        in_flight: Vec::new(),
        accepted: false,
        messaged: None,
    };
    let mut dialect = D::new(rig.supply);
    let conversation = session.converse(&mut dialect, stream, rig.found);
    let how = tokio::select! {
        how = conversation => how,
        to = home => Ok(Left {
            to,
            wait: Duration::ZERO,
            why: "the first pool is there again",
        }),
    };
    session.threads.idle();
    let proved_after = session.waits.proved;
    let lasted = session
        .mining_since
        .is_some_and(|since| since.elapsed() > proved_after);
    Ended {
        how,
        proved: session.accepted || lasted,
        unanswered: session.in_flight.len(),
    }
}

impl<D: Dialect> Session<'_, D> {
    async fn converse(
        &mut self,
        dialect: &mut D,
        mut stream: Box<dyn Stream>,
        found: &mut mpsc::Receiver<FoundOf<D::Supply>>,
    ) -> anyhow::Result<Left> {
        let mut lines = LineBuffer::new(LINE_MAX);
        let mut buffer = vec![0; READ_SIZE];
        dialect.begin(self);
        loop {
            self.flush(&mut *stream).await?;
            let may_send = self.mining_since.is_some() && self.in_flight.len() < IN_FLIGHT_MAX;
            let deadline = self.deadline();
            let due = dialect.due(self);
            let is_due = due.is_some_and(|due| deadline.is_none_or(|deadline| due < deadline));
            let wake = if is_due { due } else { deadline };
            tokio::select! {
                read = stream.read(&mut buffer) => {
                    let read = read.context("connection lost")?;
                    ensure!(read > 0, "the pool closed the connection");
                    lines.push(&buffer[..read]);
                    while let Some(line) = lines.next_line()? {
                        self.heard = Instant::now();
                        if let Some(left) = dialect.read_line(self, line).await? {
                            return Ok(left);
                        }
                    }
                }
                Some(found) = found.recv(), if may_send => self.submit(dialect, found),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if is_due {
                        dialect.overdue(self)?;
                    } else {
                        self.waited_too_long()?;
                    }
                }
            }
        }
    }

    /// When the pool's silence is too long; before it has let us in, that is the dialect's to know.
    fn deadline(&self) -> Option<Instant> {
        self.mining_since?;
        let silence = self.heard + self.waits.silence;
        let share = self.in_flight.first();
        let unanswered = share.map(|share| share.sent + self.waits.answer);
        Some(unanswered.map_or(silence, |unanswered| unanswered.min(silence)))
    }

    fn waited_too_long(&self) -> anyhow::Result<()> {
        if self.in_flight.is_empty() {
            bail!("the pool was silent for {:?}", self.waits.silence)
        }
        bail!("no answer to a share in {:?}", self.waits.answer)
    }

    /// The pool lets us in.
    pub(super) async fn authorized(&mut self) {
        self.mining_since = Some(Instant::now());
        info!(pool = %self.endpoint, user = self.config.user, "authorized");
        self.status.connected(self.endpoint.to_string()).await;
    }

    /// When the last line went to the pool.
    pub(super) fn said(&self) -> Instant {
        self.said
    }

    /// For the next job.
    pub(super) fn next_number(&mut self) -> u64 {
        *self.jobs += 1;
        *self.jobs
    }

    /// Nothing of an older job is sent from now on.
    pub(super) fn only_from(&mut self, number: u64) {
        self.valid_from = number;
    }

    /// `clean` is told as it is: what came before is over.
    pub(super) async fn work_on(&mut self, job: Arc<JobOf<D::Supply>>, clean: bool) {
        self.threads.work_on(Arc::clone(&job));
        self.status.job(&*job, clean).await;
    }

    fn submit(&mut self, dialect: &D, found: FoundOf<D::Supply>) {
        if found.job().number() < self.valid_from {
            self.status.discarded();
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        dialect.share(self, id, &found);
        self.in_flight.push(InFlight {
            id,
            sent: Instant::now(),
            found,
        });
    }

    /// The answer to the share with this id: code and reason, as it came, if it was refused. What answers
    /// nothing is passed over.
    pub(super) async fn share_answered(&mut self, id: Option<u64>, refused: Option<(i32, &str)>) {
        let mut shares = self.in_flight.iter();
        let Some(place) = shares.position(|share| Some(share.id) == id) else {
            debug!(?id, "answer to nothing we asked");
            return;
        };
        let share = self.in_flight.remove(place);
        match refused {
            None => {
                self.accepted = true;
                self.status.accepted(&share.found).await;
            }
            Some((code, reason)) => self.status.rejected(&share.found, code, reason).await,
        }
    }

    /// What the pool would have people read.
    pub(super) async fn message(&mut self, text: &str) {
        let now = Instant::now();
        if self.messaged.is_none_or(|last| now - last >= MESSAGE_EVERY) {
            self.messaged = Some(now);
            self.status.message(text).await;
        }
    }

    /// As cgminer, a worker does not follow a pool to another host: whoever can slip a line into
    /// the connection could take the work away with it.
    pub(super) fn sent_away(
        &self,
        host: Option<&str>,
        port: Option<u16>,
        wait: u32,
    ) -> Option<Left> {
        if let Some(host) = host.filter(|host| !self.endpoint.is_host(host)) {
            warn!(
                host = shown(host),
                "the pool sends us to another host, we stay"
            );
            return None;
        }
        let to = port.map_or_else(
            || self.endpoint.clone(),
            |port| self.endpoint.with_port(port),
        );
        let wait = Duration::from_secs(wait.into()).min(self.waits.longest);
        info!(%to, ?wait, "the pool asks us to connect again");
        Some(Left {
            to,
            wait,
            why: "the pool asked us to connect again",
        })
    }

    async fn flush(&mut self, stream: &mut dyn Stream) -> anyhow::Result<()> {
        if !self.out.is_empty() {
            let limit = self.waits.write;
            let writing = async {
                stream.write_all(&self.out).await?;
                // Under TLS, the last bytes may wait for this.
                stream.flush().await
            };
            let written = timeout(limit, writing).await;
            let written = written.map_err(|_| anyhow!("the pool reads nothing for {limit:?}"));
            written?.context("connection lost")?;
            self.out.clear();
            self.said = Instant::now();
        }
        Ok(())
    }
}
