//! Scripts: those that fail, and the words for it.

use bitcoin::{ScriptBuf, Transaction, Witness, opcodes::all::OP_NOP, script::Builder};

use crate::{
    block::{after, script_failed, spending, with},
    purse::{Kind, key, push, signature, unlock},
    twins::Twins,
};

const FALSE: &str =
    "Script evaluated without error but finished with a false/empty top stack element";
const DER: &str = "Non-canonical DER signature";
const MISMATCH: &str = "Witness program hash mismatch";
const EMPTY: &str = "Witness program was passed an empty witness";
const STACK: &str = "Operation not valid with the current stack size";
const UNEXPECTED: &str = "Witness provided for non-witness script";
const OPCODE: &str = "Opcode missing or not understood";
const OPERATIONS: &str = "Operation limit exceeded";

#[test]
fn bare_scripts_are_run_alike() {
    let mut twins = Twins::new();
    #[track_caller]
    fn case(twins: &mut Twins, script: &[&[u8]], expected: Option<&str>) {
        let script = script.concat();
        let name = hex::encode(&script[..script.len().min(8)]);
        let mut make = spending(&[twins.coin(Kind::True)]);
        make.output[0].script_pubkey = ScriptBuf::from_bytes(script);
        twins.case(&name, &with(twins, make.clone()), None);
        let expected = expected.and_then(script_failed);
        twins.case(&name, &with(twins, after(&make)), expected.as_deref());
    }
    let t = &mut twins;
    case(t, &[], Some(FALSE));
    case(t, &[&[0x00]], Some(FALSE));
    case(t, &[&[0x01, 0x80]], Some(FALSE));
    case(t, &[&[0x02, 0x00, 0x80]], Some(FALSE));
    case(t, &[&[0x02, 0x80, 0x00]], None);
    case(t, &[&[0x4f]], None);
    case(t, &[&[0x60]], None);
    // Limits.
    case(t, &[&[0x51; 1_000]], None);
    case(t, &[&[0x51; 1_001]], Some("Stack size limit exceeded"));
    case(t, &[&[0x61; 201], &[0x51]], None);
    case(t, &[&[0x61; 202], &[0x51]], Some(OPERATIONS));
    case(t, &[&[0x61; 10_000]], Some(OPERATIONS));
    case(t, &[&[0x4d, 0x08, 0x02], &[1; 520]], None);
    case(
        t,
        &[&[0x4d, 0x09, 0x02], &[1; 521]],
        Some("Push value size limit exceeded"),
    );
    // Pushes that end too early.
    case(t, &[&[0x51, 0x4c]], Some(OPCODE));
    case(t, &[&[0x51, 0x02, 0x01]], Some(OPCODE));
    case(t, &[&[0x51, 0x4e, 0xff, 0xff, 0xff, 0xff]], Some(OPCODE));
    // VERIFY, RETURN, EQUAL, EQUALVERIFY, DUP, and each of them with too little to work on.
    case(t, &[&[0x51, 0x69]], Some(FALSE));
    case(
        t,
        &[&[0x00, 0x69]],
        Some("Script failed an OP_VERIFY operation"),
    );
    case(t, &[&[0x51, 0x6a]], Some("OP_RETURN was encountered"));
    case(t, &[&[0x51, 0x51, 0x87]], None);
    case(t, &[&[0x51, 0x52, 0x87]], Some(FALSE));
    case(t, &[&[0x51, 0x51, 0x88]], Some(FALSE));
    case(
        t,
        &[&[0x51, 0x52, 0x88]],
        Some("Script failed an OP_EQUALVERIFY operation"),
    );
    case(t, &[&[0x51, 0x76, 0x87]], None);
    for operation in [0x69, 0x75, 0x76, 0x87, 0x88, 0xa9, 0xac, 0xad] {
        case(t, &[&[operation]], Some(STACK));
    }
    twins.part();
}

#[test]
fn scripts_fail_with_the_same_words() {
    let mut twins = Twins::new();
    #[track_caller]
    fn case(
        twins: &mut Twins,
        kind: Kind,
        name: &str,
        expected: Option<&str>,
        change: impl Fn(&mut Transaction, Vec<u8>),
    ) {
        let coin = [twins.coin(kind)];
        let mut spend = spending(&coin);
        let hash_type = if kind == Kind::P2tr { 0 } else { 1 };
        let good = signature(&spend, 0, &coin, hash_type);
        unlock(&mut spend.input[0], kind, good.clone(), &key().to_bytes());
        change(&mut spend, good);
        let block = with(twins, spend);
        let expected = expected.and_then(script_failed);
        twins.case(&format!("{kind:?}: {name}"), &block, expected.as_deref());
    }
    let t = &mut twins;
    let with_signature = |kind: Kind, bytes: &[u8]| {
        let bytes = bytes.to_vec();
        move |spend: &mut Transaction, _| {
            unlock(&mut spend.input[0], kind, bytes.clone(), &key().to_bytes())
        }
    };
    let with_key = |kind: Kind, bytes: Vec<u8>| {
        move |spend: &mut Transaction, signature| {
            unlock(&mut spend.input[0], kind, signature, &bytes)
        }
    };
    for kind in [
        Kind::P2pk,
        Kind::P2pkh,
        Kind::P2wpkh,
        Kind::P2shP2wpkh,
        Kind::P2wsh,
    ] {
        case(t, kind, "as it should be", None, |_, _| {});
        case(
            t,
            kind,
            "an empty signature",
            Some(FALSE),
            with_signature(kind, &[]),
        );
        case(t, kind, "one byte", Some(DER), with_signature(kind, &[1]));
        case(
            t,
            kind,
            "73 zeros",
            Some(DER),
            with_signature(kind, &[0; 73]),
        );
        case(t, kind, "no hash type", Some(DER), |spend, signature| {
            unlock(
                &mut spend.input[0],
                kind,
                signature[..signature.len() - 1].to_vec(),
                &key().to_bytes(),
            );
        });
        case(
            t,
            kind,
            "another hash type than signed",
            Some(FALSE),
            |spend, mut signature| {
                *signature.last_mut().unwrap() = 2;
                unlock(&mut spend.input[0], kind, signature, &key().to_bytes());
            },
        );
        case(
            t,
            kind,
            "zero for both numbers",
            Some(FALSE),
            with_signature(kind, &hex::decode("300602010002010001").unwrap()),
        );
        case(
            t,
            kind,
            "a negative number",
            Some(DER),
            with_signature(kind, &hex::decode("300602018102010101").unwrap()),
        );
        case(
            t,
            kind,
            "a padded number",
            Some(DER),
            with_signature(kind, &hex::decode("30070202000102010101").unwrap()),
        );
        case(
            t,
            kind,
            "a number of no bytes",
            Some(DER),
            with_signature(kind, &hex::decode("3006020002020101ff").unwrap()),
        );
        case(t, kind, "a number as large as the order", Some(FALSE), with_signature(
            kind,
            &hex::decode("3026022100fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd036414102010101").unwrap(),
        ));
        // Only the memory pool minds the larger of the two numbers that are as good.
        case(
            t,
            kind,
            "the larger of two numbers",
            None,
            |spend, signature| {
                let end = signature.len() - 1;
                let parsed =
                    bitcoin::secp256k1::ecdsa::Signature::from_der(&signature[..end]).unwrap();
                unlock(
                    &mut spend.input[0],
                    kind,
                    [high(&parsed), vec![1]].concat(),
                    &key().to_bytes(),
                );
            },
        );
        for place in [4, 20, 40, 60] {
            case(
                t,
                kind,
                "a bit of it flipped",
                Some(FALSE),
                |spend, mut signature| {
                    signature[place] ^= 4;
                    unlock(&mut spend.input[0], kind, signature, &key().to_bytes());
                },
            );
        }
    }
    case(
        t,
        Kind::P2pkh,
        "another key",
        Some("Script failed an OP_EQUALVERIFY operation"),
        with_key(Kind::P2pkh, vec![2; 33]),
    );
    case(
        t,
        Kind::P2wpkh,
        "another key",
        Some("Script failed an OP_EQUALVERIFY operation"),
        with_key(Kind::P2wpkh, vec![2; 33]),
    );
    case(t, Kind::P2pkh, "nothing", Some(STACK), |spend, _| {
        spend.input[0].script_sig = ScriptBuf::new()
    });
    case(t, Kind::P2pk, "nothing", Some(STACK), |spend, _| {
        spend.input[0].script_sig = ScriptBuf::new()
    });
    case(
        t,
        Kind::P2pkh,
        "the signature alone",
        Some("Script failed an OP_EQUALVERIFY operation"),
        |spend, signature| {
            spend.input[0].script_sig = Builder::new().push_slice(push(&signature)).into_script();
        },
    );
    for kind in [Kind::P2pk, Kind::P2pkh, Kind::True] {
        case(t, kind, "a witness", Some(UNEXPECTED), |spend, _| {
            spend.input[0].witness = Witness::from_slice(&[[1]]);
        });
        case(
            t,
            kind,
            "a witness of one empty item",
            Some(UNEXPECTED),
            |spend, _| {
                spend.input[0].witness = Witness::from_slice(&[[0u8; 0]]);
            },
        );
        // Only the memory pool minds what is left on the stack.
        case(t, kind, "something more below", None, |spend, _| {
            let script = [&[0x00, 0x53][..], spend.input[0].script_sig.as_bytes()].concat();
            spend.input[0].script_sig = ScriptBuf::from_bytes(script);
        });
        case(t, kind, "an operation in the input", None, |spend, _| {
            let script = [&[OP_NOP.to_u8()][..], spend.input[0].script_sig.as_bytes()].concat();
            spend.input[0].script_sig = ScriptBuf::from_bytes(script);
        });
        case(
            t,
            kind,
            "OP_RETURN in the input",
            Some("OP_RETURN was encountered"),
            |spend, _| {
                spend.input[0].script_sig = ScriptBuf::from_bytes(vec![0x6a]);
            },
        );
        case(
            t,
            kind,
            "a push that ends too early",
            Some(OPCODE),
            |spend, _| {
                spend.input[0].script_sig = ScriptBuf::from_bytes(vec![0x02, 0x01]);
            },
        );
        case(
            t,
            kind,
            "a script of 10,000 bytes",
            Some("Push value size limit exceeded"),
            |spend, _| {
                spend.input[0].script_sig =
                    ScriptBuf::from_bytes([vec![0x4d, 0x0d, 0x27], vec![0; 9_997]].concat());
            },
        );
        case(
            t,
            kind,
            "a script of 10,001 bytes",
            Some("Script is too big"),
            |spend, _| {
                spend.input[0].script_sig =
                    ScriptBuf::from_bytes([vec![0x4d, 0x0e, 0x27], vec![0; 9_998]].concat());
            },
        );
    }
    for kind in [Kind::P2wpkh, Kind::P2wsh, Kind::P2tr] {
        case(
            t,
            kind,
            "something in the input",
            Some("Witness requires empty scriptSig"),
            |spend, _| {
                spend.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51]);
            },
        );
    }
    let witness = |items: &[&[u8]]| {
        let witness = Witness::from_slice(items);
        move |spend: &mut Transaction, _| spend.input[0].witness = witness.clone()
    };
    for kind in [Kind::P2wpkh, Kind::P2shP2wpkh] {
        case(t, kind, "no witness", Some(MISMATCH), witness(&[]));
        case(t, kind, "one item", Some(MISMATCH), witness(&[&[1]]));
        case(
            t,
            kind,
            "three items",
            Some(MISMATCH),
            witness(&[&[1], &[1], &[1]]),
        );
        case(
            t,
            kind,
            "an item too large",
            Some("Push value size limit exceeded"),
            witness(&[&[1; 521], &[1]]),
        );
        case(
            t,
            kind,
            "the largest item",
            Some("Script failed an OP_EQUALVERIFY operation"),
            witness(&[&[1; 520], &[1]]),
        );
    }
    case(t, Kind::P2wsh, "no witness", Some(EMPTY), witness(&[]));
    case(
        t,
        Kind::P2wsh,
        "another script",
        Some(MISMATCH),
        witness(&[&[1], &[0x51]]),
    );
    case(
        t,
        Kind::P2wsh,
        "an item too many",
        Some("Stack size must be exactly one after execution"),
        |spend, signature| {
            let script = spend.input[0].witness.last().unwrap().to_vec();
            spend.input[0].witness = Witness::from_slice(&[vec![], signature, script]);
        },
    );
    case(
        t,
        Kind::P2wsh,
        "nothing but the script",
        Some(STACK),
        |spend, _| {
            let script = spend.input[0].witness.last().unwrap().to_vec();
            spend.input[0].witness = Witness::from_slice(&[script]);
        },
    );
    case(
        t,
        Kind::P2wsh,
        "more items than a stack holds",
        Some("Stack size limit exceeded"),
        |spend, signature| {
            let script = spend.input[0].witness.last().unwrap().to_vec();
            let mut items = vec![vec![]; 1_001];
            items.extend([signature, script]);
            spend.input[0].witness = Witness::from_slice(&items);
        },
    );

    case(t, Kind::P2shP2wpkh, "nothing", Some(STACK), |spend, _| {
        spend.input[0].script_sig = ScriptBuf::new()
    });
    case(
        t,
        Kind::P2shP2wpkh,
        "another script",
        Some(FALSE),
        |spend, _| {
            spend.input[0].script_sig = ScriptBuf::from_bytes(vec![0x01, 0x51]);
        },
    );
    case(
        t,
        Kind::P2shP2wpkh,
        "an operation",
        Some("Only push operators allowed in signatures"),
        |spend, _| {
            let script = [&[OP_NOP.to_u8()][..], spend.input[0].script_sig.as_bytes()].concat();
            spend.input[0].script_sig = ScriptBuf::from_bytes(script);
        },
    );
    let malleated = Some("Witness requires only-redeemscript scriptSig");
    case(t, Kind::P2shP2wpkh, "a push more", malleated, |spend, _| {
        let script = [&[0x51][..], spend.input[0].script_sig.as_bytes()].concat();
        spend.input[0].script_sig = ScriptBuf::from_bytes(script);
    });
    case(
        t,
        Kind::P2shP2wpkh,
        "the long push",
        malleated,
        |spend, _| {
            let script = [&[0x4c][..], spend.input[0].script_sig.as_bytes()].concat();
            spend.input[0].script_sig = ScriptBuf::from_bytes(script);
        },
    );

    let kind = Kind::P2tr;
    case(t, kind, "as it should be", None, |_, _| {});
    case(t, kind, "no witness", Some(EMPTY), witness(&[]));
    case(
        t,
        kind,
        "an empty signature",
        Some("Invalid Schnorr signature size"),
        witness(&[&[]]),
    );
    case(
        t,
        kind,
        "63 bytes",
        Some("Invalid Schnorr signature size"),
        witness(&[&[1; 63]]),
    );
    case(
        t,
        kind,
        "66 bytes",
        Some("Invalid Schnorr signature size"),
        witness(&[&[1; 66]]),
    );
    case(
        t,
        kind,
        "64 bytes of nothing",
        Some("Invalid Schnorr signature"),
        witness(&[&[0; 64]]),
    );
    case(
        t,
        kind,
        "64 bytes above the field",
        Some("Invalid Schnorr signature"),
        witness(&[&[0xff; 64]]),
    );
    for hash_type in [0x00, 0x04, 0x80, 0x84, 0xff] {
        case(
            t,
            kind,
            "a hash type there is not",
            Some("Invalid Schnorr signature hash type"),
            |spend, signature| {
                spend.input[0].witness =
                    Witness::from_slice(&[[signature, vec![hash_type]].concat()]);
            },
        );
    }
    case(
        t,
        kind,
        "the default hash type written",
        Some("Invalid Schnorr signature"),
        |spend, signature| {
            spend.input[0].witness = Witness::from_slice(&[[signature, vec![1]].concat()]);
        },
    );
    case(
        t,
        kind,
        "a bit of it flipped",
        Some("Invalid Schnorr signature"),
        |spend, mut signature| {
            signature[40] ^= 1;
            spend.input[0].witness = Witness::from_slice(&[signature]);
        },
    );
    case(
        t,
        kind,
        "an annex that was not signed",
        Some("Invalid Schnorr signature"),
        |spend, signature| {
            spend.input[0].witness = Witness::from_slice(&[signature, vec![0x50, 1]]);
        },
    );
    case(
        t,
        kind,
        "an annex alone is a signature",
        Some("Invalid Schnorr signature size"),
        witness(&[&[0x50, 1]]),
    );
    case(
        t,
        kind,
        "two annexes",
        Some("Invalid Taproot control block size"),
        |spend, signature| {
            spend.input[0].witness = Witness::from_slice(&[signature, vec![0x50], vec![0x50]]);
        },
    );
    case(
        t,
        kind,
        "a script path that is none",
        Some("Invalid Taproot control block size"),
        witness(&[&[0x51], &[0xc0]]),
    );
    // SIGHASH_SINGLE without an output beside the input.
    let spent = [twins.coin(Kind::True), twins.coin(Kind::P2tr)];
    let mut spend = spending(&spent);
    unlock(
        &mut spend.input[1],
        Kind::P2tr,
        [vec![1; 64], vec![3]].concat(),
        &[],
    );
    let expected = script_failed("Invalid Schnorr signature hash type");
    twins.case(
        "nothing to sign for",
        &with(&twins, spend),
        expected.as_deref(),
    );
    twins.part();
}

/// The DER form with the other S, which is larger than half of the order.
fn high(signature: &bitcoin::secp256k1::ecdsa::Signature) -> Vec<u8> {
    let compact = signature.serialize_compact();
    let s = bitcoin::secp256k1::SecretKey::from_slice(&compact[32..])
        .unwrap()
        .negate();
    let number = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap();
        let mut number = bytes[start..].to_vec();
        if number[0] & 0x80 != 0 {
            number.insert(0, 0);
        }
        [vec![2, u8::try_from(number.len()).unwrap()], number].concat()
    };
    let body = [number(&compact[..32]), number(&s.secret_bytes())].concat();
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}

#[test]
fn witness_programs_of_other_versions_and_lengths_are_treated_alike() {
    let mut twins = Twins::new();
    let wrong = script_failed("Witness program has incorrect length");
    for version in 0u8..=16 {
        for length in [2usize, 4, 20, 31, 32, 33, 40] {
            let op = if version == 0 { 0 } else { 0x50 + version };
            let script = [vec![op, u8::try_from(length).unwrap()], vec![0x11; length]].concat();
            for nested in [false, true] {
                let paid = ScriptBuf::from_bytes(script.clone());
                let coin = twins.coin(Kind::True);
                let mut make = spending(&[coin]);
                make.output[0].script_pubkey = if nested { paid.to_p2sh() } else { paid };
                twins.case("to a witness program", &with(&twins, make.clone()), None);
                for items in [&[][..], &[&[1u8; 600][..]][..]] {
                    let mut spend = after(&make);
                    if nested {
                        spend.input[0].script_sig =
                            Builder::new().push_slice(push(&script)).into_script();
                    }
                    spend.input[0].witness = Witness::from_slice(items);
                    let name = format!(
                        "version {version}, {length} bytes, nested {nested}, {} items",
                        items.len()
                    );
                    let reason = twins.feed(&name, &with(&twins, spend));
                    if version == 0 && length != 20 && length != 32 {
                        assert_eq!(reason, wrong, "{name}");
                    }
                    if reason.is_none() {
                        break;
                    }
                }
            }
        }
    }
    twins.part();
}
