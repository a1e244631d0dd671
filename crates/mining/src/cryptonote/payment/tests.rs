//! What transactions pay that monero-wallet-rpc 0.18 has made, and what they do not.

use serde::Deserialize;

use super::*;
use crate::cryptonote::{
    address::Tags,
    transaction::{BadTransaction, key_images},
};

#[derive(Deserialize)]
struct Vector {
    name: String,
    own: String,
    payments: Vec<(String, u64)>,
    transactions: Vec<Made>,
}

#[derive(Deserialize)]
struct Made {
    id: String,
    keys: String,
    blob: String,
    fee: u64,
}

impl Vector {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../vectors/payments.json")).unwrap()
    }

    fn of(name: &str) -> Self {
        let mut all = Self::all().into_iter();
        all.find(|vector| vector.name == name).unwrap()
    }

    fn own(&self) -> Address {
        address(&self.own)
    }

    fn payments(&self) -> Vec<(Address, Amount)> {
        let payments = self.payments.iter();
        payments
            .map(|(text, units)| (address(text), Amount::from_units(*units)))
            .collect()
    }

    fn transactions(&self) -> Vec<(Transaction, Keys)> {
        self.transactions.iter().map(Made::read).collect()
    }
}

impl Made {
    fn read(&self) -> (Transaction, Keys) {
        let blob = hex::decode(&self.blob).unwrap();
        let keys = hex::decode(&self.keys).unwrap();
        (
            Transaction::read(&blob).unwrap(),
            Keys::read(&keys).unwrap(),
        )
    }
}

fn address(text: &str) -> Address {
    Address::parse(&Tags::MONERO, text).unwrap()
}

#[test]
fn what_a_wallet_has_made_is_read_as_it_says() {
    for vector in Vector::all() {
        for made in &vector.transactions {
            let (transaction, _) = made.read();
            assert_eq!(hex::encode(transaction.id()), made.id, "{}", vector.name);
            assert_eq!(transaction.fee().units(), made.fee);
            assert_eq!(transaction.key_images().len(), 2);
            let blob = hex::decode(&made.blob).unwrap();
            // The end is not there where the daemon gives a pruned one.
            let images = key_images(&blob[..blob.len() - 1_000]).unwrap();
            assert_eq!(images, transaction.key_images());
        }
    }
}

#[test]
fn each_payment_is_found_to_the_unit() {
    for vector in Vector::all() {
        let (made, own) = (vector.transactions(), vector.own());
        let checked = check(&made, &vector.payments(), Some(&own));
        assert_eq!(checked, Ok(()), "{}", vector.name);
        let (transaction, keys) = &made[0];
        for (address, amount) in vector.payments() {
            if address != own {
                assert_eq!(received(transaction, keys, &address), [amount]);
            }
        }
    }
}

#[test]
fn what_pays_something_else_is_found_out() {
    for vector in Vector::all() {
        let (made, own) = (vector.transactions(), vector.own());
        let name = &vector.name;
        let case = |payments: &[(Address, Amount)], expected: NotPaid| {
            assert_eq!(check(&made, payments, Some(&own)), Err(expected), "{name}");
        };
        let payments = vector.payments();
        let to_others = payments.iter().position(|(address, _)| *address != own);
        let place = to_others.unwrap();
        for wrong in [
            payments[place].1.units() + 1,
            payments[place].1.units() - 1,
            0,
        ] {
            let mut payments = payments.clone();
            payments[place].1 = Amount::from_units(wrong);
            case(&payments, NotPaid::Payment);
        }
        let mut fewer = payments.clone();
        fewer.remove(place);
        case(&fewer, NotPaid::Others);
        let mut stranger = payments.clone();
        stranger[place].0 = address(
            "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H",
        );
        case(&stranger, NotPaid::Payment);
    }
}

#[test]
fn other_keys_prove_nothing() {
    let vector = Vector::of("a standard address and a subaddress");
    let keys = hex::decode(&vector.transactions[0].keys).unwrap();
    let prove = |keys: &[u8]| {
        let (transaction, _) = vector.transactions[0].read();
        check(
            &[(transaction, Keys::read(keys).unwrap())],
            &vector.payments(),
            None,
        )
    };
    assert_eq!(prove(&keys), Ok(()));
    // The subaddress is found by a key of its own.
    assert_eq!(prove(&keys[..32]), Err(NotPaid::Payment));
    let paid_with = |place: usize| {
        let mut wrong = keys.clone();
        wrong[place] ^= 1;
        prove(&wrong).is_ok()
    };
    assert!(!paid_with(0));
    // Of the further keys one is the subaddress's, and of the others nobody has any use.
    let used = [32, 64, 96].map(paid_with);
    assert_eq!(used.iter().filter(|paid| !**paid).count(), 1, "{used:?}");
}

#[test]
fn an_integrated_address_is_paid_with_its_own_payment_id() {
    let vector = Vector::of("an integrated address");
    let (transaction, keys) = vector.transactions[0].read();
    let (paid, amount) = vector.payments().remove(0);
    assert!(matches!(paid.kind(), Kind::Integrated(_)));
    assert_eq!(received(&transaction, &keys, &paid), [amount]);
    let mut other = transaction.clone();
    other.payment_id.as_mut().unwrap()[7] ^= 1;
    assert_eq!(received(&other, &keys, &paid), []);
    other.payment_id = None;
    assert_eq!(received(&other, &keys, &paid), []);
}

#[test]
fn what_a_receiver_could_not_find_or_spend_is_no_payment() {
    let vector = Vector::of("one subaddress");
    let (transaction, keys) = vector.transactions[0].read();
    let (paid, amount) = vector.payments().remove(0);
    let place = (0..2)
        .find(|place| {
            let mut one = transaction.clone();
            one.outputs[*place].key[0] ^= 1;
            received(&one, &keys, &paid).is_empty()
        })
        .unwrap();
    let damages: [fn(&mut Output); 4] = [
        |output| output.amount[0] ^= 1,
        |output| output.commitment[0] ^= 1,
        |output| output.view_tag = output.view_tag.map(|tag| tag ^ 1),
        |output| output.key[31] ^= 1,
    ];
    for damage in damages {
        let mut damaged = transaction.clone();
        damage(&mut damaged.outputs[place]);
        assert_eq!(received(&damaged, &keys, &paid), []);
    }
    assert_eq!(received(&transaction, &keys, &paid), [amount]);
    let mut hidden = transaction;
    hidden.fields.public_keys[0][0] ^= 1;
    assert_eq!(received(&hidden, &keys, &paid), []);
    hidden.fields.public_keys.clear();
    assert_eq!(
        check(&[(hidden, keys)], &vector.payments(), None),
        Err(NotPaid::PublicKey)
    );
}

#[test]
fn payments_that_are_cut_in_two_add_up() {
    let vector = Vector::of("one subaddress");
    let made = vector.transactions();
    let twice = [made[0].clone(), made[0].clone()];
    let (paid, amount) = vector.payments().remove(0);
    let double = amount.checked_add(amount).unwrap();
    assert_eq!(check(&twice, &[(paid.clone(), double)], None), Ok(()));
    assert_eq!(
        check(&twice, &[(paid, amount)], None),
        Err(NotPaid::Payment)
    );
}

#[test]
fn keys_are_whole_and_in_their_one_spelling() {
    assert!(Keys::read(&[]).is_none());
    assert!(Keys::read(&[1; 31]).is_none());
    assert!(Keys::read(&[1; 33]).is_none());
    assert!(Keys::read(&[0xff; 32]).is_none());
    let keys = Keys::read(&[1; 64]).unwrap();
    assert_eq!(format!("{keys:?}"), "Keys(***)");
}

#[test]
fn a_transaction_that_is_cut_off_or_damaged_is_refused_or_another_one() {
    let vector = Vector::of("one subaddress");
    let blob = hex::decode(&vector.transactions[0].blob).unwrap();
    let whole = Transaction::read(&blob).unwrap();
    for len in 0..blob.len() {
        if let Ok(cut) = Transaction::read(&blob[..len]) {
            // Where its proofs end only the chain can tell.
            assert_ne!(cut.id(), whole.id(), "{len}");
        }
    }
    for place in 0..blob.len() {
        let mut damaged = blob.clone();
        damaged[place] ^= 1;
        if let Ok(damaged) = Transaction::read(&damaged) {
            assert_ne!(damaged.id(), whole.id(), "{place}");
        }
    }
    let with = |place: usize, byte: u8| {
        let mut other = blob.clone();
        other[place] = byte;
        Transaction::read(&other)
    };
    assert_eq!(with(0, 1), Err(BadTransaction::Version(1)));
    assert_eq!(with(1, 60), Err(BadTransaction::Locked(60)));
    // What a rival spends is read all the same.
    let locked = [&blob[..1], &[60], &blob[2..]].concat();
    assert_eq!(key_images(&locked).unwrap(), whole.key_images());
    assert_eq!(with(2, 0), Err(BadTransaction::NoInput));
    assert_eq!(with(3, 0xff), Err(BadTransaction::InputTag(0xff)));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = Transaction::read(&bytes);
        let _ = key_images(&bytes);
        let _ = Keys::read(&bytes);
    }

    #[test]
    fn no_change_of_a_transaction_makes_the_reader_panic(place: usize, byte: u8) {
        let vector = Vector::of("one subaddress");
        let mut blob = hex::decode(&vector.transactions[0].blob).unwrap();
        let len = blob.len();
        blob[place % len] = byte;
        if let Ok(transaction) = Transaction::read(&blob) {
            let keys = hex::decode(&vector.transactions[0].keys).unwrap();
            let _ = check(&[(transaction, Keys::read(&keys).unwrap())], &vector.payments(), None);
        }
    }
}
