//! The replies of Monero's daemon, as far as they are read, and what they mean in terms of
//! [`reply`](super::super::reply). Keys that are not here are passed over; a number that does not fit its
//! type is an error and never rounded.

use std::borrow::Cow;

use pow::Hash;
use serde::Deserialize;

use crate::daemon::{
    reply::{ChainInfo, Header as CoreHeader, NetworkInfo},
    rpc::{CallError, Dialect, cut},
};

/// What is said in each answer.
#[derive(Debug, Deserialize)]
pub(super) struct Standing {
    /// `OK`, `BUSY`, or why not in words.
    status: String,
    /// Whether it passes on what another daemon says (`--bootstrap-daemon-address`).
    #[serde(default)]
    untrusted: bool,
}

/// `get_info`.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    /// Number of blocks in the chain.
    height: u64,
    /// The same of the chain that it fetches; zero or old once it has it.
    #[serde(default)]
    target_height: u64,
    /// The tip.
    top_block_hash: Hash,
    /// `mainnet`, `stagenet`, `testnet` or `fakechain`.
    nettype: String,
    /// Whether it has the whole chain, as far as it knows.
    synchronized: bool,
    /// Whether it adds a batch of blocks.
    #[serde(default)]
    busy_syncing: bool,
    /// Whether it does not tell strangers everything: version and peers are missing.
    #[serde(default)]
    restricted: bool,
    #[serde(default)]
    incoming_connections_count: u64,
    #[serde(default)]
    outgoing_connections_count: u64,
    #[serde(default)]
    version: String,
}

/// `get_block_header_by_hash`.
#[derive(Debug, Deserialize)]
pub(super) struct HeaderOf {
    pub(super) block_header: Header,
}

/// A header.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    /// The block's id.
    pub(super) hash: Hash,
    height: u64,
    /// How many blocks the tip is above it.
    depth: u64,
    /// Whether it is beside the chain.
    orphan_status: bool,
    timestamp: u64,
    prev_hash: Hash,
}

/// `get_block_template`, borrowed from the reply.
#[derive(Debug, Deserialize)]
pub(super) struct BlockTemplate<'a> {
    /// The block.
    #[serde(borrow)]
    pub(super) blocktemplate_blob: Cow<'a, str>,
    /// What its hash is made of.
    #[serde(borrow)]
    pub(super) blockhashing_blob: Cow<'a, str>,
    /// Where the reserve begins.
    pub(super) reserved_offset: u64,
    /// The height of the block.
    pub(super) height: u64,
    /// The tip.
    pub(super) prev_hash: Hash,
    /// New coins and fees.
    pub(super) expected_reward: u64,
    /// The lower 64 bits of the difficulty.
    pub(super) difficulty: u64,
    /// Those above.
    #[serde(default)]
    pub(super) difficulty_top64: u64,
    /// All of them, in hexadecimal.
    #[serde(default, borrow)]
    pub(super) wide_difficulty: Option<Cow<'a, str>>,
    /// Whose id the key is.
    pub(super) seed_height: u64,
    /// The key.
    pub(super) seed_hash: Hash,
    /// The next one; empty as long as there is none.
    #[serde(default, borrow)]
    pub(super) next_seed_hash: Cow<'a, str>,
}

/// "Core is busy".
const CORE_BUSY: i64 = -9;

/// Blocks that may be on their way with a usual new tip.
const AHEAD: u64 = 1;

/// The parts of a version: `0.18.4.2`.
const VERSION_PARTS: usize = 4;

/// The result in a reply, if its status is good.
pub(super) fn result<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, CallError> {
    // What goes with another status is empty, and few results can be read from that.
    Dialect::Monero.parse::<Standing>(body)?.check()?;
    Dialect::Monero.parse(body)
}

/// What an error means that this daemon told by its number.
pub(super) fn told(failure: CallError) -> CallError {
    match failure {
        CallError::Rpc {
            code: CORE_BUSY,
            message,
        } => CallError::InitialDownload(message),
        other => other,
    }
}

/// What a status means, if it is none of success.
pub(super) fn failure(status: &str) -> Option<CallError> {
    match status {
        "OK" => None,
        "BUSY" => Some(CallError::InitialDownload("Core is busy".to_owned())),
        other => Some(CallError::Status(cut(other))),
    }
}

impl Standing {
    pub(super) fn check(&self) -> Result<(), CallError> {
        if let Some(failure) = failure(&self.status) {
            return Err(failure);
        }
        if self.untrusted {
            let told = "it passes on what another daemon says";
            return Err(CallError::InitialDownload(told.to_owned()));
        }
        Ok(())
    }
}

impl Info {
    pub(super) fn chain(&self) -> Result<ChainInfo, CallError> {
        let blocks = self
            .height
            .checked_sub(1)
            .ok_or_else(|| CallError::Malformed("a chain without a block".to_owned()))?;
        let headers = blocks.max(self.target_height.saturating_sub(1));
        // While it adds a batch it may call itself synchronized, by an older target.
        let catches_up = self.busy_syncing && headers > blocks + AHEAD;
        Ok(ChainInfo {
            chain: self.nettype.clone(),
            blocks: height(blocks)?,
            headers: height(headers)?,
            best: self.top_block_hash,
            initial_download: !self.synchronized || catches_up,
        })
    }

    /// `monerod 0.18.4.2`, without the version if it is not told.
    pub(super) fn agent(&self) -> String {
        let version = self.version.split('-').next().unwrap_or_default();
        format!("monerod {version}").trim_end().to_owned()
    }

    pub(super) fn network(&self) -> Result<NetworkInfo, CallError> {
        // The daemon takes the second count from that of all, a moment after: the first may be below zero, and
        // their sum is right.
        let connections = self
            .incoming_connections_count
            .wrapping_add(self.outgoing_connections_count);
        Ok(NetworkInfo {
            version: match self.restricted {
                true => 0,
                false => version(&self.version)?,
            },
            connections: u32::try_from(connections).unwrap_or(u32::MAX),
            restricted: self.restricted,
        })
    }
}

impl Header {
    pub(super) fn header(&self) -> Result<CoreHeader, CallError> {
        let time = u32::try_from(self.timestamp)
            .map_err(|_| CallError::Malformed(format!("a block's time of {}", self.timestamp)))?;
        let confirmations = if self.orphan_status {
            -1
        } else {
            i64::from(height(self.depth)?) + 1
        };
        Ok(CoreHeader {
            hash: self.hash,
            confirmations,
            height: height(self.height)?,
            time,
            median_time: time,
            bits: String::new(),
            previous: (self.prev_hash != Hash::default()).then_some(self.prev_hash),
        })
    }
}

/// Monero's heights have 64 bits there and 32 here.
pub(super) fn height(told: u64) -> Result<u32, CallError> {
    u32::try_from(told).map_err(|_| CallError::Malformed(format!("a height of {told}")))
}

/// A version as a number with two digits for each part: `0.18.4.2-release` is 18 04 02, 180402. Between
/// versions it compares as they do.
fn version(told: &str) -> Result<u64, CallError> {
    let numbers = told.split_once('-').map_or(told, |(numbers, _)| numbers);
    let (mut version, mut count) = (0, 0);
    for part in numbers.split('.') {
        let is_number = !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        let part = part
            .parse::<u64>()
            .ok()
            .filter(|part| is_number && *part < 100);
        match part {
            Some(part) if count < VERSION_PARTS => version = version * 100 + part,
            _ => return Err(no_version(told)),
        }
        count += 1;
    }
    if count == VERSION_PARTS {
        Ok(version)
    } else {
        Err(no_version(told))
    }
}

fn no_version(told: &str) -> CallError {
    CallError::Malformed(format!("the version {:?}", cut(told)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn info(change: impl FnOnce(&mut Value)) -> Result<Info, CallError> {
        let mut info = json!({
            "status": "OK", "untrusted": false, "height": 101, "target_height": 0,
            "top_block_hash": Hash([7; 32]), "nettype": "mainnet", "synchronized": true,
            "busy_syncing": false, "restricted": false, "incoming_connections_count": 3,
            "outgoing_connections_count": 8, "version": "0.18.4.2-release",
        });
        change(&mut info);
        let body = json!({ "id": 0, "jsonrpc": "2.0", "result": info }).to_string();
        result(body.as_bytes())
    }

    #[test]
    fn heights_are_those_of_blocks_and_not_their_number() {
        let chain = info(|_| {}).unwrap().chain().unwrap();
        assert_eq!((chain.blocks, chain.headers), (100, 100));
        assert_eq!(
            (chain.best, chain.chain.as_str()),
            (Hash([7; 32]), "mainnet")
        );
        assert!(!chain.initial_download);
        let behind = info(|info| info["target_height"] = json!(151)).unwrap();
        let chain = behind.chain().unwrap();
        assert_eq!((chain.blocks, chain.headers), (100, 150));
        assert!(
            info(|info| info["height"] = json!(0))
                .unwrap()
                .chain()
                .is_err()
        );
        let many = info(|info| info["height"] = json!(1u64 << 33)).unwrap();
        assert!(many.chain().is_err());
    }

    #[test]
    fn a_daemon_that_fetches_the_chain_says_so_in_several_ways() {
        let fetches = |change: fn(&mut Value)| info(change).unwrap().chain().unwrap();
        assert!(fetches(|info| info["synchronized"] = json!(false)).initial_download);
        let batch = |target: u64| {
            move |info: &mut Value| {
                info["busy_syncing"] = json!(true);
                info["target_height"] = json!(target);
            }
        };
        for (target, expected) in [(0, false), (102, false), (103, true)] {
            let chain = info(batch(target)).unwrap().chain().unwrap();
            assert_eq!(chain.initial_download, expected, "{target}");
        }
        let busy = info(|info| *info = json!({ "status": "BUSY", "untrusted": false }));
        assert!(matches!(busy, Err(CallError::InitialDownload(_))));
        let passed_on = info(|info| info["untrusted"] = json!(true));
        assert!(matches!(passed_on, Err(CallError::InitialDownload(_))));
        let failed = info(|info| info["status"] = json!("Failed\nto"));
        assert_eq!(failed.unwrap_err(), CallError::Status("Failed to".into()));
        let core_busy = CallError::Rpc {
            code: -9,
            message: "Core is busy".into(),
        };
        assert!(matches!(told(core_busy), CallError::InitialDownload(_)));
    }

    #[test]
    fn a_version_is_a_number_that_compares_as_versions_do() {
        #[track_caller]
        fn case(text: &str, expected: Option<u64>) {
            assert_eq!(version(text).ok(), expected, "{text}");
        }
        case("0.18.4.2-release", Some(180_402));
        case("0.18.0.0-unknown", Some(180_000));
        case("0.18.3.10-abcdef-1", Some(180_310));
        case("1.0.0.1", Some(1_000_001));
        for text in [
            "",
            "0.18.4",
            "0.18.4.2.1",
            "0.18.4.100",
            "0.18.4.+2",
            "0.18..2",
            "v0.18.4.2",
        ] {
            case(text, None);
        }
    }

    #[test]
    fn what_a_restricted_daemon_leaves_out_is_not_zero_peers_of_an_old_version() {
        let restricted = info(|info| {
            info["restricted"] = json!(true);
            info["version"] = json!("");
            info["incoming_connections_count"] = json!(0);
            info["outgoing_connections_count"] = json!(0);
        });
        let restricted = restricted.unwrap();
        assert!(restricted.network().unwrap().restricted);
        assert_eq!(restricted.agent(), "monerod");
        assert_eq!(info(|_| {}).unwrap().agent(), "monerod 0.18.4.2");
        let network = info(|_| {}).unwrap().network().unwrap();
        assert_eq!((network.version, network.connections), (180_402, 11));
        let one_less = info(|info| info["incoming_connections_count"] = json!(u64::MAX));
        assert_eq!(one_less.unwrap().network().unwrap().connections, 7);
        assert!(!network.restricted);
        assert!(
            info(|info| info["version"] = json!(""))
                .unwrap()
                .network()
                .is_err()
        );
    }

    #[test]
    fn a_header_tells_how_deep_its_block_is_or_that_it_is_beside_the_chain() {
        let header = |change: fn(&mut Value)| {
            let mut header = json!({
                "hash": Hash([1; 32]), "height": 5, "depth": 2, "orphan_status": false,
                "timestamp": 1_800_000_000u64, "prev_hash": Hash([2; 32]),
            });
            change(&mut header);
            serde_json::from_value::<Header>(header).unwrap().header()
        };
        let read = header(|_| {}).unwrap();
        assert_eq!((read.height, read.confirmations), (5, 3));
        assert_eq!(
            (read.time, read.previous),
            (1_800_000_000, Some(Hash([2; 32])))
        );
        let beside = header(|header| header["orphan_status"] = json!(true));
        assert_eq!(beside.unwrap().confirmations, -1);
        assert!(header(|header| header["timestamp"] = json!(1u64 << 32)).is_err());
        assert!(header(|header| header["height"] = json!(1u64 << 32)).is_err());
        let first = header(|header| header["prev_hash"] = json!(Hash::default()));
        assert_eq!(first.unwrap().previous, None);
    }
}
