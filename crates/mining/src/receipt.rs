//! Receipts: each day has a log of all accepted shares, of which the pool signs the roots, so that a
//! miner can show that its shares are in it and that nobody's were changed later. The bytes that are
//! hashed are written down in `docs/receipts.md`.
//!
//! Called by the task `receipts`, which keeps the logs, and by `adit verify`, which believes nothing.
//!
//! A log names no address. It names accounts: the digest of an address, the log, and a salt that the
//! pool gives to whoever knows the address. So a log cannot be searched for addresses, and an account
//! of one day is not known again on another.

mod digest;
mod split;
mod statement;
mod sums;
mod tree;

use bitcoin::hashes::{Hash as _, HashEngine as _, HmacEngine, hmac::Hmac, sha256};
use pow::Hash;

pub use digest::{Digest, NotADigest};
pub use split::{BadSplit, BlockSplit};
pub use statement::{
    BadSignature, NotAStatement, PublicKey, SecretKey, Signature, SignedStatement, Statement,
};
pub use sums::Sum;
pub use tree::{CHUNK, CHUNK_LEVEL, Edge, Node, PATH_MAX, Tree, climb};

use self::digest::Tag;
use crate::{Scheme, Target, Work, date::Date};

const LOG: Tag = Tag::new("adit/receipt/log");
const SPLIT: Tag = Tag::new("adit/receipt/split");
const SHARE: Tag = Tag::new("adit/receipt/share");
const ACCOUNT: Tag = Tag::new("adit/receipt/account");

/// The longest name of a pool: it is a folder's too.
const NAME_MAX: usize = 255;

/// Who gives receipts: a pool, with what it mines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer {
    pool: String,
    coin: String,
    network: String,
}

/// Texts that name no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pool, coin and network have 1 to 255 of A-Z, a-z, 0-9, '.', '_' and '-'")]
pub struct NotAnIssuer;

/// A context in which miners have accounts: the log of a day, or the split of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log(Digest);

/// What blinds a miner's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub Digest);

/// From which the salts of all miners of a pool are made. Whoever has it can find addresses in logs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaltKey([u8; 32]);

/// A share as it stands in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedShare {
    /// The hash that is its proof of work.
    pub hash: Hash,
    /// What it is worth.
    pub work: Work,
    /// The height of the block it would be.
    pub height: u32,
    /// When it came, in milliseconds since 1970.
    pub time_ms: i64,
    /// How it is paid.
    pub scheme: Scheme,
    /// Whose it is.
    pub account: Digest,
}

impl Issuer {
    /// A pool by its name, the coin and the network.
    pub fn new(pool: &str, coin: &str, network: &str) -> Result<Self, NotAnIssuer> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let is_name =
            |text: &str| (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        if ![pool, coin, network].into_iter().all(is_name) {
            return Err(NotAnIssuer);
        }
        Ok(Self {
            pool: pool.to_owned(),
            coin: coin.to_owned(),
            network: network.to_owned(),
        })
    }

    /// The pool's name.
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// The coin's name.
    pub fn coin(&self) -> &str {
        &self.coin
    }

    /// The network's name.
    pub fn network(&self) -> &str {
        &self.network
    }
}

impl Log {
    /// The log of a day.
    pub fn new(issuer: &Issuer, date: Date) -> Self {
        Self(LOG.of(&[issuer.context(&date.to_string()).as_bytes()]))
    }

    /// The split of a block.
    pub fn of_block(issuer: &Issuer, block: Hash) -> Self {
        Self(SPLIT.of(&[issuer.context(&block.to_string()).as_bytes()]))
    }

    /// By which shares and accounts name it.
    pub fn digest(self) -> Digest {
        self.0
    }

    /// What an address is called here.
    pub fn account(self, salt: Salt, address: &str) -> Digest {
        ACCOUNT.of(&[&salt.0.0, &self.0.0, address.as_bytes()])
    }
}

impl Issuer {
    fn context(&self, what: &str) -> String {
        format!("{}\n{} {}\n{what}", self.pool, self.coin, self.network)
    }
}

impl SaltKey {
    /// A new one.
    pub fn random() -> Self {
        // A key's bytes are as random as any.
        Self(SecretKey::random().to_bytes())
    }

    /// As it was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be kept beside the addresses.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The salt of an address, on all days.
    pub fn salt(self, address: &str) -> Salt {
        let mut engine = HmacEngine::<sha256::Hash>::new(&self.0);
        engine.input(address.as_bytes());
        Salt(Digest(Hmac::from_engine(engine).to_byte_array()))
    }
}

impl std::fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaltKey(***)")
    }
}

impl LoggedShare {
    /// The leaf that it is in a log.
    pub fn leaf(&self, log: Log) -> Digest {
        SHARE.of(&[
            &log.0.0,
            &self.hash.to_display_bytes(),
            &self.work.hashes().to_be_bytes(),
            &self.height.to_be_bytes(),
            &self.time_ms.to_be_bytes(),
            &self.account.0,
            self.scheme.name().as_bytes(),
        ])
    }

    /// Whether its hash is worth so much: no target that this hash meets stands for more work.
    pub fn is_proven(&self) -> bool {
        // A hash below 2^128 is worth more than any number that is written here.
        Target::from_bytes(self.hash.to_display_bytes())
            .map_or(true, |target| self.work <= target.work())
    }
}

/// In whose log a share stands that came at this time: that of its own day, or of the day that is
/// open if the share is late. `open` is the day of the share before it, and `closed` the last one
/// that has ended.
///
/// So a log is a stretch of the order in which shares were accepted, and a day that has ended stays as
/// it is.
pub fn date_of(time_ms: i64, open: Option<Date>, closed: Option<Date>) -> Date {
    let earliest = open.or(closed.map(Date::next));
    let own = Date::of_ms(time_ms);
    earliest.map_or(own, |earliest| earliest.max(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        Issuer::new("main", "bitcoin", "regtest").unwrap()
    }

    fn share() -> LoggedShare {
        LoggedShare {
            hash: Hash([3; 32]),
            work: Work::from_hashes(16),
            height: 101,
            time_ms: 1_800_000_000_000,
            scheme: Scheme::Pplns,
            account: Digest([9; 32]),
        }
    }

    #[test]
    fn names_have_nothing_that_could_be_something_else() {
        assert_eq!(issuer().pool(), "main");
        for (pool, coin, network) in [
            ("", "bitcoin", "main"),
            ("a\nb", "bitcoin", "main"),
            ("a", "bitcoin main", "main"),
            ("a", "bitcoin", ""),
            ("\u{e4}", "bitcoin", "main"),
            (&"a".repeat(256), "bitcoin", "main"),
        ] {
            assert_eq!(Issuer::new(pool, coin, network), Err(NotAnIssuer), "{pool}");
        }
    }

    #[test]
    fn all_of_a_share_and_its_log_is_in_its_leaf() {
        let date: Date = "2026-11-27".parse().unwrap();
        let log = Log::new(&issuer(), date);
        let share = share();
        let mut leaves = vec![share.leaf(log)];
        for changed in [
            LoggedShare {
                hash: Hash([4; 32]),
                ..share
            },
            LoggedShare {
                work: Work::from_hashes(17),
                ..share
            },
            LoggedShare {
                height: 102,
                ..share
            },
            LoggedShare {
                time_ms: 1,
                ..share
            },
            LoggedShare {
                scheme: Scheme::Prop,
                ..share
            },
            LoggedShare {
                account: Digest([8; 32]),
                ..share
            },
        ] {
            leaves.push(changed.leaf(log));
        }
        for (pool, coin, network, date) in [
            ("other", "bitcoin", "regtest", date),
            ("main", "litecoin", "regtest", date),
            ("main", "bitcoin", "test", date),
            ("main", "bitcoin", "regtest", date.next()),
        ] {
            let issuer = Issuer::new(pool, coin, network).unwrap();
            leaves.push(share.leaf(Log::new(&issuer, date)));
        }
        let different: std::collections::HashSet<_> = leaves.iter().collect();
        assert_eq!(different.len(), leaves.len());
    }

    #[test]
    fn an_account_is_known_by_its_salt_alone_and_on_one_day() {
        let key = SaltKey::from_bytes([1; 32]);
        let date: Date = "2026-11-27".parse().unwrap();
        let log = Log::new(&issuer(), date);
        let account = log.account(key.salt("alice"), "alice");
        assert_eq!(account, log.account(key.salt("alice"), "alice"));
        assert_ne!(account, log.account(key.salt("bob"), "alice"));
        assert_ne!(account, log.account(key.salt("alice"), "bob"));
        let tomorrow = Log::new(&issuer(), date.next());
        assert_ne!(account, tomorrow.account(key.salt("alice"), "alice"));
        let split = Log::of_block(&issuer(), Hash([1; 32]));
        assert_ne!(account, split.account(key.salt("alice"), "alice"));
        let other = SaltKey::random();
        assert_ne!(key.salt("alice"), other.salt("alice"));
        assert_ne!(SaltKey::random(), other);
        assert_eq!(format!("{other:?}"), "SaltKey(***)");
    }

    #[test]
    fn no_share_is_worth_more_than_its_hash() {
        let share = |hash: [u8; 32], work: u128| LoggedShare {
            hash: Hash(hash),
            work: Work::from_hashes(work),
            ..share()
        };
        let mut hash = [0xff; 32];
        assert!(share(hash, 1).is_proven());
        assert!(!share(hash, 2).is_proven());
        // 2^252 - 1: one hash in 16 is below.
        hash[31] = 0x0f;
        assert!(share(hash, 16).is_proven());
        assert!(!share(hash, 17).is_proven());
        assert!(share([0; 32], u128::MAX).is_proven());
    }

    #[test]
    fn a_day_that_has_ended_stays_as_it_is() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let at = |text: &str| day(text).end_ms() - 1;
        #[track_caller]
        fn case(time_ms: i64, open: Option<Date>, closed: Option<Date>, expected: Date) {
            assert_eq!(date_of(time_ms, open, closed), expected);
        }
        let (one, two, three) = (day("2026-11-26"), day("2026-11-27"), day("2026-11-28"));
        case(at("2026-11-27"), None, None, two);
        case(at("2026-11-27"), Some(two), Some(one), two);
        case(at("2026-11-28"), Some(two), Some(one), three);
        // Late, with its day still open or closed.
        case(at("2026-11-26"), Some(two), Some(one), two);
        case(at("2026-11-26"), None, Some(one), two);
        case(at("2026-11-28"), None, Some(one), three);
    }
}
