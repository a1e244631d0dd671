//! Something that people are told: what it is, in numbers, and as one sentence. Numbers that are shown as
//! texts come ready from whoever knows the coin.

use super::{Kind, Phase};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A worker was not there for so many minutes.
    WorkerOffline {
        /// Its name; may be empty.
        worker: String,
        /// How long.
        minutes: i64,
    },
    /// It has sent a share again.
    WorkerBack {
        /// Its name.
        worker: String,
        /// How long it was told to be gone.
        minutes: i64,
    },
    /// A miner does less than usual.
    HashrateDropped {
        /// What it does, as a text.
        now: String,
        /// What it did.
        usual: String,
    },
    /// It does as much as it did, or nearly.
    HashrateBack {
        /// What it does, as a text.
        now: String,
    },
    /// Too many shares are refused.
    RejectsHigh {
        /// How many were.
        rejected: u64,
        /// Of so many.
        shares: u64,
    },
    /// Few are.
    RejectsNormal {
        /// How many were.
        rejected: u64,
        /// Of so many.
        shares: u64,
    },
    /// The best share that a miner ever had.
    Record {
        /// Its difficulty, as a text.
        difficulty: String,
        /// What a block takes, likewise; where it is known.
        network: Option<String>,
    },
    /// What became of a block.
    Block {
        /// What.
        kind: Kind,
        /// Whether an orphan is lost, or back.
        phase: Phase,
        /// Its height.
        height: u32,
        /// Its id.
        hash: String,
        /// What its coinbase pays, with the coin's ticker.
        reward: String,
    },
    /// What became of a payment to a miner.
    Payment {
        /// What.
        kind: Kind,
        /// How much, with the coin's ticker.
        amount: String,
        /// The number of its payout.
        payout: u64,
        /// Its transaction.
        txid: Option<String>,
        /// For people, where it failed.
        reason: String,
    },
    /// A payout is on its way, for the operator.
    Payout {
        /// Its number.
        payout: u64,
        /// How much, with the coin's ticker.
        amount: String,
        /// To how many.
        payments: u64,
        /// Its transaction.
        txid: Option<String>,
    },
    /// Something is wrong with the pool, or right again.
    Pool {
        /// What.
        kind: Kind,
        /// Whether it began or is over.
        phase: Phase,
        /// Which part, where there are several: a daemon.
        subject: String,
        /// What is known, without a full stop.
        detail: String,
    },
    /// Somebody asked for alerts to be sent here.
    Confirmation {
        /// Whose.
        address: String,
        /// Where that is confirmed.
        link: String,
    },
}

impl Event {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::WorkerOffline { .. } | Self::WorkerBack { .. } => Kind::WorkerOffline,
            Self::HashrateDropped { .. } | Self::HashrateBack { .. } => Kind::HashrateDrop,
            Self::RejectsHigh { .. } | Self::RejectsNormal { .. } => Kind::HighRejects,
            Self::Record { .. } => Kind::RecordShare,
            Self::Payout { .. } => Kind::PayoutSent,
            Self::Block { kind, .. } | Self::Payment { kind, .. } | Self::Pool { kind, .. } => {
                *kind
            }
            Self::Confirmation { .. } => Kind::Confirmation,
        }
    }

    /// Whether it happened, began or is over.
    pub fn phase(&self) -> Phase {
        match self {
            Self::WorkerOffline { .. }
            | Self::HashrateDropped { .. }
            | Self::RejectsHigh { .. } => Phase::Begun,
            Self::WorkerBack { .. } | Self::HashrateBack { .. } | Self::RejectsNormal { .. } => {
                Phase::Over
            }
            Self::Block { phase, .. } | Self::Pool { phase, .. } => *phase,
            Self::Record { .. }
            | Self::Payment { .. }
            | Self::Payout { .. }
            | Self::Confirmation { .. } => Phase::Once,
        }
    }

    /// Of what there can be several of a kind at once: a worker, a daemon, a block, a payout. Empty
    /// where there is one.
    pub fn subject(&self) -> String {
        match self {
            Self::WorkerOffline { worker, .. } | Self::WorkerBack { worker, .. } => worker.clone(),
            Self::Block { hash, .. } => hash.clone(),
            Self::Payment { payout, .. } | Self::Payout { payout, .. } => payout.to_string(),
            Self::Pool { subject, .. } => subject.clone(),
            _ => String::new(),
        }
    }

    /// One sentence for people.
    pub fn text(&self) -> String {
        match self {
            Self::WorkerOffline { worker, minutes } => {
                format!("{} was not seen for {}.", who(worker), span(*minutes))
            }
            Self::WorkerBack { worker, minutes } => {
                format!("{} is back after {}.", who(worker), span(*minutes))
            }
            Self::HashrateDropped { now, usual } => {
                format!("Your hashrate is {now}, where {usual} are usual.")
            }
            Self::HashrateBack { now } => format!("Your hashrate is {now} again."),
            Self::RejectsHigh { rejected, shares } => {
                format!("{rejected} of your last {shares} shares were refused.")
            }
            Self::RejectsNormal { rejected, shares } => {
                format!(
                    "Your shares are taken again: {rejected} of the last {shares} were refused."
                )
            }
            Self::Record {
                difficulty,
                network,
            } => match network {
                Some(network) => format!(
                    "Your best share ever has difficulty {difficulty}; a block takes {network}."
                ),
                None => format!("Your best share ever has difficulty {difficulty}."),
            },
            Self::Block {
                kind,
                phase,
                height,
                reward,
                ..
            } => match (kind, phase) {
                (Kind::BlockMatured, _) => {
                    format!("Block {height} is mature: its {reward} can be paid.")
                }
                (Kind::BlockOrphaned, Phase::Over) => {
                    format!("Block {height} is back in the chain, with its {reward}.")
                }
                (Kind::BlockOrphaned, _) => {
                    format!("Block {height} is not in the chain: its {reward} do not exist.")
                }
                _ => format!("The pool has found block {height}, worth {reward}."),
            },
            Self::Payment {
                kind,
                amount,
                reason,
                ..
            } => match kind {
                Kind::PayoutConfirmed => format!("Your payment of {amount} is confirmed."),
                Kind::PayoutFailed if reason.is_empty() => {
                    format!("Your payment of {amount} could not be made; it will be tried again.")
                }
                Kind::PayoutFailed => {
                    format!("Your payment of {amount} could not be made: {reason}.")
                }
                _ => format!("A payment of {amount} is on its way to you."),
            },
            Self::Payout {
                payout,
                amount,
                payments,
                ..
            } => format!("Payout {payout} of {amount} to {payments} miners is on its way."),
            Self::Pool {
                kind,
                phase,
                subject,
                detail,
            } => pool(*kind, *phase, subject, detail),
            Self::Confirmation { address, link } => format!(
                "Somebody who mines for {address} asked for alerts to be sent here; if it was you, confirm it \
                 at {link} - if not, do nothing and nothing more is sent."
            ),
        }
    }

    /// Its numbers by name, for programs. Amounts are as in the text.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let optional = |name, value: &Option<String>| value.clone().map(|value| (name, value));
        match self {
            Self::WorkerOffline { worker, minutes } | Self::WorkerBack { worker, minutes } => {
                vec![("worker", worker.clone()), ("minutes", minutes.to_string())]
            }
            Self::HashrateDropped { now, usual } => {
                vec![("hashrate", now.clone()), ("usual", usual.clone())]
            }
            Self::HashrateBack { now } => vec![("hashrate", now.clone())],
            Self::RejectsHigh { rejected, shares } | Self::RejectsNormal { rejected, shares } => {
                vec![
                    ("rejected", rejected.to_string()),
                    ("shares", shares.to_string()),
                ]
            }
            Self::Record { difficulty, .. } => vec![("difficulty", difficulty.clone())],
            Self::Block {
                height,
                hash,
                reward,
                ..
            } => vec![
                ("height", height.to_string()),
                ("hash", hash.clone()),
                ("reward", reward.clone()),
            ],
            Self::Payment {
                amount,
                payout,
                txid,
                ..
            } => {
                let facts = [("amount", amount.clone()), ("payout", payout.to_string())];
                facts.into_iter().chain(optional("txid", txid)).collect()
            }
            Self::Payout {
                payout,
                amount,
                payments,
                txid,
            } => {
                let facts = [
                    ("payout", payout.to_string()),
                    ("amount", amount.clone()),
                    ("payments", payments.to_string()),
                ];
                facts.into_iter().chain(optional("txid", txid)).collect()
            }
            Self::Pool {
                subject, detail, ..
            } => vec![("subject", subject.clone()), ("detail", detail.clone())],
            Self::Confirmation { link, .. } => vec![("link", link.clone())],
        }
    }
}

fn who(worker: &str) -> String {
    match worker {
        "" => "Your worker without a name".to_owned(),
        worker => format!("Worker {worker}"),
    }
}

/// A time as people say it.
fn span(minutes: i64) -> String {
    let plural = |number: i64, unit: &str| match number {
        1 => format!("1 {unit}"),
        number => format!("{number} {unit}s"),
    };
    match minutes {
        ..120 => plural(minutes.max(0), "minute"),
        120..2_880 => plural(minutes / 60, "hour"),
        _ => plural(minutes / 1_440, "day"),
    }
}

fn pool(kind: Kind, phase: Phase, subject: &str, detail: &str) -> String {
    let over = phase == Phase::Over;
    match kind {
        Kind::DaemonDown if over => format!("Daemon {subject} can be mined with again."),
        Kind::DaemonDown => format!("Daemon {subject} cannot be mined with: {detail}."),
        Kind::DaemonLagging if over => format!("Daemon {subject} has caught up."),
        Kind::DaemonLagging => format!("Daemon {subject} lags behind: {detail}."),
        Kind::TemplateOld if over => "Miners have new work again.".to_owned(),
        Kind::TemplateOld => format!("Miners get no new work: {detail}."),
        Kind::PaymentsStopped if over => "Payments go on.".to_owned(),
        Kind::PaymentsStopped => format!("Payments wait: {detail}."),
        Kind::LedgerMismatch if over => "The books add up again.".to_owned(),
        Kind::LedgerMismatch => format!("The books do not add up: {detail}."),
        Kind::DiskLow if over => format!("The disk has room again: {detail}."),
        Kind::DiskLow => format!("The disk is almost full: {detail}."),
        Kind::InvalidShares if over => format!("Few shares are invalid again: {detail}."),
        Kind::InvalidShares => format!("Many shares are invalid: {detail}."),
        Kind::NearCapacity if over => format!("There is room for miners again: {detail}."),
        _ => format!("Almost all connections are taken: {detail}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_all() {
        #[track_caller]
        fn case(event: &Event, expected: &str) {
            assert_eq!(event.text(), expected);
            assert!(event.text().ends_with('.') && !event.text().contains('\n'));
        }
        let worker = "rig1".to_owned();
        case(
            &Event::WorkerOffline {
                worker: worker.clone(),
                minutes: 10,
            },
            "Worker rig1 was not seen for 10 minutes.",
        );
        case(
            &Event::WorkerBack {
                worker: String::new(),
                minutes: 180,
            },
            "Your worker without a name is back after 3 hours.",
        );
        case(
            &Event::HashrateDropped {
                now: "1.2 TH/s".into(),
                usual: "3.0 TH/s".into(),
            },
            "Your hashrate is 1.2 TH/s, where 3.0 TH/s are usual.",
        );
        let block = |kind, phase| Event::Block {
            kind,
            phase,
            height: 800_000,
            hash: "00ff".into(),
            reward: "3.125 BTC".into(),
        };
        case(
            &block(Kind::BlockFound, Phase::Once),
            "The pool has found block 800000, worth 3.125 BTC.",
        );
        case(
            &block(Kind::BlockOrphaned, Phase::Over),
            "Block 800000 is back in the chain, with its 3.125 BTC.",
        );
        let payment = |kind, reason: &str| Event::Payment {
            kind,
            amount: "0.001 BTC".into(),
            payout: 7,
            txid: None,
            reason: reason.into(),
        };
        case(
            &payment(Kind::PayoutFailed, "the wallet has too little"),
            "Your payment of 0.001 BTC could not be made: the wallet has too little.",
        );
        case(
            &payment(Kind::PayoutSent, ""),
            "A payment of 0.001 BTC is on its way to you.",
        );
        case(
            &Event::Pool {
                kind: Kind::DaemonDown,
                phase: Phase::Begun,
                subject: "http://127.0.0.1:8332".into(),
                detail: "it does not answer".into(),
            },
            "Daemon http://127.0.0.1:8332 cannot be mined with: it does not answer.",
        );
    }

    #[test]
    fn a_beginning_and_its_end_are_of_one_kind_and_subject() {
        let worker = "a".to_owned();
        let (begun, over) = (
            Event::WorkerOffline {
                worker: worker.clone(),
                minutes: 1,
            },
            Event::WorkerBack { worker, minutes: 1 },
        );
        assert_eq!(
            (begun.kind(), begun.subject()),
            (over.kind(), over.subject())
        );
        assert_eq!((begun.phase(), over.phase()), (Phase::Begun, Phase::Over));
    }

    #[test]
    fn times_are_rounded_down_to_what_people_say() {
        for (minutes, text) in [
            (-1, "0 minutes"),
            (1, "1 minute"),
            (119, "119 minutes"),
            (120, "2 hours"),
            (2_879, "47 hours"),
            (2_880, "2 days"),
        ] {
            assert_eq!(span(minutes), text);
        }
    }
}
