//! SIGHUP to a running pool: what changes at once, what waits for a restart, and what is refused.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::support::{Miner, Node, Pool, PoolSettings, wait_for};

/// Nobody is exempt, as all tests come from loopback; nobody is banned yet either.
const LENIENT: &str = "[pool.bans]\nshares_min = 1000\nexempt = []";

fn change(folder: &Path, from: &str, to: &str) {
    let config = folder.join("adit.toml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(&config, text.replace(from, to)).unwrap();
}

/// Tells the pool to read its settings, and waits until it says this in its log.
#[track_caller]
fn hang_up(pool: &Pool, expected: &str) {
    let before = pool.process.log_text().len();
    pool.process.signal("HUP");
    wait_for(expected, || {
        pool.process.log_text()[before..]
            .contains(expected)
            .then_some(())
    });
}

/// Sends shares that are none; true if the pool has hung up before so many.
fn is_banned_within(miner: &mut Miner, most: u32) -> bool {
    let mut share = miner.share(0);
    for number in 0..most {
        // Bits that were never agreed on.
        share.version_bits = Some(0x8000_0000);
        share.nonce = number;
        let Some(id) = miner.try_send_share(&share) else {
            return true;
        };
        loop {
            match miner.try_hear() {
                None => return true,
                Some(message) if message["id"] == id => break,
                Some(_) => {}
            }
        }
    }
    false
}

#[test]
fn a_hangup_changes_the_log_and_bans_and_names_what_needs_a_restart() {
    let folder = TempDir::new().unwrap();
    let node = Node::simnet(&folder);
    let settings = PoolSettings {
        log: "filter = \"info\"",
        pool: LENIENT,
        daemons: node.rpc.daemon(),
        ..PoolSettings::default()
    };
    let mut pool = Pool::start(&folder, &settings);
    let folder = folder.path();
    hang_up(&pool, "the settings were read again, and are the same");

    // The miner stays connected through all of it.
    let mut miner = Miner::ready(pool.miners);
    assert!(!is_banned_within(&mut Miner::ready(pool.miners), 30));
    assert!(!pool.process.log_text().contains("DEBUG"));
    change(folder, "\"info\"", "\"debug,hyper=info,reqwest=info\"");
    hang_up(&pool, "changed key=\"log.filter\"");
    drop(Miner::ready(pool.miners));
    wait_for("a line of debugging", || {
        pool.process.log_text().contains("DEBUG").then_some(())
    });

    change(folder, "shares_min = 1000", "shares_min = 20");
    hang_up(&pool, "changed key=\"pool.0.bans.shares_min\" value=\"20\"");
    let share = miner.share(1);
    assert_eq!(miner.submit(&share)["result"], true, "it is still there");
    assert!(is_banned_within(&mut Miner::ready(pool.miners), 30));
    // Whoever is exempt now may come at once.
    change(folder, "exempt = []", "exempt = [\"127.0.0.0/8\"]");
    hang_up(&pool, "the ban was lifted address=127.0.0.1");
    drop(Miner::ready(pool.miners));

    // Money, ports and the rest wait.
    change(folder, "coin =", "scheme = \"prop\"\ncoin =");
    hang_up(
        &pool,
        "what miners are paid does not change in a running pool key=\"pool.0.scheme\"",
    );
    change(folder, "network = ", "coinbase_tag = \"/x/\"\nnetwork = ");
    hang_up(&pool, "needs a restart key=\"pool.0.coinbase_tag\"");
    change(folder, "password = \"adit\"", "password = \"other\"");
    change(folder, "coinbase_tag = \"/x/\"\n", "");
    change(folder, "scheme = \"prop\"\n", "");
    hang_up(&pool, "a password or the URL of the database was changed");
    change(folder, "password = \"other\"", "password = \"adit\"");

    // What makes no sense changes nothing, not even what could be.
    change(folder, "shares_min = 20", "shares_min = 0");
    change(folder, "\"debug,", "\"trace,");
    hang_up(&pool, "the settings stay as they are");
    assert!(!pool.process.log_text().contains("TRACE"));
    change(folder, "shares_min = 0", "shares_min = 20");
    change(folder, "[log]", "[log");
    hang_up(&pool, "is not valid TOML");
    assert!(
        !pool.process.log_text().contains("other"),
        "no secret is shown"
    );
    assert!(pool.process.is_running());
    let mut last = Miner::ready(pool.miners);
    let share = last.share(7);
    assert_eq!(last.submit(&share)["result"], true);
}
