//! The simulated node against Bitcoin Core's consensus library: the same blocks, good and bad, must
//! get the same verdict for the same reason, and leave both on the same tip.
//!
//! A `case` asserts what the library says, so that each block is bad in the way its name tells. What
//! the simulated node says otherwise is collected, and fails the test at its end.

#[path = "../kernel/mod.rs"]
mod kernel;
#[path = "../purse/mod.rs"]
mod purse;

mod block;
mod dice;
mod twins;

mod branch;
mod chance;
mod coin;
mod coinbase;
mod header;
mod list;
mod script;
mod signature;
mod sigops;
mod size;
