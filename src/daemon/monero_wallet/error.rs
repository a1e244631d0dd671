//! Why a Monero wallet has not done what it was asked, by the numbers of its RPC:
//! `wallet_rpc_server_error_codes.h`.

use crate::daemon::CallError;

/// Why a call of a wallet has no result. Nothing was sent, unless it was told to relay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// It has enough, but not all of it can be spent yet: blocks and change have to become deeper.
    #[error("what it has is not all unlocked yet: {0}")]
    Locked(String),
    /// It has too little.
    #[error("it has too little: {0}")]
    NotEnough(String),
    /// Its daemon is not to be reached.
    #[error("the wallet does not reach its daemon: {0}")]
    NoDaemon(String),
    /// Its daemon fetches the chain.
    #[error("the wallet's daemon is busy: {0}")]
    Busy(String),
    /// No wallet is open.
    #[error("no wallet is open: start monero-wallet-rpc with --wallet-file")]
    NotOpen,
    /// The wallet is of another network than the pool.
    #[error("the wallet is of another coin or network: {0}")]
    Network(String),
    /// It has no keys that spend.
    #[error("the wallet cannot spend: it only watches")]
    WatchOnly,
    /// It does not know an address.
    #[error("the wallet does not know an address: {0}")]
    Address(String),
    /// It knows no transaction of this id.
    #[error("the wallet does not know the transaction")]
    UnknownTransaction,
    /// It cannot make or send the transaction.
    #[error("{0}")]
    Transfer(String),
    /// It did not answer, or not with that.
    #[error(transparent)]
    Call(CallError),
}

impl From<CallError> for WalletError {
    fn from(failure: CallError) -> Self {
        let CallError::Rpc { code, message } = failure else {
            return Self::Call(failure);
        };
        match code {
            // Wrong address, a payment id in the wrong place.
            -2 | -5 => Self::Address(message),
            -3 => Self::Busy(message),
            -8 => Self::UnknownTransaction,
            -13 => Self::NotOpen,
            -17 => Self::NotEnough(message),
            -29 => Self::WatchOnly,
            -37 => Self::Locked(message),
            -38 => Self::NoDaemon(message),
            // Not possible, too large, too few others to hide among, no amount, cannot be relayed.
            -4 | -16 | -18 | -19 | -46 => Self::Transfer(message),
            _ => Self::Call(CallError::Rpc { code, message }),
        }
    }
}

/// For where only a daemon's faults are told apart.
impl From<WalletError> for CallError {
    fn from(failure: WalletError) -> Self {
        match failure {
            WalletError::Call(failure) => failure,
            other => Self::NotConnected(format!("the wallet: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_wallet_say_what_to_do() {
        #[track_caller]
        fn case(code: i64, expected: fn(String) -> WalletError) {
            let failure = CallError::Rpc {
                code,
                message: "x".into(),
            };
            assert_eq!(WalletError::from(failure), expected("x".into()));
        }
        case(-37, WalletError::Locked);
        case(-17, WalletError::NotEnough);
        case(-38, WalletError::NoDaemon);
        case(-3, WalletError::Busy);
        case(-2, WalletError::Address);
        case(-5, WalletError::Address);
        case(-13, |_| WalletError::NotOpen);
        case(-8, |_| WalletError::UnknownTransaction);
        case(-29, |_| WalletError::WatchOnly);
        for code in [-4, -16, -18, -19, -46] {
            case(code, WalletError::Transfer);
        }
        case(-1, |message| {
            WalletError::Call(CallError::Rpc { code: -1, message })
        });
        let down = CallError::Unreachable("refused".into());
        assert_eq!(WalletError::from(down.clone()), WalletError::Call(down));
    }
}
