//! The rules. Everything here takes data and gives data: no async, no clock, no I/O, no SQL; the
//! time is an argument.
//!
//! In the order of the flow: [`template`] is what a daemon wants mined, [`coinbase`] and [`merkle`]
//! turn it into a [`job`], [`extranonce`] and [`vardiff`] make that job one miner's own, [`proposal`]
//! says which blocks the daemon is asked about beforehand, [`share`] judges what comes back, [`trust`]
//! whose costly shares are believed, [`ban`] says who sent too much of what is wrong, and [`block`]
//! follows what was solved. [`luck`] says who found too few blocks, and [`orphans`] whether too many
//! were lost, both by [`poisson`]. Then the money:
//! [`accounting`] splits a reward by the work behind it, [`ledger`] is what may be written into the
//! books, and [`payout`] says who is due; a [`receipt`] shows a miner that its shares count. Beside the
//! flow, [`message`] says whether an address signed what somebody claims it did, [`instruction`] is what it
//! has to sign, and [`api_key`] is what an operator shows. [`cryptonote`] holds what is different for Monero
//! and its kin: templates, addresses, targets; [`vision`] what is different where VisionX is mined. [`claim`] is
//! what both have in common: shares that say themselves what their hash is.

#![forbid(unsafe_code)]

pub mod address;
pub mod amount;
pub mod api_key;
pub mod coin;
pub mod coins;
pub mod cryptonote;
pub mod date;
pub mod decimal;
pub mod instruction;
pub mod message;
pub mod nonce_range;
pub mod scheme;
pub mod target;
pub mod vision;

pub mod coinbase;
pub mod merkle;
pub mod template;

pub mod bucket;
pub mod device;
pub mod extranonce;
pub mod job;
pub mod jobs;
pub mod password;
pub mod proposal;
pub mod username;
pub mod vardiff;

pub mod ban;
pub mod block;
pub mod claim;
pub mod luck;
pub mod orphans;
pub mod poisson;
pub mod seen;
pub mod share;
pub mod trust;

pub mod accounting;
pub mod ledger;
pub mod payout;
pub mod receipt;

pub mod alert;

pub use address::Address;
pub use amount::Amount;
pub use coin::{Coin, Network};
pub use job::Job;
pub use scheme::Scheme;
pub use share::Share;

pub use target::{Difficulty, NetworkDifficulty, Target, Work};
pub use template::{AnyTemplate, Template};
