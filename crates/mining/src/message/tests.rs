//! Messages signed here with keys of each kind, for each coin, and what is wrong with others.

mod hostile;
mod spend;
mod vectors;

use std::sync::LazyLock;

use bitcoin::{
    Amount, CompressedPublicKey, EcdsaSighashType, OutPoint, Sequence, TapSighashType, TxIn, TxOut,
    Txid, XOnlyPublicKey,
    absolute::LockTime,
    base58, bech32,
    hashes::Hash,
    script::{Builder, PushBytesBuf},
    secp256k1::{self, Keypair, Message, Secp256k1, SecretKey, ecdsa},
    sighash::{Prevouts, SighashCache},
    transaction::Version,
};

use super::*;
use crate::coin::COINS;

const MESSAGE: &str = "adit pool.example bitcoin: threshold 5000, 2026-10-17 10:00:00, 7f3a";
const KINDS: [Kind; 4] = [Kind::P2pkh, Kind::P2shP2wpkh, Kind::P2wpkh, Kind::P2tr];
const ALL: u8 = 0x01;
/// What BIP341 does not write.
const DEFAULT: u8 = 0x00;
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn coin(name: &str) -> &'static Coin {
    name.parse().unwrap()
}

fn address(coin: &str, network: Network, text: &str) -> Address {
    Address::parse(coin.parse().unwrap(), network, text).unwrap()
}

fn check(
    coin: &str,
    network: Network,
    text: &str,
    message: &str,
    signature: &str,
) -> Result<(), BadSignature> {
    let address = address(coin, network, text);
    verify(coin.parse().unwrap(), network, &address, message, signature)
}

fn text(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Who has a key, and an address of one kind for it.
#[derive(Debug)]
struct Owner {
    coin: &'static Coin,
    network: Network,
    kind: Kind,
    secret: SecretKey,
    address: Address,
}

impl Owner {
    fn new(coin: &'static Coin, kind: Kind, number: u8) -> Self {
        Self::on(coin, Network::Main, kind, number, true)
    }

    fn on(coin: &'static Coin, network: Network, kind: Kind, number: u8, compressed: bool) -> Self {
        let secret = SecretKey::from_slice(&[number; 32]).unwrap();
        let key = PublicKey {
            compressed,
            inner: secret.public_key(&Secp256k1::new()),
        };
        let rules = coin.on(network).unwrap().scripts().unwrap();
        let hrp = || bech32::Hrp::parse(rules.hrp.unwrap()).unwrap();
        let base58 = |version, hash: &[u8]| base58::encode_check(&[&[version], hash].concat());
        let text = match kind {
            Kind::P2pkh => base58(rules.p2pkh, key.pubkey_hash().as_byte_array()),
            Kind::P2shP2wpkh => {
                let redeem = p2wpkh(&key).unwrap();
                base58(rules.p2sh, redeem.script_hash().as_byte_array())
            }
            Kind::P2wpkh => {
                let hash = key.wpubkey_hash().unwrap();
                bech32::segwit::encode_v0(hrp(), hash.as_byte_array()).unwrap()
            }
            Kind::P2tr => {
                let key = XOnlyPublicKey::from(key.inner);
                bech32::segwit::encode_v1(hrp(), &key.serialize()).unwrap()
            }
        };
        Self {
            coin,
            network,
            kind,
            secret,
            address: Address::parse(coin, network, &text).unwrap(),
        }
    }

    fn verify(&self, message: &str, signature: &str) -> Result<(), BadSignature> {
        verify(self.coin, self.network, &self.address, message, signature)
    }

    #[track_caller]
    fn refuses(&self, signature: &str, refusal: BadSignature) {
        assert_eq!(self.verify(MESSAGE, signature), Err(refusal), "{signature}");
    }

    fn script(&self) -> &Script {
        Script::from_bytes(self.address.script().unwrap())
    }

    fn key(&self) -> CompressedPublicKey {
        CompressedPublicKey(self.secret.public_key(&Secp256k1::new()))
    }

    /// An old signed message whose header begins at `header`.
    fn legacy(&self, header: u8, message: &str) -> [u8; 65] {
        let digest = Message::from_digest(legacy::digest(self.coin, message).to_byte_array());
        let signed = Secp256k1::new().sign_ecdsa_recoverable(&digest, &self.secret);
        let (which, compact) = signed.serialize_compact();
        let header = header + u8::try_from(which.to_i32()).unwrap();
        [&[header], &compact[..]].concat().try_into().unwrap()
    }

    /// `to_sign`, signed with a hash type.
    fn signed(&self, mut to_sign: Transaction, hash_type: u8) -> Transaction {
        let script = self.script();
        let cache = SighashCache::new(&to_sign);
        if self.kind == Kind::P2tr {
            let signature = self.schnorr(&to_sign, hash_type);
            to_sign.input[0].witness = Witness::from_slice(&[signature]);
            return to_sign;
        }
        let key = self.key().to_bytes();
        let redeem = p2wpkh(&PublicKey::from(self.key())).unwrap();
        let ecdsa_type = EcdsaSighashType::from_consensus(hash_type.into());
        let digest = if self.kind == Kind::P2pkh {
            let digest = cache.legacy_signature_hash(0, script, hash_type.into());
            Message::from(digest.unwrap())
        } else {
            let mut cache = cache;
            let digest = cache.p2wpkh_signature_hash(0, &redeem, Amount::ZERO, ecdsa_type);
            Message::from(digest.unwrap())
        };
        let signature = Secp256k1::new().sign_ecdsa(&digest, &self.secret);
        let signature = [&*signature.serialize_der(), &[hash_type]].concat();
        let input = &mut to_sign.input[0];
        if self.kind == Kind::P2pkh {
            input.script_sig = pushing(&[&signature, &key]);
        } else {
            input.witness = Witness::from_slice(&[&signature[..], &key]);
        }
        if self.kind == Kind::P2shP2wpkh {
            input.script_sig = pushing(&[redeem.as_bytes()]);
        }
        to_sign
    }

    fn schnorr(&self, to_sign: &Transaction, hash_type: u8) -> Vec<u8> {
        let spent = TxOut {
            value: Amount::ZERO,
            script_pubkey: self.script().to_owned(),
        };
        let taproot_type = TapSighashType::from_consensus_u8(hash_type).unwrap();
        let digest = SighashCache::new(to_sign)
            .taproot_key_spend_signature_hash(0, &Prevouts::All(&[spent]), taproot_type)
            .unwrap();
        let secp = Secp256k1::new();
        let pair = Keypair::from_secret_key(&secp, &self.secret);
        let signature = secp.sign_schnorr_no_aux_rand(&Message::from(digest), &pair);
        let mut bytes = signature.serialize().to_vec();
        if hash_type != DEFAULT {
            bytes.push(hash_type);
        }
        bytes
    }

    fn to_sign(&self) -> Transaction {
        bip322::to_sign(self.script(), MESSAGE, Version(0))
    }

    /// Signed as wallets do.
    fn full(&self, message: &str) -> Transaction {
        let to_sign = bip322::to_sign(self.script(), message, Version(0));
        self.signed(to_sign, self.hash_type())
    }

    fn simple(&self, message: &str) -> Witness {
        self.full(message).input.remove(0).witness
    }

    fn hash_type(&self) -> u8 {
        if self.kind == Kind::P2tr {
            DEFAULT
        } else {
            ALL
        }
    }
}

fn pushing(items: &[&[u8]]) -> ScriptBuf {
    let push = |script: Builder, item: &&[u8]| {
        script.push_slice(PushBytesBuf::try_from(item.to_vec()).unwrap())
    };
    items.iter().fold(Builder::new(), push).into_script()
}

fn simple_text(items: &[&[u8]]) -> String {
    text(&consensus::serialize(&Witness::from_slice(items)))
}

fn full_text(signed: &Transaction) -> String {
    text(&consensus::serialize(signed))
}

/// The same r, and the S that is as good for the curve.
fn high_s(compact: &[u8]) -> [u8; 64] {
    let (r, s) = compact.split_at(32);
    let s = SecretKey::from_slice(s).unwrap().negate();
    [r, &s.secret_bytes()].concat().try_into().unwrap()
}

fn rule_of(refused: Result<(), BadSignature>) -> &'static str {
    match refused {
        Err(BadSignature::Rule(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

/// Each address that can sign, with every form that it can sign in.
static OWNERS: LazyLock<Vec<(Owner, Vec<String>)>> = LazyLock::new(|| {
    let mut owners = Vec::new();
    for coin in COINS.iter().filter(|coin| coin.bitcoin().is_some()) {
        for network in coin.networks {
            for kind in KINDS {
                if kind != Kind::P2pkh && !coin.has_segwit() {
                    continue;
                }
                let owner = Owner::on(coin, network.network, kind, 7, true);
                let headers = match kind {
                    Kind::P2pkh => &[31][..],
                    Kind::P2shP2wpkh => &[31, 35],
                    Kind::P2wpkh => &[31, 39],
                    Kind::P2tr => &[],
                };
                let legacy = headers
                    .iter()
                    .map(|&header| text(&owner.legacy(header, MESSAGE)));
                let mut signatures: Vec<String> = legacy.collect();
                let full = full_text(&owner.full(MESSAGE));
                signatures.extend([format!("ful{full}"), full]);
                if matches!(kind, Kind::P2wpkh | Kind::P2tr) {
                    let simple = text(&consensus::serialize(&owner.simple(MESSAGE)));
                    signatures.extend([format!("smp{simple}"), simple]);
                }
                owners.push((owner, signatures));
            }
        }
    }
    owners
});

#[test]
fn an_owner_of_each_kind_and_coin_can_sign_in_each_form() {
    assert_eq!(OWNERS.len(), (5 + 3) * 4 + 3);
    for (owner, signatures) in &*OWNERS {
        for signature in signatures {
            let verified = owner.verify(MESSAGE, signature);
            assert_eq!(verified, Ok(()), "{} {signature}", owner.address);
        }
    }
}

#[test]
fn a_signature_holds_for_its_message_and_its_address_alone() {
    for (owner, signatures) in &*OWNERS {
        let stranger = Owner::on(owner.coin, owner.network, owner.kind, 8, true);
        for signature in signatures {
            for message in ["", " ", &MESSAGE[1..], &format!("{MESSAGE} ")] {
                assert!(owner.verify(message, signature).is_err());
            }
            let refused = stranger.verify(MESSAGE, signature);
            assert!(
                matches!(
                    refused,
                    Err(BadSignature::OtherKey | BadSignature::OtherMessage)
                ),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn one_key_signs_for_the_kind_of_address_it_was_asked_for() {
    for (owner, signatures) in &*OWNERS {
        for kind in KINDS {
            if kind == owner.kind || (kind != Kind::P2pkh && !owner.coin.has_segwit()) {
                continue;
            }
            let other = Owner::on(owner.coin, owner.network, kind, 7, true);
            for signature in signatures {
                // The header of a compressed key says nothing of the kind.
                let bytes = BASE64_STANDARD.decode(signature).unwrap_or_default();
                let any = bytes.len() == 65 && (31..=34).contains(&bytes[0]);
                let verified = other.verify(MESSAGE, signature);
                assert_eq!(verified.is_ok(), any && kind != Kind::P2tr, "{signature}");
            }
        }
    }
}

#[test]
fn a_message_signed_for_another_coin_is_not_signed_for_this_one() {
    let scripts = || COINS.iter().filter(|coin| coin.bitcoin().is_some());
    for signed_for in scripts() {
        for coin in scripts() {
            let owner = Owner::new(coin, Kind::P2pkh, 7);
            let signature = text(&Owner::new(signed_for, Kind::P2pkh, 7).legacy(31, MESSAGE));
            let verified = owner.verify(MESSAGE, &signature);
            assert_eq!(verified.is_ok(), coin == signed_for);
            assert!(verified.is_ok() || verified == Err(BadSignature::OtherKey));
        }
    }
}

/// BIP322 commits to the script alone, so the message must name the coin.
#[test]
fn bip322_does_not_tell_one_coin_from_another() {
    let bitcoin = Owner::new(coin("bitcoin"), Kind::P2wpkh, 7);
    let litecoin = Owner::new(coin("litecoin"), Kind::P2wpkh, 7);
    let signature = text(&consensus::serialize(&bitcoin.simple(MESSAGE)));
    assert_eq!(litecoin.verify(MESSAGE, &signature), Ok(()));
    let mixed = verify(
        bitcoin.coin,
        Network::Main,
        &litecoin.address,
        MESSAGE,
        &signature,
    );
    assert_eq!(mixed, Err(BadSignature::OtherCoin));
    let network = verify(
        bitcoin.coin,
        Network::Regtest,
        &bitcoin.address,
        MESSAGE,
        &signature,
    );
    assert_eq!(network, Err(BadSignature::OtherCoin));
}

#[test]
fn a_key_that_is_not_compressed_signs_for_its_own_old_address_alone() {
    let bitcoin = coin("bitcoin");
    let old = Owner::on(bitcoin, Network::Main, Kind::P2pkh, 7, false);
    assert_eq!(old.verify(MESSAGE, &text(&old.legacy(27, MESSAGE))), Ok(()));
    old.refuses(&text(&old.legacy(31, MESSAGE)), BadSignature::OtherKey);
    let uncompressed = old
        .secret
        .public_key(&Secp256k1::new())
        .serialize_uncompressed();
    for kind in [Kind::P2wpkh, Kind::P2shP2wpkh] {
        let owner = Owner::new(bitcoin, kind, 7);
        let signature = text(&owner.legacy(27, MESSAGE));
        assert!(rule_of(owner.verify(MESSAGE, &signature)).contains("not compressed"));
        let mut full = owner.full(MESSAGE);
        let witness = &mut full.input[0].witness;
        *witness = Witness::from_slice(&[witness.nth(0).unwrap(), &uncompressed]);
        assert!(rule_of(owner.verify(MESSAGE, &full_text(&full))).contains("public key"));
    }
    let owner = Owner::new(bitcoin, Kind::P2pkh, 7);
    owner.refuses(&text(&owner.legacy(27, MESSAGE)), BadSignature::OtherKey);
}

#[test]
fn headers_out_of_range_or_of_another_kind_are_refused() {
    for kind in KINDS {
        let owner = Owner::new(coin("litecoin"), kind, 7);
        let mut signature = owner.legacy(31, MESSAGE);
        let right = signature[0] - 31;
        for header in 0..=255_u8 {
            signature[0] = header;
            let verified = owner.verify(MESSAGE, &text(&signature));
            let good = match kind {
                Kind::P2pkh => vec![31 + right],
                Kind::P2shP2wpkh => vec![31 + right, 35 + right],
                Kind::P2wpkh => vec![31 + right, 39 + right],
                Kind::P2tr => vec![],
            };
            assert_eq!(verified.is_ok(), good.contains(&header), "{header}");
            if !(27..=42).contains(&header) {
                assert_eq!(verified, Err(BadSignature::Form), "{header}");
            }
        }
    }
    let owner = Owner::new(coin("bitcoin"), Kind::P2tr, 7);
    let refusal = owner
        .kind
        .misfit("a signed message of the old form with this header");
    owner.refuses(&text(&owner.legacy(31, MESSAGE)), refusal);
}

#[test]
fn signatures_with_a_high_s_are_refused() {
    let bitcoin = coin("bitcoin");
    let owner = Owner::new(bitcoin, Kind::P2pkh, 7);
    let mut legacy = owner.legacy(31, MESSAGE);
    let twin = high_s(&legacy[1..]);
    legacy[1..].copy_from_slice(&twin);
    legacy[0] = 31 + ((legacy[0] - 31) ^ 1);
    owner.refuses(&text(&legacy), BadSignature::Rule(HIGH_S));

    for kind in [Kind::P2pkh, Kind::P2wpkh, Kind::P2shP2wpkh] {
        let owner = Owner::new(bitcoin, kind, 7);
        let signed = spend::with_signature(&owner.full(MESSAGE), |signature| {
            let der = ecdsa::Signature::from_der(&signature[..signature.len() - 1]).unwrap();
            let twin = ecdsa::Signature::from_compact(&high_s(&der.serialize_compact())).unwrap();
            [&*twin.serialize_der(), &[ALL]].concat()
        });
        owner.refuses(&full_text(&signed), BadSignature::Rule(HIGH_S));
    }
}

#[test]
fn what_stands_around_or_within_the_base64_is_refused() {
    for (owner, signatures) in &*OWNERS {
        for signature in signatures {
            let middle = signature.len() / 2;
            let (head, tail) = signature.split_at(middle);
            for spoiled in [
                format!(" {signature}"),
                format!("{signature} "),
                format!("{signature}\n"),
                format!("{head}\n{tail}"),
                format!("{signature}="),
                format!("{signature}===="),
                format!("{signature}A"),
                signature[..signature.len() - 1].to_owned(),
                format!("{head}-{}", &tail[1..]),
                format!("{head}_{}", &tail[1..]),
                // A plus is a space in the text of a form.
                format!("{head} {}", &tail[1..]),
                format!("{head}%2B{tail}"),
                format!("{head}\u{e4}{}", &tail[1..]),
            ] {
                owner.refuses(&spoiled, BadSignature::Base64);
            }
        }
    }
    let owner = Owner::new(coin("bitcoin"), Kind::P2wpkh, 7);
    for prefix in ["smp", "ful", "SMP", "Smp", "smp ", "smpsmp"] {
        let signature = format!("{prefix}{}", text(&owner.legacy(39, MESSAGE)));
        assert!(owner.verify(MESSAGE, &signature).is_err(), "{prefix}");
    }
}

#[test]
fn bytes_too_many_or_too_few_are_no_signature() {
    for (owner, signatures) in &*OWNERS {
        for signature in signatures {
            let prefix = ["smp", "ful"]
                .into_iter()
                .find(|p| signature.starts_with(p));
            let prefix = prefix.unwrap_or_default();
            let bytes = BASE64_STANDARD.decode(&signature[prefix.len()..]).unwrap();
            for spoiled in [
                [&bytes[..], &[0]].concat(),
                [&bytes[..], &bytes].concat(),
                bytes[..bytes.len() - 1].to_vec(),
                bytes[1..].to_vec(),
                vec![],
            ] {
                let spoiled = format!("{prefix}{}", text(&spoiled));
                owner.refuses(&spoiled, BadSignature::Form);
            }
        }
    }
}

#[test]
fn long_texts_are_refused_before_anything_else() {
    let owner = Owner::new(coin("bitcoin"), Kind::P2wpkh, 7);
    let long = "x".repeat(MESSAGE_LEN_MAX);
    let signature = text(&owner.legacy(39, &long));
    assert_eq!(owner.verify(&long, &signature), Ok(()));
    let longer = "x".repeat(MESSAGE_LEN_MAX + 1);
    let signature = text(&owner.legacy(39, &longer));
    assert_eq!(
        owner.verify(&longer, &signature),
        Err(BadSignature::MessageTooLong)
    );
    owner.refuses(&"A".repeat(SIGNATURE_LEN_MAX), BadSignature::Form);
    owner.refuses(&"A".repeat(SIGNATURE_LEN_MAX + 1), BadSignature::TooLong);
}

#[test]
fn numbers_that_are_none_of_the_curve_are_refused() {
    let owner = Owner::new(coin("bitcoin"), Kind::P2pkh, 7);
    let order: [u8; 32] = hex::decode(ORDER).unwrap().try_into().unwrap();
    let good = owner.legacy(31, MESSAGE);
    for number in [[0; 32], order, [0xff; 32]] {
        for at in [1, 33] {
            let mut signature = good;
            signature[at..at + 32].copy_from_slice(&number);
            assert!(owner.verify(MESSAGE, &text(&signature)).is_err());
        }
    }
    // An x that is above the prime once the order is added: no such key.
    let mut signature = good;
    signature[0] = 33 + (good[0] & 1);
    owner.refuses(&text(&signature), BadSignature::OtherKey);
    assert!(secp256k1::SecretKey::from_slice(&order).is_err());
}
