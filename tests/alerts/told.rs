//! From what happens to who is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use super::{REACHABLE, assert_signed, known, subscribe};
use crate::{
    money::{Mint, PAYING},
    support::{
        Miner, PATIENCE,
        key::Key,
        receiver::{Answer, Receiver},
        refusing_port, wait_for, wait_within,
    },
};

const ALL: [&str; 10] = [
    "worker_offline",
    "hashrate_drop",
    "high_rejects",
    "record_share",
    "block_found",
    "block_matured",
    "block_orphaned",
    "payout_sent",
    "payout_confirmed",
    "payout_failed",
];

/// What was told, by kind, phase and subject, with how often.
fn counted(taken: &[Value]) -> BTreeMap<(String, String, String), usize> {
    let mut counts = BTreeMap::new();
    for alert in taken {
        let field = |name: &str| alert[name].as_str().unwrap().to_owned();
        let key = (field("kind"), field("phase"), field("subject"));
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}

/// How many alerts of this kind and phase there are.
fn count(taken: &[Value], kind: &str, phase: &str) -> usize {
    let is = |alert: &&Value| alert["kind"] == kind && alert["phase"] == phase;
    taken.iter().filter(is).count()
}

/// A worker goes and comes back, a block is found and matures, a payment is sent and confirmed, the
/// program is killed in between: each is told once.
#[test]
fn a_subscribed_webhook_is_told_of_each_thing_once() {
    let operator = Receiver::start(&[]);
    let hook = Receiver::start(&[Answer::Status(500)]);
    // A server that never answers, and a redirect, are waited for by nobody and followed by nobody.
    let (hung, trap) = (Receiver::start(&[Answer::Never; 20]), Receiver::start(&[]));
    let redirecting = Receiver::start(&[Answer::Redirect(trap.port); 20]);
    let settings = format!(
        "{PAYING}[alerts]\nworker_offline_s = 2\n{REACHABLE}\
         [alerts.webhook]\nurl = \"{}\"\nsecret = \"operator's own\"\n",
        operator.url("/operator?a=b")
    );
    let key = Key::new(41);
    let mut mint = known(&settings, &key);
    let made = subscribe(&mint.pool, &key, "webhook", Some(&hook.url("/x")), &ALL);
    assert_eq!(made["state"], "active");
    let secret = made["secret"].as_str().unwrap().to_owned();
    for other in [&hung, &redirecting] {
        subscribe(&mint.pool, &key, "webhook", Some(&other.url("/")), &ALL);
    }
    subscribe(&mint.pool, &key, "page", None, &ALL);

    // The worker that found the block is gone, and the first attempt to say so fails.
    wait_for("the worker's end", || {
        (count(&hook.taken(), "worker_offline", "begun") == 1).then_some(())
    });
    assert_eq!(hook.posted()[0].status, 500);
    let mut miner = Miner::connect(mint.pool.miners);
    let name = format!("{}.rig", key.address);
    miner.log_in(&name);
    let block = miner.block(1, None);
    let params = Miner::params(&name, &block);
    assert_eq!(miner.ask("mining.submit", params)["result"], true);
    wait_for("the worker's return", || {
        (count(&hook.taken(), "worker_offline", "over") == 1).then_some(())
    });
    wait_for("the block", || {
        (count(&hook.taken(), "block_found", "once") == 1).then_some(())
    });
    // Killed, it goes on where it was. Not in the instant in which something is sent: that is sent again.
    std::thread::sleep(Duration::from_secs(1));
    mint.pool.process.kill();
    // What it said in its last instant is read to the end, too.
    std::thread::sleep(Duration::from_millis(500));
    let before = hook.taken();
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    wait_for("all to be paid", || {
        mint.bury(1);
        let taken = hook.taken();
        let paid = count(&taken, "payout_confirmed", "once");
        (count(&taken, "block_matured", "once") == 2 && paid >= 1).then_some(())
    });
    mint.pool.process.stop();
    mint.pool.start_again();
    mint.pool.wait_until_ready();
    // Several looks go by.
    std::thread::sleep(Duration::from_secs(6));

    let mut taken = hook.taken();
    // A record may have been on its way at the kill; then it is the last of before, and is sent again.
    let last = before.last().map(|alert| &alert["id"]);
    let again = taken.iter().rposition(|alert| Some(&alert["id"]) == last);
    if let Some(again) = again.filter(|at| *at >= before.len()) {
        taken.remove(again);
    }
    for (what, times) in counted(&taken) {
        // The worker went a second time: with the process.
        let is_worker = what.0 == "worker_offline" && what.1 == "begun";
        assert_eq!(times, if is_worker { 2 } else { 1 }, "{what:?}");
    }
    let ids: BTreeSet<_> = taken.iter().map(|alert| alert["id"].as_str()).collect();
    assert_eq!(ids.len(), taken.len(), "each alert once");
    for posted in hook.posted() {
        assert_signed(&posted, &secret);
    }
    let hash = block.hash.to_string();
    let of = |kind: &str| {
        let mut found = taken.iter().filter(|alert| alert["kind"] == kind);
        found
            .find(|alert| alert["subject"] == hash.as_str())
            .unwrap()
    };
    assert_eq!(of("block_found")["address"], key.address.as_str());
    assert_eq!(of("block_found")["facts"]["hash"], hash.as_str());
    assert_eq!(
        of("block_matured")["text"],
        "Block 2 is mature: its 50.00000000 BTC can be paid."
    );
    let of_worker: Vec<_> = taken
        .iter()
        .filter(|alert| alert["kind"] == "worker_offline")
        .collect();
    assert_eq!(of_worker[0]["subject"], "rig");
    assert_eq!(of_worker[1]["begun"], of_worker[0]["id"]);
    let (sent, confirmed) = (
        count(&taken, "payout_sent", "once"),
        count(&taken, "payout_confirmed", "once"),
    );
    assert!(sent >= confirmed && confirmed >= 1, "{taken:?}");

    // The page has the same, and says nothing of where it was sent.
    let page = format!("/api/v1/miners/{}/alerts?limit=500", key.address);
    let (status, page) = mint.pool.get(&page).unwrap();
    assert_eq!(status, 200, "{page}");
    assert!(
        !page.contains("http://") && !page.contains(&secret),
        "{page}"
    );
    let page: Value = serde_json::from_str(&page).unwrap();
    let ids: Vec<_> = page["items"].as_array().unwrap().iter().collect();
    for alert in &taken {
        let same = ids.iter().find(|item| item["id"] == alert["id"]);
        assert_eq!(same.unwrap()["text"], alert["text"]);
    }

    // The operator heard of its blocks and payouts by its own webhook, and of nobody's workers.
    let heard = operator.taken();
    assert_eq!(count(&heard, "block_found", "once"), 2);
    assert_eq!(count(&heard, "block_matured", "once"), 2);
    assert!(count(&heard, "payout_sent", "once") >= 1);
    assert!(heard.iter().all(|alert| alert["address"].is_null()));
    assert_eq!(count(&heard, "worker_offline", "begun"), 0);
    for posted in operator.posted() {
        assert_signed(&posted, "operator's own");
        assert_eq!(posted.path, "/operator?a=b");
    }
    assert!(!hung.posted().is_empty() && !redirecting.posted().is_empty());
    assert_eq!(trap.connections(), 0, "a redirect was followed");
    let log = mint.pool.process.log_text();
    assert!(!log.contains("operator's own") && !log.contains(&secret));
    assert!(
        log.contains("no answer within 10 seconds"),
        "the hung server is given up"
    );
    mint.assert_balanced();
}

/// The chain leaves a block: whoever heard that it was found hears that it is lost.
#[test]
fn an_orphan_is_told_to_whoever_heard_of_the_block() {
    let ntfy = Receiver::start(&[]);
    let settings = format!(
        "maturity = 3\n[alerts.ntfy]\nurl = \"{}\"\ntoken = \"tk_1\"\n",
        ntfy.url("/topic")
    );
    let mint = Mint::new(&settings);
    let key = Key::new(42);
    let height = mint.find_block(&key.address);
    let heard = |title: &str| {
        let posted = ntfy.posted().into_iter();
        let mut posted = posted.filter(|posted| posted.headers["title"] == title);
        posted.next()
    };
    let found = wait_for("the block", || heard("main: Block found"));
    assert_eq!(found.path, "/topic");
    assert_eq!(found.headers["authorization"], "Bearer tk_1");
    assert_eq!(found.headers["priority"], "3");
    assert_eq!(
        String::from_utf8(found.body).unwrap(),
        format!("The pool has found block {height}, worth 50.00000000 BTC.")
    );
    let hash = mint.node.rpc.call("getblockhash", json!([height]));
    mint.node.rpc.call("invalidateblock", json!([hash]));
    mint.bury(3);
    let lost = wait_for("the orphan", || heard("main: Block orphaned"));
    assert_eq!(lost.headers["priority"], "4");
    // What the operator hears stands on a page for this machine.
    let (status, alerts) = mint.pool.send("GET", "/api/v1/alerts", None, "");
    assert_eq!(status, 200);
    assert_eq!(alerts["items"][0]["kind"], "block_orphaned", "{alerts}");
    assert_eq!(alerts["dead"], 0);
}

/// A daemon that is gone, and back.
#[test]
fn the_operator_is_told_of_a_daemon_that_is_down() {
    let hook = Receiver::start(&[]);
    let settings = format!(
        "maturity = 3\n[alerts]\ndaemon_down_s = 1\ntemplate_old_s = 60\n\
         [alerts.webhook]\nurl = \"{}\"\nsecret = \"s\"\n",
        hook.url("/")
    );
    let mut mint = Mint::new(&settings);
    mint.node.kill();
    wait_for("the daemon's end", || {
        (count(&hook.taken(), "daemon_down", "begun") == 1).then_some(())
    });
    let taken = hook.taken();
    let down = taken.iter().find(|alert| alert["kind"] == "daemon_down");
    let down = down.unwrap();
    assert_eq!(down["severity"], "critical");
    let port = mint.node.rpc.port.to_string();
    assert!(down["subject"].as_str().unwrap().contains(&port), "{down}");
    assert!(!down.to_string().contains("adit:adit"), "{down}");
    mint.node.start_again();
    // It is said once the daemon has been well for half a minute.
    wait_within(3 * PATIENCE, "the daemon's return", || {
        (count(&hook.taken(), "daemon_down", "over") == 1).then_some(())
    });
}

/// What is secret is shown by nobody: neither by `adit config` nor in the log, also not where it is part of
/// a URL that fails.
#[test]
fn secrets_of_places_are_shown_nowhere() {
    let bot = Receiver::start(&[Answer::Status(403)]);
    let (_held, gone) = refusing_port();
    let settings = format!(
        "maturity = 3\n[alerts.telegram]\ntoken = \"1:topsecret\"\nchat = \"-42\"\nserver = \"{}\"\n\
         [alerts.ntfy]\nurl = \"http://127.0.0.1:{gone}/topsecret\"\ntoken = \"topsecret\"\n\
         [alerts.discord]\nurl = \"http://127.0.0.1:{gone}/api/webhooks/topsecret\"\n",
        bot.url("")
    );
    let mint = Mint::new(&settings);
    let key = Key::new(47);
    mint.find_block(&key.address);
    let said = wait_for("the bot to write", || {
        let posted = bot.posted().into_iter();
        let mut posted = posted.filter(|posted| posted.status == 200);
        posted.next()
    });
    assert_eq!(said.path, "/bot1:topsecret/sendMessage");
    assert_eq!(said.json()["chat_id"], "-42");
    let text = said.json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("main: Block found\nThe pool has found block 1"),
        "{text}"
    );
    let log = mint.pool.process.log_text();
    assert!(
        log.contains("answered with 403") && log.contains("no connection"),
        "{log}"
    );
    assert!(!log.contains("topsecret"), "{log}");
    let config = mint.folder.path().join("adit.toml");
    for json in [&[][..], &["--json"]] {
        let mut arguments = vec!["config", "-c", config.to_str().unwrap()];
        arguments.extend(json);
        let shown = crate::support::run(&arguments);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(
            shown.contains("alerts.ntfy.url") && shown.contains("***"),
            "{shown}"
        );
        assert!(!shown.contains("topsecret"), "{shown}");
    }
}

/// Settings that make no sense are told by their key, and nothing starts.
#[test]
fn settings_of_alerts_that_make_no_sense_are_told_by_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("adit.toml");
    for (settings, told) in [
        (
            "[alerts]\nworker_offline_s = 0\n",
            "alerts.worker_offline_s",
        ),
        ("[alerts]\nkinds = [\"worker_offline\"]\n", "alerts.kinds"),
        ("[alerts]\nca_file = \"/nonexistent\"\n", "alerts.ca_file"),
        (
            "[alerts.miners]\nsinks = [\"mqtt\"]\n",
            "alerts.miners.sinks",
        ),
        (
            "[alerts.miners]\nreachable = [\"10.0.0.1/8\"]\n",
            "alerts.miners.reachable",
        ),
        (
            "[alerts.webhook]\nurl = \"https://example.org/\"\n",
            "alerts.webhook",
        ),
        ("[alerts.ntfy]\nurl = \"topsecret\"\n", "alerts.ntfy.url"),
        ("[alerts.telegram]\nchat = \"-1\"\n", "alerts.telegram.chat"),
        (
            "[alerts.telegram]\ntoken = \"topsecret/x\"\n",
            "alerts.telegram.token",
        ),
        (
            "[alerts.email]\nto = [\"a@example.org\"]\n",
            "alerts.email.to",
        ),
        ("[alerts.email]\nhost = \"example.org\"\n", "from"),
        (
            "[alerts.email]\nhost = \"example.org\"\nfrom = \"a@example.org\"\ntls = \"off\"\n",
            "alerts.email.tls",
        ),
        ("[alerts.mqtt]\nurl = \"http://x\"\n", "alerts.mqtt.url"),
        (
            "[alerts.mqtt]\nurl = \"mqtt://x\"\nprefix = \"a/#\"\n",
            "alerts.mqtt.prefix",
        ),
        (
            "[alerts.mqtt]\nurl = \"mqtt://x\"\nuser = \"a\"\n",
            "alerts.mqtt",
        ),
        ("[alerts]\nworker_ofline_s = 1\n", "worker_offline_s"),
    ] {
        let data = folder.path().join("data");
        let pool = "[[pool]]\npayout_address = \"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4\"\n\
                    [[pool.daemon]]\nurl = \"http://127.0.0.1:1\"\n";
        std::fs::write(&config, format!("data = {data:?}\n{settings}{pool}")).unwrap();
        let run = crate::support::run(&["pool", "-c", config.to_str().unwrap()]);
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(64), "{settings}: {said}");
        assert!(said.contains(told), "{settings}: {said}");
        assert!(!said.contains("topsecret"), "{settings}: {said}");
    }
}
