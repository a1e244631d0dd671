//! Single fields of a share that lie: version bits, times, job ids.

use serde_json::json;

use super::{RARE_SHARES, Rig};
use crate::support::{ADDRESS, Miner, assert_rejected};

#[test]
fn a23_version_bits_outside_the_mask() {
    let rig = Rig::simnet();
    let mut agreed = rig.miner();
    let target = agreed.target();
    let mut good = 0;
    for bits in [0x2000, 0x1fff_e000, 0x0400_0000, 0] {
        let share = agreed.solve(bits.into(), Some(bits), |hash| target.is_met_by(hash));
        assert_eq!(agreed.submit(&share)["result"], true, "{bits:08x}");
        good += 1;
    }
    // More often than lines without sense would be forgiven.
    for round in 0..4 {
        for bits in [0x2000_0000, 0x0000_1000, 0x8000_0000, 0x4000_0000, u32::MAX] {
            let share = agreed.solve(100 + round, Some(bits), |hash| target.is_met_by(hash));
            assert_rejected(&agreed.submit(&share), 20, "Invalid version mask");
        }
    }
    assert_eq!(rig.stored(), good);

    // Who asked for less may roll less.
    let mut modest = Miner::connect(rig.pool.miners);
    let options = json!({"version-rolling.mask": "00006fff"});
    let granted = modest.ask("mining.configure", json!([["version-rolling"], options]));
    assert_eq!(granted["result"]["version-rolling.mask"], "00006000");
    modest.log_in(&format!("{ADDRESS}.test"));
    let share = modest.solve(1, Some(0x6000), |hash| target.is_met_by(hash));
    assert_eq!(modest.submit(&share)["result"], true);
    let share = modest.solve(2, Some(0x8000), |hash| target.is_met_by(hash));
    assert_rejected(&modest.submit(&share), 20, "Invalid version mask");

    // Who did not ask may not roll at all.
    let mut plain = Miner::connect(rig.pool.miners);
    plain.log_in(&format!("{ADDRESS}.test"));
    for bits in [0x2000, 0x1fff_e000, 0x2000_0000] {
        let share = plain.solve(1, Some(bits), |hash| target.is_met_by(hash));
        assert_rejected(&plain.submit(&share), 20, "Invalid version mask");
    }
    let share = plain.share(2);
    assert_eq!(plain.submit(&share)["result"], true);
    assert_eq!(rig.stored(), good + 2);
}

#[test]
fn a24_ntime_out_of_range() {
    let rig = Rig::simnet();
    let template = rig
        .node
        .rpc
        .call("getblocktemplate", json!([{"rules": ["segwit"]}]));
    let earliest = u32::try_from(template["mintime"].as_u64().unwrap()).unwrap();
    let now = || {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        u32::try_from(since.as_secs()).unwrap()
    };
    let mut miner = rig.miner();
    // The exact last second is a matter of the rule, whose clock is an argument: there, to the
    // second. Here a minute is left to a busy machine.
    for (ntime, good) in [
        (earliest - 1, false),
        (earliest, true),
        (now() + 7_200, true),
        (now() + 7_260, false),
        (0, false),
        (u32::MAX, false),
    ] {
        miner.job.as_mut().unwrap().work.ntime = ntime;
        let reply = {
            let share = miner.share(u64::from(ntime));
            miner.submit(&share)
        };
        if good {
            assert_eq!(reply["result"], true, "{ntime}: {reply}");
        } else {
            assert_rejected(&reply, 20, "Ntime out of range");
        }
    }
    assert_eq!(rig.stored(), 2);
}

#[test]
fn a26_job_ids_of_others_and_of_nobody() {
    let rig = Rig::simnet_with(
        "",
        &RARE_SHARES.replace(
            "max_difficulty = 1.52587890625e-05",
            "max_difficulty = 0.001",
        ),
    );
    let mut other = rig.miner();
    // A job that nobody else was sent: it comes behind its difficulty.
    let before = other.difficulty;
    other.send("mining.suggest_difficulty", json!([0.000_1]));
    while other.difficulty == before {
        other.hear();
    }
    other.hear_new_job();
    let foreign = other.job.as_ref().unwrap().job_id.clone();
    let mut miner = rig.miner();
    let share = miner.share(1);
    let mut params = Miner::params(&format!("{ADDRESS}.test"), &share);
    let long = "1".repeat(10_000);
    let forged = "1\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J";
    for id in [
        foreign.as_str(),
        "../../x",
        "18446744073709551616",
        "-1",
        "+1",
        "",
        " ",
        "ffffffff",
        "0",
        "%s%n",
        forged,
        &long,
    ] {
        params[1] = json!(id);
        let shown = &id[..id.len().min(40)];
        let reply = miner.ask("mining.submit", params.clone());
        assert_eq!(reply["error"][0], 21, "{shown:?}: {reply}");
    }
    assert_eq!(miner.submit(&share)["result"], true);
    assert_eq!(rig.stored(), 1);
    let log = rig.pool.process.log_text();
    assert!(
        !log.lines().any(|line| line.contains("INFO forged")),
        "{log}"
    );
    assert!(!log.contains(&long));
}
