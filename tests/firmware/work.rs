//! Work as a connection gets it over time: no piece twice, and each share judged by the difficulty
//! of its own job. Firmware starts its extranonce2 anew with every job, so work that came twice
//! would be mined twice.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{
    ADDRESS, FIXED_DIFFICULTY, Miner, Node, Rig, assert_rejected, miner::Solution,
};

/// Wishes between these have jobs of their own; the easiest is one hash in 16.
const WIDE: &str = "start_difficulty = 3.725290298461914e-09
min_difficulty = 3.725290298461914e-09
max_difficulty = 0.001
share_time_s = 3600
";

/// The easiest difficulty doubled so many times.
fn doubled(times: u32) -> f64 {
    f64::from(1 << times) / f64::from(1 << 28)
}

/// Asks for a difficulty and waits for its job.
fn suggest(miner: &mut Miner, difficulty: f64) {
    miner.job = None;
    let answer = miner.ask("mining.suggest_difficulty", json!([difficulty]));
    assert_eq!(answer["result"], true, "{answer}");
    while miner.job.is_none() {
        miner.hear();
    }
}

#[test]
fn shares_of_jobs_long_replaced_count_by_the_difficulty_of_their_own_job() {
    let rig = Rig::with(WIDE);
    let mut miner = rig.miner();
    let mut shares: Vec<(Solution, mining::Target)> = Vec::new();
    let mut too_easy = Vec::new();
    let mut previous = miner.target();
    for times in [1, 5, 3, 6, 2, 7, 4] {
        suggest(&mut miner, doubled(times));
        let target = miner.target();
        let share = miner.share(1);
        if target < previous {
            // Good enough for the job before, not for its own.
            let between = |hash: &pow::Hash| previous.is_met_by(hash) && !target.is_met_by(hash);
            too_easy.push(miner.solve(2, None, between));
        }
        shares.push((share, target));
        previous = target;
    }
    assert!(too_easy.len() >= 3);
    let mut expected = 0;
    for (share, target) in shares.iter().rev() {
        let before = rig.work();
        assert_eq!(miner.submit(share)["result"], true);
        let work = target.work().hashes();
        assert_eq!(rig.work(), before + work, "exactly what its job asked for");
        expected += work;
    }
    for share in &too_easy {
        assert_rejected(&miner.submit(share), 23, "Difficulty too low");
    }
    for (share, _) in &shares {
        assert_rejected(&miner.submit(share), 22, "Duplicate share");
    }
    assert_eq!(rig.work(), expected);
}

#[test]
fn the_same_nonce_on_another_job_is_another_share() {
    let rig = Rig::with(WIDE);
    let mut miner = rig.miner();
    let first = miner.job.clone().unwrap();
    let easy = miner.target();
    suggest(&mut miner, doubled(1));
    let second = miner.job.clone().unwrap();
    let hard = miner.target();
    assert_eq!(first.work.ntime, second.work.ntime, "one template");
    // A nonce that is a share of both jobs.
    let extranonce2 = [0; 8];
    let on_first = |nonce| {
        let header = miner.header(&first, &extranonce2, None, first.work.ntime, nonce);
        easy.is_met_by(&miner.algorithm.hash(&header))
    };
    let mut nonce = 0;
    let mut on_second = loop {
        let header = miner.header(&second, &extranonce2, None, second.work.ntime, nonce);
        let hash = miner.algorithm.hash(&header);
        if on_first(nonce) && hard.is_met_by(&hash) {
            break Solution {
                job_id: second.job_id.clone(),
                extranonce2: extranonce2.to_vec(),
                ntime: second.work.ntime,
                nonce,
                version_bits: None,
                hash,
            };
        }
        nonce += 1;
    };
    assert_eq!(miner.submit(&on_second)["result"], true);
    on_second.job_id.clone_from(&first.job_id);
    assert_eq!(miner.submit(&on_second)["result"], true);
    assert_rejected(&miner.submit(&on_second), 22, "Duplicate share");
    let works = easy.work().hashes() + hard.work().hashes();
    assert_eq!(rig.work(), works);
}

/// All work that a connection was given.
#[derive(Default)]
struct Given {
    ids: HashSet<String>,
    pieces: HashSet<Work>,
    tips: HashSet<[u8; 32]>,
}

/// What makes a piece of work: the tip, both halves of the coinbase, the branch and the time.
type Work = ([u8; 32], Vec<u8>, Vec<u8>, Vec<[u8; 32]>, u32);

impl Given {
    /// Hears one message; a job in it must be new in every way.
    fn hear(&mut self, miner: &mut Miner) -> Value {
        let message = miner.hear();
        if message["method"] == "mining.notify" {
            let job = miner.job.clone().unwrap();
            let id = job.job_id;
            let work = job.work;
            assert!(self.ids.insert(id.clone()), "job {id} again");
            self.tips.insert(work.previous_block);
            let piece = (
                work.previous_block,
                work.coinbase1,
                work.coinbase2,
                work.branch,
                work.ntime,
            );
            assert!(self.pieces.insert(piece), "job {id} is old work");
        }
        message
    }

    fn ask(&mut self, miner: &mut Miner, method: &str, params: Value) {
        let id = miner.send(method, params);
        while self.hear(miner)["id"] != id {}
    }
}

#[test]
fn no_piece_of_work_is_sent_twice() {
    let rig = Rig::of("refresh_s = 1", WIDE, Node::regtest);
    let mut miner = Miner::connect(rig.pool.miners);
    miner.subscribe("test/1");
    let mut given = Given::default();
    given.ask(&mut miner, "mining.authorize", json!([ADDRESS, "x"]));
    for round in 0..4 {
        // Jobs of its own, back and forth between difficulties.
        for times in [1, 2, 1, 2, 1, 2, 1, 2] {
            let wish = json!([doubled(times + 2 * (round % 2))]);
            given.ask(&mut miner, "mining.suggest_difficulty", wish);
        }
        // The last wish's job came before the answer to this.
        given.ask(&mut miner, "mining.ping", json!([]));
        // Everyone's job on a new tip.
        let mined = rig.node.rpc.call("generatetoaddress", json!([1, ADDRESS]));
        let tip: pow::Hash = mined[0].as_str().unwrap().parse().unwrap();
        while !given.tips.contains(&tip.0) {
            given.hear(&mut miner);
        }
    }
    // Everyone's jobs on the same tip, because time goes by.
    for _ in 0..2 {
        while given.hear(&mut miner)["method"] != "mining.notify" {}
    }
    let (pieces, tips) = (given.pieces.len(), given.tips.len());
    assert!(
        pieces >= 1 + 4 * (8 + 1) + 2 && tips == 5,
        "{pieces} {tips}"
    );
}

#[test]
fn an_unchanged_template_is_offered_again_to_keep_connections_alive() {
    let rig = Rig::of("refresh_s = 1", FIXED_DIFFICULTY, Node::simnet);
    let mut miner = rig.miner();
    let first = miner.job.clone().unwrap();
    let message = miner.hear();
    assert_eq!(message["method"], "mining.notify", "{message}");
    assert_eq!(message["params"][8], false, "{message}");
    // The share of the job before is still welcome, and so is one of the new job.
    let newest = miner.job.replace(first);
    let old = miner.share(1);
    miner.job = newest;
    let new = miner.share(1);
    assert_eq!(miner.submit(&old)["result"], true);
    assert_eq!(miner.submit(&new)["result"], true);
}
