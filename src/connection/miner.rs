//! An authorized miner: its workers, its jobs, its difficulty and its shares on their way.

use std::sync::Arc;

use mining::{
    Difficulty, Job,
    bucket::Rate,
    jobs::Jobs,
    share::{Reject, Rules, Submission, validate},
    username::Username,
    vardiff::Vardiff,
};
use store::WorkerName;
use tokio::time::Instant;
use wire::sv1::{
    Id, JobId, Submit,
    reply::{self, ErrorReply},
};

use super::{
    Context,
    in_flight::InFlight,
    session::{Handled, Subscription, UNAUTHORIZED},
    wishes::Wishes,
    workers::Workers,
};
use crate::{
    bans::Tally,
    block::Found,
    clock,
    kept_sessions::{Kept, LeftWorker, SessionId},
    mailbox::Mailbox,
    sessions,
    template_feed::{ClassOffer, Newest, Offer},
};

/// The share was good, but could not be written down: the miner should send it again.
const NOT_STORED: ErrorReply<'_> = ErrorReply {
    code: 20,
    text: "Share not stored, try again",
};

pub(super) struct Miner {
    context: Arc<Context>,
    mailbox: Arc<Mailbox>,
    subscription: Subscription,
    tally: Arc<Tally>,
    workers: Workers,
    jobs: Jobs,
    /// On a solo listener: its own work, and the job of the offer that it was made of.
    own_work: Option<(u32, Arc<ClassOffer>)>,
    vardiff: Vardiff,
    /// What the miner was told last.
    told: Option<Difficulty>,
    in_flight: InFlight,
    /// The newest tip that was offered.
    tip: u64,
    started: Instant,
    last_share_at: Instant,
}

impl Miner {
    pub(super) fn new(
        context: Arc<Context>,
        mailbox: Arc<Mailbox>,
        subscription: Subscription,
        wishes: &Wishes,
        now: Instant,
        tally: Arc<Tally>,
    ) -> Self {
        let mut subscription = subscription;
        let resumed = subscription.resumed.take();
        let before = resumed.as_ref().map(|kept| kept.difficulty);
        let (limits, start) = subscription.device.difficulties(wishes, before);
        let vardiff = Vardiff::new(limits, start, 0);
        let jobs = resumed.map_or_else(Jobs::default, |kept| kept.jobs);
        Self {
            context,
            mailbox,
            subscription,
            tally,
            workers: Workers::with_room_for_one(),
            tip: jobs.newest().map_or(0, |job| job.shared.tip),
            jobs,
            own_work: None,
            vardiff,
            told: None,
            in_flight: InFlight::default(),
            started: now,
            last_share_at: now,
        }
    }

    /// Adds a worker; false if there are too many. The same name again changes nothing.
    pub(super) fn add_worker(&mut self, user: &str, entry: sessions::Entry) -> bool {
        self.workers.add(user, entry, self.told, &self.context)
    }

    pub(super) fn first_worker(&self) -> &Username {
        self.workers.first()
    }

    pub(super) fn agent(&self) -> &str {
        &self.subscription.agent
    }

    pub(super) fn extranonce1(&self) -> [u8; 4] {
        self.subscription.prefix.bytes()
    }

    pub(super) fn difficulty(&self) -> Difficulty {
        self.vardiff.current()
    }

    /// Who works here, for the next run.
    pub(super) fn left_workers(&self) -> Vec<LeftWorker> {
        self.workers.left()
    }

    pub(super) fn session(&self) -> SessionId {
        self.subscription.session
    }

    /// When its last share was accepted, or it was.
    pub(super) fn last_share_at(&self) -> Instant {
        self.last_share_at
    }

    /// What the miner would need to go on where it was.
    pub(super) fn leave(self, version_mask: Option<u32>) -> (SessionId, Kept) {
        let kept = Kept {
            class: self.subscription.device.class,
            solo: self.context.rules.is_solo(),
            version_mask,
            difficulty: self.vardiff.current(),
            jobs: self.jobs,
            prefix: Some(self.subscription.prefix),
        };
        (self.subscription.session, kept)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// Sends the job that everyone of its class gets; or one of its own, if the miner may have had
    /// that one: before it came back, or because it heard of the work while it logged in.
    pub(super) fn offer(&mut self, offer: &Offer, out: &mut Vec<u8>) {
        // The first job is a clean one, also where the miner was here on an earlier tip.
        let is_other = |job: &Job| job.shared.tip != offer.tip;
        let clean = offer.clean && self.tip != offer.tip || self.jobs.newest().is_none_or(is_other);
        // Ids go up. The same work twice is the same proofs twice, and they would be refused.
        let may_have_had_it = |job: &Job| job.id >= offer.job_id;
        let id = match self.jobs.newest().is_some_and(may_have_had_it) {
            true => self.context.job_ids.next(),
            false => offer.job_id,
        };
        self.send_job(offer, id, clean, out);
    }

    /// Sends a job of its own on the newest template: other work, since its salt differs, because
    /// firmware applies a difficulty only to jobs that follow it.
    fn offer_own(&mut self, out: &mut Vec<u8>) {
        let newest = self.context.newest.borrow().clone();
        if let Newest::Offer(offer) = newest {
            let clean = self
                .jobs
                .newest()
                .is_none_or(|job| job.shared.tip != offer.tip);
            self.send_job(&offer, self.context.job_ids.next(), clean, out);
        }
    }

    fn send_job(&mut self, offer: &Offer, id: u32, clean: bool, out: &mut Vec<u8>) {
        self.tip = offer.tip;
        let of_class = offer.for_class(self.subscription.device.class);
        let own = self.solo_work(offer);
        let Some(class) = own.or_else(|| of_class.cloned()) else {
            return;
        };
        let job = Job::new(id, Arc::clone(&class.shared), self.vardiff.current());
        if self.told != Some(job.difficulty) {
            self.told = Some(job.difficulty);
            let difficulty = wire::sv1::Difficulty::new(job.difficulty.to_f64())
                .expect("a difficulty is above zero and finite");
            reply::set_difficulty(out, difficulty);
            self.workers.set_difficulty(job.difficulty);
        }
        class.notify.write(out, JobId(id), id.to_be_bytes(), clean);
        self.context.metrics.jobs_sent.inc();
        self.jobs.push(job);
    }

    /// The offer's work with a coinbase that pays this miner, where the listener is such a one.
    fn solo_work(&mut self, offer: &Offer) -> Option<Arc<ClassOffer>> {
        if !self.context.rules.is_solo() {
            return None;
        }
        if let Some((of, own)) = &self.own_work
            && *of == offer.job_id
        {
            return Some(Arc::clone(own));
        }
        let (recipe, template) = (self.context.recipe.as_ref()?, offer.template.bitcoin()?);
        let algorithm = recipe.algorithm()?;
        let script = self.first_worker().address.script()?;
        let class = self.subscription.device.class;
        let made = recipe.solo(template, algorithm, offer.tip, class, script);
        let own =
            Arc::new(made.expect("a coinbase with one output fits where the pool's own fits"));
        self.own_work = Some((offer.job_id, Arc::clone(&own)));
        Some(own)
    }

    /// The miner wishes another difficulty.
    pub(super) fn wish(&mut self, wishes: &Wishes, now: Instant, out: &mut Vec<u8>) {
        let before = self.vardiff.current();
        let (limits, start) = self.subscription.device.difficulties(wishes, Some(before));
        self.vardiff = Vardiff::new(limits, start, self.ms(now));
        if start != before {
            self.offer_own(out);
        }
    }

    /// Lets vardiff see that time goes by.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<u8>) {
        if self.vardiff.tick(self.ms(now)).is_some() {
            self.offer_own(out);
        }
    }

    /// Judges a share: a block goes to the daemons first, a good share to the log, and what is
    /// refused is answered at once.
    pub(super) fn submit(
        &mut self,
        submit: &Submit<'_>,
        id: Id<'_>,
        version_mask: u32,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Handled {
        let Some(index) = self.workers.place(&submit.worker) else {
            reply::reject(out, id, &UNAUTHORIZED);
            return Handled::Done;
        };
        let job = submit.job_id.and_then(|JobId(id)| self.jobs.get(id));
        let Some(job) = job else {
            return self.refuse(Reject::UnknownJob, index, id, out);
        };
        let submission = Submission {
            extranonce2: submit.extranonce2.as_bytes(),
            ntime: submit.ntime,
            nonce: submit.nonce,
            version_bits: submit.version_bits,
        };
        let now_ms = clock::now_ms();
        let rules = Rules {
            prefix: &self.subscription.prefix,
            extranonce2_size: self.context.rules.extranonce2_size,
            version_mask,
            tip: self.tip,
            now: u32::try_from(now_ms / 1000).unwrap_or(u32::MAX),
            seen: &self.context.seen,
        };
        let verdict = validate(job, &submission, &rules);
        let worker = &self.workers.at(index).name;
        let block = verdict.block.map(|solved| {
            let (worker, scheme) = (WorkerName::clone(worker), self.context.rules.scheme);
            let found = Found::of_solved(solved, &job.shared, worker, scheme, now_ms);
            self.context.blocks.submit(found)
        });
        let ms = self.ms(now);
        let share = match verdict.share {
            Ok(share) => share,
            Err(reject) => return self.refuse(reject, index, id, out),
        };
        let rate = self.workers.count(index, ms);
        if rate == Rate::Refuse {
            self.context.seen.remove(&share.hash());
            return self.refuse(Reject::TooMany, index, id, out);
        }
        let worker = self.workers.at(index);
        let entry = worker.entry_of(&share, block, now_ms, &self.context, &self.mailbox);
        let difficulty = job.difficulty;
        self.in_flight.push(id, share.hash(), index);
        self.last_share_at = now;
        let by_rate = match rate {
            Rate::Raise => self.vardiff.raise(ms),
            Rate::Fine | Rate::Refuse => None,
        };
        if by_rate.or(self.vardiff.share(difficulty, ms)).is_some() {
            self.offer_own(out);
        }
        Handled::Share(entry)
    }

    /// Answers shares after their commit.
    pub(super) fn answers(&mut self, mailbox: &Mailbox, out: &mut Vec<u8>) {
        let answer = |id: Id<'_>, is_stored| match is_stored {
            true => reply::boolean(out, id, true),
            false => reply::reject(out, id, &NOT_STORED),
        };
        let (workers, context) = (&self.workers, &self.context);
        self.in_flight
            .take(mailbox, workers, context, &self.tally, answer);
    }

    fn refuse(&self, reject: Reject, worker: usize, id: Id<'_>, out: &mut Vec<u8>) -> Handled {
        self.workers.at(worker).entry.reject(reject);
        self.context.metrics.rejected(reject).inc();
        if reject.is_invalid() {
            // A ban ends the connection with its next turn.
            self.tally.invalid(clock::now_ms());
        }
        let text = reject.to_string();
        reply::reject(
            out,
            id,
            &ErrorReply {
                code: reject.code(),
                text: &text,
            },
        );
        Handled::Done
    }

    /// Milliseconds since the miner was authorized.
    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}
