//! Why a connection is over, and whether its miner may take up the session again.

use std::{io, sync::Arc};

use wire::line::TooLong;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("closed by the miner")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    TooLong(#[from] TooLong),
    #[error("not authorized in time")]
    Handshake,
    #[error("silent for too long")]
    Idle,
    #[error("no share for too long")]
    Shareless,
    #[error("too many messages")]
    Flood,
    #[error("does not read what it is sent")]
    DoesNotRead,
    #[error("too many lines that make no sense")]
    Malformed,
    #[error("no work: {0}")]
    NoWork(Arc<str>),
    #[error("no extranonce left")]
    NoExtranonce,
    #[error("the login was refused")]
    LoginRefused,
    #[error("banned for invalid shares")]
    Banned,
    #[error("the pool is stopping")]
    Stopping,
    #[error("the settings have changed since the run before")]
    OtherSettings,
}

impl End {
    /// Whether the miner may take its session up again: not one that was thrown out.
    pub(super) fn leaves_a_session(&self) -> bool {
        match self {
            Self::Closed
            | Self::Io(_)
            | Self::Idle
            | Self::Shareless
            | Self::DoesNotRead
            | Self::NoWork(_)
            | Self::Stopping => true,
            Self::TooLong(_)
            | Self::Handshake
            | Self::Flood
            | Self::Malformed
            | Self::NoExtranonce
            | Self::LoginRefused
            | Self::OtherSettings
            | Self::Banned => false,
        }
    }
}
