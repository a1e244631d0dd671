//! The Stratum of Monero's miners, both ends: JSON-RPC 2.0, one object a line, with named params.
//!
//! A pool reads [`Request`]s and writes with [`reply`] and [`Job`]; a miner writes with [`client`] and
//! reads [`ServerMessage`]s. What is refused is told as a [`Malformed`] or a [`Fault`]; whether that
//! ends the connection is for the reader's caller to decide. [`Reason`] holds the texts that miners act
//! on: some of them make a miner hang up.
//!
//! XMRig passes over an answer whose `result` or `error` is no object, as Bitcoin's dialect has them,
//! and counts the share neither way; so all answers here are objects.

mod block_template;
pub mod client;
mod job;
mod login;
mod malformed;
mod notice;
mod reason;
pub mod reply;
mod request;
mod submit;
mod upstream;

pub use crate::id::{Id, MAX_ID, OwnedId};
pub use crate::job_id::JobId;
pub use block_template::{BlockTemplate, MAX_BLOCK};
pub use job::{Extensions, Job, Work};
pub use login::{AlgorithmSpeed, Login, MAX_AGENT, MAX_LOGIN, MAX_PASSWORD, MAX_RIG};
pub use malformed::{Fault, Malformed};
pub use notice::{Notice, TargetBytes};
pub use reason::Reason;
pub use request::{ClientMessage, MAX_SESSION, Method, Request};
pub use submit::Submit;
pub use upstream::{LoggedIn, Refusal, Response, ServerMessage, refuses};
