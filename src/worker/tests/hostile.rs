//! Pools that are silent, broken or hostile: the worker leaves them, waits and comes back.

use super::*;

#[tokio::test]
async fn a_line_that_cannot_be_right_ends_the_connection_and_nothing_else() {
    let pool = Pool::new().await;
    let mut worker = Worker::start(&pool, quick(), |_| {});
    let notify = |at: usize, value: Value| {
        let mut params = json!([
            "1",
            "00".repeat(32),
            "01",
            "02",
            [],
            "20000000",
            "1d00ffff",
            "65000000",
            true
        ]);
        params[at] = value;
        json!({"id": null, "method": "mining.notify", "params": params}).to_string()
    };
    let order = |method: &str, params: Value| {
        json!({"id": null, "method": method, "params": params}).to_string()
    };
    let lines = [
        "garbage".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "[".repeat(10_000),
        "\u{0}\u{1}".to_owned(),
        r#"{"id":null,"id":1,"method":"mining.notify","params":[]}"#.to_owned(),
        order("mining.notify", json!([])),
        order("mining.notify", json!("x")),
        notify(0, json!(1)),
        notify(0, json!("x".repeat(10_000))),
        notify(1, json!("00")),
        notify(2, json!("0")),
        notify(3, json!("00".repeat(40_000))),
        notify(4, json!(vec!["00".repeat(32); 33])),
        notify(4, json!("x")),
        notify(5, json!("200000000")),
        notify(7, json!(-1)),
        notify(8, json!("true")),
        order("mining.set_difficulty", json!([0])),
        order("mining.set_difficulty", json!([-1])),
        order("mining.set_difficulty", json!([[]])),
        order("mining.set_extranonce", json!(["zz", 4])),
        order("mining.set_extranonce", json!(["00", 1])),
        order("mining.set_extranonce", json!(["00", 1e9])),
        order("mining.set_version_mask", json!([1])),
        order("client.reconnect", json!(["127.0.0.1", 70_000])),
    ];
    for (count, line) in lines.iter().enumerate() {
        let mut miner = pool.accept().await;
        miner.shake_hands().await;
        miner.send_bytes(format!("{line}\n").as_bytes());
        miner.gone().await;
        let figures = worker
            .until(|figures| !figures.connected && figures.last_error.is_some())
            .await;
        assert_eq!(
            figures.connections,
            u64::try_from(count).unwrap() + 1,
            "{line}"
        );
    }
    worker.end().await;
}

#[tokio::test]
async fn work_that_is_strange_but_whole_is_done() {
    let pool = Pool::new().await;
    let worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    for (difficulty, coinbase, time) in [
        (1e300, "", "ffffffff"),
        (1e-300, "", "00000000"),
        (5e-324, "ff", "ffffffff"),
    ] {
        miner.send(json!({"id": null, "method": "mining.set_difficulty", "params": [difficulty]}));
        miner.send(json!({"id": null, "method": "mining.notify", "params":
            ["", "ff".repeat(32), coinbase, "", [], "ffffffff", "00000000", time, true]}));
    }
    let share = miner.request("mining.submit").await;
    miner.answer(&share, json!(true));
    // Answers to nothing, twice, of every type.
    for (id, result) in [
        (json!(1), json!(true)),
        (json!(2), json!([])),
        (json!(3), json!(false)),
        (json!(16), json!(true)),
        (json!(999), json!(true)),
        (json!(-1), json!({})),
        (json!("x"), json!(null)),
        (json!(null), json!(true)),
        (json!(1.5), json!(true)),
    ] {
        miner.send(json!({"id": id, "result": result, "error": null}));
        miner.send(json!({"id": id, "result": result, "error": {"code": "x"}}));
    }
    miner.send(json!({"id": "still here", "method": "mining.ping", "params": []}));
    while miner.line().await["id"] != json!("still here") {}
    worker.end().await;
}

#[tokio::test]
async fn a_line_without_an_end_is_not_read_for_ever() {
    let pool = Pool::new().await;
    let mut worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    miner.send_all(&vec![b'x'; 4 << 20]).await;
    drop(miner);
    let figures = worker.until(|figures| figures.last_error.is_some()).await;
    let error = figures.last_error.unwrap();
    assert!(error.contains("line longer"), "{error}");
    worker.end().await;
}

#[tokio::test]
async fn a_pool_that_ignores_configure_is_mined_without_rolling() {
    let pool = Pool::new().await;
    let waits = Waits {
        configure: Duration::from_millis(100),
        ..quick()
    };
    let worker = Worker::start(&pool, waits, |_| {});
    let mut miner = pool.accept().await;
    miner.request("mining.configure").await;
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
async fn a_silent_pool_is_left() {
    let pool = Pool::new().await;
    let waits = Waits {
        configure: Duration::from_millis(20),
        answer: Duration::from_secs(1),
        silence: Duration::from_secs(1),
        ..quick()
    };
    let mut worker = Worker::start(&pool, waits, |_| {});
    // From the first line on.
    pool.accept().await.gone().await;
    let told = worker.until(|figures| figures.last_error.is_some()).await;
    assert_eq!(
        told.last_error.unwrap(),
        "no answer to mining.subscribe in 1s"
    );
    // After the handshake.
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.gone().await;
    let silent = |figures: &Snapshot| {
        let error = figures.last_error.as_deref();
        error.is_some_and(|error| error.contains("silent"))
    };
    worker.until(silent).await;
    worker.end().await;
}

#[tokio::test]
async fn a_pool_that_answers_no_shares_gets_a_few_and_is_left() {
    let pool = Pool::new().await;
    let waits = Waits {
        answer: Duration::from_secs(2),
        ..quick()
    };
    let mut worker = Worker::start(&pool, waits, |config| config.threads = 2);
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.set_difficulty(Difficulty::MIN);
    miner.notify("1", true);
    let mut shares = 0;
    while let Some(line) = miner.next().await {
        assert_eq!(line["method"], json!("mining.submit"));
        shares += 1;
    }
    assert_eq!(shares, 32, "no more are in flight");
    let figures = worker.until(|figures| figures.last_error.is_some()).await;
    assert_eq!(figures.unanswered, 32);
    assert_eq!(figures.last_error.unwrap(), "no answer to a share in 2s");

    // The next connection has jobs of its own, and what waited for the old one is not sent.
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.set_difficulty(easy());
    let job = miner.notify("2", true);
    let share = miner.request("mining.submit").await;
    miner.verify(&job, &share, easy());
    worker.until(|figures| figures.discarded > 0).await;
    worker.end().await;
}

#[tokio::test]
async fn a_worker_ends_at_once_whatever_its_pool_does() {
    let pool = Pool::new().await;
    // As long as nobody waits for.
    let long = Duration::from_secs(60);
    let waits = || Waits {
        connect: long,
        configure: long,
        answer: long,
        write: long,
        ..quick()
    };
    // Before, in the middle of and after the handshake; with a pool that takes no shares.
    for step in 0..3 {
        let mut worker = Worker::start(&pool, waits(), |config| config.threads = 2);
        let mut miner = pool.accept().await;
        if step == 1 {
            miner.request("mining.configure").await;
        }
        if step == 2 {
            miner.shake_hands().await;
            miner.set_difficulty(Difficulty::MIN);
            miner.notify("1", true);
            worker.until(|figures| figures.hashes > 0).await;
        }
        let ending = std::time::Instant::now();
        worker.end().await;
        assert!(ending.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn a_pool_that_asks_and_never_listens_is_left() {
    let pool = Pool::new().await;
    let waits = Waits {
        write: Duration::from_millis(300),
        ..quick()
    };
    let mut worker = Worker::start(&pool, waits, |_| {});
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    let pings = "{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n".repeat(1000);
    let asking = async {
        loop {
            miner.send_all(pings.as_bytes()).await;
            tokio::task::yield_now().await;
        }
    };
    let left = worker.until(|figures| figures.last_error.is_some());
    tokio::select! {
        () = asking => {}
        left = left => assert_eq!(left.last_error.unwrap(), "the pool reads nothing for 300ms"),
    }
    worker.end().await;
}
