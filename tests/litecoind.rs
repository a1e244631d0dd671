//! Real litecoind, the one daemon of the family that Debian has: it accepts blocks that the pool
//! built, with the extension block of MWEB behind the transactions.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    key::Keeper,
    money,
    support::{DEVICES, Miner, Pool, PoolSettings, Process, adit, free_port, node::Rpc, wait_for},
};

/// The binary itself; Debian's `litecoind` is a shell script around it.
const LITECOIND: &str = "/usr/lib/litecoin/litecoind";
/// The height at which MWEB becomes active on regtest.
const MWEB_HEIGHT: u64 = 432;

/// Two nodes that are each other's peer: one alone gives no templates.
pub(crate) struct Litecoin {
    pub(crate) rpc: Rpc,
    _nodes: [Process; 2],
}

fn start_node(folder: &Path, name: &str, rpc_port: u16, flags: &[String]) -> Process {
    let data = folder.join(name);
    std::fs::create_dir_all(&data).unwrap();
    let mut command = Command::new(LITECOIND);
    command
        .args([
            "-regtest",
            "-server",
            "-dnsseed=0",
            "-rpcbind=127.0.0.1",
            "-rpcallowip=127.0.0.1",
        ])
        .args([
            "-rpcuser=u",
            "-rpcpassword=p",
            "-fallbackfee=0.0002",
            "-printtoconsole=0",
        ])
        .arg(format!("-datadir={}", data.display()))
        .arg(format!("-rpcport={rpc_port}"))
        .args(flags)
        .stdin(Stdio::null());
    Process::start(command, folder.join(format!("{name}.log")))
}

impl Litecoin {
    pub(crate) fn start(folder: &TempDir) -> Self {
        Self::with(folder, &[])
    }

    /// With these flags more for the first one.
    fn with(folder: &TempDir, flags: &[&str]) -> Self {
        let flags = [&["-listen=0"], flags].concat();
        let flags: Vec<String> = flags.into_iter().map(str::to_owned).collect();
        assert!(
            Path::new(LITECOIND).exists(),
            "litecoind is missing: run `make packages`"
        );
        let (first, second, peer) = (free_port(), free_port(), free_port());
        let listen = ["-listen=1".to_owned(), format!("-bind=127.0.0.1:{peer}")];
        let nodes = [
            start_node(folder.path(), "litecoind-2", second, &listen),
            start_node(folder.path(), "litecoind-1", first, &flags),
        ];
        let rpc = Rpc {
            port: first,
            user: "u",
            password: "p",
        };
        for port in [first, second] {
            Rpc {
                port,
                ..rpc.clone()
            }
            .wait();
        }
        rpc.call("addnode", json!([format!("127.0.0.1:{peer}"), "add"]));
        wait_for("the peer", || {
            (rpc.call("getconnectioncount", json!([])) != 0).then_some(())
        });
        Self { rpc, _nodes: nodes }
    }

    /// Brings the chain to the block before MWEB's first, with a peg-in waiting: without one, there
    /// would be no first HogEx.
    fn up_to_mweb(&self) {
        let rpc = &self.rpc;
        rpc.call("createwallet", json!(["w"]));
        let address = rpc.call("getnewaddress", json!([]));
        rpc.call("generatetoaddress", json!([MWEB_HEIGHT - 1, address]));
        let mweb = rpc.call("getnewaddress", json!(["", "mweb"]));
        rpc.call("sendtoaddress", json!([mweb, 1.5]));
    }

    fn block(&self, height: u64) -> Value {
        let hash = self.rpc.call("getblockhash", json!([height]));
        self.rpc.call("getblock", json!([hash, 2]))
    }
}

/// Each of these miners finds a block, one after the other.
fn find_blocks(pool: &Pool, rpc: &Rpc, miners: &[String]) {
    for address in miners {
        let before = rpc.height();
        wait_for("work on the next block", || {
            (pool.status()["template"]["height"] == before + 1).then_some(())
        });
        let mut miner = Miner::connect(pool.miners);
        miner.algorithm = pow::Algorithm::Scrypt;
        miner.log_in(&format!("{address}.rig"));
        let block = miner.block(1, None);
        let params = Miner::params(&format!("{address}.rig"), &block);
        assert_eq!(miner.ask("mining.submit", params)["result"], true);
        wait_for("the block", || (rpc.height() > before).then_some(()));
    }
}

/// Lets the pool pay, with blocks coming, until nobody is owed anything.
fn pay_all(folder: &TempDir, rpc: &Rpc, address: &str) {
    money::say(folder.path(), &["payout", "resume"]);
    wait_for("all to be paid", || {
        rpc.call("generatetoaddress", json!([1, address]));
        let balances = money::balances(folder.path());
        let open = balances.keys().any(|name| money::is_open(name));
        (!open).then_some(())
    });
    let books = money::ask(folder.path(), &["ledger", "check"]);
    assert_eq!(books["balance"], true, "{books}");
}

#[test]
fn litecoind_accepts_blocks_of_every_class_with_rolled_versions_and_mweb() {
    let folder = TempDir::new().unwrap();
    let litecoin = Litecoin::start(&folder);
    let rpc = &litecoin.rpc;
    litecoin.up_to_mweb();
    let address = rpc
        .call("getnewaddress", json!(["", "bech32"]))
        .as_str()
        .unwrap()
        .to_owned();
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            coin: "litecoin",
            address: &address,
            daemons: rpc.daemon(),
            ..PoolSettings::default()
        },
    );
    let url = format!("stratum+tcp://127.0.0.1:{}", pool.miners);

    // The worker of our own, as each kind of device.
    for (number, agent) in DEVICES.into_iter().enumerate() {
        let before = rpc.height();
        let user = format!("{address}.rig{number}");
        // Half of all shares are blocks here.
        wait_for("a block by this device", || {
            let mined = adit(&[
                "mine",
                "--url",
                &url,
                "--user",
                &user,
                "--algorithm",
                "scrypt",
                "--threads",
                "1",
                "--agent",
                agent,
                "--shares",
                "2",
                "--fail-fast",
                "--json",
            ])
            .output()
            .unwrap();
            assert!(
                mined.status.success(),
                "{}",
                String::from_utf8_lossy(&mined.stderr)
            );
            (rpc.height() > before).then_some(())
        });
    }

    // A miner that rolls the version, and transactions in the block.
    for _ in 0..3 {
        let to = rpc.call("getnewaddress", json!([]));
        rpc.call("sendtoaddress", json!([to, 0.5]));
    }
    let mut miner = Miner::connect(pool.miners);
    miner.algorithm = pow::Algorithm::Scrypt;
    miner.configure();
    miner.log_in(&format!("{address}.roller"));
    let rolled = wait_for("a block with a rolled version", || {
        let before = rpc.height();
        let tip = rpc.call("getblockhash", json!([before]));
        let tip: pow::Hash = tip.as_str().unwrap().parse().unwrap();
        while miner.job.as_ref().unwrap().work.previous_block != tip.0 {
            miner.hear();
        }
        let bits = 0x0155_4000;
        let solution = miner.block(before, Some(bits));
        let id = miner.send(
            "mining.submit",
            Miner::params(&format!("{address}.roller"), &solution),
        );
        let reply = miner.answer_to(id);
        if reply["result"] != true {
            // The tip moved in between.
            return None;
        }
        wait_for("litecoind to have it", || {
            (rpc.height() > before).then_some(())
        });
        let block = litecoin.block(before + 1);
        (block["version"].as_u64().unwrap() & 0x1fff_e000 == u64::from(bits)).then_some(block)
    });
    assert_eq!(rolled["confirmations"], 1);

    let height = rpc.height();
    let ours: Vec<Value> = (MWEB_HEIGHT..=height)
        .map(|height| litecoin.block(height))
        .collect();
    assert!(ours.len() >= 7, "{} blocks", ours.len());
    for block in &ours {
        let transactions = block["tx"].as_array().unwrap();
        let paid = &transactions[0]["vout"][0]["scriptPubKey"]["addresses"];
        assert_eq!(paid[0], address.as_str(), "{block}");
        assert!(block["mweb"].is_object(), "MWEB is active: {block}");
        assert!(transactions.len() >= 2, "the HogEx is the last transaction");
    }
    assert!(
        ours.iter()
            .any(|block| block["tx"].as_array().unwrap().len() > 2),
        "some block has transactions of others"
    );
    // On regtest many proofs find siblings of a block: those are orphans, but none was invalid.
    let status = wait_for("the fate of all blocks", || {
        let status = pool.status();
        (status["blocks"]["submitted"] == 0).then_some(status)
    });
    assert!(status["blocks"]["immature"].as_u64() >= Some(7), "{status}");
    let last = status["blocks"]["last"].as_array().unwrap();
    assert!(
        last.iter().all(|block| block["reason"].is_null()),
        "{status}"
    );
}

/// Headers get their time from the template, never from the pool's clock, so that the node finds
/// them in order however wrong that clock is: at the heights beside a retarget, too.
#[test]
fn a25_a_pool_whose_clock_is_three_hours_wrong_makes_good_blocks() {
    const WRONG_S: u64 = 3 * 60 * 60;
    const RETARGET: u64 = 2016;
    let folder = TempDir::new().unwrap();
    let litecoin = Litecoin::start(&folder);
    let rpc = &litecoin.rpc;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    rpc.call("setmocktime", json!([now - WRONG_S]));
    litecoin.up_to_mweb();
    let address = rpc.call("getnewaddress", json!(["", "bech32"]));
    let address = address.as_str().unwrap();
    let left = RETARGET - 2 - (MWEB_HEIGHT - 1);
    rpc.call("generatetoaddress", json!([left, address]));
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            coin: "litecoin",
            address,
            pool: "refresh_s = 1",
            daemons: rpc.daemon() + "refresh_s = 1\n",
            ..PoolSettings::default()
        },
    );
    for (node_clock, height) in [
        (now - WRONG_S, RETARGET - 1),
        (now - WRONG_S, RETARGET),
        (now + WRONG_S, RETARGET + 1),
        (now + WRONG_S, RETARGET + 2),
    ] {
        rpc.call("setmocktime", json!([node_clock]));
        let parent = rpc.call("getbestblockhash", json!([]));
        let parent: pow::Hash = parent.as_str().unwrap().parse().unwrap();
        let on_time = |notify: &wire::sv1::Notify| {
            let ahead = u64::from(notify.work.ntime).abs_diff(node_clock);
            notify.work.previous_block == parent.0 && ahead < 600
        };
        let mut miner = wait_for("work with the node's time", || {
            let mut miner = Miner::connect(pool.miners);
            miner.algorithm = pow::Algorithm::Scrypt;
            miner.log_in(&format!("{address}.test"));
            miner.job.as_ref().is_some_and(on_time).then_some(miner)
        });
        let solution = miner.block(height, None);
        miner.send(
            "mining.submit",
            Miner::params(&format!("{address}.test"), &solution),
        );
        wait_for("litecoind to take the block", || {
            (rpc.height() == height).then_some(())
        });
    }
}

/// Blocks that litecoind has matured, paid by its wallet to many miners in one transaction: its chain
/// and the books agree to the litoshi.
#[test]
fn litecoind_pays_many_miners_in_one_transaction() {
    const MINERS: usize = 12;
    let folder = TempDir::new().unwrap();
    let litecoin = Litecoin::start(&folder);
    let rpc = &litecoin.rpc;
    rpc.call("createwallet", json!(["w"]));
    let new_address = || {
        let address = rpc.call("getnewaddress", json!(["", "bech32"]));
        address.as_str().unwrap().to_owned()
    };
    let address = new_address();
    rpc.call("generatetoaddress", json!([110, address]));
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            coin: "litecoin",
            address: &address,
            pool: "[pool.payout]\nenabled = true\nevery_s = 1\nconfirmations = 2\n\
                   fee_rate = \"0.0002\"\n",
            daemons: rpc.daemon(),
            ..PoolSettings::default()
        },
    );
    money::say(
        folder.path(),
        &["payout", "pause", "--reason", "until all is mature"],
    );
    let miners: Vec<String> = (0..MINERS).map(|_| new_address()).collect();
    find_blocks(&pool, rpc, &miners);
    // As the chain wants it: a hundred confirmations.
    rpc.call("generatetoaddress", json!([99, address]));
    let balances = || money::balances(folder.path());
    let rewards = -5_000_000_000 * i64::try_from(MINERS).unwrap();
    wait_for("all to be mature", || {
        (balances().get("reward") == Some(&(rewards, 0))).then_some(())
    });
    let due = balances();
    pay_all(&folder, rpc, &address);
    let payouts = money::ask(folder.path(), &["payout", "list"]);
    let payouts = payouts.as_array().unwrap();
    let confirmed = payouts
        .iter()
        .filter(|payout| payout["state"] == "confirmed");
    assert_eq!(confirmed.count(), 1, "{payouts:?}");
    for address in &miners {
        let owed = due[&money::miner(address)].0;
        assert!(owed > 0);
        assert_eq!(
            i64::try_from(money::on_chain(rpc, address)).unwrap(),
            owed,
            "{address}"
        );
    }
}

/// litecoind's chain takes back one block of two, by a branch that grows longer: nobody keeps its credit,
/// and the other matures as the chain wants it.
#[test]
fn a43_an_orphan_of_litecoind_pays_nobody() {
    let folder = TempDir::new().unwrap();
    let litecoin = Litecoin::start(&folder);
    let rpc = &litecoin.rpc;
    rpc.call("createwallet", json!(["w"]));
    let new_address = || {
        let address = rpc.call("getnewaddress", json!(["", "bech32"]));
        address.as_str().unwrap().to_owned()
    };
    let address = new_address();
    rpc.call("generatetoaddress", json!([5, address]));
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            coin: "litecoin",
            address: &address,
            daemons: rpc.daemon(),
            ..PoolSettings::default()
        },
    );
    let miners = [new_address(), new_address()];
    find_blocks(&pool, rpc, &miners);
    let balance = |account: &str| {
        let balances = money::balances(folder.path());
        balances.get(account).copied().unwrap_or_default()
    };
    wait_for("both blocks in the books", || {
        (balance("reward") == (0, -10_000_000_000)).then_some(())
    });
    let second = rpc.call("getblockhash", json!([rpc.height()]));
    rpc.call("invalidateblock", json!([second]));
    rpc.call("generatetoaddress", json!([3, address]));
    wait_for("the second to be voided", || {
        (balance("reward") == (0, -5_000_000_000)).then_some(())
    });
    rpc.call("generatetoaddress", json!([99, address]));
    wait_for("the first to be mature", || {
        (balance("reward") == (-5_000_000_000, 0)).then_some(())
    });
    // All work before the first block was its finder's own.
    let due = 5_000_000_000 / 1000 * 975;
    assert_eq!(balance(&money::miner(&miners[0])), (due, 0));
    assert_eq!(balance(&money::miner(&miners[1])), (0, 0));
    let books = money::ask(folder.path(), &["ledger", "check"]);
    assert_eq!(books["balance"], true, "{books}");
}

/// A node without a wallet: the coins are found, signed for and followed by the pool alone.
#[test]
fn litecoind_without_a_wallet_pays_many_miners_by_a_key() {
    const MINERS: usize = 8;
    let folder = TempDir::new().unwrap();
    let litecoin = Litecoin::with(&folder, &["-disablewallet=1"]);
    let rpc = &litecoin.rpc;
    let keeper = Keeper::new("wpkh(KEY/84h/2h/0h/0/*)", b"a litecoin pool's own key");
    let file = keeper.write(folder.path());
    let address = in_bech32(&keeper.script(0));
    rpc.call("generatetoaddress", json!([110, address]));
    let pool = Pool::start(
        &folder,
        &PoolSettings {
            coin: "litecoin",
            address: &address,
            pool: &format!(
                "[pool.payout]\nenabled = true\nevery_s = 1\nconfirmations = 2\n\
                 fee_rate = \"0.0002\"\nfrom = \"key\"\ndescriptor_file = \"{}\"\n",
                file.display()
            ),
            daemons: rpc.daemon(),
            ..PoolSettings::default()
        },
    );
    money::say(
        folder.path(),
        &["payout", "pause", "--reason", "until all is mature"],
    );
    let owners = Keeper::new("wpkh(KEY/*)", b"miners");
    let miners: Vec<String> = (0..8)
        .map(|index| in_bech32(&owners.script(index)))
        .collect();
    find_blocks(&pool, rpc, &miners);
    rpc.call("generatetoaddress", json!([99, address]));
    let balances = || money::balances(folder.path());
    let rewards = -5_000_000_000 * i64::try_from(MINERS).unwrap();
    wait_for("all to be mature", || {
        (balances().get("reward") == Some(&(rewards, 0))).then_some(())
    });
    let due = balances();
    pay_all(&folder, rpc, &address);
    let payouts = money::ask(folder.path(), &["payout", "list"]);
    let payouts = payouts.as_array().unwrap();
    assert_eq!(payouts.len(), 1, "{payouts:?}");
    assert_eq!(payouts[0]["state"], "confirmed", "{payouts:?}");
    for address in &miners {
        let owed = due[&money::miner(address)].0;
        assert!(owed > 0);
        let paid = money::on_chain(rpc, address);
        assert_eq!(i64::try_from(paid), Ok(owed), "{address}");
    }
}

fn in_bech32(script: &bitcoin::Script) -> String {
    let hrp = bitcoin::bech32::Hrp::parse("rltc").unwrap();
    bitcoin::bech32::segwit::encode_v0(hrp, &script.as_bytes()[2..]).unwrap()
}
