//! Two daemons behind one pool: what it finds goes to both, and work goes on with whichever is there.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK, ONE_IN_20,
    chain::{Chain, SOMEBODY},
    miner::Miner,
};
use crate::support::{Pool, PoolSettings, wait_for};

/// Whether a share was taken; if not, its job is over.
#[track_caller]
fn is_taken(told: &Value) -> bool {
    let is_taken = told["result"]["status"] == "OK";
    let is_late = told["error"]["message"] == "Block expired";
    assert!(is_taken || is_late, "{told}");
    is_taken
}

/// A pool before two nodes, the first of which it prefers.
struct Rig {
    first: Chain,
    second: Chain,
    pool: Pool,
    _folder: TempDir,
}

impl Rig {
    fn start(chains: impl FnOnce(&TempDir) -> [Chain; 2]) -> Self {
        let folder = TempDir::new().unwrap();
        let [first, second] = chains(&folder);
        let settings = PoolSettings {
            coin: "monero",
            address: SOMEBODY,
            pool: LIGHT,
            listener: ONE_IN_20,
            daemons: first.daemon() + &second.daemon(),
            ..PoolSettings::default()
        };
        let rig = Self {
            pool: Pool::start(&folder, &settings),
            first,
            second,
            _folder: folder,
        };
        rig.wait_for_fit([true, true]);
        rig
    }

    /// Waits until the pool says this of its daemons. It has work all the while.
    #[track_caller]
    fn wait_for_fit(&self, expected: [bool; 2]) {
        wait_for(&format!("daemons that are fit: {expected:?}"), || {
            let status = self.pool.status();
            assert!(status["stopped"].is_null(), "{status}");
            let fit = [0, 1].map(|place| status["daemons"][place]["fit"] == true);
            (fit == expected).then_some(())
        });
    }

    /// Waits until the pool mines with this daemon, on its newest block, and the miner does.
    #[track_caller]
    fn settle(&self, miner: &mut Miner, chain: &Chain) {
        let port = format!(":{}", chain.port);
        let next = wait_for("work of the daemon", || {
            let next = chain.height() + 1;
            let work = format!("new work height={next} ");
            let log = self.pool.process.log_text();
            let last = |text: &str| log.lines().rfind(|line| line.contains(text));
            let is_its = last("mining with ")?.contains(&port);
            (is_its && last("new work ")?.contains(&work)).then_some(next)
        });
        // The job in hand may be one of before, which is over.
        let mut from = 1 << 28;
        wait_for("its job", || {
            while miner.job["height"] != next {
                miner.hear_new_job();
            }
            let share = miner.no_block(from, NETWORK);
            from += 1 << 20;
            is_taken(&miner.submit(&share)).then_some(())
        });
    }

    /// The miner solves the next block of the daemon that the pool mines with; its id.
    #[track_caller]
    fn find_block(&self, miner: &mut Miner, chain: &Chain) -> String {
        self.settle(miner, chain);
        let height = miner.job["height"].clone();
        let block = miner.block(0, NETWORK);
        assert_eq!(miner.submit(&block)["result"]["status"], "OK");
        let found = wait_for("the block", || {
            let last = self.pool.last_block()?;
            (last["height"] == height).then_some(last)
        });
        let id = found["hash"].as_str().unwrap().to_owned();
        wait_for("the block in the chain", || chain.has(&id).then_some(()));
        id
    }

    /// Each of these daemons has taken the block from the pool, whoever else told it of it.
    #[track_caller]
    fn assert_submitted(&self, id: &str, chains: &[&Chain]) {
        for chain in chains {
            let port = format!(":{}", chain.port);
            wait_for("the daemon's word", || {
                let log = self.pool.process.log_text();
                let is_it = |line: &str| {
                    line.contains("block accepted") && line.contains(id) && line.contains(&port)
                };
                log.lines().any(is_it).then_some(())
            });
            assert!(chain.has(id));
        }
    }

    /// All blocks stand in the chain; and whichever daemon the pool mined with, it never went back to a block that
    /// was found already.
    #[track_caller]
    fn assert_none_lost(&self) {
        wait_for("all blocks in the chain", || {
            let blocks = self.pool.status()["blocks"].clone();
            (blocks["immature"] == blocks["found"]).then_some(())
        });
        let log = self.pool.process.log_text();
        let work = log.lines().filter(|line| line.contains("new work "));
        let heights: Vec<u32> = work
            .map(|line| {
                let (_, rest) = line.split_once("height=").unwrap();
                rest.split(' ').next().unwrap().parse().unwrap()
            })
            .collect();
        assert!(heights.len() > 3 && heights.is_sorted(), "{heights:?}");
    }

    /// How the pool is, and which of its parts are not well.
    fn health(&self) -> (u16, Value, Vec<String>) {
        let (code, text) = self.pool.get("/health").unwrap();
        let health: Value = serde_json::from_str(&text).unwrap();
        let parts = health["components"].as_array().unwrap().iter();
        let unwell = parts.filter(|part| part["healthy"] == false);
        let names = unwell.map(|part| part["name"].as_str().unwrap().to_owned());
        let names = names.collect();
        (code, health["status"].clone(), names)
    }
}

/// The daemons are each other's peers, as an operator would have them.
#[test]
fn work_goes_on_with_the_second_monerod_when_the_first_one_stops() {
    let mut rig = Rig::start(|folder| Chain::pair(folder, NETWORK));
    let mut miner = Miner::ready(rig.pool.miners, &format!("{SOMEBODY}.rig"));
    let both = rig.find_block(&mut miner, &rig.first);
    rig.assert_submitted(&both, &[&rig.first, &rig.second]);

    // The miner stays connected, and its work counts.
    rig.settle(&mut miner, &rig.first);
    let late = miner.no_block(1 << 27, NETWORK);
    rig.first.kill();
    rig.wait_for_fit([false, true]);
    assert_eq!(miner.submit(&late)["result"]["status"], "OK");
    let (code, status, unwell) = rig.health();
    assert_eq!((code, &status), (200, &json!("degraded")), "{unwell:?}");
    let first = format!("daemon http://127.0.0.1:{}", rig.first.port);
    assert!(
        matches!(&unwell[..], [one] if one.trim_end_matches('/') == first),
        "{unwell:?}"
    );

    // Only the second one can tell of this.
    rig.second.generate(1, SOMEBODY);
    let alone = rig.find_block(&mut miner, &rig.second);
    rig.assert_submitted(&alone, &[&rig.second]);

    // It catches up from its peer, and is the preferred one again.
    rig.first.come_back();
    wait_for("the block", || rig.first.has(&alone).then_some(()));
    rig.wait_for_fit([true, true]);
    let both = rig.find_block(&mut miner, &rig.first);
    rig.assert_submitted(&both, &[&rig.first, &rig.second]);
    rig.assert_none_lost();
    let (code, status, unwell) = rig.health();
    assert_eq!((code, &status), (200, &json!("healthy")), "{unwell:?}");
}

/// Nobody but the pool could have told either of them of a block.
#[test]
fn monerods_that_do_not_know_each_other_have_each_block_from_the_pool() {
    let mut rig =
        Rig::start(|folder| ["first", "second"].map(|name| Chain::named(folder, name, NETWORK)));
    let mut miner = Miner::ready(rig.pool.miners, &format!("{SOMEBODY}.rig"));
    let both = rig.find_block(&mut miner, &rig.first);
    rig.assert_submitted(&both, &[&rig.first, &rig.second]);

    rig.first.kill();
    rig.wait_for_fit([false, true]);
    let ids = [(); 2].map(|()| rig.find_block(&mut miner, &rig.second));
    for id in &ids {
        rig.assert_submitted(id, &[&rig.second]);
    }
    // It is told of what it has missed until it has it.
    rig.first.come_back();
    for id in &ids {
        rig.assert_submitted(id, &[&rig.first]);
    }
    rig.wait_for_fit([true, true]);
    let both = rig.find_block(&mut miner, &rig.first);
    rig.assert_submitted(&both, &[&rig.first, &rig.second]);
    rig.assert_none_lost();
    assert_eq!(rig.first.height(), rig.second.height());
}
