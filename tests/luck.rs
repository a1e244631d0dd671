//! What work was expected to find: shown to miners and on the status page, and to an operator where
//! somebody finds too little, or too much of what was found is lost.

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};

use crate::{
    money::{Mint, OTHER, miner},
    support::{ADDRESS, Pool, runtime, wait_for},
};

fn asked(pool: &Pool, path: &str) -> Value {
    let (status, body) = pool.get(path).expect("the pool answers");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Whether a part is healthy, and what is said of it.
fn part(pool: &Pool, name: &str) -> (bool, String) {
    let health = asked(pool, "/health");
    let components = health["components"].as_array().unwrap();
    let part = components.iter().find(|part| part["name"] == name).unwrap();
    let detail = part["detail"].as_str().unwrap().to_owned();
    (part["healthy"].as_bool().unwrap(), detail)
}

/// Writes into a pool's database, past the program.
fn write(pool: &Pool, text: &'static str) {
    let url = format!("sqlite:{}", pool.database().display());
    runtime().block_on(async {
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        database.execute(text).await.unwrap();
        database.close().await.unwrap();
    });
}

#[test]
fn every_block_says_what_effort_it_took_and_every_miner_what_was_expected() {
    let mint = Mint::new("maturity = 3\n");
    let pool = &mint.pool;
    for address in [ADDRESS, OTHER, ADDRESS] {
        mint.find_block(address);
    }
    let blocks = wait_for("all rounds to be counted", || {
        let blocks = pool.status()["blocks"].clone();
        (blocks["expected_found"] == 3).then_some(blocks)
    });
    let number =
        |effort: &Value, key: &str| -> u128 { effort[key].as_str().unwrap().parse().unwrap() };
    for block in blocks["last"].as_array().unwrap() {
        let effort = &block["effort"];
        let (work, network) = (number(effort, "work"), number(effort, "network_work"));
        // Each was found by the only share of its round, which here is worth half a block: a
        // difficulty is whole hashes, rounded down.
        assert_eq!((work, network), (1, 2), "{block}");
        assert_eq!(effort["percent"], "50.00");
    }
    assert_eq!(blocks["expected"], "1.500000");
    assert_eq!(blocks["effort"]["percent"], "0.00");
    for (address, expected, found) in [(ADDRESS, "1.000000", 2), (OTHER, "0.500000", 1)] {
        let stats = asked(pool, &format!("/api/v1/miners/{address}/stats"));
        let stats = &stats["pools"][0];
        assert_eq!(stats["expected_blocks"], expected);
        assert_eq!(stats["found_blocks"], found);
    }
    assert!(part(pool, "luck").0 && part(pool, "orphans").0);
}

#[test]
fn a88_an_account_that_finds_too_little_is_told_until_it_is_counted_anew() {
    let mut mint = Mint::new("maturity = 3\n");
    mint.find_block(ADDRESS);
    mint.find_block(OTHER);
    wait_for("both to be counted", || {
        (mint.pool.status()["blocks"]["expected_found"] == 2).then_some(())
    });
    let luck = |pool: &Pool| asked(pool, "/api/v1/luck")["pools"][0].clone();
    assert_eq!(
        luck(&mint.pool)["accounts"],
        json!([]),
        "with one block each"
    );
    assert!(mint.pool.process.stop().success());
    // Twelve blocks are expected of each; the one has found one, the other eight.
    write(
        &mint.pool,
        "UPDATE workers SET expected_high = 12 * 4294967296",
    );
    write(
        &mint.pool,
        "UPDATE workers SET found = 8
         WHERE address = 'bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry'",
    );
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    let pool = &mint.pool;
    wait_for("one to be suspected", || {
        (pool.metric("adit_luck_suspects") == 1).then_some(())
    });
    let (well, detail) = part(pool, "luck");
    assert!(!well && !detail.contains(ADDRESS), "{detail}");
    let told = luck(pool);
    let accounts = told["accounts"].as_array().unwrap();
    let told_of = |place: usize, key: &str| accounts[place][key].clone();
    assert_eq!((&told["suspicious"], accounts.len()), (&json!(1), 2));
    assert_eq!(
        (told_of(0, "address"), told_of(1, "address")),
        (json!(ADDRESS), json!(OTHER))
    );
    assert_eq!(
        (told_of(0, "suspicious"), told_of(1, "suspicious")),
        (json!(true), json!(false))
    );
    assert_eq!(told_of(0, "expected_blocks"), "12.000000");
    // (1 + 12) / e^12 is one in 12,519.
    assert_eq!(told_of(0, "once_in"), "12519");
    assert_eq!(told_of(0, "counted_anew"), Value::Null);
    let log = pool.process.log_text();
    assert!(log.contains("an account finds far fewer blocks"), "{log}");

    assert_eq!(pool.delete("/api/v1/luck/nobody"), 404);
    assert_eq!(pool.delete(&format!("/api/v1/luck/{ADDRESS}")), 204);
    assert!(part(pool, "luck").0);
    assert_eq!(pool.metric("adit_luck_suspects"), 0);
    let told = luck(pool);
    assert_eq!(told["accounts"].as_array().unwrap().len(), 1, "{told}");
    // What it ever did stays.
    let stats = asked(pool, &format!("/api/v1/miners/{ADDRESS}/stats"));
    assert_eq!(stats["pools"][0]["expected_blocks"], "12.000000");
}

/// With one block in twenty, three orphans of three or four are too many, and of five they are not.
#[test]
fn a89_blocks_are_paid_for_later_while_too_many_are_orphans() {
    let mint = Mint::new("maturity = 3\n[pool.payout]\norphan_rate_percent = 5\n");
    let pool = &mint.pool;
    let orphaned = || pool.status()["blocks"]["orphaned"].clone();
    let mature = || pool.status()["blocks"]["mature"].clone();
    for count in 1..=3 {
        // What is mature stays so, whatever comes.
        let height = mint.find_block(ADDRESS);
        wait_for("it to be in the chain", || {
            (pool.last_block()?["state"] == "immature").then_some(())
        });
        let hash = mint.node.rpc.call("getblockhash", json!([height]));
        mint.node.rpc.call("invalidateblock", json!([hash]));
        mint.bury(2);
        wait_for("an orphan", || (orphaned() == count).then_some(()));
        if count == 2 {
            assert!(part(pool, "orphans").0, "two may always be");
        }
    }
    wait_for("the alarm", || (!part(pool, "orphans").0).then_some(()));
    assert_eq!(pool.metric("adit_orphan_alarm"), 1);
    let (_, detail) = part(pool, "orphans");
    let told = "3 of the last 3 blocks; a block is paid for after 6 confirmations";
    assert_eq!(detail, told);

    mint.find_block(ADDRESS);
    mint.bury(4);
    wait_for("five confirmations", || {
        (pool.last_block()?["confirmations"] == 5).then_some(())
    });
    assert_eq!(
        (mature(), pool.last_block().unwrap()["state"].clone()),
        (json!(0), json!("immature"))
    );
    assert_eq!(mint.balance(&miner(ADDRESS)).0, 0);
    mint.bury(1);
    wait_for("the sixth", || (mature() == 1).then_some(()));
    wait_for("its credits", || {
        (mint.balance(&miner(ADDRESS)).0 > 0).then_some(())
    });

    // It is over by itself, and the next one waits no longer than usual.
    mint.find_block(OTHER);
    mint.bury(2);
    wait_for("the end of the alarm", || {
        part(pool, "orphans").0.then_some(())
    });
    wait_for("three confirmations to do", || {
        (mature() == 2).then_some(())
    });
    assert_eq!(pool.metric("adit_orphan_alarm"), 0);
    mint.assert_balanced();
    let log = pool.process.log_text();
    let told = log.matches("too many blocks are orphans").count();
    assert_eq!(told, 1, "{log}");
}
