//! What miners do, daemons, the share log and the clock, chosen at random among what makes sense
//! where a connection stands, and what does not.

use serde_json::{Value, json};

use super::{
    due::{After, Checked, Due, Told, is_due},
    handshake,
    peer::{Move, Setup, Stage},
    random::Random,
    rig::{Live, MINERS, Rig},
    shot,
};
use crate::{connection::IN_FLIGHT_MAX, mailbox::Outcome};

/// Difficulties as they are written, and what they are in steps of 2^-32: rounded down.
pub(super) const WRITTEN: [(&str, u64); 7] = [
    ("0.0000000001", 1),
    ("0.000000001", 4),
    ("0.000000002", 8),
    ("0.000000004", 17),
    ("0.000000006", 25),
    ("1", 1 << 32),
    ("500", 500 << 32),
];

/// What the listener of one sequence allows.
pub(super) fn setup(random: &mut Random) -> Setup {
    Setup {
        min: 2,
        max: 32,
        start: 8,
        share_time_ms: *random.pick(&[500, 4_000]),
        mask: *random.pick(&[0x1fff_e000, 0x1fff_e000, 0x00ff_e000, 0]),
        heeds: !random.one_in(6),
        per_second: if random.one_in(4) { 1 } else { 0 },
        extranonce2_size: *random.pick(&[8, 8, 4]),
        is_steady: random.one_in(150),
    }
}

/// Does one thing, and looks whether all is still as it should be.
pub(super) fn step(rig: &mut Rig<'_>, random: &mut Random) -> Checked {
    if rig.tips == 0 {
        rig.publish(true, 0x2000_0000, 0)?;
    }
    let is_steady = rig.setup.is_steady;
    match random.below(20) {
        0 | 3 | 4 if is_steady && !random.one_in(12) => {}
        0 => template(rig, random)?,
        1 | 2 => time(rig, random)?,
        3 | 4 => commit(rig, random)?,
        _ => {
            let place = random.below(MINERS);
            miner(rig, place, random)?;
        }
    }
    stands(rig)
}

/// Takes a miner out, lets it do something, and puts it back unless its connection is over.
fn miner(rig: &mut Rig<'_>, place: usize, random: &mut Random) -> Checked {
    let Some(mut live) = rig.miners[place].take() else {
        rig.miners[place] = Some(rig.connect()?);
        return Ok(());
    };
    if live.peer.waiting.len() >= IN_FLIGHT_MAX {
        // The connection reads no more lines before some shares are answered.
        rig.miners[place] = Some(live);
        rig.count("in flight, all");
        return commit(rig, random);
    }
    let goes_on = acts(rig, &mut live, random)?;
    let is_over = rig.is_ban_due || !goes_on;
    rig.miners[place] = Some(live);
    if rig.is_ban_due {
        return ban(rig);
    }
    if is_over && let Some(live) = rig.miners[place].take() {
        return end(rig, live, true);
    }
    Ok(())
}

/// One thing a miner does; false if its connection is over.
fn acts(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked<bool> {
    let often = random.below(10) < 6;
    if rig.setup.is_steady && live.peer.is_authorized() {
        match random.below(8) {
            0 | 1 => suggest(rig, live, random)?,
            2 => rig.offer(live)?,
            _ => shot::submit(rig, live, random)?,
        }
        return Ok(true);
    }
    match live.peer.stage {
        Stage::Connected if often => handshake::subscribe(rig, live, random)?,
        Stage::Subscribed if often => return handshake::authorize(rig, live, random),
        Stage::Authorized if often => shot::submit(rig, live, random)?,
        _ => match random.below(20) {
            0 | 1 => handshake::configure(rig, live, random)?,
            2 => handshake::subscribe(rig, live, random)?,
            3 | 4 => return handshake::authorize(rig, live, random),
            5 | 6 => suggest(rig, live, random)?,
            7 | 8 => small_talk(rig, live, random)?,
            9 => nonsense(rig, live, random)?,
            10 | 11 => shot::submit(rig, live, random)?,
            12 => shot::misspelled(rig, live, random)?,
            // Told of work that it has heard of already, as happens while it logs in.
            13 | 14 => rig.offer(live)?,
            15 => rig.answers(live)?,
            16 | 17 => return Ok(false),
            _ => shot::submit(rig, live, random)?,
        },
    }
    Ok(true)
}

/// New work, which the miners hear of at once, later or not at all.
fn template(rig: &mut Rig<'_>, random: &mut Random) -> Checked {
    if random.one_in(12) {
        rig.publish_nothing()?;
        for place in 0..MINERS {
            if let Some(live) = rig.miners[place].take_if(|live| live.peer.is_authorized()) {
                end(rig, live, true)?;
            }
        }
        return Ok(());
    }
    let versions = [0x2000_0000, 0x2000_0000, 0x2000_4000, 0x3fff_e004];
    let age_s = u32::try_from(random.below(8)).unwrap();
    rig.publish(random.one_in(2), *random.pick(&versions), age_s)?;
    for place in 0..MINERS {
        if random.one_in(4) {
            continue;
        }
        if let Some(mut live) = rig.miners[place].take() {
            rig.offer(&mut live)?;
            rig.miners[place] = Some(live);
        }
    }
    Ok(())
}

fn time(rig: &mut Rig<'_>, random: &mut Random) -> Checked {
    let share_time = rig.setup.share_time_ms;
    let passed = [
        1,
        90,
        1_300,
        share_time,
        3 * share_time,
        20 * share_time,
        599_000,
        601_000,
    ];
    let often = passed.len() - if random.one_in(4) { 0 } else { 3 };
    let passed = passed[random.below(often)];
    rig.now_ms += passed;
    rig.tell(|| format!("-- {passed} ms"));
    for place in 0..MINERS {
        let Some(mut live) = rig.miners[place].take() else {
            continue;
        };
        let now = rig.now();
        let mut out = Vec::new();
        live.session.tick(now, &mut out);
        let heard = rig.heard(&live, &out)?;
        let due = if live.peer.is_authorized() {
            let moved = live.peer.tick(rig.now_ms);
            if let Move::To(steps) = moved {
                live.peer.moved(steps, rig.now_ms);
                rig.count("eased");
            }
            job_of(moved)
        } else {
            None
        };
        rig.check(&mut live, heard, due.as_slice())?;
        rig.miners[place] = Some(live);
    }
    Ok(())
}

/// The job that a move of vardiff brings.
pub(super) fn job_of(moved: Move) -> Option<Due> {
    let difficulty = match moved {
        Move::Stay => return None,
        Move::To(steps) => Told::Steps(steps),
        Move::Perhaps => Told::Perhaps,
    };
    Some(Due::Job {
        difficulty,
        from_offer: false,
    })
}

/// The share log commits some shares, or fails to, and the miners hear of it at once or later.
fn commit(rig: &mut Rig<'_>, random: &mut Random) -> Checked {
    let count = random.below(rig.log.len() + 1).max(1);
    let outcome = match random.below(8) {
        0 => Outcome::Failed,
        1 => Outcome::Unknown,
        _ => Outcome::Accepted,
    };
    for _ in 0..count {
        outcome_of_oldest(rig, outcome);
    }
    for place in 0..MINERS {
        if random.one_in(4) {
            continue;
        }
        if let Some(mut live) = rig.miners[place].take() {
            rig.answers(&mut live)?;
            rig.miners[place] = Some(live);
        }
    }
    Ok(())
}

fn outcome_of_oldest(rig: &mut Rig<'_>, outcome: Outcome) -> Option<u64> {
    let (number, entry) = rig.log.pop_front()?;
    entry.mailbox.answer(outcome);
    rig.tell(|| format!("-- {outcome:?}: a share of {number}"));
    rig.count(match outcome {
        Outcome::Accepted => "written",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    });
    let lives = rig.miners.iter_mut().flatten();
    for live in lives.filter(|live| live.number == number) {
        live.peer.outcomes.push_back(outcome);
    }
    Some(number)
}

/// A connection ends: its shares are answered first, and it may be taken up again.
fn end(rig: &mut Rig<'_>, live: Live, leaves: bool) -> Checked {
    let number = live.number;
    rig.tell(|| format!("-- {number} ends"));
    let Some(place) = rig.miners.iter().position(Option::is_none) else {
        return Err("nobody was there to end".to_owned());
    };
    rig.miners[place] = Some(live);
    while rig.log.iter().any(|(of, _)| *of == number) {
        outcome_of_oldest(rig, Outcome::Accepted);
    }
    let Some(mut live) = rig.miners[place].take() else {
        return Err("it was put there".to_owned());
    };
    rig.answers(&mut live)?;
    is_due(live.session.in_flight() == 0, || {
        "a share without an answer".into()
    })?;
    if leaves {
        live.session.keep(rig.now());
        let device = live.peer.device;
        if let Some((session, kept)) = live.peer.leave(rig.now_ms) {
            rig.ended.push((session.clone(), device));
            rig.kept.insert(session, kept);
        }
    }
    Ok(())
}

/// All connections of the address end, and none can be taken up again.
fn ban(rig: &mut Rig<'_>) -> Checked {
    rig.count("banned");
    rig.is_ban_due = false;
    for place in 0..MINERS {
        let Some(live) = rig.miners[place].take() else {
            continue;
        };
        is_due(rig.is_told_of_ban(&live), || "a ban was due".into())?;
        end(rig, live, false)?;
    }
    rig.lift_ban()
}

/// What has to hold at any time.
fn stands(rig: &mut Rig<'_>) -> Checked {
    let mut workers = 0;
    for live in rig.miners.iter().flatten() {
        let (session, peer) = (&live.session, &live.peer);
        let is_right = session.is_authorized() == peer.is_authorized()
            && session.in_flight() == peer.waiting.len()
            && session.in_flight() <= IN_FLIGHT_MAX;
        is_due(is_right, || "another state was due".into())?;
        is_due(!rig.is_told_of_ban(live), || {
            "a ban that was not due".into()
        })?;
        workers += peer.workers.len();
    }
    let listed = rig.context.sessions.count();
    is_due(listed == workers, || {
        format!("{listed} workers listed of {workers}")
    })
}

/// A request's id, as it is written in front of the rest, and as it has to come back.
pub(super) fn id(random: &mut Random) -> (String, Value) {
    let number = random.below(1000);
    match random.below(12) {
        0 => (r#""id":null,"#.to_owned(), Value::Null),
        1 => (String::new(), Value::Null),
        2 => (r#""id":"xnsub","#.to_owned(), json!("xnsub")),
        3 => (
            r#""id":"a name longer than the others \" 1234","#.to_owned(),
            json!("a name longer than the others \" 1234"),
        ),
        4 => (
            format!(r#""id":-{},"#, number + 1),
            json!(-1 - i64::try_from(number).unwrap()),
        ),
        _ => (format!(r#""id":{number},"#), json!(number)),
    }
}

/// The miner wishes a difficulty, by its number or by its target.
fn suggest(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked {
    let (head, id) = id(random);
    let (text, wanted) = match random.below(8) {
        0 | 1 => {
            let bits = random.below(7);
            let digits = hex::encode(super::heard::target_of(1 << bits));
            (
                format!(r#""mining.suggest_target","params":["{digits}"]"#),
                Some(1 << bits),
            )
        }
        2 => {
            let digits = "0".repeat(64 - random.below(2) * 32) + &"f".repeat(32);
            (
                format!(r#""mining.suggest_target","params":["{}"]"#, &digits[..64]),
                None,
            )
        }
        3 => {
            let bad = ["-1", "0", "null", r#""much""#, r#""-1""#, "[1]", "1e400"];
            let bad = format!(
                r#""mining.suggest_difficulty","params":[{}]"#,
                random.pick(&bad)
            );
            let bad = match random.one_in(2) {
                true => bad,
                false => r#""mining.suggest_target","params":["00ff"]"#.to_owned(),
            };
            let line = format!(r#"{{{head}"method":{bad}}}"#);
            return rig.ask(
                live,
                line.as_bytes(),
                &[Due::Error(id, 20)],
                After::Malformed,
            );
        }
        _ => {
            let (text, steps) = *random.pick(&WRITTEN);
            let quote = if random.one_in(3) { "\"" } else { "" };
            (
                format!(r#""mining.suggest_difficulty","params":[{quote}{text}{quote}]"#),
                Some(steps),
            )
        }
    };
    let mut due = Vec::new();
    if !id.is_null() {
        due.push(match rig.setup.heeds {
            true => Due::Answer(id, wanted.is_some().into()),
            false => Due::Denied(
                id,
                20,
                Some("Suggest difficulty is disabled for this connection"),
            ),
        });
    }
    let is_news = wanted.is_some() && wanted != live.peer.wishes.suggested;
    if rig.setup.heeds && is_news {
        live.peer.wishes.suggested = wanted;
        if let Some(steps) = live.peer.wish(rig.now_ms) {
            due.extend(job_of(Move::To(steps)));
            rig.count("wish granted");
        }
    }
    let line = format!(r#"{{{head}"method":{text}}}"#);
    rig.ask(live, line.as_bytes(), &due, After::Done)
}

/// Requests that change nothing.
fn small_talk(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked {
    let (head, id) = id(random);
    let known = [
        ("mining.extranonce.subscribe", json!(true)),
        ("mining.ping", json!("pong")),
        ("mining.get_transactions", json!([])),
        ("mining.multi_version", json!(true)),
    ];
    let params = random.pick(&[r#","params":[]"#, r#","params":[1]"#, ""]);
    let (method, due, left) = match random.below(7) {
        0 | 1 => {
            let method = random.pick(&["mining.capabilities", "eth_submitLogin", ""]);
            match id {
                Value::Null => (*method, vec![], After::Done),
                id => (*method, vec![Due::Error(id, 20)], After::Malformed),
            }
        }
        2 => (*random.pick(&["pong", "mining.pong"]), vec![], After::Done),
        _ => {
            let (method, result) = random.pick(&known).clone();
            (method, vec![Due::Answer(id, result)], After::Done)
        }
    };
    let line = format!(r#"{{{head}"method":"{method}"{params}}}"#);
    rig.ask(live, line.as_bytes(), &due, left)
}

/// Lines that are no requests: each with the id to answer with, if an answer is due.
fn nonsense(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked {
    let lines: [(&[u8], Option<Value>); 14] = [
        (b"", Some(Value::Null)),
        (b"GET / HTTP/1.1", Some(Value::Null)),
        (b"[]", Some(Value::Null)),
        (b"{\"id\":1,\"method\":\"mining.ping\"", Some(Value::Null)),
        (
            b"{\"id\":1,\"id\":1,\"method\":\"mining.ping\"}",
            Some(Value::Null),
        ),
        (b"{\"id\":{},\"method\":\"mining.ping\"}", Some(Value::Null)),
        (
            b"{\"id\":\"\xff\",\"method\":\"mining.ping\"}",
            Some(Value::Null),
        ),
        (b"{\"id\":7}", Some(json!(7))),
        (b"{\"id\":7,\"method\":5}", Some(json!(7))),
        (
            b"{\"id\":7,\"method\":\"mining.subscribe\",\"params\":{}}",
            Some(json!(7)),
        ),
        (
            b"{\"id\":7,\"method\":\"mining.authorize\",\"params\":[5]}",
            Some(json!(7)),
        ),
        (
            b"{\"id\":7,\"method\":\"mining.authorize\"}",
            Some(json!(7)),
        ),
        (b"{\"id\":7,\"result\":true,\"error\":null}", None),
        (b"{\"id\":7,\"error\":[20,\"no\",null]}", None),
    ];
    let (line, answer) = random.pick(&lines).clone();
    match answer {
        Some(id) => rig.ask(live, line, &[Due::Error(id, 20)], After::Malformed),
        None => rig.ask(live, line, &[], After::Done),
    }
}
