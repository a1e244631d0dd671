//! The worker against pools of HTTP that are good, slow, broken or hostile: VisionX is hashed on both sides.

mod hostile;
mod pool;

use std::{collections::HashSet, sync::atomic::AtomicBool};

use pow::visionx::{Dataset, EpochSeed, Machine, Params, target_of};

use self::pool::{Pool, Question};
use super::{pool::Pool as LinePool, *};

/// One hash in 8 is a share.
const ONE_IN: u64 = 8;
/// None is, before all is over.
const NEVER: u64 = 1 << 60;

fn start(pool: &Pool, waits: Waits, change: impl FnOnce(&mut Config)) -> Worker {
    Worker::start_at(pool.url(), waits, change)
}

/// A job that is hashed by VisionX with the figures of private chains.
fn job(id: &str, previous: u8, difficulty: u64) -> Value {
    json!({"job_id": id, "height": 7, "prev_hash": format!("{previous:02x}").repeat(32),
        "merkle_root": "", "target": "ff".repeat(32),
        "share_target": target_of(difficulty).to_string(),
        "extra_nonce_start": 0, "extra_nonce_end": 262_144, "difficulty": 1,
        "algorithm": "visionx", "message": hex::encode(format!("{id} behind {previous}")),
        "timestamp": 1, "miner": "pow_miner", "epoch": 0, "epoch_seed": "ab".repeat(32),
        "visionx": Params::LITE.figures()})
}

/// Panics unless the share is one of this job.
#[track_caller]
fn verify(job: &Value, share: &Value) -> u64 {
    assert_eq!(share["job_id"], job["job_id"]);
    let message = hex::decode(job["message"].as_str().unwrap()).unwrap();
    let seed = EpochSeed([0xab; 32]);
    let dataset = Dataset::filled(Params::LITE, &seed, 0, &AtomicBool::new(false)).unwrap();
    let nonce = share["nonce"].as_u64().unwrap();
    let hash = Machine::new().hash(&dataset, &message, nonce);
    assert_eq!(share["hash"], json!(hash.to_string()));
    assert!(share["hash"].as_str() <= job["share_target"].as_str());
    nonce
}

fn accept(question: &Question) {
    question.answer(
        200,
        &json!({"ok": true, "message": "Share accepted", "is_block": false, "total_shares": 1,
            "estimated_payout": null}),
    );
}

#[tokio::test]
async fn a_worker_registers_mines_what_it_is_told_and_counts_its_shares() {
    let mut pool = Pool::new().await;
    let (events, mut told) = mpsc::channel(64);
    let mut worker = start(&pool, quick(), |config| {
        config.threads = 2;
        config.events = Some(events);
        config.user = "bcrt1qaddress.rig 1+5000".into();
    });
    let registered = pool.register("t1").await;
    assert_eq!(registered["wallet_address"], "bcrt1qaddress");
    assert_eq!(registered["worker_name"], "rig 1");
    let id = registered["worker_id"].as_str().unwrap();
    assert!(id.starts_with("rig_1-") && id.len() == 14, "{id}");
    assert!(registered["version"].as_str().unwrap().starts_with("adit/"));
    assert!(registered["token"].is_null());

    // It began with sha256d, and comes as the same one for what the pool says.
    let (first, second) = (job("7-1", 1, ONE_IN), job("7-2", 1, ONE_IN));
    let asked = pool.give(&first).await;
    assert_eq!(
        (asked.method.as_str(), asked.token.as_deref()),
        ("GET", Some("Bearer t1"))
    );
    assert_eq!(asked.path, format!("/pool/job?worker_id={id}"));
    drop(asked);
    let again = pool.register("t1").await;
    assert_eq!(
        (&again["worker_id"], &again["token"]),
        (&json!(id), &json!("t1"))
    );
    drop(pool.give(&first).await);
    let waiting = pool.asked("/pool/job").await;
    assert_eq!(
        waiting.path,
        format!("/pool/job?worker_id={id}&wait=50&have=7-1")
    );

    let mut nonces = HashSet::new();
    for count in 1..=10 {
        let question = pool.asked("/pool/share").await;
        let share = &question.body;
        assert!(nonces.insert(verify(&first, share)), "no nonce comes twice");
        assert_eq!(question.token.as_deref(), Some("Bearer t1"));
        assert_eq!(
            (&share["worker_id"], &share["wallet_address"]),
            (&json!(id), &json!("bcrt1qaddress"))
        );
        assert_ne!(
            question.connection, waiting.connection,
            "while the pool holds its answer back"
        );
        match count {
            1..=8 => accept(&question),
            9 => question.answer(400, &json!("share misses its target")),
            _ => question.answer(200, &json!({"ok": false})),
        }
    }
    let figures = worker
        .until(|figures| figures.accepted == 8 && figures.rejected_total() == 2)
        .await;
    assert_eq!(figures.rejected["share misses its target"], 1);
    assert_eq!(figures.difficulty, Some(8.0));
    assert!(figures.best.unwrap() >= 8.0 && figures.connected);
    assert_eq!((figures.connections, figures.pool), (1, pool.url()));

    // Another job behind the same block: what was found for the one before is still sent.
    waiting.answer(200, &second);
    drop(waiting);
    worker
        .until(|figures| figures.job_id.as_deref() == Some("7-2"))
        .await;
    loop {
        let question = pool.asked("/pool/share").await;
        accept(&question);
        if question.body["job_id"] == "7-2" {
            verify(&second, &question.body);
            break;
        }
        verify(&first, &question.body);
    }
    worker.end().await;
    let first_events = [told.recv().await, told.recv().await, told.recv().await];
    assert!(matches!(&first_events[0], Some(Event::Message { text }) if text == "Welcome"));
    assert!(
        matches!(&first_events[1], Some(Event::Disconnected { reason }) if reason.contains("visionx"))
    );
    assert!(matches!(&first_events[2], Some(Event::Connected { .. })));
}

#[tokio::test]
async fn behind_another_block_nothing_of_the_one_before_is_sent() {
    let mut pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |config| {
        config.algorithm = Some(Algorithm::VisionX)
    });
    pool.register("t").await;
    drop(pool.give(&job("7-1", 1, 1)).await);
    let held = pool.asked("/pool/share").await;
    let next = job("8-2", 2, ONE_IN);
    drop(pool.give(&next).await);
    worker
        .until(|figures| figures.job_id.as_deref() == Some("8-2"))
        .await;
    held.answer(400, &json!("stale job id"));
    drop(held);
    for _ in 0..5 {
        let question = pool.asked("/pool/share").await;
        verify(&next, &question.body);
        accept(&question);
    }
    let figures = worker.until(|figures| figures.accepted == 5).await;
    assert_eq!(figures.rejected["stale job id"], 1);
    assert!(figures.discarded > 0);
    worker.end().await;
}

#[tokio::test]
async fn a_share_whose_answer_was_lost_is_sent_again_and_a_duplicate_was_taken() {
    let mut pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |config| {
        config.algorithm = Some(Algorithm::VisionX)
    });
    pool.register("t").await;
    drop(pool.give(&job("7-1", 1, ONE_IN)).await);
    let answered = pool.asked("/pool/share").await;
    accept(&answered);
    let (taken, connection) = (answered.body.clone(), answered.connection);
    drop(answered);
    // The connection breaks before the answer, and the share comes again over another one.
    let lost = pool.asked("/pool/share").await;
    assert_eq!(lost.connection, connection, "it is kept open");
    let share = lost.body.clone();
    assert_ne!(share, taken);
    drop(lost);
    let again = pool.asked("/pool/share").await;
    assert_ne!(again.connection, connection);
    assert_eq!(
        (&again.body["nonce"], &again.body["hash"]),
        (&share["nonce"], &share["hash"])
    );
    again.answer(400, &json!("Duplicate share"));
    drop(again);
    let figures = worker.until(|figures| figures.accepted == 2).await;
    assert_eq!(figures.rejected_total(), 0);
    // One that was sent once is no duplicate of its own.
    let fresh = pool.asked("/pool/share").await;
    fresh.answer(400, &json!("Duplicate share"));
    drop(fresh);
    let figures = worker.until(|figures| figures.rejected_total() == 1).await;
    assert_eq!((figures.accepted, figures.unanswered), (2, 0));
    worker.end().await;
}

#[tokio::test]
async fn as_long_as_the_pool_knows_the_token_a_lost_connection_costs_no_share() {
    let mut pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |config| {
        config.algorithm = Some(Algorithm::VisionX)
    });
    let first = pool.register("t").await;
    let work = job("7-1", 1, ONE_IN);
    drop(pool.give(&work).await);
    let lost = pool.asked("/pool/share").await;
    let share = lost.body.clone();
    // A new connection that breaks is no connection: it begins anew.
    drop(lost);
    let again = pool.register("t").await;
    assert_eq!(again["worker_id"], first["worker_id"]);
    assert_eq!(again["token"], "t");
    // The job that was waited for is given up, too.
    drop(pool.asked("/pool/job").await);
    let question = pool.asked("/pool/share").await;
    assert_eq!(question.body["hash"], share["hash"]);
    question.answer(400, &json!("Duplicate share"));
    let figures = worker.until(|figures| figures.accepted == 1).await;
    assert_eq!((figures.unanswered, figures.rejected_total()), (0, 0));
    worker.end().await;
}

#[tokio::test]
async fn a_worker_that_the_pool_does_not_know_any_more_registers_anew_and_sends_nothing_old() {
    let mut pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |config| {
        config.algorithm = Some(Algorithm::VisionX)
    });
    for (status, text) in [
        (400, "worker rig is unknown: register first"),
        (401, "the token is not that of worker rig"),
    ] {
        let before = pool.register("old").await;
        drop(pool.give(&job("7-1", 1, ONE_IN)).await);
        let question = pool.asked("/pool/share").await;
        question.answer(status, &json!(text));
        drop(question);
        let after = pool.register("new").await;
        assert_ne!(after["worker_id"], before["worker_id"]);
        assert!(after["token"].is_null());
        // The first question for a job is the old one, which nobody answers.
        let work = job("7-9", 1, ONE_IN);
        loop {
            let question = pool.asked("/pool/job").await;
            if question.token.as_deref() == Some("Bearer new") {
                question.answer(200, &work);
                break;
            }
        }
        let question = pool.asked("/pool/share").await;
        assert_eq!(question.token.as_deref(), Some("Bearer new"));
        verify(&work, &question.body);
        question.answer(400, &json!("worker rig is unknown: register first"));
        drop(question);
        worker.until(|figures| !figures.connected).await;
    }
    let figures = worker.until(|figures| figures.unanswered == 4).await;
    assert_eq!(figures.accepted, 0);
    worker.end().await;
}

#[tokio::test]
async fn a_pool_without_work_or_with_too_much_of_it_is_waited_for() {
    let mut pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |config| {
        config.algorithm = Some(Algorithm::VisionX)
    });
    pool.register("t").await;
    for _ in 0..3 {
        pool.asked("/pool/job")
            .await
            .answer(503, &json!("no work: the daemon is away"));
    }
    let figures = worker.until(|figures| figures.connected).await;
    assert_eq!((figures.hashes, figures.job_id), (0, None));
    drop(pool.give(&job("7-1", 1, ONE_IN)).await);
    let question = pool.asked("/pool/share").await;
    let share = question.body.clone();
    for (status, text) in [
        (429, "over the rate limit"),
        (503, "share not stored, try again"),
    ] {
        let question = match status {
            429 => &question,
            _ => &pool.asked("/pool/share").await,
        };
        question.answer(status, &json!(text));
    }
    drop(question);
    let again = pool.asked("/pool/share").await;
    assert_eq!(again.body["hash"], share["hash"]);
    accept(&again);
    drop(again);
    let figures = worker.until(|figures| figures.accepted == 1).await;
    assert_eq!((figures.connections, figures.rejected_total()), (1, 0));
    // Work ends: nothing is hashed until there is some again.
    pool.asked("/pool/job")
        .await
        .answer(503, &json!("no work: the daemon is away"));
    worker.until(|figures| figures.job_id.is_none()).await;
    worker.end().await;
}

#[tokio::test]
async fn without_work_for_too_long_the_pool_is_left() {
    let mut pool = Pool::new().await;
    let waits = Waits {
        stale: Duration::from_millis(300),
        ..quick()
    };
    let mut worker = start(&pool, waits, |_| {});
    pool.register("t").await;
    let left = |figures: &Snapshot| {
        let error = figures.last_error.as_deref();
        error.is_some_and(|error| error == "no job for 300ms: no work: none")
    };
    let answering = async {
        loop {
            let question = pool.asked("/pool/job").await;
            question.answer(503, &json!("no work: none"));
        }
    };
    tokio::select! {
        () = answering => {}
        figures = worker.until(left) => assert!(!figures.connected),
    }
    worker.end().await;
}

#[tokio::test]
async fn a_job_without_news_is_stale_and_not_hashed_any_more() {
    let mut pool = Pool::new().await;
    let waits = Waits {
        stale: Duration::from_millis(700),
        longest: PATIENCE,
        first: PATIENCE,
        ..quick()
    };
    let mut worker = start(&pool, waits, |config| {
        config.algorithm = Some(Algorithm::VisionX)
    });
    pool.register("t").await;
    drop(pool.give(&job("7-1", 1, NEVER)).await);
    worker.until(|figures| figures.hashes > 0).await;
    let held = pool.asked("/pool/job").await;
    let figures = worker.until(|figures| !figures.connected).await;
    assert_eq!(figures.last_error.as_deref(), Some("no answer in 700ms"));
    assert!(held.is_dropped().await);
    worker.end().await;
}

#[tokio::test]
async fn a_pool_that_does_not_hold_its_answer_back_is_not_asked_all_the_time() {
    let mut pool = Pool::new().await;
    let waits = Waits {
        ask_again: Duration::from_millis(400),
        ..quick()
    };
    let worker = start(&pool, waits, |config| {
        config.algorithm = Some(Algorithm::VisionX)
    });
    pool.register("t").await;
    let work = job("7-1", 1, NEVER);
    drop(pool.give(&work).await);
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        drop(pool.give(&work).await);
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(800),
        "{:?}",
        begun.elapsed()
    );
    worker.end().await;
}

#[tokio::test]
async fn a_ban_is_waited_out() {
    let mut pool = Pool::new().await;
    let waits = Waits {
        longest: Duration::from_millis(800),
        ..quick()
    };
    let mut worker = start(&pool, waits, |config| {
        config.algorithm = Some(Algorithm::VisionX)
    });
    let first = pool.asked("/pool/register").await;
    first.answer(403, &json!("worker rig is banned"));
    let begun = std::time::Instant::now();
    let told = worker.until(|figures| figures.last_error.is_some()).await;
    assert_eq!(
        told.last_error.as_deref(),
        Some("the pool has banned us: worker rig is banned")
    );
    let again = pool.register("t").await;
    assert_eq!(again["worker_id"], first.body["worker_id"]);
    // While it mines, too.
    pool.asked("/pool/job")
        .await
        .answer(403, &json!("worker rig is banned"));
    let after = pool.register("t").await;
    assert_eq!(
        (&after["worker_id"], &after["token"]),
        (&again["worker_id"], &json!("t"))
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(1_100),
        "{:?}",
        begun.elapsed()
    );
    worker.end().await;
}

#[tokio::test]
async fn pools_of_lines_and_of_http_stand_in_for_each_other() {
    let lines = LinePool::at(free_port()).await;
    let (port, url) = (lines.port(), lines.url());
    drop(lines);
    let mut pool = Pool::new().await;
    let waits = Waits {
        home: Duration::from_millis(300),
        ..quick()
    };
    let mut worker = start(&pool, waits, |config| config.urls.insert(0, url));
    // The first one is away, and the second one has work of its own.
    pool.register("t").await;
    drop(pool.give(&job("7-1", 1, ONE_IN)).await);
    pool.register("t").await;
    let work = job("7-1", 1, ONE_IN);
    drop(pool.give(&work).await);
    let question = pool.asked("/pool/share").await;
    verify(&work, &question.body);
    accept(&question);
    drop(question);
    worker.until(|figures| figures.accepted == 1).await;
    // The first one is back, and is mined for by its own hash.
    let lines = LinePool::at(port).await;
    let mut miner = loop {
        let mut miner = lines.accept().await;
        // The first one only looks whether somebody is there.
        if let Some(line) = miner.next().await {
            assert_eq!(line["method"], "mining.configure");
            miner.answer(&line, json!({}));
            break miner;
        }
    };
    let subscribe = miner.request("mining.subscribe").await;
    miner.answer(&subscribe, json!([[], "08000002", 4]));
    let authorize = miner.request("mining.authorize").await;
    miner.answer(&authorize, json!(true));
    miner.request("mining.extranonce.subscribe").await;
    miner.version_mask = None;
    miner.set_difficulty(easy());
    let job = miner.notify("1", true);
    let share = miner.request("mining.submit").await;
    miner.verify(&job, &share, easy());
    worker.end().await;
}

#[tokio::test]
async fn a_pool_of_http_is_joined_over_tls_where_its_fingerprint_was_named() {
    let mut pool = Pool::new().await;
    let (port, print) = tls::in_front_of(pool.port()).await;
    let url = format!("https://127.0.0.1:{port}");
    let mut worker = start(&pool, quick(), |config| {
        config.urls = vec![url.clone()];
        config.tls_fingerprints = vec![print];
        config.algorithm = Some(Algorithm::VisionX);
    });
    pool.register("t").await;
    let work = job("7-1", 1, ONE_IN);
    drop(pool.give(&work).await);
    let question = pool.asked("/pool/share").await;
    verify(&work, &question.body);
    accept(&question);
    worker.until(|figures| figures.accepted == 1).await;
    assert_eq!(worker.figures.borrow().pool, url);
    worker.end().await;

    let worker = start(&pool, quick(), |config| {
        config.urls = vec![url];
        config.fail_fast = true;
    });
    let error = format!("{:#}", worker.ended().await.unwrap_err());
    assert!(error.contains("--tls-fingerprint"), "{error}");
}

#[tokio::test]
async fn visionx_is_not_mined_where_lines_are_spoken() {
    let lines = LinePool::new().await;
    let worker = Worker::start(&lines, quick(), |config| {
        config.algorithm = Some(Algorithm::VisionX);
        config.fail_fast = true;
    });
    let error = worker.ended().await.unwrap_err().to_string();
    assert!(error.contains("no Stratum of visionx"), "{error}");
}
