//! Stratum V1: handshake, jobs in, shares out.
//!
//! The handshake goes step by step, in ESP-Miner's order: configure, subscribe, authorize.

mod job;
mod search;
mod told;

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use mining::Difficulty;
use pow::randomx::Variant;
use tokio::time::Instant;
use tracing::debug;
use wire::{
    cryptonote,
    sv1::{Notify, Response, ServerMessage, Subscribed, client},
};

pub(super) use job::{Found, Job};
pub(super) use search::Extranonces;

use super::{
    algorithm::Algorithm,
    dialect::{Dialect, Wants},
    session::{Left, NO_REASON, Session},
    status::shown,
};
use job::Terms;

/// The version bits we can roll: those that BIP 320 sets aside.
const VERSION_MASK: u32 = 0x1fff_e000;

/// Ids of the requests before the shares; each is sent once a connection.
const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const SUGGEST_DIFFICULTY: u64 = 4;
const EXTRANONCE_SUBSCRIBE: u64 = 5;

/// How far the handshake has come.
enum Phase {
    Configuring,
    Subscribing,
    Authorizing(Subscribed),
    Mining(Subscribed),
}

/// A conversation.
pub(super) struct Sv1 {
    phase: Phase,
    /// When the phase began.
    began: Instant,
    version_mask: Option<u32>,
    difficulty: Difficulty,
    job: Option<Arc<Job>>,
}

impl Dialect for Sv1 {
    type Supply = Extranonces;

    fn new(_: &Extranonces) -> Self {
        Self {
            phase: Phase::Configuring,
            began: Instant::now(),
            version_mask: None,
            difficulty: Difficulty::ONE,
            job: None,
        }
    }

    fn begin(&mut self, session: &mut Session<'_, Self>) {
        match algorithm(session) {
            pow::Algorithm::Sha256d => {
                client::configure(&mut session.out, CONFIGURE, VERSION_MASK);
            }
            // Version bits of scrypt chains name the chain of merged mining; nobody rolls them.
            pow::Algorithm::Scrypt => self.subscribe(session),
        }
    }

    async fn read_line(
        &mut self,
        session: &mut Session<'_, Self>,
        line: &[u8],
    ) -> anyhow::Result<Option<Left>> {
        let is_first = matches!(self.phase, Phase::Configuring | Phase::Subscribing);
        let is_undecided = session.config.algorithm.is_none();
        if is_first && is_undecided && cryptonote::refuses(line) {
            return Err(Wants(Algorithm::RandomX(Variant::Rx0)).into());
        }
        let message = ServerMessage::parse(line)
            .with_context(|| format!("cannot read {:?}", shown(&String::from_utf8_lossy(line))))?;
        match message {
            ServerMessage::Notify(notify) => self.notify(session, notify).await,
            ServerMessage::SetDifficulty(difficulty) => {
                self.difficulty = Difficulty::from_f64(difficulty.get())
                    .context("set_difficulty is not above zero")?;
            }
            ServerMessage::SetExtranonce(next) => match &mut self.phase {
                Phase::Authorizing(subscribed) | Phase::Mining(subscribed) => *subscribed = next,
                Phase::Configuring | Phase::Subscribing => {}
            },
            ServerMessage::SetVersionMask(mask) => self.set_version_mask(session, mask).await,
            ServerMessage::ShowMessage(text) => session.message(&text).await,
            ServerMessage::Reconnect { host, port, wait } => {
                return Ok(session.sent_away(host.as_deref(), port, wait));
            }
            ServerMessage::Ping { id } => client::pong(&mut session.out, id),
            ServerMessage::GetVersion { id } => {
                client::version(&mut session.out, id, &session.config.agent);
            }
            ServerMessage::Response(response) => self.answered(session, &response).await?,
            ServerMessage::Unknown { method, .. } => {
                debug!(method = shown(&method), "passed over what the pool says");
            }
        }
        Ok(None)
    }

    fn share(&self, session: &mut Session<'_, Self>, id: u64, found: &Found) {
        let share = found.share(&session.config.user);
        client::submit(&mut session.out, id, &share);
    }

    fn due(&self, session: &Session<'_, Self>) -> Option<Instant> {
        match self.phase {
            Phase::Configuring => Some(self.began + session.waits.configure),
            Phase::Subscribing | Phase::Authorizing(_) => Some(self.began + session.waits.answer),
            Phase::Mining(_) => None,
        }
    }

    fn overdue(&mut self, session: &mut Session<'_, Self>) -> anyhow::Result<()> {
        let what = match self.phase {
            Phase::Configuring => {
                debug!("no answer to mining.configure, so no version rolling");
                self.subscribe(session);
                return Ok(());
            }
            Phase::Subscribing => "mining.subscribe",
            Phase::Authorizing(_) => "mining.authorize",
            Phase::Mining(_) => return Ok(()),
        };
        bail!("no answer to {what} in {:?}", session.waits.answer)
    }
}

impl Sv1 {
    fn subscribe(&mut self, session: &mut Session<'_, Self>) {
        self.enter(Phase::Subscribing);
        let agent = &session.config.agent;
        client::subscribe(&mut session.out, SUBSCRIBE, agent, None);
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.began = Instant::now();
    }

    async fn answered(
        &mut self,
        session: &mut Session<'_, Self>,
        response: &Response<'_>,
    ) -> anyhow::Result<()> {
        match (response.id, &self.phase) {
            (Some(CONFIGURE), Phase::Configuring) => {
                // A pool that knows no mining.configure answers with an error.
                if response.error.is_none() {
                    let mask = response
                        .version_mask()
                        .context("cannot read mining.configure")?;
                    self.version_mask = Some(mask & VERSION_MASK).filter(|mask| *mask != 0);
                }
                self.subscribe(session);
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
                let config = session.config;
                let (user, password) = (&config.user, &config.password);
                client::authorize(&mut session.out, AUTHORIZE, user, password);
            }
            (Some(AUTHORIZE), Phase::Authorizing(subscribed)) => {
                let user = &session.config.user;
                ensure!(
                    response.accepted(),
                    "the pool does not authorize {user}: {}",
                    reason(response)
                );
                let subscribed = subscribed.clone();
                self.authorized(session, subscribed).await;
            }
            (Some(SUGGEST_DIFFICULTY | EXTRANONCE_SUBSCRIBE), _) => {}
            (id, Phase::Mining(_)) => {
                let refused = match &response.error {
                    _ if response.accepted() => None,
                    Some(error) => Some((error.code, &*error.text)),
                    None => Some((0, NO_REASON)),
                };
                session.share_answered(id, refused).await;
            }
            (id, _) => debug!(?id, "answer to nothing we asked"),
        }
        Ok(())
    }

    async fn authorized(&mut self, session: &mut Session<'_, Self>, subscribed: Subscribed) {
        self.enter(Phase::Mining(subscribed));
        let suggested = session.config.suggest_difficulty;
        if let Some(difficulty) = suggested.and_then(wire::sv1::Difficulty::new) {
            client::suggest_difficulty(&mut session.out, SUGGEST_DIFFICULTY, difficulty);
        }
        client::extranonce_subscribe(&mut session.out, EXTRANONCE_SUBSCRIBE);
        session.authorized().await;
        if let Some(job) = self.job.clone() {
            self.work_on(session, job, true).await;
        }
    }

    async fn notify(&mut self, session: &mut Session<'_, Self>, notify: Notify) {
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
        let number = session.next_number();
        if clean {
            session.only_from(number);
        }
        let job = Arc::new(Job::new(notify, number, algorithm(session), terms));
        self.work_on(session, job, clean).await;
    }

    /// BIP 310: the new mask holds at once, also for the job in hand.
    async fn set_version_mask(&mut self, session: &mut Session<'_, Self>, mask: u32) {
        let mask = mask & VERSION_MASK;
        let Some(before) = self.version_mask.replace(mask) else {
            // Rolling was not agreed, so a sixth parameter would be an error.
            self.version_mask = None;
            return;
        };
        if let (true, Some(job)) = (before != mask, self.job.clone()) {
            let number = session.next_number();
            session.only_from(number);
            let job = Arc::new(job.with_version_mask(mask, number));
            self.work_on(session, job, false).await;
        }
    }

    /// Before authorization the job is only kept.
    async fn work_on(&mut self, session: &mut Session<'_, Self>, job: Arc<Job>, clean: bool) {
        if matches!(self.phase, Phase::Mining(_)) {
            session.work_on(Arc::clone(&job), clean).await;
        }
        self.job = Some(job);
    }
}

/// Stratum V1 does not tell it; most of its pools are Bitcoin's.
fn algorithm(session: &Session<'_, Sv1>) -> pow::Algorithm {
    match session.config.algorithm {
        Some(Algorithm::Header(algorithm)) => algorithm,
        Some(Algorithm::RandomX(_) | Algorithm::VisionX) | None => pow::Algorithm::Sha256d,
    }
}

/// The pool's words for its refusal.
fn reason(response: &Response<'_>) -> String {
    match &response.error {
        Some(error) if !error.text.is_empty() => shown(&error.text),
        Some(error) => format!("code {}", error.code),
        None => NO_REASON.to_owned(),
    }
}

#[cfg(test)]
pub(super) use job::tests;
