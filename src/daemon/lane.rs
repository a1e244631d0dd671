//! The kinds of calls of a daemon: how long each may take and how large its reply may be.
//!
//! Called by [`rpc`](super::rpc), for each call.

use std::time::Duration;

/// Which connections a call goes over and what it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A small question.
    Quick,
    /// A solved block.
    Block,
    /// A template.
    Template,
    /// A template, once it is a new one.
    LongPoll,
    /// A new tip, once there is one.
    Wait,
    /// All unspent outputs, searched for some.
    Scan,
    /// Transactions that a wallet makes or sends.
    Transfer,
}

/// How long a whole call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) quick: Duration,
    pub(super) block: Duration,
    pub(super) template: Duration,
    pub(super) long_poll: Duration,
    pub(super) wait: Duration,
    pub(super) scan: Duration,
    pub(super) transfer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            // A daemon that connects a block holds its lock for a second or two.
            quick: Duration::from_secs(5),
            // It validates the block before it answers.
            block: Duration::from_secs(60),
            template: Duration::from_secs(30),
            // It answers when its mempool changes, at the latest at the next block.
            long_poll: Duration::from_secs(600),
            // More than what `waitfornewblock` is told.
            wait: Duration::from_secs(40),
            // Bitcoin's take a minute or two, and on a slow disk many.
            scan: Duration::from_secs(3600),
            // It reads the blocks that have come, and makes proofs for a hundred coins.
            transfer: Duration::from_secs(45),
        }
    }
}

impl Patience {
    /// What a call over this lane may take.
    pub(super) fn with(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Quick => self.quick,
            Lane::Block => self.block,
            Lane::Template => self.template,
            Lane::LongPoll => self.long_poll,
            Lane::Wait => self.wait,
            Lane::Scan => self.scan,
            Lane::Transfer => self.transfer,
        }
    }
}

impl Lane {
    /// Whether it shares connections with solved blocks.
    pub(super) fn is_quick(self) -> bool {
        match self {
            Self::Quick | Self::Block => true,
            Self::Template | Self::LongPoll | Self::Wait | Self::Scan | Self::Transfer => false,
        }
    }

    /// The largest reply taken. A template of a full block of 4 MB is below 14 MB.
    pub(super) fn size_limit(self) -> usize {
        match self {
            Self::Template | Self::LongPoll => 32 << 20,
            // A coin has 400 bytes.
            Self::Scan => 32 << 20,
            // What a wallet keeps of a transaction of a hundred coins is 1 MB.
            Self::Transfer => 32 << 20,
            // The chain tips of a test network are 200 kB.
            Self::Quick | Self::Block | Self::Wait => 1 << 20,
        }
    }
}
