//! The troubles of a pool: those that have begun, those that may, and what of an address is compared
//! with. A copy of what the store has.

use std::collections::HashMap;

use mining::alert::{Condition, Event, Hold, Kind, Level, Phase};
use store::{Audience, ConditionChange, KnownCondition, Seen};

use super::alert;

/// A trouble that lasts longer is nobody's any more: a worker that was sold, a daemon that was removed.
const FORGOTTEN_AFTER_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Which trouble: what of, whose, which worker or daemon.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// Empty for the operator.
    pub(super) address: String,
    pub(super) subject: String,
}

#[derive(Debug, Default)]
struct Trouble {
    condition: Condition,
    value: String,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Troubles(HashMap<Key, Trouble>);

impl Key {
    pub(super) fn new(kind: Kind, address: &str, subject: &str) -> Self {
        Self {
            kind,
            address: address.to_owned(),
            subject: subject.to_owned(),
        }
    }

    fn audience(&self) -> Audience {
        if self.address.is_empty() {
            Audience::Operator
        } else {
            Audience::Miner(self.address.clone())
        }
    }

    fn ends(&self) -> ConditionChange {
        ConditionChange::Ends {
            kind: self.kind,
            address: self.address.clone(),
            subject: self.subject.clone(),
        }
    }
}

impl Troubles {
    pub(super) fn new(known: Vec<KnownCondition>) -> Self {
        let trouble = |known: KnownCondition| {
            let key = Key::new(known.kind, &known.address, &known.subject);
            let trouble = Trouble {
                condition: Condition::begun(known.since_ms),
                value: known.value,
            };
            (key, trouble)
        };
        Self(known.into_iter().map(trouble).collect())
    }

    /// Since when it is trouble; nothing if it is none.
    pub(super) fn since_ms(&self, key: &Key) -> Option<i64> {
        self.0.get(key)?.condition.since_ms()
    }

    /// What was to be known again of it.
    pub(super) fn value(&self, key: &Key) -> Option<&str> {
        Some(self.0.get(key)?.value.as_str())
    }

    /// Takes an observation. If a trouble begins with it or is over, somebody is told by the event that
    /// is made of the phase and the time since which it was trouble; true then.
    pub(super) fn observe(
        &mut self,
        key: Key,
        level: Level,
        hold: Hold,
        now_ms: i64,
        seen: &mut Seen,
        event: impl FnOnce(Phase, i64) -> Event,
    ) -> bool {
        if level != Level::Bad && !self.0.contains_key(&key) {
            return false;
        }
        let trouble = self.0.entry(key.clone()).or_default();
        let since_ms = trouble.condition.since_ms().unwrap_or(now_ms);
        let phase = trouble.condition.observe(level, hold, now_ms);
        if trouble.condition == Condition::default() {
            self.0.remove(&key);
        }
        let Some(phase) = phase else {
            return false;
        };
        let event = event(phase, since_ms);
        seen.alerts.push(alert(key.audience(), event));
        if phase == Phase::Over {
            seen.conditions.push(key.ends());
        }
        true
    }

    /// Keeps something with a trouble that has just begun.
    pub(super) fn keep(&mut self, key: &Key, value: String, seen: &mut Seen) {
        if let Some(trouble) = self.0.get_mut(key) {
            trouble.value.clone_from(&value);
            seen.conditions.push(ConditionChange::Value {
                kind: key.kind,
                address: key.address.clone(),
                subject: key.subject.clone(),
                value,
            });
        }
    }

    /// It is so from now on, and nobody is told of that.
    pub(super) fn set(&mut self, key: Key, value: String, now_ms: i64, seen: &mut Seen) {
        let trouble = Trouble {
            condition: Condition::begun(now_ms),
            value: value.clone(),
        };
        seen.conditions.push(ConditionChange::Is(KnownCondition {
            kind: key.kind,
            address: key.address.clone(),
            subject: key.subject.clone(),
            since_ms: now_ms,
            value,
        }));
        self.0.insert(key, trouble);
    }

    /// It is not any more, likewise.
    pub(super) fn end(&mut self, key: &Key, seen: &mut Seen) {
        if let Some(trouble) = self.0.remove(key)
            && trouble.condition.since_ms().is_some()
        {
            seen.conditions.push(key.ends());
        }
    }

    /// Ends what has lasted for too long.
    pub(super) fn sweep(&mut self, seen: &mut Seen, now_ms: i64) {
        let old: Vec<Key> = self
            .0
            .iter()
            .filter(|(key, trouble)| {
                let since_ms = trouble.condition.since_ms();
                key.kind != Kind::RecordShare
                    && since_ms.is_some_and(|since_ms| now_ms - since_ms >= FORGOTTEN_AFTER_MS)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in old {
            self.end(&key, seen);
        }
    }
}
