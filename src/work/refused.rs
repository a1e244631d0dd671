//! Why a worker of HTTP is refused: the status and the text, which older programs read.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use mining::share::Reject;
use wire::work::BadBody;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0}")]
    Body(#[from] BadBody),
    #[error("{0}")]
    Address(String),
    #[error("no worker_id given")]
    NoWorkerId,
    #[error("worker {0} is registered already")]
    Registered(String),
    #[error("worker {0} is unknown: register first")]
    Unknown(String),
    #[error("the token is not that of worker {0}")]
    Token(String),
    #[error("as many workers as there may be")]
    Full,
    #[error("as many workers from there as there may be")]
    Crowded,
    #[error("no work: {0}")]
    NoWork(String),
    #[error("no job can be made of the newest work")]
    NoJob,
    #[error("stale job id")]
    StaleJob,
    #[error("nonce: this coin has 32 bits of it")]
    NonceTooLong,
    #[error("extra_nonce: yours are from {0} to below {1}")]
    OutOfRange(u32, u32),
    #[error("wallet_address is not the one that was registered")]
    OtherWallet,
    #[error("share misses its target")]
    Misses,
    #[error("{0}")]
    Share(Reject),
    #[error("worker {0} is banned")]
    Banned(String),
    #[error("over the rate limit of {0} shares a second")]
    Rate(u32),
    #[error("too many shares wait to be verified")]
    Throttled,
    #[error("share not stored, try again")]
    NotStored,
    #[error("workers cannot be listed now")]
    NotListed,
    #[error("metrics are asked for by GET")]
    NoCall,
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::Banned(_) => StatusCode::FORBIDDEN,
            Self::Rate(_) | Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::Full
            | Self::Crowded
            | Self::NoWork(_)
            | Self::NoJob
            | Self::NotStored
            | Self::NotListed => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoCall => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<Reject> for Refused {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::UnknownJob | Reject::Stale => Self::StaleJob,
            Reject::LowDifficulty => Self::Misses,
            Reject::TooMany => Self::Throttled,
            other => Self::Share(other),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let text = (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        let headers: [(HeaderName, HeaderValue); 1] = [text];
        (self.status(), headers, self.to_string()).into_response()
    }
}
