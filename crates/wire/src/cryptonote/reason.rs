//! The texts of a refusal, each in the words that users search for and miners act on.
//!
//! XMRig compares the beginning of a text, in upper and lower case, with four that make it hang up and
//! log in again. Whoever only refuses a share must not use one of those.

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The hash does not meet the target. The miner counts a rejected share and goes on.
    LowDifficulty,
    /// The share's job is over: another block was found. Rejected, and on it goes.
    BlockExpired,
    /// The same share again. Rejected, and on it goes.
    Duplicate,
    /// The claimed result is not the hash. Rejected, and on it goes; a miner with bad memory sends
    /// these.
    InvalidResult,
    /// A nonce outside the part that is the miner's in NiceHash's mode. Rejected, and on it goes.
    InvalidNonce,
    /// Another algorithm than the job's. Rejected, and on it goes.
    IncorrectAlgorithm,
    /// More shares than can be verified. Rejected, and on it goes; the user reads what to do.
    Throttled,
    /// More shares for one job than are kept. Rejected, and on it goes.
    TooManyForJob,
    /// The share could not be judged, through a fault of the pool. Rejected, and on it goes.
    BadGateway,
    /// A method nobody knows. Rejected, and on it goes.
    InvalidMethod,
    /// A job id that was never given on this connection. **The miner hangs up and logs in again**, so
    /// never for one that is merely over.
    InvalidJobId,
    /// A request before the login, or with another's session. **The miner hangs up and logs in again.**
    Unauthenticated,
    /// **The miner hangs up** and comes again after its pause.
    Banned,
    /// To a login without an address. XMRig shows it and stays on the open connection doing nothing,
    /// as with all that follow: hang up after the answer.
    NoLogin,
    /// To a login with an address that cannot be paid here.
    InvalidAddress,
    /// To a second login on one connection.
    DoubleLogin,
    /// To a miner that knows none of our algorithms.
    NoAlgorithm,
    /// To more logins than are let in.
    LoginRate,
    /// To more workers of one address than are let in.
    TooManyWorkers,
    /// To a login where no part of the reserve is free.
    NoExtranonce,
    /// To a login before the daemon gave a template.
    NoTemplate,
    /// To a login that may not use this port.
    PermissionDenied,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::LowDifficulty,
        Self::BlockExpired,
        Self::Duplicate,
        Self::InvalidResult,
        Self::InvalidNonce,
        Self::IncorrectAlgorithm,
        Self::Throttled,
        Self::TooManyForJob,
        Self::BadGateway,
        Self::InvalidMethod,
        Self::InvalidJobId,
        Self::Unauthenticated,
        Self::Banned,
        Self::NoLogin,
        Self::InvalidAddress,
        Self::DoubleLogin,
        Self::NoAlgorithm,
        Self::LoginRate,
        Self::TooManyWorkers,
        Self::NoExtranonce,
        Self::NoTemplate,
        Self::PermissionDenied,
    ];

    /// What the miner is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::LowDifficulty => "Low difficulty share",
            Self::BlockExpired => "Block expired",
            Self::Duplicate => "Duplicate share",
            Self::InvalidResult => "Rejected share: invalid result",
            Self::InvalidNonce => "Invalid nonce; is miner not compatible with NiceHash?",
            Self::IncorrectAlgorithm => "Incorrect algorithm",
            Self::Throttled => "Throttled down share submission (please increase difficulty)",
            Self::TooManyForJob => {
                "Too many share submissions for the current job. Wait for a new job."
            }
            Self::BadGateway => "Bad gateway",
            Self::InvalidMethod => "Invalid method",
            Self::InvalidJobId => "Invalid job id",
            Self::Unauthenticated => "Unauthenticated",
            Self::Banned => "Your IP is banned",
            Self::NoLogin => "No login specified",
            Self::InvalidAddress => "Invalid payment address provided",
            Self::DoubleLogin => "No double login is allowed",
            Self::NoAlgorithm => "No compatible algorithm found, change algo option in your miner.",
            Self::LoginRate => "Rate limit exceeded for login requests",
            Self::TooManyWorkers => {
                "Temporary ban since you connected too many workers. Please use proxy"
            }
            Self::NoExtranonce => "Not enough extranonces. Switch to other pool node.",
            Self::NoTemplate => "No block template yet. Please wait.",
            Self::PermissionDenied => "Permission denied",
        }
    }

    /// Whether the miner hangs up by itself.
    pub fn ends_connection(self) -> bool {
        ends_connection(self.text())
    }

    /// Whether the miner stays on and does nothing: the pool has to hang up after the answer.
    pub fn refuses_login(self) -> bool {
        matches!(
            self,
            Self::NoLogin
                | Self::InvalidAddress
                | Self::DoubleLogin
                | Self::NoAlgorithm
                | Self::LoginRate
                | Self::TooManyWorkers
                | Self::NoExtranonce
                | Self::NoTemplate
                | Self::PermissionDenied
        )
    }
}

/// What a text of any pool's begins with that makes XMRig hang up.
const ENDINGS: [&str; 4] = [
    "Unauthenticated",
    "your IP is banned",
    "IP Address currently banned",
    "Invalid job id",
];

/// Whether a refusal of any pool means that the connection is of no more use.
pub(super) fn ends_connection(text: &str) -> bool {
    ENDINGS.iter().any(|ending| {
        text.as_bytes()
            .get(..ending.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(ending.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_reasons_end_a_connection_and_no_other() {
        let ending: Vec<_> = Reason::ALL
            .into_iter()
            .filter(|reason| reason.ends_connection())
            .collect();
        let expected = [
            Reason::InvalidJobId,
            Reason::Unauthenticated,
            Reason::Banned,
        ];
        assert_eq!(ending, expected);
        assert!(ending.iter().all(|reason| !reason.refuses_login()));
    }

    #[test]
    fn each_reason_has_a_text_of_its_own() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            let others = Reason::ALL[..place].iter();
            assert!(others.clone().all(|other| other.text() != reason.text()));
            assert!(reason.text().is_ascii());
        }
    }

    #[test]
    fn a_text_is_compared_by_its_beginning_in_any_case() {
        let case = |text: &str, expected| assert_eq!(ends_connection(text), expected, "{text}");
        case("Invalid job id", true);
        case("invalid JOB id 17", true);
        case("Your IP is banned", true);
        case("IP Address currently banned, sorry", true);
        case("unauthenticated", true);
        case("invalid jobid", false);
        case("Invalid job", false);
        case("Block expired", false);
        case("Error: Unauthenticated", false);
        case("", false);
        // Cut inside a character.
        case("Invalid job i\u{111}", false);
    }
}
