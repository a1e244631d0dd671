//! Shares: good ones, found by hashing, and all the ways in which one can be wrong.

use pow::Hash;
use serde_json::Value;

use super::{
    action,
    due::{After, Checked, Due, is_due},
    heard::{Heard, hash_of, meets, target_of},
    peer::{DUPLICATE, Job, NTIME, Peer, Rate, Refusal, STALE, Shot, TOO_MANY, Verdict},
    random::Random,
    rig::{Live, Rig},
};
use crate::clock;

/// Nonces that are tried: of difficulties in use one in 32 at least is a proof.
const TRIES: u32 = 4_000;
/// Shares that may be sent a second time.
const REMEMBERED: usize = 64;

/// Sends a share and holds the answer against the rules.
pub(super) fn submit(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked {
    let again = !rig.sent.is_empty() && random.one_in(6);
    let shot = match again {
        true => random.pick(&rig.sent).clone(),
        false => aim(rig, &live.peer, random),
    };
    let (head, id) = action::id(random);
    let line = spelled(&shot, &head, random);
    let before_s = clock::now_s();
    let (after, handled, heard) = rig.send(live, line.as_bytes())?;
    let after_s = clock::now_s();
    let mut verdict = live.peer.judge(&shot, before_s, &rig.taken);
    if before_s != after_s && verdict == Verdict::Refused(NTIME) && !is_told(&heard, NTIME) {
        // The second began while the share was judged.
        verdict = live.peer.judge(&shot, after_s, &rig.taken);
    }
    // Another miner has sent a share on a newer tip, and this one has not heard of it yet: then what
    // was seen of the earlier tip may be forgotten already.
    let job_tip = live.peer.job(&shot.job).map(|job| job.tip);
    let may_be_stale = job_tip.is_some_and(|tip| tip < rig.shared_tip) && is_told(&heard, STALE);
    let mut rate = Rate::Fine;
    let named = |user: &str| user == shot.worker;
    if let Some(at) = live
        .peer
        .workers
        .iter()
        .position(|worker| named(&worker.user))
        && matches!(verdict, Verdict::Good { .. })
        && !may_be_stale
    {
        rate = live.peer.workers[at].ceiling.share(rig.now_ms);
    }
    let refusal = match &verdict {
        Verdict::Refused(DUPLICATE) | Verdict::Good { .. } if may_be_stale => Some(STALE),
        Verdict::Refused(refusal) => Some(*refusal),
        Verdict::Good { tip, .. } => {
            rig.shared_tip = rig.shared_tip.max(*tip);
            (rate == Rate::Refuse).then_some(TOO_MANY)
        }
    };
    if refusal == Some(TOO_MANY) {
        // It may come again when there is room for it.
        remember(rig, shot.clone());
    }
    if let Some(refusal) = refusal {
        return refused(rig, live, (after, heard), refusal, id);
    }
    let Verdict::Good {
        hash,
        steps,
        height,
        worker,
        ..
    } = verdict
    else {
        return Err("what is not refused is good".to_owned());
    };
    is_due(after == After::Share, || {
        format!("a good share was not taken: {heard:?}")
    })?;
    rig.count("good");
    if live.peer.job(&shot.job).is_some_and(|job| job.is_resumed) {
        rig.count("good on a job from before");
    }
    if again {
        rig.count("good the second time");
    }
    let name = live.peer.workers[worker].name.clone();
    rig.log(live, handled, (Hash(hash), steps, height, &name))?;
    is_due(rig.taken.insert(hash), || "a proof was taken twice".into())?;
    live.peer.waiting.push_back((id, hash));
    let raise = rate == Rate::Raise;
    let moved = live.peer.share(rig.now_ms, raise);
    if let super::peer::Move::To(steps) = moved {
        rig.count("raised");
        live.peer.moved(steps, rig.now_ms);
        // The share counts in the new window.
        live.peer.pace.shares = 1;
    }
    rig.check(live, heard, action::job_of(moved).as_slice())?;
    remember(rig, shot);
    Ok(())
}

fn refused(
    rig: &mut Rig<'_>,
    live: &mut Live,
    (after, heard): (After, Vec<Heard>),
    refusal: Refusal,
    id: Value,
) -> Checked {
    let Refusal(code, text, is_invalid) = refusal;
    is_due(after == After::Done, || {
        format!("{text} was due, not {after:?}")
    })?;
    rig.count(text);
    if is_invalid {
        rig.invalid();
    }
    rig.check(live, heard, &[Due::Denied(id, code, Some(text))])
}

fn is_told(heard: &[Heard], Refusal(_, text, _): Refusal) -> bool {
    matches!(heard, [Heard::Answer { error, .. }] if error.get(1).and_then(Value::as_str) == Some(text))
}

fn remember(rig: &mut Rig<'_>, shot: Shot) {
    if rig.sent.len() >= REMEMBERED {
        rig.sent.remove(0);
    }
    rig.sent.push(shot);
}

/// A share that is right but for what is made wrong on purpose.
fn aim(rig: &Rig<'_>, peer: &Peer, random: &mut Random) -> Shot {
    let is_wrong = random.one_in(if rig.setup.is_steady { 12 } else { 3 });
    let wrong = if is_wrong {
        random.below(10)
    } else {
        usize::MAX
    };
    let pick_worker = random.below(peer.workers.len());
    let mut worker = peer
        .workers
        .get(pick_worker)
        .map_or_else(|| "nobody".to_owned(), |worker| worker.user.clone());
    if wrong == 0 {
        worker = match random.one_in(2) {
            true => worker.to_ascii_uppercase(),
            false => format!("{}.rig9", super::house::ADDRESS),
        };
    }
    let mut job = match random.below(4) {
        0 if !peer.jobs.is_empty() => Some(&peer.jobs[random.below(peer.jobs.len())]),
        1 if peer.jobs.len() > 1 => peer.jobs.get(peer.jobs.len() - 2),
        _ => peer.jobs.back(),
    };
    let mut others = rig.miners.iter().flatten();
    let another = others.find_map(|other| other.peer.jobs.back());
    let mut id = job
        .or(another)
        .map_or_else(|| "1".to_owned(), |job| job.work.id.clone());
    if wrong == 1 {
        id = match random.below(4) {
            0 => format!("0{id}"),
            1 => another.map_or_else(String::new, |job| job.work.id.clone()),
            2 => id.to_ascii_uppercase(),
            _ => format!("{:x}", random.number()),
        };
        job = None;
    }
    let mut size = rig.setup.extranonce2_size;
    if wrong == 2 {
        size = random.below(9);
    }
    let extranonce2 = random.next().to_be_bytes()[..size].to_vec();
    let mask = peer.mask.unwrap_or(0);
    let bits = match random.below(3) {
        _ if wrong == 3 => Some(random.number() & random.number() & random.number()),
        _ if wrong == 4 => Some(1 << random.below(32)),
        0 => None,
        1 => Some(random.number() & mask),
        _ => Some(0),
    };
    let mut shot = Shot {
        worker,
        job: id,
        extranonce2,
        ntime: 0,
        nonce: random.number(),
        bits,
    };
    let Some(job) = job else {
        return shot;
    };
    let second = u32::try_from(random.below(20)).unwrap();
    let now_s = clock::now_s();
    shot.ntime = match random.below(12) {
        _ if wrong == 5 => job.min_time - 1 - second / 19 * 100_000,
        _ if wrong == 6 => now_s + 7_201 + second / 19 * 100_000,
        0 => job.min_time,
        1 => now_s + 7_200,
        2 | 3 => job.work.time + second,
        _ => job.work.time,
    };
    grind(peer, job, &mut shot, wrong != 7 && wrong != 8);
    shot
}

/// Looks for a nonce that is a proof, or that is none.
fn grind(peer: &Peer, job: &Job, shot: &mut Shot, is_proof: bool) {
    let version = peer.version(job, shot.bits);
    let header = job
        .work
        .header(peer.extranonce1, &shot.extranonce2, version, shot.ntime);
    let target = target_of(job.steps);
    let mut nonces = (0..TRIES).map(|more| shot.nonce.wrapping_add(more));
    if let Some(nonce) = nonces.find(|nonce| meets(&hash_of(header, *nonce), &target) == is_proof) {
        shot.nonce = nonce;
    }
}

/// A share as one of the firmwares writes it.
fn spelled(shot: &Shot, head: &str, random: &mut Random) -> String {
    let cased = |text: String, random: &mut Random| match random.one_in(3) {
        true => text.to_ascii_uppercase(),
        false => text,
    };
    let extranonce2 = cased(hex::encode(&shot.extranonce2), random);
    let ntime = cased(format!("{:08x}", shot.ntime), random);
    // NerdMiner does not pad its nonce.
    let nonce = match random.one_in(3) {
        true => format!("{:x}", shot.nonce),
        false => format!("{:08x}", shot.nonce),
    };
    let nonce = cased(nonce, random);
    let bits = match shot.bits {
        Some(bits) => format!(r#","{}""#, cased(format!("{bits:08x}"), random)),
        None if random.one_in(3) => ",null".to_owned(),
        None => String::new(),
    };
    let Shot { worker, job, .. } = shot;
    // An escape takes the line another way through the parser.
    let worker = match random.one_in(6) {
        true => worker.replace('.', "\\u002e"),
        false => worker.clone(),
    };
    let params = format!(r#"["{worker}","{job}","{extranonce2}","{ntime}","{nonce}"{bits}]"#);
    match random.one_in(4) {
        true => format!(r#"{{"params": {params}, {head}"method": "mining.submit"}}"#),
        false => format!(r#"{{{head}"method":"mining.submit","params":{params}}}"#),
    }
}

/// A share whose fields cannot be read: refused in any state, and counted as invalid.
pub(super) fn misspelled(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked {
    let (head, id) = action::id(random);
    let job = live
        .peer
        .jobs
        .back()
        .map_or("1", |job| job.work.id.as_str());
    let params = [
        "[]".to_owned(),
        "{}".to_owned(),
        format!(r#"["a","{job}","zz","00000000","00000000"]"#),
        format!(r#"["a","{job}","000","00000000","00000000"]"#),
        format!(r#"["a","{job}","000000000000000000","00000000","00000000"]"#),
        format!(r#"["a","{job}","0000000000000000","0000000","00000000"]"#),
        format!(r#"["a","{job}","0000000000000000","00000000",""]"#),
        format!(r#"["a","{job}","0000000000000000","00000000","000000000"]"#),
        format!(r#"["a","{job}","0000000000000000","+0000000","00000000"]"#),
        format!(r#"["a","{job}","0000000000000000","00000000","00000000","2000"]"#),
        r#"["a",{},"0000000000000000","00000000","00000000"]"#.to_owned(),
        format!(r#"[7,"{job}","0000000000000000","00000000","00000000"]"#),
    ];
    let params = random.pick(&params);
    rig.count("misspelled");
    rig.invalid();
    let line = format!(r#"{{{head}"method":"mining.submit","params":{params}}}"#);
    rig.ask(
        live,
        line.as_bytes(),
        &[Due::Denied(id, 20, None)],
        After::Malformed,
    )
}
