//! The coinbase as a miner sees it: read by the rules of AxeOS, which shows it to its owner, and
//! measured against what each kind of device has room for.

use serde_json::json;

use crate::support::{ADDRESS, DEVICES, FIXED_DIFFICULTY, Miner, Node, Rig};

/// What devices call themselves, with the most bytes that their coinbase may have.
const BUDGETS: [(&str, usize); 29] = [
    ("NiceHash/1.0.0", 500),
    ("MiningRigRentals/1.0", 500),
    ("NerdMinerV2/1.8.3", 700),
    ("HAN_SOLOminer/1", 700),
    ("LeafMiner/1", 700),
    ("NMMiner/1", 700),
    ("SparkMiner/1", 700),
    ("cgminer/4.12.1", 730),
    ("bmminer/2.0.0", 730),
    ("Antminer S19 Pro/1", 730),
    ("unheard-of/1", 730),
    ("", 730),
    ("Antminer S21/1", 2_250),
    ("bosminer-plus-tuner 22.08", 2_250),
    ("LUXminer 2024.1", 2_250),
    ("whatsminer/v1.1", 6_500),
    ("bitaxe/BM1370/v2.13.0", 6_500),
    ("bitaxe/BM1397/v2.9", 6_500),
    ("NerdNOS/1", 6_500),
    ("NerdAxe/1", 6_500),
    ("0xAxe/1", 6_500),
    ("PiAxe/1", 6_500),
    ("QAxe/1", 6_500),
    ("NerdQAxe++/BM1370/v1.0.36", 6_500),
    ("NerdOCTAXE/1", 6_500),
    ("NerdEKO/1", 6_500),
    ("cpuminer/2.5.1", 6_500),
    ("xminer-1.2.6", 16_000),
    ("PowerPlay-BM/1", 16_000),
];

/// A regtest subsidy before its first halving.
const SUBSIDY: u64 = 5_000_000_000;
/// The script of [`ADDRESS`], whom the pool under test pays.
const SCRIPT: &str = "0014751e76e8199196d454941c45d1b3a323f1433bd6";
/// Up to here a height is one opcode, which AxeOS takes for a length.
const OPCODE_HEIGHTS: u32 = 16;
/// How the output begins that commits to the witnesses (BIP 141).
const COMMITMENT: &str = "6a24aa21a9ed";

/// What AxeOS shows of a coinbase.
#[derive(Debug, PartialEq)]
struct Shown {
    size: usize,
    script_size: usize,
    height: u32,
    /// What stands between the height and the extranonces.
    tag: Vec<u8>,
    sequence: u32,
    outputs: Vec<(u64, String)>,
    lock_time: u32,
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn number(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn count(&mut self) -> usize {
        let first = self.byte();
        match first {
            0xfd => u16::from_le_bytes(self.take(2).try_into().unwrap()).into(),
            0xfe | 0xff => panic!("no coinbase counts so far"),
            _ => first.into(),
        }
    }
}

/// Reads both halves of a job's coinbase as AxeOS does: one input, a script whose length is one
/// byte, and in it first the height, pushed with 1 to 4 bytes.
fn shown(miner: &Miner) -> Shown {
    let work = &miner.job.as_ref().unwrap().work;
    let between = miner.extranonce1.len() + miner.extranonce2_size;
    let size = work.coinbase1.len() + between + work.coinbase2.len();
    let mut first = Bytes(&work.coinbase1);
    let version = first.number();
    assert!(version == 1 || version == 2, "{version}");
    assert_eq!(first.byte(), 1, "one input, and no witness marker");
    assert_eq!(first.take(32), [0; 32]);
    assert_eq!(first.number(), u32::MAX);
    let script_size = usize::from(first.byte());
    let script_start = first.0.len();
    let pushed = usize::from(first.byte());
    assert!((1..=4).contains(&pushed), "{pushed} bytes of height");
    let mut height = [0; 4];
    height[..pushed].copy_from_slice(first.take(pushed));
    let tag = first.0.to_vec();
    let mut second = Bytes(&work.coinbase2);
    second.take(script_size - script_start - between);
    let sequence = second.number();
    let outputs = (0..second.count())
        .map(|_| {
            let value = u64::from_le_bytes(second.take(8).try_into().unwrap());
            let script = second.count();
            (value, hex::encode(second.take(script)))
        })
        .collect();
    let lock_time = second.number();
    assert!(second.0.is_empty(), "bytes behind the locktime");
    Shown {
        size,
        script_size,
        height: u32::from_le_bytes(height),
        tag,
        sequence,
        outputs,
        lock_time,
    }
}

/// A device with its first job.
fn device(rig: &Rig, agent: &str) -> Miner {
    let mut miner = Miner::connect(rig.pool.miners);
    miner.configure();
    miner.subscribe(agent);
    let answer = miner.ask("mining.authorize", json!([format!("{ADDRESS}.test"), "x"]));
    assert_eq!(answer["result"], true, "{agent}");
    while miner.job.is_none() {
        miner.hear();
    }
    miner
}

#[test]
fn every_device_gets_a_coinbase_that_it_has_room_for_and_axeos_can_read() {
    let rig = Rig::of("", FIXED_DIFFICULTY, Node::regtest);
    // Above 127 a height has two bytes.
    for height in [OPCODE_HEIGHTS + 1, 130] {
        rig.mine_up_to(height - 1);
        for (agent, budget) in BUDGETS {
            let shown = shown(&device(&rig, agent));
            assert_eq!(shown.height, height, "{agent}");
            assert!(shown.size <= budget, "{agent}: {} bytes", shown.size);
            assert!(shown.script_size <= 100, "{agent}: {shown:?}");
            assert_eq!(shown.lock_time, height - 1, "BIP 54: {agent}");
            assert_ne!(shown.sequence, u32::MAX, "BIP 54: {agent}");
            let tag = String::from_utf8_lossy(&shown.tag);
            assert!(tag.contains("/adit/"), "{agent}: {tag:?}");
            let (value, script) = &shown.outputs[0];
            assert_eq!((*value, script.as_str()), (SUBSIDY, SCRIPT), "{agent}");
            let (value, script) = shown.outputs.last().unwrap();
            assert_eq!(*value, 0, "{agent}");
            assert!(script.starts_with(COMMITMENT), "{agent}: {script}");
            let sum: u64 = shown.outputs.iter().map(|(value, _)| value).sum();
            assert_eq!(sum, SUBSIDY, "{agent}");
        }
    }
}

#[test]
fn a_block_of_every_device_has_the_coinbase_that_the_device_was_shown() {
    let rig = Rig::of("", FIXED_DIFFICULTY, Node::regtest);
    rig.mine_up_to(OPCODE_HEIGHTS);
    for agent in DEVICES {
        let height = rig.node.rpc.height() + 1;
        let mut miner = device(&rig, agent);
        let job = miner.job.clone().unwrap();
        let target = mining::Target::from_compact(job.work.bits).unwrap();
        let bits = 0x0aaa_a000;
        let solution = miner.solve(7, Some(bits), |hash| target.is_met_by(hash));
        assert_eq!(miner.submit(&solution)["result"], true, "{agent}");
        rig.wait_for_height(height);
        let hash = rig.node.rpc.call("getblockhash", json!([height]));
        assert_eq!(hash, solution.hash.to_string(), "{agent}");
        let block = rig.node.rpc.call("getblock", json!([hash, 2]));
        assert_eq!(block["nonce"], solution.nonce, "{agent}");
        let version = block["version"].as_u64().unwrap();
        assert_eq!(version, u64::from(job.work.version | bits), "{agent}");
        let outputs = block["tx"][0]["vout"].as_array().unwrap();
        let scripts: Vec<_> = outputs
            .iter()
            .map(|output| output["scriptPubKey"]["hex"].as_str().unwrap().to_owned())
            .collect();
        // A newer one may have come with the answer.
        miner.job = Some(job);
        let shown = shown(&miner);
        let expected: Vec<_> = shown
            .outputs
            .into_iter()
            .map(|(_, script)| script)
            .collect();
        assert_eq!(scripts, expected, "{agent}");
        let commitments = scripts.iter().filter(|s| s.starts_with(COMMITMENT)).count();
        assert_eq!(commitments, 1, "{agent}");
    }
}
