//! A registered worker: its jobs, its difficulty, its shares, and what it is banned by.

use std::{
    collections::VecDeque,
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mining::{
    Share, Work,
    api_key::ApiKey,
    bucket::{Bucket, Limit, Rate},
    extranonce::Prefix,
    jobs::{Jobs, Numbered as _},
    nonce_range::NonceRange,
    share::{Reject, Solved},
    username::Username,
    vardiff::Vardiff,
};
use pow::Hash;
use store::{FoundBlock, WorkerName};
use tokio::{sync::Notify, time::Instant};

use super::{
    estimate::Listed,
    figures::{Figures, Recent},
    job::{AnyClaim, AnyJob, AnyWork, Judged, NotJudged, Rules, Sent, Told},
    refused::Refused,
    solo::Solo,
};
use crate::{
    bans::{Standing, Tally},
    block::Found,
    clock,
    connection::{Context, Device, Wishes, Workers},
    listener::Counted,
    mailbox::{Mailbox, Notice, Outcome},
    share_log::Entry,
    template_feed::{Newest, Offer},
    verifier::{self, Origin, Unverified, Verdict},
};

/// The one worker behind a name.
const ONLY: usize = 0;
/// Shares of a worker in a second.
pub(super) const SHARES_PER_SECOND: u32 = 100;
/// How long the same work is offered as the same job.
pub(super) const JOB_LASTS: Duration = Duration::from_secs(30);

/// Blocks of a worker that are known if they come again: more than its jobs can be solved for in an hour.
const BLOCKS_KNOWN: usize = 1024;

/// A worker.
pub(super) struct Worker {
    pub(super) id: String,
    pub(super) token: ApiKey,
    pub(super) address: String,
    context: Arc<Context>,
    figures: Arc<Figures>,
    tally: Arc<Tally>,
    origin: Origin,
    prefix: Prefix,
    range: NonceRange,
    /// When it registered, from which vardiff counts.
    started: Instant,
    state: Mutex<State>,
    accepted: AtomicU64,
    /// Its place among those of its address.
    _counted: Counted,
    /// Its next job is at another difficulty.
    harder: Notify,
}

struct State {
    workers: Workers,
    jobs: Jobs<AnyJob>,
    /// Its own work, where a block pays it alone.
    solo: Option<Solo>,
    /// When its newest job was made, and of which offer.
    made: Option<(Instant, u32)>,
    vardiff: Vardiff,
    bucket: Bucket,
    standing: Standing,
    seen_at: Instant,
    reported: Option<f64>,
    recent: Recent,
    /// What was accepted since it registered.
    work: Work,
    /// The blocks that it found last.
    blocks: VecDeque<Hash>,
}

/// What there is to say of an accepted share.
pub(super) struct Done {
    pub(super) is_block: bool,
    pub(super) accepted: u64,
}

/// What a worker is made of.
pub(super) struct Parts {
    pub(super) id: String,
    pub(super) token: ApiKey,
    pub(super) username: Username,
    pub(super) agent: String,
    pub(super) peer: SocketAddr,
    pub(super) number: u64,
    pub(super) counted: Counted,
    pub(super) prefix: Prefix,
    pub(super) range: NonceRange,
    pub(super) context: Arc<Context>,
    pub(super) figures: Arc<Figures>,
}

/// What `GET /pool/stats` tells of it.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) shares: u64,
    pub(super) reported: Option<f64>,
    pub(super) hashrate: u64,
}

impl Worker {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            id,
            token,
            username,
            agent,
            peer,
            number,
            counted,
            prefix,
            range,
            context,
            figures,
        } = parts;
        let now = Instant::now();
        let device = Device::new(context.devices.current().of_any(&agent), &context);
        let (limits, start) = device.difficulties(&Wishes::default(), None);
        let address = username.address.as_str().to_owned();
        let is_solo = context.rules.is_solo();
        let solo = is_solo.then(|| Solo::new(username.address.clone()));
        let entry = context
            .sessions
            .enter(username, agent, peer, clock::now_ms());
        let mut workers = Workers::with_room_for_one();
        workers.add(&id, entry, None, &context);
        let party = crate::networks::party(peer.ip());
        Self {
            id,
            token,
            address,
            tally: context.bans.tally(peer.ip()),
            origin: Origin {
                address: party,
                connection: number,
            },
            figures,
            prefix,
            range,
            started: now,
            state: Mutex::new(State {
                workers,
                jobs: Jobs::default(),
                solo,
                made: None,
                vardiff: Vardiff::new(limits, start, 0),
                bucket: Bucket::new(
                    Limit {
                        per_second: SHARES_PER_SECOND,
                        burst: SHARES_PER_SECOND,
                    },
                    0,
                ),
                standing: Standing::new(clock::now_ms()),
                seen_at: now,
                reported: None,
                recent: Recent::default(),
                work: Work::ZERO,
                blocks: VecDeque::new(),
            }),
            accepted: AtomicU64::new(0),
            _counted: counted,
            harder: Notify::new(),
            context,
        }
    }

    /// Resolves when its difficulty changes.
    pub(super) async fn changed(&self) {
        self.harder.notified().await;
    }

    /// The extra nonces that nobody else has.
    pub(super) fn range(&self) -> &NonceRange {
        &self.range
    }

    /// When it asked for something last.
    pub(super) fn seen_at(&self) -> Instant {
        self.state().seen_at
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        self.state().standing
    }

    /// It is not banned any more; false if it was not.
    pub(super) fn lift(&self, now: Instant, now_ms: i64) -> bool {
        self.state().standing.lift(now, now_ms)
    }

    /// By what its part of a block is told.
    pub(super) fn listed(&self) -> Listed {
        let state = self.state();
        Listed {
            id: self.id.clone(),
            name: Arc::clone(&state.workers.at(ONLY).name),
            work: state.work,
        }
    }

    /// It asks for something.
    pub(super) fn seen(&self) {
        self.state().seen_at = Instant::now();
    }

    /// An error while it is banned.
    pub(super) fn may_come(&self) -> Result<(), Refused> {
        let mut state = self.state();
        match state.standing.is_banned(Instant::now(), clock::now_ms()) {
            true => Err(Refused::Banned(self.id.clone())),
            false => Ok(()),
        }
    }

    /// Its newest job: the same one for half a minute, unless there is other work or its difficulty changed.
    pub(super) fn job(&self) -> Result<(u32, Told), Refused> {
        let offer = self.offer()?;
        let now = Instant::now();
        let mut state = self.state();
        state.seen_at = now;
        self.pace(&mut state);
        let raised = state.vardiff.tick(self.ms(now)).is_some();
        let is_current = state.made.is_some_and(|(at, of)| {
            of == offer.job_id && now.saturating_duration_since(at) < JOB_LASTS
        });
        if !is_current || raised {
            let difficulty = state.vardiff.current();
            let (context, prefix) = (&self.context, &self.prefix);
            let work = match &mut state.solo {
                Some(solo) => solo.work(context.recipe.as_ref(), &offer),
                None => AnyWork::of(&offer),
            };
            let id = context.job_ids.next();
            let job = work.and_then(|work| AnyJob::new(id, work, prefix, difficulty));
            let job = job.ok_or(Refused::NoJob)?;
            state.workers.set_difficulty(job.difficulty());
            state.made = Some((now, offer.job_id));
            state.jobs.push(job);
            self.context.metrics.jobs_sent.inc();
        }
        let job = state.jobs.newest().ok_or(Refused::NoJob)?;
        let name = name_of(job);
        Ok((
            offer.job_id,
            Told::new(job, name, &self.context, &self.prefix, &self.range),
        ))
    }

    /// The offer that its newest job was made of, if the job has this name or none is named.
    pub(super) fn made_of(&self, name: Option<&str>) -> Option<u32> {
        let state = self.state();
        let newest = state.jobs.newest()?;
        let is_it = name.is_none_or(|name| name == name_of(newest));
        state.made.map(|(_, of)| of).filter(|_| is_it)
    }

    fn offer(&self) -> Result<Arc<Offer>, Refused> {
        match &*self.context.newest.borrow() {
            Newest::Offer(offer) => Ok(Arc::clone(offer)),
            Newest::Nothing(reason) => Err(Refused::NoWork(reason.to_string())),
        }
    }

    /// Honest workers together never send more than can be verified.
    fn pace(&self, state: &mut State) {
        let context = &self.context;
        if let Some(verifier) = &context.verifier {
            let wanted = context.rules.vardiff.share_time_ms;
            let miners = context.sessions.count();
            state.vardiff.aim_at(verifier.share_time_ms(wanted, miners));
        }
    }

    /// Judges a share and has it written down.
    pub(super) async fn share(
        &self,
        job_id: &str,
        sent: Sent,
        reported: Option<f64>,
    ) -> Result<Done, Refused> {
        self.may_come()?;
        let judged = self.judge(job_id, &sent, reported);
        match judged {
            Ok((Judged::Proven { block, share }, job)) => {
                self.proven(share, Solution::Header(block), &job).await
            }
            Ok((Judged::Claimed { claim, to_verify }, job)) => {
                let verdict = self.verify(to_verify).await;
                match verdict {
                    Ok(Verdict::True) => {
                        let share = claim.proven(self.tip());
                        self.proven(share, Solution::Claim(claim), &job).await
                    }
                    Ok(Verdict::False(_)) => {
                        // Forgotten, so that whoever really finds it is not taken for a second one.
                        claim.forget(&self.context.seen);
                        Err(self.refuse(Reject::WrongResult))
                    }
                    Err(unverified) => {
                        claim.forget(&self.context.seen);
                        Err(self.refuse(match unverified {
                            Unverified::Throttled => Reject::TooMany,
                            Unverified::UnknownSeed | Unverified::Closed => Reject::Stale,
                        }))
                    }
                }
            }
            Err(refused) => Err(refused),
        }
    }

    async fn verify(&self, job: verifier::Job) -> Result<Verdict, Unverified> {
        let verifier = self.context.verifier.as_ref();
        verifier
            .ok_or(Unverified::Closed)?
            .submit(self.origin, job)?
            .await
    }

    /// What costs nothing, with the job that was taken for it.
    fn judge(
        &self,
        job_id: &str,
        sent: &Sent,
        reported: Option<f64>,
    ) -> Result<(Judged, AnyJob), Refused> {
        let now = Instant::now();
        let mut state = self.state();
        state.seen_at = now;
        if let Some(hashrate) = reported.filter(|rate| rate.is_finite() && *rate >= 0.0) {
            state.reported = Some(hashrate);
        }
        let too_fast = !state.bucket.take(self.ms(now));
        let rate = || Refused::Rate(SHARES_PER_SECOND);
        let job = number_of(job_id).and_then(|id| state.jobs.get(id));
        let job = job.filter(|job| name_of(job) == job_id);
        let Some(job) = job else {
            drop(state);
            return Err(match too_fast {
                true => rate(),
                false => self.refuse(Reject::UnknownJob),
            });
        };
        let now_ms = clock::now_ms();
        let rules = Rules {
            prefix: &self.prefix,
            range: &self.range,
            extranonce2_size: self.context.rules.extranonce2_size,
            tip: self.tip(),
            now: u32::try_from(now_ms / 1000).unwrap_or(u32::MAX),
            seen: &self.context.seen,
        };
        let job = job.clone();
        drop(state);
        match job.check(sent, &rules) {
            // What may be a block is never too much: it goes to the daemons first, whatever becomes of the share.
            Ok(judged) if !too_fast || judged.may_be_block() => Ok((judged, job)),
            Ok(judged) => {
                if let Some(reject) = judged.forget(&self.context.seen) {
                    self.refuse(reject);
                }
                Err(rate())
            }
            Err(NotJudged::Reject(reject)) => {
                let refused = self.refuse(reject);
                Err(if too_fast { rate() } else { refused })
            }
            Err(NotJudged::Malformed(refused)) => Err(if too_fast { rate() } else { refused }),
        }
    }

    /// A block goes to the daemons first, a good share to the log; it is answered when it is on the disk.
    async fn proven(
        &self,
        share: Result<Share, Reject>,
        solution: Solution,
        job: &AnyJob,
    ) -> Result<Done, Refused> {
        let now_ms = clock::now_ms();
        let block = self.submit_block(solution, job, now_ms);
        let is_block = block.is_some();
        let share = share.map_err(|reject| self.refuse(reject))?;
        let mailbox = Arc::new(Mailbox::default());
        let entry = self.accept(&share, block, job, now_ms, &mailbox)?;
        self.context.share_log.append(entry);
        poll_fn(|context| {
            mailbox
                .poll_take(context)
                .map(|notices| notices.has(Notice::Answers))
        })
        .await;
        match mailbox.answers(0).next() {
            Some(Outcome::Accepted) => {
                let accepted = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
                self.tally.valid();
                self.context.metrics.accepted.inc();
                let mut state = self.state();
                let worker = state.workers.at(ONLY);
                worker.entry.accepted.fetch_add(1, Ordering::Relaxed);
                state.recent.add(share.work(), seconds());
                state.work = state.work.checked_add(share.work()).unwrap_or(state.work);
                state.standing.valid(now_ms);
                drop(state);
                self.figures.accepted(share.work(), seconds(), is_block);
                Ok(Done { is_block, accepted })
            }
            outcome => {
                if outcome == Some(Outcome::Failed) {
                    // Forgotten, so that the same share is welcome again, with its block.
                    self.context.seen.remove(&share.hash());
                    self.state().blocks.clear();
                }
                self.context.metrics.not_stored.inc();
                Err(Refused::NotStored)
            }
        }
    }

    fn submit_block(
        &self,
        solution: Solution,
        job: &AnyJob,
        now_ms: i64,
    ) -> Option<Arc<FoundBlock>> {
        let scheme = self.context.rules.scheme;
        let worker = WorkerName::clone(&self.state().workers.at(ONLY).name);
        let found = match (solution, job) {
            (Solution::Header(solved), AnyJob::Bitcoin(job)) => {
                Found::of_solved(solved?, &job.shared, worker, scheme, now_ms)
            }
            (Solution::Claim(claim), _) if !claim.is_block() => return None,
            (Solution::Claim(AnyClaim::CryptoNote(claim)), AnyJob::CryptoNote(job)) => {
                let (nonce, result) = (claim.nonce, claim.result);
                Found::of_nonce(job, nonce, result, worker, scheme, now_ms)
            }
            (Solution::Claim(AnyClaim::Vision { claim, nonce }), AnyJob::Vision(job)) => {
                Found::of_digest(job, nonce, claim.result, worker, scheme, now_ms)
            }
            _ => return None,
        };
        // One that comes again is with the daemons already.
        let mut state = self.state();
        let hash = found.found.block.hash;
        if state.blocks.contains(&hash) {
            return None;
        }
        if state.blocks.len() == BLOCKS_KNOWN {
            state.blocks.pop_front();
        }
        state.blocks.push_back(hash);
        drop(state);
        Some(self.context.blocks.submit(found))
    }

    fn accept(
        &self,
        share: &Share,
        block: Option<Arc<FoundBlock>>,
        job: &AnyJob,
        now_ms: i64,
        mailbox: &Arc<Mailbox>,
    ) -> Result<Entry, Refused> {
        let now = Instant::now();
        let ms = self.ms(now);
        let is_block = block.is_some();
        let mut state = self.state();
        let rate = state.workers.count(ONLY, ms);
        if rate == Rate::Refuse && !is_block {
            drop(state);
            self.context.seen.remove(&share.hash());
            return Err(self.refuse(Reject::TooMany));
        }
        let worker = state.workers.at(ONLY);
        let entry = worker.entry_of(share, block, now_ms, &self.context, mailbox);
        let by_rate = match rate {
            Rate::Raise => state.vardiff.raise(ms),
            Rate::Fine | Rate::Refuse => None,
        };
        if by_rate
            .or(state.vardiff.share(job.difficulty(), ms))
            .is_some()
        {
            // The next job that it asks for is at the new difficulty, and if it waits it need not wait any more.
            state.made = None;
            self.harder.notify_waiters();
        }
        Ok(entry)
    }

    /// Counts a share that is refused. Too many invalid ones ban the worker, and its address by the pool's rule.
    fn refuse(&self, reject: Reject) -> Refused {
        let mut state = self.state();
        state.workers.at(ONLY).entry.reject(reject);
        self.context.metrics.rejected(reject).inc();
        if reject.is_invalid() {
            self.figures.invalid();
            let now_ms = clock::now_ms();
            state.standing.invalid(Instant::now(), now_ms);
            drop(state);
            self.tally.invalid(now_ms);
        }
        reject.into()
    }

    /// What it shows to others.
    pub(super) fn shown(&self) -> Shown {
        let state = self.state();
        Shown {
            name: state.workers.at(ONLY).entry.worker.worker.clone(),
            address: self.address.clone(),
            shares: self.accepted.load(Ordering::Relaxed),
            reported: state.reported,
            hashrate: state.recent.hashrate(seconds()),
        }
    }

    fn tip(&self) -> u64 {
        match &*self.context.newest.borrow() {
            Newest::Offer(offer) => offer.tip,
            Newest::Nothing(_) => 0,
        }
    }

    /// Milliseconds since it registered.
    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What makes a block of a share.
enum Solution {
    Header(Option<Solved>),
    Claim(AnyClaim),
}

/// What a worker calls a job: its height, and its number.
fn name_of(job: &AnyJob) -> String {
    format!("{}-{}", job.height(), job.id())
}

fn number_of(name: &str) -> Option<u32> {
    let (_, number) = name.split_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.parse().ok()).flatten()
}

/// Of the clock that never jumps.
pub(super) fn seconds() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed().as_secs()
}
