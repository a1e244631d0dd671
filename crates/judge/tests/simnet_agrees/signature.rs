//! Signatures: what they sign and whose they are.

use bitcoin::{
    Amount, OutPoint, Sequence, Transaction, Witness, absolute::LockTime,
    opcodes::all::OP_CHECKSIG, script::Builder, transaction,
};

use crate::{
    block::{FEE, good, spending, to_anyone, with},
    purse::{Coin, Kind, key, push, sign, signature, unlock},
    twins::Twins,
};

#[test]
fn signatures_are_checked_alike() {
    let mut twins = Twins::new();
    let keyed = [
        Kind::P2pk,
        Kind::P2pkh,
        Kind::P2wpkh,
        Kind::P2shP2wpkh,
        Kind::P2wsh,
    ];
    // Each hash type there is, and some that mean nothing, for each input of more inputs than
    // outputs (the last one has none beside it).
    for kind in keyed {
        for hash_type in [
            0x00, 0x01, 0x02, 0x03, 0x04, 0x1f, 0x41, 0x42, 0x43, 0x50, 0x7f, 0x80, 0x81, 0x82,
            0x83, 0xc3, 0xff,
        ] {
            let spent = [twins.coin(kind), twins.coin(Kind::True), twins.coin(kind)];
            let mut spend = spending(&spent);
            spend.output[0].value -= Amount::from_sat(FEE + 1);
            spend.output.push(to_anyone(Amount::ONE_SAT));
            for index in [0, 2] {
                let signature = signature(&spend, index, &spent, hash_type);
                unlock(&mut spend.input[index], kind, signature, &key().to_bytes());
            }
            let block = good(&twins, &[spend]);
            twins.case(
                &format!("{kind:?} with hash type {hash_type:02x}"),
                &block,
                None,
            );
        }
    }
    for hash_type in [0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x83] {
        let spent = [twins.coin(Kind::P2tr), twins.coin(Kind::P2wpkh)];
        let mut spend = spending(&spent);
        spend.output[0].value -= Amount::from_sat(FEE);
        sign(&mut spend, &spent);
        let signature = signature(&spend, 0, &spent, hash_type);
        unlock(&mut spend.input[0], Kind::P2tr, signature, &[]);
        twins.case(
            &format!("taproot with hash type {hash_type:02x}"),
            &good(&twins, &[spend]),
            None,
        );
    }

    // What a signature was not made for.
    for kind in keyed.into_iter().chain([Kind::P2tr]) {
        for hash_type in [0x01, 0x02, 0x03, 0x81, 0x82, 0x83] {
            for change in [
                (|spend| spend.output[0].value -= Amount::ONE_SAT) as fn(&mut Transaction),
                |spend| spend.output[1].script_pubkey = Kind::P2pkh.script(),
                |spend| spend.input[0].sequence = Sequence(0xffff_fffe),
                |spend| spend.input[1].sequence = Sequence(0xffff_fffe),
                |spend| spend.lock_time = LockTime::from_consensus(1),
                |spend| spend.version = transaction::Version::ONE,
                |spend| spend.input.swap(0, 1),
            ] {
                let spent = [twins.coin(kind), twins.coin(Kind::True)];
                let mut spend = spending(&spent);
                spend.output[0].value -= Amount::from_sat(10);
                spend.output.push(to_anyone(Amount::from_sat(5)));
                let made = signature(&spend, 0, &spent, hash_type);
                unlock(&mut spend.input[0], kind, made, &key().to_bytes());
                change(&mut spend);
                let block = with(&twins, spend);
                twins.feed(&format!("{kind:?} {hash_type:02x} changed"), &block);
            }
        }
    }
    twins.part();
}

#[test]
fn keys_in_any_form_are_read_alike() {
    let mut twins = Twins::new();
    let whole = key().inner.serialize_uncompressed();
    let hybrid = |first: u8| [&[first][..], &whole[1..]].concat();
    let parity = 6 | (whole[64] & 1);
    let keys = [
        whole.to_vec(),
        hybrid(parity),
        hybrid(parity ^ 1),
        hybrid(5),
        vec![2; 33],
        vec![4; 33],
        vec![],
        key().to_bytes()[..32].to_vec(),
    ];
    for bytes in keys {
        for witness in [false, true] {
            let code = Builder::new()
                .push_slice(push(&bytes))
                .push_opcode(OP_CHECKSIG)
                .into_script();
            let coin = twins.coin(Kind::True);
            let mut make = spending(&[coin]);
            make.output[0].script_pubkey = if witness {
                code.to_p2wsh()
            } else {
                code.clone()
            };
            twins.case("to a key", &with(&twins, make.clone()), None);
            let kind = if witness { Kind::P2wsh } else { Kind::P2pk };
            let coin = Coin {
                outpoint: OutPoint {
                    txid: make.compute_txid(),
                    vout: 0,
                },
                output: make.output[0].clone(),
                kind,
            };
            let mut spend = spending(std::slice::from_ref(&coin));
            // For P2WSH the purse signs its own script: wrong for any other, and so for all here.
            let made = signature(&spend, 0, &[coin], 1);
            unlock(&mut spend.input[0], kind, made.clone(), &[]);
            if witness {
                spend.input[0].witness = Witness::from_slice(&[made, code.into_bytes()]);
            }
            let name = format!("{} with witness {witness}", hex::encode(&bytes));
            let reason = twins.feed(&name, &with(&twins, spend));
            assert_eq!(
                reason.is_none(),
                !witness
                    && matches!(bytes.first(), Some(4 | 6 | 7))
                    && bytes.len() == 65
                    && bytes != hybrid(parity ^ 1),
                "{name}: {reason:?}"
            );
        }
    }
    twins.part();
}
