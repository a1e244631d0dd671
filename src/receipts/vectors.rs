//! The vectors of `docs/receipts.md`: what the document says is what the program makes.

use mining::{
    Amount, Scheme, Work,
    accounting::Fee,
    receipt::{
        BlockSplit, Digest, Issuer, Log, LoggedShare, SaltKey, SecretKey, Statement, Sum, Tree,
    },
};
use serde_json::Value;

use super::export::{self, Day, LogHead, MinerSum, Promise, Proof, Receipt, Share, Split, SumNode};

const ALICE: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const BOB: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";

/// Three shares of two miners, and all that is made of them.
struct Example {
    key: SecretKey,
    salt_key: SaltKey,
    log: Log,
    issuer: Issuer,
    shares: Vec<LoggedShare>,
    leaves: Vec<Digest>,
    tree: Tree<Digest>,
    /// By account, in their order.
    sums: Vec<(Digest, u64, Work)>,
    sum_tree: Tree<Sum>,
    day: Day,
}

fn example() -> Example {
    let key = SecretKey::from_bytes(&[7; 32]).unwrap();
    let salt_key = SaltKey::from_bytes([1; 32]);
    let issuer = Issuer::new("main", "bitcoin", "regtest").unwrap();
    let date = "2026-11-27".parse().unwrap();
    let log = Log::new(&issuer, date);
    let share = |byte: u8, work: u128, time_ms: i64, address: &str| LoggedShare {
        hash: pow::Hash([[byte; 31].as_slice(), &[0]].concat().try_into().unwrap()),
        work: Work::from_hashes(work),
        height: 101,
        time_ms,
        scheme: Scheme::Pplns,
        account: log.account(salt_key.salt(address), address),
    };
    let shares = vec![
        share(0x11, 16, 1_795_773_600_000, ALICE),
        share(0x22, 16, 1_795_773_600_250, BOB),
        share(0x33, 64, 1_795_773_601_000, ALICE),
    ];
    let leaves: Vec<_> = shares.iter().map(|share| share.leaf(log)).collect();
    let tree = Tree::new(leaves.clone()).unwrap();
    let mut sums = vec![
        (shares[0].account, 2, Work::from_hashes(80)),
        (shares[1].account, 1, Work::from_hashes(16)),
    ];
    sums.sort_by_key(|(account, ..)| *account);
    let leaf = |(account, shares, work): &(Digest, u64, Work)| Sum::leaf(*account, *shares, *work);
    let sum_tree = Tree::new(sums.iter().map(leaf).collect()).unwrap();
    let signed = key.sign(Statement {
        issuer: issuer.clone(),
        date,
        shares: 3,
        work: Work::from_hashes(96),
        root: tree.root(),
        accounts: 2,
        accounts_root: sum_tree.root().digest,
        previous: None,
    });
    Example {
        day: Day::new(&signed),
        key,
        salt_key,
        log,
        issuer,
        shares,
        leaves,
        tree,
        sums,
        sum_tree,
    }
}

/// The lines of the table.
fn table(example: &Example) -> Vec<(&'static str, String)> {
    let Example {
        key,
        salt_key,
        log,
        shares,
        leaves,
        tree,
        ..
    } = example;
    let statement = example.day.parse().unwrap().statement;
    vec![
        ("public key", key.public().to_string()),
        ("salt of ALICE", salt_key.salt(ALICE).0.to_string()),
        ("salt of BOB", salt_key.salt(BOB).0.to_string()),
        ("log", log.digest().to_string()),
        ("account of ALICE", shares[0].account.to_string()),
        ("account of BOB", shares[1].account.to_string()),
        ("leaf 0", leaves[0].to_string()),
        ("leaf 1", leaves[1].to_string()),
        ("leaf 2", leaves[2].to_string()),
        ("root", tree.root().to_string()),
        ("accounts root", example.sum_tree.root().digest.to_string()),
        ("statement", statement.digest().to_string()),
    ]
}

/// The JSON of the document, in its order.
fn files(example: &Example) -> Vec<Value> {
    let Example {
        key,
        salt_key,
        log,
        issuer,
        shares,
        leaves,
        tree,
        sums,
        sum_tree,
        day,
    } = example;
    let receipt = |promise, proof| Receipt {
        form: export::RECEIPT.into(),
        pool: "main".into(),
        coin: "bitcoin".into(),
        network: "regtest".into(),
        date: day.date.clone(),
        index: 2,
        share: Share::new(&shares[2]),
        address: ALICE.into(),
        salt: salt_key.salt(ALICE).0.to_string(),
        promise,
        proof,
    };
    let promise = Promise {
        key: key.public().to_string(),
        signature: key.promise(2, leaves[2]).to_string(),
    };
    let path = tree.path(2).unwrap();
    let proof = Proof {
        path: path.iter().map(Digest::to_string).collect(),
        day: day.clone(),
    };
    let account = log.account(salt_key.salt(ALICE), ALICE);
    let index = sums.iter().position(|(of, ..)| *of == account).unwrap();
    let sum = MinerSum {
        form: export::SUM.into(),
        address: ALICE.into(),
        salt: salt_key.salt(ALICE).0.to_string(),
        account: account.to_string(),
        shares: 2,
        work: "80".into(),
        index: u64::try_from(index).unwrap(),
        path: sum_tree
            .path(index)
            .unwrap()
            .iter()
            .map(SumNode::new)
            .collect(),
        day: day.clone(),
    };
    let block = pow::Hash([0x44; 32]);
    let of_block = Log::of_block(issuer, block);
    let fee = |name: &str, percent: &str, amount| {
        let fee = Fee {
            name: name.into(),
            percent: percent.parse().unwrap(),
        };
        (fee, Amount::from_units(amount))
    };
    let miner = |address: &str, work, amount| {
        let account = of_block.account(salt_key.salt(address), address);
        (account, Work::from_hashes(work), Amount::from_units(amount))
    };
    let split = BlockSplit {
        issuer: issuer.clone(),
        block,
        height: 101,
        scheme: Scheme::Pplns,
        reward: Amount::from_units(5_000_000_000),
        window: Work::from_hashes(96),
        length: Work::from_hashes(96),
        fees: vec![
            fee("pool", "1.5", 75_000_000),
            fee("foundation", "1", 50_000_000),
        ],
        miners: vec![miner(BOB, 16, 812_500_000), miner(ALICE, 80, 4_062_500_000)],
    };
    let head = LogHead {
        form: export::LOG.into(),
        day: day.clone(),
    };
    let mut files = vec![
        json(day),
        json(&receipt(Some(promise), None)),
        json(&receipt(None, Some(proof))),
        json(&sum),
        json(&Split::new(&split, key.public(), split.sign(key))),
        json(&head),
    ];
    files.extend(shares.iter().map(|share| json(&Share::new(share))));
    files
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn the_vectors_of_the_document_are_what_the_program_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/receipts.md");
    let document = std::fs::read_to_string(path).unwrap();
    let example = example();
    for (name, value) in table(&example) {
        let line = format!("| {name} | `{value}` |");
        assert!(document.contains(&line), "{line}");
    }
    let statement = example.day.parse().unwrap().statement.to_string();
    assert!(
        document.contains(&format!("```text\n{statement}\n```")),
        "{statement}"
    );
    let blocks = document.split("```json\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    let written: Vec<Value> = blocks
        .flat_map(|block| serde_json::Deserializer::from_str(block).into_iter::<Value>())
        .map(Result::unwrap)
        .collect();
    let made = files(&example);
    for (written, made) in written.iter().zip(&made) {
        assert_eq!(written, made, "{made:#}");
    }
    assert_eq!(written.len(), made.len());
}

#[test]
fn the_vectors_are_accepted() {
    let example = example();
    let files = files(&example);
    let dir = tempfile::tempdir().unwrap();
    let (alone, log) = files.split_at(5);
    let mut paths = Vec::new();
    for (number, value) in alone.iter().enumerate() {
        let path = dir.path().join(number.to_string());
        std::fs::write(&path, value.to_string()).unwrap();
        paths.push(path);
    }
    let lines: Vec<String> = log.iter().map(|line| format!("{line}\n")).collect();
    let path = dir.path().join("log");
    std::fs::write(&path, lines.concat()).unwrap();
    paths.push(path);
    let report = crate::verify::verify(&paths, Some(example.key.public()));
    assert!(report.accepted, "{report:#?}");
}

/// Prints the table and the files, to be put into the document.
#[test]
#[ignore = "it prints"]
fn print_the_vectors() {
    let example = example();
    for (name, value) in table(&example) {
        println!("| {name} | `{value}` |");
    }
    println!("{}", example.day.parse().unwrap().statement);
    for file in files(&example) {
        println!("{file:#}");
    }
}
