//! The Stratum of Monero's miners: login, jobs in, shares out, a sign of life each minute.
//!
//! A share is sent for any job of its connection, also when a newer one has come, as XMRig does: nothing
//! here says when a job is over, the pool alone knows, and some pay for those that are late. What was
//! found on an earlier connection is dropped.

mod job;
mod search;
mod seeds;
mod told;

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use tokio::time::Instant;
use tracing::debug;
use wire::cryptonote::{Extensions, Notice, Refusal, Response, ServerMessage, client};

pub(super) use seeds::Seeds;

use super::{
    algorithm::Algorithm,
    dialect::Dialect,
    session::{Left, NO_REASON, Session},
    status::shown,
};
use job::{Found, Job, Terms};
use pow::randomx::{NoCache, Seed, Variant};

/// Ids of the requests before the shares.
const LOGIN: u64 = 1;
const KEEP_ALIVE: u64 = 2;

/// How far the conversation has come.
enum Phase {
    LoggingIn(Instant),
    Mining {
        /// The pool's name for the connection.
        session: String,
        extensions: Extensions,
    },
}

/// A conversation.
pub(super) struct CryptoNote {
    seeds: Seeds,
    phase: Phase,
    job: Option<Arc<Job>>,
    /// A sign of life that was not answered yet.
    alive_since: Option<Instant>,
}

impl Dialect for CryptoNote {
    type Supply = Seeds;

    fn new(seeds: &Seeds) -> Self {
        Self {
            seeds: seeds.clone(),
            phase: Phase::LoggingIn(Instant::now()),
            job: None,
            alive_since: None,
        }
    }

    fn begin(&mut self, session: &mut Session<'_, Self>) {
        let config = session.config;
        let rig = config.user.split_once('.').map(|(_, rig)| rig);
        let rig = rig.map(|rig| rig.split('+').next().unwrap_or_default());
        let credentials = client::Credentials {
            login: &config.user,
            password: &config.password,
            agent: &config.agent,
            rig: rig.filter(|rig| !rig.is_empty()),
            algorithms: &[variant(session).name()],
        };
        client::login(&mut session.out, LOGIN, &credentials);
    }

    async fn read_line(
        &mut self,
        session: &mut Session<'_, Self>,
        line: &[u8],
    ) -> anyhow::Result<Option<Left>> {
        let message = ServerMessage::parse(line)
            .with_context(|| format!("cannot read {:?}", shown(&String::from_utf8_lossy(line))))?;
        match message {
            ServerMessage::Job(notice) => match self.phase {
                Phase::LoggingIn(_) => debug!("a job before the login is no use"),
                Phase::Mining { extensions, .. } => self.job(session, notice, extensions).await?,
            },
            ServerMessage::Reconnect { host, port } => {
                return Ok(session.sent_away(Some(&host), Some(port), 0));
            }
            ServerMessage::Response(response) => self.answered(session, &response).await?,
            ServerMessage::Unknown(method) => {
                debug!(method = shown(&method), "passed over what the pool says");
            }
        }
        Ok(None)
    }

    fn share(&self, session: &mut Session<'_, Self>, id: u64, found: &Found) {
        let Phase::Mining {
            session: name,
            extensions,
        } = &self.phase
        else {
            return;
        };
        let algorithm = variant(session).name();
        let share = found.share(name, extensions.algorithm.then_some(algorithm));
        client::submit(&mut session.out, id, &share);
    }

    fn due(&self, session: &Session<'_, Self>) -> Option<Instant> {
        match &self.phase {
            Phase::LoggingIn(since) => Some(*since + session.waits.answer),
            Phase::Mining { extensions, .. } => match self.alive_since {
                Some(since) => Some(since + session.waits.answer),
                None => {
                    let next = session.said() + session.waits.keep_alive;
                    extensions.keep_alive.then_some(next)
                }
            },
        }
    }

    fn overdue(&mut self, session: &mut Session<'_, Self>) -> anyhow::Result<()> {
        let answer = session.waits.answer;
        let Phase::Mining { session: name, .. } = &self.phase else {
            bail!("no answer to login in {answer:?}");
        };
        ensure!(
            self.alive_since.is_none(),
            "no answer to keepalived in {answer:?}"
        );
        self.alive_since = Some(Instant::now());
        client::keep_alive(&mut session.out, KEEP_ALIVE, name);
        Ok(())
    }
}

/// A job that was told over HTTP, without the thread that prepares its seed. Only a fuzz target sees it.
#[cfg(fuzzing)]
pub(super) fn read_job(told: &super::http::Told) -> anyhow::Result<Job> {
    let (job, _) = told::job(told, None)?;
    Ok(job)
}

impl CryptoNote {
    async fn answered(
        &mut self,
        session: &mut Session<'_, Self>,
        response: &Response<'_>,
    ) -> anyhow::Result<()> {
        let refusal = response.error.as_ref();
        match (response.id, &self.phase) {
            (Some(LOGIN), Phase::LoggingIn(_)) => {
                if let Some(refusal) = refusal {
                    let user = &session.config.user;
                    bail!("the pool does not let {user} in: {}", reason(refusal));
                }
                let login = response.logged_in().context("cannot read the login")?;
                session.authorized().await;
                self.phase = Phase::Mining {
                    session: login.session,
                    extensions: login.extensions,
                };
                self.job(session, login.job, login.extensions).await?;
            }
            (Some(KEEP_ALIVE), _) => self.alive_since = None,
            (id @ Some(_), Phase::Mining { .. }) => {
                let refused = match refusal {
                    Some(refusal) => Some((refusal.code, &*refusal.text)),
                    None => (!response.accepted()).then_some((0, NO_REASON)),
                };
                session.share_answered(id, refused).await;
            }
            // An error that answers nothing is how some pools talk to people.
            (id, _) => match refusal {
                Some(refusal) => session.message(&refusal.text).await,
                None => debug!(?id, "answer to nothing we asked"),
            },
        }
        if let Some(refusal) = refusal.filter(|it| it.ends_connection()) {
            bail!("the pool sends us off: {}", reason(refusal));
        }
        Ok(())
    }

    async fn job(
        &mut self,
        session: &mut Session<'_, Self>,
        notice: Notice,
        extensions: Extensions,
    ) -> anyhow::Result<()> {
        let ours = variant(session);
        // One that names none is for what was asked for.
        if let Some(name) = &notice.algorithm {
            let theirs = Variant::called(name);
            if let Some(variant) = theirs.filter(|variant| !variant.is_computed()) {
                bail!("the pool's job: {}", NoCache::NotComputed(variant));
            }
            ensure!(
                theirs == Some(ours),
                "the pool's job is for {}, and we mine {ours}",
                shown(name)
            );
        }
        let terms = Terms {
            number: session.next_number(),
            is_nicehash: extensions.nicehash,
        };
        let next = notice.next_seed_hash;
        let job = Job::new(notice, terms, self.job.as_deref());
        let job = Arc::new(job.context("the pool's job cannot be mined")?);
        if self.job.as_ref().is_some_and(|before| before.is_same(&job)) {
            debug!("the pool's job is the one we have");
            return Ok(());
        }
        let is_new_block = !self.job.as_ref().is_some_and(|it| it.has_previous_of(&job));
        self.seeds.want(job.seed(), next.map(Seed));
        session.work_on(Arc::clone(&job), is_new_block).await;
        self.job = Some(job);
        Ok(())
    }
}

/// What is mined: nobody who names a header's algorithm comes here.
fn variant(session: &Session<'_, CryptoNote>) -> Variant {
    match session.config.algorithm {
        Some(Algorithm::RandomX(variant)) => variant,
        Some(Algorithm::Header(_) | Algorithm::VisionX) | None => Variant::Rx0,
    }
}

/// The pool's words for its refusal.
fn reason(refusal: &Refusal<'_>) -> String {
    match shown(&refusal.text) {
        text if text.is_empty() => format!("code {}", refusal.code),
        text => text,
    }
}
