//! What Monero's miners and proxies really send, as `crates/wire/tests/cryptonote_handshakes.rs` has it, said
//! line by line to a pool that works: each gets a job, has its shares taken, and hears what it acts on.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LIGHT, NETWORK, ONE_IN_20, assert_refused,
    chain::{Chain, SOMEBODY},
    miner::{Miner, Share},
};
use crate::support::{Pool, PoolSettings};

/// Whose logins were recorded.
const ADDRESS: &str = "41yTY1oyTkuFzX4LWNkaVVapycdakhy6uU6cZKZN4twVdZao2tJaWzCW8gPhY6hJ5GSfARM7GjY5B76svoM3dkDZFFrxKKg";
/// A port where miners may say which difficulty they want, and how fast they are.
const OPEN: &str = "start_difficulty = 20.0\nmin_difficulty = 20.0\nmax_difficulty = 1000000.0\n\
                    share_time_s = 10\nmessages_per_second_max = 0\nshares_per_second_max = 0\n";

struct Rig {
    pool: Pool,
    chain: Chain,
    _folder: TempDir,
}

impl Rig {
    /// Each hash of 20 is a share, whatever a miner says.
    fn start() -> Self {
        Self::with(NETWORK, ONE_IN_20)
    }

    /// Where so many hashes are a block, and with these lines for `[[pool.listener]]`.
    fn with(difficulty: u64, listener: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let chain = Chain::start(&folder, difficulty);
        let settings = PoolSettings {
            coin: "monero",
            address: SOMEBODY,
            // No job comes but for a new tip.
            pool: &format!("{LIGHT}refresh_s = 3600\n"),
            listener,
            daemons: chain.daemon(),
            ..PoolSettings::default()
        };
        Self {
            pool: Pool::start(&folder, &settings),
            chain,
            _folder: folder,
        }
    }

    fn log_in(&self, line: &str) -> Miner {
        log_in(self.pool.miners, line)
    }

    /// The names of the workers that have shares.
    fn workers(&self) -> Vec<String> {
        let path = format!("/api/v1/miners/{ADDRESS}/workers");
        let (status, text) = self.pool.get(&path).unwrap();
        assert_eq!(status, 200, "{text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|worker| worker["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// What comes back to a line that was recorded.
#[track_caller]
fn say(miner: &mut Miner, line: &str) -> Value {
    miner.say(line);
    let told = miner.answer().unwrap_or_else(|| panic!("hung up: {line}"));
    assert_eq!(told["jsonrpc"], "2.0", "{told}");
    told
}

/// Logs in by this line; the answer is one that XMRig takes, which hangs up on anything less.
#[track_caller]
fn log_in(port: u16, line: &str) -> Miner {
    let mut miner = Miner::connect(port);
    let told = say(&mut miner, line);
    let id = serde_json::from_str::<Value>(line).unwrap()["id"].clone();
    assert_eq!(told["id"], id, "{told}");
    assert!(told["error"].is_null(), "{told}");
    let result = &told["result"];
    assert_eq!(result["status"], "OK", "{told}");
    let session = result["id"].as_str().unwrap();
    assert!((1..=64).contains(&session.len()), "{told}");
    let extensions = result["extensions"].as_array().unwrap();
    for name in ["algo", "keepalive"] {
        assert!(extensions.contains(&json!(name)), "{told}");
    }
    miner.session = result["id"].clone();
    miner.job = result["job"].clone();
    assert_job(&miner.job);
    miner
}

/// A job as XMRig reads it.
#[track_caller]
fn assert_job(job: &Value) {
    let digits = |name: &str| {
        let text = job[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name}: {job}"));
        hex::decode(text).unwrap_or_else(|_| panic!("{name}: {job}"))
    };
    // The nonce's place is within it, and no more than one block's hash is hashed.
    assert!((43..=408).contains(&digits("blob").len()), "{job}");
    assert_eq!(digits("blob")[39..43], [0; 4], "{job}");
    assert!([4, 8].contains(&digits("target").len()), "{job}");
    assert_eq!(digits("seed_hash").len(), 32, "{job}");
    assert!(!job["job_id"].as_str().unwrap().is_empty(), "{job}");
    assert_eq!(job["algo"], "rx/0", "{job}");
    assert!(job["height"].as_u64().unwrap() > 0, "{job}");
}

/// How many hashes the job's shares take.
fn difficulty(miner: &Miner) -> u64 {
    let target = hex::decode(miner.job["target"].as_str().unwrap()).unwrap();
    u64::MAX / u64::from_le_bytes(target.try_into().unwrap())
}

/// An answer of success, as miners compare it.
#[track_caller]
fn assert_status(told: &Value, id: Value, status: &str) {
    let expected = json!({"id": id, "jsonrpc": "2.0", "error": null, "result": {"status": status}});
    assert_eq!(told, &expected);
}

/// The recorded login of XMRig 6.26.
fn xmrig() -> String {
    let agent = "XMRig/6.26.0 (Linux x86_64) libuv/1.52.1 gcc/16.2.0";
    format!(
        r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{ADDRESS}.rig+5000","pass":"x","agent":"{agent}","rigid":"rig1","algo":["cn/0","cn/1","rx/0","rx/2","rx/wow","argon2/chukwav2"]}}}}"#
    )
}

#[test]
fn xmrig_logs_in_has_its_share_taken_and_is_kept_alive() {
    let rig = Rig::start();
    let mut miner = rig.log_in(&xmrig());
    let share = miner.no_block(0, NETWORK);
    let (Value::String(session), Value::String(job)) = (&miner.session, &share.job) else {
        panic!("{}", miner.job);
    };
    let Share { nonce, result, .. } = &share;
    let submit = format!(
        r#"{{"id":2,"jsonrpc":"2.0","method":"submit","params":{{"id":"{session}","job_id":"{job}","nonce":"{nonce}","result":"{result}","algo":"rx/0"}}}}"#
    );
    // RandomX's own hash goes with another algorithm than this job's.
    let other = format!(
        r#"{{"id":3,"jsonrpc":"2.0","method":"submit","params":{{"id":"{session}","job_id":"{job}","nonce":"{nonce}","result":"{result}","algo":"rx/2","commitment":"{}"}}}}"#,
        "0a".repeat(32)
    );
    let alive = format!(
        r#"{{"id":4,"jsonrpc":"2.0","method":"keepalived","params":{{"id":"{session}"}}}}"#
    );
    assert_status(&say(&mut miner, &submit), json!(2), "OK");
    assert_refused(&say(&mut miner, &other), "Incorrect algorithm");
    assert_status(&say(&mut miner, &alive), json!(4), "KEEPALIVED");
    assert_eq!(rig.workers(), ["rig"]);

    // Somebody finds a block: it is told by itself, and a share that comes too late costs no connection.
    let late = miner.no_block(1 << 24, NETWORK);
    rig.chain.generate(1, SOMEBODY);
    let line = miner.line().expect("a job");
    assert_eq!(
        (&line["method"], &line["id"]),
        (&json!("job"), &Value::Null)
    );
    assert_job(&line["params"]);
    assert_ne!(line["params"]["job_id"], miner.job["job_id"]);
    assert_ne!(line["params"]["blob"], miner.job["blob"]);
    assert_refused(&miner.submit(&late), "Block expired");
    miner.job = line["params"].clone();
    miner.earn(0, NETWORK);
}

/// Version 6.22 knows no `rx/2`; where a pool does not know the extension it names no algorithm.
#[test]
fn xmrig_6_22_has_a_share_without_an_algorithm_taken() {
    let rig = Rig::start();
    let agent = "XMRig/6.22.2 (Linux x86_64) libuv/1.50.0 gcc/14.2.0";
    let mut miner = rig.log_in(
        &format!(
            r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{ADDRESS}","pass":"x","agent":"{agent}","algo":["rx/0","rx/wow"]}}}}"#
        ),
    );
    let share = miner.no_block(0, NETWORK);
    let line = plain_submit(&miner, &share, 2);
    let told = say(&mut miner, &line);
    assert_status(&told, json!(2), "OK");
    // The same again: it counts a refusal and goes on.
    let line = plain_submit(&miner, &share, 3);
    let told = say(&mut miner, &line);
    assert_refused(&told, "Duplicate share");
    miner.earn(1 << 24, NETWORK);
    assert_eq!(rig.workers().len(), 1);
}

/// A share as it is recorded without an algorithm's name.
fn plain_submit(miner: &Miner, share: &Share, id: u32) -> String {
    let session = miner.session.as_str().unwrap();
    let job = share.job.as_str().unwrap();
    let Share { nonce, result, .. } = share;
    format!(
        r#"{{"id":{id},"jsonrpc":"2.0","method":"submit","params":{{"id":"{session}","job_id":"{job}","nonce":"{nonce}","result":"{result}"}}}}"#
    )
}

/// It gives each of its miners a part of the nonces, and has their shares on one connection.
#[test]
fn xmrig_proxy_is_one_login_for_many() {
    let rig = Rig::start();
    let agent = "xmrig-proxy/6.22.0 (Linux x86_64) libuv/1.49.2 gcc/13.2.1";
    let mut proxy = rig.log_in(
        &format!(
            r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{ADDRESS}","pass":"farm","agent":"{agent}","rigid":"farm","algo":["rx/0"]}}}}"#
        ),
    );
    for (number, part) in [0u32, 0x51, 0xfe].into_iter().enumerate() {
        let share = proxy.no_block(part << 24, NETWORK);
        let id = number + 7;
        // What another proxy adds is passed over.
        let line = format!(
            r#"{{"id":{id},"method":"submit","params":{{"id":{},"job_id":{},"nonce":"{}","result":"{}","workerNonce":12,"poolNonce":34,"clientPoolLocation":134}}}}"#,
            proxy.session, share.job, share.nonce, share.result
        );
        assert_status(&say(&mut proxy, &line), json!(id), "OK");
    }
    // Many answers at once, each with the id of its own.
    let shares = [0x11u32, 0x12, 0x13].map(|part| proxy.no_block(part << 24, NETWORK));
    for (share, id) in shares.iter().zip(20..) {
        let line = plain_submit(&proxy, share, id);
        proxy.say(&line);
    }
    let mut ids: Vec<u64> = (0..3)
        .map(|_| {
            let told = proxy.answer().expect("an answer");
            assert_eq!(told["result"]["status"], "OK", "{told}");
            told["id"].as_u64().unwrap()
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [20, 21, 22]);
    assert_eq!(rig.workers(), ["farm"]);
    assert_eq!(rig.pool.status()["shares"]["stored"], 6);
}

/// It names one algorithm, alone or in a list, and writes ids as text and digits in capitals.
#[test]
fn srbminer_has_its_share_taken_and_its_id_back_as_it_wrote_it() {
    let rig = Rig::start();
    let list = format!(
        r#"{{"method":"login","params":{{"login":"{ADDRESS}","pass":"x","rigid":"","agent":"SRBMiner-MULTI/2.8.0","algo":["rx/0"]}},"id":1,"jsonrpc":"2.0"}}"#
    );
    let alone = list.replace(r#"["rx/0"]"#, r#""rx/0""#);
    for (line, part) in [(list, 0u32), (alone, 1)] {
        let mut miner = rig.log_in(&line);
        let share = miner.no_block(part << 24, NETWORK);
        let line = format!(
            r#"{{"method":"submit","params":{{"id":{},"job_id":{},"nonce":"{}","result":"{}"}},"id":"17","jsonrpc":"2.0"}}"#,
            miner.session,
            share.job,
            share.nonce.to_uppercase(),
            share.result.to_uppercase()
        );
        assert_status(&say(&mut miner, &line), json!("17"), "OK");
        // In small letters it is the same share.
        let line = plain_submit(&miner, &share, 18);
        let told = say(&mut miner, &line);
        assert_refused(&told, "Duplicate share");
        let alive = format!(
            r#"{{"method":"keepalived","params":{{"id":{}}},"id":"19","jsonrpc":"2.0"}}"#,
            miner.session
        );
        assert_status(&say(&mut miner, &alive), json!("19"), "KEEPALIVED");
    }
    assert_eq!(rig.pool.status()["shares"]["stored"], 2);
}

/// As nodejs-pool has it: the rig and a mail address in the password, and speeds of several algorithms.
fn moneroocean() -> String {
    format!(
        r#"{{"id":1,"jsonrpc":"2.0","method":"login","params":{{"login":"{ADDRESS}","pass":"rig:me@example.org","agent":"XMRig/6.25.0-mo1","rigid":"","algo":["rx/0","cn/gpu"],"algo-perf":{{"rx/0":2345.67,"cn/gpu":1e3,"ghostrider":0}},"algo-min-time":60}}}}"#
    )
}

#[test]
fn moneroocean_s_miner_has_its_rig_s_name_from_the_password() {
    let rig = Rig::start();
    let mut miner = rig.log_in(&moneroocean());
    miner.earn(0, NETWORK);
    assert_eq!(rig.workers(), ["rig"]);
    let (_, page) = rig.pool.get(&format!("/api/v1/miners/{ADDRESS}")).unwrap();
    assert!(!page.contains("example.org"), "{page}");
}

/// The difficulty that a login asks for, and the one that its miner's speed is worth.
#[test]
fn a_miner_begins_at_the_difficulty_that_its_login_says() {
    // What a port allows is never harder than a block.
    let rig = Rig::with(1_000_000, OPEN);
    assert_eq!(difficulty(&rig.log_in(&xmrig())), 5_000);
    // 2,345 hashes a second, for 10 seconds.
    assert_eq!(difficulty(&rig.log_in(&moneroocean())), 23_450);
}

/// Miners of old, in nodejs-pool's words.
#[test]
fn a_miner_of_old_is_kept_alive_and_asks_for_jobs() {
    let rig = Rig::start();
    let line = format!(
        r#"{{"id":1,"method":"login","params":{{"login":"{ADDRESS}","pass":"x","agent":"monero-miner"}}}}"#
    );
    let mut miner = rig.log_in(&line);
    let alive = r#"{"method":"keepalive","id":3}"#;
    assert_status(&say(&mut miner, alive), json!(3), "KEEPALIVED");
    // It has the newest job; another's session is nobody's here.
    let job = format!(
        r#"{{"method":"getjob","params":{{"id":{}}},"id":3}}"#,
        miner.session
    );
    let told = say(&mut miner, &job);
    assert!(
        told["error"].is_null() && told["result"].is_null(),
        "{told}"
    );
    let told = say(
        &mut miner,
        r#"{"method":"getjob","params":{"id":"a"},"id":3}"#,
    );
    assert_refused(&told, "Unauthenticated");
    let told = say(&mut miner, r#"{"method":"getjobtemplate","id":3}"#);
    assert_refused(&told, "Invalid method");
    // An answer to nothing is answered by nothing.
    miner.say(r#"{"id":3,"result":{"status":"OK"},"error":null}"#);
    let told = say(&mut miner, r#"{"method":"keepalived","params":{},"id":4}"#);
    assert_status(&told, json!(4), "KEEPALIVED");
    let told = say(
        &mut miner,
        r#"{"id":1,"method":"submit","params":["a","1f"]}"#,
    );
    assert_refused(&told, "params is an array");
    miner.earn(0, NETWORK);

    // What was recorded of a miner with a node of its own; this pool chooses the work.
    let own = line.replace(
        "\"monero-miner\"",
        "\"monero-miner\",\"mode\":\"self-select\"",
    );
    let mut miner = Miner::connect(rig.pool.miners);
    assert_refused(&say(&mut miner, &own), "Permission denied");
    assert!(miner.line().is_none());
    let by_place = format!(r#"{{"id":1,"method":"login","params":["{ADDRESS}","x"]}}"#);
    let mut miner = Miner::connect(rig.pool.miners);
    let told = say(&mut miner, &by_place);
    assert_refused(
        &told,
        "params is an array, but must be an object with names",
    );
    let told = say(&mut miner, &line);
    assert_eq!(told["result"]["status"], "OK", "{told}");
}
