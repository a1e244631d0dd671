//! A pool whose database is PostgreSQL: the same promises, from the first share to the last payment.

use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use crate::{
    money::{Mint, OTHER, PAYING, is_open, miner, on_chain},
    receipts::{refuses_nonsense, worked_and_exported},
    support::{ADDRESS, FIXED_DIFFICULTY, Node, Pool, PoolSettings, runtime, wait_for},
};

/// Kills in the middle of it all.
const KILLS: u32 = 8;

/// A new database on the server that `scripts/postgres` has started.
pub(crate) fn database(name: &str) -> String {
    let server = std::env::var("ADIT_TEST_POSTGRES")
        .expect("no PostgreSQL server: run the tests with scripts/postgres");
    let name = format!("{name}_{}", std::process::id());
    runtime().block_on(async {
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        connection
            .execute(sqlx::AssertSqlSafe(create))
            .await
            .unwrap();
    });
    server.replacen("/postgres?", &format!("/{name}?"), 1)
}

/// A pool with a new database of this name.
fn mint(name: &str, settings: &str) -> Mint {
    let folder = TempDir::new().unwrap();
    let node = Node::start(&folder, "node", &["--rules", "regtest", "--maturity", "3"]);
    let address = node.rpc.call("getnewaddress", json!([]));
    let database = database(name);
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            address: address.as_str().unwrap(),
            database: Some(&database),
            pool: settings,
            listener: FIXED_DIFFICULTY,
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        },
    );
    let mint = Mint { pool, node, folder };
    assert!(!mint.pool.database().exists(), "there is a file too");
    mint
}

#[test]
fn receipts_of_a_pool_on_postgresql_are_verified_as_those_of_any_other() {
    worked_and_exported(mint("receipts", "maturity = 3\n"));
    refuses_nonsense(&mint("nonsense", ""));
}

#[test]
fn a_pool_on_postgresql_pays_and_survives_kills() {
    let mut mint = mint("pool", PAYING);
    for round in 0..KILLS {
        mint.find_block(if round % 2 == 0 { ADDRESS } else { OTHER });
        mint.pool.process.kill();
        mint.bury(1);
        mint.pool.start_again();
        mint.pool.wait_until_ready();
    }
    mint.bury(4);
    let rewards = -5_000_000_000 * i64::from(KILLS);
    wait_for("all to be mature", || {
        (mint.balance("reward") == (rewards, 0)).then_some(())
    });
    wait_for("all to be paid", || {
        mint.bury(1);
        let open = mint.balances().keys().any(|name| is_open(name));
        (!open).then_some(())
    });
    mint.assert_balanced();
    let paid = mint.balance("paid").0;
    assert_eq!(paid, -rewards / 1000 * 975);
    let rpc = &mint.node.rpc;
    let on_chain = on_chain(rpc, ADDRESS) + on_chain(rpc, OTHER);
    assert_eq!(i64::try_from(on_chain).unwrap(), paid);
    assert_eq!(mint.balance(&miner(ADDRESS)), (0, 0));
    // Whoever prints the settings does not print the password in it.
    let config = mint.folder.path().join("adit.toml");
    let shown = crate::support::run(&["config", "-c", config.to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = shown.lines().find(|line| line.starts_with("database"));
    assert!(line.unwrap().contains("***"), "{shown}");
}
