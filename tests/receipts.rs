//! A miner need not believe the pool: what a real one exported is verified from files alone, and a
//! hundred changes of it are refused.

mod changes;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::changes::Change;
use crate::{
    money::{Mint, OTHER},
    support::{ADDRESS, Miner, PATIENCE, Pool, adit, wait_for, wait_within},
};

/// The files that a pool exported, in a folder of their own.
pub(crate) struct Exported {
    folder: TempDir,
    key: String,
}

impl Exported {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn save(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// Whether `adit verify` accepts these files, and what it says.
    fn verify(&self, paths: &[&Path]) -> (bool, String) {
        let mut command = adit(&["verify", "--key", &self.key]);
        let output = command.args(paths).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let code = output.status.code().unwrap();
        assert!(code == 0 || code == 1, "{code}: {text}");
        assert_eq!(code == 0, !text.contains("REFUSED"), "{text}");
        (code == 0, text)
    }

    #[track_caller]
    fn accepted(&self, names: &[&str]) -> String {
        let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
        let (accepted, text) = self.verify(&paths);
        assert!(accepted, "{text}");
        text
    }

    /// Whether a changed file is refused, that one and no other, and for the reason that its change is.
    #[track_caller]
    fn refused(&self, name: &str, change: &Change, beside: &[&str]) {
        assert_ne!(change.text, self.text(name), "{}", change.what);
        let mutated = self.save("mutated", &change.text);
        let mut paths: Vec<_> = beside.iter().map(|name| self.path(name)).collect();
        paths.push(mutated.clone());
        let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
        let (accepted, said) = self.verify(&paths);
        let what = format!("{name}: {}: {}\n{said}", change.what, change.text);
        assert!(!accepted, "it was accepted: {what}");
        let refused: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("REFUSED"))
            .collect();
        let [refused] = refused[..] else {
            panic!("not that file alone: {what}");
        };
        assert!(refused.starts_with(mutated.to_str().unwrap()), "{what}");
        let is_why = |why: &String| refused.contains(why.as_str());
        assert!(
            change.why.iter().any(is_why),
            "not for {:?}: {what}",
            change.why
        );
    }
}

#[test]
fn what_a_pool_exported_is_verified_and_a_hundred_changes_of_it_are_refused() {
    let exported = worked_and_exported(Mint::new("maturity = 3\n"));
    let mut changes = 0;
    for name in ["promise", "receipt", "sum", "day", "split"] {
        exported.accepted(&[name]);
        for change in changes::of_fields(name, &exported.json(name)) {
            exported.refused(name, &change, &[]);
            changes += 1;
        }
    }
    for change in changes::of_log(&exported.text("log")) {
        exported.refused("log", &change, &[]);
        changes += 1;
    }
    let block = exported.json("split")["block"].as_str().unwrap().to_owned();
    for change in changes::of_books(&exported.json("statement"), &block) {
        exported.refused("statement", &change, &["balances", "receipt", "split"]);
        changes += 1;
    }
    println!("{changes} changes were refused");
    assert!(changes >= 100, "{changes}");
    refused_by_key(&exported);
}

/// What the page Verify says to type does what it says.
#[test]
fn the_commands_on_the_page_check_a_day_of_a_miner() {
    let mint = Mint::new("maturity = 3\n");
    on_one_day();
    work(&mint, ADDRESS, 5);
    let (_, empty) = mint.pool.get("/verify").unwrap();
    assert!(empty.contains("No day was signed yet"), "{empty}");
    let (_, wrong) = mint.pool.get("/verify?address=1%3Cb%3E").unwrap();
    assert!(
        wrong.contains(r#"role="alert""#) && !wrong.contains("1<b>"),
        "{wrong}"
    );

    wait_for("receipts of the open day", || {
        let path = format!("/api/v1/miners/{ADDRESS}/receipts");
        let (_, body) = mint.pool.get(&path)?;
        // There is no day at all until the first share is in a log.
        let page: Value = serde_json::from_str(&body).unwrap();
        (page["items"].as_array()?.len() == 5).then_some(())
    });
    let closed = mint.ask(&["receipts", "close"]);
    let date = closed[0]["date"].as_str().unwrap();
    let (status, page) = mint
        .pool
        .get(&format!("/verify?address={ADDRESS}"))
        .unwrap();
    assert_eq!(status, 200);
    let root = closed[0]["root"].as_str().unwrap();
    assert!(page.contains(date) && page.contains(root), "{page}");
    let codes = page
        .split("<code>")
        .skip(1)
        .filter_map(|rest| rest.split_once("</code>"));
    let commands: Vec<String> = codes
        .map(|(code, _)| code.replace("&#39;", "'").replace("&#38;", "&"))
        .collect();
    let folder = TempDir::new().unwrap();
    let mut fetched = 0;
    for command in &commands {
        let Some((file, url)) = command
            .strip_prefix("curl -o ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let path = url
            .trim_matches('\'')
            .split_once("/api/")
            .expect("a URL of the API")
            .1;
        let (status, body) = mint.pool.get(&format!("/api/{path}")).unwrap();
        assert_eq!(status, 200, "{command}: {body}");
        std::fs::write(folder.path().join(file), body).unwrap();
        fetched += 1;
    }
    assert_eq!(fetched, 4, "{commands:?}");
    let verify = commands
        .iter()
        .find_map(|command| command.strip_prefix("adit "));
    let words: Vec<&str> = verify.expect("how to verify").split(' ').collect();
    let output = adit(&words).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(ADDRESS), "{said}");
}

/// A pool that is mined at, killed and started again: all that it exports is right together, and every
/// share that it accepted is in it.
pub(crate) fn worked_and_exported(mut mint: Mint) -> Exported {
    on_one_day();
    let mut accepted = work(&mint, ADDRESS, 12);
    accepted.extend(work(&mint, OTHER, 9));
    mint.find_block(OTHER);
    mint.find_block(ADDRESS);
    // Killed with shares that are in no log yet.
    accepted.extend(work(&mint, ADDRESS, 5));
    mint.pool.process.kill();
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    accepted.extend(work(&mint, OTHER, 4));
    let promised = wait_for("receipts of the open day", || {
        let page = get(&mint.pool, &format!("/api/v1/miners/{ADDRESS}/receipts"));
        (page["items"].as_array()?.len() == 12 + 1 + 5).then_some(page)
    });
    assert!(promised["items"][0]["promise"].is_object(), "{promised}");

    let closed = mint.ask(&["receipts", "close"]);
    let date = closed[0]["date"].as_str().unwrap().to_owned();
    // Another day, which follows the first: what comes later on a day that is closed is in the next.
    work(&mint, ADDRESS, 2);
    let closed = mint.ask(&["receipts", "close"]);
    assert_ne!(closed[0]["date"], date.as_str());
    let keys = get(&mint.pool, "/api/v1/receipts");
    assert_eq!(keys["pools"][0]["last"], closed[0]);
    let exported = export(&mint, &date, &promised);

    let said = exported.accepted(&[
        "promised",
        "receipts",
        "sum",
        "other-sum",
        "day",
        "days",
        "log",
        "split",
        "statement",
        "balances",
    ]);
    for told in [
        "1 days follow the one before them",
        "as signed",
        "to the unit",
        "adds up to its balance",
        "as split",
        "as you said",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    // No share that was answered "accepted" is missing.
    let log = exported.text("log");
    let logged: BTreeSet<String> = log
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["hash"].clone())
        .map(|hash| hash.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(accepted.len(), 12 + 9 + 5 + 4);
    for hash in &accepted {
        assert!(logged.contains(hash), "{hash} is in no log");
    }
    // What everybody may read unblinds nobody.
    let salts = ["sum", "other-sum"].map(|name| exported.json(name)["salt"].clone());
    assert_ne!(salts[0], salts[1]);
    for public in ["day", "days", "log", "split"].map(|name| exported.text(name)) {
        for secret in [
            ADDRESS,
            OTHER,
            salts[0].as_str().unwrap(),
            salts[1].as_str().unwrap(),
        ] {
            assert!(!public.contains(secret), "{secret}");
        }
    }
    assert!(!exported.text("sum").contains(salts[1].as_str().unwrap()));
    exported
}

#[test]
fn coinbases_bear_what_was_signed_last_where_that_is_asked_for() {
    let mint = Mint::new("receipts_in_coinbase = true\n");
    let coinbase = || {
        let mut miner = Miner::connect(mint.pool.miners);
        miner.log_in(&format!("{ADDRESS}.rig"));
        hex::encode(&miner.job.unwrap().work.coinbase1)
    };
    let before = coinbase();
    work(&mint, ADDRESS, 3);
    let closed = mint.ask(&["receipts", "close"]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("day");
    std::fs::write(&file, closed[0].to_string()).unwrap();
    let said = adit(&["verify", file.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let digest = said
        .lines()
        .next()
        .unwrap()
        .split("signed as ")
        .nth(1)
        .unwrap();
    assert_eq!(digest.len(), 64, "{said}");
    assert!(!before.contains(digest));
    wait_for("a coinbase with what was signed", || {
        mint.find_block(OTHER);
        coinbase().contains(&format!("20{digest}")).then_some(())
    });
    // The daemon takes such blocks, and a run that comes after goes on with them.
    let height = mint.find_block(ADDRESS);
    assert_eq!(mint.node.rpc.height(), height);
}

/// What another key signed is nothing.
fn refused_by_key(exported: &Exported) {
    let other = "11".repeat(32);
    let path = exported.path("day");
    let mut command = adit(&["verify", "--json", "--key", &other]);
    let output = command.arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["accepted"], false);
    let why = report["files"][0]["refused"].as_str().unwrap();
    assert!(why.contains("not trusted"), "{why}");
    let output = adit(&["verify", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(adit(&["verify"]).output().unwrap().status.code(), Some(64));
}

#[test]
fn questions_about_receipts_that_make_no_sense_are_refused() {
    refuses_nonsense(&Mint::new(""));
}

pub(crate) fn refuses_nonsense(mint: &Mint) {
    on_one_day();
    work(mint, ADDRESS, 1);
    let miner = format!("/api/v1/miners/{ADDRESS}/receipts");
    let refused = |status: u16, path: &str, code: &str| {
        let (found, answer) = mint.pool.send("GET", path, None, "");
        assert_eq!(found, status, "{path}: {answer}");
        assert_eq!(answer["error"]["code"], code, "{path}");
    };
    refused(400, "/api/v1/receipts/days/2026-02-30", "bad_date");
    refused(400, "/api/v1/receipts/days/today", "bad_date");
    refused(404, "/api/v1/receipts/days/1999-01-01", "unknown_day");
    refused(404, "/api/v1/receipts/days/1999-01-01/log", "unknown_day");
    refused(404, "/api/v1/receipts/days?pool=other", "unknown_pool");
    refused(400, "/api/v1/receipts/days?limit=0", "bad_limit");
    refused(400, "/api/v1/receipts/days?cursor=x", "bad_cursor");
    refused(400, "/api/v1/receipts/days?page=1", "bad_query");
    refused(400, "/api/v1/receipts/blocks/1", "bad_block");
    refused(
        404,
        &format!("/api/v1/receipts/blocks/{}", "0".repeat(64)),
        "unknown_block",
    );
    refused(400, &format!("{miner}?date=1"), "bad_date");
    refused(400, &format!("{miner}?cursor=-1"), "bad_query");
    refused(400, &format!("{miner}?limit=501"), "bad_limit");
    refused(404, &format!("{miner}?date=1999-01-01"), "unknown_day");
    refused(404, &format!("{miner}/1999-01-01"), "unknown_day");
    let unknown = format!("/api/v1/miners/{OTHER}/receipts");
    refused(404, &unknown, "unknown_miner");
    // The open day has no statement.
    let open = wait_for("an open log", || {
        let keys = get(&mint.pool, "/api/v1/receipts");
        keys["pools"][0]["open"]["date"].as_str().map(str::to_owned)
    });
    refused(409, &format!("/api/v1/receipts/days/{open}"), "day_open");
    refused(
        409,
        &format!("/api/v1/receipts/days/{open}/log"),
        "day_open",
    );
    refused(409, &format!("{miner}/{open}"), "day_open");
    let beyond = get(&mint.pool, &format!("{miner}?cursor=9223372036854775807"));
    assert_eq!(beyond["items"], json!([]));
    // More places than any log has.
    let path = format!("{miner}?cursor=9223372036854775808");
    assert_eq!(mint.pool.get(&path).unwrap().0, 400);
}

/// Days end at midnight: what is to be of one day does not begin just before.
fn on_one_day() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let left = 86_400 - now.unwrap().as_secs() % 86_400;
    if left < 120 {
        std::thread::sleep(Duration::from_secs(left));
    }
}

/// Sends shares until so many are accepted, and gives their hashes.
fn work(mint: &Mint, address: &str, count: usize) -> BTreeSet<String> {
    let mut miner = Miner::connect(mint.pool.miners);
    let user = format!("{address}.rig");
    miner.log_in(&user);
    let mut accepted = BTreeSet::new();
    // On this network a share is a block, and makes the next one stale until there is a new job.
    for extranonce2 in 1_000..3_000 {
        let share = miner.share(extranonce2);
        let reply = miner.ask("mining.submit", Miner::params(&user, &share));
        if reply["result"] == true {
            accepted.insert(share.hash.to_string());
            if accepted.len() == count {
                return accepted;
            }
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    panic!("{} of {count} shares were accepted", accepted.len());
}

fn get(pool: &Pool, path: &str) -> Value {
    let (status, text) = pool.get(path).expect("the pool answers");
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Everything that the pool exports.
fn export(mint: &Mint, date: &str, promised: &Value) -> Exported {
    let pool = &mint.pool;
    let keys = get(pool, "/api/v1/receipts");
    let exported = Exported {
        folder: TempDir::new().unwrap(),
        key: keys["pools"][0]["key"].as_str().unwrap().to_owned(),
    };
    let save = |name: &str, path: &str| {
        let (status, text) = pool.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        exported.save(name, &text);
    };
    let miner = |address: &str| format!("/api/v1/miners/{address}");
    exported.save("promised", &promised.to_string());
    exported.save("promise", &promised["items"][3].to_string());
    save(
        "receipts",
        &format!("{}/receipts?date={date}", miner(ADDRESS)),
    );
    let receipts = exported.json("receipts");
    exported.save("receipt", &receipts["items"][3].to_string());
    save("sum", &format!("{}/receipts/{date}", miner(ADDRESS)));
    save("other-sum", &format!("{}/receipts/{date}", miner(OTHER)));
    save("day", &format!("/api/v1/receipts/days/{date}"));
    save("days", "/api/v1/receipts/days");
    save("log", &format!("/api/v1/receipts/days/{date}/log"));
    mint.bury(6);
    // When nothing moves any more: all of it is of one moment.
    let statement = format!("{}/statement?limit=500", miner(ADDRESS));
    // A block whose share was lost by a kill is waited for, and booked without it a minute later.
    let before = wait_within(3 * PATIENCE, "the books to rest", || {
        let blocks = pool.status()["blocks"].clone();
        // Each block that is mature is settled, and no other one is under way.
        let reward = -5_000_000_000 * blocks["mature"].as_i64()?;
        let settled = mint.balance("reward") == (reward, 0);
        let rests = settled && blocks["submitted"] == 0 && blocks["immature"] == 0;
        let before = get(pool, &statement);
        let pending = before["items"].to_string().contains("pending");
        let lines = before["items"].as_array().unwrap().len();
        (rests && !pending && lines > 0).then_some(before)
    });
    save("statement", &statement);
    save("balances", &format!("{}/balances", miner(ADDRESS)));
    assert_eq!(exported.json("statement"), before);
    let credits = get(pool, &format!("{}/credits", miner(ADDRESS)));
    // One that came too late beside another is voided.
    let mut items = credits["items"].as_array().unwrap().iter();
    let newest = items.find(|credit| credit["state"] == "mature").unwrap();
    let block = newest["block"].as_str().unwrap();
    save("split", &format!("/api/v1/receipts/blocks/{block}"));
    exported
}
