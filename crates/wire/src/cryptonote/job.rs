//! A job, as a pool writes it.
//!
//! The miner hangs up when it gets the same job twice, when RandomX's `algo` or `seed_hash` is missing,
//! and when the blob is no blob; so none of them is optional here, and that no two are the same is for
//! whoever makes jobs to see to.

use crate::hex;
use crate::job_id::JobId;
use crate::json::{push_integer, push_string};

/// What a miner needs to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job<'a> {
    /// What there is to hash.
    pub work: Work<'a>,
    pub job_id: JobId,
    /// 4 or 8 bytes in the order of the wire.
    pub target: &'a [u8],
    /// `rx/0` and its like.
    pub algorithm: &'a str,
    pub height: u64,
    /// The key of RandomX.
    pub seed_hash: [u8; 32],
    /// The next one, once it is known.
    pub next_seed_hash: Option<[u8; 32]>,
}

/// What there is to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work<'a> {
    /// The hashing blob; zeros for the nonce, or the miner keeps its last byte as NiceHash's.
    Blob(&'a [u8]),
    /// A block of the miner's own node, which it has to send before its shares (`self-select`).
    Own {
        /// Whom the block has to pay.
        pool_wallet: &'a str,
        /// What its miner's transaction has to bear.
        extra_nonce: &'a [u8],
    },
}

/// What a pool announces that it knows, with the login's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Shares and jobs name their algorithm.
    pub algorithm: bool,
    /// A miner may send `keepalived`, and does so each minute.
    pub keep_alive: bool,
    /// The last byte of the nonce is not the miner's.
    pub nicehash: bool,
    /// The miner may be sent elsewhere.
    pub connect: bool,
}

impl Extensions {
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (self.algorithm, "algo"),
            (self.keep_alive, "keepalive"),
            (self.nicehash, "nicehash"),
            (self.connect, "connect"),
        ]
        .into_iter()
        .filter_map(|(is_known, name)| is_known.then_some(name))
    }

    /// With one more that is named; what nobody knows is passed over.
    pub(super) fn with(mut self, name: &str) -> Self {
        match name {
            "algo" => self.algorithm = true,
            "keepalive" => self.keep_alive = true,
            "nicehash" => self.nicehash = true,
            "connect" => self.connect = true,
            _ => {}
        }
        self
    }
}

impl Job<'_> {
    /// The object alone.
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        match self.work {
            Work::Blob(blob) => {
                out.extend_from_slice(br#"{"blob":""#);
                hex::push(out, blob);
            }
            Work::Own {
                pool_wallet,
                extra_nonce,
            } => {
                out.extend_from_slice(br#"{"pool_wallet":"#);
                push_string(out, pool_wallet);
                out.extend_from_slice(br#","extra_nonce":""#);
                hex::push(out, extra_nonce);
            }
        }
        out.extend_from_slice(br#"","job_id":""#);
        self.job_id.push(out);
        out.extend_from_slice(br#"","target":""#);
        hex::push(out, self.target);
        out.extend_from_slice(br#"","algo":"#);
        push_string(out, self.algorithm);
        out.extend_from_slice(br#","height":"#);
        push_integer(out, self.height);
        out.extend_from_slice(br#","seed_hash":""#);
        hex::push(out, &self.seed_hash);
        if let Some(next) = &self.next_seed_hash {
            out.extend_from_slice(br#"","next_seed_hash":""#);
            hex::push(out, next);
        }
        out.extend_from_slice(br#""}"#);
    }

    /// The line of a new job, newline included.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"job","params":"#);
        self.push(out);
        out.extend_from_slice(b"}\n");
    }
}
