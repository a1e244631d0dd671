//! What nobody signed proves nothing, and what was signed proves nothing once it is changed.

use proptest::prelude::*;

use super::*;

/// Whether two old signed messages differ in the header alone, which says the same of a segwit address:
/// once as BIP137 has it, once as Electrum has it.
fn says_the_same(kind: Kind, was: &[u8], is: &[u8]) -> bool {
    let says = |header| match (kind, header) {
        (Kind::P2shP2wpkh | Kind::P2wpkh, 31..=34) => Some(header - 31),
        (Kind::P2shP2wpkh, 35..=38) => Some(header - 35),
        (Kind::P2wpkh, 39..=42) => Some(header - 39),
        _ => None,
    };
    was.len() == 65
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
