//! What the pool signs: the statement of a day, and the promise that a share has its place in the log
//! of a day that has not ended. BIP 340 signatures by one key.

use std::{fmt, str::FromStr};

use bitcoin::{
    key::Keypair,
    secp256k1::{self, Message, Secp256k1, XOnlyPublicKey, schnorr},
};

use super::{
    Digest, Issuer, Log, Sum,
    digest::{Tag, read_hex, write_hex},
};
use crate::{Work, date::Date};

const DAY: Tag = Tag::new("adit/receipt/day");
const PROMISE: Tag = Tag::new("adit/receipt/promise");

/// What the pool says of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Who says it.
    pub issuer: Issuer,
    /// The day.
    pub date: Date,
    /// The shares of its log: at least one.
    pub shares: u64,
    /// Their work.
    pub work: Work,
    /// The root of the log.
    pub root: Digest,
    /// The miners of that day.
    pub accounts: u64,
    /// The root of their sums.
    pub accounts_root: Digest,
    /// The digest of the statement before; nothing for the first. A day without shares has none.
    pub previous: Option<Digest>,
}

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// A signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// The pool's key.
#[derive(Clone)]
pub struct SecretKey(Keypair);

/// A statement that is signed. Whether it is rightly so says [`verify`](Self::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStatement {
    /// What is said.
    pub statement: Statement,
    /// Who signs.
    pub key: PublicKey,
    /// By what.
    pub signature: Signature,
}

/// A signature that is not that of the key, or of something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not that of this key for this text")]
pub struct BadSignature;

impl Statement {
    /// Whose log it is.
    pub fn log(&self) -> Log {
        Log::new(&self.issuer, self.date)
    }

    /// What is signed, and what the next statement names.
    pub fn digest(&self) -> Digest {
        DAY.of(&[self.to_string().as_bytes()])
    }

    /// The root of the miners' sums, as it has to be.
    pub fn sum(&self) -> Sum {
        Sum {
            digest: self.accounts_root,
            shares: self.shares,
            work: self.work,
        }
    }
}

impl fmt::Display for Statement {
    /// Lines with a newline between them, and none behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "adit day")?;
        writeln!(f, "pool: {}", self.issuer.pool())?;
        writeln!(f, "coin: {} {}", self.issuer.coin(), self.issuer.network())?;
        writeln!(f, "date: {}", self.date)?;
        writeln!(f, "shares: {}", self.shares)?;
        writeln!(f, "work: {}", self.work.hashes())?;
        writeln!(f, "root: {}", self.root)?;
        writeln!(f, "accounts: {}", self.accounts)?;
        writeln!(f, "accounts root: {}", self.accounts_root)?;
        match self.previous {
            Some(previous) => write!(f, "previous: {previous}"),
            None => write!(f, "previous: none"),
        }
    }
}

/// A text that no pool signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the statement of a day as it has to be written")]
pub struct NotAStatement;

impl FromStr for Statement {
    type Err = NotAStatement;

    fn from_str(text: &str) -> Result<Self, NotAStatement> {
        let statement = parse(text).ok_or(NotAStatement)?;
        // There is one way to write it.
        (statement.to_string() == text)
            .then_some(statement)
            .ok_or(NotAStatement)
    }
}

fn parse(text: &str) -> Option<Statement> {
    let mut lines = text.split('\n').skip(1);
    let mut next = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ");
    let pool = next("pool")?;
    let (coin, network) = next("coin")?.split_once(' ')?;
    Some(Statement {
        issuer: Issuer::new(pool, coin, network).ok()?,
        date: next("date")?.parse().ok()?,
        shares: next("shares")?.parse().ok()?,
        work: Work::from_hashes(next("work")?.parse().ok()?),
        root: next("root")?.parse().ok()?,
        accounts: next("accounts")?.parse().ok()?,
        accounts_root: next("accounts root")?.parse().ok()?,
        previous: match next("previous")? {
            "none" => None,
            digest => Some(digest.parse().ok()?),
        },
    })
}

impl SecretKey {
    /// A new one.
    pub fn random() -> Self {
        let mut random = secp256k1::rand::rngs::OsRng;
        Self(Keypair::new(&Secp256k1::new(), &mut random))
    }

    /// From its 32 bytes; nothing for those few that are no key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let pair = Keypair::from_seckey_slice(&Secp256k1::new(), bytes);
        pair.ok().map(Self)
    }

    /// Its 32 bytes, to be kept where nobody else reads them.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.secret_bytes()
    }

    /// By which others know it.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.x_only_public_key().0.serialize())
    }

    /// Signs a statement; the same one always in the same way.
    pub fn sign(&self, statement: Statement) -> SignedStatement {
        SignedStatement {
            key: self.public(),
            signature: self.sign_digest(statement.digest()),
            statement,
        }
    }

    /// Promises that a share has this place in the log it names.
    pub fn promise(&self, index: u64, leaf: Digest) -> Signature {
        self.sign_digest(promise(index, leaf))
    }

    pub(super) fn sign_digest(&self, digest: Digest) -> Signature {
        let message = Message::from_digest(digest.0);
        let signature = Secp256k1::new().sign_schnorr_no_aux_rand(&message, &self.0);
        Signature(signature.serialize())
    }
}

impl SignedStatement {
    /// Whether its key has signed it.
    pub fn verify(&self) -> Result<(), BadSignature> {
        self.key.verify(self.statement.digest(), self.signature)
    }
}

impl PublicKey {
    /// Whether this key has promised that a share has this place in the log it names.
    pub fn verify_promise(
        self,
        index: u64,
        leaf: Digest,
        signature: Signature,
    ) -> Result<(), BadSignature> {
        self.verify(promise(index, leaf), signature)
    }

    pub(super) fn verify(self, digest: Digest, signature: Signature) -> Result<(), BadSignature> {
        let key = XOnlyPublicKey::from_slice(&self.0).map_err(|_| BadSignature)?;
        let signature = schnorr::Signature::from_slice(&signature.0).map_err(|_| BadSignature)?;
        let message = Message::from_digest(digest.0);
        let verified = Secp256k1::verification_only().verify_schnorr(&signature, &message, &key);
        verified.map_err(|_| BadSignature)
    }

    /// From hexadecimal digits in small letters.
    pub fn from_hex(text: &str) -> Option<Self> {
        read_hex(text).map(Self)
    }
}

impl Signature {
    /// From hexadecimal digits in small letters.
    pub fn from_hex(text: &str) -> Option<Self> {
        read_hex(text).map(Self)
    }
}

fn promise(index: u64, leaf: Digest) -> Digest {
    PROMISE.of(&[&index.to_be_bytes(), &leaf.0])
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn statement() -> Statement {
        Statement {
            issuer: Issuer::new("main", "bitcoin", "regtest").unwrap(),
            date: "2026-11-27".parse().unwrap(),
            shares: 3,
            work: Work::from_hashes(48),
            root: Digest([0xaa; 32]),
            accounts: 2,
            accounts_root: Digest([0xbb; 32]),
            previous: None,
        }
    }

    #[test]
    fn a_statement_says_all_that_it_is_about() {
        let mut statement = statement();
        let (a, b, c) = ("aa".repeat(32), "bb".repeat(32), "cc".repeat(32));
        let text = format!(
            "adit day\npool: main\ncoin: bitcoin regtest\ndate: 2026-11-27\nshares: 3\nwork: 48\n\
             root: {a}\naccounts: 2\naccounts root: {b}\nprevious: "
        );
        assert_eq!(statement.to_string(), format!("{text}none"));
        assert_eq!(format!("{text}none").parse(), Ok(statement.clone()));
        statement.previous = Some(Digest([0xcc; 32]));
        assert_eq!(statement.to_string(), format!("{text}{c}"));
        assert_eq!(format!("{text}{c}").parse(), Ok(statement));
        for wrong in [
            text.clone(),
            format!("{text}none\n"),
            format!("{text}none\nmore: 1"),
            format!("{text}none").replace("shares: 3", "shares: 03"),
            format!("{text}none").replace("work: 48", "work: +48"),
            format!("{text}none").replace("adit day", "adit days"),
            format!("{text}none").replace("2026-11-27", "2026-11-31"),
        ] {
            assert_eq!(wrong.parse::<Statement>(), Err(NotAStatement), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_kept_by_its_bytes_and_never_shown() {
        let key = SecretKey::random();
        let kept = SecretKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(kept.public(), key.public());
        assert_eq!(kept.sign(statement()), key.sign(statement()));
        assert_eq!(format!("{key:?}"), "SecretKey(***)");
        assert!(SecretKey::from_bytes(&[0; 32]).is_none());
        assert!(SecretKey::from_bytes(&[0xff; 32]).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_signature_is_of_one_text_and_one_key(bit in 0..512_usize, index in any::<u64>()) {
            let key = SecretKey::from_bytes(&[7; 32]).unwrap();
            let signed = key.sign(statement());
            prop_assert_eq!(signed.verify(), Ok(()));
            let mut bent = signed.clone();
            bent.signature.0[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(bent.verify(), Err(BadSignature));
            let mut bent = signed.clone();
            bent.key.0[bit / 16] ^= 1 << (bit % 8);
            prop_assert_eq!(bent.verify(), Err(BadSignature));
            let mut bent = signed;
            bent.statement.shares += 1;
            prop_assert_eq!(bent.verify(), Err(BadSignature));

            let leaf = Digest([1; 32]);
            let promised = key.promise(index, leaf);
            prop_assert_eq!(key.public().verify_promise(index, leaf, promised), Ok(()));
            let other = index.wrapping_add(1);
            prop_assert_eq!(key.public().verify_promise(other, leaf, promised), Err(BadSignature));
            let other = Digest([2; 32]);
            prop_assert_eq!(key.public().verify_promise(index, other, promised), Err(BadSignature));
        }
    }
}
