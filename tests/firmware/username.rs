//! User names and passwords as people type them and devices spoil them.

use serde_json::{Value, json};

use crate::support::{ADDRESS, Miner, Rig, assert_rejected};

/// What Avalon keeps, what Whatsminer has room for, what OCEAN allows.
const LENGTHS: [usize; 4] = [46, 63, 127, 191];

fn authorize(rig: &Rig, user: &str, password: &str) -> (Miner, Value) {
    let mut miner = Miner::connect(rig.pool.miners);
    miner.subscribe("test/1");
    let answer = miner.ask("mining.authorize", json!([user, password]));
    (miner, answer)
}

/// Mines a share under this name and gives the worker that the pool shows for it.
#[track_caller]
fn worker_of(rig: &Rig, user: &str) -> String {
    let (mut miner, answer) = authorize(rig, user, "x");
    assert_eq!(answer["result"], true, "{user}: {answer}");
    while miner.job.is_none() {
        miner.hear();
    }
    let share = miner.share(1);
    let id = miner.send("mining.submit", Miner::params(user, &share));
    let answer = miner.answer_to(id);
    assert_eq!(answer["result"], true, "{user}: {answer}");
    let status = rig.pool.status();
    let sessions = status["sessions"].as_array().unwrap();
    let newest = sessions.last().expect("there is a session");
    newest["worker"].as_str().unwrap().to_owned()
}

#[test]
fn names_of_any_length_a_device_can_have_are_taken_and_longer_ones_refused() {
    let rig = Rig::new();
    for length in LENGTHS {
        let mut user = format!("{ADDRESS}.");
        user.extend(std::iter::repeat_n('w', length - user.len()));
        assert_eq!(user.len(), length);
        let expected: String = user.chars().take(ADDRESS.len() + 1 + 64).collect();
        assert_eq!(worker_of(&rig, &user), expected);
    }
    let user = format!("{ADDRESS}.{}", "w".repeat(192 - ADDRESS.len() - 1));
    let (mut miner, answer) = authorize(&rig, &user, "x");
    assert_ne!(answer["result"], true, "{answer}");
    assert!(answer["error"].is_array(), "{answer}");
    // Refused is not thrown out: the next name may be right.
    let again = miner.ask("mining.authorize", json!([ADDRESS, "x"]));
    assert_eq!(again["result"], true, "{again}");
}

#[test]
fn what_stands_behind_the_first_dot_is_the_worker() {
    let rig = Rig::new();
    for (name, worker) in [
        ("", "worker"),
        (".", "worker"),
        (".rig1", "rig1"),
        (".farm.rig1", "farm.rig1"),
        ("_rig1", "rig1"),
        (".rig_1", "rig_1"),
        (".rig 1", "rig_1"),
    ] {
        let expected = format!("{ADDRESS}.{worker}");
        assert_eq!(worker_of(&rig, &format!("{ADDRESS}{name}")), expected);
    }
    // Several addresses: the first one of this coin is paid.
    for user in [
        format!("{ADDRESS},{ADDRESS}.rig1"),
        format!("{ADDRESS}-{ADDRESS}.rig1"),
        format!("DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L/{ADDRESS}.rig1"),
        format!(" {ADDRESS}.rig1"),
    ] {
        assert_eq!(worker_of(&rig, &user), format!("{ADDRESS}.rig1"));
    }
    // The same device in capitals, as some QR codes have it.
    let upper = ADDRESS.to_uppercase();
    let expected = format!("{ADDRESS}.rig1");
    assert_eq!(worker_of(&rig, &format!("{upper}.rig1")), expected);
}

#[test]
fn a_name_that_would_pay_somebody_else_or_nobody_is_refused() {
    let rig = Rig::new();
    for user in [
        // A worker without an address: there is no account to add it to.
        ".worker".to_owned(),
        "worker".to_owned(),
        // A separator that is none here.
        format!("{ADDRESS}+25000"),
        // One letter is wrong; another network.
        ADDRESS.replace("kygt", "kygs"),
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig1".to_owned(),
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx.rig1".to_owned(),
    ] {
        let (_, answer) = authorize(&rig, &user, "x");
        assert_eq!(answer["result"], false, "{user}");
        assert_eq!(answer["error"][0], 24, "{user}: {answer}");
        assert_eq!(answer["error"][1], answer["reject-reason"], "{user}");
    }
    assert_eq!(rig.pool.status()["sessions"], json!([]));
}

#[test]
fn a_share_is_the_workers_whose_name_it_bears() {
    let rig = Rig::new();
    let mut miner = rig.miner();
    let share = miner.share(1);
    for stranger in [
        ADDRESS.to_owned(),
        format!("{ADDRESS}.Test"),
        format!("{ADDRESS}.test "),
        String::new(),
    ] {
        let reply = miner.ask("mining.submit", Miner::params(&stranger, &share));
        assert_rejected(&reply, 24, "Unauthorized worker");
    }
    assert_eq!(miner.submit(&share)["result"], true);
}

#[test]
fn a_percent_encoded_name_is_the_name_that_was_typed() {
    let rig = Rig::new();
    let expected = format!("{ADDRESS}.rig1");
    assert_eq!(worker_of(&rig, &format!("{ADDRESS}%2Erig1")), expected);
    assert_eq!(worker_of(&rig, &format!("{ADDRESS}%2erig1")), expected);
    // Broken, or not text: refused or kept as it is, but never another address.
    for user in ["%", "%2", "%zz", "%ff"] {
        let (_, answer) = authorize(&rig, &format!("{ADDRESS}{user}"), "x");
        assert_eq!(answer["result"], false, "{user}");
    }
}

/// Wide enough for all that is asked for below.
const WIDE: &str = "start_difficulty = 16
min_difficulty = 0.0001
max_difficulty = 1000000
share_time_s = 3600
";

/// The difficulty that comes with the first job.
fn first_difficulty(miner: &mut Miner) -> f64 {
    while miner.job.is_none() {
        miner.hear();
    }
    miner.difficulty.expect("it comes before the job")
}

#[test]
fn a_password_without_a_wish_changes_nothing() {
    let rig = Rig::heavy(WIDE);
    for password in [
        "",
        "x",
        "123",
        "anything,123",
        "d=",
        "d=x",
        "d=-1",
        "d=0",
        "e=mc2",
    ] {
        let (mut miner, answer) = authorize(&rig, ADDRESS, password);
        assert_eq!(answer["result"], true, "{password}: {answer}");
        #[expect(clippy::float_cmp, reason = "it is passed on, not computed")]
        let unchanged = first_difficulty(&mut miner) == 16.0;
        assert!(unchanged, "{password}");
    }
}

#[test]
fn a_difficulty_in_the_password_is_the_difficulty() {
    let rig = Rig::heavy(WIDE);
    for (password, expected) in [
        ("d=64", 64.0),
        ("diff=200", 200.0),
        ("x,d=64", 64.0),
        ("x, diff=200", 200.0),
        ("x;d=0.5", 0.5),
        ("x d=0.001", 0.001),
        ("d=0.000000001", 0.0001),
        ("d=1000000000", 1_000_000.0),
    ] {
        let (mut miner, answer) = authorize(&rig, ADDRESS, password);
        assert_eq!(answer["result"], true, "{password}: {answer}");
        let difficulty = first_difficulty(&mut miner);
        assert!(
            (difficulty / expected - 1.0).abs() < 1e-3,
            "{password}: {difficulty}"
        );
        // It goes before the device's own wish.
        miner.ask("mining.suggest_difficulty", json!([2]));
        let still = miner.difficulty.unwrap();
        assert!((still / expected - 1.0).abs() < 1e-3, "{password}: {still}");
    }
}
