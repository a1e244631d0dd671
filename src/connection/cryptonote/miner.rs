//! A miner that has logged in: its jobs, its difficulty, its shares while they are verified and while
//! they are committed.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use mining::{
    Difficulty,
    bucket::Rate,
    cryptonote::{
        self, ShareTarget,
        self_select::{Brought, Wanted},
        share::{Claim, Submission, check},
    },
    extranonce::Prefix,
    jobs::Jobs,
    share::Reject,
    trust,
    vardiff::Vardiff,
};
use pow::{Hash, randomx::Variant};
use store::WorkerName;
use tokio::time::Instant;
use tracing::error;
use wire::cryptonote::{BlockTemplate, Id, Job, JobId, OwnedId, Reason, Submit, Work, reply};

use super::self_select::{SelfSelect, Useless};
use crate::{
    bans::Tally,
    block::Found,
    clock,
    connection::{
        Context, Handled,
        in_flight::InFlight,
        wishes::{Device, Wishes},
        workers::Workers,
    },
    mailbox::Mailbox,
    sessions,
    template_feed::{Newest, Offer},
    verifier::{self, Asked, Origin, Pending, Sample, Unverified, Verdict, Verifier},
};

/// The one worker of a connection; what is behind a proxy is one, too.
const ONLY: usize = 0;

/// What a miner is made of that its session knows.
pub(super) struct Parts {
    pub(super) context: Arc<Context>,
    pub(super) verifier: Verifier,
    pub(super) origin: Origin,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) tally: Arc<Tally>,
    /// What the miner calls its session.
    pub(super) session: String,
    pub(super) prefix: Prefix,
}

pub(in crate::connection) struct Miner {
    parts: Parts,
    workers: Workers,
    jobs: Jobs<Arc<cryptonote::Job>>,
    /// Of a miner whose own node makes the blocks; `jobs` has none then.
    own: Option<SelfSelect>,
    vardiff: Vardiff,
    /// The time between its shares to aim at where there is room for them.
    share_time_ms: u64,
    /// Whether it reads targets of 4 bytes alone.
    is_short: bool,
    /// What the miner was told last.
    told: Option<Difficulty>,
    verifying: Vec<Verifying>,
    verified: Vec<(Claimed, Result<Verdict, Unverified>)>,
    in_flight: InFlight,
    /// The newest tip that was offered.
    tip: u64,
    /// The job of the offer that the newest job was made of.
    offered: u32,
    started: Instant,
    last_share_at: Instant,
}

/// A share that is being verified.
struct Verifying {
    claimed: Claimed,
    pending: Pending,
}

struct Claimed {
    id: OwnedId,
    claim: Claim,
    job: Arc<cryptonote::Job>,
    /// What else it may be a share of, where the miner has brought another block meanwhile.
    before: Option<Arc<cryptonote::Job>>,
    difficulty: Difficulty,
    /// If the draw fell on it. Whoever drops it instead of settling it loses what its worker has shown.
    sample: Option<Sample>,
}

impl Miner {
    pub(super) fn new(
        parts: Parts,
        own: Option<SelfSelect>,
        (device, wishes): (&Device, &Wishes),
        user: &str,
        entry: sessions::Entry,
        now: Instant,
    ) -> Self {
        let (vardiff, share_time_ms) = device.costly_vardiff(wishes);
        let mut workers = Workers::with_room_for_one();
        workers.add(user, entry, None, &parts.context);
        let mut miner = Self {
            parts,
            workers,
            jobs: Jobs::default(),
            own,
            vardiff,
            share_time_ms,
            is_short: device.short_target,
            told: None,
            verifying: Vec::new(),
            verified: Vec::new(),
            in_flight: InFlight::default(),
            tip: 0,
            offered: 0,
            started: now,
            last_share_at: now,
        };
        miner.pace();
        miner
    }

    /// What the miner calls its session.
    pub(super) fn session(&self) -> &str {
        &self.parts.session
    }

    pub(in crate::connection) fn worker(&self) -> String {
        self.workers.first().to_string()
    }

    /// When its last share was accepted, or it was.
    pub(in crate::connection) fn last_share_at(&self) -> Instant {
        self.last_share_at
    }

    /// Shares that are verified or committed.
    pub(in crate::connection) fn in_flight(&self) -> usize {
        self.verifying.len() + self.verified.len() + self.in_flight.count()
    }

    /// Makes the first job, for the answer to the login.
    pub(super) fn first_job(&mut self, offer: &Offer, answer: impl FnOnce(&str, &Job<'_>)) {
        let session = self.parts.session.clone();
        self.give_job(offer, |job| answer(&session, job));
    }

    /// Whether its own node makes the blocks.
    pub(in crate::connection) fn brings_blocks(&self) -> bool {
        self.own.is_some()
    }

    /// Sends newer work. The same job twice makes a miner hang up, and the login's answer bore one.
    pub(super) fn offer(&mut self, offer: &Offer, out: &mut Vec<u8>) {
        if self.offered != offer.job_id {
            self.send_job(offer, out);
        }
    }

    /// Sends a job at another difficulty.
    fn send_again(&mut self, out: &mut Vec<u8>) {
        let newest = self.parts.context.newest.borrow().clone();
        if let Newest::Offer(offer) = newest {
            self.send_job(&offer, out);
        }
    }

    fn send_job(&mut self, offer: &Offer, out: &mut Vec<u8>) {
        self.give_job(offer, |job| job.write(out));
    }

    /// Makes a job and tells it; or asks for the miner's own.
    fn give_job(&mut self, offer: &Offer, tell: impl FnOnce(&Job<'_>)) {
        let Some(template) = offer.template.cryptonote() else {
            return;
        };
        let template = Arc::clone(template);
        let context = &self.parts.context;
        let (id, extranonce) = (context.job_ids.next(), self.parts.prefix.bytes());
        let current = match self.is_short {
            true => ShareTarget::compact_of(self.vardiff.current()),
            false => ShareTarget::of(self.vardiff.current()),
        };
        let target = match &mut self.own {
            Some(own) => {
                let wanted = Wanted::new(id, offer.tip, template, extranonce, current);
                tell(&as_told(
                    id,
                    &wanted.target,
                    wanted.template(),
                    Work::Own {
                        pool_wallet: own.pool_wallet(),
                        extra_nonce: wanted.extra_nonce(),
                    },
                ));
                let target = wanted.target;
                own.ask(wanted);
                target
            }
            None => {
                let job = match cryptonote::Job::new(id, offer.tip, template, extranonce, current) {
                    Ok(job) => Arc::new(job),
                    Err(wrong) => {
                        error!(%wrong, "no job can be made of this template");
                        return;
                    }
                };
                let work = Work::Blob(job.blob());
                tell(&as_told(id, &job.target, &job.template, work));
                self.jobs.push(Arc::clone(&job));
                job.target
            }
        };
        context.metrics.jobs_sent.inc();
        self.tip = offer.tip;
        self.offered = offer.job_id;
        let difficulty = difficulty_of(&target);
        if self.told.replace(difficulty) != Some(difficulty) {
            self.workers.set_difficulty(difficulty);
        }
    }

    /// Takes a block of the miner's own node.
    pub(super) fn template(
        &mut self,
        template: &BlockTemplate<'_>,
        id: Id<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        let (tip, now_ms) = (self.tip, self.ms(now));
        let Some(own) = &mut self.own else {
            return reply::refused(out, id, Reason::PermissionDenied);
        };
        let brought = Brought {
            block: &template.block,
            height: template.height,
            difficulty: template.difficulty,
            previous: template.previous,
            seed: template.seed,
        };
        let newest = own.newest();
        let taken = match template.job_id {
            Some(JobId(job)) if job <= newest => own.take(job, &brought, tip, now_ms),
            // One that was never asked for: the miner logs in anew.
            _ => return reply::refused(out, id, Reason::InvalidJobId),
        };
        let metrics = &self.parts.context.metrics;
        let useless = match taken {
            Ok(()) => {
                metrics.templates_taken.inc();
                return reply::accepted(out, id);
            }
            Err(useless) => useless,
        };
        metrics.templates_refused.inc();
        match useless {
            // Both make XMRig ask its node again after its pause.
            Useless::TooMany => reply::refused(out, id, Reason::Throttled),
            Useless::UnknownJob => reply::refused(out, id, Reason::BlockExpired),
            Useless::Refused(why) => {
                if why.is_fault() {
                    // A ban ends the connection with its next turn.
                    self.parts.tally.invalid(clock::now_ms());
                }
                reply::error(out, id, &format!("Block template refused: {why}"));
            }
        }
    }

    /// The job that a share is for, and what else it may be for.
    fn job(&self, id: u32) -> Option<(Arc<cryptonote::Job>, Option<Arc<cryptonote::Job>>)> {
        match &self.own {
            Some(own) => {
                let (job, before) = own.job(id)?;
                Some((Arc::clone(job), before.map(Arc::clone)))
            }
            None => Some((Arc::clone(self.jobs.get(id)?), None)),
        }
    }

    /// Lets vardiff see that time goes by.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.pace();
        if self.vardiff.tick(self.ms(now)).is_some() {
            self.send_again(out);
        }
    }

    /// Honest miners together never send more than can be verified: the more they are, the rarer the shares
    /// of each.
    fn pace(&mut self) {
        let Parts {
            context, verifier, ..
        } = &self.parts;
        let miners = context.sessions.count();
        let share_time_ms = verifier.share_time_ms(self.share_time_ms, miners);
        self.vardiff.aim_at(share_time_ms);
    }

    /// Judges what costs nothing, and has the rest verified, unless it is believed.
    pub(super) fn submit(
        &mut self,
        submit: &Submit<'_>,
        id: Id<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Handled {
        let Some((job, before)) = submit.job_id.and_then(|JobId(id)| self.job(id)) else {
            // One that is merely over is told so: the other text makes the miner log in anew.
            let newest = match &self.own {
                Some(own) => own.newest(),
                None => self.jobs.newest().map_or(0, |job| job.id),
            };
            let is_known = submit.job_id.is_some_and(|JobId(id)| id <= newest);
            let reason = match is_known {
                true => Reason::BlockExpired,
                false => Reason::InvalidJobId,
            };
            self.refuse(Reject::UnknownJob, reason, id, out);
            return Handled::Done;
        };
        let named = submit.algorithm.as_deref();
        if named.is_some_and(|named| Variant::called(named) != Some(job.template.variant())) {
            reply::refused(out, id, Reason::IncorrectAlgorithm);
            return Handled::Done;
        }
        let submission = Submission {
            nonce: submit.nonce,
            result: Hash(submit.result),
            commitment: submit.commitment.map(Hash),
        };
        let context = Arc::clone(&self.parts.context);
        let claim = match check(&job, &submission, self.tip, &context.seen) {
            Ok(claim) => claim,
            Err(reject) => {
                self.refuse(reject, reason_of(reject), id, out);
                return Handled::Done;
            }
        };
        let is_block = claim.is_block;
        let mut claimed = Claimed {
            id: id.to_owned(),
            difficulty: difficulty_of(&job.target),
            claim,
            job,
            before,
            sample: None,
        };
        let rate = self.workers.count(ONLY, self.ms(now));
        if rate == Rate::Refuse && !is_block {
            self.unverified(&claimed, Unverified::Throttled, out);
            return Handled::Done;
        }
        let handled = match self.ask(&claimed) {
            Asked::Believe => self.proven(&claimed, now, out),
            asked => {
                claimed.sample = match asked {
                    Asked::Sample(sample) => Some(sample),
                    _ => None,
                };
                self.verify(claimed, out);
                Handled::Done
            }
        };
        if rate == Rate::Raise && self.vardiff.raise(self.ms(now)).is_some() {
            self.send_again(out);
        }
        handled
    }

    /// Whether to have a share verified. One that may be of either of two blocks is: nobody knows which it is.
    fn ask(&self, claimed: &Claimed) -> Asked {
        if claimed.before.is_some() {
            return Asked::Verify;
        }
        let claim = trust::Claim {
            work: claimed.job.target.work(),
            is_candidate: claimed.claim.is_block,
        };
        let name = &self.workers.at(ONLY).name;
        self.parts.verifier.trusted().ask(name, claim)
    }

    fn verify(&mut self, claimed: Claimed, out: &mut Vec<u8>) {
        let Claim {
            blob,
            hash,
            is_block,
            ..
        } = &claimed.claim;
        let to_verify = verifier::Job::new(claimed.job.seed(), blob, *hash, *is_block);
        let Ok(to_verify) = to_verify else {
            // A template whose blob no miner takes.
            return self.unverified(&claimed, Unverified::UnknownSeed, out);
        };
        match self.parts.verifier.submit(self.parts.origin, to_verify) {
            Ok(pending) => self.verifying.push(Verifying { claimed, pending }),
            Err(unverified) => self.unverified(&claimed, unverified, out),
        }
    }

    /// Ready when at least one share has been verified.
    pub(super) fn poll_verified(&mut self, context: &mut task::Context<'_>) -> Poll<()> {
        let mut place = 0;
        while let Some(verifying) = self.verifying.get_mut(place) {
            match Pin::new(&mut verifying.pending).poll(context) {
                Poll::Ready(verdict) => {
                    let Verifying { claimed, .. } = self.verifying.remove(place);
                    self.verified.push((claimed, verdict));
                }
                Poll::Pending => place += 1,
            }
        }
        match self.verified.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    /// Judges the next share that was verified.
    pub(super) fn verified(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Handled> {
        if self.verified.is_empty() {
            return None;
        }
        let (mut claimed, verdict) = self.verified.remove(0);
        if matches!(verdict, Ok(Verdict::False(_)))
            && let Some(before) = claimed.before.take()
        {
            // It was found before the miner's node made another block for the job.
            claimed.claim.blob = before.blob_with(claimed.claim.nonce);
            claimed.job = before;
            self.verify(claimed, out);
            return Some(Handled::Done);
        }
        let (trusted, name) = (self.parts.verifier.trusted(), &self.workers.at(ONLY).name);
        let sample = claimed.sample.take();
        let Claimed { claim, id, .. } = &claimed;
        match verdict {
            Ok(Verdict::True) => {
                trusted.shown(name, claimed.job.target.work());
                if let Some(sample) = sample {
                    sample.settle();
                }
                Some(self.proven(&claimed, now, out))
            }
            Ok(Verdict::False(_)) => {
                trusted.doubt(name);
                // Forgotten, so that whoever really finds it is not taken for a second one.
                claim.forget(&self.parts.context.seen);
                let (reject, reason) = (Reject::WrongResult, Reason::InvalidResult);
                self.refuse(reject, reason, id.as_id(), out);
                Some(Handled::Done)
            }
            Err(unverified) => {
                self.unverified(&claimed, unverified, out);
                Some(Handled::Done)
            }
        }
    }

    /// A share that is good, or is taken for it. A block goes to the daemons first, a good share to the log.
    fn proven(&mut self, claimed: &Claimed, now: Instant, out: &mut Vec<u8>) -> Handled {
        let now_ms = clock::now_ms();
        let block = claimed.claim.is_block.then(|| {
            let found = self.found(claimed, now_ms);
            self.parts.context.blocks.submit(found)
        });
        let id = claimed.id.as_id();
        let share = match claimed.claim.proven(self.tip) {
            Ok(share) => share,
            Err(reject) => {
                self.refuse(reject, reason_of(reject), id, out);
                return Handled::Done;
            }
        };
        let (context, mailbox) = (&self.parts.context, &self.parts.mailbox);
        let worker = self.workers.at(ONLY);
        let entry = worker.entry_of(&share, block, now_ms, context, mailbox);
        self.in_flight.push(id, share.hash(), ONLY);
        self.last_share_at = now;
        if self
            .vardiff
            .share(claimed.difficulty, self.ms(now))
            .is_some()
        {
            self.send_again(out);
        }
        Handled::Share(entry)
    }

    fn found(&self, claimed: &Claimed, now_ms: i64) -> Found {
        let Claim { nonce, result, .. } = claimed.claim;
        let worker = WorkerName::clone(&self.workers.at(ONLY).name);
        let scheme = self.parts.context.rules.scheme;
        Found::of_nonce(&claimed.job, nonce, result, worker, scheme, now_ms)
    }

    /// Nothing is known of a share: it is forgotten. What claims to be a block goes no further either: it was
    /// before all others in the queue, and daemons and books are not for whoever claims most.
    fn unverified(&self, claimed: &Claimed, unverified: Unverified, out: &mut Vec<u8>) {
        let context = &self.parts.context;
        claimed.claim.forget(&context.seen);
        let (reject, reason) = match unverified {
            Unverified::Throttled => (Reject::TooMany, Reason::Throttled),
            Unverified::UnknownSeed => (Reject::Stale, Reason::BlockExpired),
            Unverified::Closed => (Reject::Stale, Reason::BadGateway),
        };
        self.refuse(reject, reason, claimed.id.as_id(), out);
    }

    /// Answers shares after their commit.
    pub(super) fn answers(&mut self, mailbox: &Mailbox, out: &mut Vec<u8>) {
        let answer = |id: Id<'_>, is_stored| match is_stored {
            true => reply::accepted(out, id),
            false => reply::refused(out, id, Reason::BadGateway),
        };
        let Parts { context, tally, .. } = &self.parts;
        self.in_flight
            .take(mailbox, &self.workers, context, tally, answer);
    }

    fn refuse(&self, reject: Reject, reason: Reason, id: Id<'_>, out: &mut Vec<u8>) {
        self.workers.at(ONLY).entry.reject(reject);
        self.parts.context.metrics.rejected(reject).inc();
        if reject.is_invalid() {
            // A ban ends the connection with its next turn.
            self.parts.tally.invalid(clock::now_ms());
        }
        reply::refused(out, id, reason);
    }

    /// Milliseconds since the login.
    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

/// The text for a refusal that costs nothing.
fn reason_of(reject: Reject) -> Reason {
    match reject {
        Reject::UnknownJob | Reject::Stale => Reason::BlockExpired,
        Reject::Duplicate => Reason::Duplicate,
        Reject::LowDifficulty => Reason::LowDifficulty,
        Reject::TooMany => Reason::TooManyForJob,
        Reject::WrongResult => Reason::InvalidResult,
        // Of the other dialect.
        Reject::Ntime | Reject::VersionMask | Reject::Extranonce2Size => Reason::BadGateway,
    }
}

/// A job as the miner is told.
fn as_told<'a>(
    id: u32,
    target: &'a ShareTarget,
    template: &cryptonote::Template,
    work: Work<'a>,
) -> Job<'a> {
    Job {
        work,
        job_id: JobId(id),
        target: target.as_bytes(),
        algorithm: template.variant().name(),
        height: template.height().into(),
        seed_hash: template.seed().0,
        next_seed_hash: template.next_seed().map(|seed| seed.0),
    }
}

/// The whole number of hashes that a job's shares stand for.
fn difficulty_of(target: &ShareTarget) -> Difficulty {
    Difficulty::from_steps(u128::from(target.difficulty().get()) << 32)
}
