//! A pool that signs whatever it likes: what it cannot get past a verifier.

use mining::{
    Amount, Scheme,
    accounting::Fee,
    receipt::{BlockSplit, Edge, SecretKey, Statement, Tree},
};
use pow::Hash;
use proptest::prelude::*;

use super::*;
use crate::receipts::export::{LogHead, Share, SplitFee, SumNode};

const SALT: Salt = Salt(Digest([3; 32]));
const ALICE: &str = "bcrt1qalice";

struct Rogue {
    key: SecretKey,
    issuer: Issuer,
}

impl Rogue {
    fn new() -> Self {
        Self {
            key: SecretKey::from_bytes(&[7; 32]).unwrap(),
            issuer: Issuer::new("main", "bitcoin", "regtest").unwrap(),
        }
    }

    fn log(&self, number: i64) -> Log {
        Log::new(&self.issuer, date(number))
    }

    fn share(&self, day: i64, hash: u8) -> LoggedShare {
        LoggedShare {
            hash: Hash([hash; 32]),
            work: Work::from_hashes(1),
            height: 100,
            time_ms: date(day).end_ms() - 1,
            scheme: Scheme::Pplns,
            account: self.log(day).account(SALT, ALICE),
        }
    }

    /// A day with these shares, whatever they are, and its log.
    fn day(
        &self,
        number: i64,
        shares: &[LoggedShare],
        previous: Option<Digest>,
    ) -> (SignedStatement, String) {
        let mut edge = Edge::default();
        let mut work = Work::ZERO;
        for share in shares {
            edge.push(share.leaf(self.log(number)));
            work = work.checked_add(share.work).unwrap();
        }
        let account = self.log(number).account(SALT, ALICE);
        let signed = self.key.sign(Statement {
            issuer: self.issuer.clone(),
            date: date(number),
            shares: edge.count(),
            work,
            root: edge.root().unwrap(),
            accounts: 1,
            accounts_root: Sum::leaf(account, edge.count(), work).digest,
            previous,
        });
        let head = LogHead {
            form: export::LOG.into(),
            day: Day::new(&signed),
        };
        let lines = shares.iter().map(|share| text(&Share::new(share)));
        let lines: Vec<String> = [text(&head)].into_iter().chain(lines).collect();
        (signed, lines.join("\n") + "\n")
    }

    fn promise(&self, index: u64, share: &LoggedShare, day: i64) -> String {
        let leaf = share.leaf(self.log(day));
        text(&Receipt {
            form: export::RECEIPT.into(),
            pool: "main".into(),
            coin: "bitcoin".into(),
            network: "regtest".into(),
            date: date(day).to_string(),
            index,
            share: Share::new(share),
            address: ALICE.into(),
            salt: SALT.0.to_string(),
            promise: Some(Promise {
                key: self.key.public().to_string(),
                signature: self.key.promise(index, leaf).to_string(),
            }),
            proof: None,
        })
    }
}

fn date(number: i64) -> Date {
    Date::from_number(20_000 + number).unwrap()
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Why the first of these files is refused that is, if one is.
fn refused(files: &[&str]) -> Option<String> {
    let bytes = |text: &&str| File::Bytes(text.as_bytes().into());
    let files = files.iter().map(|text| ("-".into(), bytes(text))).collect();
    let report = verify_all(files, None);
    let why = report.files.into_iter().find_map(|file| file.refused);
    assert_eq!(why.is_none(), report.accepted);
    why
}

#[track_caller]
fn refuses(files: &[&str], why: &str) {
    let found = refused(files).expect("it is refused");
    assert!(found.contains(why), "{found}");
}

#[test]
fn a_share_counts_once_in_all_logs() {
    let rogue = Rogue::new();
    let shares = [1, 2, 3].map(|hash| rogue.share(0, hash));
    let (signed, log) = rogue.day(0, &shares, None);
    assert_eq!(refused(&[&log]), None);
    let (_, twice) = rogue.day(0, &[shares[0], shares[1], shares[0]], None);
    refuses(&[&twice], "line 4: the share stands in a log already");
    let previous = Some(signed.statement.digest());
    let (_, other) = rogue.day(1, &[4, 2].map(|hash| rogue.share(1, hash)), previous);
    assert_eq!(refused(&[&other]), None, "by itself it is right");
    refuses(&[&log, &other], "line 3: the share stands in a log already");
    refuses(&[&log, &log], "line 2: the share stands in a log already");
    // Alike in the bytes that are remembered, and not the same.
    let mut alike = rogue.share(0, 1);
    alike.hash.0[8] = 9;
    let (_, log) = rogue.day(0, &[shares[0], alike], None);
    assert_eq!(refused(&[&log]), None);
}

#[test]
fn what_no_share_can_be_is_refused_whoever_signed_it() {
    let rogue = Rogue::new();
    let worth = LoggedShare {
        hash: Hash([0xff; 32]),
        work: Work::from_hashes(2),
        ..rogue.share(0, 1)
    };
    let late = LoggedShare {
        time_ms: date(1).end_ms(),
        ..rogue.share(0, 1)
    };
    for (share, why) in [
        (worth, "more than the hash is worth"),
        (late, "after the day"),
    ] {
        refuses(&[&rogue.day(0, &[share], None).1], why);
        refuses(&[&rogue.promise(0, &share, 0)], why);
    }
}

#[test]
fn a_promise_of_a_place_that_there_is_not_is_broken() {
    let rogue = Rogue::new();
    let shares = [1, 2, 3].map(|hash| rogue.share(0, hash));
    let (signed, log) = rogue.day(0, &shares, None);
    let day = text(&Day::new(&signed));
    let kept = rogue.promise(2, &shares[2], 0);
    assert_eq!(refused(&[&kept, &day, &log]), None);
    let broken = rogue.promise(3, &rogue.share(0, 4), 0);
    assert_eq!(refused(&[&broken]), None, "by itself it is right");
    for against in [&day, &log] {
        refuses(&[&broken, against], "the pool promised place 3");
    }
    // Another share in a place that is taken, and the same one in two.
    let other = rogue.promise(1, &rogue.share(0, 5), 0);
    refuses(&[&other, &log], "the pool gave place 1 to another share");
    let elsewhere = rogue.promise(1, &shares[2], 0);
    refuses(&[&kept, &elsewhere], "the share has another place too");
}

#[test]
fn no_day_between_two_is_passed_over() {
    let rogue = Rogue::new();
    let day = |number, previous| {
        let hash = u8::try_from(number).unwrap() + 1;
        let (signed, _) = rogue.day(number, &[rogue.share(number, hash)], previous);
        (Some(signed.statement.digest()), text(&Day::new(&signed)))
    };
    let (first, one) = day(0, None);
    let (second, two) = day(2, first);
    let (_, three) = day(4, second);
    let (_, fork) = day(4, first);
    assert_eq!(refused(&[&one, &two, &three]), None);
    assert_eq!(refused(&[&one, &three]), None, "one may be missing");
    assert_eq!(
        refused(&[&one, &fork]),
        None,
        "nothing shows what is missing"
    );
    refuses(&[&one, &two, &fork], "does not follow");
    refuses(&[&three, &fork], "two statements of this day");
    let (_, forgetful) = day(6, None);
    refuses(&[&one, &forgetful], "does not follow");
}

#[test]
fn a_miner_stands_among_the_sums_once() {
    let rogue = Rogue::new();
    let account = rogue.log(0).account(SALT, ALICE);
    let parts = [1, 2].map(|shares| Sum::leaf(account, shares, Work::from_hashes(10)));
    let tree = Tree::new(parts.to_vec()).unwrap();
    let signed = rogue.key.sign(Statement {
        issuer: rogue.issuer.clone(),
        date: date(0),
        shares: 3,
        work: Work::from_hashes(20),
        root: Digest([1; 32]),
        accounts: 2,
        accounts_root: tree.root().digest,
        previous: None,
    });
    let sum = |index: usize| {
        text(&MinerSum {
            form: export::SUM.into(),
            address: ALICE.into(),
            salt: SALT.0.to_string(),
            account: account.to_string(),
            shares: parts[index].shares,
            work: "10".into(),
            index: u64::try_from(index).unwrap(),
            path: tree.path(index).unwrap().iter().map(SumNode::new).collect(),
            day: Day::new(&signed),
        })
    };
    assert_eq!(refused(&[&sum(0), &sum(0)]), None);
    refuses(&[&sum(0), &sum(1)], "it stands among the sums twice");
}

#[test]
fn a_block_is_split_once() {
    let rogue = Rogue::new();
    let split = |fee: &str| {
        let reward = Amount::from_units(1_000);
        let split = BlockSplit {
            issuer: rogue.issuer.clone(),
            block: Hash([1; 32]),
            height: 100,
            scheme: Scheme::Prop,
            reward,
            window: Work::ZERO,
            length: Work::ZERO,
            fees: vec![(
                Fee {
                    name: fee.into(),
                    percent: "100".parse().unwrap(),
                },
                reward,
            )],
            miners: Vec::new(),
        };
        Split::new(&split, rogue.key.public(), split.sign(&rogue.key))
    };
    assert_eq!(
        refused(&[&text(&split("foundation")), &text(&split("foundation"))]),
        None
    );
    let files = [text(&split("foundation")), text(&split("other"))];
    refuses(&[&files[0], &files[1]], "two splits of block");
    let mut unsigned = split("foundation");
    unsigned.fees.push(SplitFee {
        name: "other".into(),
        percent: "0".into(),
        amount: "0".into(),
    });
    refuses(&[&text(&unsigned)], "signature");
}

#[test]
fn a_file_has_one_reading() {
    let rogue = Rogue::new();
    let (signed, log) = rogue.day(0, &[rogue.share(0, 1)], None);
    let day = text(&Day::new(&signed));
    assert!(verify_bytes(day.as_bytes(), Some(rogue.key.public())).accepted);
    let twice = day.replacen('{', r#"{"work":"5","#, 1);
    refuses(&[&twice], "stands there twice");
    refuses(
        &[&log.replacen(r#"{"hash""#, r#"{"work":"5","hash""#, 1)],
        "duplicate",
    );
    refuses(&[&day.replace(r#""previous":null,"#, "")], "previous");
    refuses(&[&day.replace(r#""shares":1"#, r#""shares":1.0"#)], "1.0");
    refuses(&[&day.replace(r#""work":"1""#, r#""work":"+1""#)], "work");
    let other = SecretKey::from_bytes(&[8; 32]).unwrap().public();
    assert!(!verify_bytes(day.as_bytes(), Some(other)).accepted);
}

proptest! {
    /// With the fuzz target `verify`, which looks for more of them.
    #[test]
    fn bytes_that_were_changed_say_the_same_or_are_refused(
        which in 0..3_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let rogue = Rogue::new();
        let shares = [1, 2, 3].map(|hash| rogue.share(0, hash));
        let (signed, log) = rogue.day(0, &shares, None);
        let file = [log, text(&Day::new(&signed)), rogue.promise(1, &shares[1], 0)];
        let mut bytes = file[which].clone().into_bytes();
        let whole = verify_bytes(&bytes, None);
        prop_assert!(whole.accepted);
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let report = verify_bytes(&bytes, None);
        prop_assert!(!report.accepted || report.files[0].shown == whole.files[0].shown);
    }
}
