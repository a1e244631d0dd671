//! The node from outside: its chain by blocks made here with the bitcoin crate alone, its RPC over
//! real HTTP, its faults, its files.

mod blocks;
mod branches;
mod client;
mod faults;
mod garbage;
mod maker;
mod restart;
mod rpc;
mod scan;
mod scripts;
mod vision;
mod wallet;
