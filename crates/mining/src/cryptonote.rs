//! The rules of the coins that descend from CryptoNote: Monero, and what keeps its formats.
//!
//! [`whole_template`] is what a daemon says of a block that it wants mined: a [`template`], made of a
//! [`block`] with a [`miner_transaction`] in it, and how to hash it;
//! [`transaction`] is one that spends, and [`payment`] says whom it pays.
//! [`self_select`] is a template of a miner's own node, which [`view_key`] shows to pay the pool.
//! [`tree`] and [`varint`] are what those are hashed and written with. [`address`] and [`login`] say
//! whom to pay, [`signed_message`] whether its owner signed something, [`target`] which hash counts, and [`seed`] with
//! which key RandomX hashes.
//!
//! Hashes of this family are written in the order of their bytes, unlike Bitcoin's, so they are plain
//! arrays here. Only where one is compared with a target is it a [`pow::Hash`], and where blocks of all
//! families are told apart: [`id`] says how.

pub mod address;
pub mod base58;
pub mod block;
pub mod extra;
pub mod id;
pub mod job;
pub mod keccak;
pub mod login;
pub mod miner_transaction;
mod one_time_key;
pub mod payment;
mod reader;
pub mod seed;
pub mod self_select;
pub mod share;
pub mod signed_message;
pub mod target;
pub mod template;
pub mod transaction;
pub mod tree;
pub mod varint;
pub mod view_key;
pub mod whole_template;

pub use address::Address;
pub use block::Block;
pub use job::Job;
pub use miner_transaction::MinerTransaction;
pub use target::ShareTarget;
pub use template::BlockTemplate;
pub use transaction::Transaction;
pub use view_key::ViewKey;
pub use whole_template::Template;
