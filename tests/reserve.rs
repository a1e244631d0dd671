//! Shares that are paid for as they come, by a reserve that the operator fills: to the unit, once, and
//! not beyond what the reserve has.

use std::{process::Output, time::Duration};

use mining::{
    Amount, Target, Work,
    accounting::{Fee, Fees, Owed, Price},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    money::{ask, balances, is_open, miner, say},
    support::{
        ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, adit, free_port, stored,
        wait_for,
    },
};

/// Another miner than [`ADDRESS`].
const OTHER: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
/// What a block pays beside fees.
const SUBSIDY: u64 = 5_000_000_000;
/// What a miner gets of a block, after fees of 2.5 percent.
const OF_A_BLOCK: i64 = 4_875_000_000;
/// On regtest a block takes two hashes, and a share is one.
const OF_A_SHARE: i64 = OF_A_BLOCK / 2;

/// A pool with two ports for miners, each of which pays in its own way.
struct House {
    pool: Pool,
    node: Node,
    folder: TempDir,
    /// The second port.
    second: u16,
}

impl House {
    /// The first port pays by the pool's scheme, and this one by `second`.
    fn new(node: impl Fn(&TempDir) -> Node, settings: &str, second: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let node = node(&folder);
        let port = free_port();
        let listener = format!(
            "{FIXED_DIFFICULTY}[[pool.listener]]\nlisten = \"127.0.0.1:{port}\"\n\
             scheme = \"{second}\"\n{FIXED_DIFFICULTY}"
        );
        let pool = Pool::start(
            &folder,
            &PoolSettings {
                pool: settings,
                listener: &listener,
                daemons: node.rpc.daemon(),
                ..PoolSettings::default()
            },
        );
        Self {
            pool,
            node,
            folder,
            second: port,
        }
    }

    fn ask(&self, words: &[&str]) -> Value {
        ask(self.folder.path(), words)
    }

    fn deposit(&self, coins: &str) {
        let words = ["ledger", "deposit", coins, "--reason", "for a start"];
        say(self.folder.path(), &words);
    }

    /// A command that should be refused, and why it was.
    fn refused(&self, words: &[&str]) -> String {
        let config = self.folder.path().join("adit.toml");
        let arguments = [words, &["-c", config.to_str().unwrap()]].concat();
        let Output { status, stderr, .. } = adit(&arguments).output().unwrap();
        assert!(!status.success(), "{words:?}");
        String::from_utf8(stderr).unwrap()
    }

    /// What an account has, and what is pending.
    fn balance(&self, account: &str) -> (i64, i64) {
        let balances = balances(self.folder.path());
        balances.get(account).copied().unwrap_or_default()
    }

    #[track_caller]
    fn wait_for_balance(&self, account: &str, balance: (i64, i64)) {
        wait_for(&format!("{account} to have {balance:?}"), || {
            (self.balance(account) == balance).then_some(())
        });
    }

    fn assert_balanced(&self) {
        let books = self.ask(&["ledger", "check"]);
        assert_eq!(books["balance"], true, "{books}");
    }

    /// Finds a block as this miner: on regtest a share is one.
    fn find_block(&self, port: u16, address: &str) {
        let mut miner = Miner::connect(port);
        miner.log_in(address);
        let height = self.node.rpc.height();
        let params = Miner::params(address, &miner.block(1, None));
        assert_eq!(miner.ask("mining.submit", params)["result"], true);
        wait_for("work on the next block", || {
            (self.pool.status()["template"]["height"] == height + 2).then_some(())
        });
    }

    /// The component `reserve` of `/health`.
    fn health(&self) -> (u16, Value) {
        let (status, text) = self.pool.get("/health").unwrap();
        let health: Value = serde_json::from_str(&text).unwrap();
        let components = health["components"].as_array().unwrap();
        let reserve = components.iter().find(|part| part["name"] == "reserve");
        (status, reserve.unwrap().clone())
    }
}

/// Blocks that mature after three confirmations.
fn regtest(folder: &TempDir) -> Node {
    Node::start(folder, "node", &["--rules", "regtest", "--maturity", "3"])
}

/// What a miner gets for this work at the height in hand, by the rule itself.
fn worth(miner: &Miner, work: u128) -> Owed {
    let bits = miner.job.as_ref().unwrap().work.bits;
    let block = Target::from_compact(bits).unwrap().work();
    let price = Price::new(Amount::from_units(SUBSIDY), block).unwrap();
    let fee = |(name, percent): (&str, &str)| Fee {
        name: name.into(),
        percent: percent.parse().unwrap(),
    };
    let list = [("pool", "1.5"), ("foundation", "1")].map(fee).to_vec();
    let fees = Fees::new(list, "foundation").unwrap();
    price.of(Work::from_hashes(work), &fees).unwrap().0
}

fn units(owed: Owed) -> i64 {
    owed.whole().units().try_into().unwrap()
}

const PPS: &str = "scheme = \"pps\"\nmaturity = 3\n[pool.reserve]\ncredit_every_s = 1\n";

#[test]
fn shares_are_credited_from_a_funded_reserve_to_the_unit() {
    const SHARES: u64 = 40;
    let house = House::new(Node::simnet, PPS, "pplns");
    house.deposit("0.01");
    let mut first = Miner::connect(house.pool.miners);
    first.log_in(&format!("{ADDRESS}.rig"));
    // A miner's workers are one.
    for worker in [format!("{ADDRESS}.rig"), format!("{ADDRESS}.shed")] {
        first.ask("mining.authorize", json!([worker, "x"]));
    }
    for number in 0..SHARES {
        let worker = ["rig", "shed"][usize::try_from(number % 2).unwrap()];
        let share = first.share(number);
        let params = Miner::params(&format!("{ADDRESS}.{worker}"), &share);
        assert_eq!(first.ask("mining.submit", params)["result"], true);
    }
    // On the other port a share is worth what a block will make it.
    let mut second = Miner::connect(house.second);
    second.log_in(OTHER);
    let params = Miner::params(OTHER, &second.share(1));
    assert_eq!(second.ask("mining.submit", params)["result"], true);
    let work = u128::from(SHARES) * first.target().work().hashes();
    let due = units(worth(&first, work));
    assert!(due > 100_000, "{due}");
    house.wait_for_balance(&miner(ADDRESS), (due, 0));
    let balances = balances(house.folder.path());
    assert_eq!(balances["operator"], (-1_000_000, 0));
    let fees = balances["fee:pool"].0 + balances["fee:foundation"].0;
    assert_eq!(balances["reserve"], (1_000_000 - due - fees, 0));
    // 2.5 of 97.5 percent, each rounded down.
    assert!((due * 25 / 975 - fees).abs() <= 2, "{fees}");
    assert_eq!(balances.get(&miner(OTHER)), None);
    house.assert_balanced();
    let statement = house.ask(&["ledger", "statement", &miner(ADDRESS)]);
    let line = &statement[0];
    let id = line["entry"].as_str().unwrap();
    assert!(id.starts_with("bitcoin:shares:pps:"), "{statement}");
    assert_eq!(line["reason"], "shares at height 1");
    assert_eq!(house.health().1["healthy"], true);
}

/// The reserve is not enough: PPS stops and says so, PPLNS does not, and a deposit ends it.
#[test]
fn a87_a_reserve_that_is_short_stops_those_it_pays_and_nobody_else() {
    let house = House::new(regtest, &format!("{PPS}least = \"1000\"\n"), "pplns");
    house.find_block(house.pool.miners, ADDRESS);
    let health = wait_for("the reserve to be told", || {
        let (status, health) = house.health();
        assert_eq!(status, 200);
        (health["healthy"] == false).then_some(health)
    });
    let detail = health["detail"].as_str().unwrap();
    assert!(detail.contains("shares of pps wait"), "{detail}");
    assert!(detail.contains("keeps 1000.00000000"), "{detail}");
    assert!(detail.contains("are worth 25.00000000"), "{detail}");
    wait_for("the scheme that waits", || {
        (house.pool.metric("adit_schemes_waiting") == 1).then_some(())
    });
    // The other port is paid as ever.
    house.find_block(house.second, OTHER);
    house
        .node
        .rpc
        .call("generatetoaddress", json!([4, ADDRESS]));
    house.wait_for_balance(&miner(OTHER), (OF_A_BLOCK, 0));
    // The block of the first port is the reserve's, and that is not enough yet.
    house.wait_for_balance("reserve", (5_000_000_000, 0));
    house.deposit("974.99999999");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(house.balance(&miner(ADDRESS)), (0, 0));
    assert_eq!(house.health().1["healthy"], false);
    house.deposit("0.00000001");
    house.wait_for_balance(&miner(ADDRESS), (OF_A_SHARE, 0));
    assert_eq!(house.balance("reserve"), (100_000_000_000, 0));
    wait_for("all to be well", || {
        (house.health().1["healthy"] == true).then_some(())
    });
    assert_eq!(house.pool.metric("adit_schemes_waiting"), 0);
    assert_eq!(house.pool.metric("adit_reserve_units"), 100_000_000_000);
    house.assert_balanced();
    let log = house.pool.process.log_text();
    let told = log.matches("shares wait to be credited").count();
    assert_eq!(told, 1, "{log}");
    assert_eq!(log.matches("shares are credited again").count(), 1);
}

#[test]
fn fpps_pays_the_average_fees_too() {
    let funded = |folder: &TempDir| {
        let node = regtest(folder);
        let own = node.rpc.call("getnewaddress", json!([]));
        node.rpc.call("generatetoaddress", json!([104, own]));
        node.rpc.call("sendtoaddress", json!([ADDRESS, 1]));
        node
    };
    let settings = PPS.replace("pps", "fpps") + "debt_max = \"1000\"\n";
    let house = House::new(funded, &settings, "pps");
    let database = house.pool.database();
    let fees = wait_for("fees in the price", || {
        stored::fees_at(&database, 105).filter(|fees| *fees > 0)
    });
    // Nothing is known of fees before the first height: its share is worth what the subsidy makes it.
    house.find_block(house.pool.miners, ADDRESS);
    house.wait_for_balance(&miner(ADDRESS), (OF_A_SHARE, 0));
    // It may owe, and does.
    assert_eq!(house.balance("reserve").0, -2_500_000_000);
    house.find_block(house.pool.miners, ADDRESS);
    house.find_block(house.second, OTHER);
    let of_fees = i64::try_from(fees * 975 / 2000).unwrap();
    house.wait_for_balance(&miner(ADDRESS), (2 * OF_A_SHARE + of_fees, 0));
    house.wait_for_balance(&miner(OTHER), (OF_A_SHARE, 0));
    house
        .node
        .rpc
        .call("generatetoaddress", json!([4, ADDRESS]));
    let fees = i64::try_from(fees).unwrap();
    wait_for("the blocks to be the reserve's", || {
        (house.balance("reward").0 == -15_000_000_000 - fees).then_some(())
    });
    // Three blocks came in, and half of that was paid for three shares: units are rounded down.
    let reserve = house.balance("reserve").0;
    let left = 7_500_000_000 + fees / 2;
    assert!((left..=left + 3).contains(&reserve), "{reserve}");
    house.assert_balanced();
}

/// Killed while it accepts, adds up and credits, the pool credits each share once.
#[test]
fn a76_shares_are_credited_once_however_often_the_pool_is_killed() {
    const KILLS: u64 = 6;
    let mut house = House::new(Node::simnet, PPS, "solo");
    house.deposit("10");
    let mut chance = 3_u64;
    let mut due = Owed::default();
    for _ in 0..KILLS {
        let mut miner = Miner::ready(house.pool.miners);
        let end = std::time::Instant::now() + Duration::from_millis(1000 + chance % 1000);
        for number in 0.. {
            if std::time::Instant::now() >= end {
                break;
            }
            let share = miner.share(number);
            assert_eq!(miner.submit(&share)["result"], true);
        }
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1)
            >> 1;
        house.pool.process.kill();
        house.assert_balanced();
        house.pool.start_again();
        house.pool.wait_until_ready();
        // No block was found, so that there was one price all along.
        let work = house.pool.status()["shares"]["work"].clone();
        due = worth(&miner, work.as_str().unwrap().parse().unwrap());
    }
    house.wait_for_balance(&miner(ADDRESS), (units(due), 0));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(house.balance(&miner(ADDRESS)), (units(due), 0));
    house.assert_balanced();
    let open = balances(house.folder.path());
    assert_eq!(open.keys().filter(|name| is_open(name)).count(), 1);
    let lines = house.ask(&["ledger", "statement", &miner(ADDRESS)]);
    assert!(lines.as_array().unwrap().len() > 5, "{lines}");
}

#[test]
fn an_operator_enters_what_the_pool_cannot_know() {
    let house = House::new(Node::simnet, PPS, "pplns");
    // The same command twice is two entries.
    let deposit = ["ledger", "deposit", "1.5", "--reason", "coins of my own"];
    let (first, second) = (house.ask(&deposit), house.ask(&deposit));
    assert_ne!(first["entry"], second["entry"]);
    let id = first["entry"].as_str().unwrap();
    assert!(id.starts_with("operator:deposit:"), "{id}");
    assert_eq!(house.balance("reserve"), (300_000_000, 0));
    assert_eq!(house.balance("operator"), (-300_000_000, 0));
    let withdraw = |coins| ["ledger", "withdraw", coins, "--reason", "back"];
    let why = house.refused(&withdraw("3.00000001"));
    assert!(why.contains("reserve has too little"), "{why}");
    house.ask(&withdraw("1"));
    let account = miner(ADDRESS);
    let correct = |from, to, coins| {
        let words = ["ledger", "correct", "--from", from, "--to", to, coins];
        [&words[..], &["--reason", "a share was lost"]].concat()
    };
    house.ask(&correct("reserve", &account, "0.5"));
    assert_eq!(house.balance(&account), (50_000_000, 0));
    let why = house.refused(&correct(&account, "reserve", "0.6"));
    assert!(why.contains(&format!("{account} has too little")), "{why}");
    assert_eq!(house.balance(&account), (50_000_000, 0));
    let unknown = "miner:bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081";
    let upper = miner(&ADDRESS.to_uppercase());
    for (from, to, coins, told) in [
        ("reserve", unknown, "1", unknown),
        ("reserve", upper.as_str(), "1", account.as_str()),
        ("reserve", "fee:nobody", "1", "fee:nobody"),
        ("batch:1", "reserve", "1", "payout on its way"),
        ("reserve", "reserve", "1", "to itself"),
        ("reserve", "somebody", "1", "is no account"),
        ("reserve", "operator", "0", "nothing"),
        ("reserve", "operator", "0.000000001", "0.000000001"),
        ("reserve", "operator", "1e3", "1e3"),
        ("reserve", "operator", "1,5", "1,5"),
    ] {
        let why = house.refused(&correct(from, to, coins));
        assert!(why.contains(told), "{why}");
    }
    for reason in ["", " ", "two\nlines"] {
        let why = house.refused(&["ledger", "deposit", "1", "--reason", reason]);
        assert!(why.contains("says why"), "{why}");
    }
    let why = house.refused(&["ledger", "deposit", "1"]);
    assert!(why.contains("--reason"), "{why}");
    assert_eq!(house.balance("reserve"), (150_000_000, 0));
    let lines = house.ask(&["ledger", "statement", "reserve"]);
    assert_eq!(lines.as_array().unwrap().len(), 4, "{lines}");
    assert_eq!(lines[0]["reason"], "a share was lost");
    house.assert_balanced();
}

#[test]
fn settings_of_a_reserve_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("adit.toml");
    let check = |pool: &str, listener: &str| {
        let text = format!(
            "data = {:?}\n[[pool]]\nnetwork = \"regtest\"\npayout_address = \"{ADDRESS}\"\n{pool}\n\
             [[pool.daemon]]\nurl = \"http://127.0.0.1:1\"\n[[pool.listener]]\n{listener}\n",
            folder.path().join("data")
        );
        std::fs::write(&file, text).unwrap();
        let output = adit(&["pool", "-c", file.to_str().unwrap()])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64), "{pool} {listener}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (lines, told) in [
        ("credit_every_s = 0", "reserve.credit_every_s"),
        ("credit_every_s = 86401", "reserve.credit_every_s"),
        ("least = \"-1\"", "reserve.least"),
        ("least = \"one\"", "reserve.least"),
        ("debt_max = \"0.000000001\"", "reserve.debt_max"),
        ("debt_max = \"100000000000\"", "reserve.debt_max"),
        ("least = \"1\"\ndebt_max = \"1\"", "one of them is 0"),
        ("most = \"1\"", "most"),
    ] {
        let why = check(&format!("[pool.reserve]\n{lines}"), "");
        assert!(why.contains(told), "{lines}: {why}");
    }
    assert!(check("", "scheme = \"ppps\"").contains("ppps"));
    assert!(check("", "solo = true").contains("solo"));
}
