//! What was done to pools before, done to this one: each test is named after its case in
//! `docs/attacks.md`.

mod blocks;
mod fields;
mod proposals;
mod shares;
mod transport;

use tempfile::TempDir;

use crate::support::{FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings};

/// One hash in 65,536 is a share: what is judged against another job than its own fails.
const RARE_SHARES: &str = "start_difficulty = 1.52587890625e-05
min_difficulty = 1.52587890625e-05
max_difficulty = 1.52587890625e-05
share_time_s = 3600
";

/// A pool before a simulated node.
struct Rig {
    pool: Pool,
    node: Node,
    folder: TempDir,
}

impl Rig {
    /// On a node with real work: shares are no blocks.
    fn simnet() -> Self {
        Self::simnet_with("", FIXED_DIFFICULTY)
    }

    /// The same with these lines for `[[pool]]` and `[[pool.listener]]`.
    fn simnet_with(pool: &str, listener: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let node = Node::simnet(&folder);
        Self::on(folder, node, pool, listener)
    }

    /// On a node where every second hash is a block.
    fn regtest() -> Self {
        Self::regtest_with(FIXED_DIFFICULTY)
    }

    fn regtest_with(listener: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let node = Node::regtest(&folder);
        Self::on(folder, node, "", listener)
    }

    fn on(folder: TempDir, node: Node, pool: &str, listener: &str) -> Self {
        let settings = PoolSettings {
            pool,
            listener,
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        };
        Self {
            pool: Pool::start(&folder, &settings),
            node,
            folder,
        }
    }

    fn miner(&self) -> Miner {
        Miner::ready(self.pool.miners)
    }

    /// Shares in the store.
    fn stored(&self) -> u64 {
        self.pool.status()["shares"]["stored"].as_u64().unwrap()
    }

    /// The work they stand for.
    fn work(&self) -> u128 {
        let status = self.pool.status();
        status["shares"]["work"].as_str().unwrap().parse().unwrap()
    }
}
