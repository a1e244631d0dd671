//! The newest work, to all connections at once: a `watch` whose value is an [`Offer`].
//!
//! Each template is turned into jobs here, once for each class of devices, and the `mining.notify`
//! line is written here too; a connection only splices in its job's id. When no daemon is fit the
//! feed says why, and connections let their miners go to another pool.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use mining::{
    AnyTemplate, Template,
    accounting::Split,
    coinbase::{self, Coinbase, CoinbaseError, Payees},
    device::CoinbaseClass,
    job::JobTemplate,
    receipt::Digest,
    vision,
};
use pow::{Algorithm, Hash, randomx::NoCache, visionx::Miner};
use tokio::{sync::watch, time::Instant};
use tracing::{error, info};
use wire::sv1::{NotifyLine, Work};

use crate::{
    daemon::Feed,
    tasks::{Stage, Tasks},
    verifier::{Seeds, Verifier},
};

/// The number of the first tip that a run of the pool sees.
pub const FIRST_TIP: u64 = 1;

/// What makes a template whose coinbase is ours into this pool's jobs.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What block explorers know the pool by.
    pub tag: Vec<u8>,
    /// Who is paid.
    pub payees: Payees,
    /// Whose work each new coinbase is split by, where it pays miners by itself.
    pub split: Option<watch::Receiver<Option<Arc<Split>>>>,
    /// The bytes of extranonce2.
    pub extranonce2_size: usize,
    /// What is hashed.
    pub header: Headers,
    /// What the pool has signed last of its logs of shares, where coinbases bear it.
    pub mark: Option<watch::Receiver<Option<Digest>>>,
}

/// The headers of a coin.
#[derive(Clone, Debug)]
pub enum Headers {
    /// Bitcoin's, of 80 bytes.
    Bitcoin(Algorithm),
    /// Vision's, which name a miner.
    Vision(Miner),
}

/// What connections mine.
#[derive(Clone, Debug)]
pub enum Newest {
    /// Nothing can be mined, for this reason.
    Nothing(Arc<str>),
    /// This.
    Offer(Arc<Offer>),
}

/// One template, ready for every class of devices.
#[derive(Debug)]
pub struct Offer {
    /// Counts tips; jobs of another number are stale.
    pub tip: u64,
    /// The job id that everyone without work of their own gets.
    pub job_id: u32,
    /// Miners must drop their earlier jobs.
    pub clean: bool,
    /// When the template came from the daemon.
    pub received: Instant,
    /// The template.
    pub template: AnyTemplate,
    /// In the order of [`CoinbaseClass::ALL`]; none but for Bitcoin's headers.
    classes: Vec<Arc<ClassOffer>>,
    /// For Vision's headers.
    vision: Option<Arc<vision::Work>>,
}

/// An offer for one class of devices.
#[derive(Debug)]
pub struct ClassOffer {
    /// What all jobs of the class share.
    pub shared: Arc<JobTemplate>,
    /// Its `mining.notify` without job id and salt.
    pub notify: NotifyLine,
}

/// Numbers for jobs, unique in a run of the pool. Clones share the sequence.
#[derive(Clone, Debug)]
pub struct JobIds(Arc<AtomicU32>);

impl ClassOffer {
    fn new(shared: Arc<JobTemplate>) -> Self {
        Self {
            notify: notify_line(&shared),
            shared,
        }
    }
}

impl Recipe {
    /// A template's work for each class of devices.
    pub fn classes(
        &self,
        template: &Arc<Template>,
        algorithm: Algorithm,
        tip: u64,
    ) -> Result<[Arc<JobTemplate>; CoinbaseClass::ALL.len()], CoinbaseError> {
        let (split, payees) = self.payees(template);
        let (tag, size) = (&self.tag, self.extranonce2_size);
        let classes = JobTemplate::for_all_classes(template, tag, &payees, size, tip, algorithm)?;
        Ok(classes.map(|mut shared| {
            Arc::get_mut(&mut shared)
                .expect("it was only made now")
                .split
                .clone_from(&split);
            shared
        }))
    }

    /// A template's work where headers are Vision's: whom its coinbase pays, by what split, and who mines as
    /// the header says.
    fn vision(
        &self,
        template: &Arc<vision::Template>,
        tip: u64,
        miner: Miner,
        (split, payees): (Option<Arc<Split>>, Payees),
    ) -> Result<vision::Work, CoinbaseError> {
        let (class, size) = (CoinbaseClass::Huge, self.extranonce2_size);
        Ok(vision::Work {
            template: Arc::clone(template),
            coinbase: Coinbase::new(template.body(), &self.tag, &payees, size, class)?,
            extranonce2_size: size,
            tip,
            miner,
            split,
        })
    }

    /// The same for a miner whose blocks pay it alone, by this script.
    pub fn solo_vision(
        &self,
        template: &Arc<vision::Template>,
        tip: u64,
        miner: Miner,
        script: &[u8],
    ) -> Result<vision::Work, CoinbaseError> {
        self.vision(template, tip, miner, (None, alone(script)))
    }

    /// Whom a coinbase pays now, and by what split.
    fn payees(&self, template: &Template) -> (Option<Arc<Split>>, Payees) {
        let split = self.split.as_ref().and_then(|split| split.borrow().clone());
        let outputs = split
            .as_ref()
            .and_then(|split| split.outputs(template.value));
        let payees = Payees {
            outputs: outputs.unwrap_or_default(),
            keeper: self.payees.keeper.clone(),
        };
        (split, payees)
    }

    /// What Bitcoin's headers are hashed with; nothing where others are mined.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self.header {
            Headers::Bitcoin(algorithm) => Some(algorithm),
            Headers::Vision(_) => None,
        }
    }

    /// A template with the mark of the moment, if coinbases bear one and have the room. It is part of the
    /// template from here on, as it changes while jobs of the template are mined. Where a coinbase pays
    /// miners by itself, each byte is theirs.
    fn marked(&self, template: &Arc<Template>) -> Arc<Template> {
        let mark = self.mark.as_ref().filter(|_| self.split.is_none());
        let mark = mark.and_then(|mark| *mark.borrow());
        let marked = mark.and_then(|Digest(mark)| {
            coinbase::marked(template, mark, &self.tag, self.extranonce2_size)
        });
        marked.map_or_else(|| Arc::clone(template), Arc::new)
    }

    /// A template's work for a miner whose blocks pay it alone, by this script.
    pub fn solo(
        &self,
        template: &Arc<Template>,
        algorithm: Algorithm,
        tip: u64,
        class: CoinbaseClass,
        script: &[u8],
    ) -> Result<ClassOffer, CoinbaseError> {
        let template = Arc::clone(template);
        let (payees, size) = (alone(script), self.extranonce2_size);
        Ok(ClassOffer::new(Arc::new(JobTemplate {
            coinbase: Coinbase::new(&template, &self.tag, &payees, size, class)?,
            template,
            class,
            tip,
            algorithm,
            split: None,
        })))
    }
}

impl Offer {
    /// The offer for devices of `class`; nothing where the daemon makes the coinbase.
    pub fn for_class(&self, class: CoinbaseClass) -> Option<&Arc<ClassOffer>> {
        self.classes.get(class.index())
    }

    /// The work of Vision's miners; nothing where other headers are mined.
    pub fn vision(&self) -> Option<&Arc<vision::Work>> {
        self.vision.as_ref()
    }

    /// Those of all classes, in the order of [`CoinbaseClass::ALL`]; none likewise.
    pub fn classes(&self) -> &[Arc<ClassOffer>] {
        &self.classes
    }
}

impl JobIds {
    /// A sequence from one on.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }

    /// A sequence that goes on where another run ended.
    pub fn from(next: u32) -> Self {
        Self(Arc::new(AtomicU32::new(next)))
    }

    /// The number that comes next, without taking it.
    pub fn peek(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// The next number.
    pub fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

impl Default for JobIds {
    fn default() -> Self {
        Self::new()
    }
}

/// Follows the daemons until shutdown and publishes each new piece of work.
pub fn follow(
    mut templates: watch::Receiver<Feed>,
    recipe: Option<Recipe>,
    refresh: Duration,
    verifier: Option<Verifier>,
    job_ids: JobIds,
    tasks: &Tasks,
) -> watch::Receiver<Newest> {
    let (sender, receiver) = watch::channel(Newest::Nothing("no template yet".into()));
    let ending = tasks.ending(Stage::Daemons);
    tasks.spawn(Stage::Daemons, "template feed", async move {
        let mut follower = Follower::new(recipe, refresh, job_ids);
        loop {
            let newest = follower.newest(&templates.borrow_and_update());
            if let Some(newest) = newest {
                let prepared = prepare(verifier.as_ref(), newest);
                match ending.run_until_cancelled(prepared).await {
                    Some(newest) => drop(sender.send_replace(newest)),
                    None => break,
                }
            }
            tokio::select! {
                changed = templates.changed() => if changed.is_err() { break },
                () = tokio::time::sleep_until(follower.next_refresh()) => {}
                () = ending.cancelled() => break,
            }
        }
        Ok(())
    });
    receiver
}

/// Has the seeds of work prepared, and waits for the one that is needed now: no miner gets work whose
/// shares cannot be verified. But for the first one, seeds are known an hour or more before they are needed.
async fn prepare(verifier: Option<&Verifier>, newest: Newest) -> Newest {
    let (Some(verifier), Newest::Offer(offer)) = (verifier, &newest) else {
        return newest;
    };
    if let AnyTemplate::Vision(template) = &offer.template {
        let (verifier, dataset) = (verifier.clone(), Arc::clone(template.dataset()));
        // It ends with the process only.
        let _ = tokio::task::spawn_blocking(move || verifier.measure(&dataset)).await;
        return newest;
    }
    let Some(template) = offer.template.cryptonote() else {
        return newest;
    };
    let seeds = Seeds {
        current: template.seed(),
        next: template.next_seed(),
    };
    if let Err(NoCache::NotComputed(variant)) = verifier.want(template.variant(), seeds) {
        let reason = format!("{variant} is not computed by this version of adit");
        error!(reason, "no work for miners");
        return Newest::Nothing(reason.into());
    }
    let mut prepared = verifier.prepared();
    // It ends with the process only.
    let _ = prepared
        .wait_for(|seeds| seeds.contains(&template.seed()))
        .await;
    newest
}

/// What the feed remembers between templates.
pub(crate) struct Follower {
    /// Nothing where the daemon makes the coinbase.
    recipe: Option<Recipe>,
    /// Unchanged work is offered again after this long, so that miners see that the pool lives.
    refresh: Duration,
    job_ids: JobIds,
    tip: u64,
    previous: Option<Hash>,
    last: Option<(AnyTemplate, Instant)>,
}

impl Follower {
    /// Before the first template.
    pub(crate) fn new(recipe: Option<Recipe>, refresh: Duration, job_ids: JobIds) -> Self {
        Self {
            recipe,
            refresh,
            job_ids,
            tip: FIRST_TIP - 1,
            previous: None,
            last: None,
        }
    }

    /// What to publish for the newest state of the daemons; nothing if miners need not hear of it.
    pub(crate) fn newest(&mut self, feed: &Feed) -> Option<Newest> {
        match feed {
            Feed::Waiting => None,
            Feed::Stopped { reason, .. } => {
                // Work after a stop is always announced as new.
                if self.last.take().is_some() {
                    error!(%reason, "no work for miners");
                }
                Some(Newest::Nothing(reason.as_str().into()))
            }
            Feed::Template {
                template, received, ..
            } => {
                let due = self.last.as_ref().is_none_or(|(last, offered)| {
                    template.is_other_work(last) || offered.elapsed() >= self.refresh
                });
                due.then(|| self.offer(template, *received))
            }
        }
    }

    fn offer(&mut self, template: &AnyTemplate, received: Instant) -> Newest {
        let previous = template.previous();
        let clean = self.previous != Some(previous) || self.last.is_none();
        if self.previous.replace(previous) != Some(previous) {
            self.tip += 1;
            info!(
                height = template.height(),
                %previous,
                kind = ?template.kind(),
                transactions = template.transactions(),
                "new work"
            );
        }
        self.last = Some((template.clone(), Instant::now()));
        match self.build(template, received, clean) {
            Ok(offer) => Newest::Offer(Arc::new(offer)),
            Err(error) => {
                error!(%error, "no coinbase can be made for this template");
                Newest::Nothing(error.to_string().into())
            }
        }
    }

    fn build(
        &self,
        template: &AnyTemplate,
        received: Instant,
        clean: bool,
    ) -> Result<Offer, CoinbaseError> {
        let (mut template, mut classes, mut vision) = (template.clone(), Vec::new(), None);
        if let Some(recipe) = &self.recipe {
            match (&template, &recipe.header) {
                (AnyTemplate::Bitcoin(unmarked), Headers::Bitcoin(algorithm)) => {
                    let marked = recipe.marked(unmarked);
                    let made = recipe.classes(&marked, *algorithm, self.tip)?;
                    classes.extend(made.map(|shared| Arc::new(ClassOffer::new(shared))));
                    template = AnyTemplate::Bitcoin(marked);
                }
                (AnyTemplate::Vision(template), Headers::Vision(miner)) => {
                    let payees = recipe.payees(template.body());
                    let work = recipe.vision(template, self.tip, miner.clone(), payees)?;
                    vision = Some(Arc::new(work));
                }
                _ => {}
            }
        }
        Ok(Offer {
            tip: self.tip,
            job_id: self.job_ids.next(),
            clean,
            received,
            template,
            classes,
            vision,
        })
    }

    fn next_refresh(&self) -> Instant {
        let from = self
            .last
            .as_ref()
            .map_or_else(Instant::now, |(_, offered)| *offered);
        from + self.refresh
    }
}

/// All for one.
fn alone(script: &[u8]) -> Payees {
    Payees {
        outputs: Vec::new(),
        keeper: script.to_vec(),
    }
}

fn notify_line(shared: &JobTemplate) -> NotifyLine {
    let template = &shared.template;
    NotifyLine::new(&Work {
        previous_block: template.previous.to_bytes(),
        coinbase1: shared.coinbase.prefix().to_vec(),
        coinbase2: shared.coinbase.suffix().to_vec(),
        branch: template.transactions.branch().hashes().to_vec(),
        version: template.version,
        bits: template.bits,
        ntime: template.time,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a13_no_job_id_comes_twice_in_a_million() {
        const EACH: usize = 250_000;
        let ids = JobIds::new();
        let taking: Vec<_> = (0..4)
            .map(|_| {
                let ids = ids.clone();
                std::thread::spawn(move || (0..EACH).map(|_| ids.next()).collect::<Vec<_>>())
            })
            .collect();
        let taken = taking.into_iter().flat_map(|ids| ids.join().unwrap());
        let distinct: HashSet<u32> = taken.collect();
        assert_eq!(distinct.len(), 4 * EACH);
        assert!(!distinct.contains(&0));
    }
}
