//! Messages signed here with keys of each kind, for each coin, and what is wrong with others.

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
use proptest::prelude::*;

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
        let rules = coin.on(network).unwrap();
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
        Script::from_bytes(self.address.script())
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
    for coin in COINS {
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
                assert!(owner.verify(message, &signature).is_err());
            }
            let refused = stranger.verify(MESSAGE, &signature);
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
    for signed_for in COINS {
        for coin in COINS {
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
fn a_full_signature_may_bear_a_key_that_is_not_compressed_but_no_hybrid() {
    let old = Owner::on(coin("bitcoin"), Network::Main, Kind::P2pkh, 7, false);
    let mut full = old.full(MESSAGE);
    let key = old
        .secret
        .public_key(&Secp256k1::new())
        .serialize_uncompressed();
    let mut signature = |key: &[u8]| {
        let script_sig = full.input[0].script_sig.clone();
        let signature = script_sig.instructions().next().unwrap().unwrap();
        full.input[0].script_sig = pushing(&[signature.push_bytes().unwrap().as_bytes(), key]);
        full_text(&full)
    };
    assert_eq!(old.verify(MESSAGE, &signature(&key)), Ok(()));
    // 06 and 07 are 04 with the parity of y, which consensus takes and nobody relays.
    let mut hybrid = key;
    hybrid[0] = 6 + (key[64] & 1);
    assert!(rule_of(old.verify(MESSAGE, &signature(&hybrid))).contains("public key"));
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
    owner.refuses(&text(&legacy), BadSignature::Rule(bip322::HIGH_S));

    for kind in [Kind::P2pkh, Kind::P2wpkh, Kind::P2shP2wpkh] {
        let owner = Owner::new(bitcoin, kind, 7);
        let signed = with_signature(&owner.full(MESSAGE), |signature| {
            let der = ecdsa::Signature::from_der(&signature[..signature.len() - 1]).unwrap();
            let twin = ecdsa::Signature::from_compact(&high_s(&der.serialize_compact())).unwrap();
            [&*twin.serialize_der(), &[ALL]].concat()
        });
        owner.refuses(&full_text(&signed), BadSignature::Rule(bip322::HIGH_S));
    }
}

/// With its signature changed, wherever that stands.
fn with_signature(signed: &Transaction, change: impl Fn(&[u8]) -> Vec<u8>) -> Transaction {
    let mut signed = signed.clone();
    let input = &mut signed.input[0];
    if input.witness.is_empty() {
        let items = bip322::pushes(&input.script_sig).unwrap();
        input.script_sig = pushing(&[&change(items[0]), items[1]]);
    } else {
        let mut items = input.witness.to_vec();
        items[0] = change(&items[0]);
        input.witness = Witness::from_slice(&items);
    }
    signed
}

#[test]
fn ecdsa_signatures_have_strict_der_and_commit_to_everything() {
    for kind in [Kind::P2pkh, Kind::P2wpkh, Kind::P2shP2wpkh] {
        let owner = Owner::new(coin("bitcoin"), kind, 7);
        let full = owner.full(MESSAGE);
        let change = |change: &dyn Fn(&[u8]) -> Vec<u8>| {
            let signed = with_signature(&full, change);
            rule_of(owner.verify(MESSAGE, &full_text(&signed)))
        };
        let der = "an encoding that is not strict DER";
        assert_eq!(change(&|_| vec![]), der);
        assert_eq!(change(&|_| vec![0x30, ALL]), der);
        // A byte over, one too few, r with a zero too many, a length in two bytes.
        assert_eq!(change(&|s| [&s[..s.len() - 1], &[0, ALL]].concat()), der);
        assert_eq!(change(&|s| [&s[..s.len() - 2], &[ALL]].concat()), der);
        assert_eq!(
            change(&|s| {
                let (length, r) = (s[1], s[3]);
                [&[0x30, length + 1, 2, r + 1, 0], &s[4..]].concat()
            }),
            der
        );
        assert_eq!(change(&|s| [&[0x30, 0x81], &s[1..]].concat()), der);
        for hash_type in [0x00, 0x02, 0x03, 0x81, 0x82, 0x83] {
            let signed = owner.signed(owner.to_sign(), hash_type);
            let refused = owner.verify(MESSAGE, &full_text(&signed));
            assert!(rule_of(refused).contains("hash type"), "{hash_type}");
        }
    }
}

#[test]
fn taproot_signs_with_the_default_or_all_and_nothing_else() {
    let owner = Owner::new(coin("bitcoin"), Kind::P2tr, 7);
    let to_sign = owner.to_sign();
    for hash_type in [DEFAULT, ALL] {
        let signature = owner.schnorr(&to_sign, hash_type);
        assert_eq!(owner.verify(MESSAGE, &simple_text(&[&signature])), Ok(()));
    }
    for hash_type in [0x02, 0x03, 0x81, 0x82, 0x83] {
        let signature = owner.schnorr(&to_sign, hash_type);
        let refused = owner.verify(MESSAGE, &simple_text(&[&signature]));
        assert!(rule_of(refused).contains("hash type"), "{hash_type}");
    }
    let default = owner.schnorr(&to_sign, DEFAULT);
    let spelled = [&default[..], &[DEFAULT]].concat();
    assert!(rule_of(owner.verify(MESSAGE, &simple_text(&[&spelled]))).contains("hash type"));
    for length in [0, 1, 63, 66] {
        let mut cut = default.clone();
        cut.resize(length, ALL);
        let refused = owner.verify(MESSAGE, &format!("smp{}", simple_text(&[&cut])));
        assert!(rule_of(refused).contains("length"), "{length}");
    }
    // ALL and the default commit to different bytes.
    let as_all = [&default[..], &[ALL]].concat();
    owner.refuses(&simple_text(&[&as_all]), BadSignature::OtherKey);
}

#[test]
fn a_taproot_script_an_annex_or_more_is_refused() {
    let owner = Owner::new(coin("bitcoin"), Kind::P2tr, 7);
    let signature = owner.schnorr(&owner.to_sign(), DEFAULT);
    let refusal =
        BadSignature::CannotSign("an address of the kind P2TR by a script or with an annex");
    owner.refuses(&simple_text(&[&signature, &[0x50]]), refusal);
    owner.refuses(&simple_text(&[&signature, &[0x51], &[0xc0; 33]]), refusal);
    owner.refuses(&simple_text(&[&signature, &signature]), refusal);
    assert!(rule_of(owner.verify(MESSAGE, &simple_text(&[]))).contains("witness"));
}

#[test]
fn items_too_many_too_few_or_in_the_wrong_order_are_refused() {
    let owner = Owner::new(coin("bitcoin"), Kind::P2wpkh, 7);
    let witness = owner.simple(MESSAGE).to_vec();
    let (signature, key) = (&witness[0][..], &witness[1][..]);
    assert_eq!(
        owner.verify(MESSAGE, &simple_text(&[signature, key])),
        Ok(())
    );
    for items in [
        &[][..],
        &[signature],
        &[signature, key, &[]],
        &[&[], signature, key],
        &[signature, key, key],
    ] {
        assert!(rule_of(owner.verify(MESSAGE, &simple_text(items))).contains("witness"));
    }
    let refused = owner.verify(MESSAGE, &simple_text(&[key, signature]));
    assert!(rule_of(refused).contains("public key"));
    let stranger = Owner::new(coin("bitcoin"), Kind::P2wpkh, 8)
        .key()
        .to_bytes();
    let by_stranger = simple_text(&[signature, &stranger]);
    owner.refuses(&by_stranger, BadSignature::OtherKey);
}

#[test]
fn a_witness_alone_proves_native_segwit_alone() {
    for (kind, coin) in [
        (Kind::P2pkh, coin("dogecoin")),
        (Kind::P2shP2wpkh, coin("litecoin")),
    ] {
        let owner = Owner::new(coin, kind, 7);
        let native = Owner::new(self::coin("bitcoin"), Kind::P2wpkh, 7).simple(MESSAGE);
        let refusal = kind.misfit("a simple BIP322 signature");
        let signature = text(&consensus::serialize(&native));
        owner.refuses(&signature, refusal);
        owner.refuses(&format!("smp{signature}"), refusal);
    }
}

#[test]
fn a_p2sh_address_signs_where_it_holds_the_hash_of_a_key() {
    let bitcoin = coin("bitcoin");
    let owner = Owner::new(bitcoin, Kind::P2shP2wpkh, 7);
    let full = owner.full(MESSAGE);
    let redeem = p2wpkh(&PublicKey::from(owner.key())).unwrap();
    let with = |script_sig: ScriptBuf| {
        let mut full = full.clone();
        full.input[0].script_sig = script_sig;
        owner.verify(MESSAGE, &full_text(&full))
    };
    let none = Err(BadSignature::CannotSign(
        "an address of the kind P2SH that holds no P2WPKH",
    ));
    assert_eq!(with(pushing(&[redeem.as_bytes()])), Ok(()));
    assert_eq!(with(ScriptBuf::new()), none);
    assert_eq!(with(pushing(&[&[0x51]])), none);
    assert_eq!(with(pushing(&[&[], redeem.as_bytes()])), none);
    assert_eq!(with(pushing(&[&[0x51, 0x20], &[1; 32]])), none);
    // Not the shortest push.
    let long = [&[0x4c, 22][..], redeem.as_bytes()].concat();
    assert_eq!(with(ScriptBuf::from_bytes(long)), none);
    let stranger = Owner::new(bitcoin, Kind::P2wpkh, 8);
    let other = pushing(&[stranger.script().as_bytes()]);
    assert_eq!(with(other), Err(BadSignature::OtherKey));

    // What has no segwit has no key behind such an address: anybody may spend from it.
    let dogecoin = coin("dogecoin");
    let rules = dogecoin.on(Network::Main).unwrap();
    let hash = redeem.script_hash();
    let text_of = base58::encode_check(&[&[rules.p2sh], &hash[..]].concat());
    let address = Address::parse(dogecoin, Network::Main, &text_of).unwrap();
    for signature in [full_text(&full), text(&owner.legacy(35, MESSAGE))] {
        let refused = verify(dogecoin, Network::Main, &address, MESSAGE, &signature);
        let refusal = BadSignature::CannotSign("an address of the kind P2SH");
        assert_eq!(refused, Err(refusal));
    }
}

#[test]
fn a_p2pkh_address_signs_with_two_shortest_pushes_and_no_witness() {
    let owner = Owner::new(coin("dogecoin"), Kind::P2pkh, 7);
    let full = owner.full(MESSAGE);
    let script_sig = full.input[0].script_sig.clone();
    let items = bip322::pushes(&script_sig).unwrap();
    let with = |script_sig: ScriptBuf, witness: &[&[u8]]| {
        let mut full = full.clone();
        full.input[0].script_sig = script_sig;
        full.input[0].witness = Witness::from_slice(witness);
        owner.verify(MESSAGE, &full_text(&full))
    };
    let (signature, key) = (items[0], items[1]);
    assert_eq!(with(pushing(&[signature, key]), &[]), Ok(()));
    let long = [&[0x4c, 33][..], key].concat();
    let long = [pushing(&[signature]).as_bytes(), &long].concat();
    let nop = [script_sig.as_bytes(), &[0x61]].concat();
    for script_sig in [
        ScriptBuf::new(),
        pushing(&[signature]),
        pushing(&[key]),
        pushing(&[&[], signature, key]),
        pushing(&[signature, key, &[]]),
        ScriptBuf::from_bytes(long),
        ScriptBuf::from_bytes(nop),
        ScriptBuf::from_bytes(script_sig.as_bytes()[1..].to_vec()),
    ] {
        assert!(rule_of(with(script_sig, &[])).contains("scriptSig"));
    }
    assert!(rule_of(with(script_sig.clone(), &[&[]])).contains("witness"));
    let native = Owner::new(coin("bitcoin"), Kind::P2wpkh, 7);
    let mut full = native.full(MESSAGE);
    full.input[0].script_sig = pushing(&[&[]]);
    assert!(rule_of(native.verify(MESSAGE, &full_text(&full))).contains("scriptSig"));
}

#[test]
fn a_full_signature_is_the_transaction_of_bip322_and_no_other() {
    for kind in KINDS {
        let owner = Owner::new(coin("bitcoin"), kind, 7);
        let with = |change: &dyn Fn(&mut Transaction)| {
            let mut to_sign = owner.to_sign();
            change(&mut to_sign);
            let signed = owner.signed(to_sign, owner.hash_type());
            owner.verify(MESSAGE, &full_text(&signed))
        };
        assert_eq!(with(&|_| {}), Ok(()));
        assert_eq!(with(&|tx| tx.version = Version::TWO), Ok(()));
        for version in [Version::ONE, Version(3), Version(-1)] {
            assert!(rule_of(with(&|tx| tx.version = version)).contains("version"));
        }
        for time in [1, 840_000, 1_700_000_000] {
            let locked = with(&|tx| tx.lock_time = LockTime::from_consensus(time));
            assert_eq!(locked, Err(BadSignature::TimeLock));
        }
        for sequence in [1, 2016, u32::MAX] {
            let locked = with(&|tx| tx.input[0].sequence = Sequence(sequence));
            assert_eq!(locked, Err(BadSignature::TimeLock));
        }
        let other = |tx: &mut Transaction| tx.input[0].previous_output.vout = 1;
        assert_eq!(with(&other), Err(BadSignature::OtherMessage));
        let other = |tx: &mut Transaction| {
            tx.input[0].previous_output = OutPoint::new(Txid::all_zeros(), 0);
        };
        assert_eq!(with(&other), Err(BadSignature::OtherMessage));
        let output = |tx: &mut Transaction| tx.output.push(tx.output[0].clone());
        assert!(rule_of(with(&output)).contains("outputs"));
        let value = |tx: &mut Transaction| tx.output[0].value = Amount::ONE_SAT;
        assert!(rule_of(with(&value)).contains("outputs"));
        let paying = |tx: &mut Transaction| tx.output[0].script_pubkey = ScriptBuf::new();
        assert!(rule_of(with(&paying)).contains("outputs"));

        let mut signed = owner.full(MESSAGE);
        signed.input.push(TxIn::default());
        let refused = owner.verify(MESSAGE, &full_text(&signed));
        assert!(rule_of(refused).contains("inputs"));
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

/// Whether two old signed messages differ in the header alone, which says the same of a P2WPKH address:
/// once as BIP137 has it, once as Electrum has it.
fn says_the_same(kind: Kind, was: &[u8], is: &[u8]) -> bool {
    let says = |header| match header {
        31..=34 => Some(header - 31),
        39..=42 => Some(header - 39),
        _ => None,
    };
    kind == Kind::P2wpkh
        && was.len() == 65
        && is.len() == 65
        && was[1..] == is[1..]
        && says(is[0]).is_some()
        && says(is[0]) == says(was[0])
}

/// Every bit, not some of them: there are few enough.
#[test]
fn no_bit_of_a_signature_can_be_flipped() {
    for kind in KINDS {
        let coin = if kind == Kind::P2pkh {
            coin("dogecoin")
        } else {
            coin("litecoin")
        };
        let owner = Owner::new(coin, kind, 7);
        let mut signatures = vec![consensus::serialize(&owner.full(MESSAGE))];
        match kind {
            Kind::P2pkh => signatures.push(owner.legacy(31, MESSAGE).to_vec()),
            Kind::P2shP2wpkh => signatures.push(owner.legacy(35, MESSAGE).to_vec()),
            Kind::P2wpkh => {
                signatures.push(owner.legacy(39, MESSAGE).to_vec());
                signatures.push(consensus::serialize(&owner.simple(MESSAGE)));
            }
            Kind::P2tr => signatures.push(consensus::serialize(&owner.simple(MESSAGE))),
        }
        for bytes in signatures {
            assert_eq!(owner.verify(MESSAGE, &text(&bytes)), Ok(()));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let verified = owner.verify(MESSAGE, &text(&flipped));
                let same = says_the_same(kind, &bytes, &flipped);
                assert_eq!(verified.is_ok(), same, "bit {bit} of {}", text(&bytes));
            }
        }
    }
}

fn someone() -> impl Strategy<Value = &'static (Owner, Vec<String>)> {
    (0..OWNERS.len()).prop_map(|at| &OWNERS[at])
}

proptest! {
    #[test]
    fn no_text_panics_or_proves_anything((owner, _) in someone(), message in ".*", signature in ".*") {
        prop_assert!(owner.verify(&message, &signature).is_err());
    }

    #[test]
    fn no_bytes_panic_or_prove_anything(
        (owner, _) in someone(),
        prefix in prop::sample::select(vec!["", "smp", "ful", "pof"]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let signature = format!("{prefix}{}", text(&bytes));
        prop_assert!(owner.verify(MESSAGE, &signature).is_err());
    }

    #[test]
    fn no_legacy_bytes_panic_or_prove_anything(
        (owner, _) in someone(),
        header in 27_u8..=42,
        compact in prop::array::uniform32(any::<u8>()),
    ) {
        let bytes = [&[header], &compact[..], &compact[..]].concat();
        prop_assert!(owner.verify(MESSAGE, &text(&bytes)).is_err());
    }

    #[test]
    fn a_character_changed_in_a_signature_spoils_it(
        (owner, signatures) in someone(),
        form in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        flip in 0..7,
    ) {
        let good: &String = form.get(signatures.as_slice());
        let mut signature = good.clone().into_bytes();
        let place = place.index(signature.len());
        signature[place] ^= 1_u8 << flip;
        let signature = String::from_utf8(signature).unwrap();
        let decoded = |text: &str| BASE64_STANDARD.decode(text).unwrap_or_default();
        let (was, is) = (decoded(good), decoded(&signature));
        let same_header = says_the_same(owner.kind, &was, &is);
        prop_assert_eq!(owner.verify(MESSAGE, &signature).is_ok(), same_header);
    }

    #[test]
    fn any_message_can_be_signed((owner, _) in someone(), message in ".{0,200}") {
        let full = full_text(&owner.full(&message));
        prop_assert_eq!(owner.verify(&message, &full), Ok(()));
        let stranger = Owner::on(owner.coin, owner.network, owner.kind, 8, true);
        prop_assert!(stranger.verify(&message, &full).is_err());
        if owner.kind != Kind::P2tr {
            let legacy = text(&owner.legacy(31, &message));
            prop_assert_eq!(owner.verify(&message, &legacy), Ok(()));
        }
    }
}
