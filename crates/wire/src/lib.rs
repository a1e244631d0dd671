//! The bytes: what miners and pools send each other, and nothing of what it means.
//!
//! [`mod@line`] cuts a byte stream into lines, [`sv1`] reads and writes Stratum V1 for both ends,
//! [`cryptonote`] the dialect of Monero's miners, [`Dialect`] tells the two apart, [`work`] what workers of HTTP send, and [`proxy`] reads what a balancer puts before them. No
//! I/O, no clock and no pool state: bytes go in, typed messages come out, and the other way round.
//! Everything a peer can send gives a message or a typed error, never a panic; what an error means
//! for the connection is the caller's to decide.

pub mod cryptonote;
mod dialect;
mod envelope;
pub mod hex;
mod id;
mod job_id;
mod json;
pub mod line;
pub mod proxy;
pub mod sv1;
pub mod work;

pub use dialect::Dialect;
pub use line::{LineBuffer, TooLong};
