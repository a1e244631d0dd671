//! The transactions that pay one batch of Monero's, as they are kept: one, or more where it takes more
//! coins than one can have. Called by `payout::monero`.
//!
//! Kept as JSON with a version: the bytes, which any daemon takes; the metadata, by which a wallet relays
//! and then knows of it; and the secret keys, which prove whom it pays.

use mining::{
    Amount,
    cryptonote::{Transaction, id, payment::Keys},
};
use pow::Hash;
use serde::{Deserialize, Serialize};

use crate::daemon::monero_wallet::Unsent;

/// The form that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Transactions that pay one batch together.
pub(super) struct Bundle {
    /// How many blocks the wallet had read when it made them.
    pub(super) height: u64,
    /// Never empty.
    pub(super) members: Vec<Member>,
}

/// One of them.
pub(super) struct Member {
    pub(super) transaction: Transaction,
    pub(super) keys: Keys,
    pub(super) blob: Vec<u8>,
    pub(super) metadata: String,
    /// The keys as the wallet gave them.
    key_bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    height: u64,
    transactions: Vec<KeptTransaction>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptTransaction {
    id: Hash,
    keys: String,
    blob: String,
    metadata: String,
}

impl Bundle {
    /// What a wallet has just made, if its bytes are what it says.
    pub(super) fn of(height: u64, made: Vec<Unsent>) -> Result<Self, &'static str> {
        let members = made.into_iter().map(Member::of);
        let members: Vec<Member> = members.collect::<Result<_, _>>()?;
        match members.is_empty() {
            true => Err("no transaction"),
            false => Ok(Self { height, members }),
        }
    }

    /// What is kept.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let kept: Kept = serde_json::from_slice(bytes).map_err(|_| "no such JSON")?;
        if kept.version != VERSION {
            return Err("of another version");
        }
        let unsent = |kept: KeptTransaction| -> Result<Unsent, &'static str> {
            Ok(Unsent {
                id: kept.id,
                blob: hex::decode(kept.blob).map_err(|_| "no bytes")?,
                keys: hex::decode(kept.keys).map_err(|_| "no keys")?,
                metadata: kept.metadata,
            })
        };
        let unsent = kept.transactions.into_iter().map(unsent);
        Self::of(kept.height, unsent.collect::<Result<_, _>>()?)
    }

    /// The form that is kept.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let kept = |member: &Member| KeptTransaction {
            id: member.id(),
            keys: hex::encode(&member.key_bytes),
            blob: hex::encode(&member.blob),
            metadata: member.metadata.clone(),
        };
        let kept = Kept {
            version: VERSION,
            height: self.height,
            transactions: self.members.iter().map(kept).collect(),
        };
        serde_json::to_vec(&kept).expect("it has string keys and no failing fields")
    }

    pub(super) fn ids(&self) -> Vec<Hash> {
        self.members.iter().map(Member::id).collect()
    }

    pub(super) fn first_id(&self) -> Hash {
        self.members.first().map_or_else(Hash::default, Member::id)
    }

    pub(super) fn key_images(&self) -> Vec<[u8; 32]> {
        self.members.iter().flat_map(Member::images).collect()
    }

    /// What the chain gets for all of them; nothing if that is more than any coin has.
    pub(super) fn fee(&self) -> Option<Amount> {
        Amount::checked_sum(self.members.iter().map(|member| member.transaction.fee()))
    }
}

impl Member {
    fn of(unsent: Unsent) -> Result<Self, &'static str> {
        let transaction = Transaction::read(&unsent.blob).map_err(|_| "no transaction")?;
        let keys = Keys::read(&unsent.keys).ok_or("a key that is none")?;
        let member = Self {
            transaction,
            keys,
            blob: unsent.blob,
            metadata: unsent.metadata,
            key_bytes: unsent.keys,
        };
        match member.id() == unsent.id {
            true => Ok(member),
            false => Err("another id than that of its bytes"),
        }
    }

    /// Written like the chain writes it.
    pub(super) fn id(&self) -> Hash {
        id::of_bytes(self.transaction.id())
    }

    /// Its secret keys, 32 bytes each.
    pub(super) fn key_bytes(&self) -> &[u8] {
        &self.key_bytes
    }

    pub(super) fn images(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        self.transaction.key_images().iter().copied()
    }
}
