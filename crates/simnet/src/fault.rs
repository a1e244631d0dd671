//! Faults on request: what a daemon does when it is slow, wrong, lagging or half dead.
//!
//! Set through [`crate::Simnet::fault`] or the RPC method `simnet_fault`. A fault on calls may name
//! methods and a number of times; the others change what the node says about itself. The methods
//! whose name starts with `simnet_` are spared, so that a fault can always be cleared.

use std::time::Duration;

use serde::Deserialize;

/// Faults in force at once; a test that needs more has forgotten to clear.
const MAX_FAULTS: usize = 64;
/// The longest a slow fault makes a caller wait.
const MAX_SLOW: Duration = Duration::from_secs(600);

/// One fault. As JSON: the name and its fields, `{"slow": {"ms": 500, "methods": ["submitblock"]}}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// Answers after `ms` milliseconds (ten minutes at most).
    Slow {
        /// Milliseconds before the call is carried out.
        ms: u64,
        /// Which calls.
        #[serde(flatten)]
        calls: Calls,
    },
    /// Accepts the call and never answers it.
    Silent {
        /// Whether the call is carried out all the same: a block is taken and the answer is lost.
        #[serde(default)]
        processed: bool,
        /// Which calls.
        #[serde(flatten)]
        calls: Calls,
    },
    /// Answers a JSON-RPC error without carrying the call out.
    Error {
        /// The error's code, such as -28 while warming up.
        code: i32,
        /// Its message.
        message: String,
        /// Which calls.
        #[serde(flatten)]
        calls: Calls,
    },
    /// Answers an HTTP status and no JSON.
    Http {
        /// From 100 to 999.
        status: u16,
        /// Which calls.
        #[serde(flatten)]
        calls: Calls,
    },
    /// Carries the call out and answers the first half of the JSON.
    Garbage {
        /// Which calls.
        #[serde(flatten)]
        calls: Calls,
    },
    /// Answers a fixed result without carrying the call out: a reject reason, or null for a block
    /// that is then lost.
    Result {
        /// The result.
        value: serde_json::Value,
        /// Which calls.
        #[serde(flatten)]
        calls: Calls,
    },
    /// Reports the chain, and templates, as they were this many blocks ago.
    Lagging {
        /// How far behind.
        blocks: u32,
    },
    /// `initialblockdownload` is true and templates are refused.
    Unsynced,
    /// Refuses every proposed block for this reason; solved ones are taken as ever.
    Proposals {
        /// Such as `bad-cb-amount`.
        reason: String,
        /// With a code it is a JSON-RPC error, as from a node that does not know the mode.
        #[serde(default)]
        code: Option<i32>,
    },
    /// Reports this many connections; with none, templates are refused.
    Peers {
        /// How many.
        n: u32,
    },
    /// Reports this version, such as 310000.
    Version {
        /// Major times 10000.
        n: u32,
    },
}

/// Which calls a fault concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// The methods concerned; all of them when absent.
    pub methods: Option<Vec<String>>,
    /// How many calls are concerned before the fault ends; all of them when absent.
    pub times: Option<u32>,
}

/// What happens to one call instead of its plain answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    Wait(Duration),
    Silent { processed: bool },
    Error { code: i32, message: String },
    Http(u16),
    Garbage,
    Result(serde_json::Value),
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    calls: Vec<Fault>,
    pub(crate) lagging: u32,
    pub(crate) unsynced: bool,
    pub(crate) proposals: Option<(Option<i32>, String)>,
    pub(crate) peers: Option<u32>,
    pub(crate) version: Option<u32>,
}

impl Fault {
    fn calls(&mut self) -> Option<&mut Calls> {
        match self {
            Self::Slow { calls, .. }
            | Self::Silent { calls, .. }
            | Self::Error { calls, .. }
            | Self::Http { calls, .. }
            | Self::Result { calls, .. }
            | Self::Garbage { calls } => Some(calls),
            Self::Lagging { .. }
            | Self::Unsynced
            | Self::Proposals { .. }
            | Self::Peers { .. }
            | Self::Version { .. } => None,
        }
    }
}

impl Faults {
    /// Puts a fault in force; `false` when there are too many already.
    pub(crate) fn add(&mut self, mut fault: Fault) -> bool {
        if fault.calls().is_some() {
            if self.calls.len() >= MAX_FAULTS {
                return false;
            }
            self.calls.push(fault);
            return true;
        }
        match fault {
            Fault::Lagging { blocks } => self.lagging = blocks,
            Fault::Proposals { reason, code } => self.proposals = Some((code, reason)),
            Fault::Unsynced => self.unsynced = true,
            Fault::Peers { n } => self.peers = Some(n),
            Fault::Version { n } => self.version = Some(n),
            _ => {}
        }
        true
    }

    /// What befalls a call of `method`, in the order the faults were set. Counts it.
    pub(crate) fn strike(&mut self, method: &str) -> Vec<Mishap> {
        let mut mishaps = Vec::new();
        if method.starts_with("simnet_") {
            return mishaps;
        }
        self.calls.retain_mut(|fault| {
            let Some(calls) = fault.calls() else {
                return false;
            };
            let concerned = calls.methods.as_ref();
            if concerned.is_some_and(|methods| !methods.iter().any(|name| name == method)) {
                return true;
            }
            let left = calls.times.map(|times| times.saturating_sub(1));
            let spent = calls.times == Some(0);
            calls.times = left;
            if !spent {
                mishaps.extend(mishap(fault));
            }
            left != Some(0) && !spent
        });
        mishaps
    }
}

fn mishap(fault: &Fault) -> Option<Mishap> {
    Some(match fault {
        Fault::Slow { ms, .. } => Mishap::Wait(Duration::from_millis(*ms).min(MAX_SLOW)),
        Fault::Silent { processed, .. } => Mishap::Silent {
            processed: *processed,
        },
        Fault::Error { code, message, .. } => Mishap::Error {
            code: *code,
            message: message.clone(),
        },
        Fault::Http { status, .. } => Mishap::Http(*status),
        Fault::Garbage { .. } => Mishap::Garbage,
        Fault::Result { value, .. } => Mishap::Result(value.clone()),
        Fault::Lagging { .. }
        | Fault::Unsynced
        | Fault::Proposals { .. }
        | Fault::Peers { .. }
        | Fault::Version { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn faults_are_read_from_json() {
        #[track_caller]
        fn case(json: serde_json::Value, expected: Option<Fault>) {
            assert_eq!(from_value::<Fault>(json).ok(), expected);
        }
        let calls = Calls {
            methods: Some(vec!["submitblock".into()]),
            times: Some(2),
        };
        case(
            json!({"slow": {"ms": 5, "methods": ["submitblock"], "times": 2}}),
            Some(Fault::Slow { ms: 5, calls }),
        );
        case(
            json!({"garbage": {}}),
            Some(Fault::Garbage {
                calls: Calls::default(),
            }),
        );
        case(json!("unsynced"), Some(Fault::Unsynced));
        case(
            json!({"lagging": {"blocks": 3}}),
            Some(Fault::Lagging { blocks: 3 }),
        );
        case(
            json!({"proposals": {"reason": "bad-cb-amount"}}),
            Some(Fault::Proposals {
                reason: "bad-cb-amount".into(),
                code: None,
            }),
        );
        case(json!({"proposals": {}}), None);
        case(json!({"slow": {}}), None);
        case(json!({"fast": {}}), None);
    }

    #[test]
    fn a_fault_ends_after_its_times_and_spares_other_methods() {
        let mut faults = Faults::default();
        let calls = Calls {
            methods: Some(vec!["a".into()]),
            times: Some(2),
        };
        assert!(faults.add(Fault::Garbage { calls }));
        assert!(faults.strike("b").is_empty());
        assert_eq!(faults.strike("a"), [Mishap::Garbage]);
        assert_eq!(faults.strike("a"), [Mishap::Garbage]);
        assert!(faults.strike("a").is_empty());
        assert!(faults.add(Fault::Http {
            status: 503,
            calls: Calls::default()
        }));
        assert!(faults.strike("simnet_fault").is_empty());
        assert_eq!(faults.strike("b"), [Mishap::Http(503)]);
    }
}
