//! How a miner agrees with the pool: `mining.configure`, `mining.subscribe`, `mining.authorize`.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::{
    action::{self, WRITTEN},
    due::{After, Checked, Due, is_due},
    house::ADDRESS,
    peer::{Ceiling, DEVICES, Kept, Move, Pace, Peer, Stage, Worker},
    random::Random,
    rig::{Live, Rig},
};
use crate::connection::session::Handled;

/// So long may a miner be away, in milliseconds.
const KEPT_FOR_MS: u64 = 600_000;

pub(super) fn configure(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked {
    let (head, id) = action::id(random);
    if random.one_in(8) {
        let bad = [
            r#"[["version-rolling"],{"version-rolling.mask":"1fffe0000"}]"#,
            r#"[["version-rolling"],{"version-rolling.mask":"+1"}]"#,
            r#"[["minimum-difficulty"],{"minimum-difficulty.value":-1}]"#,
            r#"["version-rolling"]"#,
            r#"[["info"],[]]"#,
            "{}",
        ];
        let bad = random.pick(&bad);
        let line = format!(r#"{{{head}"method":"mining.configure","params":{bad}}}"#);
        return rig.ask(
            live,
            line.as_bytes(),
            &[Due::Error(id, 20)],
            After::Malformed,
        );
    }
    let (mut extensions, mut options) = (vec![json!("unheard-of")], Map::new());
    let mut granted = Map::new();
    if random.below(4) != 0 {
        extensions.push("version-rolling".into());
        // A count of bits that makes no sense is passed over: Braiins OS sends it.
        options.insert("version-rolling.min-bit-count".into(), json!("junk"));
        let mut asked = u32::MAX;
        if random.below(5) != 0 {
            asked = *random.pick(&[u32::MAX, 0x1fff_e000, 0x2000, 0]);
            options.insert("version-rolling.mask".into(), format!("{asked:x}").into());
        }
        let mask = asked & rig.setup.mask;
        live.peer.mask = Some(mask);
        granted.insert("version-rolling".into(), (mask != 0).into());
        granted.insert("version-rolling.mask".into(), format!("{mask:08x}").into());
    }
    let mut due = Vec::new();
    if random.one_in(4) {
        extensions.push("minimum-difficulty".into());
        let (text, steps) = *random.pick(&WRITTEN);
        let any = random.one_in(4);
        let value: Value = serde_json::from_str(if any { "0" } else { text }).unwrap();
        options.insert("minimum-difficulty.value".into(), value);
        granted.insert("minimum-difficulty".into(), true.into());
        live.peer.wishes.least = (!any).then_some(steps);
        if let Some(steps) = live.peer.wish(rig.now_ms) {
            due.extend(action::job_of(Move::To(steps)));
        }
    }
    for name in ["subscribe-extranonce", "info"] {
        if random.one_in(3) {
            extensions.push(name.into());
            granted.insert(name.into(), true.into());
        }
    }
    due.push(Due::Answer(id, granted.into()));
    let params = json!([extensions, options]);
    let line = format!(r#"{{{head}"method":"mining.configure","params":{params}}}"#);
    rig.ask(live, line.as_bytes(), &due, After::Done)
}

pub(super) fn subscribe(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked {
    let (head, id) = action::id(random);
    let any = random.one_in(2);
    let mut device = *random.pick(if any { &DEVICES } else { &DEVICES[..3] });
    let session = match random.below(8) {
        0 => None,
        1 => Some("0123456789abcdef".to_owned()),
        2 => Some("no session".to_owned()),
        3 => {
            let others = rig.miners.iter().flatten();
            let other = others.map(|other| other.peer.session.clone()).next();
            other.filter(|session| !session.is_empty())
        }
        4 if !rig.ended.is_empty() => Some(random.pick(&rig.ended).0.to_ascii_uppercase()),
        _ => rig.ended.last().map(|(session, ended)| {
            if random.below(4) != 0 {
                device = *ended;
            }
            session.clone()
        }),
    };
    let params = match (&device.agent, &session) {
        (None, None) if random.one_in(2) => "null".to_owned(),
        (None, None) => "[]".to_owned(),
        (agent, None) => json!([agent]).to_string(),
        (agent, session) => json!([agent, session, "junk"]).to_string(),
    };
    if live.peer.stage == Stage::Connected {
        live.peer.stage = Stage::Subscribed;
        live.peer.device = device;
        let kept = session.and_then(|session| Some((rig.kept.remove(&session)?, session)));
        if let Some((kept, session)) = kept {
            let in_time = rig.now_ms - kept.since_ms < KEPT_FOR_MS;
            if in_time && kept.class == device.class {
                rig.count("resumed");
                live.peer.session = session;
                live.peer.extranonce1 = kept.extranonce1;
                live.peer.mask = live.peer.mask.or(kept.mask);
                live.peer.resumed = Some(kept);
            }
        }
    }
    let line = format!(r#"{{{head}"method":"mining.subscribe","params":{params}}}"#);
    rig.ask(live, line.as_bytes(), &[Due::Subscribed(id)], After::Done)
}

/// What a password asks for.
#[derive(Clone, Copy, Default)]
struct Password {
    text: Option<&'static str>,
    fixed: Option<u64>,
    min: Option<u64>,
    start: Option<u64>,
    worker: Option<&'static str>,
    has_fault: bool,
}

const NO_WISH: Password = Password {
    text: None,
    fixed: None,
    min: None,
    start: None,
    worker: None,
    has_fault: false,
};

const PASSWORDS: [Password; 9] = [
    NO_WISH,
    Password {
        text: Some("x"),
        ..NO_WISH
    },
    Password {
        text: Some("d=0.000000004"),
        fixed: Some(17),
        ..NO_WISH
    },
    Password {
        text: Some("x,d=0.000000002;d=1"),
        fixed: Some(8),
        has_fault: true,
        ..NO_WISH
    },
    Password {
        text: Some("MD=0.000000004"),
        min: Some(17),
        ..NO_WISH
    },
    Password {
        text: Some("sd=0.000000001 w=other"),
        start: Some(4),
        worker: Some("other"),
        ..NO_WISH
    },
    Password {
        text: Some("d=junk"),
        has_fault: true,
        ..NO_WISH
    },
    Password {
        text: Some("d=5e-9,what=1"),
        has_fault: true,
        ..NO_WISH
    },
    Password {
        text: Some("md=0.000000001,sd=500"),
        min: Some(4),
        start: Some(500 << 32),
        ..NO_WISH
    },
];

/// Names as they are sent, with the worker's name behind the address; none if they are refused.
fn names() -> [(String, Option<&'static str>); 10] {
    let long = "a-long-name-of-a-worker-in-a-shed";
    [
        (format!("{ADDRESS}.rig1"), Some("rig1")),
        (format!("{ADDRESS}.rig1"), Some("rig1")),
        (format!("{ADDRESS}_rig2"), Some("rig2")),
        (ADDRESS.to_owned(), Some("worker")),
        (format!("{ADDRESS}.{long}"), Some(long)),
        (format!("{ADDRESS}%2Erig3"), Some("rig3")),
        (format!("{}.rig1", ADDRESS.replace("w5", "w4")), None),
        ("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2.rig1".to_owned(), None),
        (String::new(), None),
        (format!("{ADDRESS}%rig"), None),
    ]
}

/// Logs a worker in; false if the connection is over.
pub(super) fn authorize(rig: &mut Rig<'_>, live: &mut Live, random: &mut Random) -> Checked<bool> {
    let (head, id) = action::id(random);
    let any = random.one_in(2);
    let password = *random.pick(if any { &PASSWORDS } else { &PASSWORDS[..2] });
    let is_alias = random.one_in(10);
    let is_known = random.one_in(2);
    let names = names();
    let any = random.one_in(3);
    let (user, name) = match is_alias {
        true => ("u/1f3.rig4".to_owned(), is_known.then_some("rig4")),
        false => random
            .pick(if any { &names[..] } else { &names[..6] })
            .clone(),
    };
    let params = match password.text {
        None => json!([user]),
        Some(text) => json!([user, text]),
    };
    let line = format!(r#"{{{head}"method":"mining.authorize","params":{params}}}"#);
    let (mut after, handled, mut heard) = rig.send(live, line.as_bytes())?;
    let stage = live.peer.stage;
    if let Some(Handled::Alias(login)) = handled {
        // The store is asked, and says whose it is.
        let address = is_known.then(|| rig.house.address.clone());
        let mut out = Vec::new();
        let found = live
            .session
            .alias_found(*login, address, rig.now(), &mut out);
        heard.extend(rig.heard(live, &out)?);
        let is_asked = is_alias && stage != Stage::Connected;
        is_due(is_asked, || "an alias that was none".into())?;
        after = if found.is_ok() {
            After::Done
        } else {
            After::End
        };
    }
    let (due, left) = logged_in(rig, &mut live.peer, (&user, name), password, id);
    rig.check(live, heard, &due)?;
    is_due(after == left, || format!("{left:?} was due, not {after:?}"))?;
    if stage == Stage::Subscribed && live.peer.is_authorized() {
        rig.offer(live)?;
    }
    Ok(left != After::End)
}

/// What a login is due, and what becomes of the miner.
fn logged_in(
    rig: &mut Rig<'_>,
    peer: &mut Peer,
    (user, name): (&str, Option<&str>),
    password: Password,
    id: Value,
) -> (Vec<Due>, After) {
    if peer.stage == Stage::Connected {
        return (
            vec![Due::Denied(id, 25, Some("Not subscribed"))],
            After::Done,
        );
    }
    let Some(name) = name else {
        let text = Some("Invalid Bitcoin address");
        return (vec![Due::Denied(id, 24, text), Due::Message], After::Done);
    };
    let is_first = peer.stage == Stage::Subscribed;
    if is_first && rig.newest.is_none() {
        rig.count("no work");
        // What it was to go on with is left for the next time.
        return (vec![Due::Denied(id, 20, None)], After::End);
    }
    let mut due = vec![Due::Answer(id, true.into())];
    if is_first {
        peer.wishes.fixed = password.fixed;
        peer.wishes.min = password.min;
        peer.wishes.start = password.start;
        let resumed = peer.resumed.take();
        let (min, max, first) = peer.difficulties(resumed.as_ref().map(|kept| kept.steps));
        peer.jobs = resumed.map_or_else(VecDeque::new, |kept| kept.jobs);
        peer.jobs.iter_mut().for_each(|job| job.is_resumed = true);
        peer.steps = first;
        peer.pace = Pace {
            min,
            max,
            known_ms: rig.now_ms,
            ..Pace::default()
        };
        peer.stage = Stage::Authorized;
        due.extend(peer.mask.map(Due::Mask));
        due.extend((user.len() > peer.device.user_max).then_some(Due::Message));
        due.extend(password.has_fault.then_some(Due::Message));
    }
    if peer.workers.iter().all(|worker| worker.user != user) {
        peer.workers.push(Worker {
            user: user.to_owned(),
            name: format!("{ADDRESS}.{}", password.worker.unwrap_or(name)),
            ceiling: Ceiling::new(rig.setup.per_second, rig.now_ms),
        });
    }
    (due, After::Done)
}

impl Peer {
    /// What can be taken up again.
    pub(super) fn leave(mut self, now_ms: u64) -> Option<(String, Kept)> {
        if let Some(resumed) = self.resumed.take() {
            let since_ms = now_ms;
            return Some((
                self.session,
                Kept {
                    since_ms,
                    ..resumed
                },
            ));
        }
        self.is_authorized().then(|| {
            let kept = Kept {
                extranonce1: self.extranonce1,
                class: self.device.class,
                mask: self.mask,
                steps: self.steps,
                jobs: self.jobs,
                since_ms: now_ms,
            };
            (self.session, kept)
        })
    }
}
