//! The wallet's keys, derived from a seed (BIP 32), and the four kinds of script each can own.
//!
//! The same seed gives the same addresses in the same order, so a test can be repeated. A key is
//! known before it is handed out only as far as it was handed out before: `restore` derives those.

use std::collections::HashMap;

use bitcoin::{
    CompressedPublicKey, NetworkKind, ScriptBuf,
    bip32::{ChildNumber, DerivationPath, Fingerprint, Xpriv},
    hashes::{Hash as _, sha256},
    key::{Keypair, TapTweak},
    secp256k1::SecretKey,
};

use crate::script::SECP;

/// Which script a key stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Pay to public key hash.
    Legacy,
    /// Witness public key hash inside a script hash.
    Nested,
    /// Pay to witness public key hash.
    Segwit,
    /// Taproot, key path.
    Taproot,
}

/// A key by its place in the tree, as the kind of script it was found behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) change: bool,
    pub(crate) index: u32,
}

/// How many keys were handed out: to receive, and for change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Counts {
    pub(crate) receive: u32,
    pub(crate) change: u32,
}

#[derive(Debug)]
pub(crate) struct Keys {
    seed: [u8; 32],
    account: Xpriv,
    fingerprint: Fingerprint,
    counts: Counts,
    scripts: HashMap<ScriptBuf, Key>,
}

const KINDS: [Kind; 4] = [Kind::Segwit, Kind::Legacy, Kind::Nested, Kind::Taproot];

impl Keys {
    /// The keys of a text: equal texts give equal wallets.
    pub(crate) fn from_text(text: &str) -> Self {
        Self::restore(
            sha256::Hash::hash(text.as_bytes()).to_byte_array(),
            Counts::default(),
        )
    }

    /// The keys of a seed, with those that were handed out before.
    pub(crate) fn restore(seed: [u8; 32], counts: Counts) -> Self {
        let master =
            Xpriv::new_master(NetworkKind::Test, &seed).expect("32 bytes are a legal seed");
        let account = master
            .derive_priv(&SECP, &account_path())
            .expect("the path is short");
        let mut keys = Self {
            seed,
            account,
            fingerprint: master.fingerprint(&SECP),
            counts: Counts::default(),
            scripts: HashMap::new(),
        };
        for (change, count) in [(false, counts.receive), (true, counts.change)] {
            for _ in 0..count {
                keys.next(Kind::Segwit, change);
            }
        }
        keys
    }

    pub(crate) fn seed(&self) -> [u8; 32] {
        self.seed
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Hands out the next key and gives its script of one kind; the other kinds are watched too.
    pub(crate) fn next(&mut self, kind: Kind, change: bool) -> ScriptBuf {
        let count = if change {
            &mut self.counts.change
        } else {
            &mut self.counts.receive
        };
        let index = *count;
        *count = count.saturating_add(1);
        let mut wanted = ScriptBuf::new();
        for each in KINDS {
            let key = Key {
                kind: each,
                change,
                index,
            };
            let script = script(&self.keypair(key), each);
            if each == kind {
                wanted.clone_from(&script);
            }
            self.scripts.insert(script, key);
        }
        wanted
    }

    /// The key behind a script of the wallet.
    pub(crate) fn find(&self, script: &bitcoin::Script) -> Option<Key> {
        self.scripts.get(script).copied()
    }

    pub(crate) fn keypair(&self, key: Key) -> Keypair {
        let path = [branch(key.change), child(key.index)];
        let derived = self
            .account
            .derive_priv(&SECP, &path)
            .expect("the path is short");
        let secret: SecretKey = derived.private_key;
        Keypair::from_secret_key(&SECP, &secret)
    }

    /// The key's path from the master key.
    pub(crate) fn path(&self, key: Key) -> DerivationPath {
        account_path().extend([branch(key.change), child(key.index)])
    }
}

/// The script of a key.
pub(crate) fn script(keypair: &Keypair, kind: Kind) -> ScriptBuf {
    let public = CompressedPublicKey(keypair.public_key());
    match kind {
        Kind::Legacy => ScriptBuf::new_p2pkh(&public.pubkey_hash()),
        Kind::Nested => redeem_script(keypair).to_p2sh(),
        Kind::Segwit => redeem_script(keypair),
        Kind::Taproot => {
            let tweaked = keypair
                .tap_tweak(&SECP, None)
                .to_keypair()
                .x_only_public_key()
                .0;
            let tweaked = bitcoin::key::TweakedPublicKey::dangerous_assume_tweaked(tweaked);
            ScriptBuf::new_p2tr_tweaked(tweaked)
        }
    }
}

/// The witness program that a nested script hash stands for.
pub(crate) fn redeem_script(keypair: &Keypair) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&CompressedPublicKey(keypair.public_key()).wpubkey_hash())
}

/// BIP 84's account 0 of a test network.
fn account_path() -> DerivationPath {
    [84, 1, 0]
        .map(|index| ChildNumber::Hardened { index })
        .to_vec()
        .into()
}

fn branch(change: bool) -> ChildNumber {
    child(u32::from(change))
}

fn child(index: u32) -> ChildNumber {
    ChildNumber::Normal {
        index: index & 0x7fff_ffff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_gives_the_same_addresses_and_a_restored_wallet_knows_them() {
        let mut first = Keys::from_text("a");
        let mut again = Keys::from_text("a");
        let script = first.next(Kind::Segwit, false);
        assert_eq!(script, again.next(Kind::Segwit, false));
        assert_ne!(script, Keys::from_text("b").next(Kind::Segwit, false));
        assert_ne!(script, first.next(Kind::Segwit, false));
        let change = first.next(Kind::Taproot, true);
        let restored = Keys::restore(first.seed(), first.counts());
        assert_eq!(restored.find(&script).map(|key| key.index), Some(0));
        assert_eq!(
            restored.find(&change),
            Some(Key {
                kind: Kind::Taproot,
                change: true,
                index: 0
            })
        );
        assert_eq!(
            restored.counts(),
            Counts {
                receive: 2,
                change: 1
            }
        );
    }
}
