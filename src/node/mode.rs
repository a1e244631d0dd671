//! What a node does: it mines alone, hosts a pool, or has joined one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It mines alone, for its own address.
    #[default]
    Solo,
    /// It hosts a pool for others.
    Host,
    /// It mines at another pool.
    Join,
}

/// A text that names no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mode {0}")]
pub struct UnknownMode(String);

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Solo, Self::Host, Self::Join];

    /// As settings and the command have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Solo => "solo",
            Self::Host => "host",
            Self::Join => "join",
        }
    }

    /// As programs of Vision's have it.
    pub fn long_name(self) -> &'static str {
        match self {
            Self::Solo => "solo",
            Self::Host => "host_pool",
            Self::Join => "join_pool",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads all that was ever written for one, in letters of any size.
impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let plain: String = text
            .chars()
            .filter(|letter| *letter != '_')
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        match &*plain {
            "solo" => Ok(Self::Solo),
            "host" | "hostpool" => Ok(Self::Host),
            "join" | "joinpool" | "worker" => Ok(Self::Join),
            _ => Err(UnknownMode(text.chars().take(32).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_by_all_its_names_and_by_no_other() {
        for (texts, mode) in [
            (&["solo", "Solo", "SOLO"][..], Mode::Solo),
            (&["host", "HostPool", "host_pool"], Mode::Host),
            (&["join", "JoinPool", "join_pool", "worker"], Mode::Join),
        ] {
            for text in texts {
                assert_eq!(text.parse(), Ok(mode), "{text}");
            }
            assert_eq!(mode.long_name().parse(), Ok(mode));
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        for text in ["", "farm", "solo ", "hosts", "host-pool"] {
            assert_eq!(text.parse::<Mode>(), Err(UnknownMode(text.into())));
        }
    }
}
