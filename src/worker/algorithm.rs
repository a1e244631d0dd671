//! What a worker hashes, by the names of `--algorithm` and of the wire; it says which dialect is spoken
//! where lines are.

use std::{fmt, str::FromStr};

use mining::cryptonote::address::{Address, Tags};
use pow::{
    ProofOfWork,
    randomx::{NoCache, Variant},
};

/// A proof of work that this version computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// A header of Bitcoin's family; spoken is Stratum V1.
    Header(pow::Algorithm),
    /// A blob of CryptoNote's family; spoken is the Stratum of Monero's miners.
    RandomX(Variant),
    /// A message of Vision's family, which is told over HTTP alone.
    VisionX,
}

/// Why a name is none that can be mined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMined {
    /// Nobody's name.
    #[error("known are sha256d, scrypt, rx/0 and visionx")]
    Unknown,
    /// Known, and not computed: it is never computed as something else.
    #[error("{0}")]
    NotComputed(NoCache),
}

impl Algorithm {
    /// What to begin with where nothing is said, from whom the pool is to pay: a Monero address is mined
    /// for with `rx/0`, all others with SHA-256d.
    pub fn of_user(user: &str) -> Self {
        let address = user.split(['.', '+']).next().unwrap_or_default();
        let networks = [Tags::MONERO, Tags::MONERO_STAGE, Tags::MONERO_TEST];
        let is_monero = |tags: &Tags| Address::parse(tags, address).is_ok();
        match networks.iter().any(is_monero) {
            true => Self::RandomX(Variant::Rx0),
            false => Self::Header(pow::Algorithm::Sha256d),
        }
    }

    /// The name on the wire, in configuration and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Header(algorithm) => algorithm.name(),
            Self::RandomX(variant) => variant.name(),
            Self::VisionX => ProofOfWork::VisionX.name(),
        }
    }
}

impl From<pow::Algorithm> for Algorithm {
    fn from(algorithm: pow::Algorithm) -> Self {
        Self::Header(algorithm)
    }
}

impl FromStr for Algorithm {
    type Err = NotMined;

    fn from_str(name: &str) -> Result<Self, NotMined> {
        let headers = [pow::Algorithm::Sha256d, pow::Algorithm::Scrypt];
        if let Some(algorithm) = headers.into_iter().find(|it| it.name() == name) {
            return Ok(Self::Header(algorithm));
        }
        if name == Self::VisionX.name() {
            return Ok(Self::VisionX);
        }
        let variant = Variant::called(name).ok_or(NotMined::Unknown)?;
        if !variant.is_computed() {
            return Err(NotMined::NotComputed(NoCache::NotComputed(variant)));
        }
        Ok(Self::RandomX(variant))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONERO: &str = "41yTY1oyTkuFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZFFrxKKg";

    #[test]
    fn names_are_read_and_what_is_not_computed_is_told_from_what_is_unknown() {
        for (name, algorithm) in [
            ("sha256d", Algorithm::Header(pow::Algorithm::Sha256d)),
            ("scrypt", Algorithm::Header(pow::Algorithm::Scrypt)),
            ("rx/0", Algorithm::RandomX(Variant::Rx0)),
            ("randomx", Algorithm::RandomX(Variant::Rx0)),
            ("visionx", Algorithm::VisionX),
        ] {
            assert_eq!(name.parse(), Ok(algorithm), "{name}");
            assert_eq!(algorithm.name().parse(), Ok(algorithm), "{name}");
        }
        for name in ["rx/2", "rx/wow"] {
            let refused = name.parse::<Algorithm>().unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("{name} is known, but this version of adit cannot compute it")
            );
        }
        for name in ["", "RX/0", "cn/r", "x11"] {
            assert_eq!(name.parse::<Algorithm>(), Err(NotMined::Unknown), "{name}");
        }
    }

    #[test]
    fn a_monero_address_is_mined_for_with_its_proof_of_work() {
        let randomx = Algorithm::RandomX(Variant::Rx0);
        for more in ["", ".rig", "+5000", ".rig+5000"] {
            assert_eq!(Algorithm::of_user(&format!("{MONERO}{more}")), randomx);
        }
        let damaged = MONERO.replace("41yT", "41yU");
        for user in ["bcrt1qaddress.rig", "somebody", "", &damaged] {
            let header = Algorithm::Header(pow::Algorithm::Sha256d);
            assert_eq!(Algorithm::of_user(user), header, "{user}");
        }
    }
}
