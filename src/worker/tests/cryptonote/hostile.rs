//! Pools that refuse, want something else, or are broken: the worker says why, waits and comes back.

use super::*;

/// Lets the worker in, has the pool do something that ends the connection, and gives what is told of it.
async fn ended(what: impl AsyncFnOnce(&mut Miner, &Job)) -> String {
    let pool = Pool::new().await;
    let worker = start(&pool, quick(), |config| config.fail_fast = true);
    let (mut miner, job) = mining(&pool, 1).await;
    what(&mut miner, &job).await;
    let ended = worker.ended().await;
    format!("{:#}", ended.unwrap_err())
}

#[tokio::test]
async fn three_refusals_end_a_connection_and_no_other() {
    for (reason, told) in [
        (Reason::InvalidJobId, "Invalid job id"),
        (Reason::Unauthenticated, "Unauthenticated"),
        (Reason::Banned, "Your IP is banned"),
    ] {
        let ended = ended(async |miner, job| {
            let share = miner.share_of(job).await;
            miner.refuse(&share, reason);
        });
        assert_eq!(ended.await, format!("the pool sends us off: {told}"));
    }

    let pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |_| {});
    let (mut miner, job) = mining(&pool, 1).await;
    let others = Reason::ALL.into_iter().filter(|it| !it.ends_connection());
    let mut count = 0;
    for reason in others {
        let share = miner.share_of(&job).await;
        miner.refuse(&share, reason);
        count += 1;
    }
    let figures = worker
        .until(|figures| figures.rejected_total() == count)
        .await;
    assert_eq!(figures.connections, 1);
    assert!(figures.rejected.contains_key("Duplicate share"));
    worker.end().await;
}

#[tokio::test]
async fn a_login_that_is_refused_is_told_in_the_pool_s_words() {
    let pool = Pool::new().await;
    let worker = start(&pool, quick(), |config| config.fail_fast = true);
    let mut miner = pool::accept(&pool).await;
    let login = miner.login().await;
    miner.write(|out| reply::refused(out, login.id.as_id(), Reason::InvalidAddress));
    let error = worker.ended().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the pool does not let {ADDRESS}.rig1 in: Invalid payment address provided")
    );
}

#[tokio::test]
async fn a_job_that_is_not_ours_to_mine_ends_the_connection_and_says_why() {
    for algorithm in ["rx/2", "rx/wow", "cn/r", "ghostrider"] {
        let told = ended(async |miner, _| {
            let mut job = miner.next_job(1);
            job.algorithm = algorithm;
            miner.send(&job);
        });
        assert_eq!(
            told.await,
            format!("the pool's job is for {algorithm}, and we mine rx/0")
        );
    }
    for (job, told) in [
        (
            json!({"blob": "10".repeat(76), "job_id": "9", "target": "ffffffff", "algo": "rx/0"}),
            "the pool's job cannot be mined: it has no seed_hash",
        ),
        (
            json!({"blob": "ff".repeat(76), "job_id": "9", "target": "ffffffff", "algo": "rx/0",
                "seed_hash": "00".repeat(32)}),
            "the pool's job cannot be mined: its blob cannot be read: it has more than 64 bits",
        ),
        (
            json!({"blob": format!("901090109090909010{}", "10".repeat(34)), "job_id": "9", "target": "ffffffff",
                "seed_hash": "00".repeat(32)}),
            "the pool's job cannot be mined: its blob has no nonce",
        ),
    ] {
        let ended = ended(async |miner, _| {
            miner
                .line
                .send(json!({"jsonrpc": "2.0", "method": "job", "params": job}));
        });
        assert_eq!(ended.await, told);
    }
}

#[tokio::test]
async fn a_line_that_cannot_be_right_ends_the_connection_and_nothing_else() {
    let pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |_| {});
    let job = |field: &str, value: Value| {
        let mut params = json!({"blob": "10".repeat(76), "job_id": "1", "target": "ffffffff",
            "algo": "rx/0", "seed_hash": "07".repeat(32), "height": 1});
        params[field] = value;
        json!({"jsonrpc": "2.0", "method": "job", "params": params}).to_string()
    };
    let lines = [
        "garbage".to_owned(),
        "{}".to_owned(),
        "null".to_owned(),
        "[".repeat(10_000),
        "\u{0}\u{1}".to_owned(),
        r#"{"method":"job","params":[]}"#.to_owned(),
        r#"{"method":"client.reconnect","params":["127.0.0.1","70000"]}"#.to_owned(),
        job("blob", json!("10".repeat(408))),
        job("blob", json!("10".repeat(42))),
        job("blob", json!("1")),
        job("job_id", json!("")),
        job("job_id", json!("x".repeat(10_000))),
        job("target", json!("00000000")),
        job("target", json!("ffffff")),
        job("target", json!(1)),
        job("seed_hash", json!("07")),
        job("next_seed_hash", json!("zz")),
        job("algo", json!(0)),
        job("height", json!("1")),
    ];
    for (count, line) in lines.iter().enumerate() {
        let (mut miner, _) = mining(&pool, u64::MAX).await;
        miner.line.send_bytes(format!("{line}\n").as_bytes());
        miner.line.gone().await;
        let count = u64::try_from(count).unwrap() + 1;
        let figures = worker
            .until(|figures| !figures.connected && figures.last_error.is_some())
            .await;
        assert_eq!(figures.connections, count, "{line}");
    }
    worker.end().await;
}

#[tokio::test]
async fn what_a_pool_says_beside_the_point_is_passed_over_or_shown() {
    let pool = Pool::new().await;
    let (events, mut told) = mpsc::channel(64);
    let mut worker = start(&pool, quick(), |config| config.events = Some(events));
    let (mut miner, _) = mining(&pool, u64::MAX).await;
    for line in [
        json!({"id": 1, "result": {"status": "OK"}, "error": null}),
        json!({"id": 2, "result": null, "error": null}),
        json!({"id": 16, "result": true, "error": null}),
        json!({"id": -1, "result": {}, "error": null}),
        json!({"id": 999, "result": null, "error": {"code": -1, "message": "no"}}),
        json!({"id": null, "result": null, "error": {"code": -1, "message": "down at \u{1b}[2J noon"}}),
        json!({"method": "mining.set_difficulty", "params": [1]}),
        json!({"method": "x", "params": null}),
    ] {
        miner.line.send(line);
    }
    let job = miner.next_job(1);
    miner.send(&job);
    miner.share_of(&job).await;
    let figures = worker.until(|figures| figures.connected).await;
    assert_eq!((figures.connections, figures.rejected_total()), (1, 0));
    worker.end().await;
    let mut messages = Vec::new();
    while let Some(event) = told.recv().await {
        if let Event::Message { text } = event {
            messages.push(text);
        }
    }
    assert_eq!(messages, ["down at \\u{1b}[2J noon"]);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_what_was_found_before_is_dropped() {
    let pool = Pool::new().await;
    let mut worker = start(&pool, quick(), |config| config.threads = 2);
    let (mut miner, job) = mining(&pool, 1).await;
    // None is answered: as many are sent as may be, and the others wait.
    for _ in 0..32 {
        miner.share_of(&job).await;
    }
    drop(miner);
    let lost = worker.until(|figures| figures.last_error.is_some()).await;
    assert_eq!((lost.unanswered, lost.accepted), (32, 0));
    let mut miner = pool::accept(&pool).await;
    let job = Job::new(77, 1);
    miner.let_in(&job).await;
    // Its own id, or it would be of the connection before.
    let share = miner.share().await;
    job.verify(&share);
    miner.accept(&share);
    let back = worker.until(|figures| figures.accepted == 1).await;
    assert_eq!((back.connections, back.last_error), (2, None));
    assert!(back.discarded > 0);
    worker.end().await;
}

#[tokio::test]
async fn a_pool_that_never_answers_the_login_is_left() {
    let pool = Pool::new().await;
    let waits = Waits {
        answer: Duration::from_millis(200),
        ..quick()
    };
    let mut worker = start(&pool, waits, |_| {});
    let mut miner = pool::accept(&pool).await;
    miner.login().await;
    // A job before the login's answer is none.
    let job = miner.next_job(1);
    miner.send(&job);
    miner.line.gone().await;
    let left = worker.until(|figures| figures.last_error.is_some()).await;
    assert_eq!(left.last_error.unwrap(), "no answer to login in 200ms");
    assert_eq!((left.connections, left.hashes), (0, 0));
    worker.end().await;
}
