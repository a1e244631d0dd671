//! What went wrong with a request, as every route answers it, and the reading of bodies.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use mining::address::ADDRESS_LEN_MAX;
use serde::{Serialize, de::DeserializeOwned};
use store::{ReadError, SettingsError, SubscribeError, WriteError};
use utoipa::{IntoResponses, ToSchema};

/// Whoever sends 8 KiB slower than that has something else in mind.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// An error as every route answers it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Error {
    pub(crate) error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// For programs; the list is in docs/api.md.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
}

/// A request that is not done, and why.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// When to try again, in seconds.
    retry_after_s: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after_s: None,
        }
    }

    /// It comes too soon after others; it may come again after this time.
    pub(crate) fn too_fast(wait: Duration, message: &str) -> Self {
        let seconds = wait.as_secs() + 1;
        let message = format!("{message}; try again in {seconds} s");
        Self {
            retry_after_s: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_fast", message)
        }
    }

    /// The pools of a node are being started anew.
    pub(super) fn switching() -> Self {
        let message = "the node is being switched; try again in a second";
        Self {
            retry_after_s: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "switching", message)
        }
    }

    /// An answer with the headers of this problem's own.
    pub(crate) fn with_its_headers(&self, response: Response) -> Response {
        with_headers(response, self.status, self.retry_after_s)
    }

    /// Its status in HTTP.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What it says to people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The request makes no sense.
    pub(super) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// No coin has an address of so many characters.
    pub(crate) fn long_address() -> Self {
        let message = format!("an address has at most {ADDRESS_LEN_MAX} characters");
        Self::bad("bad_address", message)
    }

    /// It makes sense, but what it names is not there.
    pub(super) fn unknown(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Nothing of what was named is here.
    pub(super) fn nothing() -> Self {
        Self::unknown("not_found", "there is nothing here")
    }

    /// Nobody can log in here.
    pub(crate) fn no_login() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "nobody can log in here")
    }

    /// A page of another origin sent a form.
    pub(crate) fn other_origin() -> Self {
        let message = "this form was not sent by a page of this pool. Behind a reverse proxy, set \
                       http.url to where people find the pool, or let the proxy pass the Host on";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// A form makes no sense.
    pub(crate) fn bad_form() -> Self {
        Self::bad("bad_form", "the form makes no sense")
    }

    /// There is no such pool.
    pub(crate) fn no_pool() -> Self {
        Self::unknown("unknown_pool", "there is no pool of this name here")
    }

    /// It does not go with what is.
    pub(super) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// One of its fields has a value that it cannot have.
    pub(super) fn field(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// The store could not be read or written.
    pub(crate) fn unavailable(cause: &anyhow::Error) -> Self {
        tracing::warn!(
            error = format!("{cause:#}"),
            "a request could not be answered"
        );
        let message = "the store cannot be used; try again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::unavailable(&error.into())
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        Self::unavailable(&error.into())
    }
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Used(_) => Self::conflict("number_used", error.to_string()),
            SettingsError::TooSoon(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_soon", error.to_string())
            }
            SettingsError::Entry(store::EntryError::Amount(_)) => {
                Self::field("bad_threshold", error.to_string())
            }
            SettingsError::Entry(error) => Self::unavailable(&error.into()),
        }
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        let code = match error {
            SubscribeError::Settings(error) => return error.into(),
            SubscribeError::TooOften => {
                let message = error.to_string();
                return Self::new(StatusCode::TOO_MANY_REQUESTS, "too_often", message);
            }
            SubscribeError::TooMany(_) => "too_many",
            SubscribeError::Twice(_) => "twice",
            SubscribeError::Full => "full",
        };
        Self::conflict(code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = ErrorBody {
            code: self.code,
            message: self.message,
        };
        let (status, retry_after_s) = (self.status, self.retry_after_s);
        let response = (status, Json(Error { error })).into_response();
        with_headers(response, status, retry_after_s)
    }
}

fn with_headers(mut response: Response, status: StatusCode, wait_s: Option<u64>) -> Response {
    let headers = response.headers_mut();
    if let Some(seconds) = wait_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        headers.insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

/// A body of JSON, within the limits of size and time.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = tokio::time::timeout(BODY_WITHIN, Json::from_request(request, state));
        let Ok(read) = read.await else {
            let message = "the body did not come within 10 seconds";
            return Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                message,
            ));
        };
        match read {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(refusal(&rejection)),
        }
    }
}

fn refusal(rejection: &JsonRejection) -> Problem {
    let status = rejection.status();
    let code = match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "not_json",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNPROCESSABLE_ENTITY => "bad_field",
        _ => "bad_json",
    };
    Problem::new(status, code, rejection.body_text())
}

/// What a question about a miner is answered with when it is not answered.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description of the API alone")]
pub(super) enum MinerProblems {
    /// The address, a block, a limit or a cursor makes no sense.
    #[response(status = 400)]
    Bad(#[to_schema] Error),
    /// Nobody mined here for this address, or what is asked for is not there.
    #[response(status = 404)]
    Unknown(#[to_schema] Error),
    /// The store cannot be read now.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}

/// What a question about a pool is answered with when it is not answered.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description of the API alone")]
pub(super) enum PoolProblems {
    /// A limit, a cursor or a span makes no sense.
    #[response(status = 400)]
    Bad(#[to_schema] Error),
    /// There is no such pool, or what is asked for is not there.
    #[response(status = 404)]
    Unknown(#[to_schema] Error),
    /// The store cannot be read now.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}

/// What a wish of a miner is answered with when nothing is done.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description of the API alone")]
pub(super) enum WishProblems {
    /// The address or the JSON makes no sense, or the pool must be named.
    #[response(status = 400)]
    Bad(#[to_schema] Error),
    /// The signature does not show that the owner of the address signed this.
    #[response(status = 403)]
    NotSigned(#[to_schema] Error),
    /// Nobody mined here for this address, or there is no such pool.
    #[response(status = 404)]
    Unknown(#[to_schema] Error),
    /// The body did not come in time.
    #[response(status = 408)]
    Slow(#[to_schema] Error),
    /// The number was used, or there is nothing that could be paid.
    #[response(status = 409)]
    Conflict(#[to_schema] Error),
    /// The body is above 8 KiB.
    #[response(status = 413)]
    TooLarge(#[to_schema] Error),
    /// The body is not declared as JSON.
    #[response(status = 415)]
    NotJson(#[to_schema] Error),
    /// A field is missing, unknown, or has a value that it cannot have.
    #[response(status = 422)]
    Field(#[to_schema] Error),
    /// The last change was less than a second ago.
    #[response(status = 429)]
    TooSoon(#[to_schema] Error),
    /// The store cannot be used now.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}

/// What an operator's call is answered with when it is not done.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "for the description of the API alone")]
pub(super) enum OperatorProblems {
    /// It makes no sense.
    #[response(status = 400)]
    Bad(#[to_schema] Error),
    /// It shows no key of this pool, and does not come from its own machine.
    #[response(status = 401)]
    NoKey(#[to_schema] Error),
    /// It shows no key, and a page of somebody else's may have made a browser of this machine ask.
    #[response(status = 403)]
    Forbidden(#[to_schema] Error),
    /// There is nothing here.
    #[response(status = 404)]
    Unknown(#[to_schema] Error),
    /// The body is not declared as JSON.
    #[response(status = 415)]
    NotJson(#[to_schema] Error),
    /// A field is missing, unknown, or has a value that it cannot have.
    #[response(status = 422)]
    Field(#[to_schema] Error),
    /// Too many requests, or too many wrong keys.
    #[response(status = 429)]
    TooFast(#[to_schema] Error),
    /// The store cannot be used now.
    #[response(status = 503)]
    Unavailable(#[to_schema] Error),
}
