//! What a step is due, and holding against it what was heard.

use serde_json::Value;

use super::{
    heard::{self, Heard},
    peer::{JOBS, Job, Peer},
    rig::{Live, Published, Rig},
};

pub(super) type Checked<T = ()> = Result<T, String>;

/// What a step is due, in the order in which it is due.
#[derive(Clone, Debug)]
pub(super) enum Due {
    Answer(Value, Value),
    /// `false`, with a code, and the text where it matters.
    Denied(Value, i32, Option<&'static str>),
    /// `null`, with a code.
    Error(Value, i32),
    /// A subscription: the same as before, or a new one.
    Subscribed(Value),
    Mask(u32),
    Message,
    Job {
        difficulty: Told,
        from_offer: bool,
    },
}

/// The difficulty of a job.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Steps(u64),
    /// Another one within the limits; then the job may be left out, too.
    Perhaps,
}

/// What is left to do after a line.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum After {
    Done,
    Malformed,
    Share,
    Alias,
    End,
}

pub(super) fn is_due(is_right: bool, what: impl FnOnce() -> String) -> Checked {
    if is_right { Ok(()) } else { Err(what()) }
}

impl Rig<'_> {
    /// Holds what was heard against what was due.
    pub(super) fn check(&mut self, live: &mut Live, heard: Vec<Heard>, due: &[Due]) -> Checked {
        let mut heard = heard.into_iter().peekable();
        for due in due {
            if let Due::Job {
                difficulty,
                from_offer,
            } = due
            {
                let told = match heard.peek() {
                    Some(Heard::Difficulty(steps)) => Some(*steps),
                    _ => None,
                };
                if told.is_some() {
                    heard.next();
                }
                match (heard.next(), difficulty) {
                    (Some(Heard::Job(job)), _) => {
                        self.check_difficulty(&mut live.peer, told, *difficulty)?;
                        self.check_job(live, *job, *from_offer)?;
                    }
                    (None, Told::Perhaps) if told.is_none() => {}
                    (other, _) => return Err(format!("{due:?} was due, not {other:?}")),
                }
                continue;
            }
            let is_heard = match (due, heard.next()) {
                (
                    Due::Answer(id, result),
                    Some(Heard::Answer {
                        id: of,
                        result: is,
                        error,
                        reason,
                    }),
                ) => *id == of && *result == is && error.is_null() && reason.is_none(),
                (
                    Due::Denied(id, code, text),
                    Some(Heard::Answer {
                        id: of,
                        result,
                        error,
                        reason,
                    }),
                ) => {
                    let said = error.get(1).and_then(Value::as_str).unwrap_or_default();
                    *id == of
                        && result == Value::Bool(false)
                        && error.get(0).and_then(Value::as_i64) == Some(i64::from(*code))
                        && text.is_none_or(|text| text == said)
                        && reason == Some(Value::from(said).to_string())
                }
                (
                    Due::Error(id, code),
                    Some(Heard::Answer {
                        id: of,
                        result,
                        error,
                        reason,
                    }),
                ) => {
                    *id == of
                        && result.is_null()
                        && error.get(0).and_then(Value::as_i64) == Some(i64::from(*code))
                        && reason.is_none()
                }
                (
                    Due::Subscribed(id),
                    Some(Heard::Answer {
                        id: of,
                        result,
                        error,
                        ..
                    }),
                ) => {
                    self.check_subscribed(&mut live.peer, &result)?;
                    *id == of && error.is_null()
                }
                (Due::Mask(mask), Some(Heard::Mask(is))) => *mask == is,
                (Due::Message, Some(Heard::Message)) => true,
                _ => false,
            };
            is_due(is_heard, || format!("{due:?} was due"))?;
        }
        match heard.next() {
            Some(more) => Err(format!("nothing more was due, but {more:?}")),
            None => Ok(()),
        }
    }

    fn check_subscribed(&mut self, peer: &mut Peer, result: &Value) -> Checked {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let names = [("mining.set_difficulty", 0), ("mining.notify", 1)];
        let mut session = None;
        for (name, at) in names {
            let pair = result.pointer(&format!("/0/{at}"));
            let is_named = pair.and_then(|pair| pair.get(0)) == Some(&Value::from(name));
            is_due(is_named, || format!("{name} was due"))?;
            session = text(pair.and_then(|pair| pair.get(1)));
        }
        let size = self.setup.extranonce2_size;
        let is_size = result.get(2) == Some(&Value::from(size));
        is_due(is_size, || format!("extranonce2 of {size} was due"))?;
        let number = result.get(1).and_then(heard::number);
        let (Some(session), Some(number)) = (session, number) else {
            return Err("no session or no extranonce1".to_owned());
        };
        let extranonce1 = number.to_be_bytes();
        if peer.session.is_empty() {
            // Nobody has had them before.
            is_due(self.extranonces.insert(extranonce1), || {
                "an extranonce1 twice".into()
            })?;
            is_due(self.sessions.insert(session.clone()), || {
                "a session twice".into()
            })?;
            (peer.session, peer.extranonce1) = (session.clone(), extranonce1);
        }
        let is_same = (&peer.session, peer.extranonce1) == (&session, extranonce1);
        is_due(is_same, || {
            "the same session and extranonce1 were due".into()
        })
    }

    /// A difficulty is told before the first job of another one, and only then.
    fn check_difficulty(&mut self, peer: &mut Peer, told: Option<u64>, due: Told) -> Checked {
        let is_right = match due {
            Told::Steps(steps) => told == (peer.told != Some(steps)).then_some(steps),
            Told::Perhaps => told.is_some_and(|steps| {
                let (least, most) = (peer.pace.min, peer.pace.max);
                let eased = steps < peer.steps;
                (least..=most).contains(&steps)
                    && steps != peer.steps
                    && !(eased && peer.device.harder_only)
            }),
        };
        is_due(is_right, || format!("{due:?} was due, not {told:?}"))?;
        if let Some(steps) = told {
            peer.told = Some(steps);
        }
        if let (Told::Perhaps, Some(steps)) = (due, told) {
            self.count("vardiff");
            peer.moved(steps, self.now_ms);
        }
        Ok(())
    }

    fn check_job(&mut self, live: &mut Live, work: heard::Notified, from_offer: bool) -> Checked {
        let peer = &mut live.peer;
        let Some(Published {
            offer,
            template,
            tip,
        }) = &self.newest
        else {
            return Err("a job without work".to_owned());
        };
        let mut padded = work.id.clone();
        padded.insert_str(0, &"0".repeat(8_usize.saturating_sub(padded.len())));
        let number = heard::number(&Value::from(padded)).ok_or("no number of a job")?;
        is_due(work.id == format!("{number:x}"), || {
            "a job id with zeros".into()
        })?;
        // The offer's own number, unless the miner has had that or one of its own after it.
        let is_fresh = peer.jobs.back().is_none_or(|job| job.number < offer.job_id);
        let is_offered = from_offer && is_fresh;
        is_due((number == offer.job_id) == is_offered, || {
            format!("job {number:x}")
        })?;
        let is_right = work.previous == template.previous.0
            && (work.version, work.bits, work.time)
                == (template.version, template.bits, template.time);
        is_due(is_right, || "the newest template was due".into())?;
        let clean = peer.tip() != Some(*tip);
        is_due(work.clean == clean, || format!("clean: {clean} was due"))?;
        let is_new = self.works.insert(work.work(peer.extranonce1));
        is_due(is_new, || {
            format!("the work of job {number:x} was sent before")
        })?;
        let Some(steps) = peer.told else {
            return Err("a job before a difficulty".to_owned());
        };
        let is_full = peer.jobs.len() == JOBS;
        peer.heard_job(Job {
            number,
            tip: *tip,
            height: template.height,
            min_time: template.min_time,
            steps,
            is_resumed: false,
            work,
        });
        if is_full {
            self.count("job pushed out");
        }
        Ok(())
    }
}
