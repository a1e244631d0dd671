//! The same blocks for two nodes: the judge and the simulated node. Whatever they disagree about is
//! written down, and a test that ends with anything written down fails.

use std::{
    collections::{HashMap, VecDeque},
    time::SystemTime,
};

use bitcoin::{Block, BlockHash, block::Header, consensus};
use bitcoinkernel::ChainType;
use simnet::{Chain, Params, Verdict};

use crate::{
    block::block_on,
    kernel::{Judge, Opinion},
    purse::{Coin, Kind, coins},
};

/// Blocks before a coinbase may be spent.
pub(crate) const MATURITY: u32 = 100;
/// Blocks that every pair of chains starts with: coinbases of the first 31 are mature.
const START: u32 = 130;

/// A chain in the consensus library and one in the simulated node, fed alike.
pub(crate) struct Twins {
    judge: Judge,
    simnet: Chain,
    spots: HashMap<BlockHash, Spot>,
    /// The blocks that both accepted, to start again from.
    agreed: Vec<Vec<u8>>,
    purse: VecDeque<(u32, Coin)>,
    differences: Vec<String>,
    /// How many blocks were compared.
    pub(crate) compared: usize,
}

/// A place in the tree to build on.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) hash: BlockHash,
    pub(crate) height: u32,
    /// The times of the last eleven blocks, newest first.
    times: Vec<u32>,
}

impl Spot {
    /// A block after this one must be later.
    pub(crate) fn median_time(&self) -> u32 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[times.len() / 2]
    }

    pub(crate) fn time(&self) -> u32 {
        self.times[0]
    }

    /// What follows when `block` is put here.
    pub(crate) fn after(&self, block: &Header) -> Self {
        let times = std::iter::once(block.time).chain(self.times.iter().copied());
        Self {
            hash: block.block_hash(),
            height: self.height + 1,
            times: times.take(11).collect(),
        }
    }
}

impl Twins {
    /// Two chains of 130 blocks, so that there are coins of all kinds to spend.
    pub(crate) fn new() -> Self {
        let mut twins = Self::at_genesis();
        for _ in 0..START {
            twins.grow();
        }
        twins
    }

    /// Two chains that are still empty.
    pub(crate) fn at_genesis() -> Self {
        let (judge, simnet, genesis) = genesis();
        Self {
            judge,
            simnet,
            spots: HashMap::from([(genesis.hash, genesis)]),
            agreed: Vec::new(),
            purse: VecDeque::new(),
            differences: Vec::new(),
            compared: 0,
        }
    }

    /// The tip of the judge's chain.
    pub(crate) fn tip(&self) -> Spot {
        let tip = self.judge.tip();
        let spot = self.spots[&tip.hash].clone();
        assert_eq!(
            (spot.height, spot.median_time()),
            (tip.height, tip.median_time)
        );
        spot
    }

    /// Mines an empty block on the tip.
    #[track_caller]
    pub(crate) fn grow(&mut self) -> Block {
        let block = block_on(&self.tip(), &[], 0);
        assert_eq!(self.feed("an empty block", &block), None);
        block
    }

    /// A coin of the tip's branch that may be spent in the next block, not given before.
    pub(crate) fn coin(&mut self, kind: Kind) -> Coin {
        loop {
            let next = self.tip().height + 1;
            let mature =
                |(height, coin): &(u32, Coin)| coin.kind == kind && next - height >= MATURITY;
            if let Some(at) = self.purse.iter().position(mature) {
                return self.purse.remove(at).unwrap().1;
            }
            self.grow();
        }
    }

    /// A coin that is too young to be spent in the next block: its coinbase has this many blocks.
    pub(crate) fn young_coin(&self, depth: u32) -> Coin {
        let height = self.tip().height + 1 - depth;
        let found = self.purse.iter().find(|(at, _)| *at == height);
        found.unwrap().1.clone()
    }

    /// Takes coins back that were not spent after all.
    pub(crate) fn give_back(&mut self, coins: Vec<Coin>) {
        let mature = |coin| (0, coin);
        self.purse.extend(coins.into_iter().map(mature));
    }

    /// Whether a coin is there to be spent, by the simulated node.
    pub(crate) fn has(&self, coin: &Coin) -> bool {
        self.simnet.coin(&coin.outpoint).is_some()
    }

    /// Gives a block to both and the judge's reason, `None` if it accepted.
    #[track_caller]
    pub(crate) fn feed(&mut self, name: &str, block: &Block) -> Option<String> {
        self.feed_bytes(name, &consensus::serialize(block))
    }

    /// The same for bytes.
    #[track_caller]
    pub(crate) fn feed_bytes(&mut self, name: &str, bytes: &[u8]) -> Option<String> {
        if let Ok((header, _)) = consensus::deserialize_partial::<Header>(bytes)
            && let Some(parent) = self.spots.get(&header.prev_blockhash)
        {
            let spot = parent.after(&header);
            self.spots.insert(spot.hash, spot);
        }
        let now = u32::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let verdict = self.simnet.submit(bytes, now);
        let opinion = self.judge.judge(bytes);
        self.compared += 1;
        let (theirs, ours) = (self.judge.tip(), self.simnet.tip_hash());
        let parted = theirs.hash != ours;
        if parted || !agree(&opinion, &verdict) {
            self.differences.push(format!(
                "{name}: the judge says {}, the simulated node {verdict:?}{}, of {}",
                shown(&opinion),
                if parted { ", and the tips differ" } else { "" },
                shortened(bytes),
            ));
        }
        if parted {
            self.start_again();
        } else if opinion.accepted {
            self.agreed.push(bytes.to_vec());
            let (block, _) = consensus::deserialize_partial::<Block>(bytes).unwrap();
            let earned = coins(&block.txdata[0]);
            self.purse.extend(earned.map(|coin| (theirs.height, coin)));
        }
        opinion.reason
    }

    /// A block that must have this verdict from the judge.
    #[track_caller]
    pub(crate) fn case(&mut self, name: &str, block: &Block, expected: Option<&str>) {
        let reason = self.feed(name, block);
        assert_eq!(reason.as_deref(), expected, "{name}");
    }

    /// The test is over: fails if there was any difference.
    #[track_caller]
    pub(crate) fn part(self) {
        assert!(
            self.differences.is_empty(),
            "{} differences in {} blocks:\n{}",
            self.differences.len(),
            self.compared,
            self.differences.join("\n")
        );
    }

    /// Two new chains of the blocks that both accepted.
    fn start_again(&mut self) {
        (self.judge, self.simnet, _) = genesis();
        for bytes in &self.agreed {
            self.judge.judge(bytes);
            self.simnet.submit(bytes, u32::MAX);
        }
        assert_eq!(self.judge.tip().hash, self.simnet.tip_hash());
    }
}

fn genesis() -> (Judge, Chain, Spot) {
    let simnet = Chain::new(Params::regtest());
    let judge = Judge::open(|context| context.chain_type(ChainType::Regtest));
    let header = simnet.params().genesis().header;
    let spot = Spot {
        hash: header.block_hash(),
        height: 0,
        times: vec![header.time],
    };
    assert_eq!(judge.tip().hash, spot.hash);
    (judge, simnet, spot)
}

/// Whether both say the same, to the word. Of scripts there are two exceptions. One that the simulated
/// node does not run, and says so, may be refused by the judge for whatever is wrong with it. And
/// where several inputs are wrong, the judge names any of them, since it checks them on several
/// threads.
fn agree(opinion: &Opinion, verdict: &Verdict) -> bool {
    const SCRIPT: &str = "block-script-verify-flag-failed (";
    const NOT_RUN: &str = "block-script-verify-flag-failed (this node does not run such a script)";
    let judge = opinion.reason.as_deref();
    match verdict {
        Verdict::Undecodable => judge == Some("undecodable"),
        Verdict::Rejected(reject) => {
            let both_scripts = judge.is_some_and(|reason| reason.starts_with(SCRIPT))
                && reject.reason.starts_with(SCRIPT);
            let same_detail = opinion.detail == reject.detail;
            if both_scripts && (reject.reason == NOT_RUN || !same_detail) {
                return true;
            }
            judge == Some(&reject.reason) && same_detail
        }
        verdict => judge == verdict.reason(),
    }
}

fn shown(opinion: &Opinion) -> String {
    match &opinion.reason {
        None => "nothing against it".to_owned(),
        Some(reason) if opinion.detail.is_empty() => format!("{reason:?}"),
        Some(reason) => format!("{reason:?} ({})", opinion.detail),
    }
}

fn shortened(bytes: &[u8]) -> String {
    let shown = hex::encode(&bytes[..bytes.len().min(300)]);
    format!("{} bytes {shown}", bytes.len())
}
