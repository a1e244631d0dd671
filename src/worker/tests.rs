//! The worker against pools that are good, slow, broken or hostile, over real sockets.

mod cryptonote;
mod hostile;
mod http;
pub(crate) mod pool;
mod tls;
mod work;

use std::time::Duration;

use mining::Difficulty;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::*;
use crate::free_port::free_port;
use pool::{Miner, Pool};

/// Far above what anything here takes, on a machine that is busy building.
const PATIENCE: Duration = Duration::from_secs(60);
const MASK: u32 = 0x1fff_e000;

/// A worker that is running.
struct Worker {
    figures: watch::Receiver<Snapshot>,
    cancel: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Worker {
    fn start(pool: &Pool, waits: Waits, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_at(pool.url(), waits, change)
    }

    fn start_at(url: String, waits: Waits, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(url, "bcrt1qaddress.rig");
        change(&mut config);
        let (snapshot, figures) = watch::channel(Snapshot::default());
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let task =
            tokio::spawn(async move { run_within(&waits, config, snapshot, cancelled).await });
        Self {
            figures,
            cancel,
            task,
        }
    }

    /// Waits until the figures are as `wanted`.
    async fn until(&mut self, wanted: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        let figures = timeout(PATIENCE, self.figures.wait_for(wanted)).await;
        figures.expect("in time").expect("still running").clone()
    }

    async fn end(self) {
        self.cancel.cancel();
        self.ended().await.unwrap();
    }

    async fn ended(self) -> anyhow::Result<()> {
        let ended = timeout(PATIENCE, self.task).await;
        ended.expect("in time").expect("no panic")
    }
}

/// Attempts in quick succession, all else as in earnest.
fn quick() -> Waits {
    Waits {
        first: Duration::from_millis(5),
        longest: Duration::from_millis(50),
        ..Waits::default()
    }
}

fn easy() -> Difficulty {
    // One hash in 2^12.
    Difficulty::from_steps(1 << 12)
}

#[tokio::test]
async fn a_worker_shakes_hands_mines_and_counts_its_shares() {
    let pool = Pool::new().await;
    let mut worker = Worker::start(&pool, quick(), |config| {
        config.password = "d=4".into();
        config.suggest_difficulty = Some(0.25);
        config.threads = 2;
    });
    let mut miner = pool.accept().await;
    let configure = miner.request("mining.configure").await;
    assert_eq!(
        configure["params"][1]["version-rolling.mask"],
        json!("1fffe000")
    );
    miner.answer(
        &configure,
        json!({"version-rolling": true, "version-rolling.mask": "1fffe000"}),
    );
    let subscribe = miner.request("mining.subscribe").await;
    assert_eq!(
        subscribe["params"],
        json!([concat!("adit/", env!("CARGO_PKG_VERSION"))])
    );
    miner.answer(&subscribe, json!([[], "0a0b0c0d", 8]));
    let authorize = miner.request("mining.authorize").await;
    assert_eq!(authorize["params"], json!(["bcrt1qaddress.rig", "d=4"]));
    miner.answer(&authorize, json!(true));
    let suggest = miner.request("mining.suggest_difficulty").await;
    assert_eq!(suggest["params"], json!([0.25]));
    miner.answer(&suggest, json!(true));
    let extranonce = miner.request("mining.extranonce.subscribe").await;
    miner.refuse(&extranonce, 20, "Not supported.");
    assert!(
        worker.until(|figures| figures.connected).await.hashes == 0,
        "no job, no hashes"
    );

    miner.set_difficulty(easy());
    miner.extranonce1 = vec![10, 11, 12, 13];
    miner.extranonce2_size = 8;
    miner.version_mask = Some(MASK);
    let job = miner.notify("a1", true);
    let mut proofs = std::collections::HashSet::new();
    for count in 1..=20 {
        let share = miner.request("mining.submit").await;
        assert_eq!(share["params"][0], json!("bcrt1qaddress.rig"));
        let proof = miner.verify(&job, &share, easy());
        assert!(proofs.insert(proof), "no proof comes twice");
        if count <= 15 {
            miner.answer(&share, json!(true));
        } else {
            miner.refuse(&share, 23, "Difficulty too low");
        }
    }
    let figures = worker
        .until(|figures| figures.accepted == 15 && figures.rejected_total() == 5)
        .await;
    assert_eq!(figures.rejected["Difficulty too low"], 5);
    assert_eq!(figures.job_id.as_deref(), Some("a1"));
    assert_eq!(figures.difficulty, Some(easy().to_f64()));
    assert_eq!(figures.version_mask, Some(MASK));
    assert!(figures.best.unwrap() >= easy().to_f64());
    worker.until(|figures| figures.hashrate > 1000).await;
    worker.end().await;
}

#[tokio::test]
async fn a_worker_is_whatever_device_it_says_it_is() {
    let pool = Pool::new().await;
    let worker = Worker::start(&pool, quick(), |config| {
        config.agent = "NerdMinerV2/1.8.3".into();
    });
    let mut miner = pool.accept().await;
    let configure = miner.request("mining.configure").await;
    miner.answer(&configure, json!({}));
    let subscribe = miner.request("mining.subscribe").await;
    assert_eq!(subscribe["params"], json!(["NerdMinerV2/1.8.3"]));
    miner.send(json!({"id": 77, "method": "client.get_version", "params": []}));
    let version: Value = miner.line().await;
    assert_eq!(
        version,
        json!({"id": 77, "result": "NerdMinerV2/1.8.3", "error": null})
    );
    worker.end().await;
}

#[tokio::test]
async fn orders_and_questions_of_a_pool_are_followed() {
    let pool = Pool::new().await;
    let (events, mut told) = mpsc::channel(64);
    let mut worker = Worker::start(&pool, quick(), |config| config.events = Some(events));
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.send(json!({"id": "p", "method": "mining.ping", "params": []}));
    assert_eq!(
        miner.line().await,
        json!({"id": "p", "result": "pong", "error": null})
    );
    miner.send(json!({"id": null, "method": "client.show_message", "params": ["up\u{1b}[2J"]}));
    miner.send(json!({"id": null, "method": "client.show_message", "params": ["and more"]}));
    miner.send(json!({"id": null, "method": "mining.set_goal", "params": ["x"]}));
    miner.send(json!({"id": null, "method": "client.reconnect", "params": ["evil.example", 1, 0]}));
    miner.send(json!({"id": 9, "method": "mining.ping", "params": []}));
    assert_eq!(miner.line().await["id"], json!(9), "it has stayed");

    miner.send(json!({"id": null, "method": "client.reconnect", "params": []}));
    let mut again = pool.accept().await;
    again.shake_hands().await;
    worker.until(|figures| figures.connections == 2).await;
    let mut events = Vec::new();
    while events.len() < 4 {
        events.push(timeout(PATIENCE, told.recv()).await.unwrap().unwrap());
    }
    assert_eq!(
        events[1],
        Event::Message {
            text: "up\\u{1b}[2J".into()
        }
    );
    assert!(matches!(&events[2], Event::Disconnected { reason } if reason.contains("again")));
    assert_eq!(events[3], Event::Connected { pool: pool.url() });
    worker.end().await;
}

#[tokio::test]
async fn a_pool_may_send_its_workers_to_another_port_of_its_host() {
    let (pool, other) = (Pool::new().await, Pool::new().await);
    let worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.send(json!({"id": null, "method": "client.reconnect",
        "params": ["127.0.0.1", other.port(), 0]}));
    other.accept().await.shake_hands().await;
    // That connection is gone, and home is the first pool.
    pool.accept().await.shake_hands().await;
    worker.end().await;
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_costs_no_hashes_meanwhile() {
    let pool = Pool::new().await;
    let mut waits = quick();
    waits.first = Duration::from_millis(600);
    waits.longest = waits.first;
    let mut worker = Worker::start(&pool, waits, |_| {});
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.set_difficulty(Difficulty::MAX);
    miner.notify("1", true);
    worker.until(|figures| figures.hashes > 0).await;
    drop(miner);
    let lost = worker.until(|figures| !figures.connected).await;
    assert!(lost.last_error.is_some());
    assert_eq!((lost.job_id, lost.difficulty), (None, None));
    assert_eq!(lost.hashrate, 0);
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    let back = worker.until(|figures| figures.connections == 2).await;
    assert_eq!(back.last_error, None);
    worker.end().await;
}

#[tokio::test]
async fn a_pool_that_is_not_there_is_tried_again_until_it_is() {
    let pool = Pool::at(free_port()).await;
    let port = pool.port();
    let url = pool.url();
    drop(pool);
    let (snapshot, mut figures) = watch::channel(Snapshot::default());
    let cancel = CancellationToken::new();
    let (config, cancelled) = (Config::new(url, "a.b"), cancel.clone());
    let task = tokio::spawn(async move { run_within(&quick(), config, snapshot, cancelled).await });
    let refused = timeout(PATIENCE, figures.wait_for(|f| f.last_error.is_some())).await;
    let error = refused.unwrap().unwrap().last_error.clone().unwrap();
    assert!(error.contains("cannot connect"), "{error}");
    let pool = Pool::at(port).await;
    pool.accept().await.shake_hands().await;
    cancel.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn failures_are_final_where_asked_and_say_what_happened() {
    async fn failure(answers: impl AsyncFnOnce(&mut Miner)) -> String {
        let pool = Pool::new().await;
        let worker = Worker::start(&pool, quick(), |config| config.fail_fast = true);
        let mut miner = pool.accept().await;
        answers(&mut miner).await;
        drop(miner);
        format!("{:#}", worker.ended().await.unwrap_err())
    }
    let refused = failure(async |miner| {
        let configure = miner.request("mining.configure").await;
        miner.refuse(&configure, 20, "Unknown method");
        let subscribe = miner.request("mining.subscribe").await;
        miner.answer(&subscribe, json!([[], "00", 4]));
        let authorize = miner.request("mining.authorize").await;
        miner.refuse(&authorize, 24, "Invalid Bitcoin address");
    });
    assert_eq!(
        refused.await,
        "the pool does not authorize bcrt1qaddress.rig: Invalid Bitcoin address"
    );
    let full = failure(async |miner| {
        let configure = miner.request("mining.configure").await;
        miner.answer(&configure, json!({}));
        let subscribe = miner.request("mining.subscribe").await;
        miner.refuse(&subscribe, 20, "full");
    });
    assert_eq!(full.await, "refused to subscribe: full");
    let closed = failure(async |miner| {
        miner.request("mining.configure").await;
    });
    assert!(closed.await.contains("closed"));
}

#[tokio::test]
async fn what_no_pool_could_mend_fails_at_once() {
    async fn case(change: impl FnOnce(&mut Config), told: &str) {
        let mut config = Config::new("127.0.0.1:1", "a.b");
        change(&mut config);
        let (snapshot, _) = watch::channel(Snapshot::default());
        let error = run(config, snapshot, CancellationToken::new())
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains(told), "{error:#}");
    }
    case(
        |config| config.urls = vec!["stratum2+tcp://a:1".into()],
        "Stratum V2",
    )
    .await;
    case(|config| config.user = String::new(), "no user").await;
    case(|config| config.threads = 0, "0 threads").await;
    case(|config| config.throttle = 0, "throttle of 0").await;
    case(|config| config.throttle = 101, "throttle of 101").await;
    case(
        |config| config.suggest_difficulty = Some(f64::NAN),
        "above zero",
    )
    .await;
}
