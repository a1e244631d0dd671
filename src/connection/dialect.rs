//! The dialect of a port, by the family of its coin: what a connection needs of either.

use std::{sync::Arc, task};

use tokio::time::Instant;

use super::{Context, End, Handled, cryptonote, session::Session};
use crate::{mailbox::Mailbox, template_feed::Offer};

/// The longest line of an authorized miner.
const LINE_MAX: usize = 16 * 1024;
/// The same of one that sends whole blocks of its own node, in hexadecimal.
const LINE_MAX_OF_BLOCKS: usize = 2 * wire::cryptonote::MAX_BLOCK + 4 * 1024;

/// What has been agreed with a peer.
#[expect(
    clippy::large_enum_variant,
    reason = "a process speaks one of them nearly always, and V1 to far more peers"
)]
pub(super) enum Dialect {
    /// Bitcoin's Stratum V1.
    V1(Session),
    /// CryptoNote's.
    CryptoNote(cryptonote::Session),
}

impl Dialect {
    /// Bitcoin's; nothing where another one is spoken.
    pub(super) fn v1(&mut self) -> Option<&mut Session> {
        match self {
            Self::V1(session) => Some(session),
            Self::CryptoNote(_) => None,
        }
    }

    /// Says why it is hung up on, where miners of the dialect know such a text and wait before they come again.
    pub(super) fn tell_ban(&self, out: &mut Vec<u8>) {
        match self {
            Self::V1(_) => {}
            Self::CryptoNote(_) => cryptonote::tell_ban(out),
        }
    }

    pub(super) fn is_authorized(&self) -> bool {
        match self {
            Self::V1(session) => session.is_authorized(),
            Self::CryptoNote(session) => session.miner().is_some(),
        }
    }

    /// The longest line once a miner is authorized.
    pub(super) fn line_max(&self) -> usize {
        match self {
            Self::CryptoNote(session)
                if session
                    .miner()
                    .is_some_and(cryptonote::Miner::brings_blocks) =>
            {
                LINE_MAX_OF_BLOCKS
            }
            _ => LINE_MAX,
        }
    }

    /// The shares that have no answer yet.
    pub(super) fn in_flight(&self) -> usize {
        match self {
            Self::V1(session) => session.in_flight(),
            Self::CryptoNote(session) => session.miner().map_or(0, cryptonote::Miner::in_flight),
        }
    }

    /// When the last share was accepted, or the miner was.
    pub(super) fn last_share_at(&self) -> Option<Instant> {
        match self {
            Self::V1(session) => session.last_share_at(),
            Self::CryptoNote(session) => session.miner().map(cryptonote::Miner::last_share_at),
        }
    }

    /// The first worker that was authorized, for logs.
    pub(super) fn worker(&self) -> Option<String> {
        match self {
            Self::V1(session) => session.worker(),
            Self::CryptoNote(session) => session.miner().map(cryptonote::Miner::worker),
        }
    }

    /// Does what a line asks for and writes the answer.
    pub(super) fn line(
        &mut self,
        line: &[u8],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Handled, End> {
        match self {
            Self::V1(session) => session.line(line, now, out),
            Self::CryptoNote(session) => session.line(line, now, out),
        }
    }

    /// Sends newer work.
    pub(super) fn offer(&mut self, offer: &Offer, out: &mut Vec<u8>) {
        match self {
            Self::V1(session) => session.offer(offer, out),
            Self::CryptoNote(session) => session.offer(offer, out),
        }
    }

    /// Answers the shares that were committed.
    pub(super) fn answers(&mut self, mailbox: &Mailbox, out: &mut Vec<u8>) {
        match self {
            Self::V1(session) => session.answers(mailbox, out),
            Self::CryptoNote(session) => session.answers(mailbox, out),
        }
    }

    /// Ready when a share was verified by others; never where the connection hashes by itself.
    pub(super) fn poll_verified(&mut self, context: &mut task::Context<'_>) -> task::Poll<()> {
        match self {
            Self::V1(_) => task::Poll::Pending,
            Self::CryptoNote(session) => session.poll_verified(context),
        }
    }

    /// Takes the verified shares: the good ones go to the log.
    pub(super) fn take_verified(
        &mut self,
        now: Instant,
        context: &Arc<Context>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Self::CryptoNote(session) = self else {
            return false;
        };
        let mut is_any_good = false;
        while let Some(handled) = session.verified(now, out) {
            if let Handled::Share(entry) = handled {
                is_any_good = true;
                context.share_log.append(entry);
            }
        }
        is_any_good
    }

    /// Time went by.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<u8>) {
        match self {
            Self::V1(session) => session.tick(now, out),
            Self::CryptoNote(session) => session.tick(now, out),
        }
    }
}
