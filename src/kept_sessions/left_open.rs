//! Connections that the next run goes on with: their sockets wait with systemd
//! (`src/systemd.rs`), and what was agreed with their miners waits here, in the file of the sessions.
//! A miner notices nothing: its extranonce, its jobs and its difficulty stay.
//!
//! A socket without an entry, or an entry without a socket, comes to nothing: that miner connects anew.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What was agreed on a connection, for the same socket in another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOpen {
    /// This end of the socket, and the other.
    pub ends: (SocketAddr, SocketAddr),
    /// The miner, which is not the other end behind a balancer.
    pub peer: SocketAddr,
    /// The session's name.
    pub session: String,
    /// Its extranonce1.
    pub extranonce1: [u8; 4],
    /// The bytes of extranonce2 that its miner was told.
    pub extranonce2_size: usize,
    /// What the device calls itself.
    pub agent: String,
    /// The version bits it may roll.
    pub version_mask: Option<u32>,
    /// Its difficulty, in steps.
    pub difficulty: u64,
    /// What it asked for, in steps.
    pub wishes: [Option<u64>; 5],
    /// Who was authorized, the first one first.
    pub workers: Vec<LeftWorker>,
    /// What was read and not yet answered, in hexadecimal digits: the beginning of a line as a rule.
    pub unread: String,
}

/// A worker of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftWorker {
    /// The name as the miner writes it.
    pub user: String,
    /// Whom it works for.
    pub address: String,
    /// What the worker is called.
    pub worker: String,
}
