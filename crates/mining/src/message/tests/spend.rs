//! What a BIP322 signature must look like as a transaction, for each kind of address.

use super::*;

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

/// With its signature changed, wherever that stands.
pub(super) fn with_signature(
    signed: &Transaction,
    change: impl Fn(&[u8]) -> Vec<u8>,
) -> Transaction {
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
        // A number below zero, which the curve's library takes for nought.
        assert_eq!(
            change(&|s| match s[3] {
                33 => [&[0x30, s[1] - 1, 2, 32], &s[5..]].concat(),
                _ => [&s[..4], &[s[4] | 0x80], &s[5..]].concat(),
            }),
            der
        );
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
    let rules = dogecoin.on(Network::Main).unwrap().scripts().unwrap();
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
