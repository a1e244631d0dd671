//! Whether a daemon may be mined with: the right chain, all of it, with peers, and of a version
//! that is safe. A pure rule over what the daemon told.
//!
//! Asked by [`follow`](super::follow) whenever it learns something. An [`Unfit`] is told to the
//! operator as it is.

use std::time::Duration;

use mining::{
    Coin, Network,
    coin::{COINS, NetworkRules},
};
use pow::Hash;

use super::reply::{ChainInfo, NetworkInfo};

/// What a daemon must be.
#[derive(Debug)]
pub(super) struct Expected {
    coin: &'static Coin,
    rules: &'static NetworkRules,
    min_peers: u32,
}

/// What it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) chain: &'a ChainInfo,
    pub(super) network: &'a NetworkInfo,
    pub(super) genesis: Hash,
    /// How long its headers have been ahead of its blocks.
    pub(super) behind_headers: Duration,
    /// The time of its tip, once known.
    pub(super) tip_time: Option<u32>,
    /// By its own clock, if that is known.
    pub(super) now: u32,
}

/// Why not to mine with a daemon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it is on the chain {actual:?}, not on {expected:?}")]
    Chain {
        actual: String,
        expected: &'static str,
    },
    #[error("its first block is {actual}, which is not {coin}'s")]
    Genesis { actual: Hash, coin: &'static str },
    #[error(
        "its first block is {actual}, the database is of the chain that begins with {expected}"
    )]
    OtherDatabase { actual: Hash, expected: Hash },
    #[error("it is in initial download, at block {blocks} of {headers}")]
    InitialDownload { blocks: u32, headers: u32 },
    #[error("it has the headers up to {headers} but the blocks only up to {blocks}")]
    BehindHeaders { blocks: u32, headers: u32 },
    #[error(
        "it tells strangers neither its version nor its peers (--restricted-rpc); give the pool a port \
         that is not restricted"
    )]
    Restricted,
    #[error("it has {actual} peers, not {min}")]
    Peers { actual: u32, min: u32 },
    #[error("its tip is {minutes} minutes old")]
    OldTip { minutes: u32 },
    #[error("version {version} is not safe: {reason}")]
    Version { version: u64, reason: &'static str },
}

/// Blocks a minute apart can come with their headers first; more is a daemon that catches up.
const HEADERS_AHEAD: u32 = 1;

/// How long headers may be ahead: a block takes a second or two to fetch and connect.
const CATCHING_UP: Duration = Duration::from_secs(10);

/// A tip older than so many times the usual distance of blocks is not believed: of chains with
/// their whole hashrate, one gap in 500 million is that long.
const TIP_AGE_IN_BLOCKS: u32 = 20;

/// A tip of that age makes Core think itself in initial download, which a chain of one's own may be.
const DAY_S: u32 = 24 * 60 * 60;

impl Expected {
    pub(super) fn new(
        coin: &'static Coin,
        rules: &'static NetworkRules,
        min_peers: Option<u32>,
    ) -> Self {
        let usual = u32::from(rules.network != Network::Regtest);
        Self {
            coin,
            rules,
            min_peers: min_peers.unwrap_or(usual),
        }
    }

    /// The first reason not to mine with it.
    pub(super) fn check(&self, facts: Facts<'_>) -> Result<(), Unfit> {
        let (blocks, headers) = (facts.chain.blocks, facts.chain.headers);
        let own_network = self.rules.network == Network::Regtest;
        let tip_age = facts.tip_time.map(|time| facts.now.saturating_sub(time));
        if facts.chain.chain != self.rules.chain {
            let actual = super::rpc::cut(&facts.chain.chain);
            return Err(Unfit::Chain {
                actual,
                expected: self.rules.chain,
            });
        }
        let is_another_chain = match self.rules.genesis {
            Some(first) => first != facts.genesis,
            // Whoever shares its beginning with another coin says so.
            None => !own_network && is_of_the_table(facts.genesis),
        };
        if is_another_chain {
            return Err(Unfit::Genesis {
                actual: facts.genesis,
                coin: self.coin.name,
            });
        }
        // A chain of one's own that rests for a day counts as not downloaded; its next block ends that.
        let rests = own_network && blocks == headers && tip_age.is_none_or(|age| age >= DAY_S);
        if facts.chain.initial_download && !rests {
            return Err(Unfit::InitialDownload { blocks, headers });
        }
        if is_behind_headers(facts.chain) && facts.behind_headers >= CATCHING_UP {
            return Err(Unfit::BehindHeaders { blocks, headers });
        }
        if facts.network.restricted && !own_network {
            return Err(Unfit::Restricted);
        }
        let peers = facts.network.connections;
        if peers < self.min_peers {
            return Err(Unfit::Peers {
                actual: peers,
                min: self.min_peers,
            });
        }
        if own_network {
            return Ok(());
        }
        if let Some(age) = tip_age
            && age >= self.coin.spacing_s.saturating_mul(TIP_AGE_IN_BLOCKS)
        {
            return Err(Unfit::OldTip { minutes: age / 60 });
        }
        let version = facts.network.version;
        match self
            .coin
            .unsafe_versions
            .iter()
            .find(|row| version < row.below)
        {
            Some(row) => Err(Unfit::Version {
                version,
                reason: row.reason,
            }),
            None => Ok(()),
        }
    }
}

/// Whether a coin of the table begins with this block.
fn is_of_the_table(genesis: Hash) -> bool {
    let networks = COINS.iter().flat_map(|coin| coin.networks);
    let mut known = networks.filter_map(|rules| rules.genesis);
    known.any(|first| first == genesis)
}

/// Whether it knows of blocks that it does not have.
pub(super) fn is_behind_headers(chain: &ChainInfo) -> bool {
    chain.headers.saturating_sub(chain.blocks) > HEADERS_AHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_800_000_000;

    struct Case {
        network: Network,
        chain: ChainInfo,
        info: NetworkInfo,
        genesis: Hash,
        behind: Duration,
        tip_time: Option<u32>,
    }

    fn first_block(coin: &str) -> Hash {
        let coin: &Coin = coin.parse().unwrap();
        coin.on(Network::Main).unwrap().genesis.unwrap()
    }

    fn good() -> Case {
        Case {
            network: Network::Main,
            chain: ChainInfo {
                chain: "main".into(),
                blocks: 900_000,
                headers: 900_000,
                best: Hash([1; 32]),
                initial_download: false,
            },
            info: NetworkInfo {
                version: 280_000,
                connections: 8,
                restricted: false,
            },
            genesis: first_block("bitcoin"),
            behind: Duration::ZERO,
            tip_time: Some(NOW - 600),
        }
    }

    fn check(case: &Case) -> Result<(), Unfit> {
        let coin: &'static Coin = "bitcoin".parse().unwrap();
        Expected::new(coin, coin.on(case.network).unwrap(), None).check(Facts {
            chain: &case.chain,
            network: &case.info,
            genesis: case.genesis,
            behind_headers: case.behind,
            tip_time: case.tip_time,
            now: NOW,
        })
    }

    #[test]
    fn each_reason_is_told() {
        #[track_caller]
        fn case(change: impl FnOnce(&mut Case), expected: &str) {
            let mut case = good();
            change(&mut case);
            assert_eq!(check(&case).unwrap_err().to_string(), expected);
        }
        assert_eq!(check(&good()), Ok(()));
        case(
            |c| c.chain.chain = "regtest".into(),
            "it is on the chain \"regtest\", not on \"main\"",
        );
        case(
            |c| c.genesis = first_block("litecoin"),
            &format!(
                "its first block is {}, which is not bitcoin's",
                first_block("litecoin")
            ),
        );
        case(
            |c| {
                c.chain.initial_download = true;
                c.chain.blocks = 1;
            },
            "it is in initial download, at block 1 of 900000",
        );
        case(
            |c| {
                c.chain.headers += 2;
                c.behind = CATCHING_UP;
            },
            "it has the headers up to 900002 but the blocks only up to 900000",
        );
        case(|c| c.info.connections = 0, "it has 0 peers, not 1");
        case(
            |c| c.info.restricted = true,
            "it tells strangers neither its version nor its peers (--restricted-rpc); give the pool a \
             port that is not restricted",
        );
        case(
            |c| c.tip_time = Some(NOW - 12_000),
            "its tip is 200 minutes old",
        );
        case(
            |c| c.info.version = 240_200,
            "version 240200 is not safe: any peer can crash it (CVE-2024-35202, fixed in 25.0)",
        );
    }

    #[test]
    fn what_happens_with_every_block_is_no_reason() {
        let mut case = good();
        case.chain.headers += 1;
        case.behind = CATCHING_UP;
        assert_eq!(check(&case), Ok(()));
        case.chain.headers += 5;
        case.behind = Duration::from_secs(1);
        assert_eq!(check(&case), Ok(()));
        case.tip_time = Some(NOW + 7200);
        assert_eq!(check(&case), Ok(()));
    }

    #[test]
    fn a_chain_whose_first_block_nobody_told_is_not_that_of_a_coin_of_the_table() {
        let mut case = good();
        case.network = Network::Test;
        case.chain.chain = "test".into();
        case.genesis = Hash([7; 32]);
        assert_eq!(check(&case), Ok(()));
        for coin in ["bitcoin", "litecoin", "monero"] {
            case.genesis = first_block(coin);
            let told = check(&case).unwrap_err().to_string();
            assert!(told.contains("which is not bitcoin's"), "{told}");
        }
    }

    #[test]
    fn a_chain_of_ones_own_may_rest_and_needs_no_peers() {
        let mut case = good();
        case.network = Network::Regtest;
        case.chain.chain = "regtest".into();
        case.info.connections = 0;
        case.info.restricted = true;
        case.info.version = 210_201;
        case.genesis = Hash([7; 32]);
        case.chain.initial_download = true;
        case.tip_time = Some(NOW - DAY_S);
        assert_eq!(check(&case), Ok(()));
        case.tip_time = Some(NOW - 60);
        assert!(matches!(check(&case), Err(Unfit::InitialDownload { .. })));
    }
}
