//! A pool that is joined over the HTTP work protocol: register, ask for jobs, send shares.
//!
//! ```text
//! POST /pool/register -> token | GET /pool/job?wait=50&have=ID -> the next job | POST /pool/share -> accepted
//! ```
//!
//! Two connections are kept open: one on which the pool holds its answer back until there is another job, and one
//! for shares, one after the other. What was found is sent until it is answered, and a second time it is a
//! duplicate, which tells that the first one was taken. As long as the pool knows the token, a lost connection
//! costs nothing; once it knows us no more, what was found before is of no use to anybody. An error means that
//! the pool is left, for whatever reason; the caller waits and comes again.

mod connection;
#[cfg(fuzzing)]
mod reading;
mod told;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use hyper::{StatusCode, header::HeaderValue};
use reqwest::Url;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::info;

pub(crate) use connection::{Connection, Question};
#[cfg(fuzzing)]
pub use reading::{read_job, read_registration, read_share};
pub(super) use told::Told;

use super::{
    backoff::Backoff,
    dialect::{Found as _, FoundOf, Job as _, JobOf, Supply, Wants},
    endpoint::Endpoint,
    session::{Ended, Left, NO_REASON, Rig},
    status::shown,
};
use connection::Answer;
use told::{Register, Registered, Share, Taken};

/// What the pool says of a share that it has had before.
const DUPLICATE: &str = "Duplicate share";
/// Characters of a worker's name that its id begins with, so that what tells ids apart has room behind them.
const NAME_MAX: usize = 55;

/// As whom a pool knows us.
pub(super) struct Member {
    endpoint: Endpoint,
    id: String,
    /// Without it, the pool takes us for somebody else when we come again.
    token: Option<String>,
}

/// As whom each pool knows us. There are no more of them than pools.
#[derive(Default)]
pub(super) struct Members(Vec<Member>);

/// What outlives a connection to a pool, as long as the worker goes to no other one.
pub(super) struct Kept<S: Supply> {
    /// The newest job.
    job: Option<Arc<JobOf<S>>>,
    /// The block that it is behind, and the first job of those.
    previous: Option<(String, u64)>,
    /// The oldest job of this pool's.
    since: u64,
    /// What waits for its answer.
    share: Option<Sending<FoundOf<S>>>,
}

/// A share that is being sent.
struct Sending<F> {
    found: F,
    /// It was sent before, and the answer was lost.
    is_again: bool,
}

/// The pool does not know this worker, or its token.
#[derive(Debug, thiserror::Error)]
#[error("the pool does not know us: {0}")]
struct Forgotten(String);

/// The pool wants nothing of us for now.
#[derive(Debug, thiserror::Error)]
#[error("the pool has banned us: {0}")]
pub(super) struct Banned(String);

/// What an answer comes to.
enum Said {
    Yes(Vec<u8>),
    No(String),
    /// Not now: the same may be asked again.
    Later(StatusCode, String),
}

/// A pool that has let us in.
struct Visit<'a, S: Supply> {
    rig: Reached<'a, S>,
    member: &'a Member,
    token: Option<HeaderValue>,
    /// The oldest job whose shares are worth sending.
    valid_from: AtomicU64,
    has_accepted: &'a AtomicBool,
}

/// What both conversations of a visit work with.
struct Reached<'a, S: Supply> {
    config: &'a super::Config,
    waits: &'a super::Waits,
    status: &'a super::Status,
    threads: &'a super::HashThreads<S::Hasher>,
    supply: &'a S,
}

impl<S: Supply> Default for Kept<S> {
    fn default() -> Self {
        Self {
            job: None,
            previous: None,
            since: 0,
            share: None,
        }
    }
}

impl<S: Supply> Kept<S> {
    /// The pool it was kept for is left, or does not know us any more.
    /// `jobs` were told so far.
    pub(super) fn forget(&mut self, status: &super::Status, jobs: u64) {
        match self.share.take() {
            Some(Sending { is_again: true, .. }) => status.unanswered(1),
            Some(_) => status.discarded(),
            None => {}
        }
        *self = Self {
            since: jobs + 1,
            ..Self::default()
        };
    }
}

impl Member {
    /// Its id is a new one: another program may have registered the same name.
    fn new(endpoint: &Endpoint, user: &str) -> anyhow::Result<Self> {
        let mut chance = [0; 4];
        getrandom::fill(&mut chance).context("no random numbers")?;
        let name = names_of(user).1.chars();
        let plain = |letter: char| match letter {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => letter,
            _ => '_',
        };
        let name: String = name.map(plain).take(NAME_MAX).collect();
        Ok(Self {
            endpoint: endpoint.clone(),
            id: format!("{name}-{}", hex::encode(chance)),
            token: None,
        })
    }
}

impl Members {
    fn of(&self, endpoint: &Endpoint) -> Option<&Member> {
        self.0.iter().find(|member| member.endpoint == *endpoint)
    }

    /// Takes one off the list.
    fn take(&mut self, endpoint: &Endpoint) -> Option<Member> {
        let mut members = self.0.iter();
        let place = members.position(|member| member.endpoint == *endpoint)?;
        Some(self.0.swap_remove(place))
    }
}

/// Joins the pool and stays as long as it goes well, or until `home` says that the worker should be elsewhere.
pub(super) async fn run<S: Supply>(
    rig: &mut Rig<'_, S>,
    endpoint: &Endpoint,
    home: Pin<&mut impl Future<Output = Endpoint>>,
) -> Ended {
    let has_accepted = AtomicBool::new(false);
    let mut joined = None;
    let how = tokio::select! {
        failure = visit(rig, endpoint, &has_accepted, &mut joined) => Err(failure),
        to = home => Ok(Left {
            to,
            wait: Duration::ZERO,
            why: "the first pool is there again",
        }),
    };
    rig.threads.idle();
    if how.as_ref().is_err_and(|failure| failure.is::<Forgotten>()) {
        drop(rig.members.take(endpoint));
        rig.kept.forget(rig.status, *rig.jobs);
    }
    let lasted = joined.is_some_and(|since: Instant| since.elapsed() > rig.waits.proved);
    Ended {
        how,
        proved: has_accepted.into_inner() || lasted,
        unanswered: 0,
    }
}

async fn visit<S: Supply>(
    rig: &mut Rig<'_, S>,
    endpoint: &Endpoint,
    has_accepted: &AtomicBool,
    joined: &mut Option<Instant>,
) -> anyhow::Error {
    let config = rig.config;
    let connection = || {
        let pins = &config.tls_fingerprints;
        Connection::new(endpoint, pins, &config.agent, rig.waits)
    };
    let (mut news, mut shares) = (connection(), connection());
    let token = match register(rig, endpoint, &mut news).await {
        Ok(token) => token,
        Err(failure) => return failure,
    };
    let Some(member) = rig.members.of(endpoint) else {
        return anyhow::anyhow!("not registered");
    };
    *joined = Some(Instant::now());
    info!(pool = %endpoint, user = config.user, worker = member.id, "registered");
    let Kept {
        job,
        previous,
        since,
        share,
    } = &mut *rig.kept;
    if let Some((_, first)) = previous {
        *since = (*since).max(*first);
    }
    let visit = Visit {
        rig: Reached {
            config,
            waits: rig.waits,
            status: rig.status,
            threads: rig.threads,
            supply: rig.supply,
        },
        member,
        token,
        valid_from: AtomicU64::new(*since),
        has_accepted,
    };
    let failed = tokio::select! {
        failed = visit.follow(&mut news, rig.jobs, job, previous) => failed,
        failed = visit.deliver(&mut shares, rig.found, share) => failed,
    };
    match failed {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

/// Says who is paid. The member that the pool knows us as is kept, and its token given.
async fn register<S: Supply>(
    rig: &mut Rig<'_, S>,
    endpoint: &Endpoint,
    news: &mut Connection<'_>,
) -> anyhow::Result<Option<HeaderValue>> {
    let (mut member, is_known) = match rig.members.take(endpoint) {
        Some(member) => (member, true),
        None => (Member::new(endpoint, &rig.config.user)?, false),
    };
    let (wallet_address, worker_name) = names_of(&rig.config.user);
    let body = Register {
        worker_id: &member.id,
        wallet_address,
        worker_name,
        version: &rig.config.agent,
        token: member.token.as_deref(),
    };
    let question = Question::post("/pool/register", None, &body)?;
    let asked = news.ask(&question, rig.waits.answer).await.and_then(said);
    let user = &rig.config.user;
    let registered = match asked {
        Ok(Said::Yes(body)) => Ok(body),
        Ok(Said::No(reason)) => Err((
            false,
            anyhow!("the pool does not register {user}: {reason}"),
        )),
        Ok(Said::Later(_, reason)) => {
            Err((is_known, anyhow!("the pool registers nobody now: {reason}")))
        }
        Err(failure) => {
            // Who is banned does not come under another name. Whatever the pool has made of a new one, we have
            // no token for it.
            let is_kept = failure.is::<Banned>() || is_known && !failure.is::<Forgotten>();
            Err((is_kept, failure))
        }
    };
    let body = match registered {
        Ok(body) => body,
        Err((is_kept, failure)) => {
            rig.members.0.extend(is_kept.then_some(member));
            return Err(failure);
        }
    };
    let told = Registered::read(&body)?;
    if !is_known || told.token != member.token {
        rig.kept.forget(rig.status, *rig.jobs);
    }
    member.token = told.token;
    let bearer = member.token.as_deref().map(bearer).transpose()?;
    rig.members.0.push(member);
    if let Some(message) = told.message.filter(|_| !is_known) {
        rig.status.message(&message).await;
    }
    Ok(bearer)
}

/// How a token is shown to the pool that gave it.
fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let bearer = HeaderValue::try_from(format!("Bearer {token}"));
    let mut bearer = bearer.context("the token cannot be shown")?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

impl<S: Supply> Visit<'_, S> {
    /// Asks for one job after the other.
    async fn follow(
        &self,
        news: &mut Connection<'_>,
        jobs: &mut u64,
        newest: &mut Option<Arc<JobOf<S>>>,
        previous: &mut Option<(String, u64)>,
    ) -> anyhow::Result<std::convert::Infallible> {
        let Reached { waits, .. } = &self.rig;
        let mut later = Backoff::new(waits.first, waits.longest);
        let mut heard = Instant::now();
        let mut have = None;
        let mut is_in = false;
        loop {
            let asked = Instant::now();
            let question = Question::get(self.job_path(have.as_deref()), self.token.as_ref());
            // The answer may be held back until what we have is stale; what we have not is there.
            let within = have.as_ref().map_or(waits.answer, |_| waits.stale);
            match said(news.ask(&question, within).await?)? {
                Said::Yes(body) => {
                    heard = Instant::now();
                    later.reset();
                    let told = Told::new(body, *jobs + 1)?;
                    if have.as_deref() == Some(told.id()) {
                        sleep((asked + waits.ask_again).duration_since(heard)).await;
                        continue;
                    }
                    *jobs += 1;
                    self.check(&told)?;
                    self.let_in(&mut is_in).await;
                    let job = self.rig.supply.job(&told, newest.as_deref());
                    let job = Arc::new(job.context("the pool's job cannot be mined")?);
                    let behind = previous.as_ref().map(|(block, _)| &**block);
                    let is_new_block = behind != Some(told.previous());
                    if is_new_block {
                        self.valid_from.store(job.number(), Relaxed);
                        *previous = Some((told.previous().to_owned(), job.number()));
                    }
                    have = Some(told.id().to_owned());
                    self.rig.threads.work_on(Arc::clone(&job));
                    self.rig.status.job(&*job, is_new_block).await;
                    *newest = Some(job);
                }
                Said::No(reason) => bail!("the pool gives no job: {reason}"),
                Said::Later(status, reason) => {
                    if status == StatusCode::SERVICE_UNAVAILABLE {
                        self.rig.threads.idle();
                        self.rig.status.workless();
                        have = None;
                    }
                    self.let_in(&mut is_in).await;
                    let stale = waits.stale;
                    ensure!(heard.elapsed() < stale, "no job for {stale:?}: {reason}");
                    sleep(later.wait()).await;
                }
            }
        }
    }

    /// The pool lets us in, and its work is ours.
    async fn let_in(&self, is_in: &mut bool) {
        if !std::mem::replace(is_in, true) {
            let pool = self.member.endpoint.to_string();
            self.rig.status.connected(pool).await;
        }
    }

    fn job_path(&self, have: Option<&str>) -> String {
        let mut url = Url::parse("http://pool/pool/job").expect("a constant, and well formed");
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("worker_id", &self.member.id);
            if let Some(have) = have {
                let wait = self.rig.waits.poll.as_secs().to_string();
                query.append_pair("wait", &wait).append_pair("have", have);
            }
        }
        format!("{}?{}", url.path(), url.query().unwrap_or_default())
    }

    /// An error unless we can hash what is told, and want to.
    fn check(&self, told: &Told) -> anyhow::Result<()> {
        ensure!(
            told.names_algorithm(),
            "the pool's job says nothing of what is to be hashed"
        );
        let theirs = told.algorithm().context("the pool's job")?;
        match self.rig.config.algorithm {
            Some(ours) => ensure!(
                ours == theirs,
                "the pool's job is for {theirs}, and we mine {ours}"
            ),
            None if !self.rig.supply.mines(theirs) => return Err(Wants(theirs).into()),
            None => {}
        }
        Ok(())
    }

    /// Sends what is found, one after the other.
    async fn deliver(
        &self,
        shares: &mut Connection<'_>,
        found: &mut mpsc::Receiver<FoundOf<S>>,
        share: &mut Option<Sending<FoundOf<S>>>,
    ) -> anyhow::Result<std::convert::Infallible> {
        loop {
            let sending = match share {
                Some(sending) => sending,
                None => match found.recv().await {
                    Some(found) => share.insert(Sending {
                        found,
                        is_again: false,
                    }),
                    // The threads have ended, which is seen elsewhere.
                    None => std::future::pending().await,
                },
            };
            if sending.found.job().number() < self.valid_from.load(Relaxed) {
                match sending.is_again {
                    true => self.rig.status.unanswered(1),
                    false => self.rig.status.discarded(),
                }
                *share = None;
                continue;
            }
            let refused = self.send(shares, sending).await?;
            let Some(Sending { found, .. }) = share.take() else {
                continue;
            };
            match refused {
                None => {
                    self.has_accepted.store(true, Relaxed);
                    self.rig.status.accepted(&found).await;
                }
                Some((code, reason)) => self.rig.status.rejected(&found, code, &reason).await,
            }
        }
    }

    /// Sends a share until the pool says what it makes of it: nothing, or why it is refused.
    async fn send(
        &self,
        shares: &mut Connection<'_>,
        sending: &mut Sending<FoundOf<S>>,
    ) -> anyhow::Result<Option<(i32, String)>> {
        let Reached { waits, status, .. } = &self.rig;
        let proof = sending.found.proof();
        let body = Share {
            worker_id: &self.member.id,
            wallet_address: names_of(&self.rig.config.user).0,
            job_id: sending.found.job().id(),
            nonce: proof.nonce,
            extra_nonce: proof.extra_nonce,
            hash: &proof.hash,
            hashrate: status.hashrate(),
            ntime: proof.ntime,
        };
        let question = Question::post("/pool/share", self.token.as_ref(), &body)?;
        let mut later = Backoff::new(waits.first, waits.longest);
        let begun = Instant::now();
        loop {
            let was_sent = std::mem::replace(&mut sending.is_again, true);
            let answer = shares.ask(&question, waits.answer).await;
            let answer = answer.context("a share")?;
            let was_sent = was_sent || answer.is_second;
            match said(answer)? {
                Said::Yes(body) => {
                    let taken = Taken::read(&body)?;
                    return Ok((!taken.ok).then(|| (0, NO_REASON.to_owned())));
                }
                Said::No(reason) if was_sent && reason == DUPLICATE => return Ok(None),
                Said::No(reason) => return Ok(Some((400, reason))),
                Said::Later(code, reason) if begun.elapsed() >= waits.answer => {
                    return Ok(Some((code.as_u16().into(), reason)));
                }
                Said::Later(..) => sleep(later.wait()).await,
            }
        }
    }
}

/// What is to be made of an answer. An error is one to leave the pool for.
fn said(answer: Answer) -> anyhow::Result<Said> {
    let Answer { status, body, .. } = answer;
    if status == StatusCode::OK {
        return Ok(Said::Yes(body));
    }
    let text = shown(String::from_utf8_lossy(&body).trim());
    Ok(match status {
        StatusCode::BAD_REQUEST if text.starts_with("worker ") && text.contains("unknown") => {
            return Err(Forgotten(text).into());
        }
        StatusCode::UNAUTHORIZED => return Err(Forgotten(text).into()),
        StatusCode::FORBIDDEN => return Err(Banned(text).into()),
        StatusCode::BAD_REQUEST => Said::No(text),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Said::Later(status, text)
        }
        status => bail!("the pool answers with HTTP {}: {text}", status.as_u16()),
    })
}

/// Who is paid, and the name of the worker, of a user `ADDRESS.worker`. What is wished for behind a plus has no
/// place here.
fn names_of(user: &str) -> (&str, &str) {
    let user = user.split('+').next().unwrap_or_default();
    match user.split_once('.') {
        Some((address, worker)) if !worker.is_empty() => (address, worker),
        Some((address, _)) => (address, "worker"),
        None => (user, "worker"),
    }
}
