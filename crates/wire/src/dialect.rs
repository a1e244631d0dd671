//! Which of the two dialects a first line is of, where a port has miners of both.
//!
//! Called by the listener, which leaves the line to whoever serves the dialect. A line that cannot be
//! read, or asks for what neither has, is of none.

use crate::{cryptonote, envelope::Envelope};

/// What a miner speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Bitcoin's Stratum V1: its methods begin with `mining.`.
    Sv1,
    /// The one of Monero's miners: `login` comes first.
    CryptoNote,
}

impl Dialect {
    /// By a line without its newline.
    pub fn of(line: &[u8]) -> Option<Self> {
        let envelope = Envelope::parse(std::str::from_utf8(line).ok()?)?;
        let method = envelope.method().string(usize::MAX)?;
        match () {
            () if method.starts_with("mining.") => Some(Self::Sv1),
            () if cryptonote::Method::parse(&method).is_some() => Some(Self::CryptoNote),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_tells_the_dialect_and_nothing_else_does() {
        let case = |line: &str, expected| {
            assert_eq!(Dialect::of(line.as_bytes()), expected, "{line}");
        };
        let (sv1, cryptonote) = (Some(Dialect::Sv1), Some(Dialect::CryptoNote));
        case(r#"{"id":1,"method":"mining.subscribe","params":[]}"#, sv1);
        case(r#"{"id":1,"method":"mining.configure"}"#, sv1);
        case(r#" {"params":{},"method":"login"}"#, cryptonote);
        case(r#"{"method":"\u006cogin"}"#, cryptonote);
        case(r#"{"method":"keepalived","id":1}"#, cryptonote);
        case(r#"{"method":"getwork"}"#, None);
        case(r#"{"method":"mining"}"#, None);
        case(r#"{"params":["login","mining.subscribe"]}"#, None);
        case(r#"{"method":"login","method":"mining.subscribe"}"#, None);
        case(r#"{"method":["login"]}"#, None);
        case("login", None);
        case("", None);
        assert_eq!(Dialect::of(&[0xff, b'{', b'}']), None);
    }
}
