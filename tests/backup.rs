//! `adit backup` and `adit restore`: a copy taken in the middle of work is whole, and what is not whole,
//! or is of another pool, is not put back.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use pow::Hash;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    money::{Mint, OTHER, PAYING, ask, balances},
    support::{ADDRESS, Miner, Node, Pool, PoolSettings, run, stored, wait_for},
};

/// Miners that send shares while a backup is made, and how long each waits between two.
const MINERS: usize = 5;
const PAUSE: Duration = Duration::from_millis(15);

fn adit(words: &[&str], folder: &Path) -> Output {
    let config = folder.join("adit.toml");
    run(&[words, &["-c", config.to_str().unwrap()]].concat())
}

#[track_caller]
fn good(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(output: &Output, text: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(text), "{text} is not in: {said}");
}

/// A folder with the configuration of another one, for data of its own.
fn place_beside(folder: &Path, change: impl Fn(String) -> String) -> TempDir {
    let other = TempDir::new().unwrap();
    let config = fs::read_to_string(folder.join("adit.toml")).unwrap();
    let (from, to) = (folder.join("data"), other.path().join("data"));
    let config = config.replace(from.to_str().unwrap(), to.to_str().unwrap());
    fs::write(other.path().join("adit.toml"), change(config)).unwrap();
    other
}

fn unchanged(config: String) -> String {
    config
}

/// A pool that has found two blocks and runs on.
fn mint() -> Mint {
    let mint = Mint::new(PAYING);
    mint.find_block(OTHER);
    mint.find_block(ADDRESS);
    wait_for("both blocks in the books", || {
        (mint.balance("reward").1 == -10_000_000_000).then_some(())
    });
    mint
}

fn backup_of(mint: &Mint) -> PathBuf {
    let file = mint.folder.path().join("backup.tar");
    let folder = mint.folder.path();
    good(&adit(&["backup", file.to_str().unwrap()], folder));
    file
}

#[test]
fn a_backup_taken_while_shares_come_in_has_each_that_was_accepted_before_it() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let settings = PoolSettings {
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    let accepted: Arc<Mutex<HashSet<Hash>>> = Arc::default();
    let sent: Arc<Mutex<HashSet<Hash>>> = Arc::default();
    let done = Arc::new(AtomicBool::new(false));
    let miners: Vec<_> = (0..MINERS)
        .map(|_| {
            let (accepted, sent, done) = (accepted.clone(), sent.clone(), done.clone());
            let port = pool.miners;
            std::thread::spawn(move || {
                let mut miner = Miner::ready(port);
                for extranonce2 in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let share = miner.share(extranonce2);
                    sent.lock().unwrap().insert(share.hash);
                    let id = miner.try_send_share(&share).unwrap();
                    if miner.answer_to(id)["result"] == true {
                        accepted.lock().unwrap().insert(share.hash);
                    }
                    std::thread::sleep(PAUSE);
                }
            })
        })
        .collect();
    let count = || accepted.lock().unwrap().len();
    wait_for("a steady stream", || (count() > 400).then_some(()));

    let before = accepted.lock().unwrap().clone();
    let began = Instant::now();
    let file = folder.path().join("backup.tar");
    let output = adit(&["backup", file.to_str().unwrap()], folder.path());
    let (took, during) = (began.elapsed(), count() - before.len());
    done.store(true, Ordering::Relaxed);
    for miner in miners {
        miner.join().unwrap();
    }
    let said = good(&output);
    println!("{said} in {took:?}, {during} shares meanwhile");
    assert!(said.contains("The books of 1 pools balance"), "{said}");
    assert!(during > 0, "shares were accepted while it was made");

    let other = place_beside(folder.path(), unchanged);
    good(&adit(&["restore", file.to_str().unwrap()], other.path()));
    let stored = stored::hashes(&other.path().join("data/adit.db"));
    let lost: Vec<_> = before
        .iter()
        .filter(|hash| !stored.contains_key(hash))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost",
        lost.len(),
        before.len()
    );
    let sent = sent.lock().unwrap();
    assert!(
        stored
            .iter()
            .all(|(hash, count)| *count == 1 && sent.contains(hash))
    );
    let books = ask(other.path(), &["ledger", "check"]);
    assert_eq!(books["balance"], true, "{books}");
}

#[test]
fn a_backup_has_the_money_and_the_files_beside_it_and_the_pool_goes_on_from_it() {
    let mut mint = mint();
    let note = "blocks/main/1111111111111111111111111111111111111111111111111111111111111111.hex";
    let data = mint.folder.path().join("data");
    fs::create_dir_all(data.join("blocks/main")).unwrap();
    fs::write(data.join(note), "00").unwrap();
    let before = mint.balances();
    let file = backup_of(&mint);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "keys may be in it");
    let again = adit(&["backup", file.to_str().unwrap()], mint.folder.path());
    refused(&again, "is there already");
    // What comes after is not in it.
    mint.find_block(OTHER);

    let other = place_beside(mint.folder.path(), unchanged);
    let restore = ["restore", file.to_str().unwrap()];
    good(&adit(&[&restore[..], &["--check"]].concat(), other.path()));
    assert!(!other.path().join("data").exists(), "it was only checked");
    good(&adit(&restore, other.path()));
    assert_eq!(
        fs::read(other.path().join("data").join(note)).unwrap(),
        b"00"
    );
    fs::remove_file(other.path().join("data").join(note)).unwrap();
    assert_eq!(balances(other.path()), before);
    let books = ask(other.path(), &["ledger", "check"]);
    assert_eq!(books["balance"], true, "{books}");
    refused(&adit(&restore, other.path()), "is not empty");

    // The pool goes on from there, in the place of the one that is gone.
    mint.pool.process.stop();
    fs::remove_dir_all(&data).unwrap();
    good(&adit(&restore, mint.folder.path()));
    fs::remove_file(data.join(note)).unwrap();
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    mint.find_block(ADDRESS);
    wait_for("the next block in the books", || {
        (mint.balance("reward").1 <= -10_000_000_000).then_some(())
    });
    mint.assert_balanced();
}

#[test]
fn a_backup_that_is_damaged_cut_short_or_of_another_network_is_not_put_back() {
    let mint = mint();
    let file = backup_of(&mint);
    let whole = fs::read(&file).unwrap();
    let bad = mint.folder.path().join("bad.tar");
    let restore = ["restore", bad.to_str().unwrap()];
    let put = |bytes: &[u8]| fs::write(&bad, bytes).unwrap();

    let other = place_beside(mint.folder.path(), unchanged);
    let untouched = || {
        let data = other.path().join("data");
        let Ok(entries) = fs::read_dir(data) else {
            return true;
        };
        entries
            .flatten()
            .all(|entry| entry.file_name() == "adit.lock")
    };
    for size in [
        0,
        1,
        511,
        512,
        2_000,
        whole.len() / 2,
        whole.len() - 1,
        whole.len() - 512,
    ] {
        put(&whole[..size]);
        refused(&adit(&restore, other.path()), "is not put back");
        assert!(untouched(), "cut at {size}");
    }
    // Its end is there, and its middle is not.
    let mut hole = whole[..whole.len() / 2].to_vec();
    hole.extend([0; 1024]);
    put(&hole);
    refused(&adit(&restore, other.path()), "is not put back");
    // A bit anywhere: of the manifest, of names and sizes, of the database.
    let step = whole.len() / 24;
    for at in (700..1_400)
        .step_by(97)
        .chain((3_000..whole.len() - 1024).step_by(step))
    {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        put(&bytes);
        let output = adit(&restore, other.path());
        if output.status.success() {
            // What tar fills up blocks with is nobody's.
            let before = balances(mint.folder.path());
            assert_eq!(balances(other.path()), before, "a bit at {at}");
            fs::remove_dir_all(other.path().join("data")).unwrap();
        } else {
            refused(&output, "because:");
            assert!(untouched(), "a bit at {at}");
        }
    }
    put(b"no archive at all, but long enough to be looked at");
    refused(&adit(&restore, other.path()), "its end is missing");

    // Another network, another coin, another pool, another kind of database.
    put(&whole);
    let foreign = |from: &str, to: &str, text: &str| {
        let other = place_beside(mint.folder.path(), |config| {
            assert!(config.contains(from));
            config.replace(from, to)
        });
        refused(&adit(&restore, other.path()), text);
    };
    foreign(
        "\"regtest\"",
        "\"test\"",
        "its pool \"main\" is on bitcoin regtest",
    );
    foreign(
        "\"bitcoin\"",
        "\"litecoin\"",
        "its pool \"main\" is on bitcoin regtest",
    );
    foreign(
        "coin =",
        "name = \"other\"\ncoin =",
        "it has no pool of the configuration; it has: main",
    );
    assert!(good(&adit(&[&restore[..], &["--check"]].concat(), other.path())).contains("is good"));
}

#[test]
fn a_pool_on_postgresql_is_copied_and_put_back_by_its_own_programs() {
    let from = crate::postgres::database("backup_from");
    let folder = TempDir::new().unwrap();
    let node = Node::start(&folder, "node", &["--rules", "regtest", "--maturity", "3"]);
    let address = node.rpc.call("getnewaddress", json!([]));
    let settings = PoolSettings {
        address: address.as_str().unwrap(),
        database: Some(&from),
        pool: PAYING,
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let pool = Pool::start(&folder, &settings);
    let mint = Mint { pool, node, folder };
    mint.find_block(OTHER);
    wait_for("the block in the books", || {
        (mint.balance("reward").1 == -5_000_000_000).then_some(())
    });
    let before = mint.balances();
    let file = backup_of(&mint);

    let to = crate::postgres::database("backup_to");
    let other = place_beside(mint.folder.path(), |config| config.replace(&from, &to));
    let restore = ["restore", file.to_str().unwrap()];
    good(&adit(&restore, other.path()));
    assert_eq!(balances(other.path()), before);
    let books = ask(other.path(), &["ledger", "check"]);
    assert_eq!(books["balance"], true, "{books}");
    fs::remove_dir_all(other.path().join("data")).unwrap();
    refused(&adit(&restore, other.path()), "is not empty");
}
