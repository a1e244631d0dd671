//! Stratum V1, both ends: one JSON object a line.
//!
//! A pool reads [`Request`]s and writes with [`reply`] and [`NotifyLine`]; a miner or a proxy
//! writes with [`client`] and reads [`ServerMessage`]s. Both readers take what firmware and pools
//! really send and refuse what could mean two things. What is refused is told as a [`Malformed`] or
//! a [`Fault`]; whether that ends the connection is for the reader's caller to decide.

mod authorize;
pub mod client;
mod configure;
mod difficulty;
mod malformed;
mod notify;
pub mod reply;
mod request;
mod submit;
mod submit_scan;
mod subscribe;
mod upstream;

pub use crate::id::{Id, MAX_ID, OwnedId};
pub use crate::job_id::JobId;
pub use authorize::{Authorize, MAX_PASSWORD, MAX_USER};
pub use configure::{Configure, Granted};
pub use difficulty::Difficulty;
pub use malformed::{Fault, Malformed};
pub use notify::{Notify, NotifyLine, Work};
pub use request::{ClientMessage, Method, Request};
pub use submit::{Extranonce2, MAX_EXTRANONCE2, Submit};
pub use subscribe::{MAX_AGENT, Subscribe};
pub use upstream::{Refusal, Response, ServerMessage, Subscribed};
