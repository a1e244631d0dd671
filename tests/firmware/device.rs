//! The difficulty that a device begins at, known by what it calls itself.

use serde_json::json;

use crate::support::{ADDRESS, Miner, Rig};

/// As an operator has it by default, with room upwards and downwards.
const DEFAULT: &str = "start_difficulty = 1024
min_difficulty = 0.000001
max_difficulty = 1073741824
share_time_s = 3600
";

/// The least that NiceHash mines at with sha256d; with less, its test of a pool fails.
const NICEHASH_MIN: f64 = 524_288.0;

/// The first difficulty after these wishes, which stand before the authorization.
fn first_difficulty(rig: &Rig, agent: &str, wishes: &[f64]) -> f64 {
    let mut miner = Miner::connect(rig.pool.miners);
    miner.subscribe(agent);
    for wish in wishes {
        miner.ask("mining.suggest_difficulty", json!([wish]));
    }
    let answer = miner.ask("mining.authorize", json!([ADDRESS, "x"]));
    assert_eq!(answer["result"], true, "{agent}: {answer}");
    while miner.job.is_none() {
        miner.hear();
    }
    miner.difficulty.expect("it comes before the job")
}

#[test]
fn a_wish_is_granted_within_the_listeners_limits() {
    let rig = Rig::heavy(DEFAULT);
    for (wish, expected) in [
        (0.00015, 0.00015),
        (4000.0, 4000.0),
        (1e-9, 0.000_001),
        (1e12, 1_073_741_824.0),
    ] {
        let given = first_difficulty(&rig, "NerdMinerV2/1.8.3", &[wish]);
        assert!((given / expected - 1.0).abs() < 1e-3, "{wish}: {given}");
    }
    let narrow = Rig::heavy("start_difficulty = 8\nmin_difficulty = 8\nmax_difficulty = 8\n");
    for agent in ["NerdMinerV2/1.8.3", "NiceHash/1.0.0", "Antminer S21/1", "x"] {
        let given = first_difficulty(&narrow, agent, &[1_000_000.0]);
        assert!((given - 8.0).abs() < 1e-9, "{agent}: {given}");
    }
}

#[test]
fn a_device_begins_at_a_difficulty_that_suits_it() {
    let rig = Rig::heavy(DEFAULT);
    for (agent, least, most) in [
        ("NerdMinerV2/1.8.3", 0.000_1, 0.001),
        ("HAN_SOLOminer/1", 0.000_1, 0.001),
        ("LeafMiner/1", 0.000_1, 0.001),
        ("NMMiner/1", 0.000_1, 0.001),
        ("SparkMiner/1", 0.000_1, 0.001),
        ("cpuminer/2.5.1", 0.001, 1.0),
        ("NerdNOS/1", 256.0, 512.0),
        ("bitaxe/BM1397/v2.9", 256.0, 512.0),
        ("bitaxe/BM1370/v2.13.0", 1_000.0, 2_000.0),
        ("NerdAxe/1", 1_000.0, 2_000.0),
        ("0xAxe/1", 1_000.0, 2_000.0),
        ("PiAxe/1", 1_000.0, 2_000.0),
        ("QAxe/1", 1_000.0, 2_000.0),
        ("NerdQAxe++/BM1370/v1.0.36", 4_000.0, 10_000.0),
        ("NerdOCTAXE/1", 4_000.0, 10_000.0),
        ("NerdEKO/1", 4_000.0, 10_000.0),
        ("cgminer/4.12.1", 8_000.0, 16_384.0),
        ("Antminer S21/1", 262_144.0, 1_000_000.0),
        ("whatsminer/v1.1", 262_144.0, 1_000_000.0),
        ("bosminer-plus-tuner 22.08", 262_144.0, 1_000_000.0),
        ("LUXminer 2024.1", 262_144.0, 1_000_000.0),
        ("xminer-1.2.6", 262_144.0, 1_000_000.0),
        ("PowerPlay-BM/1", 262_144.0, 1_000_000.0),
        ("NiceHash/1.0.0", NICEHASH_MIN, 1_048_576.0),
        ("MiningRigRentals/1.0", NICEHASH_MIN, 1_048_576.0),
        ("unheard-of/1", 1_024.0, 1_024.0),
    ] {
        let given = first_difficulty(&rig, agent, &[]);
        assert!((least..=most).contains(&given), "{agent}: {given}");
    }
}

#[test]
fn nicehash_never_gets_less_than_it_mines_at() {
    let rig = Rig::heavy(DEFAULT);
    for wishes in [&[][..], &[1.0], &[1_000_000.0, 0.001]] {
        let given = first_difficulty(&rig, "NiceHash/1.0.0", wishes);
        assert!(given >= NICEHASH_MIN, "{wishes:?}: {given}");
    }
}
