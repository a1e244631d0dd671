//! What people are told without asking: the kinds of alerts, what each one says, how grave it is and how
//! often. Called by `alerts`, which watches; here are only the rules.
//!
//! An alert is of something that happens once, or of a trouble that begins and is over. When a trouble
//! begins and ends is said by [`condition`]; what numbers are trouble, by [`measure`]; what a block or a
//! payout that went on is told of, by [`progress`]; the sentence for people, by [`event`].

pub mod condition;
pub mod event;
pub mod measure;
pub mod progress;
pub mod retry;
pub mod sink;

pub use condition::{Condition, Hold, Level};
pub use event::Event;
pub use sink::Sink;

/// What alerts are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A worker is gone, and back.
    WorkerOffline,
    /// A miner does far less than usual, and as much again.
    HashrateDrop,
    /// Many of a miner's shares are refused, and few again.
    HighRejects,
    /// The best share that a miner ever had.
    RecordShare,
    /// A block is in the chain.
    BlockFound,
    /// Its reward can be spent.
    BlockMatured,
    /// The chain has left it, and come back.
    BlockOrphaned,
    /// A payment is on its way.
    PayoutSent,
    /// It is deep in the chain.
    PayoutConfirmed,
    /// It could not be made.
    PayoutFailed,
    /// A daemon cannot be mined with, and can again.
    DaemonDown,
    /// A daemon is behind the others, and with them again.
    DaemonLagging,
    /// Miners work on old work or have none, and have again.
    TemplateOld,
    /// Payments wait for a person, and go on.
    PaymentsStopped,
    /// The books do not add up, and do again.
    LedgerMismatch,
    /// The disk is almost full, and has room again.
    DiskLow,
    /// Many shares of the whole pool are invalid, and few again.
    InvalidShares,
    /// Almost all connections are taken, and there is room again.
    NearCapacity,
    /// Somebody asked for alerts to be sent to an address of e-mail, which its owner has to confirm.
    Confirmation,
}

/// Whether something happened, began or is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It happened.
    Once,
    /// It began, and will be over.
    Begun,
    /// It is over.
    Over,
}

/// How grave something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Somebody should look at it now: work or money stands still.
    Critical,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kind {
    /// All of them. Their places are kept by the store: new ones come last.
    pub const ALL: [Self; 19] = [
        Self::WorkerOffline,
        Self::HashrateDrop,
        Self::HighRejects,
        Self::RecordShare,
        Self::BlockFound,
        Self::BlockMatured,
        Self::BlockOrphaned,
        Self::PayoutSent,
        Self::PayoutConfirmed,
        Self::PayoutFailed,
        Self::DaemonDown,
        Self::DaemonLagging,
        Self::TemplateOld,
        Self::PaymentsStopped,
        Self::LedgerMismatch,
        Self::DiskLow,
        Self::InvalidShares,
        Self::NearCapacity,
        Self::Confirmation,
    ];

    /// The name in the store, the API and the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkerOffline => "worker_offline",
            Self::HashrateDrop => "hashrate_drop",
            Self::HighRejects => "high_rejects",
            Self::RecordShare => "record_share",
            Self::BlockFound => "block_found",
            Self::BlockMatured => "block_matured",
            Self::BlockOrphaned => "block_orphaned",
            Self::PayoutSent => "payout_sent",
            Self::PayoutConfirmed => "payout_confirmed",
            Self::PayoutFailed => "payout_failed",
            Self::DaemonDown => "daemon_down",
            Self::DaemonLagging => "daemon_lagging",
            Self::TemplateOld => "template_old",
            Self::PaymentsStopped => "payments_stopped",
            Self::LedgerMismatch => "ledger_mismatch",
            Self::DiskLow => "disk_low",
            Self::InvalidShares => "invalid_shares",
            Self::NearCapacity => "near_capacity",
            Self::Confirmation => "confirmation",
        }
    }

    /// The kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What it is called above a message.
    pub fn title(self, phase: Phase) -> &'static str {
        match (self, phase) {
            (Self::WorkerOffline, Phase::Over) => "Worker back",
            (Self::WorkerOffline, _) => "Worker offline",
            (Self::HashrateDrop, Phase::Over) => "Hashrate back",
            (Self::HashrateDrop, _) => "Hashrate drop",
            (Self::HighRejects, Phase::Over) => "Rejects normal",
            (Self::HighRejects, _) => "Many rejects",
            (Self::RecordShare, _) => "Record share",
            (Self::BlockFound, _) => "Block found",
            (Self::BlockMatured, _) => "Block matured",
            (Self::BlockOrphaned, Phase::Over) => "Block back",
            (Self::BlockOrphaned, _) => "Block orphaned",
            (Self::PayoutSent, _) => "Payout sent",
            (Self::PayoutConfirmed, _) => "Payout confirmed",
            (Self::PayoutFailed, _) => "Payout failed",
            (Self::DaemonDown, Phase::Over) => "Daemon up",
            (Self::DaemonDown, _) => "Daemon down",
            (Self::DaemonLagging, Phase::Over) => "Daemon caught up",
            (Self::DaemonLagging, _) => "Daemon lagging",
            (Self::TemplateOld, Phase::Over) => "Work again",
            (Self::TemplateOld, _) => "No new work",
            (Self::PaymentsStopped, Phase::Over) => "Payments go on",
            (Self::PaymentsStopped, _) => "Payments stopped",
            (Self::LedgerMismatch, Phase::Over) => "Books add up",
            (Self::LedgerMismatch, _) => "Books do not add up",
            (Self::DiskLow, Phase::Over) => "Disk has room",
            (Self::DiskLow, _) => "Disk almost full",
            (Self::InvalidShares, Phase::Over) => "Few invalid shares",
            (Self::InvalidShares, _) => "Many invalid shares",
            (Self::NearCapacity, Phase::Over) => "Room for miners",
            (Self::NearCapacity, _) => "Almost full of miners",
            (Self::Confirmation, _) => "Confirm your alerts",
        }
    }

    /// How grave it is. The end of a trouble never is.
    pub fn severity(self, phase: Phase) -> Severity {
        if phase == Phase::Over {
            return Severity::Info;
        }
        match self {
            Self::RecordShare
            | Self::BlockFound
            | Self::BlockMatured
            | Self::PayoutSent
            | Self::PayoutConfirmed
            | Self::Confirmation => Severity::Info,
            Self::WorkerOffline
            | Self::HashrateDrop
            | Self::HighRejects
            | Self::BlockOrphaned
            | Self::PayoutFailed
            | Self::DaemonLagging
            | Self::InvalidShares
            | Self::NearCapacity => Severity::Warning,
            Self::DaemonDown
            | Self::TemplateOld
            | Self::PaymentsStopped
            | Self::LedgerMismatch
            | Self::DiskLow => Severity::Critical,
        }
    }

    /// How many of its kind one subscriber is sent within an hour. What is above that is not sent, nor
    /// is its end; the end of what was sent always is.
    pub fn per_hour(self) -> u32 {
        match self {
            // A farm's power failure, and no more: each worker is on the page.
            Self::WorkerOffline => 20,
            Self::HashrateDrop | Self::HighRejects => 2,
            // A new miner has its first records fast.
            Self::RecordShare => 3,
            Self::BlockFound | Self::BlockMatured | Self::BlockOrphaned => 60,
            Self::PayoutSent | Self::PayoutConfirmed => 12,
            Self::PayoutFailed => 1,
            // One for each daemon of a pool.
            Self::DaemonDown | Self::DaemonLagging => 16,
            Self::TemplateOld | Self::PaymentsStopped => 6,
            Self::LedgerMismatch | Self::DiskLow | Self::InvalidShares | Self::NearCapacity => 4,
            Self::Confirmation => 1,
        }
    }

    fn bit(self) -> u32 {
        let place = Self::ALL.iter().position(|kind| *kind == self);
        1 << place.expect("ALL holds every kind")
    }
}

impl Phase {
    /// The name in the store and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Begun => "begun",
            Self::Over => "over",
        }
    }

    /// The phase with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        let mut all = [Self::Once, Self::Begun, Self::Over].into_iter();
        all.find(|phase| phase.name() == name)
    }
}

impl Severity {
    /// The name in the store and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Kinds {
    /// None.
    pub const NONE: Self = Self(0);

    /// What a miner can ask to be told.
    pub fn of_miners() -> Self {
        use Kind::{
            BlockFound, BlockMatured, BlockOrphaned, HashrateDrop, HighRejects, PayoutConfirmed,
            PayoutFailed, PayoutSent, RecordShare, WorkerOffline,
        };
        [
            WorkerOffline,
            HashrateDrop,
            HighRejects,
            RecordShare,
            BlockFound,
            BlockMatured,
            BlockOrphaned,
            PayoutSent,
            PayoutConfirmed,
            PayoutFailed,
        ]
        .into_iter()
        .collect()
    }

    /// What an operator can ask to be told.
    pub fn of_operators() -> Self {
        use Kind::{
            BlockFound, BlockMatured, BlockOrphaned, DaemonDown, DaemonLagging, DiskLow,
            InvalidShares, LedgerMismatch, NearCapacity, PaymentsStopped, PayoutSent, TemplateOld,
        };
        [
            BlockFound,
            BlockMatured,
            BlockOrphaned,
            PayoutSent,
            DaemonDown,
            DaemonLagging,
            TemplateOld,
            PaymentsStopped,
            LedgerMismatch,
            DiskLow,
            InvalidShares,
            NearCapacity,
        ]
        .into_iter()
        .collect()
    }

    /// As the store keeps it: a bit for each kind by its place. Bits of no kind are dropped.
    pub fn from_bits(bits: u32) -> Self {
        let all = Kind::ALL.into_iter();
        all.filter(|kind| bits & kind.bit() != 0).collect()
    }

    /// Likewise.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a kind is among them.
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// All that are in this set and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// All that are in either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        let bits = kinds.into_iter().map(Kind::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

impl std::fmt::Display for Kinds {
    /// Their names with commas between, in their order: as a signed text has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, kind) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}", kind.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_one_to_one_and_come_back() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(Kind::of_name(kind.name()), Some(kind));
            assert!(kind.per_hour() > 0);
        }
        for name in ["", "Block_found", "block_found ", "block"] {
            assert_eq!(Kind::of_name(name), None);
        }
        for phase in [Phase::Once, Phase::Begun, Phase::Over] {
            assert_eq!(Phase::of_name(phase.name()), Some(phase));
        }
    }

    #[test]
    fn a_set_is_what_was_put_into_it() {
        let kinds: Kinds = [Kind::PayoutSent, Kind::WorkerOffline]
            .into_iter()
            .collect();
        assert_eq!(kinds.to_string(), "worker_offline,payout_sent");
        assert_eq!(Kinds::from_bits(kinds.bits()), kinds);
        assert!(kinds.contains(Kind::PayoutSent) && !kinds.contains(Kind::PayoutFailed));
        assert!(Kinds::NONE.is_empty() && Kinds::NONE.to_string().is_empty());
        assert_eq!(Kinds::from_bits(u32::MAX).iter().count(), Kind::ALL.len());
        assert_eq!(kinds.without(kinds), Kinds::NONE);
    }

    /// What only an operator may know, no miner can ask for; and nobody asks to be asked.
    #[test]
    fn a_miner_hears_of_no_operators_trouble() {
        let operators = Kinds::of_operators().without(Kinds::of_miners());
        for kind in [
            Kind::DaemonDown,
            Kind::DaemonLagging,
            Kind::TemplateOld,
            Kind::PaymentsStopped,
            Kind::LedgerMismatch,
            Kind::DiskLow,
            Kind::InvalidShares,
            Kind::NearCapacity,
        ] {
            assert!(operators.contains(kind), "{kind:?}");
        }
        let all = Kinds::of_operators().and(Kinds::of_miners());
        assert!(!all.contains(Kind::Confirmation));
        assert_eq!(all.iter().count() + 1, Kind::ALL.len());
    }

    #[test]
    fn the_end_of_a_trouble_is_no_warning() {
        for kind in Kind::ALL {
            assert_eq!(kind.severity(Phase::Over), Severity::Info);
        }
        assert_eq!(Kind::TemplateOld.severity(Phase::Begun), Severity::Critical);
    }
}
