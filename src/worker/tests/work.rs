//! What a worker works on, as the pool changes its terms.

use super::*;

/// Takes shares until one is for `id`; the others are answered as stale.
async fn first_share_of(miner: &mut Miner, id: &str) -> Value {
    loop {
        let share = miner.request("mining.submit").await;
        if share["params"][1] == json!(id) {
            return share;
        }
        miner.refuse(&share, 21, "Stale");
    }
}

#[tokio::test]
async fn a_new_difficulty_holds_from_the_next_job_on() {
    let pool = Pool::new().await;
    let mut worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    let hard = Difficulty::from_steps(1 << 16);
    miner.set_difficulty(hard);
    let first = miner.notify("1", true);
    let share = miner.request("mining.submit").await;
    miner.verify(&first, &share, hard);
    miner.answer(&share, json!(true));

    miner.set_difficulty(easy());
    let share = miner.request("mining.submit").await;
    miner.verify(&first, &share, hard);
    miner.answer(&share, json!(true));
    assert_eq!(worker.figures.borrow().difficulty, Some(hard.to_f64()));

    let second = miner.notify("2", false);
    worker
        .until(|figures| figures.difficulty == Some(easy().to_f64()))
        .await;
    let share = first_share_of(&mut miner, "2").await;
    miner.verify(&second, &share, easy());
    worker.end().await;
}

#[tokio::test]
async fn after_a_clean_job_nothing_of_the_old_one_is_sent() {
    let pool = Pool::new().await;
    let mut worker = Worker::start(&pool, quick(), |config| config.threads = 2);
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.set_difficulty(easy());
    miner.notify("old", true);
    let share = miner.request("mining.submit").await;
    miner.answer(&share, json!(true));
    let job = miner.notify("new", true);
    worker
        .until(|figures| figures.job_id.as_deref() == Some("new"))
        .await;
    // What was sent before is read first; the pong tells where it ends.
    miner.send(json!({"id": "here", "method": "mining.ping", "params": []}));
    loop {
        let line = miner.line().await;
        if line["id"] == json!("here") {
            break;
        }
        miner.refuse(&line, 21, "Stale");
    }
    for _ in 0..50 {
        let share = miner.request("mining.submit").await;
        miner.verify(&job, &share, easy());
        miner.answer(&share, json!(true));
    }
    worker.end().await;
}

#[tokio::test]
async fn a_new_extranonce_holds_from_the_next_job_on() {
    let pool = Pool::new().await;
    let worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.set_difficulty(easy());
    let first = miner.notify("1", true);
    miner.send(json!({"id": null, "method": "mining.set_extranonce", "params": ["aabbccddee", 7]}));
    for _ in 0..3 {
        let share = miner.request("mining.submit").await;
        miner.verify(&first, &share, easy());
        miner.answer(&share, json!(true));
    }
    miner.extranonce1 = vec![0xaa, 0xbb, 0xcc, 0xdd, 0xee];
    miner.extranonce2_size = 7;
    let second = miner.notify("2", true);
    let share = first_share_of(&mut miner, "2").await;
    miner.verify(&second, &share, easy());
    worker.end().await;
}

#[tokio::test]
async fn a_new_version_mask_holds_at_once() {
    let pool = Pool::new().await;
    let mut worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.set_difficulty(easy());
    let job = miner.notify("1", true);
    let share = miner.request("mining.submit").await;
    assert_eq!(
        share["params"][5],
        json!("00002000"),
        "the template's own bits"
    );
    miner.answer(&share, json!(true));
    // More than we have asked for is not taken, and the template's bit is now not ours to set.
    miner.send(json!({"id": null, "method": "mining.set_version_mask", "params": ["ffffc000"]}));
    worker
        .until(|figures| figures.version_mask == Some(0x1fff_c000))
        .await;
    miner.version_mask = Some(0x1fff_c000);
    loop {
        let share = miner.request("mining.submit").await;
        miner.answer(&share, json!(true));
        if share["params"][5] == json!("00000000") {
            miner.verify(&job, &share, easy());
            break;
        }
    }
    worker.end().await;
}

#[tokio::test]
async fn without_version_rolling_shares_have_five_parameters() {
    let pool = Pool::new().await;
    let worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    miner.version_mask = None;
    miner.shake_hands().await;
    miner.send(json!({"id": null, "method": "mining.set_version_mask", "params": ["1fffe000"]}));
    miner.set_difficulty(easy());
    let job = miner.notify("1", true);
    let share = miner.request("mining.submit").await;
    miner.verify(&job, &share, easy());
    worker.end().await;
}

#[tokio::test]
async fn a_job_that_came_before_authorization_is_begun_after_it() {
    let pool = Pool::new().await;
    let mut worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    let configure = miner.request("mining.configure").await;
    miner.refuse(&configure, 20, "Unknown method");
    miner.version_mask = None;
    let subscribe = miner.request("mining.subscribe").await;
    miner.answer(&subscribe, json!([[], "08000002", 4]));
    miner.set_difficulty(easy());
    let job = miner.notify("early", true);
    let authorize = miner.request("mining.authorize").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(worker.figures.borrow_and_update().hashes, 0);
    miner.answer(&authorize, json!(true));
    miner.request("mining.extranonce.subscribe").await;
    let share = miner.request("mining.submit").await;
    miner.verify(&job, &share, easy());
    worker.end().await;
}

#[tokio::test]
async fn the_same_job_again_gives_no_share_again() {
    let pool = Pool::new().await;
    let worker = Worker::start(&pool, quick(), |_| {});
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.set_difficulty(easy());
    let job = miner.notify("1", true);
    let mut proofs = std::collections::HashSet::new();
    for count in 0..60 {
        let share = miner.request("mining.submit").await;
        assert!(proofs.insert(miner.verify(&job, &share, easy())));
        miner.answer(&share, json!(true));
        if count % 10 == 0 {
            miner.send(job.notify.clone());
        }
    }
    worker.end().await;
}

#[tokio::test]
async fn scrypt_is_mined_without_touching_the_version() {
    let pool = Pool::new().await;
    let mut worker = Worker::start(&pool, quick(), |config| {
        config.algorithm = Some(Algorithm::Header(pow::Algorithm::Scrypt));
    });
    let mut miner = pool.accept().await;
    miner.algorithm = pow::Algorithm::Scrypt;
    miner.version_mask = None;
    miner.shake_hands().await;
    // One hash in 16: difficulty 1 of scrypt is 2^16 hashes.
    let difficulty = Difficulty::from_steps(1 << 20);
    miner.set_difficulty(difficulty);
    let job = miner.notify("1", true);
    for _ in 0..5 {
        let share = miner.request("mining.submit").await;
        miner.verify(&job, &share, difficulty);
        miner.answer(&share, json!(true));
    }
    worker.until(|figures| figures.accepted == 5).await;
    worker.end().await;
}
