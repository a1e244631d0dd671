//! A pool with a node behind it, and what is often asked of the two.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, Pool, PoolSettings, heavy::HeavyNode, wait_for,
};

/// A pool on one node.
pub(crate) struct Rig {
    pub(crate) pool: Pool,
    _heavy: Option<HeavyNode>,
    pub(crate) node: Node,
    _folder: TempDir,
}

impl Rig {
    /// Real work: one hash in 16 is a share, and shares are no blocks.
    pub(crate) fn new() -> Self {
        Self::with(FIXED_DIFFICULTY)
    }

    /// The same with these lines for `[[pool.listener]]`.
    pub(crate) fn with(listener: &str) -> Self {
        Self::of("", listener, Node::simnet)
    }

    /// Listening there, with these lines for `[[pool.listener]]`.
    pub(crate) fn at(host: &str, listener: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let node = Node::simnet(&folder);
        let settings = PoolSettings {
            host,
            listener,
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        };
        Self {
            pool: Pool::start(&folder, &settings),
            _heavy: None,
            node,
            _folder: folder,
        }
    }

    /// The same with these lines for `[http]`.
    pub(crate) fn http(http: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let node = Node::simnet(&folder);
        let settings = PoolSettings {
            http,
            daemons: node.rpc.daemon(),
            ..PoolSettings::default()
        };
        Self {
            pool: Pool::start(&folder, &settings),
            _heavy: None,
            node,
            _folder: folder,
        }
    }

    /// These lines for `[[pool]]` and `[[pool.listener]]`, and this node.
    pub(crate) fn of(pool: &str, listener: &str, node: impl Fn(&TempDir) -> Node) -> Self {
        let folder = TempDir::new().unwrap();
        let node = node(&folder);
        let daemons = node.rpc.daemon();
        Self::start(folder, node, None, pool, listener, daemons)
    }

    /// A network on which no test finds a block, so that no difficulty is above the network's.
    pub(crate) fn heavy(listener: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let node = Node::regtest(&folder);
        let heavy = HeavyNode::before(&node.rpc);
        let daemons = heavy.rpc.daemon() + "subsidy_only = false\n";
        Self::start(folder, node, Some(heavy), "", listener, daemons)
    }

    fn start(
        folder: TempDir,
        node: Node,
        heavy: Option<HeavyNode>,
        pool: &str,
        listener: &str,
        daemons: String,
    ) -> Self {
        let settings = PoolSettings {
            pool,
            listener,
            daemons,
            ..PoolSettings::default()
        };
        Self {
            pool: Pool::start(&folder, &settings),
            _heavy: heavy,
            node,
            _folder: folder,
        }
    }

    /// A miner that has its first job.
    pub(crate) fn miner(&self) -> Miner {
        Miner::ready(self.pool.miners)
    }

    /// Lets the node mine until its chain has this height, and the pool work on the block after.
    pub(crate) fn mine_up_to(&self, height: u32) {
        let missing = u64::from(height) - self.node.rpc.height();
        let blocks = json!([missing, ADDRESS]);
        self.node.rpc.call("generatetoaddress", blocks);
        self.wait_for_height(height.into());
    }

    /// Waits until the node has a block of this height and the pool works on the one after.
    #[track_caller]
    pub(crate) fn wait_for_height(&self, height: u64) {
        wait_for("work on the next block", || {
            let status = self.pool.status();
            (status["template"]["height"] == height + 1).then_some(())
        });
    }

    /// The session of this worker, once the status lists it with so many shares accepted.
    #[track_caller]
    pub(crate) fn session(&self, worker: &str, accepted: u64) -> Value {
        wait_for("the session in the status", || {
            let status = self.pool.status();
            let sessions = status["sessions"].as_array()?;
            sessions
                .iter()
                .find(|session| session["worker"] == worker && session["accepted"] == accepted)
                .cloned()
        })
    }

    /// The work of all stored shares, in expected hashes.
    pub(crate) fn work(&self) -> u128 {
        let status = self.pool.status();
        status["shares"]["work"].as_str().unwrap().parse().unwrap()
    }
}
