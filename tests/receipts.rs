//! A miner need not believe the pool: what a real one exported is verified from files alone, and a
//! hundred changes of it are refused.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    money::{Mint, OTHER},
    support::{ADDRESS, Miner, Pool, adit, wait_for},
};

/// The files that a pool exported, in a folder of their own.
struct Exported {
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

    #[track_caller]
    fn refused(&self, what: &str, text: &str, beside: &[&str]) {
        let mutated = self.save("mutated", text);
        let mut paths: Vec<_> = beside.iter().map(|name| self.path(name)).collect();
        paths.push(mutated);
        let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
        let (accepted, said) = self.verify(&paths);
        assert!(!accepted, "{what} was accepted: {text}\n{said}");
    }
}

#[test]
fn what_a_pool_exported_is_verified_and_a_hundred_changes_of_it_are_refused() {
    let mut mint = Mint::new("maturity = 3\n");
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

    let mut mutations = 0;
    for name in ["promise", "receipt", "sum", "day", "split"] {
        exported.accepted(&[name]);
        let whole = exported.json(name);
        for (what, changed) in changes(&whole) {
            exported.refused(&format!("{name}: {what}"), &changed.to_string(), &[]);
            mutations += 1;
        }
    }
    for (what, changed) in changes_of_log(&log) {
        exported.refused(&format!("log: {what}"), &changed, &[]);
        mutations += 1;
    }
    for (what, changed) in changes_of_books(&exported.json("statement")) {
        let beside = ["balances", "receipt", "split"];
        exported.refused(&format!("statement: {what}"), &changed.to_string(), &beside);
        mutations += 1;
    }
    println!("{mutations} changes were refused");
    assert!(mutations >= 100, "{mutations}");
    refused_by_key(&exported);
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
    let mint = Mint::new("");
    work(&mint, ADDRESS, 1);
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
    let beyond = get(&mint.pool, &format!("{miner}?cursor=18446744073709551615"));
    assert_eq!(beyond["items"], json!([]));
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
            std::thread::sleep(std::time::Duration::from_millis(5));
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
    let before = wait_for("the books to rest", || {
        let before = get(pool, &statement);
        let rests = !before["items"].to_string().contains("pending");
        let lines = before["items"].as_array().unwrap().len();
        (rests && lines > 0).then_some(before)
    });
    save("statement", &statement);
    save("balances", &format!("{}/balances", miner(ADDRESS)));
    assert_eq!(exported.json("statement"), before);
    let credits = get(pool, &format!("{}/credits", miner(ADDRESS)));
    let block = credits["items"][0]["block"].as_str().unwrap();
    save("split", &format!("/api/v1/receipts/blocks/{block}"));
    exported
}

/// Each field with another value, each left out, and one that nobody knows.
fn changes(whole: &Value) -> Vec<(String, Value)> {
    let mut changed = Vec::new();
    for path in paths(whole, "") {
        let mut other = whole.clone();
        let place = other.pointer_mut(&path).unwrap();
        *place = match place.take() {
            Value::String(text) => Value::String(another(&text)),
            Value::Number(number) => json!(number.as_i64().unwrap() + 1),
            Value::Null => json!("00".repeat(32)),
            value => panic!("{value}"),
        };
        changed.push((path.clone(), other));
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut other = whole.clone();
        match other.pointer_mut(parent).unwrap() {
            // A null may be left out.
            Value::Object(fields) if fields[name].is_null() => continue,
            Value::Object(fields) => drop(fields.remove(name)),
            Value::Array(list) => drop(list.remove(name.parse().unwrap())),
            value => panic!("{value}"),
        }
        changed.push((format!("without {path}"), other));
    }
    let mut other = whole.clone();
    other["more"] = json!(1);
    changed.push(("a field more".into(), other));
    changed
}

/// The places of all values that hold no others.
fn paths(value: &Value, path: &str) -> Vec<String> {
    let join = |name: &str, value: &Value| paths(value, &format!("{path}/{name}"));
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(n, v)| join(n, v)).collect(),
        Value::Array(list) => {
            let list = list.iter().enumerate();
            list.flat_map(|(n, v)| join(&n.to_string(), v)).collect()
        }
        _ => vec![path.to_owned()],
    }
}

/// One character of it is another one of the same kind.
fn another(text: &str) -> String {
    let at = text.len() / 2;
    let other = match text.as_bytes()[at] {
        b'9' => '8',
        digit @ b'0'..=b'8' => char::from(digit + 1),
        b'a' => 'b',
        _ => 'a',
    };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

fn changes_of_log(log: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = log.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    let mut changed = Vec::new();
    for number in [0, 1, lines.len() / 2, lines.len() - 1] {
        let whole: Value = serde_json::from_str(lines[number]).unwrap();
        for (what, line) in changes(&whole) {
            let line = line.to_string();
            let mut other = lines.clone();
            other[number] = &line;
            changed.push((format!("line {number}: {what}"), joined(&other)));
        }
    }
    let mut other = lines.clone();
    other.swap(3, 4);
    changed.push(("two lines changed places".into(), joined(&other)));
    let mut other = lines.clone();
    other.remove(5);
    changed.push(("a line is missing".into(), joined(&other)));
    let mut other = lines.clone();
    other.insert(5, lines[4]);
    changed.push(("a line twice".into(), joined(&other)));
    let mut other = lines.clone();
    other.insert(5, "");
    changed.push(("an empty line".into(), joined(&other)));
    changed.push((
        "the last byte is missing".into(),
        log[..log.len() - 1].into(),
    ));
    changed.push(("nothing".into(), String::new()));
    changed
}

/// Amounts, states and entries; a line twice, and one less.
fn changes_of_books(statement: &Value) -> Vec<(String, Value)> {
    let mut changed = Vec::new();
    let lines = statement["items"].as_array().unwrap();
    for number in 0..lines.len() {
        for (field, value) in [
            ("amount", json!("1")),
            ("amount", json!("01")),
            ("amount", json!(1)),
            ("state", json!("voided")),
            ("state", json!("paid")),
        ] {
            let mut other = statement.clone();
            other["items"][number][field] = value.clone();
            changed.push((format!("{number} {field} {value}"), other));
        }
        let mut other = statement.clone();
        let list = other["items"].as_array_mut().unwrap();
        list.push(lines[number].clone());
        changed.push((format!("{number} twice"), other));
    }
    changed
}
