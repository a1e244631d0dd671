//! What a listener allows its miners. Made of the settings by `pool::plan`.

use std::time::Duration;

use mining::{Address, Difficulty, Scheme, bucket::Limit, vardiff};

/// What a listener allows.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The limits of vardiff.
    pub vardiff: vardiff::Limits,
    /// The difficulty to start at.
    pub start_difficulty: Difficulty,
    /// The bytes of extranonce2.
    pub extranonce2_size: usize,
    /// The version bits that may be rolled.
    pub version_mask: u32,
    /// A connection must be authorized by then, in all.
    pub handshake: Duration,
    /// A miner that sends nothing for so long is gone.
    pub idle: Duration,
    /// A miner without an accepted share for so long is gone.
    pub shareless: Duration,
    /// How many messages may come.
    pub messages: Limit,
    /// How many shares of one worker may come in a second; zero is no limit.
    pub shares_per_second: u32,
    /// Whether miners may say which difficulty they want.
    pub heed_suggestions: bool,
    /// Who is paid where a name has no address.
    pub default_address: Option<Address>,
    /// How shares and blocks are paid. With [`Scheme::Solo`] a block pays the miner that solved it,
    /// in its coinbase, and nobody else.
    pub scheme: Scheme,
    /// Who alone may mine here; nothing where everybody may. The blocks of a solo listener pay no other
    /// address where the daemon makes the coinbases.
    pub only_address: Option<Address>,
}

/// The blocks of this port pay another address, whoever finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this solo port is for the pool's payout_address alone: the daemon's blocks pay nobody else"
)]
pub(crate) struct PaysAnother;

impl Rules {
    /// Whether a block pays the miner that solves it, and nobody else.
    pub(crate) fn is_solo(&self) -> bool {
        self.scheme == Scheme::Solo
    }

    /// An error for whoever would mine for somebody else here.
    pub(crate) fn may_mine(&self, address: &Address) -> Result<(), PaysAnother> {
        match &self.only_address {
            Some(only) if only != address => Err(PaysAnother),
            _ => Ok(()),
        }
    }
}
