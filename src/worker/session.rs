//! One connection to a pool: handshake, jobs in, shares out, until it ends.
//!
//! A single task owns the connection and all its state. The handshake goes step by step, in
//! ESP-Miner's order: configure, subscribe, authorize. An error means that the connection is of no
//! more use, for whatever reason; the caller waits and connects again.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail, ensure};
use mining::Difficulty;
use pow::Algorithm;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};
use wire::{
    LineBuffer,
    sv1::{Notify, Response, ServerMessage, Subscribed, client},
};

use super::{
    Config,
    endpoint::Endpoint,
    job::{Found, Job, Terms},
    status::{Status, shown},
    threads::HashThreads,
    waits::Waits,
};

/// The version bits we can roll: those that BIP 320 sets aside.
const VERSION_MASK: u32 = 0x1fff_e000;
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

/// Ids of the requests before the shares; each is sent once a connection.
const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const SUGGEST_DIFFICULTY: u64 = 4;
const EXTRANONCE_SUBSCRIBE: u64 = 5;
const FIRST_SHARE: u64 = 16;

/// What a session works with, and what outlives it.
pub(super) struct Rig<'a> {
    pub(super) config: &'a Config,
    pub(super) waits: &'a Waits,
    pub(super) status: &'a Status,
    pub(super) threads: &'a HashThreads,
    pub(super) found: &'a mut mpsc::Receiver<Found>,
    /// Jobs so far, over all connections.
    pub(super) jobs: &'a mut u64,
}

/// The pool has sent us away: where to come back, and when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) to: Endpoint,
    pub(super) wait: Duration,
}

/// How a session ended.
pub(super) struct Ended {
    pub(super) how: anyhow::Result<Left>,
    /// The pool was good for something: the next failure is a new one.
    pub(super) proved: bool,
    /// Shares without an answer.
    pub(super) unanswered: usize,
}

/// How far the handshake has come.
enum Phase {
    Configuring,
    Subscribing,
    Authorizing(Subscribed),
    Mining(Subscribed),
}

struct InFlight {
    id: u64,
    sent: Instant,
    found: Found,
}

struct Session<'a, 'b> {
    rig: &'b mut Rig<'a>,
    endpoint: &'b Endpoint,
    stream: TcpStream,
    out: Vec<u8>,
    phase: Phase,
    /// When the phase began.
    began: Instant,
    /// When the last line came.
    heard: Instant,
    version_mask: Option<u32>,
    difficulty: Difficulty,
    job: Option<Arc<Job>>,
    /// The oldest job whose shares the pool still takes.
    valid_from: u64,
    next_id: u64,
    in_flight: Vec<InFlight>,
    accepted: bool,
    /// When the pool's last message was shown.
    messaged: Option<Instant>,
}

/// Connects to `endpoint` and stays as long as it goes well.
pub(super) async fn run(rig: &mut Rig<'_>, endpoint: &Endpoint) -> Ended {
    let stream = match connect(endpoint, rig.waits.connect).await {
        Ok(stream) => stream,
        Err(error) => {
            return Ended {
                how: Err(error),
                proved: false,
                unanswered: 0,
            };
        }
    };
    let now = Instant::now();
    let proved_after = rig.waits.proved;
    let valid_from = *rig.jobs + 1;
    let mut session = Session {
        rig,
        endpoint,
        stream,
        out: Vec::new(),
        phase: Phase::Configuring,
        began: now,
        heard: now,
        version_mask: None,
        difficulty: Difficulty::ONE,
        job: None,
        valid_from,
        next_id: FIRST_SHARE,
        in_flight: Vec::new(),
        accepted: false,
        messaged: None,
    };
    let how = session.converse().await;
    session.rig.threads.idle();
    let lasted =
        matches!(session.phase, Phase::Mining(_)) && session.began.elapsed() > proved_after;
    Ended {
        how,
        proved: session.accepted || lasted,
        unanswered: session.in_flight.len(),
    }
}

async fn connect(endpoint: &Endpoint, limit: Duration) -> anyhow::Result<TcpStream> {
    let connecting = TcpStream::connect((endpoint.host(), endpoint.port()));
    let connected = timeout(limit, connecting).await;
    let stream = connected.map_err(|_| anyhow!("no connection to {endpoint} in {limit:?}"))?;
    let stream = stream.with_context(|| format!("cannot connect to {endpoint}"))?;
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    Ok(stream)
}

impl Session<'_, '_> {
    async fn converse(&mut self) -> anyhow::Result<Left> {
        let mut lines = LineBuffer::new(LINE_MAX);
        let mut buffer = vec![0; READ_SIZE];
        self.begin();
        loop {
            self.flush().await?;
            let may_send =
                matches!(self.phase, Phase::Mining(_)) && self.in_flight.len() < IN_FLIGHT_MAX;
            let deadline = self.deadline();
            tokio::select! {
                read = self.stream.read(&mut buffer) => {
                    let read = read.context("connection lost")?;
                    ensure!(read > 0, "the pool closed the connection");
                    lines.push(&buffer[..read]);
                    while let Some(line) = lines.next_line()? {
                        self.heard = Instant::now();
                        if let Some(left) = self.read_line(line).await? {
                            return Ok(left);
                        }
                    }
                }
                Some(found) = self.rig.found.recv(), if may_send => self.submit(found),
                () = sleep_until(deadline) => self.waited_too_long()?,
            }
        }
    }

    fn begin(&mut self) {
        match self.rig.config.algorithm {
            Algorithm::Sha256d => client::configure(&mut self.out, CONFIGURE, VERSION_MASK),
            // Version bits of scrypt chains name the chain of merged mining; nobody rolls them.
            Algorithm::Scrypt => self.subscribe(),
        }
    }

    fn subscribe(&mut self) {
        self.enter(Phase::Subscribing);
        client::subscribe(&mut self.out, SUBSCRIBE, &self.rig.config.agent, None);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.began = Instant::now();
    }

    /// When something has to be done about the pool's silence.
    fn deadline(&self) -> Instant {
        let waits = self.rig.waits;
        match self.phase {
            Phase::Configuring => self.began + waits.configure,
            Phase::Subscribing | Phase::Authorizing(_) => self.began + waits.answer,
            Phase::Mining(_) => {
                let silence = self.heard + waits.silence;
                let unanswered = self
                    .in_flight
                    .first()
                    .map(|share| share.sent + waits.answer);
                unanswered.map_or(silence, |unanswered| unanswered.min(silence))
            }
        }
    }

    fn waited_too_long(&mut self) -> anyhow::Result<()> {
        let waits = self.rig.waits;
        let (what, wait) = match self.phase {
            Phase::Configuring => {
                debug!("no answer to mining.configure, so no version rolling");
                self.subscribe();
                return Ok(());
            }
            Phase::Subscribing => ("mining.subscribe", waits.answer),
            Phase::Authorizing(_) => ("mining.authorize", waits.answer),
            Phase::Mining(_) if self.in_flight.is_empty() => {
                bail!("the pool was silent for {:?}", waits.silence)
            }
            Phase::Mining(_) => ("a share", waits.answer),
        };
        bail!("no answer to {what} in {wait:?}")
    }

    async fn read_line(&mut self, line: &[u8]) -> anyhow::Result<Option<Left>> {
        let message = ServerMessage::parse(line)
            .with_context(|| format!("cannot read {:?}", shown(&String::from_utf8_lossy(line))))?;
        match message {
            ServerMessage::Notify(notify) => self.notify(notify).await,
            ServerMessage::SetDifficulty(difficulty) => {
                self.difficulty = Difficulty::from_f64(difficulty.get())
                    .context("set_difficulty is not above zero")?;
            }
            ServerMessage::SetExtranonce(next) => match &mut self.phase {
                Phase::Authorizing(subscribed) | Phase::Mining(subscribed) => *subscribed = next,
                Phase::Configuring | Phase::Subscribing => {}
            },
            ServerMessage::SetVersionMask(mask) => self.set_version_mask(mask).await,
            ServerMessage::ShowMessage(text) => self.message(&text).await,
            ServerMessage::Reconnect { host, port, wait } => {
                return Ok(self.sent_away(host.as_deref(), port, wait));
            }
            ServerMessage::Ping { id } => client::pong(&mut self.out, id),
            ServerMessage::GetVersion { id } => {
                client::version(&mut self.out, id, &self.rig.config.agent);
            }
            ServerMessage::Response(response) => self.answered(&response).await?,
            ServerMessage::Unknown { method, .. } => {
                debug!(method = shown(&method), "passed over what the pool says");
            }
        }
        Ok(None)
    }

    async fn answered(&mut self, response: &Response<'_>) -> anyhow::Result<()> {
        match (response.id, &self.phase) {
            (Some(CONFIGURE), Phase::Configuring) => {
                // A pool that knows no mining.configure answers with an error.
                if response.error.is_none() {
                    let mask = response
                        .version_mask()
                        .context("cannot read mining.configure")?;
                    self.version_mask = Some(mask & VERSION_MASK).filter(|mask| *mask != 0);
                }
                self.subscribe();
            }
            (Some(SUBSCRIBE), Phase::Subscribing) => {
                ensure!(
                    response.error.is_none(),
                    "refused to subscribe: {}",
                    reason(response)
                );
                let subscribed = response
                    .subscribed()
                    .context("cannot read mining.subscribe")?;
                self.enter(Phase::Authorizing(subscribed));
                let config = self.rig.config;
                client::authorize(&mut self.out, AUTHORIZE, &config.user, &config.password);
            }
            (Some(AUTHORIZE), Phase::Authorizing(subscribed)) => {
                let user = &self.rig.config.user;
                ensure!(
                    response.accepted(),
                    "the pool does not authorize {user}: {}",
                    reason(response)
                );
                let subscribed = subscribed.clone();
                self.authorized(subscribed).await;
            }
            (Some(SUGGEST_DIFFICULTY | EXTRANONCE_SUBSCRIBE), _) => {}
            (Some(id), Phase::Mining(_)) => {
                match self.in_flight.iter().position(|share| share.id == id) {
                    Some(place) => self.share_answered(place, response).await,
                    None => debug!(id, "answer to nothing we asked"),
                }
            }
            (id, _) => debug!(?id, "answer to nothing we asked"),
        }
        Ok(())
    }

    async fn authorized(&mut self, subscribed: Subscribed) {
        self.enter(Phase::Mining(subscribed));
        let suggested = self.rig.config.suggest_difficulty;
        if let Some(difficulty) = suggested.and_then(wire::sv1::Difficulty::new) {
            client::suggest_difficulty(&mut self.out, SUGGEST_DIFFICULTY, difficulty);
        }
        client::extranonce_subscribe(&mut self.out, EXTRANONCE_SUBSCRIBE);
        info!(pool = %self.endpoint, user = self.rig.config.user, "authorized");
        self.rig.status.connected(self.endpoint.to_string()).await;
        if let Some(job) = self.job.clone() {
            self.work_on(job, true).await;
        }
    }

    async fn notify(&mut self, notify: Notify) {
        let (Phase::Authorizing(subscribed) | Phase::Mining(subscribed)) = &self.phase else {
            debug!("a job before the extranonce is no use");
            return;
        };
        let clean = notify.clean;
        let terms = Terms {
            subscribed: subscribed.clone(),
            version_mask: self.version_mask,
            difficulty: self.difficulty,
        };
        let number = self.next_number();
        if clean {
            self.valid_from = number;
        }
        let job = Arc::new(Job::new(notify, number, self.rig.config.algorithm, terms));
        self.work_on(job, clean).await;
    }

    /// BIP 310: the new mask holds at once, also for the job in hand.
    async fn set_version_mask(&mut self, mask: u32) {
        let mask = mask & VERSION_MASK;
        let Some(before) = self.version_mask.replace(mask) else {
            // Rolling was not agreed, so a sixth parameter would be an error.
            self.version_mask = None;
            return;
        };
        if let (true, Some(job)) = (before != mask, self.job.clone()) {
            let number = self.next_number();
            self.valid_from = number;
            self.work_on(Arc::new(job.with_version_mask(mask, number)), false)
                .await;
        }
    }

    fn next_number(&mut self) -> u64 {
        *self.rig.jobs += 1;
        *self.rig.jobs
    }

    /// Before authorization the job is only kept.
    async fn work_on(&mut self, job: Arc<Job>, clean: bool) {
        if matches!(self.phase, Phase::Mining(_)) {
            self.rig.threads.work_on(Arc::clone(&job));
            self.rig.status.job(&job, clean).await;
        }
        self.job = Some(job);
    }

    fn submit(&mut self, found: Found) {
        if found.job().number() < self.valid_from {
            self.rig.status.discarded();
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        client::submit(&mut self.out, id, &found.share(&self.rig.config.user));
        self.in_flight.push(InFlight {
            id,
            sent: Instant::now(),
            found,
        });
    }

    async fn share_answered(&mut self, place: usize, response: &Response<'_>) {
        let share = self.in_flight.remove(place);
        if response.accepted() {
            self.accepted = true;
            self.rig.status.accepted(&share.found).await;
        } else {
            let code = response.error.as_ref().map_or(0, |error| error.code);
            let reason = reason(response);
            self.rig.status.rejected(&share.found, code, &reason).await;
        }
    }

    async fn message(&mut self, text: &str) {
        let now = Instant::now();
        if self.messaged.is_none_or(|last| now - last >= MESSAGE_EVERY) {
            self.messaged = Some(now);
            self.rig.status.message(text).await;
        }
    }

    /// As cgminer, a worker does not follow a pool to another host: whoever can slip a line into
    /// the connection could take the work away with it.
    fn sent_away(&self, host: Option<&str>, port: Option<u16>, wait: u32) -> Option<Left> {
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
        let wait = Duration::from_secs(wait.into()).min(self.rig.waits.longest);
        info!(%to, ?wait, "the pool asks us to connect again");
        Some(Left { to, wait })
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.out.is_empty() {
            let limit = self.rig.waits.write;
            let written = timeout(limit, self.stream.write_all(&self.out)).await;
            let written = written.map_err(|_| anyhow!("the pool reads nothing for {limit:?}"));
            written?.context("connection lost")?;
            self.out.clear();
        }
        Ok(())
    }
}

/// The pool's words for its refusal.
fn reason(response: &Response<'_>) -> String {
    match &response.error {
        Some(error) if !error.text.is_empty() => shown(&error.text),
        Some(error) => format!("code {}", error.code),
        None => "no reason given".to_owned(),
    }
}
