//! The memory of the pool: all SQL is here. One method is one transaction, and no type of the
//! database appears in any signature.
//!
//! Called by `share_log` (shares, roll-up), `block` (blocks), `listener` (extranonces) and by
//! everything that shows figures. A method that returned `Ok` is durable; one that failed has
//! written nothing, and its error says whether to try again.
//!
//! SQLite by default: a write-ahead log, one writer, several readers; or PostgreSQL, by URL. Each
//! statement is written once for both.

#![forbid(unsafe_code)]

use std::{sync::Arc, time::Duration};

mod alerts;
mod api_keys;
mod bans;
mod bests;
mod blocks;
mod buckets;
mod copy;
mod database;
mod error;
mod extranonce;
mod fee_terms;
mod figures;
mod health;
mod ledger;
mod locate;
mod luck;
mod migrate;
mod miners;
mod minutes;
mod operator_log;
mod packed;
mod payers;
mod payouts;
mod pools;
mod prices;
mod ranking;
mod receipts;
mod rounds;
mod rows;
mod settings;
mod share_credits;
mod shares;
mod sql;
mod tail;
mod worker_list;
mod workers;

pub use alerts::{
    Alert, Audience, NewAlert, Seen,
    outbox::{DeadLetter, Delivery, OutboxCounts},
    seen::{
        AddressWork, BlockNews, BlockSeen, ConditionChange, KnownCondition, PayoutNews, PayoutSeen,
    },
    subscriptions::{
        NewSubscription, SubscribeError, Subscription, SubscriptionLimits, SubscriptionSecret,
    },
};
pub use api_keys::{KeptKey, KeyError};
pub use bans::Ban;
pub use bests::Best;
pub use blocks::{Block, BlockChange, BlockCounts, BlockError, ByCoinbase, FoundBlock, NewBlock};
pub use copy::{Stamp, copy_sqlite, is_empty, stamps};
pub use error::{OpenError, ReadError, WriteError};
pub use figures::{Active, Of, Sums};
pub use health::Integrity;
pub use ledger::{Balance, Books, EntryError, Line};
pub use locate::Located;
pub use luck::AccountLuck;
pub use miners::{CreditDetail, Miner, MinerBalance};
pub use minutes::{Minute, RolledUp};
pub use operator_log::{Act, KeptAct};
pub use payers::Lease;
pub use payouts::{OwnPayment, Paid, PaymentRow, Payout, PayoutError, Signed};
pub use pools::{GenesisError, PoolError, PoolId};
pub use ranking::BestShare;
pub use receipts::{AccountSum, Chunk, LogChange, OpenLog, PlacedShare, Unlogged, UnsignedLog};
pub use rounds::{BlockCredit, BlockCredits, BlockFee, MinerCredit, OpenBooks, StepEntry};
pub use settings::{NewSettings, PayWish, PayoutSettings, Proof, SettingsError};
pub use share_credits::{ShareCredit, UnpaidShares};
pub use shares::{ShareRecord, ShareRow, TooMuchWork};
pub use worker_list::Worker;
pub use workers::{NotAWorkerName, WorkerId, WorkerName};

/// An open database. Clones share it.
#[derive(Clone)]
pub struct Store {
    database: Arc<database::Database>,
    known: Arc<workers::Known>,
    tails: Arc<tail::Tails>,
}

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What a commit survives.
    pub durability: Durability,
    /// How long a write waits for another process that writes.
    pub busy_timeout: Duration,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process and the loss of power: each commit is flushed to the disk.
    Full,
    /// The end of the process. A loss of power can undo the last seconds, also of shares that were
    /// accepted; the database stays whole. For disks on which a flush takes too long.
    Normal,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

impl Store {
    /// Opens the database at `sqlite:PATH`, made if there is none, or at `postgres://...`, and brings
    /// it to the newest schema.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::open_with(url, Settings::default()).await
    }

    /// The same with other settings.
    pub async fn open_with(url: &str, settings: Settings) -> Result<Self, OpenError> {
        let database = database::Database::open(url, settings).await?;
        migrate::migrate(&database).await?;
        Ok(Self {
            database: Arc::new(database),
            known: Arc::default(),
            tails: Arc::default(),
        })
    }

    /// Ends all connections, once what they do is done.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
