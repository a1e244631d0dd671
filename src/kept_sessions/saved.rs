//! Kept sessions through a restart: a file in the data directory, written when the pool stops and
//! read once by the next run. While the tip is still the same, the work that was handed out before
//! the restart earns after it.
//!
//! The file is a convenience. If it is missing, old, of other settings or damaged, miners begin
//! anew, and nothing else changes.

use std::{collections::HashMap, path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use mining::{
    Amount, Difficulty, Job, Target, Template,
    device::CoinbaseClass,
    extranonce::Allocator,
    job::JobTemplate,
    jobs::Jobs,
    merkle::Branch,
    template::{Room, TemplateKind, Transactions},
};
use pow::Hash;
use serde::{Deserialize, Serialize};

use super::{Kept, LeftOpen, SessionId};
use crate::template_feed::{FIRST_TIP, Offer, Recipe};

/// Another form of the file has another number.
const FORM: u32 = 2;
/// The newest templates are saved, some megabytes each: two minutes of work.
const TEMPLATES_MAX: usize = 4;

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    form: u32,
    /// The settings that coinbases were made by.
    recipe: String,
    /// The tip that was worked on.
    previous: Hash,
    /// The number of the next job, so that none comes twice.
    next_job: u32,
    templates: Vec<SavedTemplate>,
    sessions: Vec<SavedSession>,
    /// Connections whose sockets the next run gets.
    pub(super) left_open: Vec<LeftOpen>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedSession {
    id: String,
    extranonce1: String,
    class: usize,
    version_mask: Option<u32>,
    difficulty: u64,
    jobs: Vec<SavedJob>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SavedJob {
    id: u32,
    template: usize,
    difficulty: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedTemplate {
    height: u32,
    version: u32,
    bits: u32,
    target: String,
    time: u32,
    min_time: u32,
    value: u64,
    fees: u64,
    witness_commitment: Option<String>,
    coinbase_flags: String,
    transactions: String,
    count: usize,
    branch: Vec<String>,
    tail: String,
    weight: u64,
    sigops: u64,
    subsidy_only: bool,
}

/// A file that was read, until its tip is no longer the newest.
#[derive(Debug)]
pub(super) struct Restored {
    previous: Hash,
    recipe: Recipe,
    /// As they were saved, and what was made of them since.
    templates: Vec<(SavedTemplate, Option<Classes>)>,
    sessions: HashMap<SessionId, SavedSession>,
}

type Classes = [Arc<JobTemplate>; CoinbaseClass::ALL.len()];

/// What coinbases are made by, to see whether the settings are still the same.
fn text_of(recipe: &Recipe) -> String {
    let Recipe {
        tag,
        payees,
        split,
        extranonce2_size,
        header,
        // It stands in each template.
        mark: _,
    } = recipe;
    let is_split = split.is_some();
    format!("{tag:?} {payees:?} {is_split} {extranonce2_size} {header:?}")
}

impl Saved {
    /// What sessions have of the newest tip.
    pub(super) fn new<'a>(
        sessions: impl Iterator<Item = (SessionId, &'a Kept)> + Clone,
        newest: &Offer,
        next_job: u32,
        recipe: &Recipe,
    ) -> Self {
        // A coinbase that pays its miner, or miners by their work, is not made again by the recipe.
        let is_split = recipe.split.is_some();
        let sessions = sessions.filter(move |(_, kept)| !kept.solo && !is_split);
        let is_of_tip = |job: &&Job| job.shared.tip == newest.tip;
        // The newest templates, by the last job that was made of each.
        let mut last_jobs: HashMap<*const Template, (u32, Arc<Template>)> = HashMap::new();
        for (_, kept) in sessions.clone() {
            for job in kept.jobs.iter().filter(is_of_tip) {
                let template = &job.shared.template;
                let entry = last_jobs
                    .entry(Arc::as_ptr(template))
                    .or_insert_with(|| (job.id, Arc::clone(template)));
                entry.0 = entry.0.max(job.id);
            }
        }
        let mut templates: Vec<_> = last_jobs.into_values().collect();
        templates.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        templates.truncate(TEMPLATES_MAX);
        let place = |template: &Arc<Template>| {
            templates
                .iter()
                .position(|(_, other)| Arc::ptr_eq(other, template))
        };
        let saved_job = |job: &Job| {
            Some(SavedJob {
                id: job.id,
                template: place(&job.shared.template)?,
                difficulty: job.difficulty.steps(),
            })
        };
        let saved_session = |(id, kept): (SessionId, &Kept)| {
            Some(SavedSession {
                id: id.to_string(),
                extranonce1: hex::encode(kept.prefix.as_ref()?.bytes()),
                class: kept.class.index(),
                version_mask: kept.version_mask,
                difficulty: kept.difficulty.steps(),
                jobs: kept
                    .jobs
                    .iter()
                    .filter(is_of_tip)
                    .filter_map(saved_job)
                    .collect(),
            })
        };
        Self {
            form: FORM,
            recipe: text_of(recipe),
            previous: newest.template.previous(),
            next_job,
            sessions: sessions.filter_map(saved_session).collect(),
            left_open: Vec::new(),
            templates: templates
                .iter()
                .map(|(_, template)| SavedTemplate::new(template))
                .collect(),
        }
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let beside = path.with_extension("new");
        let bytes = serde_json::to_vec(self)?;
        std::fs::write(&beside, bytes).with_context(|| format!("{}", beside.display()))?;
        std::fs::rename(&beside, path).with_context(|| format!("{}", path.display()))
    }

    /// Reads the file and removes it: it is good for one run.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        std::fs::remove_file(path)?;
        let saved: Self = serde_json::from_slice(&bytes)?;
        ensure!(saved.form == FORM, "it is of another version");
        Ok(Some(saved))
    }

    /// Where the numbers of jobs go on.
    pub fn next_job(&self) -> u32 {
        self.next_job
    }

    /// Nothing, if coinbases are made by other settings now.
    pub(super) fn restored(self, recipe: Recipe) -> Option<Restored> {
        if self.recipe != text_of(&recipe) {
            return None;
        }
        let sessions = self.sessions.into_iter();
        Some(Restored {
            previous: self.previous,
            recipe,
            templates: self
                .templates
                .into_iter()
                .map(|template| (template, None))
                .collect(),
            sessions: sessions
                .filter_map(|session| Some((SessionId::parse(&session.id)?, session)))
                .collect(),
        })
    }
}

impl Restored {
    /// Whether the work of the file is still work.
    pub(super) fn is_of(&self, offer: &Offer) -> bool {
        offer.tip == FIRST_TIP && offer.template.previous() == self.previous
    }

    /// A session as it was, once.
    pub(super) fn take(&mut self, id: SessionId, prefixes: &Allocator) -> Option<Kept> {
        let saved = self.sessions.remove(&id)?;
        let class = *CoinbaseClass::ALL.get(saved.class)?;
        let bytes: [u8; 4] = hex::decode(&saved.extranonce1).ok()?.try_into().ok()?;
        let mut jobs = Jobs::default();
        for job in &saved.jobs {
            let shared = Arc::clone(&self.classes(job.template)?[class.index()]);
            jobs.push(Job::new(job.id, shared, difficulty(job.difficulty)));
        }
        Some(Kept {
            prefix: Some(prefixes.claim(bytes)?),
            class,
            solo: false,
            version_mask: saved.version_mask,
            difficulty: difficulty(saved.difficulty),
            jobs,
        })
    }

    fn classes(&mut self, template: usize) -> Option<&Classes> {
        let (saved, classes) = self.templates.get_mut(template)?;
        if classes.is_none() {
            let template = Arc::new(saved.template(self.previous)?);
            let made = self
                .recipe
                .classes(&template, self.recipe.algorithm()?, FIRST_TIP);
            *classes = Some(made.ok()?);
        }
        classes.as_ref()
    }
}

fn difficulty(steps: u64) -> Difficulty {
    Difficulty::from_steps(steps.into())
}

impl SavedTemplate {
    fn new(template: &Template) -> Self {
        let transactions = &template.transactions;
        Self {
            height: template.height,
            version: template.version,
            bits: template.bits,
            target: template.target.to_string(),
            time: template.time,
            min_time: template.min_time,
            value: template.value.units(),
            fees: template.fees.units(),
            witness_commitment: template.witness_commitment.as_ref().map(hex::encode),
            coinbase_flags: hex::encode(&template.coinbase_flags),
            transactions: transactions.hex().to_owned(),
            count: transactions.count(),
            branch: transactions
                .branch()
                .hashes()
                .iter()
                .map(hex::encode)
                .collect(),
            tail: template.tail.clone(),
            weight: template.room.weight,
            sigops: template.room.sigops,
            subsidy_only: template.kind == TemplateKind::SubsidyOnly,
        }
    }

    fn template(&mut self, previous: Hash) -> Option<Template> {
        let hash = |text: &String| hex::decode(text).ok()?.try_into().ok();
        let branch: Option<Vec<[u8; 32]>> = self.branch.iter().map(hash).collect();
        let branch = Branch::of_hashes(branch?, self.count)?;
        let hex = std::mem::take(&mut self.transactions);
        let commitment = self.witness_commitment.as_ref().map(hex::decode);
        Some(Template {
            height: self.height,
            version: self.version,
            previous,
            bits: self.bits,
            target: Target::from_hex(&self.target).ok()?,
            time: self.time,
            min_time: self.min_time,
            value: Amount::from_units(self.value),
            fees: Amount::from_units(self.fees),
            witness_commitment: commitment.transpose().ok()?,
            coinbase_flags: hex::decode(&self.coinbase_flags).ok()?,
            transactions: Transactions::with_branch(hex, self.count, branch),
            tail: std::mem::take(&mut self.tail),
            room: Room {
                weight: self.weight,
                sigops: self.sigops,
            },
            kind: match self.subsidy_only {
                true => TemplateKind::SubsidyOnly,
                false => TemplateKind::Full,
            },
        })
    }
}
