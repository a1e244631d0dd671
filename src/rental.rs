//! What sellers of hashrate look at before they let a buyer mine at a pool: NiceHash, MiningRigRentals and
//! Braiins, each in its own way. Called by `adit verify-rental`, on a thread where waiting does not
//! matter. A pool that fails here wastes rented time, or is refused by the seller.
//!
//! Nothing is mined: one share that cannot be good is sent, to see how it is answered.

mod peer;

use std::time::Duration;

use pow::Algorithm;
use serde::Serialize;
use wire::sv1::{Difficulty, Notify, client};

pub use self::peer::{NoTarget, Target};
use self::peer::{Peer, Seen};
use crate::display::{self, plain};

/// What NiceHash asks of a pool for SHA-256d; others ask for less.
const MIN_DIFFICULTY_SHA256D: f64 = 500_000.0;
/// Sellers hand a part of extranonce2 on to their machines, three bytes as a rule.
const EXTRANONCE2_MIN: usize = 4;
/// So much leaves room for a proxy behind a proxy.
const EXTRANONCE2_GOOD: usize = 8;
/// NiceHash's stratum takes no larger one.
const COINBASE_MAX: usize = 500;
/// Bits that ASICs roll: BIP 320.
const VERSION_MASK: u32 = 0x1fff_e000;
/// An answer that takes longer costs shares at each new block.
const ANSWER_GOOD: Duration = Duration::from_millis(500);
/// After so long a seller gives up.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A large rental is mined at about that.
const BIG_DIFFICULTY: f64 = 1_000_000_000.0;
/// How long a changed difficulty is waited for.
const SETTLE: Duration = Duration::from_secs(2);
/// "Duplicate", "low difficulty" and their like begin here.
const CODES: std::ops::RangeInclusive<i32> = 20..=25;

const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const EXTRANONCE: u64 = 4;
const SUGGEST: u64 = 5;
const SUBMIT: u64 = 6;

/// What to verify a pool with.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Where it is.
    pub target: Target,
    /// Whom it would pay.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The proof of work.
    pub algorithm: Algorithm,
    /// What the machine calls itself.
    pub agent: String,
    /// The least difficulty that will do; the seller's own unless it is said.
    pub min_difficulty: Option<f64>,
    /// How long to watch for the next job; not at all with zero.
    pub watch: Duration,
}

/// What one look has shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and why it matters.
    pub found: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it has to be.
    Pass,
    /// Not all sellers mind.
    Warn,
    /// A seller refuses it, or hashrate is lost.
    Fail,
    /// It could not be looked at.
    Skipped,
}

use Verdict::{Fail, Pass, Skipped, Warn};

/// All that is looked at, in order.
const CHECKS: [&str; 13] = [
    "connection",
    "TLS",
    "version rolling",
    "subscribe",
    "extranonce2",
    "authorize",
    "difficulty before the job",
    "minimum difficulty",
    "first job",
    "coinbase size",
    "extranonce.subscribe",
    "big difficulty",
    "share answered",
];

/// Looks at a pool as a seller does. There is a finding for each check, whatever happens.
pub fn verify(wishes: &Wishes) -> Vec<Finding> {
    let mut report = Report(Vec::new());
    if let Err(why) = look(wishes, &mut report) {
        let told = |check: &&&str| report.0.iter().any(|finding| finding.check == **check);
        let check = CHECKS.iter().find(|check| !told(check));
        report.note(check.copied().unwrap_or("next job"), Fail, why);
    }
    for check in CHECKS {
        if report.0.iter().all(|finding| finding.check != check) {
            report.note(check, Skipped, "not reached".to_owned());
        }
    }
    report.0
}

struct Report(Vec<Finding>);

impl Report {
    fn note(&mut self, check: &'static str, verdict: Verdict, found: String) {
        self.0.push(Finding {
            check,
            verdict,
            found: plain(&found),
        });
    }

    fn is(&mut self, check: &'static str, good: bool, found: String) {
        self.note(check, if good { Pass } else { Fail }, found);
    }
}

/// An error ends the look: the check that comes next has failed.
fn look(wishes: &Wishes, report: &mut Report) -> Result<(), String> {
    let mut peer = Peer::connect(&wishes.target, ANSWER_MAX)?;
    let opened = peer.opened();
    let place = wishes.target.to_string();
    report.is(
        "connection",
        opened < ANSWER_MAX / 2,
        format!("{place} in {} ms", opened.as_millis()),
    );
    match peer.tls() {
        Some(tls) => report.note("TLS", Pass, tls),
        None => {
            let told =
                "not spoken: what is sent can be read and changed on its way. Try stratum+ssl://";
            report.note("TLS", Warn, told.into());
        }
    }
    let mut seen = Seen::default();
    configure(wishes, &mut peer, &mut seen, report)?;
    subscribe(wishes, &mut peer, &mut seen, report)?;
    authorize(wishes, &mut peer, &mut seen, report)?;
    first_work(wishes, &mut peer, &mut seen, report)?;
    extranonce(&mut peer, &mut seen, report)?;
    big_difficulty(&mut peer, &mut seen, report)?;
    let job = seen.jobs.last().cloned();
    share(wishes, job, &mut peer, &mut seen, report)?;
    watch(wishes, &mut peer, &mut seen, report)
}

fn configure(
    wishes: &Wishes,
    peer: &mut Peer,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), String> {
    if wishes.algorithm == Algorithm::Scrypt {
        let told = "scrypt machines roll none";
        report.note("version rolling", Skipped, told.into());
        return Ok(());
    }
    peer.say(|out| client::configure(out, CONFIGURE, VERSION_MASK))?;
    let Some(answer) = peer.answer(CONFIGURE, ANSWER_MAX, seen)? else {
        let told = "no answer to mining.configure: ASICs wait for one, or do without";
        report.note("version rolling", Fail, told.into());
        return Ok(());
    };
    let mask = answer.version_mask.unwrap_or(0);
    let bits = (mask & VERSION_MASK).count_ones();
    let told = format!("mask {mask:08x}: {bits} of the 16 bits of BIP 320 can be rolled");
    let verdict = match bits {
        0 | 1 => Fail,
        16 => Pass,
        _ => Warn,
    };
    report.note("version rolling", verdict, told);
    Ok(())
}

fn subscribe(
    wishes: &Wishes,
    peer: &mut Peer,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), String> {
    let early = seen.unasked;
    peer.say(|out| client::subscribe(out, SUBSCRIBE, &wishes.agent, None))?;
    let answer = peer.answer(SUBSCRIBE, ANSWER_MAX, seen)?;
    let answer = answer.ok_or("no answer to mining.subscribe in 5 s")?;
    if let Some(why) = &answer.refusal {
        return Err(format!("mining.subscribe was refused: {why}"));
    }
    let ms = answer.took.as_millis();
    if seen.unasked > early || early > 0 {
        let told =
            "the pool sends before it has answered; toys read their first line as the answer";
        report.note("subscribe", Warn, format!("in {ms} ms, but {told}"));
    } else {
        report.is(
            "subscribe",
            answer.took <= ANSWER_GOOD,
            format!(
                "answered in {ms} ms; from {} ms on shares get lost",
                ANSWER_GOOD.as_millis()
            ),
        );
    }
    let subscribed = answer
        .subscribed
        .ok_or("the answer to mining.subscribe has no extranonce of 2 to 16 bytes")?;
    let size = subscribed.extranonce2_size;
    seen.extranonce2 = size;
    let told = format!(
        "{size} bytes behind {} of the pool's; sellers take {EXTRANONCE2_MIN} or more, best {EXTRANONCE2_GOOD}",
        subscribed.extranonce1.len()
    );
    let verdict = match size {
        EXTRANONCE2_GOOD => Pass,
        // Whatsminers cannot count with more.
        9.. => Warn,
        EXTRANONCE2_MIN.. => Warn,
        _ => Fail,
    };
    report.note("extranonce2", verdict, told);
    Ok(())
}

fn authorize(
    wishes: &Wishes,
    peer: &mut Peer,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), String> {
    peer.say(|out| client::authorize(out, AUTHORIZE, &wishes.user, &wishes.password))?;
    let answer = peer.answer(AUTHORIZE, ANSWER_MAX, seen)?;
    let answer = answer.ok_or("no answer to mining.authorize in 5 s")?;
    if !answer.accepted {
        let why = answer.refusal.unwrap_or_else(|| "it is not true".into());
        return Err(format!("{} was refused: {why}", wishes.user));
    }
    let ms = answer.took.as_millis();
    report.is("authorize", true, format!("{} in {ms} ms", wishes.user));
    Ok(())
}

fn first_work(
    wishes: &Wishes,
    peer: &mut Peer,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), String> {
    let waited = peer.hear_until(ANSWER_MAX, seen, |seen| !seen.jobs.is_empty())?;
    match (seen.difficulty_at_job, seen.difficulty) {
        (Some(_), _) => report.is("difficulty before the job", true, "as it has to be".into()),
        (None, Some(_)) => report.is(
            "difficulty before the job",
            false,
            "the first job comes before mining.set_difficulty: its shares are at difficulty 1"
                .into(),
        ),
        (None, None) => report.is(
            "difficulty before the job",
            false,
            "no mining.set_difficulty after mining.authorize".into(),
        ),
    }
    minimum(wishes, seen, report);
    let Some(job) = seen.jobs.first() else {
        return Err("no mining.notify within 5 s of mining.authorize".into());
    };
    let ms = waited.as_millis();
    let clean = job.clean;
    let told = match clean {
        true => format!("{ms} ms after mining.authorize, with clean_jobs"),
        false => format!("{ms} ms after mining.authorize, but without clean_jobs"),
    };
    report.is("first job", clean, told);
    let work = &job.work;
    let size = work.coinbase1.len() + work.coinbase2.len() + seen.extranonce_size();
    let told = format!("{size} bytes; NiceHash takes up to {COINBASE_MAX}");
    let verdict = if size <= COINBASE_MAX { Pass } else { Fail };
    report.note("coinbase size", verdict, told);
    Ok(())
}

fn minimum(wishes: &Wishes, seen: &Seen, report: &mut Report) {
    let usual = match wishes.algorithm {
        Algorithm::Sha256d => Some(MIN_DIFFICULTY_SHA256D),
        // What sellers ask for is not known here.
        Algorithm::Scrypt => None,
    };
    let check = "minimum difficulty";
    let first = seen.difficulty.unwrap_or(1.0);
    let shown = display::difficulty(first);
    match wishes.min_difficulty.or(usual) {
        Some(least) => {
            let least_shown = display::difficulty(least);
            let told = format!("provided {shown}, minimum {least_shown}");
            report.is(check, first >= least, told);
        }
        None => {
            let told = format!("provided {shown}; say --min-difficulty as your seller has it");
            report.note(check, Skipped, told);
        }
    }
}

fn extranonce(peer: &mut Peer, seen: &mut Seen, report: &mut Report) -> Result<(), String> {
    peer.say(|out| client::extranonce_subscribe(out, EXTRANONCE))?;
    let check = "extranonce.subscribe";
    match peer.answer(EXTRANONCE, ANSWER_MAX, seen)? {
        Some(answer) if answer.accepted => report.is(check, true, "true".into()),
        Some(answer) => {
            let why = answer.refusal.unwrap_or_else(|| "not true".into());
            let told = "a seller who moves machines must connect anew";
            report.note(check, Fail, format!("refused ({why}): {told}"));
        }
        None => {
            let told = "no answer; even a pool without it has to say so";
            report.note(check, Fail, told.into());
        }
    }
    Ok(())
}

fn big_difficulty(peer: &mut Peer, seen: &mut Seen, report: &mut Report) -> Result<(), String> {
    let before = seen.difficulty.unwrap_or(1.0);
    if let Some(difficulty) = Difficulty::new(BIG_DIFFICULTY) {
        peer.say(|out| client::suggest_difficulty(out, SUGGEST, difficulty))?;
    }
    peer.hear_until(SETTLE, seen, |seen| seen.difficulty.unwrap_or(1.0) > before)?;
    let after = seen.difficulty.unwrap_or(1.0);
    let (from, to) = (display::difficulty(before), display::difficulty(after));
    let check = "big difficulty";
    if after >= BIG_DIFFICULTY {
        report.note(check, Pass, format!("asked for, and given: {to}"));
    } else if after > before {
        let told = format!("asked for 1.00 G, and from {from} went to {to}");
        report.note(check, Pass, told);
    } else if after == before {
        let told = format!("asked for 1.00 G, stays at {from}; vardiff has to find it");
        report.note(check, Warn, told);
    } else {
        let told = format!("asked for 1.00 G, and went down from {from} to {to}");
        report.note(check, Fail, told);
    }
    Ok(())
}

/// Sends a share that meets no target, as the first look of most sellers' machines does.
fn share(
    wishes: &Wishes,
    job: Option<Notify>,
    peer: &mut Peer,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), String> {
    let job = job.ok_or("there is no job")?;
    let extranonce2 = vec![0; seen.extranonce2];
    let share = client::Share {
        worker: &wishes.user,
        job_id: &job.job_id,
        extranonce2: &extranonce2,
        ntime: job.work.ntime,
        nonce: 0,
        version_bits: None,
    };
    peer.say(|out| client::submit(out, SUBMIT, &share))?;
    let answer = peer.answer(SUBMIT, ANSWER_MAX, seen)?;
    let answer = answer.ok_or("a share was not answered in 5 s")?;
    let ms = answer.took.as_millis();
    let check = "share answered";
    if answer.accepted {
        let told = "a share that met no target was accepted: this pool does not look";
        report.note(check, Fail, told.into());
        return Ok(());
    }
    let why = answer.refusal.unwrap_or_default();
    let told = format!("in {ms} ms, as not good enough: {why}");
    let in_time = answer.took <= ANSWER_GOOD;
    let verdict = match (in_time, CODES.contains(&answer.code)) {
        (false, _) => Fail,
        (true, false) => Warn,
        (true, true) => Pass,
    };
    report.note(check, verdict, told);
    Ok(())
}

fn watch(
    wishes: &Wishes,
    peer: &mut Peer,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), String> {
    if wishes.watch.is_zero() {
        return Ok(());
    }
    let before = seen.jobs.len();
    let waited = peer.hear_until(wishes.watch, seen, |seen| seen.jobs.len() > before)?;
    let came = seen.jobs.len() > before;
    let told = match came {
        true => format!("after {} s", waited.as_secs()),
        false => format!(
            "none in {} s; machines leave a silent pool",
            waited.as_secs()
        ),
    };
    report.is("next job", came, told);
    Ok(())
}
